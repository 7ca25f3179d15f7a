"""Best plans whose proof holds to 1e-9 of their own cost, however far that lies below the largest cost.

A solver in floating point is right to the precision of the largest cost that it sees. What is seen here is capped above
the largest cost that carries mass, in units of what the plan so far costs: the distance between far clusters between
which nothing goes, or all but the largest of many powers, then cost no digits. A plan that is best for capped costs
and uses no capped arc is best, and potentials below capped costs are below the costs. Where that is not enough, the
problem is solved again on what the potentials leave of the cost, and the potentials add up.
"""

from typing import NamedTuple

import numpy as np

from wgan_jax.distances.certificate import EPSILON, Base, gap
from wgan_jax.distances.simplex import Flow, feasible, solve

TOLERANCE = 1e-9  # of the cost, by which it may exceed the dual
ATTEMPTS = 60  # scales and caps to be tried
REFINEMENTS = 3  # at each of them
STEEP = 8  # order from which a plan for a smaller one gives the first scale
ROOM = 4  # times the largest cost that carries mass is the cap
WIDER = 1e3  # factor of a cap that did not do


class Masses(NamedTuple):
    """Positive masses of both sides.

    Attributes:
        a, b: (n,) and (m,), of the same total up to rounding.
        exact: whether they are integers, which a solver adds and subtracts without rounding.
    """

    a: np.ndarray
    b: np.ndarray
    exact: bool


class Solution(NamedTuple):
    """A best plan.

    Attributes:
        unit: of the distances.
        cost: sum_k mass_k (distance_k / unit)^p / total mass.
        flow: the plan; its potentials are for costs in that unit.
        base: to be added to the potentials.
        certified: whether the cost is proven.
    """

    unit: float
    cost: float
    flow: Flow
    base: Base
    certified: bool


def best_plan(distances: np.ndarray, p: float, masses: Masses, *, single: bool) -> Solution:
    """A best plan for the cost distance^p, with its proof.

    Args:
        distances: (n, m).
        p: the order.
        masses: of both sides.
        single: whether the proof must hold for potentials rounded to one float each; the base is 0 then.

    Returns:
        A ``Solution``.

    Raises:
        ValueError: where rounding forbids a proof.
    """
    found = _search(distances, p, masses, single)
    if not found.certified:
        raise ValueError(
            f'the transport cost cannot be proven to {TOLERANCE:g} of itself in float64: distances or masses that '
            f'count are too many orders of magnitude apart{" for potentials of one float each" if single else ""}; '
            'treat groups of points that are far apart, or far lighter than others, by themselves'
        )
    return found


def _search(distances: np.ndarray, p: float, masses: Masses, single: bool) -> Solution:
    unit, cap = float(distances.max()), 1.0
    if unit == 0:
        cost = np.zeros_like(distances)
        return Solution(1.0, 0.0, solve(cost, *masses[:2]), _nothing(cost), True)
    if p == 1 and 1e-100 < unit < 1e100:  # then they are the costs as they stand
        unit, cap = 1.0, unit
    if p > STEEP:
        easier = _search(distances, p / 4, masses, False)
        unit, cap = _next(distances, p, easier.unit, easier.flow)
    best: Solution | None = None
    for _ in range(ATTEMPTS):
        cost = _powers(distances, unit, p)
        solution = _at_scale(cost, cap, unit, masses, single)
        if solution.certified:
            return solution
        whole = cap >= cost.max()
        better = best is None or solution.cost * (unit / best.unit) ** p < best.cost * (1 - TOLERANCE)
        if better:
            best = solution
            unit, cap = _next(distances, p, unit, solution.flow)
        elif whole:
            break
        else:
            cap *= WIDER
    assert best is not None  # it is after the first attempt
    return best


def _powers(distances: np.ndarray, unit: float, p: float) -> np.ndarray:
    if p == unit == 1:
        return distances
    cost = distances / unit
    if p != 1:
        with np.errstate(over='ignore'):
            np.power(cost, p, out=cost)
    return cost


