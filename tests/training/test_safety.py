"""What a run's folder is held against: other settings, other processes, what others have left, disks that fail."""

import json
import os
import shutil
import signal

import jax
import numpy as np
import pytest

import wgan_jax
from tests.training.runs import EVERY, IMAGES, arrays, metrics, tiny
from wgan_jax import files
from wgan_jax.files import WriteError, read_json
from wgan_jax.training import run
from wgan_jax.training.callbacks import Callback
from wgan_jax.training.checkpoint import CheckpointStore
from wgan_jax.training.loop import NotFinite
from wgan_jax.training.manifest import Manifest
from wgan_jax.training.records import MetricsLog
from wgan_jax.training.signals import Interrupted


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
    for step in ('4', '8'):
        stop = tmp_path / 'checkpoints' / step
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, should_stop=stop.exists, **EVERY)
    for name in ('.tmp-1.config.json', 'samples/.tmp-2.step_00000008.png', 'checkpoints/.tmp-3.1/a',
                 'checkpoints/9.orbax-checkpoint-tmp/b', 'checkpoints/.tmp-4.9.orbax-checkpoint-tmp/c',
                 'samples/step_00000009.png'):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY, keep_checkpoints=1)
    assert not [path for path in tmp_path.rglob('*') if 'tmp' in path.name]
    assert CheckpointStore(tmp_path / 'checkpoints').steps() == [12]
    assert not (tmp_path / 'samples' / 'step_00000009.png').exists()


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


def test_a_healthy_run_warns_of_nothing_however_often_it_is_stopped(tmp_path, caplog):
    for stop_at in (4, 8, 12):
        stop = tmp_path / 'checkpoints' / str(stop_at)
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, should_stop=stop.exists, **EVERY)
    assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12
    assert not [record for record in caplog.records if record.name.startswith('wgan_jax')]


@pytest.mark.parametrize('name', ['.lock', 'config.json', 'metrics.jsonl', 'results.json', '.manifest.json'])
def test_a_pipe_in_the_place_of_a_file_does_not_block(name, tmp_path):
    stopped(tmp_path)
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    try:
        assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12
    except ValueError as error:
        assert name in ('.lock', 'config.json') and len(str(error).splitlines()) == 1


def test_a_checkpoint_under_another_step_s_name_is_damage(tmp_path, caplog):
    stopped(tmp_path)
    shutil.copytree(tmp_path / 'checkpoints' / '4', tmp_path / 'checkpoints' / '8')
    with pytest.raises(ValueError, match='it was made at step 4'):
        wgan_jax.load(tmp_path, 8)
    assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12
    assert 'it was made at step 4' in caplog.text and CheckpointStore(tmp_path / 'checkpoints').steps() == [4, 8, 12]
    assert wgan_jax.load(tmp_path, 8).step == 8


def test_a_folder_that_is_moved_away_ends_the_run_before_it_writes_into_another(tmp_path):
    class Mover(Callback):
        def metrics(self, records):
            if not (tmp_path / 'moved').exists() and records[-1]['step'] > 4:
                (tmp_path / 'run').rename(tmp_path / 'moved')
                (tmp_path / 'run').mkdir()

    with pytest.raises(WriteError, match='has been moved or removed'):
        wgan_jax.train(tiny(), tmp_path / 'run', dataset=IMAGES, callbacks=[Mover()], **EVERY)
    assert not list((tmp_path / 'run').iterdir())
    assert wgan_jax.train(tiny(), tmp_path / 'moved', dataset=IMAGES, **EVERY).step == 12


@pytest.mark.parametrize(
    ('name', 'change', 'says'),
    [
        ('metrics.jsonl', os.unlink, 'it was moved or removed while'),
        ('metrics.jsonl', lambda path: os.rename(path, f'{path}.old'), 'it was moved or removed while'),
        ('metrics.jsonl', lambda path: os.truncate(path, 0), 'it was changed by somebody else while'),
        (
            'config.json',
            lambda path: path.write_text(path.read_text().replace('12', '13')),
            'it was changed or removed while',
        ),
        ('config.json', os.unlink, 'it was changed or removed while'),
    ],
)
def test_what_is_changed_under_a_run_ends_it_at_the_next_checkpoint(tmp_path, name, change, says):
    def meddle(record):
        if record['step'] == 5:
            change(tmp_path / name)

    with pytest.raises(WriteError, match=f'{name}: {says}'):
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, callbacks=[meddle], **EVERY)
    assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12


