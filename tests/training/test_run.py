"""A whole run by one call: begun, stopped, continued, found done; parts of one's own; and what is refused."""

import dataclasses
import json
import re
import signal
import threading

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wgan_jax
from wgan_jax.constraints import Constraint
from wgan_jax.data.augmentation import Augmentation
from wgan_jax.data.images import collect
from wgan_jax.networks import Architecture, Players, from_linen, mlp
from wgan_jax.objectives import Objective
from wgan_jax.penalties import gradient_norms
from wgan_jax.training.callbacks import Callback
from wgan_jax.training.checkpoint import CheckpointStore
from wgan_jax.training.loop import NotFinite
from wgan_jax.training.parts import record_part
from wgan_jax.training.signals import Interrupted

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 6, 4, 3), np.uint8)
TINY = {'arch': 'mlp', 'width': 8, 'latent_dim': 3, 'batch_size': 4, 'n_critic': 1, 'image_size': '6x4'}
EVERY = {'checkpoint_every': 4, 'sample_every': 8, 'log_every': 1}


def tiny(**changes):
    return wgan_jax.settings('wgan_gp', **{**TINY, 'steps': 12, **changes})


def arrays(workdir):
    return CheckpointStore(workdir / 'checkpoints').read_newest()


def metrics(workdir):
    rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ('seconds', 'images_per_second')} for row in rows]


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


def test_numbers_that_go_bad(tmp_path):
    with pytest.raises(NotFinite, match='at step'):
        wgan_jax.train(tiny(steps=60, critic_lr=1e30, generator_lr=1e30), tmp_path, dataset=IMAGES, **EVERY)


class MyGenerator(nn.Module):
    @nn.compact
    def __call__(self, z):
        return jnp.tanh(nn.Dense(6 * 4 * 3)(nn.relu(nn.Dense(16)(z)))).reshape(-1, 6, 4, 3)


