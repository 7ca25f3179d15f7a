"""Two virtual devices for every test, set up before JAX looks for any."""

import os
import tempfile

os.environ.setdefault('NPROC', '16')  # collective operations on virtual devices need a thread each
os.environ.setdefault('JAX_PLATFORMS', 'cpu')

# Tests build the same few programs again and again, in this process and in those they start.
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', tempfile.mkdtemp(prefix='wgan_jax_tests_'))
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')

# Most of their time is compilation, and LLVM's optimisation a third of that. Tests of what optimisation could break
# ask for it by OPTIMISED.
_FLAG = '--xla_backend_optimization_level'
if _FLAG not in os.environ.get('XLA_FLAGS', ''):
    os.environ['XLA_FLAGS'] = f'{os.environ.get("XLA_FLAGS", "")} {_FLAG}=0'

import jax  # noqa: E402

OPTIMISED = {'xla_backend_optimization_level': 3}  # compiler_options of jax.jit: XLA's default

jax.config.update('jax_num_cpu_devices', 2)
