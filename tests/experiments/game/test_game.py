"""The game launcher as a process: its numbers, its files, its refusals; and a training run's game."""

import json

import numpy as np
import pytest

from experiments.common.calls import parse_calls
from tests.experiments.processes import done, finish, start
from wgan_jax.games import GAMES, UPDATES
from wgan_jax.training.as_game import load_game
from wgan_jax.training.checkpoint import digest_of


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


@pytest.mark.slow
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
    players = json.loads((run / 'game' / 'config.json').read_text())['players']
    assert players == digest_of(load_game(run)[1])
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


def test_an_option_that_need_not_be_given_takes_any_number():
    # Fails if a default of None makes whole numbers of real ones.
    for text, value in (('dirac_minimax(clip=0.5)', 0.5), ('dirac_minimax(clip=None)', None)):
        assert parse_calls('game', text, GAMES)[0].options == {'clip': value}
    with pytest.raises(ValueError, match='clip=a must be a number of at most'):
        parse_calls('game', "dirac_minimax(clip='a')", GAMES)


def test_paths_that_leave_all_numbers_are_drawn_as_far_as_they_can_be(tmp_path):
    # Fails if an axis is made for 1e308, which Matplotlib cannot; a folder's name may look like a formula.
    _, results = done('game', tmp_path / 'a$b$ {} %s', '--update=simultaneous', '--step_size=100', '--steps=300')
    assert results['runs'][0]['distance_end'] == 'inf'


def test_files_that_may_be_the_user_s_are_not_replaced(tmp_path):
    (tmp_path / 'curves.png').write_text('mine')
    code, _, err = finish(start('game', '--steps=2', f'--workdir={tmp_path}'))
    assert code == 2 and 'has no config.json, and files that would be replaced (curves.png): choose another' in err
    assert (tmp_path / 'curves.png').read_text() == 'mine' and not (tmp_path / 'config.json').exists()
