"""A transport problem solved to the precision of its largest cost, by the network simplex of the library POT.

Small problems are solved whole. Of a large one only the arcs that may matter are: those of least reduced cost under
the potentials of a part of the points, and then, as long as an arc could lower the cost, more of them.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

WHOLE = 2**17  # arcs up to which a problem is solved whole
PART = 3  # of one point in so many are the first potentials found
ARCS = 80  # arcs to begin with, and to add, for each point
FEW = 1  # arcs for each point that break their bound, from which on all arcs are looked at
WARM = 2**23  # arcs up to which that is done: the solver holds about 40 bytes for each
BROKEN = 1e-11  # by which potentials may exceed a cost, in units of the largest cost
LIGHT = 1e-12  # share of a mass that is as nothing to it


class Flow(NamedTuple):
    """A plan as its arcs, with potentials.

    Attributes:
        rows, columns, mass: mass_k goes from rows_k to columns_k, (K,) each.
        u, v: potentials with u_i + v_j <= cost_ij up to rounding, (n,) and (m,).
    """

    rows: np.ndarray
    columns: np.ndarray
    mass: np.ndarray
    u: np.ndarray
    v: np.ndarray


def solve(cost: np.ndarray, a: np.ndarray, b: np.ndarray) -> Flow:
    """A best plan up to about 1e-12 of the largest cost.

    Args:
        cost: (n, m), finite, >= 0 up to rounding.
        a, b: positive masses, (n,) and (m,), of equal totals up to rounding.

    Returns:
        A ``Flow``.

    Raises:
        ValueError: where the solver comes to no end.
    """
    scale = max(cost.max(), np.finfo(float).tiny)
    found = _simplex(cost / scale, a, b) if cost.size <= WHOLE else _by_columns(cost, scale, a, b)
    return _serve_light_masses(cost, a, b, found._replace(u=found.u * scale, v=found.v * scale))


def feasible(cost: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest u with u_i + v_j <= cost_ij, then the largest v; for distances both are 1-Lipschitz."""
    u = (cost - v).min(axis=1)
    return u, (cost - u[:, None]).min(axis=0)


def _simplex(cost: Any, a: np.ndarray, b: np.ndarray, start: tuple[np.ndarray, np.ndarray] | None = None) -> Flow:
    """The plan and potentials of a dense or sparse cost of size one; a dense one may start from potentials."""
    import ot  # here, for it loads every framework whose arrays it serves

    most = 1000 * sum(cost.shape) + 100_000  # ten times what the slowest problem was seen to take
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        plan, log = ot.emd(
            a, b, cost, numItermax=most, log=True, center_dual=False, check_marginals=False, potentials_init=start
        )
    if log['warning'] is not None:
        raise ValueError(f'the transport problem was not solved ({log["warning"]}): scale its points or weights')
    if scipy.sparse.issparse(plan):
        rows, columns, mass = plan.row, plan.col, plan.data
    else:
        rows, columns = np.nonzero(plan > 0)
        mass = plan[rows, columns]
    return Flow(rows, columns, mass, np.asarray(log['u']), np.asarray(log['v']))


