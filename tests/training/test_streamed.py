"""Runs whose dataset stays on the host: the same bits as of one that lies on the device, however they are mixed."""

import dataclasses
import gc
import json
import threading
import weakref

import jax
import numpy as np
import pytest
from PIL import Image

import wgan_jax
from tests.training.common import small_gan
from tests.training.runs import EVERY, IMAGES, arrays, metrics, tiny
from wgan_jax import memory
from wgan_jax.data import cache
from wgan_jax.data.feed import Feed
from wgan_jax.data.images import Rows, collect, on_disk
from wgan_jax.objectives import Objective
from wgan_jax.training import cost, prepare
from wgan_jax.training.as_game import load_game
from wgan_jax.training.parallel import make_runner
from wgan_jax.training.state import init_state

pytestmark = pytest.mark.usefixtures('compiled_once')
LABELS = collect(IMAGES)._replace(labels=(np.arange(20) % 3).astype(np.int32), classes=('a', 'b', 'c'))


def _same(one, other):
    (step, ours), (expected_step, expected) = arrays(one), arrays(other)
    assert step == expected_step and ours.keys() == expected.keys()
    for name in expected:
        assert ours[name].tobytes() == expected[name].tobytes(), name
    assert metrics(one) == metrics(other)
    assert (one / 'samples' / 'step_00000012.png').read_bytes() == (
        other / 'samples' / 'step_00000012.png'
    ).read_bytes()


@pytest.mark.parametrize(
    ('parallel', 'conditional'),
    [
        ('jit', False),
        pytest.param('pmap', True, marks=pytest.mark.slow),
        pytest.param('jit', True, marks=pytest.mark.slow),
        pytest.param('pmap', False, marks=pytest.mark.slow),
    ],
)
def test_the_bits_are_those_of_a_dataset_on_the_device(parallel, conditional, tmp_path):
    # Fails if a streamed batch is another one, of another share, label, or rounding; or a continuation draws anew. On
    # devices that share a batch, the generator's update draws real images too.
    paired = {'objective': 'relativistic', 'constraint': 'r1_r2'} if parallel == 'pmap' else {}
    given = tiny(augment='flip,shift', n_critic=2, held_out=0.2, **paired)
    settings = dataclasses.replace(given, conditional=conditional)

    def run(name, path, **options):
        wgan_jax.train(settings, tmp_path / name, dataset=LABELS, parallel=parallel, data_path=path, **EVERY, **options)
        return json.loads((tmp_path / name / 'config.json').read_text())['run']['data_path']

    assert run('device', 'auto') == 'device' and run('stream', 'stream') == 'stream'
    _same(tmp_path / 'stream', tmp_path / 'device')
    stop = tmp_path / 'mixed' / 'checkpoints' / '4'
    assert run('mixed', 'stream', should_stop=stop.exists) == 'stream'
    assert not (tmp_path / 'mixed' / 'results.json').exists()
    assert run('mixed', 'device') == 'device'
    _same(tmp_path / 'mixed', tmp_path / 'device')


def test_the_dataset_is_no_part_of_the_program():
    # Fails if a streamed set is put on the device after all, as an argument or a constant.
    gan, hyperparameters = small_gan('wgan_gp')
    pixels = np.zeros((2000, 16, 32, 3), np.uint8)
    before = {id(array) for array in jax.live_arrays()}
    runner = make_runner(gan, hyperparameters, pixels, mode='jit', streamed=True, capacity=4)
    assert runner.streamed and runner.of(hyperparameters).streamed
    _, rows = runner.run(runner.place(init_state(gan, hyperparameters, np.uint32(0))), 2)
    assert np.isfinite(runner.fetch(rows)[:2]).all()
    new = [array for array in jax.live_arrays() if id(array) not in before]
    assert max(array.nbytes for array in new) < pixels.nbytes
    runner.close()


def test_a_run_that_is_over_lets_go_of_its_dataset(tmp_path):
    # Fails if a program that lives longer keeps a dataset, or the file that it lies in, with it.
    class Pixels(np.ndarray):
        pass

    pixels = IMAGES.view(Pixels)
    gone = weakref.ref(pixels)
    feed = Feed(pixels, batch_size=4)
    before = threading.active_count()
    assert feed(0, 0, 0, 4)[0].any()
    feed.close()
    del pixels
    gc.collect()
    assert gone() is None and threading.active_count() <= before
    assert not feed(0, 1, 0, 4)[0].any()  # asked by a call that was under way
    wgan_jax.train(tiny(steps=2), tmp_path, dataset=IMAGES, data_path='stream')
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith('feed')]


