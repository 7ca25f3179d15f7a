"""The picture files below a folder, each once."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from wgan_jax.data.reading import NAME, about_path, looks_like_a_picture
from wgan_jax.text import printable, reason

SUFFIXES = (
    '.png', '.apng', '.jpg', '.jpeg', '.jpe', '.jfif', '.webp', '.gif', '.bmp', '.dib', '.tif', '.tiff', '.avif',
    '.jp2', '.j2k', '.jpx', '.ico', '.ppm', '.pgm', '.pbm', '.pnm', '.tga',
)  # fmt: skip


_OF_A_RUN = {'.lock', 'config.json'}


class Listing(NamedTuple):
    """What lies below a folder.

    Attributes:
        root: the folder.
        pictures: names of files that should be pictures, relative to it, with slashes, sorted.
        others: how many other files there are, by suffix; '' stands for none.
        runs: how many folders are left out that hold what a launcher wrote, which is no part of the set.
    """

    root: Path
    pictures: list[str]
    others: Counter[str]
    runs: int


def find_root(folder: str | os.PathLike) -> Path:
    """A folder that there is, ``~`` replaced. Raises ValueError when it is none."""
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


def list_pictures(folder: str | os.PathLike) -> Listing:
    """Every picture file below a folder: known by its suffix, or, where the name has none, by how it begins.

    Hidden files and folders are left out, and the folders of runs, whose samples would be trained on. A link to a
    folder inside is followed; what is found on several ways counts once, and a link never counts beside the file that
    it leads to. A link to nothing is named when it is read.

    Raises:
        ValueError: no such folder, one below that may not be read, or a link to a folder outside of it.
    """
    root = find_root(folder)
    runs = 0
    pictures: list[str] = []
    links: list[str] = []
    others: Counter[str] = Counter()
    real = os.path.realpath(root)
    seen: set[tuple[int, int]] = set()
    waiting = ['']
    while waiting:
        place = waiting.pop()
        path = os.path.join(root, place) if place else os.fspath(root)
        with about_path('cannot read the folder', path):
            state = os.stat(path)
            if (state.st_dev, state.st_ino) in seen:
                continue
            seen.add((state.st_dev, state.st_ino))
            entries = list(os.scandir(path))
        if place and {entry.name for entry in entries} >= _OF_A_RUN:
            runs += 1
            continue
        for entry in entries:
            name = f'{place}/{entry.name}' if place else entry.name
            if entry.name.startswith('.'):
                continue
            if _is_folder(entry):
                if entry.is_symlink():
                    _check_inside(entry.path, real)
                    waiting.insert(0, name)  # last: a file is named by its own folder, if that is not hidden
                else:
                    waiting.append(name)
            elif _is_file(entry):
                suffix = os.path.splitext(entry.name)[1].lower()
                if suffix in SUFFIXES or (not suffix and looks_like_a_picture(entry.path)):
                    (links if entry.is_symlink() else pictures).append(name)
                else:
                    others[suffix] += 1
    if links:
        pictures += _other_files(root, pictures, sorted(links))
    return Listing(root, sorted(pictures), others, runs)


def _check_inside(link: str, real: str) -> None:
    """Raises ValueError for a link that leads out of the real folder."""
    target = os.path.realpath(link)
    if os.path.commonpath([target, real]) != real:
        raise ValueError(
            f'{printable(link, NAME)} is a link to {printable(target, NAME)}, outside of the folder: copy what it '
            'leads to, or give that folder'
        )


def _other_files(root: Path, pictures: list[str], links: list[str]) -> Iterator[str]:
    """Of links to files the first to each that is not there by itself, and those to nothing."""
    known = set()
    for name in pictures:
        state = os.lstat(root / name)
        known.add((state.st_dev, state.st_ino))
    for name in links:
        try:
            state = os.stat(root / name)
        except OSError:  # reading it says why
            yield name
            continue
        if (state.st_dev, state.st_ino) not in known:
            known.add((state.st_dev, state.st_ino))
            yield name


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_file(entry: os.DirEntry) -> bool:
    """Whether it is a file or called like a picture; reading a pipe, or a link that leads nowhere, says why not."""
    try:
        return entry.is_file() or os.path.splitext(entry.name)[1].lower() in SUFFIXES
    except OSError:
        return True
