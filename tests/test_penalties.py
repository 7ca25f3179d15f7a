"""The gradient penalty against closed forms, finite differences and the mistakes that are often made in it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.constraints import CONSTRAINTS
from wgan_jax.penalties import (
    both_sides_penalty,
    dragan_penalty,
    gradient_norms,
    gradient_penalty,
    r1_penalty,
    r2_penalty,
)

KEY = jax.random.key(3)


def _batch(seed, shape=(6, 4, 2)):
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize('target', [0.0, 1.0, 2.5])
def test_linear_critic_has_penalty_of_its_weight_norm(target):
    w = jnp.arange(1.0, 9.0).reshape(4, 2) / 5

    def critic(x):
        return jnp.einsum('nij,ij->n', x, w)

    expected = (np.linalg.norm(w) - target) ** 2
    penalty = gradient_penalty(critic, _batch(0), _batch(1), KEY, target=target)
    np.testing.assert_allclose(penalty, expected, rtol=1e-6)
    one_sided = gradient_penalty(critic, _batch(0), _batch(1), KEY, target=target, one_sided=True)
    np.testing.assert_allclose(one_sided, max(0, np.linalg.norm(w) - target) ** 2, rtol=1e-6)


def test_one_sided_ignores_small_gradients():
    penalty = gradient_penalty(lambda x: 0.3 * x[:, 0, 0], _batch(0), _batch(1), KEY, one_sided=True)
    assert penalty == 0
    two_sided = gradient_penalty(lambda x: 0.3 * x[:, 0, 0], _batch(0), _batch(1), KEY)
    np.testing.assert_allclose(two_sided, 0.49, rtol=1e-6)


def test_norm_is_per_sample_not_over_the_batch():
    scale = jnp.array([1.0, 2.0, 3.0])
    norms = gradient_norms(lambda x: scale * x[:, 0], jnp.zeros((3, 5)))
    np.testing.assert_allclose(norms, scale)


def test_interpolates_lie_on_the_segment_with_one_weight_per_sample():
    # f = |x|^2 / 2 has gradient x: with real = a and fake = b constant over the pixels, an interpolate is constant
    # over its pixels, so its norm is sqrt(pixels) times a number between a and b, another one for each sample.
    real, fake = jnp.full((64, 3, 3, 1), 1.0), jnp.full((64, 3, 3, 1), 2.0)
    seen = []

    def critic(x):
        seen.append(x)
        return jnp.sum(x**2, axis=(1, 2, 3)) / 2

    with jax.disable_jit():
        penalty = gradient_penalty(critic, real, fake, KEY, target=0.0)
    # E (3 u)^2 for u ~ U[1, 2] is 9 * 7/3, up to the sampling error of 64 draws.
    assert 9 * 7 / 3 * 0.75 < penalty < 9 * 7 / 3 * 1.25
    x = np.asarray(jax.lax.stop_gradient(seen[0].primal if hasattr(seen[0], 'primal') else seen[0]))
    assert np.ptp(x, axis=(1, 2, 3)).max() == 0
    assert x.min() >= 1 and x.max() <= 2 and np.unique(x[:, 0, 0, 0]).size == 64


def test_keys_per_sample_make_a_sample_independent_of_its_batch():
    def critic(x):
        return jnp.sum(jnp.sin(3 * x), axis=(1, 2))

    keys = jax.random.split(KEY, 6)
    whole = gradient_penalty(critic, _batch(0), _batch(1), keys)
    singles = [gradient_penalty(critic, _batch(0)[i : i + 1], _batch(1)[i : i + 1], keys[i : i + 1]) for i in range(6)]
    np.testing.assert_allclose(whole, np.mean(singles), rtol=1e-6)


def test_zero_gradient_gives_finite_value_and_finite_derivative():
    def loss(w):
        return gradient_penalty(lambda x: w * jnp.sum(x, axis=(1, 2)), _batch(0), _batch(1), KEY)

    value, slope = jax.value_and_grad(loss)(0.0)
    assert value == 1 and slope == 0
    assert jnp.isfinite(jax.grad(jax.grad(loss))(0.0))


@pytest.mark.parametrize('size', [1e-30, 1e-20, 1e20, 1e30])
def test_gradient_norms_of_any_size(size):
    # In float32 the squares of numbers below 1e-19 are 0, and those of numbers above 1e19 infinite.
    w = np.random.default_rng(0).normal(size=(4, 2))
    norms = gradient_norms(lambda x: jnp.einsum('nij,ij->n', x, jnp.asarray(w * size, jnp.float32)), _batch(0))
    np.testing.assert_allclose(norms, np.full(6, np.linalg.norm(w) * size), rtol=1e-6)


@pytest.mark.parametrize('size', [1e-30, 1e-3])
def test_derivative_of_a_penalty_on_a_tiny_gradient(size):
    # (c |w| - 1)^2 has the slope 2 (c |w| - 1) |w| in c, -2 |w| for a tiny c: 0 if the norm is taken for 0.
    w = np.array([3.0, 4.0], np.float32)

    def loss(c):
        return gradient_penalty(lambda x: c * (x @ w), _batch(0, (5, 2)), _batch(1, (5, 2)), KEY)

    np.testing.assert_allclose(jax.jit(jax.grad(loss))(size), 2 * (5 * size - 1) * 5, rtol=1e-5)


def test_a_gradient_that_is_not_a_number_has_no_norm():
    # Fails where `squares > 0` tells zeros, for which NaN is one: a broken critic would pass for a flat one.
    norms = gradient_norms(lambda x: x[:, 0] * jnp.array([1.0, jnp.nan, jnp.inf]), jnp.zeros((3, 2)))
    assert norms[0] == 1 and np.isnan(norms[1]) and not np.isfinite(norms[2])


@pytest.mark.parametrize('name', [name for name, c in CONSTRAINTS.items() if c.penalty is not None])
def test_derivative_in_the_parameters_equals_finite_differences(name):
    # Fails if a gradient is cut (stop_gradient) or a penalty is taken elsewhere than its value says.
    with jax.enable_x64(True):
        w = jnp.asarray(np.random.default_rng(0).normal(size=(8, 5)))
        v = jnp.asarray(np.random.default_rng(1).normal(size=5))
        real, fake = (jnp.asarray(np.random.default_rng(s).normal(size=(6, 8))) for s in (2, 3))

        def loss(w):
            return CONSTRAINTS[name].penalty(lambda x: jnp.tanh(x @ w) @ v, real, fake, KEY)

        direction = np.random.default_rng(4).normal(size=w.shape)
        h = 1e-5
        loss = jax.jit(jax.value_and_grad(loss))
        expected = (loss(w + h * direction)[0] - loss(w - h * direction)[0]) / (2 * h)
        np.testing.assert_allclose(np.vdot(loss(w)[1], direction), expected, rtol=1e-7)


def test_linear_critic_has_r1_and_r2_of_half_its_weight_squared():
    # Fails without the half, so that --penalty_weight=10 would not be the published gamma.
    w = np.array([3.0, 4.0], np.float32)
    for penalty in (r1_penalty, r2_penalty):
        np.testing.assert_allclose(penalty(lambda x: x @ w, _batch(0, (5, 2)), _batch(1, (5, 2)), KEY), 12.5, rtol=1e-6)
    both = both_sides_penalty(lambda x: x @ w, _batch(0, (5, 2)), _batch(1, (5, 2)), KEY)
    np.testing.assert_allclose(both, 25, rtol=1e-6)  # not their mean


def test_r1_looks_at_real_and_r2_at_fake_and_their_sum_at_both():
    real, fake = np.full((4, 2, 3), 2.0, np.float32), np.full((4, 2, 3), 5.0, np.float32)  # f = |x|^2 / 2: gradient x
    for penalty, sides in ((r1_penalty, [2.0]), (r2_penalty, [5.0]), (both_sides_penalty, [2.0, 5.0])):
        value = penalty(lambda x: jnp.sum(x**2, axis=(1, 2)) / 2, real, fake, KEY)
        np.testing.assert_allclose(value, sum(6 * side**2 / 2 for side in sides), rtol=1e-6)


def test_dragan_looks_at_points_that_the_batch_s_one_deviation_allows():
    # f = sum x^2 / 2 has gradient x, so the penalty with target 0 is E |x|^2 of the points it was taken at. Entry e of
    # those is real + a s u / 2, a and u uniform: E = real^2 + real s / 4 + s^2 / 36. Fails with a deviation per sample
    # (0 here, real being constant over pixels), with noise of both signs, and if each device takes its own deviation.
    real, keys = jnp.repeat(jnp.array([-1.0, -1.0, 1.0, 5.0]), 500)[:, None] * jnp.ones(30), jax.random.split(KEY, 2000)

    def penalty(real, keys):
        return dragan_penalty(lambda x: jnp.sum(x**2, 1) / 2, real, real, keys, target=0.0, axis_name='devices')

    mapped = jax.jit(jax.vmap(penalty, axis_name='devices'))
    deviation = np.sqrt(6)  # of the four values; 2 and sqrt(8) of each half
    expected = 30 * np.mean([r**2 + r * deviation / 4 + 6 / 36 for r in (-1.0, -1.0, 1.0, 5.0)])
    np.testing.assert_allclose(mapped(real.reshape(2, 1000, 30), keys.reshape(2, 1000)).mean(), expected, rtol=1e-2)


@pytest.mark.parametrize('name', [name for name, c in CONSTRAINTS.items() if c.penalty is not None])
def test_every_penalty_of_a_constant_critic_has_finite_derivatives(name):
    def loss(w):
        return CONSTRAINTS[name].penalty(lambda x: w * jnp.sum(x, axis=(1, 2)), _batch(0), _batch(1), KEY)

    value, slope = jax.jit(jax.value_and_grad(loss))(0.0)
    assert value == (1 if name in ('gradient_penalty', 'dragan') else 0) and slope == 0


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r'real .* and fake'):
        gradient_penalty(lambda x: x[:, 0], jnp.zeros((3, 2)), jnp.zeros((4, 2)), KEY)
    with pytest.raises(ValueError, match='one per sample'):
        gradient_penalty(lambda x: x[:, 0], jnp.zeros((3, 2)), jnp.zeros((3, 2)), jax.random.split(KEY, 2))
