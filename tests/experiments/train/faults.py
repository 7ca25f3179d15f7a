"""Faults on purpose: the k-th time that a file below a folder is written, synced, renamed or closed, it fails."""

import builtins
import contextlib
import errno
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from unittest import mock


class _Faults:
    def __init__(self, folder: Path, kind: str, number: int):
        self._folder, self._kind, self._number = str(folder), kind, number
        self.paths: list[str] = []  # on which calls of this kind have acted
        self._failed: str | None = None  # which could not be opened

    def happens(self, kind: str, path: object) -> None:
        if kind != self._kind or not str(path).startswith(self._folder) or str(path).endswith('.lock'):
            return
        again = str(path) == self._failed  # what is tried once more, in another mode, fails once more
        if not again:
            self.paths.append(re.sub(r'\d{6,}|tmp-\d+', 'N', str(path)[len(self._folder) :]))
        if again or len(self.paths) == self._number:
            self._failed = str(path) if kind == 'open' else None
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _File:
    """A file whose writes and whose closing may fail; when closing fails it is closed nevertheless."""

    def __init__(self, file, path, faults: _Faults):
        self._file, self._path, self._faults = file, path, faults

    def write(self, data):
        self._faults.happens('write', self._path)
        return self._file.write(data)

    def close(self):
        if not self._file.closed:
            self._file.close()
            self._faults.happens('close', self._path)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def __iter__(self):
        return iter(self._file)

    def __getattr__(self, name):
        return getattr(self._file, name)


@contextlib.contextmanager
def failing(folder: Path, kind: str, number: int) -> Iterator[_Faults]:
    """In the block, the ``number``-th call of a kind on files below ``folder`` fails as on a full disk.

    What TensorStore writes in C++ is not seen here; the renaming of its folders by Orbax is.

    Args:
        folder: of the run.
        kind: 'open', 'write', 'close', 'fsync', 'rename' or 'mkdir'.
        number: which call fails, from 1; 0: none, they are only counted.
    """
    faults = _Faults(folder, kind, number)
    plain_open = io.open

    def opening(path, mode='r', *args, **kwargs):
        if isinstance(path, int) or not set(mode) & set('wax+'):
            return plain_open(path, mode, *args, **kwargs)
        faults.happens('open', path)
        file = plain_open(path, mode, *args, **kwargs)
        return _File(file, path, faults) if str(path).startswith(str(folder)) else file

    def wrapped(kind, plain):
        def call(*args, **kwargs):
            if kind != 'mkdir' or not os.path.isdir(args[0]):  # no disk is too full for a folder that is there
                faults.happens(kind, args[0])
            return plain(*args, **kwargs)

        return call

    def fsync(number, plain=os.fsync):
        faults.happens('fsync', os.readlink(f'/proc/self/fd/{number}'))
        return plain(number)

    with contextlib.ExitStack() as held:
        for owner, name, fake in (
            (builtins, 'open', opening),
            (io, 'open', opening),
            (os, 'fsync', fsync),
            (os, 'replace', wrapped('rename', os.replace)),
            (os, 'rename', wrapped('rename', os.rename)),
            (os, 'mkdir', wrapped('mkdir', os.mkdir)),
        ):
            held.enter_context(mock.patch.object(owner, name, fake))
        yield faults
