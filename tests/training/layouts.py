"""Trains small GANs of every preset in float64 on given devices of given processes, and notes what becomes of them.

    python -m tests.training.layouts FILE DEVICES PROCESSES PROCESS PORT PRESET...

Process 0 writes FILE, an ``.npz`` with what a preset's metrics and parameters were.
"""

import os
import sys

os.environ.setdefault('NPROC', '16')  # collective operations on virtual devices need a thread each

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update('jax_enable_x64', True)
jnp.float32 = jnp.float64  # for whatever is imported from here on: rounding is carried on from step to step

STEPS, BATCH, IMAGES = 20, 8, 24


def train(preset: str, devices: list[jax.Device]) -> dict[str, np.ndarray]:
    """Metrics (STEPS, metrics), and the leaves of the state after them by name."""
    from tests.training.common import small_gan, small_pixels
    from wgan_jax.training.parallel import make_runner
    from wgan_jax.training.state import init_state

    gan, hyperparameters = small_gan(preset, batch_size=BATCH, precision='float64')
    mode = 'jit' if len(devices) == 1 else 'pmap'
    runner = make_runner(gan, hyperparameters, small_pixels(IMAGES), mode=mode, devices=devices, capacity=STEPS)
    state, rows = runner.run(runner.place(init_state(gan, hyperparameters, 3)), STEPS)
    assert runner.differing(state) is None
    leaves = jax.tree_util.tree_leaves_with_path(runner.fetch(state))
    names = {jax.tree_util.keystr(path, simple=True, separator='/'): leaf for path, leaf in leaves}
    assert not any(leaf.dtype == np.float32 for leaf in names.values())
    return {f'{preset}:metrics': runner.fetch(rows), **{f'{preset}:{name}': leaf for name, leaf in names.items()}}


def main(file: str, devices: str, processes: str, process: str, port: str, *presets: str) -> None:
    """See the module."""
    jax.config.update('jax_num_cpu_devices', int(devices))
    if int(processes) > 1:
        from wgan_jax.joining import join, part

        join(f'127.0.0.1:{port}', int(processes), int(process), patience=60)
    assert jax.device_count() == int(devices) * int(processes)
    found = {}
    for preset in presets:
        found |= train(preset, jax.devices())
        print(preset, flush=True)
    if not int(process):
        np.savez(file, **found)
    if int(processes) > 1:
        part()


if __name__ == '__main__':
    main(*sys.argv[1:])