def _by_columns(cost: np.ndarray, scale: float, a: np.ndarray, b: np.ndarray) -> Flow:
    """The plan on a few arcs, that grow until none outside could lower the cost; in units of the scale."""
    rows, columns = (np.linspace(0, k - 1, max(k // PART, 1)).astype(int) for k in cost.shape)
    part_a, part_b = a[rows], b[columns]
    part = solve(cost[np.ix_(rows, columns)], part_a / part_a.sum(), part_b / part_b.sum())
    u = (cost[:, columns] - part.v).min(axis=1)
    reduced = cost - u[:, None]
    reduced -= reduced.min(axis=0)
    used = _staircase(a, b)
    used |= _smallest(reduced, ARCS)
    most = ARCS * sum(cost.shape)
    while True:
        i, j = np.nonzero(used)
        found = _simplex(scipy.sparse.coo_array((cost[i, j] / scale, (i, j)), shape=cost.shape), a, b)
        np.subtract(cost, (found.u * scale)[:, None], out=reduced)
        reduced -= found.v * scale
        broken = reduced < -BROKEN * scale
        count = np.count_nonzero(broken)
        if count == 0:
            return found
        if count <= FEW * sum(cost.shape) and cost.size <= WARM:  # one more look at all arcs, from where this ended
            return _simplex(cost / scale, a, b, (found.u, found.v))
        wanted = reduced < -reduced.min()  # those that may break next, too
        if np.count_nonzero(wanted) > most:
            wanted = broken
            if count > most:
                wanted = reduced <= np.partition(reduced[broken], most)[most]
        if not (wanted & ~used).any():
            return found
        used |= wanted


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
    for view, marked in ((values, marks), (np.ascontiguousarray(values.T), marks.T)):
        few = min(k, view.shape[1])
        np.put_along_axis(marked, np.argpartition(view, few - 1, axis=1)[:, :few], True, axis=1)
    return marks


def _serve_light_masses(cost: np.ndarray, a: np.ndarray, b: np.ndarray, found: Flow) -> Flow:
    """The plan with the masses that rounding lost beside heavier ones, as a problem of their own on the reduced cost.

    To a light mass the heavy points are one place that takes or gives any amount, at the least reduced cost.
    """
    mass = found.mass
    for side, at in ((a, found.rows), (b, found.columns)):  # no side is served more than it has
        mass = mass * np.minimum(side / np.maximum(np.bincount(at, mass, len(side)), side), 1)[at]
    found = found._replace(mass=mass)
    left_a, left_b = a - np.bincount(found.rows, mass, len(a)), b - np.bincount(found.columns, mass, len(b))
    is_light_a, is_light_b = left_a > LIGHT * a, left_b > LIGHT * b
    is_light_a[a == a.max()] = is_light_b[b == b.max()] = False
    if not (is_light_a.any() or is_light_b.any()):
        return found
    reduced = np.maximum(cost - found.u[:, None] - found.v, 0)
    lost = max(left_a[is_light_a].sum(), left_b[is_light_b].sum())
    heavy_a, heavy_b = (np.flatnonzero(side >= min(lost / LIGHT, side.max())) for side in (a, b))
    light_a, light_b = np.flatnonzero(is_light_a), np.flatnonzero(is_light_b)
    to_heavy, from_heavy = reduced[np.ix_(light_a, heavy_b)], reduced[np.ix_(heavy_a, light_b)]
    small = np.zeros((len(light_a) + 1, len(light_b) + 1))  # the heavy points come last
    small[:-1, :-1] = reduced[np.ix_(light_a, light_b)]
    small[:-1, -1], small[-1, :-1] = to_heavy.min(axis=1), from_heavy.min(axis=0)
    out, into = left_a[light_a], left_b[light_b]
    unit = max(out.max(initial=0), into.max(initial=0))
    inner = solve(small, np.append(out, into.sum() + unit) / unit, np.append(into, out.sum() + unit) / unit)
    light = (inner.rows < len(light_a)) | (inner.columns < len(light_b))
    rows, columns = inner.rows[light], inner.columns[light]
    sources, targets = heavy_a[from_heavy.argmin(axis=0)], heavy_b[to_heavy.argmin(axis=1)]
    new_rows = np.where(rows < len(light_a), np.append(light_a, 0)[rows], np.append(sources, 0)[columns])
    new_columns = np.where(columns < len(light_b), np.append(light_b, 0)[columns], np.append(targets, 0)[rows])
    u, v = found.u.copy(), found.v.copy()
    u[light_a] += inner.u[:-1] + inner.v[-1]
    v[light_b] += inner.v[:-1] + inner.u[-1]
    return Flow(
        np.append(found.rows, new_rows),
        np.append(found.columns, new_columns),
        np.append(found.mass, inner.mass[light] * unit),
        u,
        v,
    )
