"""Sets of images as they were read before, so that reading them again takes no decoding.

They are kept in the folder that the environment variable ``WGAN_JAX_CACHE_DIR`` names; without it nothing is. A set is
found by all that its images depend on: the files by name, size and time, the view of them, the code and the decoders. A
file is written aside and renamed when it is whole, and has checksums; those used longest ago make room for others. The
folder is the user's alone, as the pictures may be.
"""

import contextlib
import errno
import functools
import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from wgan_jax import memory
from wgan_jax.data.images import MAX_GIGABYTES, Images, allocate, on_disk
from wgan_jax.files import WriteError, atomic_path, writing
from wgan_jax.text import reason

logger = logging.getLogger(__name__)

VARIABLE = 'WGAN_JAX_CACHE_DIR'
_SECONDS = 1.0  # that reading must take to be worth a file
_MOST = 16e9  # bytes of all files together
_SUFFIX = '.images'
_OURS = re.compile(r'(\.tmp-\d+\.)?[0-9a-f]{64}\.images')
_OLD = 3600.0  # seconds after which nobody is writing a file any more
_SOURCES = [source.read_bytes() for source in sorted(Path(__file__).parent.glob('*.py'))]  # as they are being run
_BEGINNING = b'images read by wgan_jax '
_LONGEST = 2**28  # bytes of the header


def through(
    made_of: Iterable[Any], load: Callable[[], tuple[Images, bool]], *, what: str, max_gigabytes: float
) -> Images:
    """What ``load()`` gives, or gave when it was called for the same before.

    Args:
        made_of: all that decides what it gives, of which the text counts.
        load: reads the set, and says whether it would come out the same another time.
        what: the set as messages name it.
        max_gigabytes: refuse what would take more memory than this.

    Returns:
        The set.

    Raises:
        ValueError: too large for memory; and whatever ``load`` raises.
    """
    place = os.environ.get(VARIABLE)
    if not place or not _SOURCES:
        return load()[0]
    digest = hashlib.sha256()
    for part in (_code(), *made_of):
        digest.update(repr(part).encode(errors='backslashreplace') + b'\n')
    path = Path(os.path.expanduser(place)) / f'{digest.hexdigest()}{_SUFFIX}'
    if (found := _read(path, what, max_gigabytes)) is not None:
        return found
    began = time.monotonic()
    images, lasting = load()
    if lasting and time.monotonic() - began >= _SECONDS:
        _write(path, images)
        if on_disk(images.pixels):  # once, not twice
            return _read(path, what, max_gigabytes) or images
    return images


def room(
    num: int, height: int, width: int, channels: int, what: str, max_gigabytes: float = MAX_GIGABYTES
) -> np.ndarray:
    """Room for the pixels of a dataset: in memory, or for more than that in a file, where a folder for sets is named.

    Args:
        As ``images.allocate`` takes them.

    Returns:
        uint8 (num, height, width, channels), not filled; a ``np.memmap`` where it is a file, which goes when it is used
        no more.

    Raises:
        ValueError: no images, an impossible size, more than the limit, or no room in either.
    """
    try:
        return allocate(num, height, width, channels, what, max_gigabytes)
    except memory.NotEnough as error:
        place, needed = os.environ.get(VARIABLE), num * height * width * channels
        if not place:
            raise ValueError(f'{error}, or name a folder for sets on a large disk by {VARIABLE}') from None
        folder = Path(os.path.expanduser(place))
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_room_for_large(folder, 2 * needed)
            free = shutil.disk_usage(folder).free
            if 2 * needed > free:  # it is there twice for a moment
                raise ValueError(f'{error}; nor has the disk of {folder} room for it twice: {free / 1e9:.3g} GB')
            with tempfile.TemporaryFile(dir=folder) as file:
                if hasattr(os, 'posix_fallocate'):  # a disk that is full later would end the process
                    os.posix_fallocate(file.fileno(), 0, needed)
                else:
                    file.truncate(needed)
                return np.memmap(file, np.uint8, 'r+', shape=(num, height, width, channels))
        except OSError as failure:
            raise ValueError(f'{error}; nor can it lie in {folder} ({reason(failure)})') from None


def state_of(path: str | os.PathLike) -> tuple[int, ...]:
    """What tells a file from another one under its name.

    Args:
        path: of the file.

    Returns:
        Its size, when it and what is known of it changed, and its number; all 0 for one that cannot be looked at.
    """
    try:
        state = os.stat(path)
    except OSError:
        return (0,) * 4
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino


@functools.cache
def _code() -> tuple[Any, ...]:
    import PIL
    from PIL import features

    decoders = [(name, features.version(name)) for name in sorted(features.get_supported())]
    return PIL.__version__, decoders, hashlib.sha256(b''.join(_SOURCES)).hexdigest()


