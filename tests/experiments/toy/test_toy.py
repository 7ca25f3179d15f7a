"""The toy launcher as a process: what it writes."""

import json

import numpy as np
import pytest

from tests.experiments.processes import done, finish, start
from wgan_jax.distances import wasserstein_1d


@pytest.mark.slow
def test_every_combination_is_trained_on_samples_of_a_file(tmp_path):
    run = tmp_path / 'run'
    np.savez(tmp_path / 'points.npz', points=np.random.default_rng(0).normal([[3.0]], 0.5, (200, 1)))
    config, results = done(
        'toy', run, '--width=4', '--batch_size=8', '--preset=wgan', f'--data={tmp_path}/points.npz', '--seeds=2',
        '--clip=0.1,0.2', '--steps=3', '--num_evals=2', '--depth=1', '--n_critic=1', '--seed=5',
    )  # fmt: skip
    assert config['lists'] == {'clip': [0.1, 0.2]} and config['settings']['clip'] == 0.1
    assert results['runs'] == 4 and [one['name'] for one in results['combinations']] == ['clip 0.1', 'clip 0.2']
    arrays = np.load(run / 'arrays.npz')
    assert arrays['seed'].tolist() == [5, 6, 5, 6] and arrays['samples'].shape == (4, 2500, 1)
    assert arrays['metrics'].shape[:2] == (3, 4) and arrays['step'].tolist() == [0, 2, 3]
    assert abs(arrays['real'].mean() - 3) < 0.1  # of the file, not of some default
    # On the line the exact distance is that of the quantiles.
    for i in range(4):
        distance = wasserstein_1d(arrays['samples'][i, :, 0], arrays['real'][:, 0])
        mean = results['combinations'][i // 2]['w1_of_average']['mean']
        deviation = results['combinations'][i // 2]['w1_of_average']['std']
        assert abs(distance - mean) < deviation + 0.15
    for name in ('samples.png', 'curves.png', 'critic.png', 'training.gif'):
        assert (run / name).stat().st_size > 1000


@pytest.mark.slow
def test_results_of_other_points_do_not_stay(tmp_path):
    # Fails if the name of a file stands for what is in it: a call that is stopped would leave results of the old one.
    run, points = tmp_path / 'run', tmp_path / 'points.npz'
    flags = ('--width=4', '--depth=1', '--batch_size=8', '--steps=1', '--num_evals=1', '--n_critic=1')
    np.savez(points, points=np.zeros((2, 1)))
    before, _ = done('toy', run, *flags, f'--data={points}')
    (run / 'curves.png').write_text('of before')
    np.savez(points, points=np.ones((2, 1)))
    code, _, err = finish(start('toy', *flags, f'--data={points}', f'--workdir={run}'))
    assert code == 0 and 'results of another configuration are removed' in err and 'curves.png' in err
    now = json.loads((run / 'config.json').read_text())
    assert now['points'] != before['points'] and now['settings'] == before['settings']
