"""The discriminator launcher as a process: its numbers, and that every claim about them finds its own."""

import numpy as np
import pytest

from experiments.reproduce.checks import check
from experiments.reproduce.claims import CLAIMS
from tests.experiments.processes import done


@pytest.mark.slow
def test_discriminator_leaves_its_numbers_behind(tmp_path):
    # A short training is not optimal, but the value never exceeds the best one, and D is right about the order.
    _, results = done('discriminator', tmp_path, '--updates=1000', '--width=32', '--batch_size=256')
    assert (tmp_path / 'discriminator.png').stat().st_size > 0
    assert results['value'] <= results['optimal_value'] + 1e-6 and results['largest_error_of_d'] < 0.2
    assert results['orthonormal']['estimate'] <= results['w1'] + 1e-4  # of a critic that is 1-Lipschitz by construction
    rows = [row for row in check(CLAIMS, {'discriminator': results}) if row['launcher'] == 'discriminator']
    assert rows and not [row['claim'] for row in rows if row['measured'] is None]
    arrays = np.load(tmp_path / 'curves.npz')
    assert np.corrcoef(arrays['discriminator_scores'], arrays['optimal_logit'])[0, 1] > 0.9
