"""Distances between two Gaussians on the line, in closed form or by quadrature that is exact to rounding.

Every function takes means and standard deviations of any shapes that broadcast, works under jit, vmap and grad, and
raises ValueError in a plain call for a standard deviation that is not positive. Divergences are in nats.

>>> float(gaussian_kl(0.0, 1.0, 3.0, 1.0)), float(gaussian_wasserstein(0.0, 1.0, 3.0, 1.0))
(4.5, 3.0)
>>> float(gaussian_wasserstein(0.0, 1.0, 3.0, 5.0, p=2))
5.0
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erf, log_ndtr, logsumexp, ndtr

from wgan_jax.distances import checks
from wgan_jax.distances.kinks import absolute, log_ratio
from wgan_jax.distances.quadrature import POINTS, WEIGHTS, Pair, crossings, log_densities, nodes, standardise
from wgan_jax.distances.quadrature import log_ratio as densities_log_ratio
from wgan_jax.lengths import length
from wgan_jax.types import Array, ArrayLike

FLAT = 40  # differences of the widths beyond which the means alone count: exp(-40^2 / 2) underflows


def parameters(mean0: Any, std0: Any, mean1: Any, std1: Any, *, allow_zero: bool = False) -> list[Array]:
    """The four as arrays of one type, of shapes that broadcast.

    Args:
        mean0, std0, mean1, std1: numbers or arrays.
        allow_zero: whether a standard deviation may be 0.

    Returns:
        The four as JAX arrays of one floating-point type, float32 or wider.

    Raises:
        ValueError: for shapes that do not broadcast; in a plain call for values that are not finite or not positive.
    """
    names = ('mean0', 'std0', 'mean1', 'std1')
    arrays = checks.as_floats(mean0, std0, mean1, std1)
    if not checks.is_traced(*arrays):
        for name, array in zip(names, arrays, strict=True):
            checks.check_finite(name, array)
        for name, std in (('std0', arrays[1]), ('std1', arrays[3])):
            smallest = np.asarray(std).min(initial=1)
            if smallest < 0 or (smallest == 0 and not allow_zero):
                raise ValueError(f'{name} has the value {smallest}: standard deviations must be positive')
    try:
        np.broadcast_shapes(*(array.shape for array in arrays))
    except ValueError:
        shapes = ', '.join(f'{name} {array.shape}' for name, array in zip(names, arrays, strict=True))
        raise ValueError(f'the shapes of {shapes} do not broadcast') from None
    return arrays


def compiled(formula: Callable[..., Array]) -> Callable[..., Array]:
    """The formula of four arrays of one shape, compiled, as a function of what ``parameters`` takes.

    Args:
        formula: ``formula(mean0, std0, mean1, std1) -> array``, whatever the four are called.

    Returns:
        A function with the formula's name, signature and documentation, which raises as ``parameters``.
    """
    run = jax.jit(lambda *arrays: formula(*jnp.broadcast_arrays(*arrays)))

    @functools.wraps(formula)
    def checked(*arguments: Any, **named: Any) -> Array:
        given = inspect.signature(formula).bind(*arguments, **named).args
        return run(*parameters(*given))

    return checked


@compiled
def gaussian_kl(mean0: Array, std0: Array, mean1: Array, std1: Array) -> Array:
    """Kullback-Leibler divergence KL(N(mean0, std0^2) || N(mean1, std1^2)).

    log(s1 / s0) + (s0^2 + (m0 - m1)^2) / (2 s1^2) - 1/2; delta^2 / 2 for unit variances, so it never levels off.

    Args:
        mean0, std0, mean1, std1: means and standard deviations, (...).

    Returns:
        The divergence, (...).

    Raises:
        ValueError: in a plain call, for parameters that are not finite or a standard deviation <= 0.
    """
    # log(s1/s0) + (s0^2/s1^2 - 1)/2 with t = s0/s1 - 1: small differences of the widths are not lost.
    t = (std0 - std1) / std1
    return t * (t + 2) / 2 - log_ratio(std0, std1) + ((mean0 - mean1) / std1) ** 2 / 2


@compiled
def gaussian_tv(mean0: Array, std0: Array, mean1: Array, std1: Array) -> Array:
    """Total variation, sup_A |P0(A) - P1(A)|, attained by the set on which one density is the larger.

    For equal widths erf(delta / (2 sqrt(2) s)); otherwise that set is the interval between the two points at which the
    densities cross.

    Args:
        mean0, std0, mean1, std1: means and standard deviations, (...).

    Returns:
        The distance in [0, 1], (...).

    Raises:
        ValueError: as ``gaussian_kl``.
    """
    return _tv(mean0, std0, mean1, std1)


@jax.custom_jvp
def _tv(mean0, std0, mean1, std1):
    m, s, t = _within_range(standardise(mean0, std0, mean1, std1))
    lower, upper, slope = crossings(m, s, t)
    # The masses on either side of the interval, by which one lies inside of the other; their widths do not cancel.
    safe = jnp.where(slope + m / s > 0, slope + m / s, 1)
    right = _mass_between((upper - m) / s, (upper / s) * t + m / s)
    left = _mass_between(lower, 2 * (t / s) * jnp.log1p(t) / safe)
    return jnp.minimum(right + left, 1)


@_tv.defjvp
def _tv_jvp(primals, tangents):
    # That the crossings move counts for nothing, for the densities are equal there; what remains is how the wider
    # Gaussian's mass between them changes, in quotients of which none overflows where the result does not.
    mean0, std0, mean1, std1 = primals
    d_mean0, d_std0, d_mean1, d_std1 = tangents
    pair = standardise(*primals)
    m, s, t = _within_range(pair)
    lower, upper, _ = crossings(m, s, t)
    narrow, wide = jnp.minimum(std0, std1), jnp.maximum(std0, std1)
    d_narrow, d_wide = (jnp.where(pair.first_is_narrow, *both) for both in ((d_std0, d_std1), (d_std1, d_std0)))
    apart = jnp.sign(mean1 - mean0) * (d_mean1 - d_mean0) / wide

    def rate(at):
        z = (at - m) / s
        density = jnp.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        return density * (apart + z * d_wide / wide - at / s * (d_narrow / narrow))

    return _tv(*primals), rate(upper) - rate(lower)


def _within_range(pair: Pair) -> tuple[Array, Array, Array]:
    """m, s and t, where they overflow a size at which the distance is at its limit."""
    most = float(jnp.finfo(pair.s.dtype).max) ** 0.9
    return jnp.minimum(pair.m, most), jnp.minimum(pair.s, most), jnp.minimum(pair.t, most)


def _mass_between(z: Array, width: Array) -> Array:
    """ndtr(z + width) - ndtr(z) for width >= 0, of relative precision for a small one: an integral of the density."""
    narrow = width < 1
    at, weights = _inside(z, jnp.where(narrow, width, 0))
    small = jnp.sum(weights * jnp.exp(-(at**2) / 2), axis=-1)
    return jnp.where(narrow, small, ndtr(z + width) - ndtr(z))


def _log_mass_between(z: Array, width: Array) -> Array:
    """Logarithm of ``_mass_between`` for width > 0, also where that underflows."""
    narrow = width < 1
    at, weights = _inside(z, jnp.where(narrow, width, 1))
    small = logsumexp(-(at**2) / 2, b=weights, axis=-1)
    wide = jnp.where(narrow, 1, width)
    # The smaller tails of the two: on the upper side those above.
    near, far = jnp.where(z > 0, -z, z + wide), jnp.where(z > 0, -(z + wide), z)
    return jnp.where(narrow, small, log_ndtr(near) + jnp.log1p(-jnp.exp(log_ndtr(far) - log_ndtr(near))))


def _inside(z: Array, width: Array) -> tuple[Array, Array]:
    """Nodes in [z, z + width], and their weights for integrals of the unit Gaussian's exp(-z^2 / 2)."""
    width = width[..., None]
    half = ((POINTS + 1) / 2).astype(z.dtype), (WEIGHTS / 2 / np.sqrt(2 * np.pi)).astype(z.dtype)
    return z[..., None] + width * half[0], width * half[1]


