"""Two virtual devices for every test, set up before JAX looks for any."""

import os

os.environ.setdefault('NPROC', '16')  # collective operations on virtual devices need a thread each
os.environ.setdefault('JAX_PLATFORMS', 'cpu')

import jax

jax.config.update('jax_num_cpu_devices', 2)
