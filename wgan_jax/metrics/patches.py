"""Sample quality as a distance between the patches of two sets of images, over several scales.

Twice: ``patch_distance`` sees every difference in colour, as both sets are measured by the same ruler, and is the one
that is watched during training. ``laplacian_patch_distance`` is the published form: each set is divided by its own
statistics, which hides a shift or another contrast of all its colours, and each level but the last holds only the
detail that the coarser ones lack, so that blur and false texture, which are small beside what else there is, count in
full. METRICS.md says what each of them catches.
"""

import functools

import jax
import jax.numpy as jnp

from wgan_jax.distances import sliced_wasserstein
from wgan_jax.ranges import COUNT
from wgan_jax.types import Array, Key

_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


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
    levels = _check(real, fake, size, patches, num_projections)
    pyramids = _averages(real, levels), _averages(fake, levels)
    return _mean_distance(*pyramids, key, size, patches, num_projections, own=False)


def laplacian_patch_distance(
    real: Array, fake: Array, key: Key, *, size: int = 7, patches: int = 32, num_projections: int = 256
) -> Array:
    """The same between patches of Laplacian pyramids, each set normalised by its own mean and deviation per channel.

    A level is the image less what the next coarser one says of it, L_j = G_j - up(G_{j+1}), the last is G_M itself;
    G_{j+1} is G_j under the binomial filter (1, 4, 6, 4, 1) / 16 along both axes, mirrored at the border, every second
    pixel taken; up puts zeros between the pixels and filters with four times the same.

    Args:
        real, fake: images (N, H, W, C) and (M, H, W, C).
        key: draws places and directions.
        size: side of a patch in pixels.
        patches: taken from each image at each level; 128 in the paper.
        num_projections: directions at each level; 512 in the paper.

    Returns:
        The mean over the levels, in standard deviations; a scalar. The paper gives a thousand times this, by level,
        down to 16x16 pixels; here levels end where two patches no longer fit into the smaller side.

    Raises:
        ValueError: as ``patch_distance``.

    Source: Karras et al. 2018, https://arxiv.org/abs/1710.10196, section 5; Burt and Adelson 1983.
    """
    levels = _check(real, fake, size, patches, num_projections)
    pyramids = laplacian_pyramid(real, levels), laplacian_pyramid(fake, levels)
    return _mean_distance(*pyramids, key, size, patches, num_projections, own=True)


def laplacian_pyramid(images: Array, levels: int) -> list[Array]:
    """The levels of a Laplacian pyramid, the finest first; see ``laplacian_patch_distance``.

    Args:
        images: (N, H, W, C), of at least three pixels a side at the last level but one.
        levels: how many.

    Returns:
        Arrays (N, ceil(H / 2^j), ceil(W / 2^j), C); enlarged and added up they are the images.
    """
    pyramid = []
    for _ in range(levels - 1):
        coarse = _blur(images)[:, ::2, ::2]
        pyramid.append(images - enlarge(coarse, *images.shape[1:3]))
        images = coarse
    return [*pyramid, images]


def enlarge(images: Array, height: int, width: int) -> Array:
    """Images (N, ceil(height / 2), ceil(width / 2), C) of twice the size, as a Laplacian pyramid enlarges them."""
    n, h, w, channels = images.shape
    spread = jnp.zeros((n, 2 * h, 2 * w, channels), images.dtype).at[:, ::2, ::2].set(images)
    return 4 * _blur(spread)[:, :height, :width]


def _check(real: Array, fake: Array, size: int, patches: int, num_projections: int) -> int:
    """How many levels there are; raises ValueError for what has no patches."""
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
    return levels


def _averages(images: Array, levels: int) -> list[Array]:
    pyramid = [images]
    while len(pyramid) < levels:
        pyramid.append(halve(pyramid[-1]))
    return pyramid


def _mean_distance(
    real: list[Array], fake: list[Array], key: Key, size: int, patches: int, num_projections: int, *, own: bool
) -> Array:
    """Over the levels of two pyramids; with ``own`` the fake patches are divided by their own deviation."""
    total = jnp.zeros(())
    for level, (of_real, of_fake) in enumerate(zip(real, fake, strict=True)):
        place_key, fake_key, line_key = jax.random.split(jax.random.fold_in(key, level), 3)
        x, y = _patches(of_real, place_key, size, patches), _patches(of_fake, fake_key, size, patches)
        by_real = _statistics(x)
        x, y = _normalised(x, by_real), _normalised(y, _statistics(y) if own else by_real)
        total += sliced_wasserstein(x, y, line_key, num_projections=num_projections, p=1)
    return total / len(real)


def _statistics(patches: Array) -> tuple[Array, Array]:
    """Mean and deviation of each channel; one may be constant: then its values count."""
    mean, deviation = patches.mean((0, 1, 2)), patches.std((0, 1, 2))
    return mean, jnp.where(deviation > 1e-6, deviation, 1)


def _normalised(patches: Array, statistics: tuple[Array, Array]) -> Array:
    mean, deviation = statistics
    return ((patches - mean) / deviation).reshape(len(patches), -1)


def _blur(images: Array) -> Array:
    for axis in (1, 2):
        around = [(2, 2) if i == axis else (0, 0) for i in range(4)]
        padded, side = jnp.pad(images, around, mode='reflect'), images.shape[axis]
        parts = [jax.lax.slice_in_dim(padded, start, start + side, axis=axis) for start in range(5)]
        images = functools.reduce(jnp.add, [weight * part for weight, part in zip(_BINOMIAL, parts, strict=True)])
    return images


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
