"""The Kantorovich-Rubinstein dual: W_1(p, q) = sup over 1-Lipschitz f of E_p f - E_q f.

A K-Lipschitz f gives at most K W_1, so whatever function one has, its value divided by its Lipschitz constant is a
lower bound of the distance.

>>> x, y = np.array([[2.0], [3.0]]), np.array([[0.0], [1.0]])
>>> duality_gap(lambda points: 5 * points[:, 0], x, y)
DualityGap(primal=2.0, dual=10.0, lipschitz=5.0, gap=0.0)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.distances import checks
from wgan_jax.distances.transport import transport_plan, wasserstein_exact
from wgan_jax.lengths import length
from wgan_jax.types import Array, ArrayLike


class DualityGap(NamedTuple):
    """How much of the distance a potential finds.

    Attributes:
        primal: W_1, the cost of a best plan.
        dual: E_x f - E_y f.
        lipschitz: K, the largest slope |f(s) - f(t)| / |s - t| between two points of the clouds.
        gap: primal - dual / K >= 0, and 0 for a best critic; for K = 0 it is the primal.
    """

    primal: float
    dual: float
    lipschitz: float
    gap: float


def lipschitz_constant(values: ArrayLike, points: ArrayLike) -> Array:
    """The Lipschitz constant of a function on finitely many points, max over i, j of |f_i - f_j| / |x_i - x_j|.

    It bounds the constant of the function from below. Works under jit and vmap, some rows of pairs at a time.

    Args:
        values: f at the points, (n,).
        points: (n, d).

    Returns:
        The largest slope, a scalar; 0 for a single point, inf where one point has two values.

    Raises:
        ValueError: for shapes that do not fit.
    """
    if np.ndim(points) != 2 or np.shape(values) != np.shape(points)[:1] or np.shape(points)[0] == 0:
        raise ValueError(f'values {np.shape(values)} and points {np.shape(points)} must be (n,) and (n, d) with n >= 1')
    return _lipschitz_constant(*checks.as_floats(values, points))


@jax.jit
def _lipschitz_constant(values, points):
    def largest_from(one):
        value, point = one
        rise = jnp.abs(values - value)
        run = length(points - point, -1)
        return jnp.max(jnp.where(rise > 0, rise / run, 0))

    return jnp.max(jax.lax.map(largest_from, (values, points), batch_size=min(64, len(points))))


def duality_gap(
    potential: Callable[[Array], Array],
    x: ArrayLike,
    y: ArrayLike,
    *,
    x_weights: ArrayLike | None = None,
    y_weights: ArrayLike | None = None,
) -> DualityGap:
    """Compares what a potential finds with the exact W_1 between two clouds.

    Args:
        potential: f, maps points (k, d) to values (k,); high on x, as a critic is on real samples.
        x, y: point clouds, (n, d) and (m, d); values, not tracers.
        x_weights, y_weights: masses as for ``wasserstein_exact``.

    Returns:
        A ``DualityGap``.

    Raises:
        ValueError: for a potential that does not return one finite value a point, and as ``wasserstein_exact``.
    """
    primal = wasserstein_exact(x, y, x_weights=x_weights, y_weights=y_weights)
    x, y = checks.as_floats(x, y)
    points = jnp.concatenate([x, y])
    values = jnp.asarray(potential(points))
    if values.shape != points.shape[:1]:
        raise ValueError(f'the potential gave {values.shape} for points {points.shape}: one value a point is needed')
    checks.check_finite('potential', values)
    on_x, on_y = np.split(np.asarray(values, np.float64), [len(x)])
    dual = float(np.average(on_x, weights=x_weights) - np.average(on_y, weights=y_weights))
    slope = float(lipschitz_constant(values, points))
    return DualityGap(primal, dual, slope, primal - (dual / slope if slope > 0 else 0.0))


def optimal_potential(
    x: ArrayLike, y: ArrayLike, *, x_weights: ArrayLike | None = None, y_weights: ArrayLike | None = None
) -> Callable[[Array], Array]:
    """A best critic between two clouds, as a function on the whole space.

    f(z) = min_j |z - y_j| - v_j with the potential v of a best plan: 1-Lipschitz everywhere, equal to u at the points x
    and to -v at the points y, so that E_x f - E_y f = W_1.

    Args:
        x, y: point clouds, (n, d) and (m, d); values, not tracers.
        x_weights, y_weights: masses as for ``wasserstein_exact``.

    Returns:
        ``f(points)`` from (k, d) to (k,); it works under jit, vmap and grad.

    Raises:
        ValueError: as ``wasserstein_exact``.

    Source: Villani, Optimal Transport: Old and New, 2009, theorem 5.10 and particular case 5.16.
    """
    v = transport_plan(x, y, x_weights=x_weights, y_weights=y_weights).y_potential
    (y,) = checks.as_floats(y)

    def potential(points: Any) -> Array:
        (points,) = checks.as_floats(points)
        distances = length(points[:, None] - y, -1)
        return jnp.min(distances - jnp.asarray(v, distances.dtype), axis=1)

    return potential
