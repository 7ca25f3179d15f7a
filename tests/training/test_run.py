"""A whole run by one call: begun, stopped, continued, found done; and the arguments that are refused."""

import dataclasses
import fcntl
import json
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import jax
import numpy as np
import pytest

import wgan_jax
from tests.training.runs import EVERY, IMAGES, arrays, metrics, tiny
from wgan_jax.data.images import collect
from wgan_jax.training.callbacks import Callback
from wgan_jax.training.checkpoint import CheckpointStore
from wgan_jax.training.folder import locked
from wgan_jax.training.loop import NotFinite
from wgan_jax.training.records import MetricsLog
from wgan_jax.training.signals import Interrupted

pytestmark = pytest.mark.usefixtures('compiled_once')


class Recorder(Callback):
    def __init__(self):
        self.calls, self.steps = [], []

    def start(self, run):
        self.calls.append(('start', int(run.state.step)))

    def metrics(self, records):
        self.steps += [record['step'] for record in records]

    def sample(self, step, state, images):
        assert int(state.step) == step == self.steps[-1] and images.shape == (64, 6, 4, 3)
        self.calls.append(('sample', step))

    def checkpoint(self, step, state):
        self.calls.append(('checkpoint', step))

    def finish(self, results):
        self.calls.append(('finish', results['steps']))

    def close(self):
        self.calls.append(('close',))


@pytest.fixture(scope='module')
def straight(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('run') / 'straight'
    recorder, records = Recorder(), []
    generator = wgan_jax.train(tiny(), workdir, dataset=IMAGES, callbacks=[recorder, records.append], **EVERY)
    return workdir, generator, recorder, records


def test_a_run_tells_its_callbacks_in_order_and_leaves_its_files(straight):
    workdir, generator, recorder, records = straight
    assert recorder.calls == [
        ('start', 0), ('checkpoint', 4), ('sample', 8), ('checkpoint', 8), ('sample', 12), ('checkpoint', 12),
        ('finish', 12), ('close',),
    ]  # fmt: skip
    assert recorder.steps == [record['step'] for record in records] == list(range(1, 13))
    assert [row['step'] for row in metrics(workdir)] == list(range(1, 13))
    config = json.loads((workdir / 'config.json').read_text())
    assert config['settings']['dataset'] == 'array' and config['dataset']['shape'] == [20, 6, 4, 3]
    results = json.loads((workdir / 'results.json').read_text())
    rows = metrics(workdir)
    assert results['steps'] == 12 and results['final']['critic_loss'] == rows[-1]['critic_loss']
    assert {path.name for path in (workdir / 'samples').iterdir()} == {'step_00000008.png', 'step_00000012.png'}
    assert generator.step == 12


def test_the_generator_returned_is_the_one_that_load_reads(straight):
    workdir, generator, *_ = straight
    images = generator.sample(jax.random.key(0), 3)
    assert images.shape == (3, 6, 4, 3)
    np.testing.assert_array_equal(images, wgan_jax.load(workdir).sample(jax.random.key(0), 3))


def test_done_is_found_done_and_more_steps_go_on(straight, tmp_path):
    workdir, generator, *_ = straight
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob('*') if path.is_file() and path.name != '.lock'}
    recorder = Recorder()
    again = wgan_jax.train(tiny(), workdir, dataset=IMAGES, callbacks=[recorder], **EVERY)
    assert not recorder.calls and again.step == 12
    assert before == {path: path.stat().st_mtime_ns for path in before}
    for a, b in zip(jax.tree.leaves(again.variables), jax.tree.leaves(generator.variables), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match=r'n_critic: 1 -> 2.*choose another folder'):
        wgan_jax.train(tiny(n_critic=2), workdir, dataset=IMAGES)
    with pytest.raises(ValueError, match=r'dataset: array \(.*\) -> array'):
        wgan_jax.train(tiny(), workdir, dataset=IMAGES[::-1])


def test_stopped_by_the_caller_and_continued_ends_in_the_same_bits(straight, tmp_path):
    asked = []
    stopped = wgan_jax.train(
        tiny(), tmp_path, dataset=collect(IMAGES), should_stop=lambda: len(asked) > 2 or asked.append(0), **EVERY
    )
    assert 0 < stopped.step < 12 and not (tmp_path / 'results.json').exists()
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    (_, ours), (_, theirs) = arrays(tmp_path), arrays(straight[0])
    assert metrics(tmp_path) == metrics(straight[0]) and ours.keys() == theirs.keys()
    for name in theirs:
        assert ours[name].tobytes() == theirs[name].tobytes(), name


