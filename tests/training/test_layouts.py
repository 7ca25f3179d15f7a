"""Every preset on one device, on many, and on those of several processes, in float64: the same training."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wgan_jax.training.presets import PRESETS

ROOT = Path(__file__).resolve().parents[2]
SOME = ('wgan', 'wgan_gp')  # with batch statistics, and with gradients of gradients


def _trained(file, processes, devices, presets):
    """What each preset's metrics and state are after training in this layout, by name."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu'}
    command = [sys.executable, '-P', '-m', 'tests.training.layouts', str(file), str(devices), str(processes)]
    started = [subprocess.Popen([*command, str(i), str(port), *presets], env=env) for i in range(processes)]
    try:
        assert [process.wait(1_800) for process in started] == [0] * processes
    finally:
        for process in started:
            process.kill()
    with np.load(file) as arrays:
        return {name: arrays[name] for name in arrays}


def _cancelled(name):
    """Whether batch norm subtracts what this leaf is of: the bias before it, and what is averaged of that.

    Its gradient is nothing but rounding, which Adam divides by its own size, and so the only thing that grows. A batch
    norm's running mean follows its bias; what the network makes of both is compared like all else.
    """
    preset, _, path = name.partition(':')
    generator = 'generator/' in path or 'ema/' in path
    of_norm = ('conv_' in path and path.endswith('/bias')) or ('/norm_' in path and path.endswith('/mean'))
    return preset == 'sngan' and generator and of_norm


def _compare(one, many):
    assert one.keys() == many.keys()
    for name, expected in one.items():
        tolerance = 1e-6 if _cancelled(name) else 1e-9
        np.testing.assert_allclose(many[name], expected, rtol=tolerance, atol=tolerance / 10, err_msg=name)


@pytest.mark.slow
def test_some_presets_train_the_same_in_every_layout(tmp_path):
    # In float32 rounding is carried on from step to step and hides what does not agree. Fails if a device or a process
    # draws another's examples, if anything is averaged over a share of the batch, or depends on how many devices are.
    one = _trained(tmp_path / 'one.npz', 1, 1, SOME)
    for processes, devices in ((1, 2), (1, 4), (1, 8), (2, 1), (2, 2), (4, 1)):
        again = _trained(tmp_path / 'many.npz', processes, devices, SOME)
        _compare(one, again)
    for name, leaf in _trained(tmp_path / 'again.npz', 4, 1, SOME).items():
        np.testing.assert_array_equal(leaf, again[name], err_msg=name)


@pytest.mark.long
def test_every_preset_trains_the_same_on_many_devices_and_processes(tmp_path):
    # Fails if a network or a penalty that the two above are without depends on how many devices there are.
    one = _trained(tmp_path / 'one.npz', 1, 1, PRESETS)
    assert {name.partition(':')[0] for name in one} == set(PRESETS)
    assert all(np.any(one[f'{preset}:metrics'][-1]) for preset in PRESETS)
    for processes, devices in ((1, 8), (2, 2)):
        _compare(one, _trained(tmp_path / 'many.npz', processes, devices, PRESETS))
