"""The launchers that train critics against something fixed: what they write, and what they refuse."""

import json

import numpy as np

from experiments.reproduce.checks import check
from experiments.reproduce.claims import CLAIMS
from tests.experiments.processes import answers, finish, start


def test_discriminator_leaves_its_numbers_behind(tmp_path):
    # A short training is not optimal, but the value never exceeds the best one, and D is right about the order.
    code, out, err = finish(
        start('discriminator', '--updates=1000', '--width=32', '--batch_size=256', f'--workdir={tmp_path}')
    )
    assert code == 0, err
    assert str(tmp_path) in out and (tmp_path / 'discriminator.png').stat().st_size > 0
    results = json.loads((tmp_path / 'results.json').read_text())
    assert results['value'] <= results['optimal_value'] + 1e-6 and results['largest_error_of_d'] < 0.2
    assert results['orthonormal']['estimate'] <= results['w1'] + 1e-4  # of a critic that is 1-Lipschitz by construction
    rows = [row for row in check(CLAIMS, {'discriminator': results}) if row['launcher'] == 'discriminator']
    assert rows and not [row['claim'] for row in rows if row['measured'] is None]
    arrays = np.load(tmp_path / 'curves.npz')
    assert np.corrcoef(arrays['discriminator_scores'], arrays['optimal_logit'])[0, 1] > 0.9


BAD = [
    ('discriminator', '--stds=1,0', 'stds=1,0 must be positive'),
    ('discriminator', '--means=1', 'must each be two numbers'),
    ('vanishing_gradients', '--generator_steps=10,x', 'generator_steps=10,x must be whole numbers'),
    ('vanishing_gradients', '--iterations=0', 'iterations=0 must be at least 1'),
    ('loss_quality', '--points=2', 'points=2 must lie between 5 and steps=1000'),
    ('loss_quality', '--only=wgan', 'only=wgan is unknown; there are: wgan_dcgan'),
    ('reproduce', '--size=huge', 'size=huge is unknown; there are: tiny, quick, full'),
]


def test_bad_input_gets_one_line(tmp_path):
    commands = [(name, flag, f'--workdir={tmp_path / "out"}') for name, flag, _ in BAD]
    for (name, flag, message), (code, _, err) in zip(BAD, answers(*commands), strict=True):
        assert code == 2 and message in err and err.count('\n') == 1, (name, flag, code, err)
