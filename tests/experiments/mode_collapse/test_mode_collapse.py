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
