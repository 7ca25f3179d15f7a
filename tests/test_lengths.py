"""Lengths at every size a float32 can have, and their derivatives at the points where roots and quotients break."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.lengths import length, pairwise_distances, tree_length, unit

X = np.random.default_rng(0).normal(size=(4, 3, 5)).astype(np.float32)


@pytest.mark.parametrize('size', [1e-35, 1e-30, 1e-12, 1.0, 1e12, 1e30, 1e37])
def test_length_and_unit_at_any_size(size):
    # Fails for the root of the sum of squares, which is 0 below 1e-19 and infinite above 1e19.
    x = jnp.asarray(X * np.float32(size))
    exact = np.linalg.norm(np.asarray(x, np.float64), axis=(1, 2))
    np.testing.assert_allclose(jax.jit(lambda x: length(x, (1, 2)))(x), exact, rtol=1e-6)
    np.testing.assert_allclose(length(x), np.linalg.norm(exact), rtol=1e-6)
    np.testing.assert_allclose(unit(x, (1, 2)), np.asarray(x, np.float64) / exact[:, None, None], rtol=1e-6)
    slopes = jax.jit(jax.grad(lambda x: jnp.sum(length(x, (1, 2)))))(x)
    np.testing.assert_allclose(slopes, np.asarray(x, np.float64) / exact[:, None, None], rtol=1e-6)


@pytest.mark.parametrize('size', [1e-30, 1.0, 1e30])
def test_second_derivative_is_the_projection_over_the_length(size):
    # d2 |x| = (I - u u^T) / |x|: fails if the scale takes part in the derivative of the root but not in that of x / m.
    x = jnp.asarray(X[0, 0] * np.float32(size))
    u = np.asarray(x, np.float64)
    exact = np.linalg.norm(u)
    u = u / exact
    hessian = jax.jit(jax.hessian(length))(x)
    np.testing.assert_allclose(np.asarray(hessian, np.float64) * exact, np.eye(5) - np.outer(u, u), atol=2e-6)


@pytest.mark.parametrize('size, cotangent', [(1e-30, 1e-20), (1e30, 1e20), (2e-38, 1.0), (4e-39, 1.0)])
def test_gradient_is_of_the_size_of_its_cotangent(size, cotangent):
    # Fails where the cotangent is multiplied by the magnitude of x on its way: 1e-50 is no float32.
    x = jnp.asarray(np.float32(size) * np.float32([3, 4]))
    for outer in (jax.jit, lambda f: f):
        slope = outer(jax.grad(lambda x: jnp.float32(cotangent) * length(x)))(x)
        np.testing.assert_allclose(slope / jnp.float32(cotangent), [0.6, 0.8], rtol=1e-6)


def test_zero_has_length_0_and_gradient_0():
    zero = jnp.zeros((2, 3))
    assert length(zero) == 0 and tree_length([zero, zero]) == 0
    assert tree_length({'none': ()}) == tree_length([jnp.zeros((0, 3))]) == 0
    np.testing.assert_array_equal(jax.jit(jax.grad(length))(zero), 0)
    # Also to second order: there is no direction, and none is made up.
    np.testing.assert_array_equal(jax.hessian(length)(jnp.zeros(3)), 0)
    np.testing.assert_array_equal(jax.jacobian(unit)(jnp.zeros(3)), 0)
    # One row of zeros must not spoil the others, also where the length is differentiated twice.
    rows = jnp.array([[0.0, 0.0], [3.0, 4.0]])
    second = jax.jit(jax.grad(lambda x: jnp.sum(jax.grad(lambda x: jnp.sum(length(x, 1)))(x) ** 2)))(rows)
    np.testing.assert_allclose(second, 0, atol=1e-6)
    np.testing.assert_array_equal(unit(zero), 0)


@pytest.mark.parametrize(('bad', 'shown'), [(np.nan, np.isnan), (np.inf, np.isinf), (-np.inf, np.isinf)])
def test_what_is_not_finite_has_no_finite_length(bad, shown):
    # Fails where `squares > 0` decides, which is false for NaN: a run that has blown up then reports a norm of 0.
    x = jnp.array([[1.0, bad], [3.0, 4.0]])
    rows = np.asarray(length(x, 1))
    assert shown(rows[0]) and rows[1] == 5
    assert not np.isfinite(length(x)) and not np.isfinite(tree_length({'a': x, 'b': jnp.ones(3)}))


def test_tree_length_is_that_of_all_numbers_together():
    tree = {'a': jnp.full((2, 3), 1e-25), 'b': (jnp.full(4, -2e-25), jnp.zeros((0, 3)), jnp.zeros(2))}
    np.testing.assert_allclose(tree_length(tree), 1e-25 * np.sqrt(6 + 16), rtol=1e-6)


@pytest.mark.parametrize('dim', [1, 4, 5, 200])
def test_pairwise_distances_are_those_of_every_pair(dim):
    draw = np.random.default_rng(dim)
    x, y = (draw.normal(1, 1, (n, dim)).astype(np.float32) for n in (6, 9))
    expected = np.linalg.norm(x[:, None].astype(np.float64) - y, axis=-1)
    np.testing.assert_allclose(pairwise_distances(x, y), expected, rtol=1e-5)
    slopes = jax.vmap(jax.grad(lambda one, other: pairwise_distances(one[None], other[None])[0, 0]))(x, y[:6])
    np.testing.assert_allclose(slopes, (x - y[:6]) / np.diag(expected)[:, None], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('dim', [2, 4, 5, 100])
def test_slopes_of_distances_are_right_for_both_sides_beside_a_pair_that_nearly_coincides(dim):
    # Fails where such a pair's large factors take the digits of all others.
    draw = np.random.default_rng(dim)
    x, y = (draw.normal(size=(n, dim)).astype(np.float32) for n in (5, 3))
    y[0], weights = x[1] * np.float32(1 + 3e-7), draw.normal(size=(5, 3)).astype(np.float32)
    ours = jax.grad(lambda x, y: jnp.sum(weights * pairwise_distances(x, y)), argnums=(0, 1))(x, y)
    difference = x[:, None].astype(np.float64) - y
    units = difference / np.linalg.norm(difference, axis=-1, keepdims=True)
    if dim > 4:  # by products: a pair that nearly coincides has the slope 0
        units[1, 0] = 0
    of_x, of_y = np.einsum('nk,nki->ni', weights, units), -np.einsum('nk,nki->ki', weights, units)
    np.testing.assert_allclose(ours[0], of_x, atol=2e-3 if dim > 4 else 1e-5)
    np.testing.assert_allclose(ours[1], of_y, atol=2e-3 if dim > 4 else 1e-5)


@pytest.mark.parametrize('dim', [3, 5, 60, 128, 3072])
def test_no_distance_is_steeper_than_one_however_near_points_are(dim):
    # Fails where a square that rounding has made too small is divided by.
    draw = np.random.default_rng(dim)
    x = draw.uniform(-2, 2, (300, dim)).astype(np.float32)
    for size in (0, 1e-6, 1e-4, 1e-3, 1e-2):
        y = x + size * draw.normal(size=x.shape).astype(np.float32)
        slopes = jax.vmap(jax.grad(lambda one, other: pairwise_distances(one[None], other[None])[0, 0]))(x, y)
        assert np.linalg.norm(slopes, axis=1).max() <= 1 + 1e-5
        near = np.asarray(jnp.diagonal(pairwise_distances(x, y)))
        np.testing.assert_allclose(near, np.linalg.norm(x - y, axis=1), atol=5e-3 * dim**0.5)
