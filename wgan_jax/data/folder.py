"""Images from a folder: ``folder:PATH``."""

import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from wgan_jax.data.images import MAX_GIGABYTES, Images, allocate, check_size, collect, fit
from wgan_jax.data.listing import SUFFIXES, Listing, list_pictures
from wgan_jax.data.reading import NAME, BadFile, quiet, read_picture
from wgan_jax.text import listed, printable

MAX_BAD = 0.1  # of the pictures, of which more than this are no accident
_THREADS = min(8, os.cpu_count() or 1)  # Pillow's decoders and resizing let other threads run
_AHEAD = 256  # pictures decoded before the first of them is taken


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
    return fit(read_picture(path, target=(height, width)), height, width, channels)


def load(
    folder: str | os.PathLike,
    height: int,
    width: int,
    channels: int = 3,
    *,
    max_gigabytes: float = MAX_GIGABYTES,
    on_progress: Callable[[int, int], object] = lambda done, of: None,
) -> Images:
    """All images below a folder at one size: each centre-cropped to the aspect ratio, then resized.

    Pictures that cannot be used, being damaged, empty, too large or not readable by this user, are left out.

    Args:
        folder: path, ``~`` allowed.
        height, width: pixels.
        channels: 3, or 1 for grey.
        max_gigabytes: refuse what would take more memory than this.
        on_progress: told how many pictures of how many have been looked at, now and then.

    Returns:
        ``Images``; the names are paths relative to ``folder``; ``skipped`` has a line for each that is left out.

    Raises:
        ValueError: no such folder, no images, more than a tenth that cannot be used, too large for memory.
    """
    found = list_pictures(folder)
    this = f'folder {printable(found.root, NAME)}'
    if not found.pictures:
        other = f'; it has {_kinds(found)}' if found.others else ''
        kinds = ', '.join(sorted(SUFFIXES))
        raise ValueError(f'no images below {printable(found.root, NAME)}: looked for {kinds} files{other}')
    pixels = allocate(len(found.pictures), height, width, channels, this, max_gigabytes)
    names: list[str] = []
    skipped: list[str] = []
    sums: list[int] = []
    for done, (name, result) in enumerate(_read_all(found, height, width, channels), 1):
        if isinstance(result, BadFile):
            skipped.append(f'{printable(name)}: {result.why}')
        else:
            pixels[len(names)] = result
            names.append(name)
            sums.append(zlib.crc32(result.data))
        if done % _AHEAD == 0 or done == len(found.pictures):
            on_progress(done, len(found.pictures))
    if len(skipped) > MAX_BAD * len(found.pictures):
        raise ValueError(
            f'{len(skipped)} of {len(found.pictures)} pictures below {printable(found.root, NAME)} cannot be used '
            f'({listed(skipped, most=3)}): repair or remove them'
        )
    pixels = pixels[: len(names)]
    notes = [f'no pictures by their names: {_kinds(found)}'] if found.others else []
    if duplicates := _count_duplicates(pixels, sums):
        notes.append(f'equal to an earlier one: {duplicates}')
    return collect(pixels, names)._replace(skipped=tuple(skipped), notes=tuple(notes))


def _read_all(found: Listing, height: int, width: int, channels: int) -> Iterator[tuple[str, np.ndarray | BadFile]]:
    """(name, pixels or what is wrong) of every picture, in order, decoded in threads some way ahead."""

    def one(name: str) -> np.ndarray | BadFile:
        try:
            picture = read_picture(found.root / name, printable(name, NAME), target=(height, width))
            return fit(picture, height, width, channels)
        except BadFile as error:
            return error

    height, width = check_size(height, width)
    with quiet('PIL'), ThreadPoolExecutor(_THREADS) as pool:
        ahead: deque[tuple[str, Future]] = deque()
        for name in found.pictures:
            ahead.append((name, pool.submit(one, name)))
            if len(ahead) > _AHEAD:
                name, future = ahead.popleft()
                yield name, future.result()
        yield from ((name, future.result()) for name, future in ahead)


def _kinds(found: Listing) -> str:
    counts = sorted(found.others.items(), key=lambda item: (-item[1], item[0]))
    return listed((f'{count} {suffix or "without a suffix"}' for suffix, count in counts), most=5)


def _count_duplicates(pixels: np.ndarray, sums: list[int]) -> int:
    """How many images are, to the last pixel, one that comes before them; by their check sums, then looked at."""
    firsts: dict[int, list[int]] = {}
    count = 0
    for place, checksum in enumerate(sums):
        same = firsts.setdefault(checksum, [])
        if any(np.array_equal(pixels[place], pixels[other]) for other in same):
            count += 1
        else:
            same.append(place)
    return count
