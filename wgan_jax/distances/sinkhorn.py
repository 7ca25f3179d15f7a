"""Entropic transport and the Sinkhorn divergence, in log space: smooth in the points and the masses.

>>> x = jnp.array([[0.0, 0.0], [1.0, 0.0]])
>>> round(float(sinkhorn_divergence(x, x + jnp.array([3.0, 4.0]), epsilon=1.0)), 3)  # 3^2 + 4^2
25.0
"""

import functools
import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import logsumexp

from wgan_jax import memory
from wgan_jax.distances import checks
from wgan_jax.distances.kinks import out_of_the_subnormal
from wgan_jax.lengths import length
from wgan_jax.ranges import NOT_NEGATIVE, whole
from wgan_jax.types import Array, ArrayLike


class Sinkhorn(NamedTuple):
    """Entropic transport between two clouds.

    Attributes:
        cost: min over plans P of sum P_ij c_ij + epsilon KL(P || a b^T), by its dual; a scalar.
        x_potential: f, (n,).
        y_potential: g, (m,).
        error: sum_i |(P 1)_i - a_i| of the plan P_ij = a_i b_j exp((f_i + g_j - c_ij) / epsilon) of these potentials,
            at most 2; its columns sum to b.
        iterations: made.
    """

    cost: Array
    x_potential: Array
    y_potential: Array
    error: Array
    iterations: Array


def sinkhorn(
    x: ArrayLike,
    y: ArrayLike,
    *,
    epsilon: Array | float,
    p: int = 2,
    x_weights: ArrayLike | None = None,
    y_weights: ArrayLike | None = None,
    tolerance: float | None = None,
    max_iterations: int = 2000,
) -> Sinkhorn:
    """Entropic optimal transport with the cost |x_i - y_j|^p, by Sinkhorn's iteration on potentials.

    f_i = -epsilon log sum_j b_j exp((g_j - c_ij) / epsilon), and g likewise from f, in turn. The first iterations
    smooth more: from the largest cost down to epsilon, halved each time.

    The cost can be differentiated once, in points and masses. Its gradient is that of the dual with the potentials held
    fixed, which is exact at their optimum; second derivatives would miss how the potentials move.

    Args:
        x, y: point clouds, (n, d) and (m, d).
        epsilon: the smoothing, in the unit of the cost, > 0; may be traced.
        p: 1 or 2.
        x_weights, y_weights: masses, (n,) and (m,), of equal totals; only their proportions count. None for equal ones.
        tolerance: the ``error`` at which the iteration ends; by default 1e-5 in float32, 1e-10 in float64.
        max_iterations: after which it ends in any case; look at ``error``. One half step at epsilon closes it, so that
            the cost is a lower bound of the least one wherever it ended.

    Returns:
        A ``Sinkhorn``.

    Raises:
        ValueError: for shapes that do not fit and another p; in a plain call also for values that are not finite,
            epsilon <= 0, tolerance < 0, max_iterations < 1, and weights that are negative or of unequal totals; on a
            CPU for more pairs of points than memory holds.

    Source: Cuturi 2013; in log space with this dual Feydy et al. 2019, equations 6 to 8.
    """
    x, y, a, b, smoothing = _checked(x, y, x_weights, y_weights, epsilon, p)
    p, tolerance = int(p), _ends(tolerance, max_iterations, x.dtype)
    return _sinkhorn(x, y, a, b, smoothing, p, tolerance, max_iterations)


def sinkhorn_divergence(
    x: ArrayLike,
    y: ArrayLike,
    *,
    epsilon: Array | float,
    p: int = 2,
    x_weights: ArrayLike | None = None,
    y_weights: ArrayLike | None = None,
    tolerance: float | None = None,
    max_iterations: int = 2000,
) -> Array:
    """Sinkhorn divergence: entropic transport without its bias, so that it is 0 between equal clouds.

    S(x, y) = OT(x, y) - 1/2 OT(x, x) - 1/2 OT(y, y) >= 0. It goes to W_p^p as epsilon goes to 0; for p = 2 it is
    exactly |v|^2 for a translation by v, whatever epsilon is.

    A plain call warns where one of the three has not converged. A call under a transformation cannot look: there, ask
    ``sinkhorn`` for the ``error``.

    Args:
        x, y, epsilon, p, x_weights, y_weights, tolerance, max_iterations: as for ``sinkhorn``.

    Returns:
        The divergence in the unit of the cost, a scalar that can be differentiated once.

    Raises:
        ValueError: as ``sinkhorn``.

    Source: Genevay et al. 2018; Feydy et al. 2019, equation 3.
    """
    x, y, a, b, smoothing = _checked(x, y, x_weights, y_weights, epsilon, p)
    p, tolerance = int(p), _ends(tolerance, max_iterations, x.dtype)
    pairs = ((x, y, a, b), (x, x, a, a), (y, y, b, b))
    found = [_sinkhorn(*pair, smoothing, p, tolerance, max_iterations) for pair in pairs]
    errors = [one.error for one in found]
    if not checks.is_traced(*errors) and not all(error <= tolerance for error in errors):
        warnings.warn(
            f'the Sinkhorn divergence has not converged: after {max(int(one.iterations) for one in found)} iterations '
            f'{float(max(errors)):.3g} of the mass is where it should not be, more than tolerance={tolerance:g}; raise '
            'max_iterations, epsilon or tolerance',
            RuntimeWarning,
            stacklevel=2,
        )
    across, within_x, within_y = (one.cost for one in found)
    return across - within_x / 2 - within_y / 2


