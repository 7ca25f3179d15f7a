"""Exact optimal transport between point clouds of any dimension, on the CPU, in float64, with proof.

No result is returned unless potentials prove it to 1e-9 of itself; on the line the order of the points is the proof.
Not for jit or vmap: see ``sliced_wasserstein`` and ``sinkhorn_divergence`` for what can be differentiated.

>>> x = np.array([[0.0, 0.0], [1.0, 0.0]])
>>> found = transport_plan(x, x + np.array([0.0, 2.0]))
>>> found.cost, found.plan.tolist()
(2.0, [[0.5, 0.0], [0.0, 0.5]])
>>> wasserstein_exact(x, x[::-1])
0.0
"""

import math
from typing import Any, NamedTuple

import numpy as np

from wgan_jax import memory
from wgan_jax.distances import checks
from wgan_jax.distances.costs import common_scale, pairwise_distances
from wgan_jax.distances.samples import distance_on_the_line
from wgan_jax.distances.scaling import Masses, best_plan
from wgan_jax.types import ArrayLike

MOST = 2**26  # total of integer masses, by which the solver multiplies each of them: the products are exact


class TransportPlan(NamedTuple):
    """A best plan, with the potentials that prove it.

    cost = sum_ij plan_ij c_ij = sum_i a_i u_i + sum_j b_j v_j with c_ij = |x_i - y_j|^p and u_i + v_j <= c_ij.

    Attributes:
        cost: W_p^p, for p = 1 the distance itself.
        plan: mass that goes from x_i to y_j, (n, m); its rows sum to the masses a of x, its columns to b of y, each 1
            in total.
        x_potential: u, (n,). For p = 1 it is 1-Lipschitz: the best critic at the points x.
        y_potential: v, (m,). For p = 1, -v is the same critic at the points y.
    """

    cost: float
    plan: np.ndarray
    x_potential: np.ndarray
    y_potential: np.ndarray


def wasserstein_exact(
    x: ArrayLike, y: ArrayLike, *, p: float = 1, x_weights: ArrayLike | None = None, y_weights: ArrayLike | None = None
) -> float:
    """Wasserstein distance W_p between two point clouds with the Euclidean distance, exact.

    W_p^p = min over plans P >= 0 with row sums a and column sums b of sum_ij P_ij |x_i - y_j|^p.

    Masses are known to their rounding, and so is the plan: a mass below 1e-11 of both that it would move between, left
    over where sums of masses differ, is no mass.

    Args:
        x, y: point clouds, (n, d) and (m, d); values, not tracers.
        p: the order, a finite number >= 1.
        x_weights, y_weights: masses of the points, (n,) and (m,), not negative, of equal totals; only their
            proportions count. None for equal masses.

    Returns:
        W_p in the unit of the points.

    Raises:
        ValueError: under jit, vmap and grad; for empty clouds, different dimensions, values that are not finite,
            weights that are negative or have unequal totals, p < 1; for more pairs of points than memory holds; where
            rounding forbids a proof to 1e-9 of the cost.

    Source: Bonneel et al. 2011 for the network simplex; its implementation is that of POT (Flamary et al. 2021).
    """
    problem = _Problem(x, y, p, x_weights, y_weights)
    if problem.x.shape[1] == 1:  # on the line the order is the plan, and theory the proof
        return problem.on_the_line()
    found = best_plan(problem.distances(), problem.p, problem.masses, single=False)
    return float(found.unit * found.cost ** (1 / problem.p))


def transport_plan(
    x: ArrayLike, y: ArrayLike, *, p: float = 1, x_weights: ArrayLike | None = None, y_weights: ArrayLike | None = None
) -> TransportPlan:
    """A best transport plan between two point clouds, with both dual potentials.

    Args:
        x, y, p, x_weights, y_weights: as for ``wasserstein_exact``.

    Returns:
        A ``TransportPlan``; its ``cost`` is W_p^p.

    Raises:
        ValueError: as ``wasserstein_exact``; where potentials of one float each cannot prove the cost, and where W_p^p
            does not fit into float64.
    """
    problem = _Problem(x, y, p, x_weights, y_weights)
    found = best_plan(problem.distances(), problem.p, problem.masses, single=True)
    rows, columns, mass, u, v = found.flow
    plan = np.zeros((len(problem.x), len(problem.y)))
    np.add.at(plan, (problem.rows[rows], problem.columns[columns]), mass / problem.masses.a.sum())
    u, v = problem.on_all_points(found.unit, u, v)
    with np.errstate(over='ignore', under='ignore', invalid='ignore'):
        size = np.float64(found.unit) ** problem.p
        cost, u, v = found.cost * size, u * size, v * size
    if found.cost > 0 and not (cost >= np.finfo(float).tiny and np.isfinite([cost, *u, *v]).all()):
        raise ValueError(
            f'W_p^p and its potentials do not fit into float64 for p={problem.p:g} and '
            f'W_p={found.unit * found.cost ** (1 / problem.p):.6g}: divide the points by that, or ask '
            'wasserstein_exact, which takes the root before it scales'
        )
    return TransportPlan(float(cost), plan, u, v)


