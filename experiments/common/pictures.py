"""Grids, strips and animations of images, and the files they are written to."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from wgan_jax.data.images import to_uint8
from wgan_jax.files import atomic_path

GAP = 2  # pixels between two images, before enlargement
SMALLEST_SIDE = 64  # an image is enlarged by a whole factor until its smaller side has this many pixels


def grid(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Images side by side on white.

    Args:
        images: (N, H, W, C) in [-1, 1], C 1 or 3.
        columns: images in a row; by default what makes the picture about square.

    Returns:
        The picture, uint8, (height, width, 3).
    """
    images = enlarge(to_uint8(np.asarray(images)))
    n, height, width, channels = images.shape
    images = np.broadcast_to(images, (n, height, width, 3)) if channels == 1 else images[..., :3]
    columns = min(n, columns or _even_columns(n, (n * height / width) ** 0.5))
    rows = -(-n // columns)
    sheet = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = GAP + i // columns * (height + GAP), GAP + i % columns * (width + GAP)
        sheet[y : y + height, x : x + width] = image
    return sheet


def _even_columns(n: int, wanted: float) -> int:
    """The number of columns that fills every row, if one lies near the number wanted, else the latter."""
    divisors = [d for d in range(1, n + 1) if n % d == 0 and wanted / 1.5 <= d <= wanted * 1.5]
    return min(divisors, key=lambda d: abs(d - wanted), default=max(1, round(wanted)))


def enlarge(images: np.ndarray) -> np.ndarray:
    """Every pixel of (N, H, W, C) repeated by a whole factor, so that small images can be looked at."""
    factor = max(1, SMALLEST_SIDE // min(images.shape[1:3]))
    return images.repeat(factor, axis=1).repeat(factor, axis=2)


def save_png(path: str | os.PathLike, picture: np.ndarray) -> None:
    """Writes a uint8 picture (height, width, 3) or (height, width, 1) as a PNG, atomically."""
    with atomic_path(path) as temporary:
        Image.fromarray(picture if picture.shape[-1] == 3 else picture[..., 0]).save(temporary, optimize=True)


def save_gif(path: str | os.PathLike, frames: Iterable[np.ndarray], *, seconds: float, hold: float = 0.0) -> None:
    """Writes an endlessly repeating animation, atomically.

    Args:
        path: of the file.
        frames: uint8 pictures (height, width, 3) of one size.
        seconds: for which each frame stands.
        hold: for which the last stands longer.
    """
    pictures = [Image.fromarray(frame).quantize(128, dither=Image.Dither.NONE) for frame in frames]
    durations = [round(1000 * seconds)] * len(pictures)
    durations[-1] += round(1000 * hold)
    with atomic_path(path) as temporary:
        pictures[0].save(temporary, save_all=True, append_images=pictures[1:], duration=durations, loop=0)


def read_png(path: str | os.PathLike) -> np.ndarray:
    """A picture as uint8 (height, width, 3)."""
    with Image.open(path) as image:
        return np.asarray(image.convert('RGB'))


def gif_of_files(path: str | os.PathLike, files: Sequence[Path], *, most: int = 60, seconds: float = 0.15) -> None:
    """An animation of PNG files of one size in the order given, at most ``most`` of them, evenly picked."""
    picked = sorted({round(i) for i in np.linspace(0, len(files) - 1, min(most, len(files)))})
    save_gif(path, [read_png(files[i]) for i in picked], seconds=seconds, hold=2.0)
