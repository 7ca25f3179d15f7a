"""What a run has written into its folder, by size and digest: so that a file that has changed since is found.

A checkpoint has a list of its own. Everything else (metrics, samples, and what callbacks declare) is listed here at
every checkpoint and at the end. Files only grow between two lists, or come anew under their names: the part that was
listed is checked when the folder is opened again. What callbacks of other calls wrote stays listed, unchecked.
"""

import fnmatch
import hashlib
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wgan_jax.files import begins_with, file_digest, matching
from wgan_jax.json_files import read_json, write_json
from wgan_jax.training.records import length_up_to

_NAME = '.manifest.json'
_NEWEST = 'checkpoint'  # stands for no file, but for the step of the newest checkpoint
_ONCE = ('config.json', 'samples/step_*.png')
_BEGUN_WITH = ('config.json', 'skipped.txt')  # written anew by every call that goes on, before all else
_OWN = (*_ONCE, *_BEGUN_WITH[1:], 'metrics.jsonl', 'results.json')
_ANYTHING = 0, hashlib.sha256().hexdigest()  # of a file that the run has written, or is about to, whatever is in it


class _Seen(NamedTuple):
    """A file when it was last looked at: which one, how far, when it had changed, and the digest on its way."""

    inode: int
    size: int
    changed: int
    digest: Any


