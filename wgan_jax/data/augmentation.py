"""Augmentation of image batches, one key per example: 'data' varies the real images only, 'diff' real and fake alike.

Both act on float images in [-1, 1]. Every function is written for one example (H, W, C) and batched by ``vmap``, so an
example's augmentation depends on its own key and on nothing else in the batch, nor on the number of devices.
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


def rotate_and_zoom(image: Array, angle, zoom) -> Array:
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


def adjust_brightness(image: Array, offset) -> Array:
    """``x + offset``."""
    return image + offset


def adjust_saturation(image: Array, factor) -> Array:
    """``m + factor (x - m)`` with m each pixel's mean over channels: 0 is grey, 1 changes nothing."""
    grey = jnp.mean(image, axis=-1, keepdims=True)
    return grey + factor * (image - grey)


def adjust_contrast(image: Array, factor) -> Array:
    """``m + factor (x - m)`` with m the picture's mean over everything."""
    mean = jnp.mean(image)
    return mean + factor * (image - mean)


def translate(image: Array, down, right) -> Array:
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


def _shift_matrix(size: int, shift, dtype) -> Array:
    """``S[i, j] = 1`` where ``i = j + shift``."""
    place = jnp.arange(size)
    return (place[:, None] == place[None, :] + shift).astype(dtype)


def cut_out(image: Array, row, column) -> Array:
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
    horizontal, vertical, angle, zoom, brightness, contrast, saturation = jax.random.split(key, 7)
    image = jnp.where(jax.random.bernoulli(horizontal), image[:, ::-1], image)
    image = jnp.where(jax.random.bernoulli(vertical), image[::-1], image)
    image = rotate_and_zoom(
        image,
        jax.random.uniform(angle, minval=-MAX_ANGLE, maxval=MAX_ANGLE),
        jnp.exp(jax.random.uniform(zoom, minval=-MAX_LOG_ZOOM, maxval=MAX_LOG_ZOOM)),
    )
    image = adjust_brightness(image, JITTER_BRIGHTNESS * jax.random.uniform(brightness, minval=-1.0))
    image = adjust_contrast(image, 1.0 + JITTER_CONTRAST * jax.random.uniform(contrast, minval=-1.0))
    image = adjust_saturation(image, 1.0 + JITTER_SATURATION * jax.random.uniform(saturation, minval=-1.0))
    return jnp.clip(image, -1.0, 1.0)


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
    brightness, saturation, contrast, down, right, row, column = jax.random.split(key, 7)
    image = adjust_brightness(image, jax.random.uniform(brightness, minval=-0.5, maxval=0.5))
    image = adjust_saturation(image, jax.random.uniform(saturation, minval=0.0, maxval=2.0))
    image = adjust_contrast(image, jax.random.uniform(contrast, minval=0.5, maxval=1.5))
    shift_y, shift_x = int(height * SHIFT_RATIO + 0.5), int(width * SHIFT_RATIO + 0.5)
    image = translate(
        image,
        jax.random.randint(down, (), -shift_y, shift_y + 1),
        jax.random.randint(right, (), -shift_x, shift_x + 1),
    )
    # Centres reach as far as the far edge itself when the block has an even side: then the hole is symmetric about
    # the picture's middle.
    even_y, even_x = 1 - int(height * CUTOUT_RATIO + 0.5) % 2, 1 - int(width * CUTOUT_RATIO + 0.5) % 2
    return cut_out(
        image,
        jax.random.randint(row, (), 0, height + even_y),
        jax.random.randint(column, (), 0, width + even_x),
    )


def augment_diff(keys: Key, images: Array) -> Array:
    """Differentiable augmentation of real and fake alike, which keeps a few hundred images from being learned by heart.

    In turn: brightness + U(-0.5, 0.5); saturation factor U(0, 2); contrast factor U(0.5, 1.5); translation by up to an
    eighth either way, zeros moving in; a hole of half the height and width. Values may leave [-1, 1]: no clipping, which
    would stop the gradient. With the random numbers fixed it is affine in the image, so it can be differentiated any
    number of times.

    Why it does not leak into the samples: the critic compares the *augmented* distributions, T p_real with T p_fake, and
    a generator that drew augmented pictures would have them augmented twice and be found out. What has to hold is that
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