class _Problem:
    """Two checked clouds, their points with mass, and those masses."""

    def __init__(self, x: Any, y: Any, p: float, x_weights: Any, y_weights: Any):
        self.p = checks.check_order(p)
        if checks.is_traced(x, y, x_weights, y_weights):
            raise ValueError('exact transport needs values and cannot run under jit, vmap or grad: call it outside')
        checks.check_clouds(x, y, x_weights, y_weights)
        self.x, self.y = (np.asarray(cloud, np.float64) for cloud in (x, y))
        weights = [
            np.ones(len(cloud)) if given is None else np.asarray(given, np.float64)
            for cloud, given in ((self.x, x_weights), (self.y, y_weights))
        ]
        self.rows, self.columns = (np.flatnonzero(side) for side in weights)
        self.masses = common_masses(weights[0][self.rows], weights[1][self.columns])

    def on_the_line(self) -> float:
        scale = common_scale(self.x, self.y)
        x, y = self.x[self.rows, 0] / scale, self.y[self.columns, 0] / scale
        equal = all((side == side[0]).all() for side in self.masses[:2])
        weights = (None, None) if equal else self.masses[:2]
        return scale * float(distance_on_the_line(self.p, x, y, *weights))

    def distances(self) -> np.ndarray:
        """Between the points with mass."""
        n, m = len(self.rows), len(self.columns)
        memory.require(3 * 8 * n * m, f'all distances between {n} and {m} points', 'take fewer points')
        with np.errstate(over='ignore', invalid='ignore'):
            distances = pairwise_distances(self.x[self.rows], self.y[self.columns])
        if not np.isfinite(distances).all():
            raise ValueError('a distance between the points does not fit into float64: divide the points by 1e10')
        return distances

    def on_all_points(self, unit: float, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The potentials, in the given unit, with the largest ones on the points without mass."""
        if len(u) == len(self.x) and len(v) == len(self.y):
            return u, v
        with np.errstate(over='ignore'):
            cost = np.minimum((pairwise_distances(self.x, self.y) / unit) ** self.p, np.finfo(float).max / 4)
        u_all = (cost[:, self.columns] - v).min(axis=1)
        u_all[self.rows] = u
        v_all = (cost - u_all[:, None]).min(axis=0)
        v_all[self.columns] = v
        return u_all, v_all


def common_masses(a: np.ndarray, b: np.ndarray) -> Masses:
    """Positive weights of two sides as masses of equal totals: integers where they are, for then nothing is rounded.

    Args:
        a, b: positive weights, (n,) and (m,), of equal totals up to the rounding of float32.

    Returns:
        ``Masses``.
    """
    whole_a, whole_b = _as_integers(a), _as_integers(b)
    if whole_a is not None and whole_b is not None:
        total_a, total_b = int(whole_a.sum()), int(whole_b.sum())
        common = math.gcd(total_a, total_b)
        if total_a // common * total_b <= MOST:
            return Masses(whole_a * float(total_b // common), whole_b * float(total_a // common), True)
    totals = [math.fsum(side) for side in (a, b)]
    if totals[0] == totals[1]:  # a power of two divides without rounding
        totals = [2.0 ** np.frexp(totals[0])[1]] * 2
    return Masses(a / totals[0], b / totals[1], False)


def _as_integers(weights: np.ndarray) -> np.ndarray | None:
    """The least integers in the proportions of the weights, where there are some of at most 26 bits."""
    if (weights == weights[0]).all():
        return np.ones(len(weights), np.int64)
    scaled = np.ldexp(weights, 26 - np.frexp(weights.max())[1])
    whole = scaled.astype(np.int64)
    if (whole != scaled).any():
        return None
    return whole // np.gcd.reduce(whole)
