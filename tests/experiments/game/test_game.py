"""The game launcher as a process: its numbers, its files, its refusals; and a training run's game."""

import json

import numpy as np
import pytest

from experiments.game.calls import parse_calls
from tests.experiments.processes import answers, finish, start
from wgan_jax.games import GAMES, UPDATES


def launch(name, *flags):
    return finish(start(name, *flags))


def test_numbers_figures_and_arrays(tmp_path):
    updates = 'simultaneous,heavy_ball(alternating=True)'
    code, out, err = launch(
        'game', f'--update={updates}', '--step_size=0.1,0.2', '--grid=3', f'--workdir={tmp_path}'
    )  # fmt: skip
    assert code == 0 and str(tmp_path) in out, err
    for name in (
        'config.json', 'curves.png', 'distance.png', 'eigenvalues.png', 'portraits.png', 'convergence.png',
        'trajectories.gif', 'convergence.npz',
    ):  # fmt: skip
        assert (tmp_path / name).stat().st_size > 0
    results = json.loads((tmp_path / 'results.json').read_text())
    assert [(run['update'], run['step_size']) for run in results['runs']] == [
        (update, eta) for update in ('simultaneous', 'heavy_ball(alternating=True)') for eta in (0.1, 0.2)
    ]
    classic = results['runs'][0]
    np.testing.assert_allclose(classic['final']['critic'], -2.257353911673798, rtol=1e-12)
    np.testing.assert_allclose(classic['final']['generator'], -0.5603400541582387, rtol=1e-12)
    np.testing.assert_allclose([classic['fitted_rate'], classic['predicted_rate']], np.sqrt(1.01), rtol=1e-12)
    assert classic['grid'] == {'starts': 9, 'share_closer_at_the_end': 0.0}
    np.testing.assert_allclose(results['runs'][2]['predicted_rate'], 0.9985177891, rtol=0, atol=5e-11)
    arrays = np.load(tmp_path / 'paths.npz')
    assert arrays['0_generator'].shape == (2, 10, 101) and arrays['1_eigenvalues'].shape == (2, 4)


def test_vector_players_divergence_and_a_start(tmp_path):
    code, _, err = launch(
        'game', '--game=bilinear_matrix', '--update=simultaneous', '--step_size=1e9', '--steps=60',
        '--start=1,0,0,1', f'--workdir={tmp_path}',
    )  # fmt: skip
    assert code == 0, err
    run = json.loads((tmp_path / 'results.json').read_text())['runs'][0]
    assert run['distance_end'] == 'inf' and set(run['final']['generator']) <= {'inf', '-inf'}
    assert json.loads((tmp_path / 'config.json').read_text())['start'] == {'generator': [1, 0], 'critic': [0, 1]}
    assert not (tmp_path / 'portraits.png').exists()


REFUSALS = [
    (['--step_size=0'], 'step_size=0.0 must be a positive number'),
    (['--step_size=a'], 'step_size=a must be numbers'),
    (['--steps=0'], 'steps=0 must be at least 1'),
    (['--game=chess'], 'game=chess is unknown; there are: bilinear, '),
    (['--update=adagrad'], 'update=adagrad is unknown; there are: simultaneous, '),
    (['--update=consensus(beta=1)'], 'beta is not an option of consensus; there are: gamma'),
    (['--start=1,2,3'], 'start=1,2,3 has 3 numbers; bilinear takes 2: 1 of the generator, then 1 of the critic'),
    (['--steps=1000000000000'], 'GB for the paths'),
    (['--run=/nowhere'], 'is not the folder of a training run'),
    (['--run=/nowhere', '--steps=3'], 'steps has no effect with --run'),
    (['--run=/nowhere', '--workdir=/elsewhere'], 'workdir has no effect with --run'),
    (['--count=3'], 'count has no effect without --run'),
]


def test_what_cannot_be_used_gets_one_line_and_status_2(tmp_path):
    own = [f'--workdir={tmp_path / "x"}']
    commands = [('game', *flags, *([] if flags[0].startswith('--run') else own)) for flags, _ in REFUSALS]
    for (flags, message), (code, out, err) in zip(REFUSALS, answers(*commands), strict=True):
        assert code == 2 and message in err and len(err.strip().splitlines()) == 1 and not out, (flags, code, out, err)
    assert not (tmp_path / 'x').exists()


def test_a_run_s_game_is_written_beside_it(tmp_path):
    run = tmp_path / 'run'
    code, _, err = launch(
        'train', '--arch=mlp', '--width=2', '--image_size=2x2', '--latent_dim=2', '--batch_size=4', '--steps=2',
        f'--workdir={run}',
    )  # fmt: skip
    assert code == 0, err
    before = {path: path.stat().st_mtime_ns for path in run.rglob('*') if path.is_file()}
    code, out, err = launch('game', f'--run={run}', '--count=4')
    assert code == 0 and str(run / 'game') in out, err
    results = json.loads((run / 'game' / 'results.json').read_text())
    assert results['step'] == 2 and len(results['jacobian']) >= 3 and results['products'] > 4
    assert results['potential'] == sorted(results['potential'])
    assert max(np.hypot(*value) for value in results['jacobian']) > 0
    for name in ('config.json', 'spectrum.png', 'spectrum.npz'):
        assert (run / 'game' / name).stat().st_size > 0
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_calls_are_read_with_their_options():
    calls = parse_calls('update', 'simultaneous, heavy_ball(beta=-0.3, alternating=True)', UPDATES)
    assert [call.name for call in calls] == ['simultaneous', 'heavy_ball']
    assert calls[1].options == {'beta': -0.3, 'alternating': True} and calls[1].text == (
        'heavy_ball(beta=-0.3,alternating=True)'
    )
    assert parse_calls('game', 'dirac_r1(r1=0.3)', GAMES)[0].options == {'r1': 0.3}
    for text in ('a b', 'simultaneous()()', 'lookahead(5)', 'lookahead(k=__import__("os"))', '3'):
        with pytest.raises(ValueError, match='cannot be read'):
            parse_calls('update', text, UPDATES)
