"""Fields and Jacobians against finite differences, formulas, and each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from wgan_jax.games import (
    Game,
    bilinear,
    dirac_gan,
    gaussian_mean_wgan,
    jacobian,
    jacobian_product,
    matching_pennies,
    potential_hamiltonian_split,
    quadratic,
    transposed_product,
    vector_field,
)
from wgan_jax.games.game import mixed_product
from wgan_jax.types import Players


def _tree_game():
    """Players of several arrays each, coupled so that no block of the Jacobian is symmetric or zero by luck."""

    def generator_loss(w):
        a, b = w.generator['a'], w.generator['b']
        return jnp.sum(jnp.sin(a) * w.critic[0]) + b**2 * jnp.sum(w.critic[1] ** 3) + jnp.sum(a**2) * b

    def critic_loss(w):
        return jnp.sum(w.critic[0] * w.generator['a'] ** 2) * w.generator['b'] + jnp.sum(jnp.exp(w.critic[1])) ** 2

    game = Game(Players(generator_loss, critic_loss))
    rng = np.random.default_rng(0)
    return game, Players(
        {'a': jnp.asarray(rng.normal(size=3)), 'b': jnp.asarray(0.7)},
        [jnp.asarray(rng.normal(size=3)), jnp.asarray(rng.normal(size=(2, 1)))],
    )


def _flat_field(game, like):
    unravel = ravel_pytree(like)[1]
    return jax.jit(lambda x: ravel_pytree(vector_field(game, unravel(x)))[0])


def test_field_and_jacobian_equal_finite_differences():
    game, w = _tree_game()
    x, unravel = ravel_pytree(w)
    h, eye = 1e-5, np.eye(x.size)
    owners = [3 + 1, x.size - 4]  # numbers of the generator come first
    losses = jax.jit(lambda x: jnp.stack([game.losses.generator(unravel(x)), game.losses.critic(unravel(x))]))
    slopes = np.stack([(losses(x + h * e) - losses(x - h * e)) / (2 * h) for e in eye])
    own = np.concatenate([slopes[: owners[0], 0], slopes[owners[0] :, 1]])
    field = _flat_field(game, w)
    np.testing.assert_allclose(field(x), own, rtol=1e-8, atol=1e-9)
    differences = np.stack([(field(x + h * e) - field(x - h * e)) / (2 * h) for e in eye], axis=1)
    np.testing.assert_allclose(jax.jit(lambda w: jacobian(game, w))(w), differences, rtol=1e-8, atol=1e-9)


def test_products_equal_the_dense_jacobian():
    game, w = _tree_game()
    x, unravel = ravel_pytree(w)
    v = np.random.default_rng(1).normal(size=x.size)

    @jax.jit
    def products(w, v):
        maps = (jacobian_product, transposed_product, mixed_product)
        return jacobian(game, w), [ravel_pytree(f(game, w, unravel(v)))[0] for f in maps]

    matrix, (forward, transposed, mixed) = products(w, v)
    matrix = np.array(matrix)
    np.testing.assert_allclose(forward, matrix @ v, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(transposed, matrix.T @ v, rtol=1e-12, atol=1e-12)
    matrix[:4, :4] = matrix[4:, 4:] = 0
    np.testing.assert_allclose(mixed, matrix @ v, rtol=1e-12, atol=1e-12)


def test_gradient_of_the_squared_field_is_the_transposed_product():
    game, w = _tree_game()
    squared = jax.grad(lambda w: jnp.sum(ravel_pytree(vector_field(game, w))[0] ** 2) / 2)(w)
    product = transposed_product(game, w, vector_field(game, w))
    np.testing.assert_allclose(ravel_pytree(squared)[0], ravel_pytree(product)[0], rtol=1e-12)


def test_fields_of_the_small_games_equal_their_formulas():
    g, d = 0.7, -1.3
    w = Players(jnp.asarray(g), jnp.asarray(d))
    sigmoid = 1 / (1 + np.exp(-g * d))
    expected = [
        (bilinear(), (d, -g)),
        (quadratic(0.3), (0.3 * g + d, 0.3 * d - g)),
        (matching_pennies(), (np.tanh(d / 2) / np.cosh(g / 2) ** 2 / 2, -np.tanh(g / 2) / np.cosh(d / 2) ** 2 / 2)),
        (dirac_gan('minimax'), (-d * sigmoid, g * sigmoid)),
        (dirac_gan('non_saturating'), (-d * (1 - sigmoid), g * sigmoid)),
        (dirac_gan('wasserstein'), (-d, g)),
        (dirac_gan('wasserstein', gradient_penalty=0.7), (-d, g + 1.4 * (abs(d) - 1) * np.sign(d))),
        (dirac_gan('minimax', r1=0.3, r2=0.2), (-d * sigmoid, g * sigmoid + 0.5 * d)),
    ]
    for game, field in expected:
        np.testing.assert_allclose(vector_field(game, w), field, rtol=1e-13)
    vector = Players(jnp.array([1.0, 2.0]), jnp.array([3.0, -4.0]))
    field = vector_field(gaussian_mean_wgan(np.array([5.0, 7.0])), vector)
    np.testing.assert_allclose(field, ([-3, 4], [1 - 5, 2 - 7]), rtol=1e-14)
    matrix = np.array([[1.0, 2.0], [0.0, -3.0]])
    field = vector_field(bilinear(matrix), vector)
    np.testing.assert_allclose(field, (matrix @ vector.critic, -matrix.T @ vector.generator), rtol=1e-14)


def test_split_gives_the_potential_and_the_rotation():
    at = Players(jnp.asarray(0.4), jnp.asarray(-0.2))
    symmetric, antisymmetric = potential_hamiltonian_split(quadratic(0.3), at)
    np.testing.assert_allclose(symmetric, 0.3 * np.eye(2), rtol=0, atol=1e-15)
    np.testing.assert_allclose(antisymmetric, [[0, 1], [-1, 0]], rtol=0, atol=1e-15)
    game, w = _tree_game()
    symmetric, antisymmetric, matrix = jax.jit(lambda w: (*potential_hamiltonian_split(game, w), jacobian(game, w)))(w)
    np.testing.assert_array_equal(symmetric, symmetric.T)
    np.testing.assert_array_equal(antisymmetric, -antisymmetric.T)
    np.testing.assert_allclose(symmetric + antisymmetric, matrix, rtol=1e-13, atol=1e-14)


def test_instance_noise_is_the_expectation_over_the_noise():
    # Against a fine trapezoidal rule, whose error for analytic integrands that vanish at both ends is negligible.
    x = np.linspace(-12, 12, 4001)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi) * (x[1] - x[0])

    def f(t):
        return -np.logaddexp(0, -t)

    theta, psi, noise = 0.8, -1.7, 0.7
    value = np.sum(density * (f(psi * noise * x) + f(-psi * (theta + noise * x))))
    game = dirac_gan('minimax', instance_noise=noise)
    np.testing.assert_allclose(-game.losses.critic(Players(theta, psi)), value, rtol=1e-10)


@pytest.mark.parametrize(
    'make, message',
    [
        (lambda: dirac_gan('hinge'), 'kind=hinge is unknown; there are: minimax, non_saturating, wasserstein'),
        (lambda: dirac_gan('wasserstein', clip=0.0), 'clip=0.0 must be a positive number'),
        (lambda: dirac_gan(instance_noise=-1.0), 'instance_noise=-1.0 must be a positive number'),
        (lambda: bilinear(np.ones(3)), 'matrix must have two axes'),
    ],
)
def test_games_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
