"""Integrals over the line of functions of two Gaussian densities, by nodes that lie where such functions change.

Gauss-Legendre panels between break points: one standard deviation apart within 13 of either mean, and in powers of two
around each point where the densities cross, in units of the distance over which their logarithms differ by one. So the
same number of nodes serves equal Gaussians, far-apart ones and ones of very different widths.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.distances.kinks import absolute, root
from wgan_jax.types import Array

REACH = 13  # standard deviations; exp(-13^2 / 2) = 2e-37
POINTS, WEIGHTS = np.polynomial.legendre.leggauss(12)  # of one panel


class Pair(NamedTuple):
    """Two Gaussians in the coordinate z that makes the narrower one N(0, 1) and the other N(m, s^2), m >= 0, s >= 1.

    x = mean of the narrower + sign * unit * z.

    Attributes:
        first_is_narrow: whether the first of the two is N(0, 1).
        unit: standard deviation of the narrower.
        sign: +1 or -1.
        m, s: mean and standard deviation of the wider.
        t: s - 1, with its own relative precision.
    """

    first_is_narrow: Array
    unit: Array
    sign: Array
    m: Array
    s: Array
    t: Array


def standardise(mean0: Array, std0: Array, mean1: Array, std1: Array) -> Pair:
    """The pair in standard coordinates.

    Args:
        mean0, std0, mean1, std1: means and standard deviations, (...), all of one shape.

    Returns:
        A ``Pair`` of arrays of that shape.
    """
    first_is_narrow = std0 <= std1
    unit, wide = jnp.where(first_is_narrow, std0, std1), jnp.where(first_is_narrow, std1, std0)
    shift = jnp.where(first_is_narrow, mean1 - mean0, mean0 - mean1)
    sign = jnp.where(shift < 0, -1.0, 1.0)
    return Pair(first_is_narrow, unit, sign, absolute(shift) / unit, wide / unit, (wide - unit) / unit)


def crossings(m: Array, s: Array, t: Array) -> tuple[Array, Array, Array]:
    """Where N(0, 1) and N(m, s^2) have equal densities, m >= 0, s = 1 + t >= 1.

    The roots of (s^2 - 1) z^2 + 2 m z - (m^2 + 2 s^2 log s) = 0, written so that nothing cancels and no square of s
    overflows. The narrow density is the larger one between them. The lower root goes to -infinity as s goes to 1; it
    stops where its densities are negligible beside those at the upper one.

    Args:
        m, s, t: mean and standard deviation of the wider Gaussian and its excess over 1, (...).

    Returns:
        The lower root and the upper one, 0 for equal distributions, and the slope of the log-ratio of the densities at
        either; (...).
    """
    a, k, log_s = t / s * ((s + 1) / s), m / s, jnp.log1p(t)
    square = k**2 + 2 * a * log_s
    differ, slope = square > 0, root(square)
    far = k / s + slope
    upper = jnp.where(differ, (k**2 + 2 * log_s) / jnp.where(differ, far, 1), 0)
    lower = -far / jnp.where(a > 0, a, 1)
    return jnp.maximum(jnp.where(a > 0, lower, -jnp.inf), -2 * upper - 100), upper, slope


def nodes(m: Array, s: Array, t: Array) -> tuple[Array, Array]:
    """Nodes and weights for integrals of smooth functions of the two densities over the line.

    They are constants to differentiation: an integral does not depend on where its nodes lie, so the derivative of the
    integrand is all there is.

    Args:
        m, s, t: as for ``crossings``, (...).

    Returns:
        Nodes z and weights, (..., K), so that the integral of f is about sum_k weights_k f(z_k).
    """
    m, s, t = (jax.lax.stop_gradient(array)[..., None] for array in (m, s, t))
    lower, upper, slope = crossings(m, s, t)
    lower = jnp.maximum(lower, -(upper + REACH))  # beyond that both densities are negligible against those at upper
    steps = np.arange(-REACH, REACH + 1.0)
    powers = np.concatenate([-(2.0 ** np.arange(8)), [0], 2.0 ** np.arange(8)])
    around = powers / jnp.maximum(slope, 1)
    breaks: list[Array] = [0 * m + steps, m + s * steps]
    for crossing in (lower, upper):
        breaks += [crossing + steps, crossing + around]
    points = jnp.sort(jnp.concatenate(breaks, axis=-1), axis=-1)
    middles, halves = (points[..., 1:] + points[..., :-1]) / 2, (points[..., 1:] - points[..., :-1]) / 2
    z = middles[..., None] + halves[..., None] * POINTS.astype(points.dtype)
    weights = halves[..., None] * WEIGHTS.astype(points.dtype)
    shape = (*points.shape[:-1], -1)
    return z.reshape(shape), weights.reshape(shape)


def log_ratio(z: Array, m: Array, s: Array, t: Array) -> Array:
    """log of the density of N(0, 1) over that of N(m, s^2) at z (..., K), of relative precision for close Gaussians.

    log s - (z - y) (z + y) / 2 with y = (z - m) / s. Its size is bounded by 1e30, beyond any that can be told from
    infinity.
    """
    m, s, t = m[..., None], s[..., None], t[..., None]
    apart, twice = z * (t / s) + m / s, (z - m) / s + z  # z less the other standard coordinate, and their sum
    bound = 1e15
    half = jnp.clip(apart, -bound, bound) * jnp.clip(twice, -bound, bound) / 2
    return jnp.log1p(t) - half


def log_densities(z: Array, m: Array, s: Array) -> tuple[Array, Array]:
    """Logarithms of the densities of N(0, 1) and N(m, s^2) at z (..., K), m and s (...)."""
    m, s = m[..., None], s[..., None]
    log_root = np.log(2 * np.pi) / 2
    return -(z**2) / 2 - log_root, -(((z - m) / s) ** 2) / 2 - jnp.log(s) - log_root