@compiled
def gaussian_tv_log_gap(mean0: Array, std0: Array, mean1: Array, std1: Array) -> Array:
    """Logarithm of what total variation lacks to its limit, log(1 - TV), also where 1 - TV underflows.

    Args:
        mean0, std0, mean1, std1: means and standard deviations, (...).

    Returns:
        log(1 - TV) <= 0, (...). In float32 its gradient holds while no width is 1e12 times the other.

    Raises:
        ValueError: as ``gaussian_kl``.
    """
    pair = standardise(mean0, std0, mean1, std1)
    lower, upper, _ = crossings(pair.m, pair.s, pair.t)
    # The mass that the densities share: the narrow one's outside of the crossings, the wide one's between them.
    width = (upper - lower) / pair.s
    between = _log_mass_between((lower - pair.m) / pair.s, jnp.where(width > 0, width, 1))
    shared = jnp.logaddexp(jnp.logaddexp(log_ndtr(lower), log_ndtr(-upper)), between)
    distance = gaussian_tv(mean0, std0, mean1, std1)
    close = distance < 0.5
    return jnp.where(close, jnp.log1p(-jnp.where(close, distance, 0)), shared)


@compiled
def gaussian_js(mean0: Array, std0: Array, mean1: Array, std1: Array) -> Array:
    """Jensen-Shannon divergence, in [0, log 2].

    With r = log p0 / p1 and M = (p0 + p1) / 2 it is the integral of M (log 2 - H(sigmoid(r))), H the entropy of a
    coin: an integrand that is nowhere negative, so that close Gaussians keep their relative precision.

    Args:
        mean0, std0, mean1, std1: means and standard deviations, (...).

    Returns:
        The divergence, (...). In float32 its gradient holds while no width is 1e12 times the other.

    Raises:
        ValueError: as ``gaussian_kl``.
    """
    m, s, t = _within_range(standardise(mean0, std0, mean1, std1))
    z, weights = nodes(m, s, t)
    log_p, log_q = log_densities(z, m, s)
    mixture = (jnp.exp(log_p) + jnp.exp(log_q)) / 2
    u = densities_log_ratio(z, m, s, t) / 2
    known = _known(u)
    divergence, gap = (jnp.sum(weights * mixture * part, axis=-1) for part in (known, np.log(2) - known))
    # Where almost everything is told, the small rest is the more precise sum, and keeps the divergence below log 2.
    return jnp.where(gap < divergence, np.log(2) - gap, divergence)


