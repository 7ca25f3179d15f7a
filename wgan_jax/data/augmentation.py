"""Augmentation of image batches, one key per example: 'data' varies the real images only, 'diff' real and fake alike.

Both act on float images in [-1, 1]. Every function is written for one example (H, W, C) and batched by ``vmap``, so an
example's augmentation depends on its own key and on nothing else in the batch, nor on the number of devices.

>>> translate(jnp.ones((3, 2, 1)), 1, 0)[..., 0].tolist()
[[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
>>> adjust_saturation(jnp.array([[[0.0, 0.5, 1.0]]]), 0.0).tolist()
[[[0.5, 0.5, 0.5]]]
>>> AUGMENTATIONS['data'].fake is None
True
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates

from wgan_jax.types import Array, Key

MAX_ANGLE = math.radians(5.0)
MAX_LOG_ZOOM = 0.08  # a factor of 0.92 to 1.08
JITTER_BRIGHTNESS = 0.06
JITTER_CONTRAST = 0.1
JITTER_SATURATION = 0.2
SHIFT_RATIO = 1 / 8
CUTOUT_RATIO = 1 / 2


class Augmentation(NamedTuple):
    """What is done to either side before the critic sees it.

    Attributes:
        real, fake: ``(keys (N,), images (N, H, W, C)) -> images``, or None for nothing at all.
    """

    real: Callable[[Key, Array], Array] | None
    fake: Callable[[Key, Array], Array] | None


def rotate_and_zoom(image: Array, angle: Array | float, zoom: Array | float) -> Array:
    """Turns a picture about its centre and enlarges it, bilinearly; beyond the border the border pixel is repeated.

        out(p) = image(c + R(angle) (p - c) / zoom),    p = (row, column), c the centre.

    Args:
        image: (H, W, C).
        angle: radians; positive turns the picture counter-clockwise as seen with row 0 on top.
        zoom: factor; above 1 enlarges.

    Returns:
        (H, W, C), within the range of ``image``.
    """
    height, width, _ = image.shape
    centre_y, centre_x = (height - 1) / 2, (width - 1) / 2
    y, x = jnp.meshgrid(jnp.arange(height) - centre_y, jnp.arange(width) - centre_x, indexing='ij')
    cos, sin = jnp.cos(angle) / zoom, jnp.sin(angle) / zoom
    rows, columns = cos * y + sin * x + centre_y, cos * x - sin * y + centre_x

    def resample(channel):
        return map_coordinates(channel, [rows, columns], order=1, mode='nearest')

    return jax.vmap(resample, in_axes=-1, out_axes=-1)(image)


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
    height, width, channels = image.shape
    rows, columns = _shift_matrix(height, down, image.dtype), _shift_matrix(width, right, image.dtype)
    # Exact selection, therefore not in the reduced precision that GPU and TPU use for products by default.
    exact = jax.lax.Precision.HIGHEST
    moved = jnp.matmul(rows, image.reshape(height, width * channels), precision=exact)
    return jnp.einsum('kj,hjc->hkc', columns, moved.reshape(height, width, channels), precision=exact)


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


def _augment_data(key: Key, image: Array) -> Array:
    """One example of ``augment_data``."""
    # One draw for all: each further one costs as much to compile as the rest of the function.
    horizontal, vertical, angle, zoom, brightness, contrast, saturation = jax.random.uniform(key, (7,), minval=-1.0)
    image = jnp.where(horizontal < 0, image[:, ::-1], image)
    image = jnp.where(vertical < 0, image[::-1], image)
    image = adjust_brightness(image, JITTER_BRIGHTNESS * brightness)
    image = adjust_contrast(image, 1.0 + JITTER_CONTRAST * contrast)
    image = adjust_saturation(image, 1.0 + JITTER_SATURATION * saturation)
    # Last, so that its gathers are not done again inside the sums of the others; it stays within the range.
    return rotate_and_zoom(jnp.clip(image, -1.0, 1.0), MAX_ANGLE * angle, jnp.exp(MAX_LOG_ZOOM * zoom))


def augment_data(keys: Key, images: Array) -> Array:
    """More data from few: flips (each way, every second time), turns to 5 degrees, zooms to 8 %, slight colour jitter.

    For real images only: the generator learns to produce what is shown here. That is the wish with mirrored and
    slightly turned flags; channels are not permuted, since the colours of flags are far from evenly spread (most
    have red, few violet) and the generator would lose just that.

    Args:
        keys: (N,), one per example.
        images: (N, H, W, C) in [-1, 1].

    Returns:
        (N, H, W, C) in [-1, 1].
    """
    return jax.vmap(_augment_data)(keys, images)


def _augment_diff(key: Key, image: Array) -> Array:
    """One example of ``augment_diff``."""
    height, width, _ = image.shape
    brightness, saturation, contrast, down, right, row, column = jax.random.uniform(key, (7,))

    def integer(uniform, low, high):
        """Low to high, both included, equally often."""
        return low + jnp.floor(uniform * (high - low + 1)).astype(jnp.int32)

    image = adjust_brightness(image, brightness - 0.5)
    image = adjust_saturation(image, 2.0 * saturation)
    image = adjust_contrast(image, contrast + 0.5)
    shift_y, shift_x = int(height * SHIFT_RATIO + 0.5), int(width * SHIFT_RATIO + 0.5)
    image = translate(image, integer(down, -shift_y, shift_y), integer(right, -shift_x, shift_x))
    # Under an even side the centre may lie on the far edge too: then holes are symmetric about the picture's middle.
    odd_y, odd_x = int(height * CUTOUT_RATIO + 0.5) % 2, int(width * CUTOUT_RATIO + 0.5) % 2
    return cut_out(image, integer(row, 0, height - odd_y), integer(column, 0, width - odd_x))


def augment_diff(keys: Key, images: Array) -> Array:
    """Differentiable augmentation of real and fake alike, which keeps a few hundred images from being learned by heart.

    In turn: brightness + U(-0.5, 0.5); saturation factor U(0, 2); contrast factor U(0.5, 1.5); translation by up to an
    eighth either way, zeros moving in; a hole of half the height and width. Values may leave [-1, 1]: clipping would
    stop the gradient. With the random numbers fixed it is affine in the image, so it can be differentiated any
    number of times.

    Why it does not leak into the samples: the critic compares *augmented* distributions, T p_real with T p_fake, and a
    generator that drew augmented pictures would have them augmented twice and be found out. What has to hold is that
    T p = T q only where p = q. Brightness is a sum with a bounded independent variable, saturation and contrast are
    products with factors none of whose moments is zero; moments undo both. Shift and hole leave zeros that show where
    they fell, and no shift at all is among the shifts, so the rest of the picture is seen as it is; every pixel and
    every neighbourhood has its turn. Not constrained is only what no single view shows: the smallest hole is a
    quarter-by-quarter corner, so a dependence that needs all four corners at once.

    Args:
        keys: (N,), one per example; fresh ones for fake images.
        images: (N, H, W, C), any C.

    Returns:
        (N, H, W, C).

    Source: S. Zhao, Z. Liu, J. Lin, J.-Y. Zhu, S. Han, "Differentiable augmentation for data-efficient GAN training"
    (NeurIPS 2020), policy 'color, translation, cutout'.
    """
    return jax.vmap(_augment_diff)(keys, images)


AUGMENTATIONS: dict[str, Augmentation] = {
    'none': Augmentation(None, None),
    'data': Augmentation(augment_data, None),
    'diff': Augmentation(augment_diff, augment_diff),
}
