"""What a launcher has written into its folder: so that a file of somebody else's under one of its names is not lost."""

import os
from collections.abc import Iterable
from pathlib import Path

from wgan_jax.files import begins_with, file_digest, matching, set_aside
from wgan_jax.json_files import read_json, write_json

_LIST = '.written.json'


def begin(workdir: Path, patterns: Iterable[str], aside: Path) -> None:
    """Moves aside, with a warning, what lies under these names and is not as the call before has left it.

    Until ``finish`` nothing is known of them: they are about to be written. Nothing is moved where there is no list, or
    one of a call that was ended, which does not say how things were left; where one cannot be read, all of it is.

    Args:
        workdir: of the launcher.
        patterns: of what it writes, relative to the folder.
        aside: in whose ``damaged/`` such a file is then.
    """
    patterns = list(patterns)
    for path in _strangers(workdir, patterns):
        set_aside(path, 'it is not as the call before has left it', aside)
    write_json(workdir / _LIST, {'patterns': patterns})


def finish(workdir: Path) -> None:
    """Lists what has been written under the names that were begun with."""
    try:
        patterns = read_json(workdir / _LIST, {'patterns': [str]})['patterns']
    except ValueError:  # somebody has taken it away meanwhile
        return
    files = {str(path.relative_to(workdir)): _size_and_digest(path) for path in _files(workdir, patterns)}
    write_json(workdir / _LIST, {'patterns': patterns, 'files': files})


def _strangers(workdir: Path, patterns: list[str]) -> list[Path]:
    if not os.path.lexists(workdir / _LIST):
        return []
    try:
        known = read_json(workdir / _LIST, {'patterns': [str]}).get('files')
        if known is None:
            return []
        listed = {name: (int(size), str(digest)) for name, (size, digest) in known.items()}
    except (ValueError, TypeError, AttributeError, OverflowError):
        listed = {}
    return [
        path
        for path in _files(workdir, patterns)
        if (entry := listed.get(str(path.relative_to(workdir)))) is None
        or os.path.getsize(path) != entry[0]
        or not begins_with(path, *entry)
    ]


def _files(workdir: Path, patterns: list[str]) -> list[Path]:
    return sorted({path for pattern in patterns for path in matching(workdir, pattern) if os.path.isfile(path)})


def _size_and_digest(path: Path) -> tuple[int, str]:
    size = os.path.getsize(path)
    return size, file_digest(path, size)
