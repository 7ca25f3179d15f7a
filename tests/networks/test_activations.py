"""Activations that sort, against numpy's sort and the permutations that their derivatives must be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.networks import mlp
from wgan_jax.networks.activations import full_sort, max_min

RANDOM = np.random.default_rng(0)


def test_max_min_permutes_and_takes_the_absolute_value():
    x = jnp.asarray(RANDOM.normal(size=(5, 6)), jnp.float32)
    np.testing.assert_array_equal(np.sort(max_min(x), 1), np.sort(x, 1))
    np.testing.assert_array_equal(max_min(x)[:, :3] >= max_min(x)[:, 3:], True)
    slopes = jax.jacobian(max_min)(x[0])
    np.testing.assert_array_equal(slopes @ slopes.T, np.eye(6))
    pair = max_min(jnp.array([[0.3, -0.3], [-0.7, 0.7]]))
    np.testing.assert_allclose(pair @ jnp.array([0.5, -0.5]), [0.3, 0.7])
    np.testing.assert_array_equal(max_min(x.T, 0), max_min(x).T)
    with pytest.raises(ValueError, match='cannot take 5'):
        max_min(x[:, :5])


@pytest.mark.parametrize('shape', [(1,), (2,), (7, 3), (2, 3, 8), (5, 37), (4, 128)])
def test_full_sort_is_a_sort_and_its_derivative_the_permutation(shape):
    # Fails for a run that is not mirrored, a step left out, padding that comes into the result, or axes mixed up.
    x = np.asarray(RANDOM.normal(size=shape), np.float32)
    np.testing.assert_array_equal(full_sort(jnp.asarray(x)), np.sort(x))
    row = x.reshape(-1, shape[-1])[0]
    np.testing.assert_array_equal(jax.jacobian(full_sort)(jnp.asarray(row)), np.eye(shape[-1])[np.argsort(row)])


def test_full_sort_shares_the_gradient_among_equal_units():
    slopes = jax.jacobian(full_sort)(jnp.array([2.0, 1.0, 2.0, 1.0, 1.0, 0.0]))
    np.testing.assert_allclose(slopes.sum(0), 1)
    np.testing.assert_allclose(slopes.sum(1), 1)
    assert np.linalg.norm(slopes, 2) <= 1 + 1e-6 and not slopes[:4, [0, 2]].any() and not slopes[4:, [1, 3, 4]].any()


def test_a_critic_of_full_sorts_is_as_steep_as_its_bound_says():
    # Fails for units that are not sorted but cut: the norm of the gradient would be below 1 nearly everywhere.
    kind = {'parametrization': 'orthonormal', 'activation': 'full_sort'}
    assert mlp.critic((8,), width=7, **kind)  # there are no pairs that an odd width would not have
    network = mlp.critic((8,), width=8, depth=3, **kind)
    variables = network.init(jax.random.key(0))
    points = jnp.asarray(RANDOM.normal(size=(64, 8)), jnp.float32)
    gradients = jax.vmap(jax.grad(lambda x: network.apply(variables, x[None], train=False)[0][0]))(points)
    np.testing.assert_allclose(np.linalg.norm(gradients, axis=1), 1, rtol=1e-5)
    assert ' sort' not in jax.jit(jax.grad(lambda x: full_sort(x).sum() ** 2)).lower(points).compile().as_text()
