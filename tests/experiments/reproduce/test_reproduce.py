"""Claims and their page: what holds, what does not, what was not measured, and that nothing comes from a network."""

import contextlib
import fcntl
import json
import re
import signal
import time

import numpy as np
import pytest
from PIL import Image

from experiments.common.page import number
from experiments.reproduce.checks import Claim, check, near
from experiments.reproduce.claims import CLAIMS
from experiments.reproduce.jobs import JOBS
from experiments.reproduce.page import Section, interval, write_page
from tests.experiments.processes import finish, start

ROWS = (
    Claim('t', 'a number', '5', 'one', lambda r: r['x'], **near(5.0, 0.1)),
    Claim('t', 'a bound <b>', 'at least 3', 'one', lambda r: r['y'], 3.0, unit='nats'),
    Claim('t', 'of a launcher that did not run', '0', 'two', lambda r: r['z'], **near(0.0, 1.0)),
    Claim('t', 'of a number that is not there', '0', 'one', lambda r: r['z'], **near(0.0, 1.0)),
    Claim('t', 'of a number that is none', '0', 'one', lambda r: r['nan'], **near(0.0, 1.0)),
)


def test_a_claim_holds_inside_its_interval_only():
    # Fails if NaN passes for held, or a missing number for one that did not hold.
    rows = check(ROWS, {'one': {'x': 5.1, 'y': 2.9, 'nan': float('nan')}})
    assert [row['held'] for row in rows] == [True, False, None, None, False]
    assert rows[0]['measured'] == 5.1 and rows[2]['measured'] is None
    assert rows[4]['measured'] == 'nan'  # which JSON has no number for
    assert rows[1]['lowest'] == 3.0 and rows[1]['highest'] is None


def test_every_claim_says_what_it_checks():
    assert len({(claim.topic, claim.text) for claim in CLAIMS}) == len(CLAIMS)
    for claim in CLAIMS:
        assert claim.theory and claim.lowest <= claim.highest and (claim.lowest, claim.highest) != (-np.inf, np.inf)
    assert all(row['held'] is None for row in check(CLAIMS, {}))


def test_page_is_whole_and_needs_no_network(tmp_path):
    figure = tmp_path / 'figure.png'
    Image.new('RGB', (8, 8)).save(figure)
    rows = check(ROWS, {'one': {'x': 5.0, 'y': 2.9, 'nan': 0.5}})
    sections = [Section('one', 'A question?', 'Look here.', './launch.sh one', [figure], 1.5),
                Section('two', 'Another', 'There.', './launch.sh two', [], None)]  # fmt: skip
    write_page(tmp_path / 'index.html', sections, rows, 'made by hand')
    text = (tmp_path / 'index.html').read_text()
    assert '2 of 5 claims held, 1 did not, 2 were not measured' in text and 'did not finish' in text
    assert 'a bound &lt;b&gt;' in text and text.count('did not hold</td>') == 1 and '2.9 nats' in text
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert sources and all(s.startswith(('data:image/', '#')) for s in sources) and 'http' not in text


def test_numbers_and_intervals_are_readable():
    assert number(5.409627658840001) == '5.409627659' and number(3.4e-12) == '3.4e-12' and number(0.0) == '0'
    assert interval({'lowest': 3.0, 'highest': None}) == '≥ 3'
    assert interval({'lowest': None, 'highest': 1.0}) == '≤ 1'
    assert interval({'lowest': 0.0, 'highest': 1.0}) == '0 to 1'
    assert interval({'lowest': 4.9, 'highest': 5.1}) == '5 ± 0.1'


def _results(folder):
    return json.loads((folder / 'results.json').read_text())


def _seeds(config):
    """What the keys seed and seeds hold, anywhere in a config."""
    if not isinstance(config, dict):
        return []
    own = [config[name] for name in ('seed', 'seeds') if name in config]
    return own + [seed for inner in config.values() for seed in _seeds(inner)]


NAMES = ('loss_quality', 'game')


@pytest.fixture(scope='module')
def reproduced(tmp_path_factory):
    """The folder of a call, its flags and what it printed."""
    folder = tmp_path_factory.mktemp('reproduced')
    flags = ('--size=tiny', f'--only={",".join(NAMES)}', '--seed=3', f'--workdir={folder}')
    code, out, err = finish(start('reproduce', *flags))
    assert code == 0, err
    return folder, flags, out


