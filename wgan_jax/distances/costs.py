"""Euclidean distances between two clouds, each to its own relative precision, from 1e-300 to 1e300."""

from collections.abc import Iterator

import numpy as np
from scipy.spatial.distance import cdist

HIGH_DIMENSION = 32  # from which distances are faster by a matrix product
SHORT = 2.0**-480  # a distance whose square may underflow, the largest coordinate being about one
AT_ONCE = 2**22  # numbers in the differences that are held at a time


def common_scale(x: np.ndarray, y: np.ndarray) -> float:
    """A power of two above the size of every coordinate and every difference of two, to divide by without rounding."""
    largest = max(np.abs(x).max(), np.abs(y).max())
    return float(2.0 ** min(np.frexp(largest)[1] + 1, 1023)) if largest > 0 else 1.0


def pairwise_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Euclidean distances |x_i - y_j| in float64 without an array of n m d differences.

    In high dimensions |x|^2 + |y|^2 - 2 <x, y> by a matrix product, about the median of the clouds; the pairs so close
    that this would lose digits are done again by their differences. So are, in any dimension, those whose squares
    underflow.

    Args:
        x, y: (n, d) and (m, d).

    Returns:
        The distances, (n, m), each to about 13 digits.
    """
    scale = common_scale(x, y)
    x, y = x / scale, y / scale
    distances = cdist(x, y) if x.shape[1] < HIGH_DIMENSION else _by_products(x, y)
    if distances.min() < SHORT:
        rows, columns = np.nonzero(distances < SHORT)
        for i, j in _pieces(rows, columns, x.shape[1]):
            gaps = np.abs(x[i] - y[j])
            longest = gaps.max(axis=1)
            gaps /= np.where(longest > 0, longest, 1)[:, None]
            distances[i, j] = longest * np.sqrt(np.sum(gaps**2, axis=1))
    if scale != 1:
        distances *= scale
    return distances


def _by_products(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    centre = np.median(np.concatenate([x, y]), axis=0)  # the mean would follow a single far point
    around = x - centre, y - centre
    sizes = (around[0] ** 2).sum(axis=1)[:, None] + (around[1] ** 2).sum(axis=1)
    squares = around[0] @ around[1].T
    squares *= -2
    squares += sizes
    sizes *= 1e-3
    rows, columns = np.nonzero(squares <= sizes)
    for i, j in _pieces(rows, columns, x.shape[1]):
        squares[i, j] = np.sum((x[i] - y[j]) ** 2, axis=1)
    return np.sqrt(squares, out=squares)


def _pieces(rows: np.ndarray, columns: np.ndarray, dimension: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The pairs, so few at a time that their differences fit into memory."""
    step = max(1, AT_ONCE // dimension)
    for first in range(0, len(rows), step):
        yield rows[first : first + step], columns[first : first + step]
