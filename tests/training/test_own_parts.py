"""Networks, losses, penalties and augmentations of one's own: trained, recorded, told apart, and refused."""

import dataclasses
import functools
import json
import linecache
import os
import re
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wgan_jax
from tests.training.runs import EVERY, IMAGES, TINY, metrics, tiny
from wgan_jax.constraints import CONSTRAINTS, Constraint
from wgan_jax.data.augmentation import Augmentation
from wgan_jax.networks import Architecture, Players, from_linen, mlp
from wgan_jax.objectives import OBJECTIVES, Objective
from wgan_jax.penalties import gradient_norms
from wgan_jax.training.parts import record_part, same_part


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
    assert re.fullmatch(r'MyGenerator\+MyCritic of test_own_parts.py \(sha256 [0-9a-f]{12}\)', recorded['arch'])
    assert re.fullmatch(r'my_penalty of test_own_parts.py \(sha256 [0-9a-f]{12}\)', recorded['constraint'])
    assert 'my_critic_loss' in recorded['objective'] and 'test_own_parts.py' in recorded['augment']
    more = dataclasses.replace(mine, steps=4)
    assert wgan_jax.train(more, tmp_path, dataset=IMAGES, **EVERY).step == 4
    other = dataclasses.replace(mine, constraint=Constraint(penalty=lambda *a, axis_name=None: jnp.zeros(())))
    with pytest.raises(
        ValueError, match=r'constraint: my_penalty of test_own_parts.py .*->.*<lambda> of test_own_parts.py'
    ):
        wgan_jax.train(other, tmp_path, dataset=IMAGES, **EVERY)
    with pytest.raises(ValueError, match=r'of its own, MyGenerator\+MyCritic of test_own_parts.py.*networks=\.\.\.'):
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
    real, fake, *_ = draw_batches(gan, state, pixels, 0)
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
    assert same_part(record, record.replace('test_own_parts.py', '<ipython-input-7>'))
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


@pytest.mark.slow
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


@pytest.mark.slow
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
