"""Images of any size: how often a network halves and doubles them, and what is added to sides that do not divide.

>>> [doublings(sides, least=1) for sides in ((32, 48), (64, 64), (100, 60), (128, 128), (256, 256))]
[3, 4, 4, 5, 6]
>>> smallest_map((100, 60), 4)
(7, 4)
"""

from collections.abc import Sequence

import jax.numpy as jnp

from wgan_jax.types import Array

_LARGEST = 7  # pixels of the smallest map's shorter side


def check_image_shape(image_shape: Sequence[int]) -> None:
    """Raises ValueError for what is not (height, width, channels)."""
    if len(image_shape) != 3 or min(image_shape) < 1:
        raise ValueError(f'image_shape must be (height, width, channels), each at least 1, not {tuple(image_shape)}')


def doublings(sides: Sequence[int], least: int) -> int:
    """The fewest doublings that make an image of a map whose shorter side has at most 7 pixels; ``least`` at least.

    So larger images have deeper networks, and no larger first layers but for what the other side is longer: past
    ``least``, the shorter one has 4 to 7 pixels.

    Args:
        sides: height and width of the image, pixels.
        least: for small images.

    Returns:
        How often, at least ``least``.
    """
    count = least
    while min(smallest_map(sides, count)) > _LARGEST:
        count += 1
    return count


def smallest_map(sides: Sequence[int], count: int) -> tuple[int, int]:
    """Height and width, rounded up, of an image that has been halved ``count`` times."""
    height, width = (-(-side >> count) for side in sides)
    return height, width


def pad(images: Array, count: int) -> Array:
    """Zeros around images, so that they can be halved ``count`` times: a map that keeps all distances.

    Args:
        images: (N, H, W, C) in [-1, 1], where 0 is the middle of grey, and of transparency.
        count: how often.

    Returns:
        (N, H', W', C), H' and W' the next multiples of 2^count; the same array where they are such already.
    """
    around = [_around(side, count) for side in images.shape[1:3]]
    return jnp.pad(images, ((0, 0), *around, (0, 0))) if any(map(any, around)) else images


def crop(images: Array, sides: Sequence[int], count: int) -> Array:
    """The middle of images that ``count`` doublings made, where ``pad`` puts it.

    Args:
        images: (N, H', W', C).
        sides: H and W, pixels.
        count: doublings.

    Returns:
        (N, H, W, C).
    """
    (top, _), (left, _) = (_around(side, count) for side in sides)
    return images[:, top : top + sides[0], left : left + sides[1]]


def _around(side: int, count: int) -> tuple[int, int]:
    lacking = -side % 2**count
    return lacking // 2, lacking - lacking // 2
