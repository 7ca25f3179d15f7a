"""The mode_collapse launcher as a process: what it writes."""

import numpy as np
import pytest

from tests.experiments.processes import done


@pytest.mark.slow
def test_both_densities_are_measured(tmp_path):
    config, results = done('mode_collapse', tmp_path, '--size=tiny', '--methods=r1_ema', '--seeds=2')
    assert config['methods']['r1_ema']['constraint'] == 'r1'
    arrays = np.load(tmp_path / 'arrays.npz')
    assert arrays['r1_ema_ring_counts'].shape == (2, 3, 8) and arrays['r1_ema_grid_counts'].shape == (2, 3, 25)
    for data in ('ring', 'grid'):
        captured = (arrays[f'r1_ema_{data}_counts'] > 0).sum(axis=-1)
        np.testing.assert_array_equal(captured, arrays[f'r1_ema_{data}_captured'])
        row = results['methods']['r1_ema'][data]
        assert row['captured']['mean'] == captured[:, -1].mean()
        assert row['worst_seed']['captured'] == captured[:, -1].min()
    # Same seeds, same networks, other data: before any step both draw the same samples, afterwards not.
    ring, grid = (arrays[f'r1_ema_{data}_samples_of_first_seed'] for data in ('ring', 'grid'))
    np.testing.assert_array_equal(ring[0], grid[0])
    assert not np.allclose(ring[-1], grid[-1])


@pytest.mark.slow
def test_methods_are_kept(tmp_path):
    # Fails if a method is trained twice, if numbers change on their way through the file, or if other seeds are taken
    # for these.
    def parts():
        return {path: path.stat().st_mtime_ns for path in (tmp_path / 'methods').iterdir()}

    _, first = done('mode_collapse', tmp_path, '--size=tiny', '--methods=gan', '--seeds=2')
    (before,) = parts().items()
    _, second = done('mode_collapse', tmp_path, '--size=tiny', '--methods=gan,wgan', '--seeds=2')
    assert second['methods']['gan'] == first['methods']['gan'] and parts()[before[0]] == before[1]
    with np.load(tmp_path / 'arrays.npz') as arrays:
        captured = (arrays['gan_grid_counts'] > 0).sum(axis=-1)
        np.testing.assert_array_equal(captured, arrays['gan_grid_captured'])
    _, other = done('mode_collapse', tmp_path, '--size=tiny', '--methods=gan', '--seeds=2', '--seed=5')
    assert other['methods']['gan']['grid'] != first['methods']['gan']['grid'] and len(parts()) == 3