def test_ctrl_c_saves_and_the_old_handlers_come_back(tmp_path):
    def interrupt(record):
        if record['step'] == 3:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as caught:
        wgan_jax.train(tiny(steps=10_000), tmp_path, dataset=IMAGES, callbacks=[interrupt], **EVERY)
    assert caught.value.signal == signal.SIGINT and isinstance(caught.value, KeyboardInterrupt)
    assert signal.getsignal(signal.SIGINT) is before
    assert arrays(tmp_path)[0] == metrics(tmp_path)[-1]['step'] >= 3


def test_a_run_in_a_thread(tmp_path):
    generators = []
    settings = tiny(steps=2)
    thread = threading.Thread(
        target=lambda: generators.append(wgan_jax.train(settings, tmp_path, dataset=IMAGES, **EVERY))
    )
    thread.start()
    thread.join()
    assert generators[0].step == 2


def test_a_failing_callback_ends_the_run_with_everything_closed(tmp_path):
    class Failing(Recorder):
        def sample(self, step, state, images):
            raise OSError('no room')

    failing, other = Failing(), Recorder()
    with pytest.raises(OSError, match='no room'):
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, callbacks=[failing, other], **EVERY)
    assert failing.calls[-1] == other.calls[-1] == ('close',)
    assert arrays(tmp_path)[0] == 4
    assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12  # the lock is free


def test_a_lock_that_goes_before_it_is_held_is_not_held(tmp_path, monkeypatch):
    # Another call was refused in between, and took the lock along that it had made.
    take = fcntl.flock
    monkeypatch.setattr(fcntl, 'flock', lambda file, how: ((tmp_path / '.lock').unlink(), take(file, how)))
    with pytest.raises(ValueError, match='is being looked at by another process: try again'), locked(tmp_path):
        pass
    monkeypatch.undo()
    with locked(tmp_path):
        assert (tmp_path / '.lock').exists()


def test_numbers_that_go_bad_end_the_run_and_leave_the_last_good_checkpoint(tmp_path):
    good = tiny(steps=4)
    wgan_jax.train(good, tmp_path, dataset=IMAGES, **EVERY)
    other, recorder = tmp_path / 'bad', Recorder()
    bad = tiny(steps=60, critic_lr=1e30, generator_lr=1e30, init_from=str(tmp_path))
    with pytest.raises(NotFinite, match='at step'):
        wgan_jax.train(bad, other, dataset=IMAGES, callbacks=[recorder], **EVERY)
    assert recorder.calls[-1] == ('close',)
    with locked(other):  # nobody holds it any more
        assert all(np.isfinite(a).all() for a in arrays(tmp_path)[1].values())


def test_a_run_needs_what_it_began_from_only_to_begin(tmp_path):
    wgan_jax.train(tiny(steps=2), tmp_path / 'first', dataset=IMAGES, **EVERY)
    second = tiny(steps=2, init_from=str(tmp_path / 'first'))
    wgan_jax.train(second, tmp_path / 'second', dataset=IMAGES, **EVERY)
    shutil.rmtree(tmp_path / 'first')
    more = dataclasses.replace(second, steps=3)
    assert wgan_jax.train(more, tmp_path / 'second', dataset=IMAGES, **EVERY).step == 3
    with pytest.raises(ValueError, match='is not the folder of a training run'):
        wgan_jax.train(second, tmp_path / 'third', dataset=IMAGES)


@pytest.mark.parametrize('what', ['start', 'finish'])
def test_a_callback_that_fails_early_or_late_leaves_a_run_that_goes_on(what, tmp_path):
    class Failing(Recorder):
        pass

    def fail(self, *arguments):
        raise OSError('no room')

    setattr(Failing, what, fail)
    first, failing, last = Recorder(), Failing(), Recorder()
    with pytest.raises(OSError, match='no room'):
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, callbacks=[first, failing, last], **EVERY)
    assert first.calls[-1] == failing.calls[-1] == ('close',)
    assert last.calls == [] if what == 'start' else last.calls[-1] == ('close',)  # closed only if it was started
    assert not (tmp_path / 'results.json').exists()
    assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12
    assert (tmp_path / 'results.json').exists()


