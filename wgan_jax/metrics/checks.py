"""Looking at features where they enter: matrices of one width, long enough, of finite numbers."""

from typing import Any

import numpy as np

_LARGEST = 1e150  # whose square is finite in float64


def as_features(least: int = 1, **sets: Any) -> list[np.ndarray]:
    """Sets of features as float64 matrices.

    Args:
        least: rows that each of them must have.
        sets: by the names that a complaint gives them, each (n, d), d the same.

    Returns:
        The matrices in their order, on the host.

    Raises:
        ValueError: in one line, for what is no matrix, has no columns, too few rows, another width, or a number that is
            not finite.
    """
    matrices = []
    for name, given in sets.items():
        matrix = np.asarray(given, np.float64)
        if matrix.ndim != 2 or matrix.shape[1] == 0:
            raise ValueError(f'{name} {matrix.shape} must be features (n, d): flatten images to one row each')
        if len(matrix) < least:
            raise ValueError(f'{name} has {len(matrix)} rows, and at least {least} are needed')
        finite = np.abs(matrix) < _LARGEST
        if not finite.all():
            row, column = np.unravel_index(np.argmin(finite), matrix.shape)
            raise ValueError(f'{name}[{row}, {column}] is {matrix[row, column]}: every feature must be finite')
        matrices.append(matrix)
    widths = {name: matrix.shape[1] for name, matrix in zip(sets, matrices, strict=True)}
    if len(set(widths.values())) > 1:
        said = ' and '.join(f'{name} {width}' for name, width in widths.items())
        raise ValueError(f'features of different widths, {said}: take both from the same network')
    return matrices
