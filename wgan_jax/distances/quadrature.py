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
    """

    first_is_narrow: Array
    unit: Array
    sign: Array
    m: Array
    s: Array


def standardise(mean0: Array, std0: Array, mean1: Array, std1: Array) -> Pair:
    """The pair in standard coordinates; all arguments of one shape."""
    first_is_narrow = std0 <= std1
    unit, wide = jnp.where(first_is_narrow, std0, std1), jnp.where(first_is_narrow, std1, std0)
    shift = jnp.where(first_is_narrow, mean1 - mean0, mean0 - mean1)
    return Pair(first_is_narrow, unit, jnp.where(shift < 0, -1.0, 1.0), absolute(shift) / unit, wide / unit)


def crossings(m: Array, s: Array) -> tuple[Array, Array]:
    """Where N(0, 1) and N(m, s^2) have equal densities, m >= 0, s >= 1.

    The roots of (s^2 - 1) z^2 + 2 m z - (m^2 + 2 s^2 log s) = 0, written so that nothing cancels. The narrow density
    is the larger one between them. The lower root goes to -infinity as s goes to 1; it stops where its densities are
    negligible beside those at the upper one.

    Args:
        m, s: mean and standard deviation of the wider Gaussian, (...).

    Returns:
        The lower root and the upper one, 0 for equal distributions; (...).
    """
    a = (s - 1) * (s + 1)
    square = m**2 + 2 * a * jnp.log(s)
    differ, far = square > 0, m + s * root(square)
    upper = jnp.where(differ, (m**2 + 2 * s**2 * jnp.log(s)) / jnp.where(differ, far, 1), 0)
    lower = -far / jnp.where(a > 0, a, 1)
    return jnp.maximum(jnp.where(a > 0, lower, -jnp.inf), -2 * upper - 100), upper


def nodes(m: Array, s: Array) -> tuple[Array, Array]:
    """Nodes and weights for integrals of smooth functions of the two densities over the line.

    They are constants to differentiation: an integral does not depend on where its nodes lie, so the derivative of the
    integrand is all there is.

    Args:
        m, s: as for ``crossings``, (...).

    Returns:
        Nodes z and weights, (..., K), so that the integral of f is about sum_k weights_k f(z_k).
    """
    m, s = (jax.lax.stop_gradient(array)[..., None] for array in (m, s))
    lower, upper = crossings(m, s)
    lower = jnp.maximum(lower, -(upper + REACH))  # beyond that both densities are negligible against those at upper
    slope = jnp.sqrt(m**2 + 2 * (s - 1) * (s + 1) * jnp.log(s)) / s  # of the log-ratio where the densities cross
    steps = np.arange(-REACH, REACH + 1.0)
    powers = np.concatenate([-(2.0 ** np.arange(8)), [0], 2.0 ** np.arange(8)])
    around = powers / jnp.maximum(slope, 1)
    points = [steps + 0 * m, m + s * steps]
    for crossing in (lower, upper):
        points += [crossing + steps, crossing + around]
    points = jnp.sort(jnp.concatenate(points, axis=-1), axis=-1)
    middles, halves = (points[..., 1:] + points[..., :-1]) / 2, (points[..., 1:] - points[..., :-1]) / 2
    z = middles[..., None] + halves[..., None] * POINTS.astype(points.dtype)
    weights = halves[..., None] * WEIGHTS.astype(points.dtype)
    shape = (*points.shape[:-1], -1)
    return z.reshape(shape), weights.reshape(shape)


def log_densities(z: Array, m: Array, s: Array) -> tuple[Array, Array]:
    """Logarithms of the densities of N(0, 1) and N(m, s^2) at z (..., K), m and s (...)."""
    m, s = m[..., None], s[..., None]
    log_root = np.log(2 * np.pi) / 2
    return -(z**2) / 2 - log_root, -(((z - m) / s) ** 2) / 2 - jnp.log(s) - log_root
