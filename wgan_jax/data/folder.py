"""Images from a folder: ``folder:PATH``."""

import os
from pathlib import Path

import numpy as np

from wgan_jax.data.images import MAX_GIGABYTES, Images, allocate, check_size, collect, fit
from wgan_jax.data.reading import NAME, about_path, quiet, read_picture
from wgan_jax.text import printable, reason

SUFFIXES = ('.png', '.jpg', '.jpeg', '.webp', '.gif', '.bmp', '.tif', '.tiff')


def _root(folder: str | os.PathLike) -> Path:
    """The folder, ``~`` replaced. Raises ValueError when it is none."""
    try:
        root = Path(folder).expanduser()
    except RuntimeError as error:  # no such user
        raise ValueError(f'no such folder: {printable(folder, NAME)} ({reason(error)})') from error
    except TypeError:
        raise ValueError(f'no such folder: {printable(repr(folder), NAME)} is not a path') from None
    with about_path('no such folder:', root):
        os.stat(root)
    if not os.path.isdir(root):
        raise ValueError(f'no such folder: {printable(root, NAME)} is a file')
    return root


def files(folder: str | os.PathLike) -> list[Path]:
    """Every image file below a folder, hidden ones left out.

    Folders that are links are not entered. A link to no file is named when it is read, as a damaged picture is.

    Args:
        folder: path, ``~`` allowed.

    Returns:
        At least one path, sorted by the path relative to the folder.

    Raises:
        ValueError: no such folder, one below that may not be read, or no image in it.
    """
    root = _root(folder)
    found = []

    def refuse(error: OSError) -> None:
        with about_path('cannot read the folder', error.filename or root):
            raise error

    for place, folders, names in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith('.')]
        for name in names:
            path = Path(place, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith('.') and _is_picture(path):
                found.append(path)
    if not found:
        raise ValueError(f'no images below {printable(root, NAME)}: looked for {", ".join(SUFFIXES)} files')
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def _is_picture(path: Path) -> bool:
    """Whether it is a file, or a link that leads nowhere; pipes, sockets and devices are none."""
    try:
        return os.path.isfile(path) or (os.path.islink(path) and not os.path.exists(path))
    except OSError:
        return True  # reading it says why


def read(path: str | os.PathLike, height: int, width: int, channels: int = 3) -> np.ndarray:
    """One file as uint8 (height, width, channels), turned as its EXIF orientation says; of a GIF the first frame.

    Args:
        path: of the file.
        height, width: pixels; the picture is centre-cropped to their aspect ratio, then resized.
        channels: 3, or 1 for grey.

    Returns:
        uint8 (height, width, channels).

    Raises:
        ValueError: a file that cannot be read as a picture, or is too large to be decoded, named; an impossible size,
            or another number of channels.
        OSError, MemoryError: for failures of the machine, never for a bad picture.
    """
    height, width = check_size(height, width)
    return fit(read_picture(path), height, width, channels)


def load(
    folder: str | os.PathLike, height: int, width: int, channels: int = 3, *, max_gigabytes: float = MAX_GIGABYTES
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
    root = _root(folder)
    found = files(folder)
    pixels = allocate(len(found), height, width, channels, f'folder {printable(root, NAME)}', max_gigabytes)
    with quiet('PIL'):
        for place, path in enumerate(found):
            pixels[place] = read(path, height, width, channels)
    return collect(pixels, [path.relative_to(root).as_posix() for path in found])
