"""What a run's folder is held against: other settings, other processes, what others have left, disks that fail."""

import json
import os
import signal
import time

import numpy as np
import pytest

import wgan_jax
from tests.training.runs import EVERY, IMAGES, arrays, metrics, tiny
from wgan_jax import files
from wgan_jax.files import WriteError, atomic_path, read_json, remove_leftovers, writing
from wgan_jax.training.checkpoint import CheckpointStore
from wgan_jax.training.loop import NotFinite
from wgan_jax.training.signals import stop_signals


def stopped(workdir, **changes):
    """A run of 12 steps that has been stopped at its first checkpoint."""
    stop = workdir / 'checkpoints' / '4'
    return wgan_jax.train(tiny(**changes), workdir, dataset=IMAGES, should_stop=stop.exists, **EVERY)


def test_without_its_config_a_run_goes_on_under_its_own_settings_only(tmp_path):
    stopped(tmp_path / 'run')
    straight = wgan_jax.train(tiny(), tmp_path / 'straight', dataset=IMAGES, **EVERY)
    config = tmp_path / 'run' / 'config.json'
    config.unlink()
    for changes, named in (
        ({'seed': 1}, 'seed: 0 -> 1'),
        ({'critic_lr': 5e-4}, 'critic_lr: 0.0001 -> 0.0005'),
        ({'n_critic': 2}, 'n_critic: 1 -> 2'),
    ):
        with pytest.raises(ValueError, match=rf'made with other settings.*{named}'):
            wgan_jax.train(tiny(**changes), tmp_path / 'run', dataset=IMAGES, **EVERY)
    with pytest.raises(ValueError, match=r'made with other settings.*dataset: array'):
        wgan_jax.train(tiny(), tmp_path / 'run', dataset=255 - IMAGES, **EVERY)
    assert not config.exists() and CheckpointStore(tmp_path / 'run' / 'checkpoints').steps() == [4]
    assert wgan_jax.train(tiny(), tmp_path / 'run', dataset=IMAGES, **EVERY).step == straight.step
    assert json.loads(config.read_text())['settings']['seed'] == 0
    for name, array in arrays(tmp_path / 'straight')[1].items():
        assert arrays(tmp_path / 'run')[1][name].tobytes() == array.tobytes()


def test_checkpoints_that_do_not_say_of_which_run_need_its_config(tmp_path):
    stopped(tmp_path)
    found, _ = CheckpointStore(tmp_path / 'checkpoints').newest()
    files.remove_tree(tmp_path / 'checkpoints' / '4')
    CheckpointStore(tmp_path / 'checkpoints', keep=3).save(4, found.arrays)  # as of a version that did not record it
    config = (tmp_path / 'config.json').read_text()
    (tmp_path / 'config.json').unlink()
    with pytest.raises(ValueError, match=r'neither a config\.json nor they say of which run'):
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    (tmp_path / 'config.json').write_text(config)
    assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12


def test_a_config_that_is_not_the_checkpoints_own_is_refused_by_load_and_train(tmp_path):
    stopped(tmp_path)
    path = tmp_path / 'config.json'
    path.write_text(path.read_text().replace('"latent": "normal"', '"latent": "uniform"'))
    with pytest.raises(ValueError, match=r'other settings.*latent: normal -> uniform'):
        wgan_jax.load(tmp_path)
    with pytest.raises(ValueError, match=r'other settings.*latent: normal -> uniform'):
        wgan_jax.train(tiny(latent='uniform'), tmp_path, dataset=IMAGES, **EVERY)


@pytest.mark.parametrize(
    'text, message',
    [
        ('', 'is not valid JSON'),
        ('[' * 10_000, 'nested too deeply'),
        ('[]', 'holds the results of something else'),
        ('{"launcher": "train"}', "has no 'settings'"),
        ('{"launcher": "train", "settings": {}}', "has no 'dataset'"),
        ('{"launcher": "train", "settings": 3, "dataset": {}}', 'settings must be an object, not 3'),
        ('{"launcher": NaN}', 'is not valid JSON'),
    ],
)
def test_a_damaged_config_is_one_line(text, message, tmp_path):
    stopped(tmp_path)
    (tmp_path / 'config.json').write_text(text)
    for call in (lambda: wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY), lambda: wgan_jax.load(tmp_path)):
        with pytest.raises(ValueError, match=message) as raised:
            call()
        assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize('name, value', [('width', '8'), ('width', 2.5), ('clip', None), ('latent_dim', 0), ('x', 1)])
def test_a_setting_of_another_kind_in_a_config_is_named(name, value, tmp_path):
    stopped(tmp_path)
    config = read_json(tmp_path / 'config.json')
    config['settings'][name] = value
    (tmp_path / 'config.json').write_text(json.dumps(config))
    with pytest.raises(ValueError, match=rf'config\.json is not the configuration of a training run.*{name}'):
        wgan_jax.load(tmp_path)


