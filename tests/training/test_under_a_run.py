"""What happens in a run's folder while it goes on: signals, callbacks, other processes, files that change or go."""

import contextlib
import json
import os
import shutil
import signal

import jax
import numpy as np
import pytest

import wgan_jax
from tests.training.runs import EVERY, IMAGES, arrays, metrics, stopped, tiny
from wgan_jax import files
from wgan_jax.files import WriteError
from wgan_jax.training import loop, run
from wgan_jax.training.callbacks import Callback
from wgan_jax.training.checkpoint import CheckpointStore
from wgan_jax.training.loop import NotFinite
from wgan_jax.training.manifest import Manifest
from wgan_jax.training.records import MetricsLog
from wgan_jax.training.signals import Interrupted

pytestmark = pytest.mark.usefixtures('compiled_once')


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


def test_what_was_measured_before_a_parameter_went_bad_is_kept(tmp_path, monkeypatch):
    def checked(state):
        if int(state.step) == 8:  # a step with samples
            raise NotFinite('it is not finite')
        return state

    monkeypatch.setattr(loop, '_checked', checked)
    with pytest.raises(NotFinite):
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    last = metrics(tmp_path)[-1]
    assert last['step'] == 8 and last['diversity'] is None and np.isfinite(last['critic_loss'])


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
    saved = max(int(path.name) for path in (tmp_path / 'checkpoints').iterdir() if path.name.isdecimal())
    assert saved == error.value.step >= step
    assert str(error.value) == (
        'SIGTERM came when all was done' if done else f'stopped by SIGTERM at step {saved}, which is saved'
    )


def test_a_signal_before_the_first_step_does_not_speak_of_one(tmp_path):
    class Stop(Callback):
        def start(self, run):
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted, match=r'^stopped by SIGTERM before the first step$') as error:
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, callbacks=[Stop()], **EVERY)
    assert error.value.step == 0 and not error.value.done
    assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12


@pytest.mark.slow
def test_going_on_with_other_devices_or_packages_is_said(tmp_path, caplog):
    def go_on(steps, **options):
        caplog.clear()
        wgan_jax.train(tiny(steps=steps), tmp_path, dataset=IMAGES, **EVERY, **options)
        return [record.getMessage() for record in caplog.records]

    assert go_on(4, parallel='jit') == []
    assert go_on(4, parallel='pmap') == []  # there is nothing to go on with
    (line,) = go_on(6, parallel='pmap')
    assert line == 'the run goes on with num_devices 1 -> 2: as well as before, but not to the same bits'
    assert go_on(8, parallel='pmap') == []
    config = json.loads((tmp_path / 'config.json').read_text())
    config['versions']['jax'], config['device_kind'] = '0.0.1', 'NVIDIA H100'
    del config['versions']['optax'], config['run']['num_devices']  # as runs of before they were recorded
    (tmp_path / 'config.json').write_text(json.dumps(config))
    changed, line = go_on(10, parallel='jit')
    assert 'has changed since' in changed
    assert f'device_kind NVIDIA H100 -> cpu, jax 0.0.1 -> {jax.__version__}: as well' in line


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


def test_a_run_too_short_for_a_profile_says_so(tmp_path, caplog):
    wgan_jax.train(tiny(steps=1), tmp_path, dataset=IMAGES, profile=True, **EVERY)
    assert 'there is no profile' in caplog.text and not (tmp_path / 'profile').exists()


@pytest.mark.parametrize('name', ['metrics.jsonl', 'samples/step_00000012.png', 'config.json'])
def test_what_goes_while_callbacks_finish_is_missed(name, tmp_path, caplog):
    class Slow(Callback):
        def finish(self, results):
            (tmp_path / name).unlink()

    picture = name.endswith('.png')
    with contextlib.nullcontext() if picture else pytest.raises(WriteError, match='removed while'):
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, callbacks=[Slow()], **EVERY)
    assert (name in caplog.text and (tmp_path / name).exists()) if picture else not (tmp_path / 'results.json').exists()
