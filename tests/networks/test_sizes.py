"""Networks for images of any size: depth, padding and cropping, against the networks of sizes that halve evenly."""

import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wgan_jax
from tests.export.untrained import untrained
from tests.training.common import small_settings
from wgan_jax.networks import dcgan, r3gan, resnet
from wgan_jax.networks.sizes import crop, doublings, pad, smallest_map
from wgan_jax.training.build import build_networks
from wgan_jax.training.dataset import with_images
from wgan_jax.training.folder import differences, read_run, settings_of
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import override, record

RANDOM = np.random.default_rng(0)
MODULES = {
    'dcgan': (dcgan, {'width': 4}),
    'cifar': (resnet, {'width': 4, 'variant': 'cifar'}),
    'good': (resnet, {'width': 4, 'variant': 'good'}),
    'r3gan': (r3gan, {'width': 4}),
}


def _of_size(kind, shape, parametrization=None):
    module, options = MODULES[kind]
    critic = module.critic(shape, norm='none', parametrization=parametrization, **options)
    return module.generator(shape, latent_dim=5, **options), critic


def _sizes(network):
    variables = jax.eval_shape(network.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: leaf.shape, variables.params)


def test_the_smallest_map_has_4_to_7_pixels():
    # Fails if a side is rounded down, or depth grows one size too late or too early.
    for short in range(1, 1200):
        for sides in ((short, short), (short, 2 * short + 3), (3 * short, short)):
            for least in (1, 4):
                count = doublings(sides, least)
                side = math.ceil(short / 2**count)
                assert min(smallest_map(sides, count)) == side <= 7
                assert (side >= 4) if count > least else count == least
                assert count == least or math.ceil(short / 2 ** (count - 1)) > 7


def test_padding_is_zero_around_the_middle_and_undone():
    images = jnp.asarray(RANDOM.normal(size=(2, 5, 8, 3)), jnp.float32)
    padded = pad(images, 3)
    assert padded.shape == (2, 8, 8, 3) and (padded == np.pad(images, ((0, 0), (1, 2), (0, 0), (0, 0)))).all()
    assert (crop(padded, (5, 8), 3) == images).all()
    assert pad(padded, 3) is padded


@pytest.mark.slow
@pytest.mark.parametrize('kind', MODULES)
def test_an_odd_size_is_the_middle_of_an_even_one(kind):
    # Fails if an image is cropped where the critic does not look, or the two sides are exchanged.
    shape, whole = (29, 44, 3), (32, 48, 3)
    (generator, critic), (wide, judge) = _of_size(kind, shape), _of_size(kind, whole)
    z, x = (jnp.asarray(RANDOM.normal(size=size), jnp.float32) for size in ((2, 5), (2, *shape)))
    made, judged = (jax.jit(network.init)(jax.random.key(1)) for network in (wide, judge))
    images = jax.jit(lambda z: generator.apply(made, z, train=False)[0])(z)
    assert images.shape == (2, *shape)
    np.testing.assert_array_equal(
        images, jax.jit(lambda z: wide.apply(made, z, train=False)[0])(z)[:, 1 : 1 + 29, 2 : 2 + 44]
    )
    padded = np.pad(x, ((0, 0), (1, 2), (2, 2), (0, 0)))
    if kind == 'cifar':  # whose critic halves twice, and needs multiples of 4
        judged = jax.jit(critic.init)(jax.random.key(1))
        wide_enough, padded = (32, 44, 3), np.pad(x, ((0, 0), (1, 2), (0, 0), (0, 0)))
        _, judge = _of_size(kind, wide_enough)
    scores = [jax.jit(lambda x, f=f: f.apply(judged, x, train=False)[0])(x) for f, x in ((critic, x), (judge, padded))]
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize('kind', [kind for kind in MODULES if kind != 'r3gan'])
def test_large_images_have_deeper_networks_and_no_larger_first_layer(kind):
    # Fails if a large image begins with a large map, a small DCGAN with one of 2x2, or widths grow without end.
    for side, count in (
        (64, 4),
        (128, 5),
        (256, 6),
        (100, 4),
        (224, 5),
        *([(32, 3), (28, 2)] if kind == 'dcgan' else ()),
    ):
        generator, critic = map(_sizes, _of_size(kind, (side, side, 3)))
        top = 4 if kind == 'cifar' else min(4 * 2 ** (count - 1), 32)
        first = generator['up_0' if kind == 'dcgan' else 'start']['kernel']
        assert first == (5, math.ceil(side / 2**count) ** 2 * top)
        blocks = [name for name in generator if name.startswith('up_') and name != 'up_0']
        assert len(blocks) == count - (kind != 'dcgan')  # 'up_0' is a block of a residual network, and no layer before
        names = [name for name in critic if name.startswith(('down_', 'block_'))]
        assert len(names) == count + (kind == 'cifar')  # one halving less, and two blocks that do not


