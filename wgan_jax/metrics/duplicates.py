"""How alike the images of a set are: the distance from each to the nearest other one."""

import jax
import jax.numpy as jnp

from wgan_jax.metrics.patches import halve
from wgan_jax.types import Array

SIDE = 16  # pixels: what differs in finer detail only is alike
NEAR = 0.5  # of the median distance between nearest real images, at most: a near-duplicate


def nearest_distances(images: Array) -> Array:
    """From each image, the distance to the nearest other image of the set.

    d_i = min over j != i of sqrt(mean over pixels and channels of (x_i - x_j)^2), of images that are halved, by
    averaging 2x2 pixels, until their smaller side is at most 16: so grain and sharpness count for nothing, and shape
    and colour for everything.

    Args:
        images: (N, H, W, C), N at least 2.

    Returns:
        (N,), in units of the pixels' values; 0 for an image that is there twice.

    Raises:
        ValueError: for anything but at least two images.
    """
    if images.ndim != 4 or len(images) < 2:
        raise ValueError(f'need at least two images (N, H, W, C), not {images.shape}')
    vectors = coarse(images).reshape(len(images), -1)

    def nearest(i):
        squares = jnp.square(vectors - vectors[i]).mean(axis=1)
        return jnp.sqrt(squares.at[i].set(jnp.inf).min())

    return jax.lax.map(nearest, jnp.arange(len(images)))


def coarse(images: Array) -> Array:
    """Images (N, H, W, C) as floats, halved until their smaller side is at most 16, see ``patches.halve``."""
    images = jnp.asarray(images)
    images = images.astype(jnp.promote_types(images.dtype, jnp.float32))  # differences of whole numbers may wrap
    while min(images.shape[1:3]) > SIDE:
        images = halve(images)
    return images
