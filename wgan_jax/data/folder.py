"""Images from a folder: ``folder:PATH``."""

import os
from pathlib import Path

import numpy as np

from wgan_jax.data.images import Images, collect, eight_bit, fit

SUFFIXES = ('.png', '.jpg', '.jpeg', '.webp', '.gif', '.bmp', '.tif', '.tiff')


def files(folder: str | os.PathLike) -> list[Path]:
    """Every image file below a folder, hidden ones left out.

    Args:
        folder: path, ``~`` allowed.

    Returns:
        At least one path, sorted by the path relative to the folder.

    Raises:
        ValueError: no such folder, or no image in it.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise ValueError(f'no such folder: {folder}')
    found = [
        path
        for path in folder.rglob('*')
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith('.') for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise ValueError(f'no images below {folder}: looked for {", ".join(SUFFIXES)} files')
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def read(path: str | os.PathLike, height: int, width: int, channels: int = 3) -> np.ndarray:
    """One file as uint8 (height, width, channels), turned as its EXIF orientation says; of a GIF the first frame.

    Args:
        path: of the file.
        height, width: pixels; the picture is centre-cropped to their aspect ratio, then resized.
        channels: 3, or 1 for grey.

    Returns:
        uint8 (height, width, channels).

    Raises:
        ValueError: a file that cannot be read as a picture, named; a size below 1, or another number of channels.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)  # a copy would forget how many bits the file declares
            upright = eight_bit(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f'cannot read {path} as an image: {error}') from error
    return fit(upright, height, width, channels)


def load(
    folder: str | os.PathLike, height: int, width: int, channels: int = 3, *, max_gigabytes: float = 8.0
) -> Images:
    """All images below a folder at one size: each centre-cropped to the aspect ratio, then resized.

    Args:
        folder: path, ``~`` allowed.
        height, width: pixels.
        channels: 3, or 1 for grey.
        max_gigabytes: refuse what would take more memory than this.

    Returns:
        ``Images``; the names are paths relative to ``folder``.

    Raises:
        ValueError: no such folder, no images, an unreadable file, too large for memory.
    """
    found = files(folder)
    gigabytes = len(found) * height * width * channels / 1e9
    if gigabytes > max_gigabytes:
        raise ValueError(
            f'{len(found)} images of {height}x{width}x{channels} take {gigabytes:.1f} GB, the limit is '
            f'{max_gigabytes:g} GB: use a smaller image size or fewer images'
        )
    pixels = np.empty((len(found), height, width, channels), np.uint8)
    for place, path in enumerate(found):
        pixels[place] = read(path, height, width, channels)
    root = Path(folder).expanduser()
    return collect(pixels, [path.relative_to(root).as_posix() for path in found])
