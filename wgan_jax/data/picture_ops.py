"""Operations on one picture (H, W, C), linear in it or nearly so: what augmentation is made of.

>>> translate(jnp.ones((3, 2, 1)), 1, 0)[..., 0].tolist()
[[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
>>> adjust_saturation(jnp.array([[[0.0, 0.5, 1.0]]]), 0.0).tolist()
[[[0.5, 0.5, 0.5]]]
"""

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates

from wgan_jax.types import Array

CUTOUT_RATIO = 1 / 2


def turn_zoom_shift(
    image: Array,
    angle: Array | float,
    zoom: Array | float,
    down: Array | float = 0.0,
    right: Array | float = 0.0,
) -> Array:
    """Turns a picture about its centre, enlarges and moves it, bilinearly; past the border its pixels are repeated.

        out(p) = image(c + R(angle) (p - s - c) / zoom),    p = (row, column), c the centre, s = (down, right).

    Args:
        image: (H, W, C).
        angle: radians; positive turns the picture counter-clockwise as seen with row 0 on top.
        zoom: factor; above 1 enlarges.
        down, right: pixels, fractions too; negative is up, left.

    Returns:
        (H, W, C), within the range of ``image``.
    """
    height, width, _ = image.shape
    centre_y, centre_x = (height - 1) / 2, (width - 1) / 2
    rows, columns = jnp.arange(height) - centre_y - down, jnp.arange(width) - centre_x - right
    y, x = jnp.meshgrid(rows, columns, indexing='ij')
    cos, sin = jnp.cos(angle) / zoom, jnp.sin(angle) / zoom
    rows, columns = cos * y + sin * x + centre_y, cos * x - sin * y + centre_x

    def resample(channel):
        return map_coordinates(channel, [rows, columns], order=1, mode='nearest')

    return jax.vmap(resample, in_axes=-1, out_axes=-1)(image)


def zoom_and_shift(image: Array, zoom: Array | float, down: Array | float = 0.0, right: Array | float = 0.0) -> Array:
    """``turn_zoom_shift`` with angle 0, as two products of matrices, whose gradient is again one: see ``translate``."""
    rows = _sampling_matrix(image.shape[0], zoom, down, image.dtype)
    columns = _sampling_matrix(image.shape[1], zoom, right, image.dtype)
    return _between(rows, image, columns)


def _sampling_matrix(size: int, zoom: Array | float, shift: Array | float, dtype: jnp.dtype) -> Array:
    """Row i has the two weights of the linear interpolation at ``c + (i - shift - c) / zoom``, c the middle."""
    place, centre = jnp.arange(size), (size - 1) / 2
    source = jnp.clip((place - centre - shift) / zoom + centre, 0, size - 1)
    return jnp.maximum(0.0, 1.0 - jnp.abs(source[:, None] - place[None, :])).astype(dtype)


def _between(rows: Array, image: Array, columns: Array) -> Array:
    """``rows image columns^T`` for each channel. Not in the reduced precision that is an accelerator's default."""
    height, width, channels = image.shape
    exact = jax.lax.Precision.HIGHEST
    moved = jnp.matmul(rows, image.reshape(height, width * channels), precision=exact)
    return jnp.einsum('kj,hjc->hkc', columns, moved.reshape(height, width, channels), precision=exact)


def adjust_brightness(image: Array, offset: Array | float) -> Array:
    """Brightens a picture: ``x + offset``.

    Args:
        image: (H, W, C).
        offset: in the unit of the pixels.

    Returns:
        (H, W, C), not clipped.
    """
    return image + offset


def adjust_saturation(image: Array, factor: Array | float) -> Array:
    """Makes colours stronger or paler: ``m + factor (x - m)`` with m each pixel's mean over channels.

    Args:
        image: (H, W, C).
        factor: 0 is grey, 1 changes nothing.

    Returns:
        (H, W, C), not clipped.
    """
    # A sum of slices: XLA:CPU reduces over a last axis this short some fifteen times more slowly.
    channels = image.shape[-1]
    grey = sum(image[..., c : c + 1] for c in range(channels)) / channels
    return grey + factor * (image - grey)


def adjust_contrast(image: Array, factor: Array | float) -> Array:
    """Changes a picture's contrast: ``m + factor (x - m)`` with m its mean over all pixels and channels.

    Args:
        image: (H, W, C).
        factor: 0 is a uniform field, 1 changes nothing.

    Returns:
        (H, W, C), not clipped.
    """
    mean = jnp.mean(image)
    return mean + factor * (image - mean)


def translate(image: Array, down: Array | int, right: Array | int) -> Array:
    """Moves a picture by whole pixels; what comes in is 0.

    Written as products with shifted identity matrices, ``out = S_down image S_right^T``, not as a slice at a run-time
    position: the gradient of such a slice is a scatter, slow on CPU and TPU; that of a product is a product.

    Args:
        image: (H, W, C).
        down, right: integers; negative is up, left.

    Returns:
        (H, W, C).
    """
    rows = _shift_matrix(image.shape[0], down, image.dtype)
    return _between(rows, image, _shift_matrix(image.shape[1], right, image.dtype))


def _shift_matrix(size: int, shift: Array | int, dtype: jnp.dtype) -> Array:
    """``S[i, j] = 1`` where ``i = j + shift``."""
    place = jnp.arange(size)
    return (place[:, None] == place[None, :] + shift).astype(dtype)


def cut_out(image: Array, row: Array | int, column: Array | int) -> Array:
    """Sets a block of half the height and half the width, centred at (row, column), to 0; it may overhang the border.

    Args:
        image: (H, W, C).
        row, column: integers, the pixel right below and right of the centre.

    Returns:
        (H, W, C).
    """

    def inside(size, centre):
        extent = int(size * CUTOUT_RATIO + 0.5)
        place = jnp.arange(size) - (centre - extent // 2)
        return (place >= 0) & (place < extent)

    hole = inside(image.shape[0], row)[:, None] & inside(image.shape[1], column)[None, :]
    return jnp.where(hole[..., None], 0.0, image)
