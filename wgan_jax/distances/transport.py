"""Exact optimal transport between point clouds of any dimension, on the CPU, in float64.

Equal sizes without weights are an assignment problem; anything else is a linear program, solved on a few of its columns
that grow until no other column could lower the cost. Not for jit or vmap: see ``sliced_wasserstein`` and
``sinkhorn_divergence`` for what can be differentiated.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.optimize
import scipy.sparse
from scipy.spatial.distance import cdist

from wgan_jax.distances import checks
from wgan_jax.distances.samples import distance_on_the_line
from wgan_jax.distances.warm_start import approximate_potentials
from wgan_jax.types import Array

HIGH_DIMENSION = 32  # from which distances are faster by a matrix product
SMALL = 256  # points a side below which approximate potentials cost more than they save
TOLERANCE = 1e-12  # of a potential's feasibility, in units of the largest cost
NEIGHBOURS = 8  # columns of the linear program for each point to begin with


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
    x: Array, y: Array, *, p: float = 1, x_weights: Array | None = None, y_weights: Array | None = None
) -> float:
    """Wasserstein distance W_p between two point clouds with the Euclidean distance, exact.

    W_p^p = min over plans P >= 0 with row sums a and column sums b of sum_ij P_ij |x_i - y_j|^p.

    Args:
        x, y: point clouds, (n, d) and (m, d); values, not tracers.
        p: the order, a finite number >= 1.
        x_weights, y_weights: masses of the points, (n,) and (m,), not negative, of equal totals; only their
            proportions count. None for equal masses.

    Returns:
        W_p in the unit of the points.

    Raises:
        ValueError: under jit, vmap and grad; for empty clouds, different dimensions, values that are not finite,
            weights that are negative or have unequal totals, p < 1.
    """
    problem = _Problem(x, y, p, x_weights, y_weights)
    if problem.x.shape[1] == 1:  # on the line the order is the plan
        weights = (None, None) if problem.uniform else (problem.a, problem.b)
        return float(distance_on_the_line(problem.p, problem.x[:, 0], problem.y[:, 0], *weights))
    cost = problem.cost()
    if problem.uniform:
        return float(np.mean(cost[_assign(cost)]) ** (1 / p))
    return float(_solve(cost, problem.a, problem.b).cost ** (1 / p))


def transport_plan(
    x: Array, y: Array, *, p: float = 1, x_weights: Array | None = None, y_weights: Array | None = None
) -> TransportPlan:
    """A best transport plan between two point clouds, with both dual potentials.

    Args:
        x, y, p, x_weights, y_weights: as for ``wasserstein_exact``.

    Returns:
        A ``TransportPlan``; its ``cost`` is W_p^p.

    Raises:
        ValueError: as ``wasserstein_exact``.
    """
    problem = _Problem(x, y, p, x_weights, y_weights)
    cost = problem.cost()
    if not problem.uniform:
        return _solve(cost, problem.a, problem.b)
    start = approximate_potentials(cost, problem.a, problem.b)
    rows, columns = _assign(cost, start)
    plan = np.zeros_like(cost)
    plan[rows, columns] = problem.a
    return TransportPlan(float(np.mean(cost[rows, columns])), plan, *_assignment_potentials(cost, columns, start[1]))


class _Problem:
    """Two checked clouds with masses that sum to one."""

    def __init__(self, x: Any, y: Any, p: float, x_weights: Any, y_weights: Any):
        self.p = checks.check_order(p)
        if checks.is_traced(x, y, x_weights, y_weights):
            raise ValueError('exact transport needs values and cannot run under jit, vmap or grad: call it outside')
        checks.check_clouds(x, y, x_weights, y_weights)
        self.x, self.y = (np.asarray(cloud, np.float64) for cloud in (x, y))
        self.uniform = x_weights is None and y_weights is None and len(self.x) == len(self.y)
        self.a, self.b = _proportions(x_weights, len(self.x)), _proportions(y_weights, len(self.y))

    def cost(self) -> np.ndarray:
        """|x_i - y_j|^p, (n, m)."""
        distances = pairwise_distances(self.x, self.y)
        return distances if self.p == 1 else distances**self.p


def _proportions(weights: Any, n: int) -> np.ndarray:
    weights = np.ones(n) if weights is None else np.asarray(weights, np.float64)
    return weights / weights.sum()


def pairwise_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Euclidean distances |x_i - y_j| in float64 without an array of n m d differences.

    In high dimensions |x|^2 + |y|^2 - 2 <x, y> by a matrix product, about the clouds' common mean; the few pairs so
    close that this would lose digits are done again by their differences.

    Args:
        x, y: (n, d) and (m, d).

    Returns:
        The distances, (n, m).
    """
    if x.shape[1] < HIGH_DIMENSION:
        return cdist(x, y)
    centre = (x.mean(axis=0) + y.mean(axis=0)) / 2
    around = x - centre, y - centre
    sizes = (around[0] ** 2).sum(axis=1)[:, None] + (around[1] ** 2).sum(axis=1)
    squares = around[0] @ around[1].T
    squares *= -2
    squares += sizes
    rows, columns = np.nonzero(squares <= 1e-3 * sizes)
    at_once = max(1, 2**22 // x.shape[1])
    for first in range(0, len(rows), at_once):
        i, j = rows[first : first + at_once], columns[first : first + at_once]
        squares[i, j] = np.sum((x[i] - y[j]) ** 2, axis=1)
    return np.sqrt(squares)


def _assign(cost: np.ndarray, start: tuple | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a best assignment.

    Potentials are subtracted first: that changes the cost of every assignment by the same, and leaves the solver short
    searches along costs near zero.
    """
    if start is None:
        if len(cost) <= SMALL:
            return scipy.optimize.linear_sum_assignment(cost)
        equal = np.ones(len(cost))
        start = approximate_potentials(cost, equal, equal)
    return scipy.optimize.linear_sum_assignment(cost - start[0][:, None] - start[1])


def _assignment_potentials(cost: np.ndarray, columns: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Potentials of a best assignment from row i to column columns[i]: shortest paths by Bellman and Ford.

    Where u_i + v_j would exceed a cost, u_i falls to it, and the v of the column assigned to i rises by as much. An
    assignment without a cheaper cycle comes to rest. Most rounds look at a few columns of each row only; when those
    have come to rest, all columns are looked at, and those that break the rule join.
    """
    rows = np.arange(len(cost))
    matched = cost[rows, columns]
    still = TOLERANCE * max(cost.max(), np.finfo(float).tiny)
    u, v = matched - v[columns], v.copy()
    few = min(NEIGHBOURS, len(cost))
    near = columns[:, None]
    for _ in rows:
        near = np.hstack([near, np.argpartition(cost - v, few - 1, axis=1)[:, :few]])
        near_cost = cost[rows[:, None], near]
        for _ in rows:
            tight = np.minimum(u, (near_cost - v[near]).min(axis=1))
            moved = (u - tight).max()
            u, v[columns] = tight, matched - tight
            if moved <= still:
                break
        if (u - (cost - v).min(axis=1)).max() <= still:
            break
    return _feasible(cost, v)


def _feasible(cost: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest u with u_i + v_j <= cost_ij, then the largest v; for distances both are 1-Lipschitz."""
    u = (cost - v).min(axis=1)
    return u, (cost - u[:, None]).min(axis=0)


def _solve(cost: np.ndarray, a: np.ndarray, b: np.ndarray) -> TransportPlan:
    """The linear program min sum P c with row sums a and column sums b, by generation of columns.

    The program starts with the columns of least reduced cost under approximate potentials, and those of one feasible
    plan. As long as its potentials break u_i + v_j <= c_ij somewhere, columns from there are added. What is solved
    each time is the reduced cost under the last feasible potentials, which is almost dual feasible to begin with.
    """
    rows, columns = np.flatnonzero(a), np.flatnonzero(b)  # a point without mass takes no part
    inner, a_in, b_in = cost[np.ix_(rows, columns)], a[rows], b[columns]
    scale = inner.max() or 1.0
    mass = min(a_in.mean(), b_in.mean())  # the solver's tolerances are absolute: masses and costs near one
    u, v = approximate_potentials(inner, a_in, b_in)
    used = _staircase(a_in, b_in)
    reduced = inner - u[:, None] - v
    used |= _smallest(reduced, NEIGHBOURS)
    while True:
        flow, du, dv = _restricted(reduced / scale, used, a_in / mass, b_in / mass)
        u, v = u + scale * du, v + scale * dv
        reduced = inner - u[:, None] - v
        broken = reduced < -TOLERANCE * scale
        if not (broken & ~used).any():
            break
        used |= _smallest(reduced, NEIGHBOURS) & broken
        u, v = _feasible(inner, v)
        reduced = inner - u[:, None] - v
    plan = np.zeros_like(cost)
    plan[np.ix_(rows, columns)] = flow * mass
    v_all = np.full(len(b), -np.inf)
    v_all[columns] = v
    u = (cost[:, columns] - v).min(axis=1)
    v_all = (cost - u[:, None]).min(axis=0)
    return TransportPlan(float(np.sum(plan * cost)), plan, u, v_all)


def _restricted(cost, used, a, b):
    """Flow and potentials of the program on the columns that are used."""
    i, j = np.nonzero(used)
    n, m, k = len(a), len(b), np.arange(len(i))
    sums = scipy.sparse.csc_matrix((np.ones(2 * len(i)), (np.r_[i, n + j], np.r_[k, k])), shape=(n + m, len(i)))
    options = {'presolve': False, 'primal_feasibility_tolerance': 1e-10, 'dual_feasibility_tolerance': 1e-10}
    found = scipy.optimize.linprog(cost[i, j], A_eq=sums, b_eq=np.r_[a, b], method='highs-ds', options=options)
    if found.status != 0:
        raise RuntimeError(f'the linear program of the transport was not solved: {found.message}')
    flow = np.zeros((n, m))
    flow[i, j] = np.maximum(found.x, 0)
    return flow, found.eqlin.marginals[:n], found.eqlin.marginals[n:]


def _staircase(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The pairs of the plan that serves both sides in the order of their indices: it is always feasible."""
    ends = np.concatenate([np.cumsum(a)[:-1], np.cumsum(b)[:-1]])
    order = np.argsort(ends, kind='stable')
    from_a = np.concatenate([[False], order < len(a) - 1])
    used = np.zeros((len(a), len(b)), bool)
    used[np.cumsum(from_a), np.concatenate([[0], np.cumsum(~from_a[1:])])] = True
    return used


def _smallest(values: np.ndarray, k: int) -> np.ndarray:
    """Marks the k smallest values of each row and of each column."""
    marks = np.zeros(values.shape, bool)
    for axis in (0, 1):
        few = min(k, values.shape[axis])
        places = np.take(np.argpartition(values, few - 1, axis=axis), np.arange(few), axis=axis)
        np.put_along_axis(marks, places, True, axis=axis)
    return marks
