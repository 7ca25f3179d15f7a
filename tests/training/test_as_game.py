"""A GAN as a game: its field against training's own updates, its Jacobian against finite differences."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

import wgan_jax
from tests.training import runs
from tests.training.common import small_gan, small_pixels, small_settings
from wgan_jax.games import jacobian_product, leading_spectrum, vector_field
from wgan_jax.games.game import dense, transposed_product
from wgan_jax.training.as_game import as_game, load_game
from wgan_jax.training.build import build_gan
from wgan_jax.training.dataset import with_images
from wgan_jax.training.state import init_state
from wgan_jax.training.step import critic_update
from wgan_jax.types import Players

PIXELS = small_pixels()


def _plain_descent(gan):
    """The same GAN with gradient descent at rate 1, so that an update shows the gradient."""
    return dataclasses.replace(gan, optimizers=Players(lambda rate: optax.sgd(1.0), lambda rate: optax.sgd(1.0)))


@pytest.mark.parametrize('preset, options', [('wgan_gp', {'arch': 'mlp', 'critic_norm': 'none'}), ('dcgan', {})])
def test_critic_s_field_is_the_gradient_that_training_descends(preset, options):
    gan, hyperparameters = small_gan(preset, augment='diff', **options)
    gan = _plain_descent(gan)
    state = init_state(gan, hyperparameters, 3)._replace(critic_step=jnp.int32(5))
    after, _ = jax.jit(lambda s: critic_update(gan, hyperparameters, s, PIXELS))(state)
    field = jax.jit(lambda s: vector_field(as_game(gan, hyperparameters, s, PIXELS), s.params))(state)
    moved = ravel_pytree(state.params.critic)[0] - ravel_pytree(after.params.critic)[0]
    slope = ravel_pytree(field.critic)[0]
    np.testing.assert_allclose(slope, moved, rtol=1e-3, atol=1e-5 * float(jnp.abs(slope).max()))
    assert float(jnp.abs(ravel_pytree(field.generator)[0]).max()) > 0


def _tiny():
    """An MLP WGAN so small that its Jacobian is dense, in float64."""
    gan, hyperparameters = small_gan('wgan', arch='mlp', critic_norm='none', width=2, latent_dim=2, image_size='2x2')
    state = init_state(gan, hyperparameters, 1)
    state = jax.tree.map(lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x, state)
    pixels = np.random.default_rng(0).integers(0, 256, (9, 2, 2, 3), np.uint8)
    return gan, hyperparameters, state, pixels


def test_wasserstein_game_is_zero_sum_where_the_players_meet():
    gan, hyperparameters, state, pixels = _tiny()
    game = as_game(gan, hyperparameters, state, pixels)
    matrix = np.asarray(jax.jit(lambda w: dense(lambda v: jacobian_product(game, w, v), w))(state.params))
    n = ravel_pytree(state.params.generator)[0].size
    scale = np.abs(matrix[:n, n:]).max()
    assert scale > 1e-3
    np.testing.assert_allclose(matrix[:n, n:], -matrix[n:, :n].T, rtol=0, atol=1e-5 * scale)
    found = leading_spectrum(game, state.params, count=4)
    expected = np.linalg.eigvals(matrix)
    expected = expected[np.argsort(-np.abs(expected))]
    np.testing.assert_allclose(np.abs(found.jacobian), np.abs(expected[: len(found.jacobian)]), rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize('preset', ['wgan', 'wgan_gp'])
def test_a_bfloat16_run_is_a_game_too(preset):
    # The Jacobian needs forward mode over reverse: fails with TypeError where a product has a rule for reverse only. A
    # product differs from float32's by 0.4 %, which a second derivative of several layers raises to some per cent.
    options = {'arch': 'mlp', 'critic_norm': 'none'}
    small, wide = (
        build_gan(small_settings(preset, precision=precision, **options), 3, conv_impl='matmul')[0]
        for precision in ('bfloat16', 'float32')
    )
    hyperparameters = small_gan(preset, **options)[1]
    state = init_state(wide, hyperparameters, 3)
    tangent = jax.tree.map(lambda x: jax.random.normal(jax.random.key(x.size), x.shape), state.params)

    def products(gan):
        def both(params):
            own = as_game(gan, hyperparameters, state, PIXELS)
            return jacobian_product(own, params, tangent), transposed_product(own, params, tangent)

        return [ravel_pytree(player)[0] for product in jax.jit(both)(state.params) for player in product]

    for a, b in zip(products(small), products(wide), strict=True):
        assert a.dtype == jnp.float32
        assert float(jnp.linalg.norm(a - b)) < 0.1 * float(jnp.linalg.norm(b))


def test_pairs_are_the_same_for_both_players():
    # softplus(a) - softplus(-a) = a: with no penalty the losses of pairs differ by the mean difference of their scores.
    # Fails if the players are shown other images, in another order, or the generator none that are real.
    options = {'arch': 'mlp', 'critic_norm': 'none', 'constraint': 'none'}
    losses = []
    for objective in ('relativistic', 'wasserstein'):
        gan, hyperparameters = small_gan('r3gan', objective=objective, **options)
        state = init_state(gan, hyperparameters, 3)
        game = as_game(gan, hyperparameters, state, PIXELS)
        losses.append([float(loss(state.params)) for loss in game.losses])
    (of_generator, of_critic), (_, minus_estimate) = losses
    np.testing.assert_allclose(of_generator - of_critic, -minus_estimate, rtol=1e-4)
    assert abs(minus_estimate) > 1e-3


def test_clipping_is_the_critic_s_projection():
    gan, hyperparameters, state, pixels = _tiny()
    game = as_game(gan, hyperparameters, state, pixels)
    kept = ravel_pytree(game.projections.critic(jax.tree.map(lambda x: 100 * x, state.params.critic)))[0]
    np.testing.assert_allclose(jnp.abs(kept).max(), hyperparameters.clip, rtol=1e-6)
    assert game.projections.generator(3) == 3


@pytest.mark.slow
def test_a_run_on_an_array_needs_the_array_again(tmp_path):
    images = runs.IMAGES
    wgan_jax.train(runs.tiny(steps=2), tmp_path, dataset=images)
    with pytest.raises(ValueError, match='was trained on an array of images: pass them to load_game'):
        load_game(tmp_path)
    mine = with_images(runs.tiny(), images)[1]
    game, players, step = load_game(tmp_path, images=mine, batch_size=6)
    assert step == 2 and np.isfinite(float(game.losses.critic(players)))
    with pytest.raises(ValueError, match='its content differs'):
        load_game(tmp_path, images=with_images(runs.tiny(), images[::-1])[1])


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(ValueError, match='is not the folder of a training run'):
        load_game(tmp_path)