@functools.partial(jax.jit, static_argnames='p')
def _sinkhorn(
    x: Array, y: Array, a: Array, b: Array, epsilon: Array, p: int, tolerance: float, max_iterations: int
) -> Sinkhorn:
    cost, log_a, log_b = _costs(x, y, p), _log(a), _log(b)
    fixed = lax.stop_gradient((cost, log_a, log_b, epsilon))
    f, g, error, iterations = _potentials(*fixed, tolerance, max_iterations)
    # The dual at fixed potentials: by the envelope theorem its derivative is the optimum's. An empty side adds nothing.
    plan = jnp.exp(log_a[:, None] + log_b + (f[:, None] + g - cost) / epsilon)
    dual = jnp.sum(a * jnp.where(a > 0, f, 0)) + jnp.sum(b * jnp.where(b > 0, g, 0)) - epsilon * (jnp.sum(plan) - 1)
    return Sinkhorn(dual, f, g, error, iterations)


def _potentials(cost, log_a, log_b, epsilon, tolerance, max_iterations):
    def soft_minimum(values, log_masses, smoothing, axis):
        return -smoothing * logsumexp(log_masses - values / smoothing, axis=axis)

    def go_on(carry):
        f, g, smoothing, error, iterations = carry
        del f, g
        return ((error > tolerance) | (smoothing > epsilon)) & (iterations < max_iterations)

    def iterate(carry):
        f, g, smoothing, error, iterations = carry
        smoothing = jnp.maximum(smoothing / 2, epsilon)
        new_f = soft_minimum(cost - g, log_b, smoothing, 1)
        # Before this step the columns summed to b, and the rows to a exp((f - new_f) / epsilon).
        error = jnp.sum(jnp.exp(log_a) * jnp.abs(jnp.expm1((f - new_f) / smoothing)))
        new_g = soft_minimum(cost - new_f[:, None], log_a[:, None], smoothing, 0)
        return new_f, new_g, smoothing, error, iterations + 1

    zero = jnp.zeros((), cost.dtype)
    f, g = jnp.zeros_like(cost[:, 0]), jnp.zeros_like(cost[0])
    start = (f, g, jnp.maximum(jnp.max(cost), epsilon), zero + jnp.inf, jnp.zeros((), jnp.int32))
    f, _, _, _, iterations = lax.while_loop(go_on, iterate, start)
    # It may have ended at a larger smoothing; what is returned, and its error, are of epsilon.
    g = soft_minimum(cost - f[:, None], log_a[:, None], epsilon, 0)
    rows = jnp.exp(log_a + (f - soft_minimum(cost - g, log_b, epsilon, 1)) / epsilon)
    return f, g, jnp.sum(jnp.abs(rows - jnp.exp(log_a))), iterations


def _costs(x: Array, y: Array, p: int) -> Array:
    """|x_i - y_j|^p, (n, m), with the gradient 0 where x_i = y_j."""
    between = x[:, None] - y
    return jnp.sum(between**2, axis=-1) if p == 2 else length(between, -1)


def _log(masses: Array) -> Array:
    positive = masses > 0
    return jnp.where(positive, jnp.log(jnp.where(positive, masses, 1)), -jnp.inf)


def _checked(
    x: Any, y: Any, x_weights: Any, y_weights: Any, epsilon: Any, p: int
) -> tuple[Array, Array, Array, Array, Array]:
    if np.ndim(p) or p not in (1, 2):
        raise ValueError(f'p={p} must be 1 or 2')
    checks.check_clouds(x, y, x_weights, y_weights)
    if not checks.is_traced(epsilon) and not 0 < epsilon < np.inf:
        raise ValueError(f'epsilon={epsilon} must be positive and finite')
    x, y = checks.as_floats(x, y)
    (n, d), m = x.shape, len(y)
    if jax.default_backend() == 'cpu':
        held = d + 6 if p == 1 else 7  # matrices, as compiled; for p = 1 also the differences
        memory.require(held * x.dtype.itemsize * n * m, f'all costs between {n} and {m} points', 'take fewer points')
    a, b = _proportions(x, x_weights), _proportions(y, y_weights)
    return x, y, a, b, jnp.asarray(epsilon, x.dtype)


def _ends(tolerance: float | None, max_iterations: int, dtype: jnp.dtype) -> float:
    """The tolerance. Raises ValueError for one that is none, or a number of iterations that is none."""
    if not checks.is_traced(max_iterations):
        whole(1).check('max_iterations', max_iterations)
    if tolerance is None:
        return 1e-5 if dtype == jnp.float32 else 1e-10
    if not checks.is_traced(tolerance):
        NOT_NEGATIVE.check('tolerance', tolerance)
    return tolerance


def _proportions(cloud: Array, weights: Any) -> Array:
    if weights is None:
        weights = jnp.ones(len(cloud), cloud.dtype)
    elif not checks.is_traced(weights):
        weights = np.asarray(weights, np.float64)
        weights = weights / weights.max()  # as float32 they might all be 0
    weights = jnp.asarray(weights, cloud.dtype)
    weights = out_of_the_subnormal(weights)
    return weights / jnp.sum(weights)
