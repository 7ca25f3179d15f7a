"""The loss_quality launcher: runs are kept one by one, and whatever decides their numbers tells them apart."""

import numpy as np
import pytest

from tests.experiments.processes import done

TINY = (
    '--image_size=16', '--width=1', '--batch_size=2', '--steps=6', '--points=6', '--first_updates=1', '--samples=2',
)  # fmt: skip


def _runs(workdir):
    return {path: path.stat().st_mtime_ns for path in (workdir / 'runs').iterdir()}


@pytest.mark.slow
def test_runs_are_kept_and_joined_by_more_seeds(tmp_path):
    # Fails if a run is trained twice, if a damaged one is believed or lost, or if one of other numbers is taken for it.
    config, first = done('loss_quality', tmp_path, *TINY, '--only=gan_fails')
    files = _runs(tmp_path)
    assert config['flags']['seeds'] == 1 and len(files) == 1 and len(first['gan_fails']['seeds']) == 1

    _, second = done('loss_quality', tmp_path, *TINY, '--only=gan_fails', '--seeds=2')
    assert len(_runs(tmp_path)) == 2 and files.items() <= _runs(tmp_path).items()
    assert second['gan_fails']['seeds'][0] == first['gan_fails']['seeds'][0] != second['gan_fails']['seeds'][1]
    with np.load(tmp_path / 'curves.npz') as curves:
        assert curves['gan_fails_estimate'].shape == (2, 6) and curves['gan_fails_samples'].shape[:3] == (2, 6, 2)
        estimates = curves['gan_fails_estimate']

    (path,) = files
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    done('loss_quality', tmp_path, *TINY, '--only=gan_fails', '--seeds=2')
    with np.load(tmp_path / 'curves.npz') as curves:
        np.testing.assert_array_equal(curves['gan_fails_estimate'], estimates)

    _, other = done('loss_quality', tmp_path, *TINY, '--only=gan_fails', '--features=pixels')
    assert len(_runs(tmp_path)) == 3
    assert other['gan_fails']['last_kernel_distance'] != first['gan_fails']['last_kernel_distance']
    assert other['gan_fails']['last_patch_distance'] == first['gan_fails']['last_patch_distance']
