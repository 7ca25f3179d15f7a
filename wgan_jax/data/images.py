"""Images held in memory: uint8 on the way in and at rest, float32 in [-1, 1] where a network sees them.

>>> to_float(np.array([0, 255], np.uint8)).tolist()
[-1.0, 1.0]
>>> levels = np.arange(256, dtype=np.uint8)
>>> bool((to_uint8(to_float(levels)) == levels).all())
True
"""

import hashlib
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp
import numpy as np

from wgan_jax import memory
from wgan_jax.text import printable
from wgan_jax.types import Array, ArrayLike

if TYPE_CHECKING:
    from PIL.Image import Image as Picture  # Pillow is imported where it is used

WHITE = 255
MAX_SIDE = 65_536  # pixels of a side
MAX_GIGABYTES = 8.0  # of a dataset, unless another limit is asked for
_STRIP = 2**22  # pixels composited at once


class UnknownDataset(ValueError):
    """No dataset of that name, as far as can be told."""


class Unsuitable(ValueError):
    """A whole picture that cannot be used as it is; the text says why and what would do."""


class Images(NamedTuple):
    """A dataset of equally large images.

    Attributes:
        pixels: uint8 NumPy array (N, H, W, C), values 0 to 255.
        names: one name per image, or () where there are none.
        fingerprint: SHA-256, in hex, of the shape and the pixels: equal content has an equal fingerprint.
        skipped: a line for each file that was left out, and one for those that are no pictures.
        notes: what else there is to say of it, a few words each.
    """

    pixels: np.ndarray
    names: tuple[str, ...]
    fingerprint: str
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def collect(pixels: np.ndarray | Sequence[np.ndarray], names: Sequence[str] = ()) -> Images:
    """``Images`` of an array, checked and fingerprinted.

    Args:
        pixels: uint8 (N, H, W, C), or a sequence of N arrays (H, W, C).
        names: N strings, or ().

    Returns:
        ``Images``, their pixels contiguous.

    Raises:
        ValueError: not uint8, not four axes, empty, or another number of names than images.
    """
    pixels = np.ascontiguousarray(pixels)
    names = tuple(names)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.size == 0:
        raise ValueError(f'images must be uint8 (N, H, W, C) and not empty, got {pixels.dtype} {pixels.shape}')
    if names and len(names) != len(pixels):
        raise ValueError(f'{len(names)} names for {len(pixels)} images')
    digest = hashlib.sha256(repr(tuple(int(n) for n in pixels.shape)).encode())
    digest.update(pixels.data)
    return Images(pixels, names, digest.hexdigest())


def check_size(height: int, width: int) -> tuple[int, int]:
    """A size that images can have.

    Args:
        height, width: pixels.

    Returns:
        (height, width), Python's integers.

    Raises:
        ValueError: no whole numbers, below 1, or above ``MAX_SIDE``.
    """
    try:
        height, width = operator.index(height), operator.index(width)
    except TypeError:
        given = f'{printable(repr(height), 40)} and {printable(repr(width), 40)}'
        raise ValueError(f'height and width must be whole numbers of pixels, got {given}') from None
    if height < 1 or width < 1:
        raise ValueError(f'height and width must be at least 1 pixel, got {_side(height)}x{_side(width)}')
    if max(height, width) > MAX_SIDE:
        raise ValueError(f'height and width must be at most {MAX_SIDE:,} pixels, got {_side(height)}x{_side(width)}')
    return height, width


def _side(side: int) -> str:
    return str(side) if abs(side) < 10**40 else 'a number of more than 40 digits'


def _check_channels(channels: int) -> None:
    if isinstance(channels, str) or channels not in (1, 3):
        raise ValueError(f'channels must be 1 (grey) or 3 (RGB), got {printable(repr(channels), 40)}')


