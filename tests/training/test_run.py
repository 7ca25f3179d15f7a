"""A whole run by one call: begun, stopped, continued, found done; parts of one's own; and what is refused."""

import dataclasses
import functools
import json
import linecache
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wgan_jax
from wgan_jax.constraints import CONSTRAINTS, Constraint
from wgan_jax.data.augmentation import Augmentation
from wgan_jax.data.images import collect
from wgan_jax.networks import Architecture, Players, from_linen, mlp
from wgan_jax.objectives import OBJECTIVES, Objective
from wgan_jax.penalties import gradient_norms
from wgan_jax.training.callbacks import Callback
from wgan_jax.training.checkpoint import CheckpointStore
from wgan_jax.training.folder import locked
from wgan_jax.training.loop import NotFinite
from wgan_jax.training.parts import record_part, same_part
from wgan_jax.training.records import MetricsLog
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


class MyGenerator(nn.Module):
    @nn.compact
    def __call__(self, z):
        return jnp.tanh(nn.Dense(6 * 4 * 3)(nn.relu(nn.Dense(16)(z)))).reshape(-1, 6, 4, 3)


class MyCritic(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(nn.relu(nn.Dense(16)(x.reshape(len(x), -1))))[:, 0]


class Flat(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(x.reshape(len(x), -1))  # (N, 1) where (N,) is wanted


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


class Scaled:
    def __init__(self, factor):
        self.factor = factor

    def penalty(self, critic_fn, real, fake, keys, *, axis_name=None):
        return self.factor * jnp.mean(gradient_norms(critic_fn, real))


def _typed(source):
    """A function as a prompt has it: of no file."""
    scope = {'jnp': jnp}
    exec(source, scope)
    return scope['penalty']


PROMPT = 'def penalty(critic_fn, real, fake, keys, *, axis_name=None):\n    return jnp.mean(real) * {}\n'


def test_the_record_of_a_part_changes_with_all_that_it_is_made_of():
    def scaled(factor):
        return Constraint(penalty=lambda *a, axis_name=None: factor * jnp.ones(()))

    def network(module):
        return Players(from_linen(module, (3,)), NETWORKS.critic)

    makers = [
        *(lambda f=f: scaled(f) for f in (1.0, 2.0, np.float32(3), np.arange(3), np.arange(4), {'a': 1}, {'a': 2})),
        *(lambda f=f: Constraint(penalty=Scaled(f).penalty) for f in (1.0, 2.0)),
        *(lambda f=f: Constraint(penalty=functools.partial(my_penalty, keys=f)) for f in (1, 2)),
        *(lambda n=n: network(nn.Dense(n)) for n in (1, 2)),
        *(lambda t=t: network(nn.Dense(1, dtype=t)) for t in (jnp.float32, jnp.bfloat16)),
        *(lambda n=n: Constraint(penalty=_typed(PROMPT.format(n))) for n in (2, 3)),
    ]
    records = [record_part(make()) for make in makers]
    assert len(set(records)) == len(makers)
    assert records == [record_part(make()) for make in makers]
    assert record_part('clip') == 'clip'
    with pytest.raises(ValueError, match='cannot be recorded: pass functions, numbers and arrays'):
        record_part(scaled(iter([])))


def test_what_another_program_left_under_the_name_of_a_string_does_not_matter():
    # Python 3.13 keeps the text of python -c under '<string>', which is also the file of every exec.
    linecache.cache['<string>'] = (1, None, ['def penalty(): pass\n'] * 9, '<string>')
    try:
        records = {record_part(Constraint(penalty=_typed(PROMPT.format(n)))) for n in (2, 3)}
    finally:
        linecache.cache.pop('<string>')
    assert len(records) == 2


def test_another_file_and_the_package_s_own_code_do_not_matter(monkeypatch):
    record = record_part(NETWORKS)
    assert same_part(record, record.replace('test_run.py', '<ipython-input-7>'))
    assert not same_part(record, record.replace('MyCritic', 'Other')) and not same_part(record, 'mlp')
    monkeypatch.setattr('inspect.getsource', lambda piece: f'{piece.__module__} {piece.__qualname__}')
    found = record_part(NETWORKS)
    monkeypatch.setattr(
        'inspect.getsource',
        lambda piece: f'{piece.__module__} {piece.__qualname__}' + '# new' * piece.__module__.startswith('wgan_jax'),
    )
    assert record_part(NETWORKS) == found


FACTOR = 1.0


def _helper(x):
    return x


def _by_name(critic_fn, real, fake, keys, *, axis_name=None):
    return FACTOR * jnp.mean(_helper(critic_fn(real)))


def test_what_a_part_uses_by_name_belongs_to_it(monkeypatch):
    records = [record_part(Constraint(penalty=_by_name))]
    monkeypatch.setitem(globals(), 'FACTOR', 2.0)
    records.append(record_part(Constraint(penalty=_by_name)))
    monkeypatch.setitem(globals(), '_helper', my_penalty)
    records.append(record_part(Constraint(penalty=_by_name)))
    assert len(set(records)) == 3


@pytest.mark.parametrize(
    'part, message',
    [
        (
            {'constraint': Constraint(penalty=lambda c, r, f, k: jnp.mean(c(r)))},
            "unexpected keyword argument 'axis_name'",
        ),
        ({'constraint': Constraint(penalty=lambda *a, axis_name=None: None)}, 'NoneType'),
        ({'objective': Objective(lambda real, fake: real, lambda fake: jnp.mean(fake))}, 'scalar-output functions'),
        ({'augment': Augmentation(lambda keys, images: images[:, ::2], None)}, r'MyCritic takes \(N, 6, 4, 3\)'),
    ],
)
def test_parts_that_fail_do_so_before_anything_is_written(part, message, tmp_path):
    base = {name: value for name, value in TINY.items() if name not in ('arch', 'width')}
    with pytest.raises(ValueError, match=f"a step with these parts of one's own fails: .*{message}"):
        wgan_jax.train(wgan_jax.settings('wgan_gp', **{**base, 'arch': NETWORKS, **part}), tmp_path, dataset=IMAGES)
    assert not (tmp_path / 'config.json').exists()


def test_a_run_in_float64_is_not_continued_in_float32(tmp_path):
    with jax.enable_x64(True):
        wgan_jax.train(tiny(steps=1), tmp_path, dataset=IMAGES, **EVERY)
    with pytest.raises(ValueError, match='jax_enable_x64: True -> False'):
        wgan_jax.train(tiny(steps=2), tmp_path, dataset=IMAGES, **EVERY)


@pytest.mark.parametrize(
    'module, shape, message',
    [
        (MyCritic, (3,), 'takes a module of flax.linen, such as'),
        (MyCritic(), 16, 'input_shape=16 must be the sizes of one example'),
        (MyCritic(), (None, 3), 'must be the sizes of one example'),
    ],
)
def test_what_from_linen_refuses(module, shape, message):
    with pytest.raises(ValueError, match=message):
        from_linen(module, shape)


def test_a_sequential_is_a_network():
    network = from_linen(nn.Sequential([nn.Dense(4), nn.relu, nn.Dense(2)]), (3,))
    out, _ = network.apply(network.init(jax.random.key(0)), jnp.ones((5, 3)), train=True)
    assert out.shape == (5, 2)


def test_a_registered_part_given_as_a_value_is_the_registered_one():
    given = tiny(objective=OBJECTIVES['wasserstein'], constraint=CONSTRAINTS['gradient_penalty'])
    assert given == tiny() and given.objective == 'wasserstein'


def test_batch_statistics_of_one_s_own_are_refused_on_many_devices_unless_they_are_shared(tmp_path):
    class Shared(nn.Module):
        @nn.compact
        def __call__(self, x, train, axis_name=None):
            x = nn.Dense(16)(x.reshape(len(x), -1))
            name = None if self.is_initializing() else axis_name
            x = nn.relu(nn.BatchNorm(use_running_average=not train, axis_name=name)(x))
            return nn.Dense(1)(x)[:, 0]

    base = {name: value for name, value in TINY.items() if name not in ('arch', 'width')}
    losses = []
    for critic, parallel in ((Shared, 'jit'), (Shared, 'pmap'), (Normalised, 'pmap')):
        networks = Players(NETWORKS.generator, from_linen(critic(), (6, 4, 3)))
        mine = wgan_jax.settings('wgan', **base, arch=networks, steps=2)
        workdir = tmp_path / f'{critic.__name__}_{parallel}'
        if critic is Normalised:
            with pytest.raises(ValueError, match='normalises over the batch and takes no axis_name'):
                wgan_jax.train(mine, workdir, dataset=IMAGES, parallel=parallel, **EVERY)
        else:
            wgan_jax.train(mine, workdir, dataset=IMAGES, parallel=parallel, **EVERY)
            losses.append([row['critic_loss'] for row in metrics(workdir)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4, atol=1e-7)


def test_making_a_network_does_not_touch_the_devices():
    code = (
        'import flax.linen as nn, jax, jax.extend\nfrom wgan_jax.networks import from_linen\n'
        "from_linen(nn.Dense(2), (3,))\njax.config.update('jax_num_cpu_devices', 3)\nprint(jax.device_count())"
    )
    environment = {name: value for name, value in os.environ.items() if name != 'XLA_FLAGS'}
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, env=environment)
    assert out.stdout.strip() == '3'


REFUSED = [
    (
        {'arch': Players(NETWORKS.critic, NETWORKS.critic)},
        r'arch: the generator: MyCritic takes \(N, 6, 4, 3\), not \(2, 3\)',
    ),
    ({'arch': Players(from_linen(nn.Dense(4), (3,)), NETWORKS.critic)}, r'the generator makes \(2, 4\) of \(2, 3\)'),
    ({'arch': Players(NETWORKS.generator, from_linen(Flat(), (6, 4, 3)))}, r'it must make \(N,\)'),
    ({'arch': Players(NETWORKS.generator, None)}, 'holds NoneType as its critic: a Network is needed'),
    ({'arch': NETWORKS, 'latent_dim': 5}, r'arch: the generator: MyGenerator takes \(N, 3\), not \(2, 5\)'),
    ({'arch': NETWORKS, 'width': 8}, "width has no effect with networks of one's own"),
    ({'arch': NETWORKS, 'constraint': 'spectral'}, "with networks of one's own use constraint=none"),
    (
        {'arch': Players(NETWORKS.generator, from_linen(Normalised(), (6, 4, 3)))},
        'mixes the samples: take it out of the critic',
    ),
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
        ({'dataset': IMAGES.astype(np.float32)}, r'images must be uint8 from 0 to 255, not float32: \(255 \* x\)'),
        ({'dataset': IMAGES[..., 0]}, r'not \(20, 6, 4\): x\[..., None\] makes grey ones'),
        ({'dataset': IMAGES.transpose(0, 3, 1, 2)}, r'not \(20, 3, 6, 4\): x.transpose\(0, 2, 3, 1\)'),
        ({'dataset': collect(IMAGES)._replace(pixels=IMAGES / 255)}, 'images must be uint8'),
        ({'dataset': Path('/x')}, "name a folder of pictures as 'folder:/x'"),
        ({'dataset': IMAGES, 'keep_checkpoints': 2.5}, 'keep_checkpoints=2.5 must be a whole number'),
        ({'dataset': IMAGES, 'callbacks': print}, 'callbacks must be a list'),
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
    code = (
        'import wgan_jax, sys; print([m for m in ("jax", "flax", "numpy", "orbax") if m in sys.modules]); dir(wgan_jax)'
    )
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == '[]'
    for name in wgan_jax.__all__:
        assert getattr(wgan_jax, name) is not None
    assert set(wgan_jax.__all__) <= set(dir(wgan_jax))
