"""Latents and the great circle between them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from wgan_jax.latents import LATENTS, TRUNCATIONS, slerp


@pytest.mark.parametrize('name, mean_square', [('normal', 1.0), ('uniform', 1 / 3)])
def test_latents_have_their_distribution(name, mean_square):
    z = jax.vmap(LATENTS[name](50))(jax.random.split(jax.random.key(0), 400))
    assert z.shape == (400, 50)
    np.testing.assert_allclose(jnp.mean(z**2), mean_square, rtol=0.03)
    assert name == 'normal' or float(jnp.abs(z).max()) <= 1


def test_slerp_keeps_the_length_and_turns_evenly():
    a, b = jnp.array([2.0, 0.0, 0.0]), jnp.array([0.0, 2.0, 0.0])
    points = slerp(a, b, jnp.array([0.0, 1 / 3, 1.0]))
    np.testing.assert_allclose(points, 2 * np.array([[1, 0, 0], [np.sqrt(3) / 2, 0.5, 0], [0, 1, 0]]), atol=1e-6)


def _check_arc(a, b, t, points):
    """Lengths evenly spaced, in the plane of a and b, angles from a in proportion to t; all in float64."""
    a, b, points = (np.asarray(x, np.float64) for x in (a, b, points))
    lengths = np.linalg.norm(points, axis=1)
    expected = (1 - t) * np.linalg.norm(a) + t * np.linalg.norm(b)
    np.testing.assert_allclose(lengths, expected, rtol=2e-6)
    for point, end in ((points[0], a), (points[-1], b)):
        np.testing.assert_allclose(point, end, rtol=0, atol=2e-6 * np.abs(end).max())
    u = points / lengths[:, None]
    steps = 2 * np.arcsin(np.linalg.norm(np.diff(u, axis=0), axis=1) / 2)
    np.testing.assert_allclose(steps, steps.sum() * np.diff(t), rtol=0, atol=3e-6)
    assert steps.sum() <= np.pi + 1e-5
    return steps.sum()


@pytest.mark.parametrize('gap', [0.0, 1e-7, 1e-6, 1e-4, 1e-2, 0.5])
@pytest.mark.parametrize('opposite', [False, True])
@pytest.mark.parametrize('ratio', [1.0, 20.0])
def test_slerp_is_an_arc_with_lengths_between_at_every_angle(gap, opposite, ratio):
    # The angle between a and b is gap, or pi - gap. Fails where sines are divided by one that is nearly 0: opposite
    # vectors of unequal length then go far beyond both, or straight through 0.
    e, f, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(30, 3)))[0].T
    angle = np.pi - gap if opposite else gap
    a, b = (
        jnp.asarray(3 * e, jnp.float32),
        jnp.asarray(3 * ratio * (np.cos(angle) * e + np.sin(angle) * f), jnp.float32),
    )
    t = np.linspace(0, 1, 9)
    points = jax.jit(slerp)(a, b, jnp.asarray(t, jnp.float32))
    np.testing.assert_allclose(_check_arc(a, b, t, points), angle, rtol=0, atol=2e-6)
    if gap > 1e-5:  # below, rounding of a and b decides the plane
        normal = np.linalg.qr(np.stack([e, f]).T)[0]
        outside = points - (np.asarray(points, np.float64) @ normal) @ normal.T
        assert np.abs(outside).max() < 3 * ratio * 5e-7 / gap


@pytest.mark.parametrize('size', [1e-30, 1e30])
def test_slerp_of_any_size(size):
    a, b, t = jnp.array([3.0, 0.0, 1.0]), jnp.array([-1.0, 2.0, 0.5]), np.linspace(0, 1, 5)
    _check_arc(a, b, t, slerp(a * size, b * size, jnp.asarray(t, jnp.float32)) / size)


def test_slerp_of_parallel_latents_is_the_straight_line():
    a, t = jnp.array([1.0, 2.0]), jnp.linspace(0, 1, 5)
    np.testing.assert_allclose(slerp(a, 3 * a, t), (1 + 2 * t)[:, None] * a, rtol=1e-6)


def test_slerp_from_or_to_zero_is_the_straight_line():
    zero, b, t = jnp.zeros(3), jnp.array([1.0, -2.0, 0.5]), jnp.linspace(0, 1, 5)
    np.testing.assert_allclose(slerp(zero, b, t), t[:, None] * b, atol=1e-6)
    np.testing.assert_allclose(slerp(b, zero, t), (1 - t)[:, None] * b, atol=1e-6)
    np.testing.assert_array_equal(slerp(zero, zero, t), np.zeros((5, 3)))
    assert jnp.isfinite(jax.jacobian(slerp)(zero, zero, t)).all()


def test_slerp_of_whole_numbers():
    points = slerp(jnp.array([2, 0]), jnp.array([0, 2]), jnp.array([0, 1]))
    np.testing.assert_allclose(points, [[2, 0], [0, 2]], atol=1e-6)


def test_slerp_in_one_dimension():
    t = jnp.array([0.0, 0.25, 0.5, 1.0])
    points = slerp(jnp.array([2.0]), jnp.array([-2.0]), t)[:, 0]
    np.testing.assert_allclose(points, [2, np.sqrt(2), 0, -2], atol=1e-6)
    np.testing.assert_allclose(slerp(jnp.array([2.0]), jnp.array([4.0]), t)[:, 0], 2 + 2 * t, rtol=1e-6)


@pytest.mark.parametrize('bound', [0.05, 0.7, 4.0])
def test_truncated_latents_are_those_of_the_law_given_the_bound(bound):
    # Fails for a clip, a scale, or a bound in other units; at the ends for what float32 rounds to infinity.
    z = np.concatenate([np.linspace(-5.5, 5.5, 111), [-40.0, 0.0, 40.0]])
    exact = stats.truncnorm.ppf(stats.norm.cdf(z), -bound, bound)
    truncated = np.asarray(TRUNCATIONS['normal'](jnp.float32(z), bound))
    np.testing.assert_allclose(truncated, exact, atol=3e-3 if bound > 3 else 1e-5)
    assert np.abs(truncated).max() <= np.float32(bound) and truncated[-2] == 0
    if bound < 1:
        np.testing.assert_allclose(TRUNCATIONS['uniform'](jnp.linspace(-1, 1, 5), bound), bound * np.linspace(-1, 1, 5))