class Manifest:
    """The list of a folder.

    Args:
        workdir: of a run.
        others: glob patterns of what is written besides metrics, samples and results.
    """

    def __init__(self, workdir: Path, others: Sequence[str] = ()):
        self._workdir, self._path, self._patterns = workdir, workdir / _NAME, (*_OWN, *others)
        self._named = [
            'skipped.txt',
            *(name for name in others if self._may_be(name) and not re.search(r'[*?[]', name)),
        ]
        self._seen: dict[Path, _Seen] = {}

    def files(self) -> list[Path]:
        """What lies in the folder under names that the run writes to, listed or not; without its configuration."""
        found = {path for pattern in self._patterns for path in matching(self._workdir, pattern)}
        return sorted(path for path in found if self._name(path) != 'config.json' and self._may_be(self._name(path)))

    def strangers(self) -> list[Path]:
        """What stands under a name that is written anew and is not listed; all of it where the list is gone."""
        listed = self.names()
        names = [name for name in self._named if name not in listed]
        return [self._workdir / name for name in names if os.path.lexists(self._workdir / name)]

    def update(self, newest: int) -> None:
        """Lists the folder as it is; of a file that has grown, only what is new is read.

        Args:
            newest: step of the newest checkpoint; 0 for none.
        """
        paths = (*self.files(), self._workdir / 'config.json')
        self._seen = {path: self._current(path) for path in paths if os.path.isfile(path)}
        listed = {self._name(path): (seen.size, seen.digest.hexdigest()) for path, seen in sorted(self._seen.items())}
        self._write(self._of_other_calls() | listed, newest)

    def release(self, newest: int, paths: Collection[Path] = (), *, metrics_up_to: int | None = None) -> None:
        """Lists no more what is about to change in other ways than by growing; all else stays listed.

        That are what a call begins with, the results, and what is named. Of what is written anew by callbacks, the
        names are listed and not the content. So whenever a process ends, the list is true of what is there, whether
        the change has come or not.

        Args:
            newest: step of the newest checkpoint; 0 for none.
            paths: further files.
            metrics_up_to: the step whose later metrics are about to be cut off; None: none.
        """
        gone = {*_BEGUN_WITH, 'results.json', *map(self._name, paths)}
        entries = {name: entry for name, entry in (self._read() or {}).items() if name not in gone}
        kept = {name: entry if self._is_own(name) else _ANYTHING for name, entry in entries.items()}
        kept |= dict.fromkeys(self._named, _ANYTHING)
        if metrics_up_to is not None and 'metrics.jsonl' in kept:
            path = self._workdir / 'metrics.jsonl'
            size = length_up_to(path, metrics_up_to) if os.path.isfile(path) else 0
            kept['metrics.jsonl'] = size, file_digest(path, size) if size else _ANYTHING[1]
        self._write(self._of_other_calls() | kept, max(newest, self.newest_checkpoint() or 0))

    def _write(self, listed: dict[str, tuple[int, str]], newest: int) -> None:
        write_json(self._path, {**listed, _NEWEST: (newest, '')})

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._workdir))

    def note(self, path: Path) -> None:
        """Looks at a file that has just been written, which the next list will hold."""
        self._seen[path] = self._look(path)

    def replaced(self) -> list[Path]:
        """Of what is written once, the configuration and pictures of samples, all that is gone or another now."""
        return [path for path in self._seen if self._is_written_once(path) and not self._is_as_seen(path)]

    def drop(self, path: Path) -> None:
        """Knows no more of a file, so that another may come in its place."""
        del self._seen[path]

    def _is_written_once(self, path: Path) -> bool:
        return any(fnmatch.fnmatchcase(self._name(path), pattern) for pattern in _ONCE)

    def _current(self, path: Path) -> _Seen:
        """What a list says of a file: of one that is written once, what it was then."""
        return self._seen[path] if path in self._seen and self._is_written_once(path) else self._look(path)

    def _is_as_seen(self, path: Path) -> bool:
        seen = self._seen[path]
        try:
            state = os.stat(path)
        except OSError:
            return False
        if (state.st_ino, state.st_size, state.st_mtime_ns) == seen[:3]:
            return True
        return state.st_size == seen.size and begins_with(path, seen.size, seen.digest.hexdigest())

    def exists(self) -> bool:
        """Whether there is a list."""
        return os.path.lexists(self._path)

    def newest_checkpoint(self) -> int | None:
        """The step of the newest checkpoint when the folder was listed, 0 for none; None where that is not known."""
        newest, _ = (self._load() or {}).get(_NEWEST, (None, ''))
        return newest

    def tells_of_checkpoints(self) -> bool:
        """Whether the run has had a checkpoint: before its first one, nothing but its configuration has been listed."""
        if (newest := self.newest_checkpoint()) is not None:
            return newest > 0
        entries = self._read() or {}  # of a version that did not record it
        return any(size > 0 and name != 'config.json' for name, (size, _) in entries.items() if self._is_own(name))

    def _is_own(self, name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in _OWN)

    def names(self) -> list[str]:
        """Of the listed files, relative to the folder."""
        return list(self._read() or {})

    def missing(self) -> list[str]:
        """Names of listed files that are gone; but for those that may never have been there."""
        entries = (self._read() or {}).items()
        return [name for name, entry in entries if entry != _ANYTHING and not os.path.lexists(self._workdir / name)]

    def changed(self) -> list[Path]:
        """Listed files, and their folders, in whose place there is something else; the list, if it cannot be read.

        Raises:
            ValueError: naming a file or folder that this user may not read.
        """
        entries = self._read()
        if entries is None:
            return [self._path]
        listed = {self._workdir / name: entry for name, entry in entries.items()}
        folders = sorted({path.parent for path in listed})
        for path in (*folders, *listed):
            wanted = os.R_OK | (os.X_OK if path in folders and os.path.isdir(path) else 0)
            if os.path.exists(path) and not os.access(path, wanted):
                raise ValueError(f'{path} cannot be read: is it yours?')
        return [folder for folder in folders if os.path.lexists(folder) and not os.path.isdir(folder)] + [
            path for path, entry in listed.items() if os.path.lexists(path) and not begins_with(path, *entry)
        ]

    def _read(self) -> dict[str, tuple[int, str]] | None:
        """Size and digest by name, of names that the list may hold; None for a list that cannot be read."""
        entries = self._load()
        return entries and {name: entry for name, entry in entries.items() if self._may_be(name)}

    def _of_other_calls(self) -> dict[str, tuple[int, str]]:
        """What is listed under names that this call does not write to."""
        entries = (self._load() or {}).items()
        return {name: entry for name, entry in entries if name != _NEWEST and not self._may_be(name)}

    def _load(self) -> dict[str, tuple[int, str]] | None:
        """Whatever the list holds."""
        if not os.path.lexists(self._path):
            return {}
        if os.path.isfile(self._path) and not os.access(self._path, os.R_OK):
            raise ValueError(f'{self._path} cannot be read: is it yours?')
        try:
            listed = {name: (int(size), str(digest)) for name, (size, digest) in read_json(self._path, {}).items()}
            return listed if all(size >= 0 for size, _ in listed.values()) else None
        except (ValueError, TypeError, OverflowError):
            return None

    def _may_be(self, name: str) -> bool:
        # What patterns as wide as '*' match, too.
        other = name in (_NAME, _NEWEST, '.lock') or name.startswith(('checkpoints/', 'damaged/', 'damaged-'))
        right = name.isprintable() and '..' not in name and not other
        if self._is_own(name):
            return right
        # A linked folder may be shared with other runs.
        here = right and (self._workdir / name).parent.resolve().is_relative_to(self._workdir.resolve())
        return here and any(fnmatch.fnmatchcase(name, pattern) for pattern in self._patterns)

    def _look(self, path: Path) -> _Seen:
        state = path.stat()
        before = self._seen.get(path)
        now = (state.st_ino, state.st_size, state.st_mtime_ns)
        if before is not None and before[:3] == now:
            return before
        digest = hashlib.sha256()
        with open(path, 'rb') as file:
            if before is not None and before.inode == state.st_ino and before.size <= state.st_size:
                digest = before.digest.copy()
                file.seek(before.size)
            left = state.st_size - file.tell()
            while left > 0 and (block := file.read(min(left, 2**20))):
                digest.update(block)
                left -= len(block)
        return _Seen(*now, digest)