@pytest.mark.parametrize(('step', 'done'), [(5, False), (12, True)])
def test_a_signal_says_whether_anything_is_left_to_do(tmp_path, step, done):
    def stop(record):
        if record['step'] == step:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted) as error:
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, callbacks=[stop], **EVERY)
    assert error.value.done == done == (tmp_path / 'results.json').exists()
    assert str(error.value) == ('SIGTERM came when all was done' if done else 'stopped by SIGTERM and saved')


@pytest.mark.parametrize('name', ['12', '999'])
def test_checkpoints_of_others_take_no_place_of_its_own(name, tmp_path, caplog):
    # Fails if they count among those that are kept, or stand for one that the run has yet to save.
    wgan_jax.train(tiny(seed=3), tmp_path / 'other', dataset=IMAGES, **EVERY)
    place = tmp_path / 'run' / 'checkpoints' / name

    def plant(record):
        if record['step'] == 6:
            shutil.copytree(tmp_path / 'other' / 'checkpoints' / '12', place)

    generator = wgan_jax.train(tiny(), tmp_path / 'run', dataset=IMAGES, callbacks=[plant], **EVERY)
    assert f'{place}: ' in caplog.text and not list(place.parent.glob('999'))
    again = wgan_jax.load(tmp_path / 'run')
    assert again.step == 12
    for mine, loaded in zip(jax.tree.leaves(generator.variables), jax.tree.leaves(again.variables), strict=True):
        np.testing.assert_array_equal(mine, loaded)


def test_a_run_without_its_checkpoints_is_not_begun_anew(tmp_path):
    # Fails if the results of a run that was copied without them are removed in silence.
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    shutil.rmtree(tmp_path / 'checkpoints')
    before = {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
    with pytest.raises(ValueError, match='whose checkpoints are gone: put them back'):
        wgan_jax.train(tiny(steps=4), tmp_path, dataset=IMAGES, **EVERY)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}


def test_files_of_the_user_are_moved_aside_before_a_run_begins(tmp_path, caplog):
    (tmp_path / 'samples').mkdir()
    for name in ('results.json', 'samples/step_00000100.png'):
        (tmp_path / name).write_text('mine')
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    assert caplog.text.count('it is of no run that is known here') == 2
    assert {path.read_text() for path in (tmp_path / 'damaged').iterdir()} == {'mine'}


def test_a_list_that_is_gone_is_missed(tmp_path, caplog):
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    (tmp_path / '.manifest.json').unlink()
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    assert 'whether it is damaged cannot be told' in caplog.text
    caplog.clear()
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    assert not caplog.text


def test_networks_that_have_changed_before_the_first_checkpoint_are_said(tmp_path, caplog):
    for seed in (0, 3):
        wgan_jax.train(tiny(seed=seed), tmp_path / str(seed), dataset=IMAGES, **EVERY)
    begun = tiny(init_from=str(tmp_path / '0'))

    def fail(record):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        wgan_jax.train(begun, tmp_path / 'run', dataset=IMAGES, callbacks=[fail], **EVERY)
    shutil.rmtree(tmp_path / '0')
    (tmp_path / '3').rename(tmp_path / '0')
    wgan_jax.train(begun, tmp_path / 'run', dataset=IMAGES, **EVERY)
    assert 'has changed since' in caplog.text and 'it is begun anew' in caplog.text


def test_a_profile_takes_the_place_of_a_file(tmp_path, caplog):
    (tmp_path / 'profile').touch()
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, profile=True, **EVERY)
    assert 'profile: a file stands where a folder belongs' in caplog.text and list((tmp_path / 'profile').rglob('*.pb'))


def test_a_picture_that_is_changed_under_a_run_is_moved_aside(tmp_path, caplog):
    first = tmp_path / 'samples' / 'step_00000008.png'

    def meddle(record):
        if record['step'] == 9:
            first.write_bytes(b'none of the run')

    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, callbacks=[meddle], **EVERY)
    assert f'{first}: it was changed while the run went on; moved to' in caplog.text and not first.exists()
    assert '.png' not in str(Manifest(tmp_path).changed())