def allocate(
    num: int, height: int, width: int, channels: int, what: str, max_gigabytes: float = MAX_GIGABYTES
) -> np.ndarray:
    """Room for the pixels of a dataset, if there is: the one place where every loader asks.

    Args:
        num: of images.
        height, width, channels: of each.
        what: the dataset as messages name it.
        max_gigabytes: refuse what would take more memory than this.

    Returns:
        uint8 (num, height, width, channels), not filled.

    Raises:
        ValueError: no images, an impossible size, more than the limit, or more than the machine has.
    """
    height, width = check_size(height, width)
    _check_channels(channels)
    if num < 1:
        raise ValueError(f'{what} holds no images')
    needed = num * height * width * channels
    images = f'{what}: {num} images of {height}x{width}x{channels}'
    instead = 'use a smaller image size or fewer images'
    if needed > max_gigabytes * 1e9:
        gigabytes = f'{min(needed, 10**30) / 1e9:.3g}'
        raise ValueError(f'{images} would take {gigabytes} GB, the limit is {max_gigabytes:g} GB: {instead}')
    memory.require(needed, images, instead)
    return np.empty((num, height, width, channels), np.uint8)


def to_float(pixels: ArrayLike) -> Array:
    """What a network sees of stored pixels: ``x / 127.5 - 1``.

    Args:
        pixels: uint8, any shape, of NumPy or JAX.

    Returns:
        float32 in [-1, 1], of that shape, 255 exactly 1.
    """
    # Subtracted first: a compiler that multiplies by 1 / 127.5 would else make 255 a little more than 1.
    return (jnp.asarray(pixels).astype(jnp.float32) - 127.5) / 127.5


def to_uint8(images: ArrayLike) -> Array:
    """The pixels nearest to a network's images; inverts ``to_float`` exactly.

    Args:
        images: floats, any shape; beyond [-1, 1] they count as the nearer end.

    Returns:
        uint8, of that shape.
    """
    return jnp.clip(jnp.round((jnp.asarray(images) + 1.0) * 127.5), 0, 255).astype(jnp.uint8)


def gather(pixels: ArrayLike, indices: ArrayLike) -> Array:
    """A batch of floats from a dataset that lies on the device as uint8.

    A quarter of the memory of float32, and only the batch is converted.

    Args:
        pixels: uint8 (N, H, W, C).
        indices: int32 (n,), each in {0..N-1}; not checked, as they may be traced.

    Returns:
        float32 (n, H, W, C) in [-1, 1].
    """
    return to_float(jnp.take(jnp.asarray(pixels), indices, axis=0, mode='clip'))


def eight_bit(image: 'Picture') -> 'Picture':
    """A picture of any mode with 8 bits a channel, its alpha composited over white.

    Deeper greys are scaled by the number of bits that the file declares, 16 where it is silent, so that a dark picture
    stays dark: 65,535 of 16 bits is white, whatever the largest value in the picture.

    Args:
        image: a ``PIL.Image``, as opened: copies and crops forget what the file declared.

    Returns:
        A ``PIL.Image`` of mode L or RGB.

    Raises:
        Unsuitable: a ValueError, for signed integers and floating-point numbers, of which nothing says which value is
            white.
    """
    from PIL import Image

    if image.mode in ('I', 'F') or image.mode.startswith('I;16'):
        return _eight_bit_grey(image)
    transparent = 'transparency' in image.info
    if image.mode in ('L', 'RGB') and not transparent:
        return image
    if image.mode == '1' and not transparent:
        return image.convert('L')
    if image.mode in ('CMYK', 'YCbCr', 'LAB', 'HSV', 'RGBX'):
        return image.convert('RGB')
    if image.width * image.height <= _STRIP:
        return _over_white(image)
    # In strips, as every step would else take a copy of the whole.
    whole = Image.new('RGB', image.size)
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        whole.paste(_over_white(strip), (0, top))
    return whole


def _over_white(image: 'Picture') -> 'Picture':
    from PIL import Image

    if image.mode == 'La':
        image = image.convert('LA')
    image = image.convert('RGBA')
    paper = Image.new('RGBA', image.size, (WHITE, WHITE, WHITE, WHITE))
    return Image.alpha_composite(paper, image).convert('RGB')