class _Damaged(Exception):
    """The text says what is wrong with a file."""


def _read(path: Path, what: str, max_gigabytes: float) -> Images | None:
    try:
        with open(path, 'rb') as file:
            header = _header(file)
            num, height, width, channels = header['shape']
            try:
                pixels = allocate(num, height, width, channels, what, max_gigabytes)
                whole = file.readinto(pixels.reshape(-1).data) == pixels.size and not file.read(1)
            except memory.NotEnough:
                place, size = file.tell(), os.fstat(file.fileno()).st_size
                whole = size == place + num * height * width * channels
                if whole:
                    pixels = np.memmap(file, np.uint8, 'r', place, (num, height, width, channels))
            if not whole or zlib.crc32(pixels.reshape(-1).data) != header['crc32']:
                raise _Damaged('its pixels are not those that were written')
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, _Damaged) as error:
        logger.warning(f'{path} cannot be used ({reason(error)}): {what} is read anew')
        if isinstance(error, _Damaged):
            with contextlib.suppress(OSError):
                path.unlink()
        return None
    with contextlib.suppress(OSError):  # it may be somebody else's
        os.utime(path)
    names, skipped, notes, classes = (tuple(header[name]) for name in ('names', 'skipped', 'notes', 'classes'))
    sizes, labels = (None if header[name] is None else np.array(header[name]) for name in ('sizes', 'labels'))
    return Images(
        pixels, names, header['fingerprint'], sizes, skipped, notes,
        labels=None if labels is None else labels.astype(np.int32), classes=classes,
    )  # fmt: skip


def _header(file: BinaryIO) -> dict[str, Any]:
    """What a file says of its pixels, which follow."""
    first, line = file.readline(100), file.readline(_LONGEST)
    if first != _beginning(line):
        raise _Damaged('its header is not the one that was written')
    return json.loads(line)


def _beginning(line: bytes) -> bytes:
    return b'%s%08x\n' % (_BEGINNING, zlib.crc32(line))


def _write(path: Path, images: Images) -> None:
    """Keeps a set, if there is room; whether or not makes no difference but that of time."""
    pixels = images.pixels.reshape(-1).data
    try:
        with writing(path.parent):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
        if on_disk(images.pixels):
            if pixels.nbytes > free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        elif pixels.nbytes > min(_MOST, free / 2):
            return
        _make_room(path.parent, pixels.nbytes)
        header = {
            'shape': images.pixels.shape,
            'names': images.names,
            'fingerprint': images.fingerprint,
            'sizes': None if images.sizes is None else images.sizes.tolist(),
            'labels': None if images.labels is None else images.labels.tolist(),
            'classes': images.classes,
            'skipped': images.skipped,
            'notes': images.notes,
            'crc32': zlib.crc32(pixels),
        }
        line = json.dumps(header).encode() + b'\n'
        if len(line) > _LONGEST:
            raise OSError(errno.EFBIG, 'its pictures have too many names')
        with atomic_path(path) as temporary, open(temporary, 'wb') as file:
            file.write(_beginning(line) + line)
            file.write(pixels)
    except OSError as error:
        why = str(error) if isinstance(error, WriteError) else reason(error)
        logger.warning(f'what has been read is not kept for another time: {why}')


def _make_room(folder: Path, needed: float) -> None:
    """Removes the sets that were used longest ago, while all are too large together, and what was never finished.

    Single ones larger than all may be together are not counted among these, see ``_make_room_for_large``.
    """
    with contextlib.suppress(OSError):
        for path in folder.glob('.tmp-*'):
            if _OURS.fullmatch(path.name) and time.time() - path.stat().st_mtime > _OLD:
                path.unlink()
        kept = [one for one in _kept(folder) if one.size <= _MOST]
        if needed <= _MOST:
            _remove(kept, needed + sum(one.size for one in kept) - _MOST)


def _make_room_for_large(folder: Path, needed: float) -> None:
    """Removes large sets that were used longest ago, if that leaves so many bytes of the disk free."""
    with contextlib.suppress(OSError):
        kept = [one for one in _kept(folder) if one.size > _MOST]
        missing = needed - shutil.disk_usage(folder).free
        if missing <= sum(one.size for one in kept):
            _remove(kept, missing)


class _Kept(NamedTuple):
    used: float
    size: int
    path: Path


def _kept(folder: Path) -> list[_Kept]:
    """The sets in a folder, that which was used longest ago first."""
    names = [path for path in folder.iterdir() if _OURS.fullmatch(path.name) and not path.name.startswith('.')]
    return sorted(_Kept((state := path.stat()).st_mtime, state.st_size, path) for path in names)


def _remove(kept: Sequence[_Kept], excess: float) -> None:
    """Removes the first of some sets until they are so many bytes less."""
    for one in kept:
        if excess > 0:
            one.path.unlink()
            excess -= one.size