def test_what_callbacks_write_again_and_files_that_are_written_as_they_were_end_no_run(tmp_path, caplog):
    class Writer(Callback):
        files = ('eval/config.json', 'eval/samples/*.txt', 'samples/latest.png')

        def start(self, run):
            (tmp_path / 'eval' / 'samples').mkdir(parents=True)

        def sample(self, step, state, images):
            for name in ('eval/config.json', 'eval/samples/a.txt', 'samples/latest.png'):
                (tmp_path / name).write_text(str(step))
            os.utime(tmp_path / 'config.json')

    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, callbacks=[Writer()], **{**EVERY, 'sample_every': 2})
    assert not caplog.text and (tmp_path / 'samples' / 'latest.png').read_text() == '12'


def test_a_run_is_not_continued_with_other_numbers_of_jax(tmp_path):
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    other = pytest.raises(ValueError, match='jax_default_matmul_precision: as by default -> bfloat16')
    with jax.default_matmul_precision('bfloat16'), other:
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    with jax.default_matmul_precision('default'):
        assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12
    # One of before this was recorded is continued whatever there is now.
    config = read_json(tmp_path / 'config.json')
    del config['jax']
    found, _ = CheckpointStore(tmp_path / 'checkpoints').newest()
    shutil.rmtree(tmp_path / 'checkpoints')
    del found.run['jax']
    CheckpointStore(tmp_path / 'checkpoints', keep=3).save(12, found.arrays, found.run)
    files.write_json(tmp_path / 'config.json', config)
    with jax.default_matmul_precision('bfloat16'):
        assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12


def test_a_callback_may_go_to_another_folder(tmp_path, monkeypatch):
    (tmp_path / 'elsewhere').mkdir()
    monkeypatch.chdir(tmp_path)
    wgan_jax.train(tiny(), 'run', dataset=IMAGES, callbacks=[lambda record: os.chdir(tmp_path / 'elsewhere')], **EVERY)
    assert wgan_jax.load(tmp_path / 'run').step == 12 and not list((tmp_path / 'elsewhere').iterdir())


class Killed(BaseException):
    """As if the process had ended here."""


@pytest.mark.parametrize('where', ['mend', 'discard', 'write_json', 'RunFiles'])
def test_a_process_that_ends_while_it_mends_a_run_hides_nothing(where, tmp_path, monkeypatch):
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    picture = tmp_path / 'samples' / 'step_00000012.png'
    whole = picture.read_bytes()
    picture.write_bytes(whole[:99])

    def end(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(run, where, end)
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    assert picture.read_bytes() == whole and (tmp_path / 'results.json').exists()
    assert (tmp_path / 'damaged' / picture.name).read_bytes() == whole[:99]


def test_a_callback_s_file_survives_two_processes_that_end(tmp_path, caplog):
    class Lines(Callback):
        files = ('lines.jsonl',)

        def __init__(self, end_at=None):
            self.end_at, self.log = end_at, None

        def start(self, run):
            self.log = MetricsLog(run.workdir / 'lines.jsonl', int(run.state.step))
            if self.end_at == 0:
                raise Killed

        def metrics(self, records):
            self.log.append({'step': record['step']} for record in records)
            if self.end_at and records[-1]['step'] > self.end_at:
                raise Killed

        def close(self):
            self.log.close()

    for end_at in (6, 0, None):
        try:
            wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, callbacks=[Lines(end_at)], **EVERY)
        except Killed:
            assert end_at is not None
    lines = (tmp_path / 'lines.jsonl').read_text().splitlines()
    assert [json.loads(line)['step'] for line in lines] == list(range(1, 13))
    assert not caplog.records


def test_a_reader_beside_a_run_that_keeps_one_checkpoint_finds_it(tmp_path, monkeypatch):
    stopped(tmp_path)
    reader, tree, steps = CheckpointStore(tmp_path / 'checkpoints'), {'a': np.ones(3)}, CheckpointStore.steps

    def stale(store):
        found = steps(store)
        if store is reader and found == [4]:  # the run goes on after the folder has been looked at
            CheckpointStore(tmp_path / 'checkpoints', keep=1).save(8, tree)
        return found

    monkeypatch.setattr(CheckpointStore, 'steps', stale)
    assert reader.choose().step == 8


@pytest.mark.parametrize('name', ['metrics.jsonl', 'samples', 'results.json'])
def test_what_this_user_may_not_read_is_refused_and_left_alone(name, tmp_path, monkeypatch):
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    before = sorted(tmp_path.rglob('*'))
    access = os.access
    monkeypatch.setattr(os, 'access', lambda path, mode: str(path) != str(tmp_path / name) and access(path, mode))
    with pytest.raises(ValueError, match='is it yours'):
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    assert sorted(tmp_path.rglob('*')) == before