class MyCritic(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(nn.relu(nn.Dense(16)(x.reshape(len(x), -1))))[:, 0]


class Normalised(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(16)(x.reshape(len(x), -1)))
        return nn.Dense(1)(x)[:, 0]


NETWORKS = Players(from_linen(MyGenerator(), (3,)), from_linen(MyCritic(), (6, 4, 3)))


def my_penalty(critic_fn, real, fake, keys, *, axis_name=None):
    del fake, keys, axis_name
    return jnp.mean(gradient_norms(critic_fn, real) ** 4)


def my_critic_loss(real_scores, fake_scores):
    return jnp.mean(fake_scores - 2 * real_scores)


MINE = {
    'arch': NETWORKS,
    'constraint': Constraint(penalty=my_penalty),
    'objective': Objective(my_critic_loss, lambda fake_scores: -jnp.mean(fake_scores)),
    'augment': Augmentation(lambda keys, images: images[:, :, ::-1], None),
}


def test_parts_of_one_s_own_train_continue_and_are_recorded(tmp_path):
    changes = {name: value for name, value in TINY.items() if name not in ('arch', 'width')}
    mine = wgan_jax.settings('wgan_gp', **changes, **MINE, steps=2)
    generator = wgan_jax.train(mine, tmp_path, dataset=IMAGES, **EVERY)
    recorded = json.loads((tmp_path / 'config.json').read_text())['settings']
    assert re.fullmatch(r'MyGenerator\+MyCritic of test_run.py \(sha256 [0-9a-f]{12}\)', recorded['arch'])
    assert re.fullmatch(r'my_penalty of test_run.py \(sha256 [0-9a-f]{12}\)', recorded['constraint'])
    assert 'my_critic_loss' in recorded['objective'] and 'test_run.py' in recorded['augment']
    more = dataclasses.replace(mine, steps=4)
    assert wgan_jax.train(more, tmp_path, dataset=IMAGES, **EVERY).step == 4
    other = dataclasses.replace(mine, constraint=Constraint(penalty=lambda *a, axis_name=None: jnp.zeros(())))
    with pytest.raises(ValueError, match=r'constraint: my_penalty of test_run.py .* -> .*<lambda> of test_run.py'):
        wgan_jax.train(other, tmp_path, dataset=IMAGES, **EVERY)
    with pytest.raises(ValueError, match=r'networks of its own, MyGenerator\+MyCritic of test_run.py.*networks=\.\.\.'):
        wgan_jax.load(tmp_path)
    loaded = wgan_jax.load(tmp_path, networks=NETWORKS)
    assert loaded.step == 4 and loaded.sample(jax.random.key(0), 2).shape == (2, 6, 4, 3)
    assert generator.step == 2


def test_a_loss_and_a_penalty_of_one_s_own_are_what_is_minimised(tmp_path):
    # Written out by hand: the critic's loss of the first update with these parts, from the same draws.
    from tests.training.common import small_pixels
    from wgan_jax.training.build import build_gan
    from wgan_jax.training.state import init_state
    from wgan_jax.training.step import critic_update, draw_batches

    changes = {name: value for name, value in TINY.items() if name not in ('arch', 'width')}
    mine = wgan_jax.settings('wgan_gp', **{**changes, 'image_size': '6x4'}, **MINE, penalty_weight=3.0)
    gan, hyperparameters = build_gan(mine, 3)
    state = init_state(gan, hyperparameters, 0)
    pixels = small_pixels()[:, :6, :4]
    real, fake, _ = draw_batches(gan, state, pixels, 0)
    f = lambda x: NETWORKS.critic.apply(state.critic, x, train=True)[0]  # noqa: E731
    slopes = jax.vmap(lambda x: jnp.sum(jax.grad(lambda y: f(y[None])[0])(x) ** 2))(real)
    expected = jnp.mean(f(fake)) - 2 * jnp.mean(f(real)) + 3 * jnp.mean(slopes**2)
    _, (loss, *_) = critic_update(gan, hyperparameters, state, pixels)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_an_architecture_of_one_s_own_reads_the_settings(tmp_path):
    def build(settings, image_shape, parametrization, conv_impl):
        del conv_impl
        return (
            mlp.generator(image_shape, latent_dim=settings.latent_dim, width=settings.width, depth=1),
            mlp.critic(image_shape, width=settings.width, depth=1, parametrization=parametrization),
        )

    def check(settings, parametrization):
        del parametrization
        if settings.width % 2:
            raise ValueError(f'width={settings.width} must be even')

    mine = Architecture(build, check)
    settings = tiny(arch=mine, constraint='spectral', steps=2)
    assert wgan_jax.train(settings, tmp_path, dataset=IMAGES, **EVERY).step == 2
    with pytest.raises(ValueError, match='width=7 must be even'):
        tiny(arch=mine, width=7)
    with pytest.raises(ValueError, match='upsampling has no effect with arch=build'):
        tiny(arch=mine, upsampling='nearest')


def test_the_record_of_a_part_changes_with_its_source_and_its_numbers():
    def scaled(factor):
        return Constraint(penalty=lambda *a, axis_name=None: factor * jnp.ones(()))

    records = {record_part(scaled(factor)) for factor in (1.0, 2.0)} | {
        record_part(Players(from_linen(nn.Dense(n), (3,)), NETWORKS.critic)) for n in (1, 2)
    }
    assert len(records) == 4
    assert record_part(scaled(1.0)) == record_part(scaled(1.0)) and record_part('clip') == 'clip'


REFUSED = [
    ({'arch': Players(NETWORKS.critic, NETWORKS.critic)}, 'the generator makes|takes'),
    ({'arch': Players(NETWORKS.generator, None)}, 'holds NoneType as its critic: a Network is needed'),
    ({'arch': NETWORKS, 'latent_dim': 5}, r'MyGenerator|takes \(N, 3\)'),
    ({'arch': NETWORKS, 'width': 8}, "width has no effect with networks of one's own"),
    ({'arch': NETWORKS, 'constraint': 'spectral'}, "with networks of one's own use constraint=none"),
    ({'arch': Players(NETWORKS.generator, from_linen(Normalised(), (6, 4, 3)))}, 'batch normalisation mixes'),
    ({'objective': my_critic_loss}, 'must be a name or Objective, not function'),
    ({'constraint': 'my_penalty of mine.py (sha256 0123456789ab)'}, 'is no part of the package: give it again'),
    ({'beta3': 0.5}, 'beta3 is no setting; did you mean beta'),
    ({'penalty': 0.5}, 'penalty is no setting; did you mean penalty_weight'),
    ({'zzz': 0.5}, 'zzz is no setting; there are: dataset'),
    ({'n_critic': '2'}, 'n_critic=2 must be a whole number'),
    ({'critic_lr': 'high'}, 'critic_lr=high must be a number'),
    ({'n_critic': True}, 'n_critic=True must be a whole number'),
]


@pytest.mark.parametrize('changes, message', REFUSED)
def test_parts_that_do_not_fit_are_refused_in_one_line(changes, message, tmp_path):
    base = {name: value for name, value in TINY.items() if name not in ('arch', 'width')}
    with pytest.raises(ValueError, match=message) as caught:
        wgan_jax.train(wgan_jax.settings('wgan_gp', **{**base, **changes}), tmp_path, dataset=IMAGES)
    assert '\n' not in str(caught.value)
    assert not (tmp_path / 'config.json').exists()


@pytest.mark.parametrize(
    'options, message',
    [
        ({'dataset': IMAGES.astype(np.float32)}, r'images must be uint8 \(N, H, W, C\)'),
        ({'dataset': IMAGES, 'log_every': 0}, 'log_every=0 must be at least 1'),
        ({'dataset': IMAGES, 'callbacks': [3]}, 'neither a Callback nor a function'),
        ({'dataset': IMAGES, 'parallel': 'mpi'}, 'parallel=mpi is unknown'),
        ({'dataset': IMAGES, 'num_devices': 7}, '7 devices cannot share batch_size=4 evenly'),
        ({'dataset': 'array'}, 'pass them again'),
    ],
)
def test_arguments_that_cannot_be_used(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        wgan_jax.train(tiny(), tmp_path, **options)
    assert not (tmp_path / 'config.json').exists()
    with pytest.raises(ValueError, match='preset=wgam is unknown; there are: flags, wgan'):
        wgan_jax.settings('wgam')


def test_importing_the_package_costs_next_to_nothing():
    import subprocess
    import sys

    code = (
        'import wgan_jax, sys; print([m for m in ("jax", "flax", "numpy", "orbax") if m in sys.modules]); dir(wgan_jax)'
    )
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == '[]'
    for name in wgan_jax.__all__:
        assert getattr(wgan_jax, name) is not None
    assert set(wgan_jax.__all__) <= set(dir(wgan_jax))
