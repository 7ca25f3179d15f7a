"""Animations of images; grids and PNGs are the library's."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from wgan_jax.data.pictures import damage, enlarge, grid, on_white, save_png
from wgan_jax.files import atomic_path

__all__ = ['damage', 'enlarge', 'gif_of_files', 'grid', 'on_white', 'read_png', 'save_gif', 'save_png']


def save_gif(path: str | os.PathLike, frames: Iterable[np.ndarray], *, seconds: float, hold: float = 0.0) -> None:
    """Writes an endlessly repeating animation, atomically; alpha over white.

    Args:
        path: of the file.
        frames: uint8 pictures (height, width, 3 or 4) of one size.
        seconds: for which each frame stands.
        hold: for which the last stands longer.
    """
    pictures = [Image.fromarray(on_white(frame)).quantize(128, dither=Image.Dither.NONE) for frame in frames]
    durations = [round(1000 * seconds)] * len(pictures)
    durations[-1] += round(1000 * hold)
    with atomic_path(path) as temporary:
        pictures[0].save(temporary, save_all=True, append_images=pictures[1:], duration=durations, loop=0)


def read_png(path: str | os.PathLike) -> np.ndarray:
    """A picture as uint8 (height, width, 3); alpha over white."""
    with Image.open(path) as image:
        return on_white(np.asarray(image)) if image.mode == 'RGBA' else np.asarray(image.convert('RGB'))


def gif_of_files(path: str | os.PathLike, files: Sequence[Path], *, most: int = 60, seconds: float = 0.15) -> None:
    """An animation of PNG files, in their order, of at most ``most`` of them, evenly picked, as large as the last."""
    picked = sorted({round(i) for i in np.linspace(0, len(files) - 1, min(most, len(files)))})
    frames = [read_png(files[i]) for i in picked]
    save_gif(path, [f for f in frames if f.shape == frames[-1].shape], seconds=seconds, hold=2.0)
