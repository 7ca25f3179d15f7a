"""Images held in memory: uint8 on the way in and at rest, float32 in [-1, 1] where a network sees them.

>>> to_float(np.array([0, 255], np.uint8)).tolist()
[-1.0, 1.0]
>>> levels = np.arange(256, dtype=np.uint8)
>>> bool((to_uint8(to_float(levels)) == levels).all())
True
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp
import numpy as np

from wgan_jax.types import Array, ArrayLike

if TYPE_CHECKING:
    from PIL.Image import Image as Picture  # Pillow is imported where it is used

WHITE = 255


class Images(NamedTuple):
    """A dataset of equally large images.

    Attributes:
        pixels: uint8 NumPy array (N, H, W, C), values 0 to 255.
        names: one name per image, or () where there are none.
        fingerprint: SHA-256, in hex, of the shape and the pixels: equal content has an equal fingerprint.
    """

    pixels: np.ndarray
    names: tuple[str, ...]
    fingerprint: str


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
        ValueError: for signed integers and floating-point numbers, of which nothing says which value is white.
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
        raise ValueError(f'its pixels are {kind}, and nothing says which value is white: save it with 8 or 16 bits')
    stored = np.asarray(image)
    # Pillow keeps 32 bits without a sign in integers that have one.
    values = (stored.view(np.uint32) if bits == 32 else stored).astype(np.float64) / (2.0**bits - 1)
    if tags.get(262) == 0:  # white is zero
        values = 1 - values
    if 'transparency' in image.info:
        values = np.where(stored == image.info['transparency'], 1, values)
    return Image.fromarray(np.clip(np.round(values * WHITE), 0, WHITE).astype(np.uint8))


def _channels(image: 'Picture', channels: int) -> 'Picture':
    """Mode L for one channel, RGB for three."""
    if channels not in (1, 3):
        raise ValueError(f'channels must be 1 (grey) or 3 (RGB), got {channels}')
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

    if height < 1 or width < 1:
        raise ValueError(f'height and width must be at least 1 pixel, got {height}x{width}')
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
    if height < 1 or width < 1:
        raise ValueError(f'height and width must be at least 1 pixel, got {height}x{width}')
    image = eight_bit(image)
    # The largest box of the wanted aspect ratio; at least one pixel wide and high.
    box_width = max(1, min(image.width, round(image.height * width / height)))
    box_height = max(1, min(image.height, round(image.width * height / width)))
    left, top = (image.width - box_width) // 2, (image.height - box_height) // 2
    return stretch(image.crop((left, top, left + box_width, top + box_height)), height, width, channels)
