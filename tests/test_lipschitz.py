"""Bounds of Lipschitz constants: closed forms, samples below, the explicit product above, and the theorem."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from wgan_jax.lipschitz import layer_gradients, lower_bounds, upper_bound
from wgan_jax.networks import dcgan, mlp
from wgan_jax.types import Network, Variables

RANDOM = np.random.default_rng(0)


def _drawn(network, scale=1.0):
    params, state = jax.eval_shape(network.init, jax.random.key(0))
    draw = lambda a: jnp.asarray(scale * RANDOM.normal(size=a.shape), a.dtype)  # noqa: E731
    return Variables(jax.tree.map(draw, params), jax.tree.map(lambda a: jnp.ones(a.shape, a.dtype), state))


@pytest.mark.parametrize('size, depth, expected', [(2, 3, 1.898125312), (784, 2, 7.340032)])
def test_closed_form_of_clipped_mlps(size, depth, expected):
    network = mlp.critic((size,), width=512, depth=depth)
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    corner = jax.tree.map(lambda a: jnp.full(a.shape, 0.01, a.dtype), shapes)
    np.testing.assert_allclose(upper_bound(network, corner, clip=0.01), expected, rtol=1e-6)
    # Attained where all weights are c and every unit is active: there the gradient is that long.
    found = lower_bounds(
        lambda x: network.apply(corner, x, train=False)[0], jnp.ones((2, size)) * jnp.arange(1, 3.0)[:, None]
    )
    np.testing.assert_allclose(found.gradient, expected, rtol=2e-5)
    np.testing.assert_allclose(found.slope, expected, rtol=2e-5)


def test_closed_form_of_clipped_convolutions_bounds_the_corner():
    # (c 16 / 2 sqrt(C D)) for each 4x4 convolution of stride 2; zeros around the image keep it from being attained.
    network = dcgan.critic((16, 16, 3), width=4, norm='none', conv_impl='native', num_doublings=4)
    variables = _drawn(network)
    channels = [3, 4, 8, 16, 32]
    convolutions = [0.01 * 8 * np.sqrt(c * d) for c, d in itertools.pairwise(channels)]
    np.testing.assert_allclose(network.bounds(variables, 0.01), [*convolutions, 0.01 * np.sqrt(32)], rtol=1e-6)
    corner = jax.tree.map(lambda a: jnp.full(a.shape, 0.01, a.dtype), variables)
    bounds = np.asarray(network.bounds(corner))
    assert (
        np.all(bounds <= 1.001 * np.array([*convolutions, 0.01 * np.sqrt(32)])) and bounds[0] > 0.99 * convolutions[0]
    )


@pytest.mark.parametrize('parametrization', [None, 'spectral', 'orthonormal'])
def test_bounds_enclose_the_critic_and_the_estimate_never_exceeds_the_distance(parametrization):
    # The theorem: estimate / K <= W1 on the same two samples, here by an assignment (scipy), for any weights.
    # Fails if a bound falls below a norm, if a bias or activation is counted wrongly, or if pairs are measured wrongly.
    network = mlp.critic((2,), width=16, parametrization=parametrization)
    real, fake = RANDOM.normal(size=(64, 2)), RANDOM.normal(size=(64, 2)) * [1, 2] + [1, 0]
    costs = np.linalg.norm(real[:, None] - fake[None], axis=-1)
    w1 = costs[linear_sum_assignment(costs)].mean()
    points = jnp.asarray(np.concatenate([real, fake]), jnp.float32)

    @jax.jit
    def facts(variables):
        def critic(x):
            return network.apply(variables, x, train=False)[0]

        scores = critic(points)
        return upper_bound(network, variables), lower_bounds(critic, points), scores[:64].mean() - scores[64:].mean()

    for scale in (0.1, 1.0):
        upper, lower, estimate = facts(_drawn(network, scale))
        assert 0 < lower.slope <= upper and 0 < lower.gradient <= upper
        assert abs(estimate) / upper <= w1
    if parametrization is None:
        linear = mlp.critic((2,), width=16, depth=0)
        # A linear critic attains both: K = ||w||, and along w the estimate is K times the shift.
        variables = Variables({'score': {'kernel': jnp.array([[3.0], [4.0]]), 'bias': jnp.ones(1)}}, {})
        score = lambda x: linear.apply(variables, x, train=False)[0]  # noqa: E731
        shifted = jnp.asarray(real + np.array([0.6, 0.8]), jnp.float32)
        estimate = score(shifted).mean() - score(jnp.asarray(real, jnp.float32)).mean()
        np.testing.assert_allclose(estimate / upper_bound(linear, variables), 1.0, rtol=1e-5)
        np.testing.assert_allclose(jnp.stack(lower_bounds(score, shifted)), 5.0, rtol=1e-3)


def test_slopes_are_exact_for_close_pairs_and_ignore_equal_ones():
    # Distances from inner products would be zero or twice too large here.
    points = jnp.array([[1000.0, 0.0], [1000.0, 0.0], [1000.0, 2**-10]])
    found = lower_bounds(lambda x: 3 * x[:, 1], points)
    assert found.slope == 3 and found.gradient == 3


def test_what_makes_no_pair_is_refused():
    with pytest.raises(ValueError, match='shifts=0 must be at least 1'):
        lower_bounds(lambda x: x.sum(-1), jnp.ones((3, 2)), shifts=0)
    with pytest.raises(ValueError, match='points: 1 make no pair'):
        lower_bounds(lambda x: x.sum(-1), jnp.ones((1, 2)))


def test_no_bound_exists_with_batch_norm_and_layer_norm_s_is_valid():
    network = dcgan.critic((16, 16, 1), width=4, conv_impl='native')
    with pytest.raises(ValueError, match='no Lipschitz bound exists: batch normalisation'):
        upper_bound(network, _drawn(network))
    with pytest.raises(ValueError, match='does not report'):
        upper_bound(Network(None, None), None)
    network = dcgan.critic((16, 16, 1), width=4, norm='layer', conv_impl='native')
    variables = _drawn(network)
    bounds = network.bounds(variables)
    scale = max(abs(np.asarray(variables.params['norm_1']['scale'])))
    np.testing.assert_allclose(bounds[2], scale / np.sqrt(1e-5), rtol=1e-6)
    assert len(bounds) == 4  # two convolutions, a normalisation between, and the last layer


def test_layer_gradients_are_those_of_the_chain_rule():
    network = mlp.critic((3,), width=5, depth=3)
    variables = _drawn(network)
    x = jnp.asarray(RANDOM.normal(size=(7, 3)), jnp.float32)
    w = [
        np.asarray(variables.params[name]['kernel'], np.float64)
        for name in ('hidden_0', 'hidden_1', 'hidden_2', 'score')
    ]
    b = [np.asarray(variables.params[f'hidden_{i}']['bias'], np.float64) for i in range(3)]
    a, active = [np.asarray(x, np.float64)], []
    for i in range(3):
        active.append(a[-1] @ w[i] + b[i] > 0)
        a.append(np.maximum(a[-1] @ w[i] + b[i], 0))
    third = np.tile(w[3].T, (7, 1))
    second = (third * active[2]) @ w[2].T
    first = (second * active[1]) @ w[1].T
    expected = [np.linalg.norm(g) for g in (first, second, third)]
    np.testing.assert_allclose(layer_gradients(network, variables, x), expected, rtol=1e-5)
