"""Approximate potentials of a transport problem: a start from which exact solvers have little left to do."""

import numpy as np

SUBSET = 512  # points a side on which the potentials are found before they are extended to all
EPSILONS = np.geomspace(0.5, 0.01, 60)  # entropic smoothing, in units of the mean cost
FULL_STEPS = 5  # steps on all points, at the last smoothing


def approximate_potentials(cost: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Potentials u, v with u_i + v_j <= cost_ij, close to the best for masses a and b.

    Sinkhorn's iteration in float32 with decreasing smoothing on evenly picked points, extended to all points, and made
    feasible by u_i = min_j cost_ij - v_j and v_j = min_i cost_ij - u_i.

    Args:
        cost: (n, m).
        a, b: positive masses, (n,) and (m,).

    Returns:
        u (n,) and v (m,).
    """
    rows, columns = (np.linspace(0, k - 1, min(k, SUBSET)).astype(int) for k in cost.shape)
    scale = cost.mean() or 1.0
    part = (cost[np.ix_(rows, columns)] / scale).astype(np.float32)
    v = _sinkhorn(part, a[rows], b[columns], np.zeros(len(columns), np.float32), EPSILONS) * scale
    u = (cost[:, columns] - v).min(axis=1)
    if len(rows) < cost.shape[0] or len(columns) < cost.shape[1]:
        v = (cost - u[:, None]).min(axis=0)
        steps = np.repeat(EPSILONS[-1], FULL_STEPS)
        v = _sinkhorn((cost / scale).astype(np.float32), a, b, (v / scale).astype(np.float32), steps) * scale
        u = (cost - v).min(axis=1)
    return u, (cost - u[:, None]).min(axis=0)


def _sinkhorn(cost, a, b, v, epsilons):
    """The potential v after one step of either side at each smoothing; logarithms of sums, shifted by their maximum."""
    a, b = (masses.astype(np.float32) / np.float32(masses.sum()) for masses in (a, b))
    kernel = np.empty_like(cost)
    for epsilon in epsilons.astype(np.float32):
        np.subtract(v, cost, out=kernel)
        u = -_soft_maximum(kernel, kernel.max(axis=1, keepdims=True), epsilon, lambda k: k @ b)
        np.subtract(u[:, None], cost, out=kernel)
        v = -_soft_maximum(kernel, kernel.max(axis=0, keepdims=True), epsilon, lambda k: a @ k)
    return v.astype(np.float64)


def _soft_maximum(values, largest, epsilon, average):
    values -= largest
    values /= epsilon
    np.exp(values, out=values)
    return largest.ravel() + epsilon * np.log(average(values))
