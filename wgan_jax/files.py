"""Files that are either wholly there or not at all.

Whether something is there is asked of ``os.path``: the methods of ``Path`` raise for what may not be looked at.
"""

import contextlib
import glob
import hashlib
import itertools
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wgan_jax.text import reason

logger = logging.getLogger(__name__)

SLOW = 30.0  # seconds after which a write that does not come to an end is spoken of
_LEFTOVER = '.tmp-'
_OURS = re.compile(r'\.tmp-\d+\..+', re.DOTALL)  # see temporary_name


class WriteError(OSError):
    """A file could not be written; its text names the file and the reason, in one line."""

    def __init__(self, path: str | os.PathLike, error: Exception | str):
        self._reason = error if isinstance(error, str) else reason(error)
        super().__init__(f'cannot write {path}: {self._reason}')
        self.filename, self.errno = os.fspath(path), getattr(error, 'errno', None)

    def __str__(self) -> str:
        return self.args[0]

    def __reduce__(self) -> Any:
        return type(self), (self.filename, self._reason)


@contextlib.contextmanager
def writing(path: str | os.PathLike) -> Iterator[None]:
    """Around whatever writes a file: names it in the error of a write that fails, and warns of one that stalls.

    Raises:
        WriteError: in place of any other OSError of the block.
    """
    with _watch.over(path):
        try:
            yield
        except WriteError:
            raise
        except OSError as error:
            raise WriteError(path, error) from error


class _Watch:
    """Looks after the writes in progress from a thread of its own, since a stalled one holds the thread it is in."""

    def __init__(self) -> None:
        self._current: dict[int, list[Any]] = {}  # by thread: path, when it began, when to speak
        self._pid = 0

    @contextlib.contextmanager
    def over(self, path: str | os.PathLike) -> Iterator[None]:
        if self._pid != os.getpid():  # a thread does not come along into a fork
            self._pid, self._current = os.getpid(), {}
            threading.Thread(target=self._look, name='stalled writes', daemon=True).start()
        thread, now = threading.get_ident(), time.monotonic()
        if thread in self._current:  # a part of what is looked after already
            yield
            return
        self._current[thread] = [path, now, now + SLOW]
        try:
            yield
        finally:
            self._current.pop(thread, None)

    def _look(self) -> None:
        while True:
            time.sleep(SLOW / 4)
            now = time.monotonic()
            for write in list(self._current.values()):
                path, began, due = write
                if now >= due:
                    write[2] = now + 2 * (now - began)
                    logger.warning(
                        f'{path} has been written for {now - began:.0f} seconds and is not done: is the disk or the '
                        'network that it lies on still there, or is it so large?'
                    )


