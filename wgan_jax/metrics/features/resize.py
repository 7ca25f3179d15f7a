"""Resizing as the reference implementations do it, as products with a matrix for each axis.

y = A x, the row i of A holding the kernel around the place c_i = (i + 1/2) / scale - 1/2 of the source.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.data.images import to_float, to_uint8
from wgan_jax.types import Array


def triangle(x: np.ndarray) -> np.ndarray:
    """The kernel of linear interpolation."""
    return np.maximum(0, 1 - np.abs(x))


def cubic(x: np.ndarray, a: float) -> np.ndarray:
    """The cubic convolution kernel, of support 2; a = -1/2 in Pillow, -3/4 in PyTorch without antialiasing.

    Source: Keys 1981, https://doi.org/10.1109/TASSP.1981.1163711.
    """
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def linear_matrix(size: int, to: int) -> np.ndarray:
    """Linear interpolation without antialiasing, the edge repeated: PyTorch's with align_corners=False.

    Args:
        size, to: pixels before and after.

    Returns:
        (to, size).
    """
    return _repeating_edges(_places(size, to, to / size), size, 1, triangle)


def cubic_matrix(size: int, to: int, scale: float) -> np.ndarray:
    """Cubic interpolation without antialiasing, the edge repeated, a = -3/4: PyTorch's, given a scale factor.

    Args:
        size, to: pixels before and after.
        scale: of the places; ``to`` is its product with ``size``, rounded down.

    Returns:
        (to, size).
    """
    return _repeating_edges(_places(size, to, scale), size, 2, lambda x: cubic(x, -0.75))


def antialiased_cubic_matrix(size: int, to: int) -> np.ndarray:
    """Pillow's bicubic resampling: where it makes smaller the kernel is as much wider; rows are divided by their sum.

    Args:
        size, to: pixels before and after.

    Returns:
        (to, size).
    """
    wide = max(1.0, size / to)
    matrix = cubic((np.arange(size) - _places(size, to, to / size)[:, None]) / wide, -0.5)
    return matrix / matrix.sum(axis=1, keepdims=True)


def _places(size: int, to: int, scale: float) -> np.ndarray:
    return (np.arange(to) + 0.5) / scale - 0.5


def _repeating_edges(places: np.ndarray, size: int, support: int, kernel: Callable) -> np.ndarray:
    matrix, low = np.zeros((len(places), size)), np.floor(places).astype(int)
    for offset in range(1 - support, support + 1):
        columns = np.clip(low + offset, 0, size - 1)
        np.add.at(matrix, (np.arange(len(places)), columns), kernel(low + offset - places))
    return matrix


def rows_and_columns(images: Array, rows: np.ndarray, columns: np.ndarray) -> Array:
    """(N, H, W, C) to (N, R, S, C), by matrices (R, H) and (S, W); the columns first, as Pillow does."""
    images = jnp.einsum('sw,nhwc->nhsc', jnp.asarray(columns, jnp.float32), images, precision=jax.lax.Precision.HIGHEST)
    return jnp.einsum('rh,nhsc->nrsc', jnp.asarray(rows, jnp.float32), images, precision=jax.lax.Precision.HIGHEST)


def colour_levels(images: Array) -> Array:
    """What a reference reads of a PNG of the images: red, green and blue from 0 to 255.

    Grey stands in all three, and alpha over white.

    Args:
        images: (N, H, W, C) in [-1, 1], C one of 1, 3 and 4.

    Returns:
        (N, H, W, 3), whole numbers as float32.

    Raises:
        ValueError: for another number of channels.
    """
    channels = images.shape[-1]
    if channels not in (1, 3, 4):
        raise ValueError(f'need images of 1 (grey), 3 (RGB) or 4 (RGB and alpha) channels, not {images.shape}')
    levels = to_uint8(images).astype(jnp.float32)
    if channels == 4:
        alpha = levels[..., 3:] / 255
        return jnp.round(levels[..., :3] * alpha + 255 * (1 - alpha))
    return jnp.broadcast_to(levels, (*images.shape[:-1], 3))


def resize_linear(images: Array, side: int) -> Array:
    """Images in [-1, 1] of that side, in 256 levels before, see ``linear_matrix``; aspect ratio is not kept.

    Args:
        images: see ``colour_levels``.
        side: pixels.

    Returns:
        (N, side, side, 3) in [-1, 1].
    """
    height, width = images.shape[1:3]
    return rows_and_columns(to_float(colour_levels(images)), linear_matrix(height, side), linear_matrix(width, side))


def resize_cubic(images: Array, side: int) -> Array:
    """Images in [0, 1] of that side as Pillow resizes them, in 256 levels before, between the axes, and after.

    Args:
        images: see ``colour_levels``.
        side: pixels.

    Returns:
        (N, side, side, 3) in [0, 1].
    """
    levels = colour_levels(images)
    height, width = images.shape[1:3]
    steps = (
        (np.eye(height), antialiased_cubic_matrix(width, side)),
        (
            antialiased_cubic_matrix(height, side),
            np.eye(side),
        ),
    )
    for rows, columns in steps:
        levels = jnp.clip(jnp.floor(rows_and_columns(levels, rows, columns) + 0.5), 0, 255)
    return levels / 255