def _known(u: Array) -> Array:
    """log 2 - H(sigmoid(2 u)), what an x tells about which of the two it came from: u tanh u - log cosh u.

    Written so for small u, with log cosh u = log(1 + 2 sinh^2(u / 2)); for large u as the difference that it is.
    """
    small = jnp.abs(u) < 1
    safe = jnp.where(small, u, 0)
    t = jnp.exp(-2 * jnp.abs(u))
    return jnp.where(
        small,
        safe * jnp.tanh(safe) - jnp.log1p(2 * jnp.sinh(safe / 2) ** 2),
        np.log(2) - jnp.log1p(t) - 2 * jnp.abs(u) * t / (1 + t),
    )


@compiled
def gaussian_js_log_gap(mean0: Array, std0: Array, mean1: Array, std1: Array) -> Array:
    """Logarithm of what the Jensen-Shannon divergence lacks to its limit, log(log 2 - JS), also where that underflows.

    The gap is the integral of M H(sigmoid(r)); its logarithm is summed in log space. For unit variances and means 100
    apart it is -1253.687.

    Args:
        mean0, std0, mean1, std1: means and standard deviations, (...).

    Returns:
        log(log 2 - JS), (...). In float32 its gradient holds while no width is 1e12 times the other.

    Raises:
        ValueError: as ``gaussian_kl``.
    """
    pair = standardise(mean0, std0, mean1, std1)
    z, weights = nodes(pair.m, pair.s, pair.t)
    log_p, log_q = log_densities(z, pair.m, pair.s)
    log_mixture = jnp.logaddexp(log_p, log_q) - np.log(2)
    ratio = densities_log_ratio(z, pair.m, pair.s, pair.t)
    return logsumexp(log_mixture + _log_coin_entropy(jnp.abs(ratio)), b=weights, axis=-1)


def _log_coin_entropy(r: Array) -> Array:
    """log H(sigmoid(r)) for r >= 0, H(sigmoid(r)) = log(1 + e^-r) + r e^-r / (1 + e^-r) = e^-r (...)."""
    t = jnp.exp(-r)
    seen = t > jnp.finfo(t.dtype).eps
    safe_t = jnp.where(seen, t, 1)
    log1p_over_t = jnp.where(seen, jnp.log1p(safe_t) / safe_t, 1)
    return -r + jnp.log(log1p_over_t + r / (1 + t))


def gaussian_wasserstein(mean0: ArrayLike, std0: ArrayLike, mean1: ArrayLike, std1: ArrayLike, *, p: int = 1) -> Array:
    """Wasserstein distance: the monotone map moves the quantile z by delta + z (s1 - s0), so W_p^p = E |delta + s Z|^p.

    W_1 = s sqrt(2/pi) exp(-delta^2 / (2 s^2)) + delta erf(delta / (s sqrt 2)) with s = |s0 - s1|, and |delta| for
    s = 0; W_2 = sqrt(delta^2 + s^2).

    Args:
        mean0, std0, mean1, std1: means and standard deviations, (...); a standard deviation may be 0 here.
        p: 1 or 2.

    Returns:
        W_p, in the unit of the means, (...).

    Raises:
        ValueError: for another p; in a plain call for parameters that are not finite or a standard deviation < 0.
    """
    if p not in (1, 2):
        raise ValueError(f'p={p} has no closed form here: use 1 or 2')
    return _wasserstein(*parameters(mean0, std0, mean1, std1, allow_zero=True), p)


@functools.partial(jax.jit, static_argnums=4)
def _wasserstein(mean0, std0, mean1, std1, p):
    delta, s = mean0 - mean1, absolute(std0 - std1)
    if p == 2:
        return length(jnp.stack(jnp.broadcast_arrays(delta, s)), 0)
    bent = (s > 0) & (jnp.abs(delta) < FLAT * s)
    safe_s = jnp.where(bent, s, 1)  # a quotient that overflows would spoil the gradient
    t = jnp.where(bent, delta, 0) / safe_s
    spread = safe_s * np.sqrt(2 / np.pi) * jnp.exp(-(t**2) / 2) + delta * erf(t / np.sqrt(2))
    return jnp.where(bent, spread, absolute(delta))