def test_a_signal_at_the_very_end_is_not_lost(tmp_path):
    class Late(Callback):
        def finish(self, results):
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted, match='SIGTERM'):
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, callbacks=[Late()], **EVERY)
    assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12


def test_files_are_safe_before_the_checkpoint_that_counts_on_them(tmp_path, monkeypatch):
    order = []
    for owner, name in ((MetricsLog, 'sync'), (CheckpointStore, 'save')):
        plain = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *a, plain=plain, name=name: (order.append(name), plain(*a))[1])

    class Mine(Callback):
        def checkpoint(self, step, state):
            order.append('callback')

    wgan_jax.train(tiny(steps=4), tmp_path, dataset=IMAGES, callbacks=[Mine()], **EVERY)
    assert order == ['sync', 'callback', 'save']


@pytest.mark.parametrize(
    'options, message',
    [
        ({'dataset': IMAGES.astype(np.float32)}, r'images must be uint8 from 0 to 255, not float32: \(255 \* x\)'),
        ({'dataset': IMAGES[..., 0]}, r'not \(20, 6, 4\): x\[..., None\] makes grey ones'),
        ({'dataset': IMAGES.transpose(0, 3, 1, 2)}, r'not \(20, 3, 6, 4\): x.transpose\(0, 2, 3, 1\)'),
        ({'dataset': collect(IMAGES)._replace(pixels=IMAGES / 255)}, 'images must be uint8'),
        ({'dataset': Path('/x')}, "name a folder of pictures as 'folder:/x'"),
        ({'dataset': IMAGES, 'keep_checkpoints': 2.5}, 'keep_checkpoints=2.5 must be a whole number'),
        ({'dataset': IMAGES, 'callbacks': print}, 'callbacks must be a list'),
        ({'dataset': IMAGES, 'log_every': 0}, 'log_every=0 must be at least 1'),
        ({'dataset': IMAGES, 'should_stop': 3}, 'should_stop must be a function'),
        ({'dataset': IMAGES, 'profile': 'yes'}, "profile='yes' must be True or False"),
        ({'dataset': IMAGES, 'callbacks': [3]}, 'neither a Callback nor a function'),
        ({'dataset': IMAGES, 'parallel': 'mpi'}, 'parallel=mpi is unknown'),
        ({'dataset': IMAGES, 'num_devices': 7}, 'num_devices=7 are to share the batches, and parallel=auto has 2'),
        ({'dataset': 'array'}, 'pass them again'),
        ({'dataset': [IMAGES[0], IMAGES[0, :3]]}, 'dataset: the images differ in shape'),
        ({'dataset': []}, 'dataset: there are no images in it'),
    ],
)
def test_arguments_that_cannot_be_used(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        wgan_jax.train(tiny(), tmp_path, **options)
    assert not (tmp_path / 'config.json').exists()
    with pytest.raises(ValueError, match='preset=wgam is unknown; there are: flags, pictures, wgan'):
        wgan_jax.settings('wgam')
    with pytest.raises(ValueError, match='fit=pad has no effect on images that are passed'):
        wgan_jax.train(tiny(fit='pad', dataset='folder:x'), tmp_path, dataset=IMAGES)
    assert wgan_jax.settings('wgan_gp', channels=1).channels == '1'
    with pytest.raises(ValueError, match=r'dataset=an array \(20, 6, 4, 3\) must be a string; images themselves'):
        wgan_jax.settings('wgan_gp', dataset=IMAGES)
    for settings in (None, {}, 3):
        with pytest.raises(ValueError, match='settings must be the name of a preset or'):
            wgan_jax.train(settings, tmp_path, dataset=IMAGES)
        with pytest.raises(ValueError, match='settings must be the name of a preset or'):
            wgan_jax.sweep(settings, dataset='ring')


def test_importing_the_package_costs_next_to_nothing():
    code = (
        'import wgan_jax, sys; print([m for m in ("jax", "flax", "numpy", "orbax") if m in sys.modules]); dir(wgan_jax)'
    )
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == '[]'
    for name in wgan_jax.__all__:
        assert getattr(wgan_jax, name) is not None
    assert set(wgan_jax.__all__) <= set(dir(wgan_jax))