def _next(distances: np.ndarray, p: float, unit: float, flow: Flow) -> tuple[float, float]:
    """What a plan costs as a distance, as the next unit, and a cap above the costs that carry mass in it."""
    carried = distances[flow.rows, flow.columns]
    largest = carried.max(initial=0)
    if largest == 0:
        return unit * 1e-3, 1.0
    total = flow.mass.sum()
    share = float(np.sum(flow.mass * (carried / largest) ** p) / total)
    return float(largest * share ** (1 / p)), ROOM / share


def _at_scale(cost: np.ndarray, cap: float, unit: float, masses: Masses, single: bool) -> Solution:
    """The best plan for one scale and cap, refined until it is proven or refining does not help."""
    a, b, _ = masses
    seen = np.minimum(cost, cap) if cap < cost.max() else cost
    base, reduced = _nothing(cost), seen
    flow = _solve(seen, masses)
    for _ in range(REFINEMENTS):
        primal = float(np.sum(flow.mass * cost[flow.rows, flow.columns]))
        found = Solution(unit, primal / a.sum(), flow, base, False)
        if not np.isfinite(primal):
            return found
        if primal == 0:
            zero = Flow(*flow[:3], np.zeros_like(a), np.zeros_like(b))
            return found._replace(flow=zero, base=_nothing(cost), certified=_is_whole(masses, flow))
        if gap(cost, reduced, base, a, b, flow) <= TOLERANCE * primal:
            if not single:
                return found._replace(certified=True)
            both = _centred(base.x + flow.u, base.y + flow.v, a, b)
            rounded = flow._replace(u=both.x, v=both.y)
            # The totals of the two sides, which a reader would compare, must not cancel either.
            totals = EPSILON * (a @ np.abs(rounded.u) + b @ np.abs(rounded.v))
            if gap(cost, seen, _nothing(cost), a, b, rounded) + totals <= TOLERANCE * primal:
                return found._replace(flow=rounded, base=_nothing(cost), certified=True)
        base = _centred(base.x + flow.u, base.y + flow.v, a, b)
        reduced = seen - (base.x[:, None] + base.y)
        used = reduced[flow.rows, flow.columns].max()
        flow = _solve(np.clip(reduced, 0, max(used, EPSILON * cap) * WIDER), masses, reduced)
    return found


def _nothing(cost: np.ndarray) -> Base:
    return Base(np.zeros(cost.shape[0]), np.zeros(cost.shape[1]))


def _solve(cost: np.ndarray, masses: Masses, bound: np.ndarray | None = None) -> Flow:
    """The plan, without flows that are only rounding of the masses, and potentials below ``bound`` (the cost)."""
    a, b, exact = masses
    flow = solve(cost, a, b)
    least = 0.5 if exact else 8 * EPSILON * (len(a) + len(b)) * np.minimum(a[flow.rows], b[flow.columns])
    keep = flow.mass > least
    u, v = feasible(cost if bound is None else np.minimum(cost, bound), flow.v)
    return Flow(flow.rows[keep], flow.columns[keep], flow.mass[keep], u, v)


def _is_whole(masses: Masses, flow: Flow) -> bool:
    """Whether a plan moves all masses, up to their rounding."""
    sides = ((masses.a, flow.rows), (masses.b, flow.columns))
    return all(np.allclose(np.bincount(at, flow.mass, len(side)), side, rtol=TOLERANCE, atol=0) for side, at in sides)


def _centred(u: np.ndarray, v: np.ndarray, a: np.ndarray, b: np.ndarray) -> Base:
    """The potentials, shifted so that those of most of the mass are small: by the weighted median of u and -v."""
    values, weights = np.append(u, -v), np.append(a, b)
    order = np.argsort(values)
    levels = np.cumsum(weights[order])
    shift = values[order][np.searchsorted(levels, levels[-1] / 2)]
    return Base(u - shift, v + shift)