def test_dcgans_double_as_often_as_they_are_asked_to():
    # Fails if one of the two players, the widths or the record keeps the usual number.
    generator, critic = (_sizes(network) for network in (
        dcgan.generator((32, 48, 3), latent_dim=5, width=4, num_doublings=4),
        dcgan.critic((32, 48, 3), norm='none', width=4, num_doublings=4),
    ))  # fmt: skip
    assert generator['up_0']['kernel'] == (5, 2 * 3 * 32) and critic['score']['kernel'] == (2 * 3 * 32, 1)
    assert sum(name.startswith('up_') for name in generator) == 5
    assert sum(name.startswith('down_') for name in critic) == 4
    given = wgan_jax.settings('dcgan', image_size='32x48', width=4, doublings=4)
    assert given.doublings == 4 and override(given, {'doublings': 0}) == wgan_jax.settings(
        'dcgan', image_size='32x48', width=4
    )
    networks = build_networks(given, 3)
    assert _sizes(networks.critic)['score']['kernel'] == (2 * 3 * 32, 1)
    assert _sizes(networks.generator)['up_0']['kernel'] == (100, 2 * 3 * 32)
    with pytest.raises(ValueError, match='doublings=6: 6 doublings make more than 32x48 pixels of one: use at most 5'):
        wgan_jax.settings('dcgan', image_size='32x48', doublings=6)
    published = wgan_jax.settings('dcgan', image_size=8, doublings=4)  # of older runs, more than it has room for
    assert _sizes(build_networks(published, 3).critic)['score']['kernel'] == (8 * 128, 1)


def test_a_record_says_how_many_doublings_there_are():
    # Fails if a run of 32 pixels that an older version trained gets networks that its checkpoint is not of, or one on
    # images of another size than its settings speak of those of the settings.
    now = record(wgan_jax.settings('dcgan', image_size=32))
    assert now['doublings'] == 3 and settings_of({'settings': now}).doublings == 3
    assert record(dataclasses.replace(PRESETS['dcgan'], image_size='32x32')) == now  # as a program of one's own may
    before = {name: value for name, value in now.items() if name != 'doublings'}
    for size, count in (('32x32', 4), ('64x64', 4), ('128x128', 5)):
        for old in (before, {**before, 'doublings': 0}):
            assert settings_of({'settings': {**old, 'image_size': size}}).doublings == count
    assert settings_of({'settings': {**before, 'arch': 'mlp', 'critic_norm': 'none'}}).doublings == 0
    for side, count in ((16, 2), (32, 3), (64, 4)):
        settings, _ = with_images(wgan_jax.settings('pictures'), np.zeros((20, side, side, 3), np.uint8))
        assert record(settings)['doublings'] == count


def test_a_run_of_four_doublings_is_loaded_and_not_taken_for_one_of_three(tmp_path):
    untrained(tmp_path, image_size='16x32', doublings=4)
    path = tmp_path / 'config.json'
    config = json.loads(path.read_text())
    assert config['settings'].pop('doublings') == 4  # as of before there was such a setting
    path.write_text(json.dumps(config))
    generator = wgan_jax.load(tmp_path)
    assert generator.sample(jax.random.key(0), 2).shape == (2, 16, 32, 3) and generator.settings.doublings == 4
    now = {**config, 'settings': record(small_settings('wgan_gp', image_size='16x32', ema_decay=0.9))}
    assert differences(read_run(tmp_path), now) == ['doublings: 4 -> 2']
    now['settings'] = record(small_settings('wgan_gp', image_size='16x32', ema_decay=0.9, doublings=4))
    assert differences(read_run(tmp_path), now) == []


def test_r3gan_doubles_its_width_down_to_32_pixels_and_begins_with_4_to_7():
    for side, count in ((28, 3), (32, 3), (64, 4), (100, 4), (128, 5), (256, 6)):
        generator, critic = map(_sizes, _of_size('r3gan', (side, side, 3)))
        small = math.ceil(side / 2**count)
        assert 4 <= small <= 7
        assert generator['grid'] == critic['grid'] == (small, small, 4 * 2 ** (count - 3))
        for params in (generator, critic):
            assert sum(name.startswith('block_') for name in params) == 2 * (count + 1)
            assert sum(name.startswith('change_') for name in params) == count - 3


def test_bounds_hold_of_padded_images():
    # Fails if a bound were of another image than the one that layers see.
    _, critic = _of_size('dcgan', (29, 44, 3))
    _, whole = _of_size('dcgan', (32, 48, 3))
    variables = jax.jit(critic.init)(jax.random.key(2))
    np.testing.assert_allclose(critic.bounds(variables), whole.bounds(variables), rtol=1e-6)


# An odd size takes longer to begin with, as that of the next even one does; both end equally near.
@pytest.mark.slow
@pytest.mark.parametrize(
    ('size', 'steps', 'batch_size'),
    [('128x128', 100, 8), ('100x60', 300, 8), pytest.param('256x256', 100, 4, marks=pytest.mark.long)],
)
def test_large_images_are_learnt(size, steps, batch_size, tmp_path):
    # Fails if a network of some depth does not train: not finite, or no nearer to the data than the first grey is.
    settings = wgan_jax.settings(
        'pictures', image_size=size, width=4, batch_size=batch_size, latent_dim=8, n_critic=2, steps=steps,
        decay_steps=0, held_out=0.0,
    )  # fmt: skip
    height, width = settings.height_width
    pixels = np.full((64, height, width, 3), 230, np.uint8)
    pixels[:, height // 4 : height // 2, :, 1:] = RANDOM.integers(20, 60, (64, 1, 1, 2))  # a red stripe on white
    images = np.asarray(wgan_jax.train(settings, tmp_path, dataset=pixels).sample(jax.random.key(0), 16))
    assert images.shape == (16, height, width, 3) and np.isfinite(images).all()
    wanted = pixels.mean(0) / 127.5 - 1
    assert np.abs(images.mean(0) - wanted).mean() < 0.5 * np.abs(wanted).mean()
