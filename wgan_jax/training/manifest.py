"""What a run had written into its folder, by size and digest: so that a file that has changed since is found.

The arrays of a checkpoint carry their own digest. Everything else that a run writes (metrics, samples, events, figures)
is listed here at every checkpoint and at the end. Files only grow between two lists, or come anew: the part that was
listed is checked when the folder is opened again.
"""

import os
from pathlib import Path

from wgan_jax.files import begins_with, discard, file_digest, read_json, write_json

_NAME = '.manifest.json'
_FOLDERS = ('samples', 'tensorboard')
_SUFFIXES = ('.json', '.jsonl', '.png', '.npz', '.gif')  # what else lies in the folder is somebody's own


class Manifest:
    """The list of a folder.

    Args:
        workdir: of a run.
    """

    def __init__(self, workdir: Path):
        self._workdir, self._path = workdir, workdir / _NAME
        self._known: dict[str, tuple[int, int, str]] = {}  # size, time of the last change in nanoseconds, digest

    def update(self) -> None:
        """Lists the folder as it is; files that have not been touched since the last time are not read again."""
        known = {}
        for path in self._files():
            name, state = str(path.relative_to(self._workdir)), path.stat()
            known[name] = self._known.get(name, (-1, 0, ''))
            if known[name][:2] != (state.st_size, state.st_mtime_ns):
                known[name] = (state.st_size, state.st_mtime_ns, file_digest(path, state.st_size))
        self._known = known
        write_json(self._path, {name: [size, digest] for name, (size, _, digest) in known.items()})

    def forget(self) -> None:
        """Takes the list away, before files change in other ways than by growing."""
        discard(self._path)

    def exists(self) -> bool:
        """Whether there is a list."""
        return self._path.exists()

    def changed(self) -> list[Path]:
        """Listed files, and their folders, in whose place there is something else than what was listed.

        A list that cannot be read is as good as none.
        """
        try:
            listed = read_json(self._path, {}) if self._path.exists() else {}
            entries = [(self._workdir / name, int(size), str(digest)) for name, (size, digest) in listed.items()]
        except (ValueError, TypeError):
            return []
        inside = {path.parent for path, _, _ in entries} & {self._workdir, *(self._workdir / f for f in _FOLDERS)}
        return [folder for folder in sorted(inside) if folder.exists() and not folder.is_dir()] + [
            path
            for path, size, digest in entries
            if path.parent in inside and os.path.lexists(path) and not begins_with(path, size, digest)
        ]

    def _files(self) -> list[Path]:
        found = [path for path in self._workdir.iterdir() if path.suffix in _SUFFIXES]
        for name in _FOLDERS:
            if (self._workdir / name).is_dir():
                found += (self._workdir / name).iterdir()
        return sorted(path for path in found if path.is_file() and not path.name.startswith('.'))
