"""Two virtual devices for every test, set up before JAX looks for any."""

import os
import tempfile

os.environ.setdefault('NPROC', '16')  # collective operations on virtual devices need a thread each
os.environ.setdefault('JAX_PLATFORMS', 'cpu')

# Tests build the same few programs again and again, in this process and in those they start.
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', tempfile.mkdtemp(prefix='wgan_jax_tests_'))
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')

import jax

jax.config.update('jax_num_cpu_devices', 2)
