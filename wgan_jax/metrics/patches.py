"""Sample quality as a distance between the patches of two sets of images, over several scales."""

import jax
import jax.numpy as jnp

from wgan_jax.distances import sliced_wasserstein
from wgan_jax.ranges import COUNT
from wgan_jax.types import Array, Key


def patch_distance(
    real: Array, fake: Array, key: Key, *, size: int = 7, patches: int = 32, num_projections: int = 256
) -> Array:
    """Sliced Wasserstein-1 distance between square patches, averaged over the levels of an image pyramid.

    Each level halves the images of the one before by averaging 2x2 pixels, as long as two patches fit into its smaller
    side; coarse levels see layout, fine ones texture. Patches are taken at random places. Values are divided by the
    real patches' standard deviation per channel, after their mean is taken off, so that the levels weigh alike and a
    shift of colour counts.

    Args:
        real, fake: images (N, H, W, C) and (M, H, W, C).
        key: draws places and directions; the same key compares different sets by the same places and directions.
        size: side of a patch in pixels.
        patches: taken from each image at each level.
        num_projections: directions at each level.

    Returns:
        The distance, in standard deviations of the real patches, or in units of a channel that is constant; a scalar.
        Two samples of one distribution have a small positive distance, which falls with their size.

    Raises:
        ValueError: for images of different shapes, none, or smaller than a patch, and for numbers below 1.

    Source: after Karras et al. 2018, https://arxiv.org/abs/1710.10196, section 5, which uses a Laplacian pyramid and
        normalises both sets by their own statistics.
    """
    if real.ndim != 4 or real.shape[1:] != fake.shape[1:]:
        raise ValueError(f'need two sets of images (N, H, W, C) of one shape, not {real.shape} and {fake.shape}')
    for name, value in (('size', size), ('patches', patches), ('num_projections', num_projections)):
        COUNT.check(name, value)
    if not len(real) or not len(fake):
        raise ValueError(f'need images of both sets, not {len(real)} and {len(fake)}')
    if min(real.shape[1:3]) < size:
        raise ValueError(f'images of {real.shape[1]}x{real.shape[2]} pixels hold no patch of {size}x{size}')
    levels = 1
    while min(real.shape[1:3]) // 2**levels >= 2 * size:
        levels += 1
    total = jnp.zeros(())
    for level in range(levels):
        place_key, fake_key, line_key = jax.random.split(jax.random.fold_in(key, level), 3)
        x, y = _patches(real, place_key, size, patches), _patches(fake, fake_key, size, patches)
        mean, deviation = x.mean((0, 1, 2)), x.std((0, 1, 2))
        deviation = jnp.where(deviation > 1e-6, deviation, 1)  # a channel may be constant: then its values count
        x, y = (((v - mean) / deviation).reshape(len(v), -1) for v in (x, y))
        total += sliced_wasserstein(x, y, line_key, num_projections=num_projections, p=1)
        real, fake = halve(real), halve(fake)
    return total / levels


def _patches(images: Array, key: Key, size: int, patches: int) -> Array:
    """(N, H, W, C) to (N * patches, size, size, C), each at its own random place."""
    n, height, width, channels = images.shape
    corners = jax.random.randint(key, (n, patches, 2), 0, jnp.array([height - size + 1, width - size + 1]))

    def crop(image, corner):
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), (size, size, channels))

    cropped = jax.vmap(lambda image, own: jax.vmap(lambda corner: crop(image, corner))(own))(images, corners)
    return cropped.reshape(n * patches, size, size, channels)


def halve(images: Array) -> Array:
    """Images (N, H, W, C) of half the size, the mean of 2x2 pixels each; a last odd row or column is left out."""
    n, height, width, channels = images.shape
    even = images[:, : height // 2 * 2, : width // 2 * 2]
    return even.reshape(n, height // 2, 2, width // 2, 2, channels).mean((2, 4))