_watch = _Watch()


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends without an exception.

    A folder that stands in its place is moved aside first.

    Args:
        path: the file to be written.

    Yields:
        A path in the same folder and with the same suffix, to be written by the block.

    Raises:
        WriteError: when it cannot be written; what was there before is whole.
    """
    path = Path(path)
    temporary = path.with_name(temporary_name(path))
    with writing(path):
        try:
            yield temporary
            with open(temporary, 'rb') as file:
                os.fsync(file.fileno())
            if os.path.isdir(path):
                set_aside(path, 'a folder stands where a file belongs')
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def file_digest(path: str | os.PathLike, size: int) -> str:
    """SHA-256, in hex, of the first ``size`` bytes of a file."""
    total = hashlib.sha256()
    with open(path, 'rb') as file:
        while size > 0 and (block := file.read(min(size, 2**20))):
            total.update(block)
            size -= len(block)
    return total.hexdigest()


def begins_with(path: str | os.PathLike, size: int, digest: str) -> bool:
    """Whether a file has at least ``size`` bytes, and those the digest; False for what cannot be read."""
    try:
        return os.path.isfile(path) and os.path.getsize(path) >= size and file_digest(path, size) == digest
    except OSError:
        return False


def matching(folder: str | os.PathLike, pattern: str) -> Iterator[Path]:
    """What lies in a folder and matches a glob pattern; ``**`` stands for folders of any depth."""
    return (Path(folder, name) for name in glob.glob(pattern, root_dir=folder, recursive=True, include_hidden=True))


def temporary_name(path: str | os.PathLike) -> str:
    """What a file or folder is called while it is made; ``remove_leftovers`` knows it by that."""
    return f'{_LEFTOVER}{os.getpid()}.{Path(path).name}'


def remove_leftovers(folder: str | os.PathLike) -> None:
    """Removes what processes that were killed had begun to write in a folder; only for whoever owns it."""
    for path in Path(folder).glob(f'{_LEFTOVER}*'):
        if not _OURS.fullmatch(path.name):
            continue
        with contextlib.suppress(OSError):
            shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else path.unlink()


def remove_tree(path: str | os.PathLike) -> None:
    """Removes a folder such that, whenever it is interrupted, it is whole or gone."""
    path = Path(path)
    condemned = path.with_name(temporary_name(path))
    os.replace(path, condemned)
    os.unlink(condemned) if os.path.islink(condemned) else shutil.rmtree(condemned, ignore_errors=True)


def set_aside(path: str | os.PathLike, why: str, owner: str | os.PathLike | None = None) -> None:
    """Moves a file or folder that cannot be used to ``damaged/``, with a warning that says why.

    Args:
        path: of the file.
        why: it cannot be used.
        owner: the folder in which ``damaged/`` lies; by default the one that the file is in.
    """
    aside = move_aside(path, owner)
    logger.warning(f'{path}: {why}; moved to {aside}')


def move_aside(path: str | os.PathLike, owner: str | os.PathLike | None = None, *, copy: bool = False) -> Path:
    """Moves, or copies, a file or folder to ``damaged/``, as ``set_aside`` does; returns where it is then."""
    path = Path(path)
    try:
        aside = _free_place(path, path.parent if owner is None else Path(owner))
        if copy:
            with atomic_path(aside) as temporary:
                shutil.copyfile(path, temporary)
        else:
            with _watch.over(aside):
                shutil.move(path, aside)
    except OSError as error:
        failed = WriteError(path, f'it cannot be moved into a folder damaged/ ({reason(error)})')
        failed.errno = error.errno
        raise failed from error
    return aside


def discard(path: str | os.PathLike) -> None:
    """Removes a file, if it is there; a folder that stands in its place is moved aside."""
    path = Path(path)
    if os.path.isdir(path) and not os.path.islink(path):
        set_aside(path, 'a folder stands where a file belongs')
    else:
        with writing(path):
            path.unlink(missing_ok=True)


def _free_place(path: Path, owner: Path) -> Path:
    folders = (owner / name for name in _numbered('damaged'))
    folder = next(f for f in folders if not os.path.lexists(f) or (os.path.isdir(f) and f != path))
    folder.mkdir(exist_ok=True)
    return next(place for name in _numbered(path.name) if not os.path.lexists(place := folder / name))


def _numbered(name: str) -> Iterator[str]:
    yield name
    stem, suffix = os.path.splitext(name)
    yield from (f'{stem}-{i}{suffix}' for i in itertools.count(2))


def make_folder(path: str | os.PathLike) -> Path:
    """A folder, made when missing; a file that stands in its place is moved aside, with a warning."""
    path = Path(path)
    if os.path.lexists(path) and not os.path.isdir(path):
        set_aside(path, 'a file stands where a folder belongs')
    with writing(path):
        path.mkdir(exist_ok=True)
    return path


def open_at_once(path: str, mode: int) -> int:
    """An opener for ``open`` that makes what is missing and does not wait for the other end of a pipe."""
    return os.open(path, mode | os.O_NONBLOCK | (os.O_CREAT if mode & os.O_RDWR else 0), 0o666)