@pytest.mark.slow
def test_launchers_run_in_turn_and_are_not_run_again(reproduced):
    # Fails if one cannot run at all, a claim asks for what none writes, or a launcher that is done begins anew.
    tmp_path, flags, out = reproduced
    for name in NAMES:
        config = json.loads((tmp_path / name / 'config.json').read_text())
        assert config['launcher'] == name
        assert any(seed in (3, [3]) for seed in _seeds(config))  # which it was given
        assert list((tmp_path / name).glob('*.png')) and list((tmp_path / name).glob('*.npz'))
    quality = _results(tmp_path / 'loss_quality')
    assert set(quality) == {'wgan_fails', 'gan_fails'}
    for row in quality.values():  # rates are too high on purpose: a run may blow up, and then says when
        assert 'blown up' in row['reason'] if row['spearman'] is None else -1 <= row['spearman'] <= 1
    with np.load(tmp_path / 'loss_quality' / 'curves.npz') as curves:
        sound = quality['gan_fails']['seeds'][0]['valid_points']
        assert curves['gan_fails_steps'].tolist() == [1, 2, 3, 4, 5] and curves['gan_fails_estimate'].shape == (1, 5)
        assert (curves['gan_fails_patch_distance'][0, :sound] > 0).all()
        # The JS divergence of a discriminator that is no better than chance is about 0, and never above log 2.
        assert (curves['gan_fails_estimate'][0, :sound] <= np.log(2)).all()
    claims = json.loads((tmp_path / 'claims.json').read_text())
    assert all(row['measured'] is not None for row in claims if row['launcher'] == 'game')
    assert {row['command'] for row in claims if row['launcher'] == 'game'} == {'./launch.sh game --steps=20 --seed=3'}
    assert (tmp_path / 'index.html').read_text().count('data:image/png') >= 2

    begun = {name: (tmp_path / name / 'results.json').stat().st_mtime_ns for name in NAMES}
    code, again, err = finish(start('reproduce', *flags))
    assert code == 0 and again == out, err
    assert begun == {name: (tmp_path / name / 'results.json').stat().st_mtime_ns for name in NAMES}


@pytest.mark.slow
def test_only_what_was_run_with_these_arguments_counts(reproduced):
    # Fails if results of another seed stand on the page, or figures that no launcher made.
    folder, _, _ = reproduced
    (folder / 'game' / 'of_somebody_else.png').write_bytes(b'none')
    (folder / 'game.log').unlink()
    (folder / 'game.log').mkdir()
    flags = ['--size=tiny', '--only=game', f'--workdir={folder}']
    code, _, err = finish(start('reproduce', *flags))
    assert code == 0 and 'game.log: a folder stands where a file belongs' in err
    claims = json.loads((folder / 'claims.json').read_text())
    assert {row['launcher'] for row in claims if row['measured'] is not None} == {'game'}
    assert 'of_somebody_else' not in (folder / 'index.html').read_text()
    assert (folder / 'game' / 'of_somebody_else.png').read_bytes() == b'none'


@pytest.mark.parametrize(
    ('results', 'changes', 'says'),
    [
        ('{', {}, 'game/results.json is not valid JSON'),
        ('{}', {'files': {'curves.png': [3, 'x']}}, 'game/curves.png is not as game left it: not used'),
        ('{}', {'minutes': 10**400}, 'minutes is out of bounds'),
        ('{}', {'numerics': {'x64': True, 'jax': {}}}, ''),
    ],
)
def test_a_damaged_job_or_another_s_runs_again_and_ends_with_its_caller(results, changes, says, tmp_path):
    # Fails if broken results are a traceback or pass for done, or a job goes on after its caller's end.
    (tmp_path / 'game').mkdir()
    (tmp_path / 'game' / 'results.json').write_text(results)
    arguments = ['game', f'--workdir={tmp_path / "game"}', '--seed=0', *JOBS['game'].tiny]
    record = {'arguments': arguments, 'numerics': {'x64': False, 'jax': {}}, 'minutes': 1, 'files': {}, **changes}
    (tmp_path / 'game.json').write_text(json.dumps(record))
    process = start('reproduce', '--size=tiny', '--only=game', f'--workdir={tmp_path}')
    lock, began = tmp_path / 'game' / '.lock', time.monotonic()
    while not lock.exists() and time.monotonic() - began < 100:
        time.sleep(0.05)
    process.terminate()
    code, _, err = finish(process)
    assert code == 128 + signal.SIGTERM and 'Traceback' not in err
    assert says in err and 'reproduce: interrupted by SIGTERM' in err
    with lock.open() as file:
        while time.monotonic() - began < 200:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # which the job held
                break
            time.sleep(0.05)
    assert 'game: interrupted by SIGTERM' in (tmp_path / 'game.log').read_text()


@pytest.mark.slow
def test_every_launcher_runs_and_every_claim_finds_its_number(tmp_path):
    code, _, err = finish(start('reproduce', '--size=tiny', f'--workdir={tmp_path}'))
    assert code == 0, err
    for name in ('vanishing_gradients', 'momentum'):
        config = json.loads((tmp_path / name / 'config.json').read_text())
        assert config['launcher'] == name and any(seed in (0, [0]) for seed in _seeds(config))
        assert list((tmp_path / name).glob('*.png')) and list((tmp_path / name).glob('*.npz'))
    critics = _results(tmp_path / 'vanishing_gradients')['after_0_steps']
    assert 0 <= critics['final_accuracy'] <= 1 and np.isfinite(critics['minimax_gradient_fall'])
    with np.load(tmp_path / 'vanishing_gradients' / 'probes.npz') as probes:
        assert probes['iterations'].tolist() == [0, 1, 2] and probes['standard_gradient_norm'].shape == (1, 1, 3, 2)
        assert (probes['clip_gradient_norm'] > 0).all()
    study = _results(tmp_path / 'momentum')
    assert [row['place'] for row in study['variants']] == ['RMSProp', *(f'Adam, β1 = {b}' for b in ('0', '0.5', '0.9'))]
    assert all(row['w1']['mean'] > 0.1 for row in study['variants'])
    claims = json.loads((tmp_path / 'claims.json').read_text())
    missing = {row['launcher'] for row in claims if row['measured'] is None}
    assert missing <= {'loss_quality', 'lipschitz', 'mode_collapse', 'mode_collapse_ours'}  # which leave out most runs