def test_parts_of_one_s_own_are_tried_without_the_dataset(tmp_path, monkeypatch):
    # Fails if a set that lies on the disk is loaded to see whether a step can be traced.
    def mine(fake_scores, real_scores=None):
        return -fake_scores.mean()

    objective = Objective(lambda real, fake: fake.mean() - real.mean(), mine)
    monkeypatch.setattr(Rows, '__array__', lambda *arguments, **options: pytest.fail('all of it is read'))
    (tmp_path / 'pixels').write_bytes(IMAGES.tobytes())
    pixels = np.memmap(tmp_path / 'pixels', np.uint8, 'r', shape=IMAGES.shape)
    workdir = tmp_path / 'run'
    wgan_jax.train(tiny(steps=2, objective=objective, held_out=0.2), workdir, dataset=pixels)
    assert json.loads((workdir / 'config.json').read_text())['run']['data_path'] == 'stream'
    game, players, _ = load_game(workdir, images=collect(pixels), parts={'objective': objective})
    assert np.isfinite(float(game.losses.critic(players)))


def test_an_accelerator_holds_all_of_a_set_or_none(monkeypatch):
    # Fails if the size of a set, which is known, is reckoned less as an estimate is.
    gan, hyperparameters = small_gan('wgan_gp')
    asked = []
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    monkeypatch.setattr(memory, 'require_on_accelerator', lambda needed, what: asked.append(needed))
    for size in (0, 10**9):
        cost.require_memory(gan, hyperparameters, 'training', on_device=size)
    assert asked[1] - asked[0] == pytest.approx(10**9, rel=1e-6)


def test_auto_streams_what_does_not_fit(tmp_path, monkeypatch):
    # Fails if a set is refused that could be streamed, or a forced path is not kept.
    def refuse(*arguments, on_device, **options):
        if on_device > prepare.watch_bytes(6, 4):
            raise memory.NotEnough('training would take 9 GB: take fewer or smaller ones')

    monkeypatch.setattr(prepare, 'require_memory', refuse)
    wgan_jax.train(tiny(steps=2), tmp_path / 'a', dataset=IMAGES)
    assert json.loads((tmp_path / 'a' / 'config.json').read_text())['run']['data_path'] == 'stream'
    with pytest.raises(ValueError, match=r'take fewer or smaller ones, or data_path=stream$'):
        wgan_jax.train(tiny(steps=2), tmp_path / 'b', dataset=IMAGES, data_path='device')
    with pytest.raises(ValueError, match='data_path=disk is unknown; there are: auto, device, stream'):
        wgan_jax.train(tiny(steps=2), tmp_path / 'b', dataset=IMAGES, data_path='disk')
    assert not (tmp_path / 'b').exists()


@pytest.mark.parametrize('path', ['auto', 'device'])
def test_a_set_that_lies_in_a_file_trains_as_one_in_memory(path, tmp_path, monkeypatch):
    # Fails if a part of a run needs the pixels to be an array in memory, or sees others.
    (tmp_path / 'set').mkdir()
    for number, image in enumerate(IMAGES):
        Image.fromarray(image).save(tmp_path / 'set' / f'{number:02}.png')
    settings = tiny(dataset=f'folder:{tmp_path}/set', held_out=0.2)
    wgan_jax.train(settings, tmp_path / 'memory', **EVERY)

    def refuse(*arguments):
        raise memory.NotEnough('no room')

    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / 'kept'))
    monkeypatch.setattr(cache, 'allocate', refuse)
    wgan_jax.train(settings, tmp_path / 'file', data_path=path, **EVERY)
    _same(tmp_path / 'file', tmp_path / 'memory')
    assert json.loads((tmp_path / 'file' / '.pictures.json').read_text()) == json.loads(
        (tmp_path / 'memory' / '.pictures.json').read_text()
    )
    recorded = json.loads((tmp_path / 'file' / 'config.json').read_text())['run']['data_path']
    assert recorded == {'auto': 'stream', 'device': 'device'}[path]
    assert on_disk(wgan_jax.data.load(settings.dataset, 6, 4).pixels)
