"""Where the real examples of a critic update come from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax import settings
from wgan_jax.data import synthetic
from wgan_jax.data.images import gather, to_float
from wgan_jax.data.order import batch_indices
from wgan_jax.training.build import build_gan
from wgan_jax.training.draws import Role, draw_from, draw_images, draw_points, example_keys, first_images
from wgan_jax.training.state import init_state
from wgan_jax.training.step import draw_batches

SEED, COUNTER = jnp.uint32(7), jnp.int32(3)


def test_images_are_those_of_the_epoch_order():
    pixels = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3), np.uint8)
    drawn = draw_images(pixels, SEED, COUNTER, jnp.arange(4), batch_size=4)
    wanted = gather(pixels, batch_indices(7, 3, np.arange(4), batch_size=4, size=10))
    np.testing.assert_array_equal(drawn, wanted)


def test_every_point_comes_once_an_epoch():
    points = np.arange(24, dtype=np.float32).reshape(12, 2)
    epoch = [draw_points(points, SEED, jnp.int32(i), jnp.arange(4), batch_size=4) for i in range(3)]
    np.testing.assert_array_equal(np.sort(np.concatenate(epoch), axis=0), points)


def test_a_density_is_drawn_by_example_and_by_update():
    draw = draw_from(lambda scale, key: scale * synthetic.grid().sample(key))
    whole = draw(2.0, SEED, COUNTER, jnp.arange(6), batch_size=6)
    assert whole.shape == (6, 2)
    share = draw(2.0, SEED, COUNTER, jnp.arange(4, 6), batch_size=6)  # of the second of several devices
    np.testing.assert_array_equal(whole[4:], share)
    (keys,) = example_keys(7, (Role.REAL,), 3, jnp.arange(6))
    np.testing.assert_array_equal(whole, 2 * jax.vmap(synthetic.grid().sample)(keys))
    assert not np.allclose(whole, draw(2.0, SEED, COUNTER + 1, jnp.arange(6), batch_size=6))
    assert len(np.unique(whole, axis=0)) == 6


@pytest.mark.parametrize('batch_size', [3, 8, 20])
def test_the_first_images_are_those_that_the_critic_gets(batch_size):
    # Fails if the picture of the data shows others than those that are trained on, or varies them otherwise.
    pixels = np.random.default_rng(0).integers(0, 256, (10, 6, 4, 3), np.uint8)
    mine = settings(
        'wgan_gp', arch='mlp', width=4, latent_dim=2, batch_size=batch_size, image_size='6x4', augment='data'
    )
    gan, hyperparameters = build_gan(mine, 3)
    state = init_state(gan, hyperparameters, 5)
    batches = [draw_batches(gan, state, jnp.asarray(pixels), counter)[0] for counter in range(-(-16 // batch_size))]
    shown = first_images(pixels, gan.augmentation.real, 5, 16, batch_size=batch_size)
    np.testing.assert_allclose(shown, np.concatenate(batches)[:16], atol=1e-6)
    plain = first_images(pixels, None, 5, 10, batch_size=batch_size)
    assert sorted(np.asarray(plain).sum(axis=(1, 2, 3))) == sorted(np.asarray(to_float(pixels)).sum(axis=(1, 2, 3)))
