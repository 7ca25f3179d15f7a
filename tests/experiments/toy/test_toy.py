"""The toy, mode_collapse and lipschitz launchers as processes: what they write, and what they refuse."""

import json

import numpy as np
import pytest

from tests.experiments.processes import answers, finish, start


@pytest.fixture(scope='module')
def done(tmp_path_factory):
    """Three tiny runs at once."""
    folder = tmp_path_factory.mktemp('runs')
    points = np.random.default_rng(0).normal([[3.0]], 0.5, (200, 1))
    np.savez(folder / 'points.npz', points=points)
    tiny = ('--width=4', '--batch_size=8')
    processes = {
        'toy': start(
            'toy', *tiny, f'--workdir={folder}/toy', '--preset=wgan', f'--data={folder}/points.npz', '--seeds=2',
            '--clip=0.1,0.2', '--steps=3', '--num_evals=2', '--depth=1', '--n_critic=1', '--seed=5',
        ),
        'mode_collapse': start(
            'mode_collapse', f'--workdir={folder}/mode_collapse', '--size=tiny', '--methods=r1_ema', '--seeds=2'
        ),
        'lipschitz': start(
            'lipschitz', *tiny, f'--workdir={folder}/lipschitz', '--updates=40', '--constraints=none,clip',
        ),
    }  # fmt: skip
    for name, process in processes.items():
        code, out, err = finish(process)
        assert code == 0, f'{name}: {err}'
        assert f'Results in {folder}/{name}/' in out
    return folder


def read(folder, name):
    config, results = (json.loads((folder / name / f'{what}.json').read_text()) for what in ('config', 'results'))
    assert config['launcher'] == name and config['versions']['jax']
    return config, results


def test_toy_trains_every_combination_on_samples_of_a_file(done):
    config, results = read(done, 'toy')
    assert config['lists'] == {'clip': [0.1, 0.2]} and config['settings']['clip'] == 0.1
    assert results['runs'] == 4 and [one['name'] for one in results['combinations']] == ['clip 0.1', 'clip 0.2']
    arrays = np.load(done / 'toy' / 'arrays.npz')
    assert arrays['seed'].tolist() == [5, 6, 5, 6] and arrays['samples'].shape == (4, 2500, 1)
    assert arrays['metrics'].shape[:2] == (3, 4) and arrays['step'].tolist() == [0, 2, 3]
    assert abs(arrays['real'].mean() - 3) < 0.1  # of the file, not of some default
    # On the line the exact distance is that of the quantiles.
    from wgan_jax.distances import wasserstein_1d

    for i in range(4):
        distance = wasserstein_1d(arrays['samples'][i, :, 0], arrays['real'][:, 0])
        mean = results['combinations'][i // 2]['w1_of_average']['mean']
        deviation = results['combinations'][i // 2]['w1_of_average']['std']
        assert abs(distance - mean) < deviation + 0.15
    for name in ('samples.png', 'curves.png', 'critic.png', 'training.gif'):
        assert (done / 'toy' / name).stat().st_size > 1000


def test_mode_collapse_measures_both_densities(done):
    config, results = read(done, 'mode_collapse')
    assert config['methods']['r1_ema']['constraint'] == 'r1'
    arrays = np.load(done / 'mode_collapse' / 'arrays.npz')
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


def test_no_estimate_over_its_bound_passes_the_distance(done):
    _, results = read(done, 'lipschitz')
    table = results['table']
    assert set(table['constraints']) == {'none', 'clip'}
    for row in table['constraints'].values():
        for pair, distance in table['distances'].items():
            own = row[pair]
            assert own['estimate_over_upper_bound_over_w1'] <= 1 + 1e-5
            assert own['largest_gradient'] <= own['upper_bound'] * (1 + 1e-5)
            assert own['estimate_over_w1'] * distance['w1'] == pytest.approx(own['estimate'], rel=1e-6)
    # W1 of a translation is its length; two samples of 2,048 points each add their own distance at most.
    translated = table['distances']['translated']
    assert abs(translated['w1'] - 1) < translated['w1_of_two_real_samples'] + 0.02
    assert abs(table['distances']['gaussians']['w1'] - 2) < 0.1
    assert 0.5 < table['distances']['rotated']['w1'] < 0.5519  # the chord of 22.5 degrees, less what the noise saves


def test_surfaces_and_layers_are_of_clipped_and_of_penalised_critics(done):
    _, results = read(done, 'lipschitz')
    assert 0 < results['surfaces']['clip']['weights_largest'] <= np.float32(0.01)
    assert results['surfaces']['gradient_penalty']['weights_largest'] > 0.01
    assert 0 <= results['surfaces']['clip']['share_of_weights_at_the_bound'] <= 1
    assert set(results['layers']) == {'c = 0.1', 'c = 0.01', 'c = 0.001', 'gradient penalty'}
    for row in results['layers'].values():
        assert len(row['norms']) == 12 and all(value >= 0 for value in row['norms'])
    for name, (first, last) in {'surfaces': ('clip_ring', 'side'), 'layers': ('layers', 'gradient_penalty')}.items():
        with np.load(done / 'lipschitz' / f'{name}.npz') as arrays:
            assert np.isfinite(arrays[first]).all() and np.isfinite(arrays[last]).all()
    for name in ('surfaces.png', 'weights.png', 'layers.png', 'table.png'):
        assert (done / 'lipschitz' / name).stat().st_size > 1000


def test_bad_input_is_refused_in_one_line_with_what_would_do(tmp_path):
    np.savez(tmp_path / 'bad.npz', np.array([[0.0], [np.nan]]))
    cases = {
        ('toy', f'--data={tmp_path}/bad.npz'): 'is not finite in 1 rows',
        ('toy', '--penalty_weight=0.1,-1'): 'penalty_weight=-1.0 must be a number >= 0',
        ('mode_collapse', '--methods=gan,pacgan'): 'methods=pacgan is unknown; there are: gan_minimax',
        ('lipschitz', '--constraints=clips'): 'constraints=clips is unknown; there are: none, clip',
    }
    commands = [(*command, f'--workdir={tmp_path}/run') for command in cases]
    for complaint, (code, out, err) in zip(cases.values(), answers(*commands), strict=True):
        assert code == 2 and complaint in err and len(err.strip().splitlines()) == 1, err
        assert not out and not (tmp_path / 'run' / 'config.json').exists()


@pytest.mark.slow
def test_orthonormal_and_penalised_critics_find_known_distances(tmp_path):
    flags = ('--parts=table', '--constraints=orthonormal,gradient_penalty', f'--workdir={tmp_path}/lipschitz')
    code, _, err = finish(start('lipschitz', *flags))
    assert code == 0, err
    table = read(tmp_path, 'lipschitz')[1]['table']
    for pair in table['distances']:
        assert abs(table['constraints']['orthonormal'][pair]['estimate_over_w1'] - 1) < 0.02
        assert abs(table['constraints']['gradient_penalty'][pair]['estimate_over_w1'] - 1) < 0.10
