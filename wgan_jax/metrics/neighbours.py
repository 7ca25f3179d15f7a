"""Nearest neighbours, exact, in float64 on the host: memory grows with the number of points, not with its square.

|x - y|^2 = |x|^2 + |y|^2 - 2 <x, y> makes a matrix product of all distances, and loses to rounding what is below about
1e-13 of the squared norms. In float32 that would hide differences that matter; in float64 it is less than two float32
pictures can differ by in more than a few pixels. What is lost is set to 0, and the distances that are returned are
taken again from differences.

>>> points = np.array([[0.0], [1.0], [3.0]])
>>> nearest_neighbours(points).indices[:, 0].tolist()  # each beside the others
[1, 0, 1]
>>> nearest_neighbours(np.array([[2.9]]), points, k=2).distances.round(6).tolist()
[[0.1, 1.9]]
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from wgan_jax.metrics.checks import as_features
from wgan_jax.ranges import COUNT
from wgan_jax.types import ArrayLike

_TOGETHER = 2**22  # distances at a time: 32 MB
_ROWS = 2048


class Neighbours(NamedTuple):
    """The nearest neighbours of n points.

    Attributes:
        distances: Euclidean, (n, k), from the nearest on; exactly 0 for equal points.
        indices: of the neighbours, (n, k).
    """

    distances: np.ndarray
    indices: np.ndarray


def nearest_neighbours(x: ArrayLike, y: ArrayLike | None = None, *, k: int = 1) -> Neighbours:
    """The k points of y that are nearest to each point of x.

    Args:
        x: points (n, d).
        y: points (m, d); None for the other points of x, each point itself left out.
        k: neighbours, at most m, or n - 1.

    Returns:
        Neighbours. Of points that are equally far any may be taken.

    Raises:
        ValueError: for features that cannot be compared, and for fewer points than neighbours.
    """
    COUNT.check('k', k)
    if y is None:
        (x,) = as_features(x=x)
        check_neighbours('x', len(x), k)
        others = x
    else:
        x, others = as_features(x=x, y=y)
        if len(others) < k:
            raise ValueError(f'y has {len(others)} rows, and k={k} neighbours are asked for')
    distances, indices = np.empty((len(x), k)), np.empty((len(x), k), np.int64)
    for rows, squares in pair_squares(x, others, leave_one_out=y is None):
        near = squares.argmin(axis=1)[:, None] if k == 1 else np.argpartition(squares, k - 1, axis=1)[:, :k]
        found = np.stack([_lengths(x[rows] - others[column]) for column in near.T], axis=1)
        order = np.argsort(found, axis=1, kind='stable')
        distances[rows], indices[rows] = (np.take_along_axis(a, order, axis=1) for a in (found, near))
    return Neighbours(distances, indices)


def check_neighbours(name: str, rows: int, k: int) -> None:
    """Raises ValueError where a set has no k neighbours for each of its points."""
    COUNT.check('k', k)
    if rows <= k:
        raise ValueError(f'{name} has {rows} rows: k={k} neighbours of each need at least {k + 1}')


def pair_squares(
    x: np.ndarray, y: np.ndarray, *, leave_one_out: bool = False, dtype: type = np.float64
) -> Iterator[tuple[slice, np.ndarray]]:
    """Squared distances from some points of x to all of y at a time.

    Args:
        x, y: points (n, d) and (m, d), float64.
        leave_one_out: x is y, and a point is infinitely far from itself.
        dtype: of the products and of what is given; float32 takes half the time, and rounds to about 1e-6 of the
            squared norms.

    Yields:
        Which rows of x, and (rows, m), the caller's to change, not negative; in float64 0 where rounding may have
        made it of 0.
    """
    centre = y.mean(axis=0)  # to lose less
    x, y = ((a - centre).astype(dtype) for a in (x, y))
    x_squares, y_squares = (np.einsum('nd,nd->n', a, a) for a in (x, y))
    step = min(_ROWS, max(1, _TOGETHER // len(y)))
    for start in range(0, len(x), step):
        rows = slice(start, min(start + step, len(x)))
        squares = -2 * x[rows] @ y.T
        squares += x_squares[rows, None]
        squares += y_squares
        lost = 2 * rounding(x.shape[1]) * x_squares[rows, None] if dtype is np.float64 else dtype(0)
        squares[squares <= lost] = 0
        if leave_one_out:
            squares[np.arange(rows.stop - start), np.arange(start, rows.stop)] = np.inf
        yield rows, squares


def rounding(width: int) -> float:
    """By how much a squared distance may be wrong, in parts of |x|^2 + |y|^2."""
    return (width + 4) * float(np.finfo(np.float64).eps)


def balls(points: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Squared radii, each so much larger that rounding takes no point out of its ball.

    Args:
        points: the centres, (n, d).
        squares: squared distances to the points that the balls are to reach, (n,).
    """
    # A point of the ball has |y|^2 <= (|x| + r)^2 <= 2 |x|^2 + 2 r^2; either distance may be wrong.
    norms = np.square(points).sum(axis=1)
    return squares + 2 * rounding(points.shape[1]) * (3 * norms + 2 * squares)


def _lengths(differences: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum('nd,nd->n', differences, differences))
