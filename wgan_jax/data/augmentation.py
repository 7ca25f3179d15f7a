"""Augmentation of image batches, one key per example, made of parts by name: of real images only, or of both sides.

All act on float images in [-1, 1]. Every function is written for one example (H, W, C) and batched by ``vmap``, so an
example's augmentation depends on its own key and on nothing else in the batch, nor on the number of devices.

>>> canonical('colour,flip'), canonical('diff:cutout,shift,colour')
('flip,colour', 'diff')
>>> augmentation('flip,shift').fake is None
True
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from wgan_jax.data.picture_ops import (
    CUTOUT_RATIO,
    adjust_brightness,
    adjust_contrast,
    adjust_saturation,
    cut_out,
    translate,
    turn_zoom_shift,
    zoom_and_shift,
)
from wgan_jax.types import Array, Key

MAX_ANGLE = math.radians(5.0)
MAX_LOG_ZOOM = 0.08  # a factor of 0.92 to 1.08
JITTER_BRIGHTNESS = 0.06
JITTER_CONTRAST = 0.1
JITTER_SATURATION = 0.2
SHIFT_RATIO = 1 / 8


class Augmentation(NamedTuple):
    """What is done to either side before the critic sees it.

    Attributes:
        real, fake: ``(keys (N,), images (N, H, W, C)) -> images``, or None for nothing at all.
    """

    real: Callable[[Key, Array], Array] | None
    fake: Callable[[Key, Array], Array] | None


class Part(NamedTuple):
    """One thing that is varied.

    Attributes:
        draws: how many random numbers an example takes.
        text: what it does.
    """

    draws: int
    text: str


# In the order in which they are drawn and done.
AUGMENTATION_PARTS: dict[str, Part] = {
    'flip': Part(1, 'every second picture mirrored, its left to the right'),
    'upside_down': Part(1, 'every second picture mirrored, its top to the bottom'),
    'turn': Part(1, 'turned by up to 5 degrees'),
    'zoom': Part(1, 'enlarged or shrunk by up to 8 %'),
    'colour': Part(3, 'brightness, contrast and saturation, slightly; strongly after diff:; alpha stays'),
    'shift': Part(2, 'moved by up to an eighth; after diff: zeros move in, else the border is repeated'),
    'cutout': Part(2, 'a hole of half the height and width'),
}
_NAMED = {
    'none': (),
    'data': ('flip', 'upside_down', 'turn', 'zoom', 'colour'),
    'diff': ('colour', 'shift', 'cutout'),
}
_BOTH = 'diff:'


def _vary_real(parts: Sequence[str], key: Key, image: Array) -> Array:
    """One example that the generator is to learn from: what comes out is a picture again, within [-1, 1]."""
    drawn = _draw(parts, key, -1.0)
    image = _mirrored(image, {part: numbers[0] < 0 for part, numbers in drawn.items()})
    if 'colour' in drawn:
        brightness, contrast, saturation = drawn['colour']
        colours, alpha = _colours_and_alpha(image)
        colours = adjust_brightness(colours, JITTER_BRIGHTNESS * brightness)
        colours = adjust_contrast(colours, 1.0 + JITTER_CONTRAST * contrast)
        colours = jnp.clip(adjust_saturation(colours, 1.0 + JITTER_SATURATION * saturation), -1.0, 1.0)
        image = _together(colours, alpha)
    # After the colours, so that its gathers are not done again inside their sums; it stays within the range.
    shift = SHIFT_RATIO * drawn['shift'] * jnp.array(image.shape[:2]) if 'shift' in drawn else None
    image = _moved(image, drawn, shift)
    return _with_a_hole(image, *(drawn['cutout'] + 1) / 2) if 'cutout' in drawn else image


def _vary_both(parts: Sequence[str], key: Key, image: Array) -> Array:
    """One example of either side; nothing is clipped, which would stop the gradient."""
    drawn = _draw(parts, key, 0.0)
    image = _mirrored(image, {part: numbers[0] < 0.5 for part, numbers in drawn.items()})
    if 'colour' in drawn:
        brightness, saturation, contrast = drawn['colour']
        colours, alpha = _colours_and_alpha(image)
        colours = adjust_brightness(colours, brightness - 0.5)
        colours = adjust_saturation(colours, 2.0 * saturation)
        colours = adjust_contrast(colours, contrast + 0.5)
        image = _together(colours, alpha)
    image = _moved(image, {part: 2 * numbers - 1 for part, numbers in drawn.items()})
    if 'shift' in drawn:
        most = [int(size * SHIFT_RATIO + 0.5) for size in image.shape[:2]]
        image = translate(
            image, *(_integer(u, -pixels, pixels) for u, pixels in zip(drawn['shift'], most, strict=True))
        )
    return _with_a_hole(image, *drawn['cutout']) if 'cutout' in drawn else image


def _draw(parts: Sequence[str], key: Key, lowest: float) -> dict[str, Array]:
    """The random numbers of each part, uniform in [lowest, 1)."""
    # One draw for all: each further one costs as much to compile as the rest of the function.
    numbers = jax.random.uniform(key, (sum(AUGMENTATION_PARTS[part].draws for part in parts),), minval=lowest)
    ends = itertools.accumulate(AUGMENTATION_PARTS[part].draws for part in parts)
    return {part: numbers[end - AUGMENTATION_PARTS[part].draws : end] for part, end in zip(parts, ends, strict=True)}


def _colours_and_alpha(image: Array) -> tuple[Array, Array | None]:
    return (image[..., :3], image[..., 3:]) if image.shape[-1] == 4 else (image, None)


def _together(colours: Array, alpha: Array | None) -> Array:
    return colours if alpha is None else jnp.concatenate([colours, alpha], axis=-1)


def _mirrored(image: Array, whether: dict[str, Array]) -> Array:
    if 'flip' in whether:
        image = jnp.where(whether['flip'], image[:, ::-1], image)
    return jnp.where(whether['upside_down'], image[::-1], image) if 'upside_down' in whether else image


def _moved(image: Array, drawn: dict[str, Array], shift: Array | None = None) -> Array:
    """Turned, zoomed and moved at once, as far as that is asked for, by numbers in [-1, 1) and a shift in pixels."""
    zoom = jnp.exp(MAX_LOG_ZOOM * drawn['zoom'][0]) if 'zoom' in drawn else 1.0
    by = () if shift is None else tuple(shift)
    if 'turn' in drawn:
        return turn_zoom_shift(image, MAX_ANGLE * drawn['turn'][0], zoom, *by)
    return zoom_and_shift(image, zoom, *by) if 'zoom' in drawn or by else image


def _with_a_hole(image: Array, row: Array, column: Array) -> Array:
    """A hole whose middle lies anywhere, by two numbers in [0, 1)."""
    height, width, _ = image.shape
    # Under an even side the centre may lie on the far edge too: then holes are symmetric about the picture's middle.
    odd_y, odd_x = int(height * CUTOUT_RATIO + 0.5) % 2, int(width * CUTOUT_RATIO + 0.5) % 2
    return cut_out(image, _integer(row, 0, height - odd_y), _integer(column, 0, width - odd_x))


def _integer(uniform: Array, low: int, high: int) -> Array:
    """Low to high, both included, equally often, by a number in [0, 1)."""
    return low + jnp.floor(uniform * (high - low + 1)).astype(jnp.int32)


def canonical(name: str) -> str:
    """The one name of an augmentation, whichever way its parts are listed.

    Args:
        name: a key of ``AUGMENTATIONS``; or names of ``AUGMENTATION_PARTS`` with commas between them, after 'diff:' for
            those of real and fake images alike.

    Returns:
        The key, if it has one; else the parts in their own order.

    Raises:
        ValueError: naming what is unknown or there twice.
    """
    if name in AUGMENTATIONS:
        return name
    both = _BOTH if name.startswith(_BOTH) else ''
    asked = [part.strip() for part in name.removeprefix(both).split(',')]
    for part in asked:
        if part not in AUGMENTATION_PARTS:
            raise ValueError(
                f'augment={name}: {part or "an empty name"} is no part; there are: {", ".join(AUGMENTATION_PARTS)}, '
                f'with commas between them and {_BOTH} before them or not; or {", ".join(AUGMENTATIONS)}'
            )
        if asked.count(part) > 1:
            raise ValueError(f'augment={name}: {part} stands there twice')
    parts = tuple(part for part in AUGMENTATION_PARTS if part in asked)
    for known, its in _NAMED.items():
        if parts == its and bool(both) == (known == 'diff'):
            return known
    return both + ','.join(parts)


def augmentation(name: str) -> Augmentation:
    """An augmentation by its name, see ``canonical``; for the same parts the same functions.

    Of real images only, the generator learns to produce what is shown here: mirrored pictures where that is a wish,
    never a hole. Channels are not permuted, since colours are seldom evenly spread.

    After 'diff:' of real and fake images alike, differentiably, which keeps a few hundred images from being learned by
    heart. With the random numbers fixed it is affine in the image, so it can be differentiated any number of times.
    'diff' is, in turn: brightness + U(-0.5, 0.5); saturation factor U(0, 2); contrast factor U(0.5, 1.5); translation
    by up to an eighth either way, zeros moving in; a hole of half the height and width. Values may leave [-1, 1].

    Why that does not leak into the samples: the critic compares *augmented* distributions, T p_real with T p_fake, and
    a generator that drew augmented pictures would have them augmented twice and be found out. What has to hold is that
    T p = T q only where p = q. Brightness is a sum with a bounded independent variable, saturation and contrast are
    products with factors none of whose moments is zero; moments undo both. Shift and hole leave zeros that show where
    they fell, and no shift at all is among the shifts, so the rest of the picture is seen as it is; every pixel and
    every neighbourhood has its turn. Not constrained is only what no single view shows: the smallest hole is a
    quarter-by-quarter corner, so a dependence that needs all four corners at once. For flips it does not hold: under
    'diff:flip' a picture and its mirror image are one to the critic.

    Of images with alpha, C = 4, colours vary without it; all else moves the four channels alike, each by itself: where
    a picture ends, its colours mix with the colour of what is not seen.

    Returns:
        An Augmentation, whose functions take keys (N,), one per example, and images (N, H, W, C) of any C.

    Raises:
        ValueError: for a name that is none.

    Source: S. Zhao, Z. Liu, J. Lin, J.-Y. Zhu, S. Han, "Differentiable augmentation for data-efficient GAN training"
    (NeurIPS 2020), policy 'color, translation, cutout'.
    """
    return AUGMENTATIONS.get(name) or _made(canonical(name))


@functools.cache
def _made(name: str) -> Augmentation:
    parts = _NAMED.get(name) or tuple(name.removeprefix(_BOTH).split(','))
    if name == 'none':
        return Augmentation(None, None)
    if name == 'diff' or name.startswith(_BOTH):
        both = jax.vmap(functools.partial(_vary_both, parts))
        return Augmentation(both, both)
    return Augmentation(jax.vmap(functools.partial(_vary_real, parts)), None)


AUGMENTATIONS: dict[str, Augmentation] = {name: _made(name) for name in _NAMED}