def _eight_bit_grey(image: 'Picture') -> 'Picture':
    """Mode L of one channel of more than 8 bits; Pillow's own conversion cuts off at 255."""
    from PIL import Image

    tags = getattr(image, 'tag_v2', {})  # a TIFF's; what Pillow takes from other files has 16 bits
    bits, sample_format = (tags.get(tag, (default,))[0] for tag, default in ((258, 16), (339, 1)))
    if image.mode == 'F' or sample_format != 1:
        kind = 'floating-point numbers' if image.mode == 'F' else 'signed integers'
        raise Unsuitable(f'its pixels are {kind}, and nothing says which value is white: save it with 8 or 16 bits')
    stored = np.asarray(image)
    levels = np.empty(stored.shape, np.uint8)
    rows = max(1, _STRIP // max(1, image.width))
    for top in range(0, len(stored), rows):  # floating-point numbers of the whole would take many times its memory
        strip = stored[top : top + rows]
        # Pillow keeps 32 bits without a sign in integers that have one.
        values = (strip.view(np.uint32) if bits == 32 else strip).astype(np.float64) / (2.0**bits - 1)
        if tags.get(262) == 0:  # white is zero
            values = 1 - values
        if 'transparency' in image.info:
            values = np.where(strip == image.info['transparency'], 1, values)
        levels[top : top + rows] = np.clip(np.round(values * WHITE), 0, WHITE)
    return Image.fromarray(levels)


def _channels(image: 'Picture', channels: int) -> 'Picture':
    """Mode L for one channel, RGB for three."""
    _check_channels(channels)
    return image.convert('L' if channels == 1 else 'RGB')


def stretch(image: 'Picture', height: int, width: int, channels: int = 3) -> np.ndarray:
    """Any picture as uint8 (height, width, channels), its aspect ratio given up; alpha over white.

    Area averaging (``BOX``) when it shrinks, so that edges stay as sharp as the pixels allow, with no ringing beside
    them; Lanczos when a side grows.

    Args:
        image: a ``PIL.Image`` of any mode that ``eight_bit`` takes.
        height, width: pixels of the result.
        channels: 1 (grey) or 3 (RGB).

    Returns:
        uint8 (height, width, channels).

    Raises:
        ValueError: a size below 1, another number of channels, or a mode that ``eight_bit`` does not take.
    """
    from PIL import Image

    height, width = check_size(height, width)
    image = _channels(eight_bit(image), channels)
    shrinks = width <= image.width and height <= image.height
    image = image.resize((width, height), Image.Resampling.BOX if shrinks else Image.Resampling.LANCZOS)
    return np.asarray(image, np.uint8).reshape(height, width, channels)


def fit(image: 'Picture', height: int, width: int, channels: int = 3) -> np.ndarray:
    """Any picture as uint8 (height, width, channels): centre-cropped to the aspect ratio, then resized; alpha on white.

    Args:
        image: a ``PIL.Image`` of any mode that ``eight_bit`` takes (palette, alpha, 16 bits too).
        height, width: pixels of the result.
        channels: 1 (grey) or 3 (RGB).

    Returns:
        uint8 (height, width, channels).

    Raises:
        ValueError: a size below 1, another number of channels, or a mode that ``eight_bit`` does not take.
    """
    height, width = check_size(height, width)
    image = eight_bit(image)
    # The largest box of the wanted aspect ratio; at least one pixel wide and high.
    box_width = max(1, min(image.width, round(image.height * width / height)))
    box_height = max(1, min(image.height, round(image.width * height / width)))
    left, top = (image.width - box_width) // 2, (image.height - box_height) // 2
    if (box_width, box_height) != image.size:  # a crop is a copy
        image = image.crop((left, top, left + box_width, top + box_height))
    return stretch(image, height, width, channels)
