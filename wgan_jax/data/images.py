"""Images held in memory: uint8 on the way in and at rest, float32 in [-1, 1] where a network sees them."""

import hashlib
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from wgan_jax.types import Array

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


def collect(pixels, names=()) -> Images:
    """``Images`` of an array, checked and fingerprinted.

    Args:
        pixels: uint8 (N, H, W, C), or a sequence of N arrays (H, W, C).
        names: N strings, or ().

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


def to_float(pixels) -> Array:
    """float32 in [-1, 1] of uint8 pixels: ``x / 127.5 - 1``; any shape, NumPy or JAX, result in JAX."""
    # Subtracted first: a compiler that multiplies by 1 / 127.5 would else make 255 a little more than 1.
    return (jnp.asarray(pixels).astype(jnp.float32) - 127.5) / 127.5


def to_uint8(images) -> Array:
    """uint8 of floats in [-1, 1]: the nearest level, beyond the range the end of it; inverts ``to_float`` exactly."""
    return jnp.clip(jnp.round((jnp.asarray(images) + 1.0) * 127.5), 0, 255).astype(jnp.uint8)


def gather(pixels, indices) -> Array:
    """A batch of floats from a dataset that lies on the device as uint8.

    A quarter of the memory of float32, and only the batch is converted.

    Args:
        pixels: uint8 (N, H, W, C).
        indices: int32 (n,), each in {0..N-1}; not checked, as they may be traced.

    Returns:
        float32 (n, H, W, C) in [-1, 1].
    """
    return to_float(jnp.take(jnp.asarray(pixels), indices, axis=0, mode='clip'))


def _eight_bit(image):
    """A picture in one of Pillow's 8-bit modes with its alpha composited over white: mode L or RGB."""
    from PIL import Image

    if image.mode in ('I', 'F') or image.mode.startswith('I;16'):
        # Pillow's own conversion cuts off at 255 instead of scaling 16 bits to 8.
        values = np.asarray(image).astype(np.float64)
        scale = 257.0 if values.max(initial=0.0) > WHITE else 1.0
        return Image.fromarray(np.clip(np.round(values / scale), 0, 255).astype(np.uint8))
    if image.mode in ('L', 'RGB'):
        if 'transparency' not in image.info:
            return image
    elif image.mode == '1':
        return image.convert('L')
    elif image.mode in ('CMYK', 'YCbCr', 'LAB', 'HSV'):
        return image.convert('RGB')
    image = image.convert('RGBA')
    paper = Image.new('RGBA', image.size, (WHITE, WHITE, WHITE, WHITE))
    return Image.alpha_composite(paper, image).convert('RGB')


def _channels(image, channels: int):
    """Mode L for one channel, RGB for three."""
    if channels not in (1, 3):
        raise ValueError(f'channels must be 1 (grey) or 3 (RGB), got {channels}')
    return image.convert('L' if channels == 1 else 'RGB')


def stretch(image, height: int, width: int, channels: int = 3) -> np.ndarray:
    """Any picture as uint8 (height, width, channels), its aspect ratio given up; alpha over white.

    Area averaging (``BOX``) when it shrinks, so that edges stay as sharp as the pixels allow, with no ringing beside
    them; Lanczos when a side grows.
    """
    from PIL import Image

    if height < 1 or width < 1:
        raise ValueError(f'height and width must be at least 1 pixel, got {height}x{width}')
    image = _channels(_eight_bit(image), channels)
    shrinks = width <= image.width and height <= image.height
    image = image.resize((width, height), Image.Resampling.BOX if shrinks else Image.Resampling.LANCZOS)
    return np.asarray(image, np.uint8).reshape(height, width, channels)


def fit(image, height: int, width: int, channels: int = 3) -> np.ndarray:
    """Any picture as uint8 (height, width, channels): centre-cropped to the aspect ratio, then resized; alpha on white.

    Args:
        image: a ``PIL.Image`` of any mode (palette, alpha, 16 bits too).
        height, width: pixels of the result.
        channels: 1 (grey) or 3 (RGB).

    Returns:
        uint8 (height, width, channels).

    Raises:
        ValueError: a size below 1, or another number of channels.
    """
    if height < 1 or width < 1:
        raise ValueError(f'height and width must be at least 1 pixel, got {height}x{width}')
    # The largest box of the wanted aspect ratio; at least one pixel wide and high.
    box_width = max(1, min(image.width, round(image.height * width / height)))
    box_height = max(1, min(image.height, round(image.width * height / width)))
    left, top = (image.width - box_width) // 2, (image.height - box_height) // 2
    cropped = image.crop((left, top, left + box_width, top + box_height))
    cropped.info = image.info  # crop keeps no transparency colour in some Pillow versions
    return stretch(cropped, height, width, channels)