def test_metrics_that_are_gone_are_said(tmp_path, caplog):
    stopped(tmp_path)
    (tmp_path / 'metrics.jsonl').unlink()
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    assert 'the lines from step 1 to 4 are lost' in caplog.text
    assert [row['step'] for row in metrics(tmp_path)] == list(range(5, 13))


def test_a_truncated_results_file_is_made_again(tmp_path, caplog):
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    whole = read_json(tmp_path / 'results.json')
    (tmp_path / 'results.json').write_text('{"steps": 1')
    (tmp_path / '.manifest.json').unlink()  # of a version that had none
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    again = read_json(tmp_path / 'results.json')
    assert again['final'] == whole['final'] and 'results.json is not valid JSON' in caplog.text
    assert (tmp_path / 'damaged' / 'results.json').read_text() == '{"steps": 1'


def test_leftovers_of_killed_processes_go_and_never_more_checkpoints_than_asked_stay(tmp_path):
    stopped(tmp_path)
    for name in ('.tmp-1.config.json', 'samples/.tmp-2.step_00000008.png', 'checkpoints/.tmp-3.1/a',
                 'checkpoints/8.orbax-checkpoint-tmp/b', 'samples/step_00000008.png'):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / 'checkpoints' / '4').rename(tmp_path / 'checkpoints' / '2')
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY, keep_checkpoints=1)
    assert not [path for path in tmp_path.rglob('*') if 'tmp' in path.name]
    assert CheckpointStore(tmp_path / 'checkpoints').steps() == [12]
    assert (tmp_path / 'samples' / 'step_00000008.png').stat().st_size > 0


def test_not_finite_says_whether_a_checkpoint_is_kept(tmp_path):
    wild = {'critic_lr': 1e38, 'generator_lr': 1e38}
    with pytest.raises(NotFinite, match='there is no checkpoint yet'):
        wgan_jax.train(tiny(**wild), tmp_path / 'first', dataset=IMAGES, **EVERY)
    stopped(tmp_path / 'later')
    found = arrays(tmp_path / 'later')[1]
    bad = {name: np.full_like(array, np.nan) if name.startswith('params') else array for name, array in found.items()}
    run = CheckpointStore(tmp_path / 'later' / 'checkpoints').choose().run
    files.remove_tree(tmp_path / 'later' / 'checkpoints' / '4')
    CheckpointStore(tmp_path / 'later' / 'checkpoints', keep=3).save(4, bad, run)
    with pytest.raises(NotFinite, match='checkpoint 4 is kept'):
        wgan_jax.train(tiny(), tmp_path / 'later', dataset=IMAGES, **EVERY)


def test_a_stalled_write_is_spoken_of(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(files, 'SLOW', 0.05)
    monkeypatch.setattr(files, '_watch', files._Watch())
    with writing(tmp_path / 'slow'):
        deadline = time.monotonic() + 10
        while 'slow has been written for' not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
    assert 'is not done' in caplog.text
    caplog.clear()
    with writing(tmp_path / 'quick'):
        pass
    time.sleep(0.2)
    assert not caplog.text


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('before')
    with (
        pytest.raises(WriteError, match=f'cannot write {path}: No space left on device'),
        atomic_path(path) as temporary,
    ):
        temporary.write_text('half')
        raise OSError(28, os.strerror(28))
    assert path.read_text() == 'before' and list(tmp_path.iterdir()) == [path]
    (tmp_path / '.tmp-9.b').mkdir()
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_place_of_a_file_is_moved_aside_once_more_and_never_over_another(tmp_path, caplog):
    for number in range(3):
        (tmp_path / 'a.txt').mkdir()
        (tmp_path / 'a.txt' / str(number)).touch()
        with atomic_path(tmp_path / 'a.txt') as temporary:
            temporary.write_text(str(number))
        assert (tmp_path / 'a.txt').read_text() == str(number)
        (tmp_path / 'a.txt').unlink()
    assert sorted(path.name for path in (tmp_path / 'damaged').iterdir()) == ['a.txt', 'a.txt-2', 'a.txt-3']
    assert caplog.text.count('a folder stands where a file belongs') == 3


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_second_signal_does_what_it_did_before(number):
    seen = []
    before = signal.signal(number, lambda n, frame: seen.append(n))
    try:
        with stop_signals() as received:
            signal.raise_signal(number)
            assert received == [number] and not seen
            signal.raise_signal(number)
            assert seen == [number]
        signal.raise_signal(number)
        assert seen == [number, number] and len(received) == 2
    finally:
        signal.signal(number, before)


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_signals() as received:
            signal.raise_signal(signal.SIGHUP)
        assert not received
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_healthy_run_warns_of_nothing_however_often_it_is_stopped(tmp_path, caplog):
    for stop_at in (4, 8, 12):
        stop = tmp_path / 'checkpoints' / str(stop_at)
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, should_stop=stop.exists, **EVERY)
    assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12
    assert not [record for record in caplog.records if record.name.startswith('wgan_jax')]
