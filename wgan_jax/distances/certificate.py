"""The proof that a plan is best: potentials below the cost whose sum over the masses is what the plan costs.

For potentials with u_i + v_j <= c_ij (1 + tau), sum_i a_i u_i + sum_j b_j v_j <= (1 + tau) times the least cost. What a
plan lacks to that sum is sum_ij P_ij (c_ij - u_i - v_j), plus the potentials of masses that it leaves. Where potentials
are large and costs small, that must not be reckoned from the two totals: it is summed arc by arc, without rounding.
"""

import math
from typing import NamedTuple

import numpy as np

from wgan_jax.distances.simplex import Flow

SERVED = 1e-11  # share of its mass by which what leaves or reaches a point may be off
SLACK = 1e-11  # tau, by which u_i + v_j may exceed its own c_ij
EPSILON = np.finfo(float).eps


class Base(NamedTuple):
    """Potentials of an earlier, coarser solution, to which finer ones are added without rounding.

    Attributes:
        x, y: (n,) and (m,), in the unit of the cost.
    """

    x: np.ndarray
    y: np.ndarray


def gap(cost: np.ndarray, reduced: np.ndarray, base: Base, a: np.ndarray, b: np.ndarray, found: Flow) -> float:
    """An upper bound of primal minus dual, for the potentials base.x + u and base.y + v.

    Args:
        cost: c, (n, m).
        reduced: c - base.x - base.y, or less, (n, m).
        base: the coarser part of the potentials.
        a, b: masses, (n,) and (m,).
        found: the plan, and the finer part of the potentials.

    Returns:
        The bound, in the unit of the cost times the mass; infinite for a plan that does not move the masses.
    """
    parts = (base.x, base.y, found.u, found.v)

    def slack(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """c - u - v on some arcs, to twice the working precision before it is rounded."""
        return _sum(cost[i, j], *(-part[k] for part, k in zip(parts, (i, j, i, j), strict=True)))

    left = reduced - found.u[:, None]
    left -= found.v
    rounding = 4 * EPSILON * (np.abs(found.u) + np.abs(found.v).max())
    i, j = np.nonzero(left <= rounding[:, None])
    doubtful = left[i, j] - rounding[i] <= -SLACK * cost[i, j]
    i, j = i[doubtful], j[doubtful]
    over = np.zeros(len(a))
    np.maximum.at(over, i, -slack(i, j) - SLACK * cost[i, j])
    on_arcs = slack(found.rows, found.columns) * found.mass
    left_a = a - np.bincount(found.rows, found.mass, len(a))
    left_b = b - np.bincount(found.columns, found.mass, len(b))
    if (np.abs(left_a) > SERVED * a).any() or (np.abs(left_b) > SERVED * b).any():
        return np.inf
    # A mass that is left out costs its potential, and one that is served twice gains it.
    left_out = [left_a * parts[0], left_b * parts[1], left_a * parts[2], left_b * parts[3]]
    return abs(math.fsum([*on_arcs, *(-np.concatenate(left_out))])) + float(a @ over)


def _sum(*terms: np.ndarray) -> np.ndarray:
    """The sum of some arrays with the errors of all its additions, which are floats themselves, added at the end.

    Source: Knuth, The Art of Computer Programming, volume 2, theorem 4.2.2 B.
    """
    total, errors = terms[0], 0.0
    for term in terms[1:]:
        new = total + term
        part = new - total
        errors = errors + ((total - (new - part)) + (term - part))
        total = new
    return total + errors
