"""Sets of images as they were read before, so that reading them again takes no decoding.

They are kept in the folder that the environment variable ``WGAN_JAX_CACHE_DIR`` names; without it nothing is. A set is
found by all that its images depend on: the files by name, size and time, the view of them, and the code that reads. A
file is written aside and renamed when it is whole, and has checksums; those used longest ago make room for others.
"""

import contextlib
import functools
import hashlib
import json
import logging
import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from wgan_jax.data.images import Images, allocate
from wgan_jax.files import WriteError, atomic_path, remove_leftovers, writing
from wgan_jax.text import reason

logger = logging.getLogger(__name__)

VARIABLE = 'WGAN_JAX_CACHE_DIR'
_SECONDS = 1.0  # that reading must take to be worth a file
_MOST = 16e9  # bytes of all files together
_SUFFIX = '.images'
_BEGINNING = b'images read by wgan_jax '
_LONGEST = 2**28  # bytes of the header


def through(made_of: Iterable[Any], load: Callable[[], Images], *, what: str, max_gigabytes: float) -> Images:
    """What ``load()`` gives, or gave when it was called for the same before.

    Args:
        made_of: all that decides what it gives, of which the text counts.
        load: reads the set.
        what: the set as messages name it.
        max_gigabytes: refuse what would take more memory than this.

    Raises:
        ValueError: too large for memory; and whatever ``load`` raises.
    """
    place = os.environ.get(VARIABLE)
    if not place:
        return load()
    digest = hashlib.sha256()
    for part in (_code(), *made_of):
        digest.update(repr(part).encode(errors='backslashreplace') + b'\n')
    path = Path(place).expanduser() / f'{digest.hexdigest()}{_SUFFIX}'
    if (found := _read(path, what, max_gigabytes)) is not None:
        return found
    began = time.monotonic()
    images = load()
    if time.monotonic() - began >= _SECONDS:
        _write(path, images)
    return images


def state_of(path: str | os.PathLike) -> tuple[int, ...]:
    """What tells a file from another one under its name; all zero for one that cannot be looked at."""
    try:
        state = os.stat(path)
    except OSError:
        return (0,) * 4
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino


@functools.cache
def _code() -> tuple[str, ...]:
    import PIL

    sources = sorted(Path(__file__).parent.glob('*.py'))
    return PIL.__version__, *(hashlib.sha256(source.read_bytes()).hexdigest() for source in sources)


class _Damaged(Exception):
    """The text says what is wrong with a file."""


def _read(path: Path, what: str, max_gigabytes: float) -> Images | None:
    try:
        with open(path, 'rb') as file:
            header = _header(file)
            pixels = allocate(*header['shape'], what, max_gigabytes)
            bytes_of = memoryview(pixels).cast('B')
            if file.readinto(bytes_of) != len(bytes_of) or file.read(1) or zlib.crc32(bytes_of) != header['crc32']:
                raise _Damaged('its pixels are not those that were written')
        os.utime(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, _Damaged) as error:
        logger.warning(f'{path} cannot be used ({reason(error)}): {what} is read anew')
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    rest = {name: tuple(header[name]) for name in ('names', 'skipped', 'notes', 'classes')}
    sizes, labels = (None if header[name] is None else np.array(header[name]) for name in ('sizes', 'labels'))
    labels = None if labels is None else labels.astype(np.int32)
    return Images(pixels, fingerprint=header['fingerprint'], sizes=sizes, labels=labels, **rest)


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
    pixels = memoryview(images.pixels).cast('B')
    try:
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        if pixels.nbytes > min(_MOST, shutil.disk_usage(path.parent).free / 2):
            return
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
        with atomic_path(path) as temporary, open(temporary, 'wb') as file:
            line = json.dumps(header).encode() + b'\n'
            file.write(_beginning(line) + line)
            file.write(pixels)
    except OSError as error:
        why = str(error) if isinstance(error, WriteError) else reason(error)
        logger.warning(f'what has been read is not kept for another time: {why}')
    else:
        _make_room(path.parent)


def _make_room(folder: Path) -> None:
    """Removes the sets that were used longest ago, while all are too large together."""
    with contextlib.suppress(OSError):
        files = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in folder.glob(f'*{_SUFFIX}'))
        total = sum(size for _, size, _ in files)
        for _, size, path in files[:-1]:
            if total > _MOST:
                path.unlink()
                total -= size
