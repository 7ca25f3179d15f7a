"""Images as pictures to look at: side by side, enlarged, and as PNG files."""

import os

import numpy as np

from wgan_jax.data.images import to_uint8
from wgan_jax.files import atomic_path
from wgan_jax.text import reason

GAP = 2  # pixels between two images, after enlargement
SMALLEST_SIDE = 64  # an image is enlarged by a whole factor until its smaller side has this many pixels


def grid(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Images side by side on white, or on nothing where they have alpha.

    Args:
        images: (N, H, W, C) in [-1, 1], C 1, 3 or 4.
        columns: images in a row; by default what makes the picture about square.

    Returns:
        The picture, uint8, (height, width, 3), or (height, width, 4) of images with 4 channels.
    """
    images = enlarge(np.asarray(to_uint8(np.asarray(images))))
    n, height, width, channels = images.shape
    if channels == 1:
        images = np.broadcast_to(images, (n, height, width, 3))
    columns = min(n, columns or _even_columns(n, (n * height / width) ** 0.5))
    rows = -(-n // columns)
    sheet = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, images.shape[-1]), 255, np.uint8)
    sheet[..., 3:] = 0
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


def on_white(picture: np.ndarray) -> np.ndarray:
    """A picture as it looks on white: alpha * colour + (1 - alpha) * white.

    Args:
        picture: uint8 (height, width, 4); one of other channels is given back as it is.

    Returns:
        uint8 (height, width, 3).
    """
    if picture.shape[-1] != 4:
        return picture
    alpha = picture[..., 3:].astype(np.float32) / 255
    return np.round(picture[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def grid_bytes(n: int, height: int, width: int) -> int:
    """Memory that ``grid`` takes on the way, and ``on_white`` after it, of ``n`` images of up to 4 channels."""
    return 8 * n * 4 * height * width * max(1, SMALLEST_SIDE // min(height, width)) ** 2


def save_png(path: str | os.PathLike, picture: np.ndarray) -> None:
    """Writes a uint8 picture (height, width, 1, 3 or 4) as a PNG, grey, RGB or RGBA, atomically."""
    from PIL import Image  # slow to import

    with atomic_path(path) as temporary:
        Image.fromarray(picture if picture.shape[-1] > 1 else picture[..., 0]).save(temporary)


def damage(path: str | os.PathLike) -> str | None:
    """What is wrong with a PNG that ``save_png`` wrote; None when it is whole."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.verify()
        with Image.open(path) as image:
            image.load()
    except Exception as error:  # a decoder raises many kinds for damaged files
        return f'cannot be read as a picture ({reason(error)})'
    return None
