"""Images from a folder: ``folder:PATH``."""

import hashlib
import itertools
import os
from collections.abc import Callable

import numpy as np

from wgan_jax.data import cache
from wgan_jax.data.decoding import decode_all
from wgan_jax.data.fitting import View, check_view, fit, is_enlarged
from wgan_jax.data.images import MAX_GIGABYTES, Images, collect, find_duplicates, first_channel, is_grey, on_disk
from wgan_jax.data.listing import SUFFIXES, Listing, list_pictures
from wgan_jax.data.reading import NAME, BadFile, TooSmall, read_picture
from wgan_jax.text import listed, printable

MAX_BAD = 0.1  # of the pictures, of which more than this are no accident
_OFTEN = 256  # pictures, after which progress is told


def read(path: str | os.PathLike, view: View) -> np.ndarray:
    """One file as a view of it is, turned as its EXIF orientation says; of several pictures in it the first.

    Args:
        path: of the file.
        view: size, channels and proportions.

    Returns:
        uint8 (height, width, channels).

    Raises:
        ValueError: a file that cannot be read as a picture, or is too large to be decoded, named; an impossible view.
        OSError, MemoryError: for failures of the machine, never for a bad picture.
    """
    view = check_view(view)
    return fit(read_picture(path, view).picture, view)


def load(
    folder: str | os.PathLike,
    view: View,
    *,
    max_gigabytes: float = MAX_GIGABYTES,
    on_progress: Callable[[int, int], object] = lambda done, of: None,
) -> Images:
    """All images below a folder at one size.

    Pictures that cannot be used, being damaged, empty, too large or not readable by this user, are left out.

    Args:
        folder: path, ``~`` allowed.
        view: how pictures are made into images. Of more than ``max_images`` those are taken whose names have the least
            digests, which are as good as drawn at random, and the same each time.
        max_gigabytes: refuse what would take more memory than this.
        on_progress: told how many pictures of how many have been looked at, now and then.

    Returns:
        ``Images``; the names are paths relative to ``folder``; ``skipped`` has a line for each that is left out. Where
        all lie in folders of it, two or more, these are their classes.

    Raises:
        ValueError: no such folder, no images, more than a tenth that cannot be used, too large for memory.
    """
    view, found = check_view(view), list_pictures(folder)
    root = printable(found.root, NAME)
    if not found.pictures:
        other = f'; it has {_kinds(found)}' if found.others else ''
        raise ValueError(f'no images below {root}: looked for {", ".join(SUFFIXES)} files{other}')
    chosen = _choose(found.pictures, view.max_images)
    described = os.path.realpath(found.root), view, sorted(found.others.items()), len(found.pictures), found.runs
    files = ((name, cache.state_of(found.root / name)) for name in chosen)
    return cache.through(
        itertools.chain(described, files),
        lambda: _load(found, chosen, view, max_gigabytes, on_progress),
        what=f'folder {root}',
        max_gigabytes=max_gigabytes,
    )


def _load(
    found: Listing, chosen: list[str], view: View, max_gigabytes: float, on_progress: Callable[[int, int], object]
) -> tuple[Images, bool]:
    root = printable(found.root, NAME)
    pixels = cache.room(len(chosen), view.height, view.width, view.num_channels, f'folder {root}', max_gigabytes)
    names: list[str] = []
    skipped: list[str] = []
    sizes: list[tuple[int, int]] = []
    small, lasting = 0, True
    for done, (name, result) in enumerate(decode_all(found.root, chosen, view), 1):
        if isinstance(result, TooSmall):
            small += 1
        elif isinstance(result, BadFile):
            skipped.append(f'{printable(name)}: {result.why}')
            lasting = lasting and result.lasting
        else:
            pixels[len(names)], its_height, its_width = result
            names.append(name)
            sizes.append((its_height, its_width))
        if done % _OFTEN == 0 or done == len(chosen):
            on_progress(done, len(chosen))
    if len(skipped) > MAX_BAD * len(chosen):
        raise ValueError(
            f'{len(skipped)} of {len(chosen)} pictures below {root} cannot be used ({listed(skipped, most=3)}): repair '
            'or remove them'
        )
    if not names:
        raise ValueError(f'no image below {root} has sides of at least min_side={view.min_side} pixels')
    pixels = pixels[: len(names)]
    if view.channels == 'auto' and is_grey(pixels):
        pixels = first_channel(pixels) if on_disk(pixels) else pixels[..., :1]
    counts = {
        f'with a side below {view.min_side} pixels': small,
        'enlarged': sum(is_enlarged(*size, view) for size in sizes),
        'equal to an earlier one': len(find_duplicates(pixels)),
        'not taken': len(found.pictures) - len(chosen),
        'folders of runs, left out': found.runs,
    }
    notes = [f'no pictures by their names: {_kinds(found)}'] if found.others else []
    notes += [f'{what}: {count}' for what, count in counts.items() if count]
    labels, classes = _by_folder(names)
    images = collect(pixels, names)._replace(
        sizes=np.array(sizes), skipped=tuple(skipped), notes=tuple(notes), labels=labels, classes=classes
    )
    return images, lasting


def _by_folder(names: list[str]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Labels and classes by the first folder of each name, if all lie in folders and these differ."""
    first = [name.rpartition('/')[0].partition('/')[0] for name in names]
    classes = sorted(set(first))
    if '' in classes or len(classes) < 2:
        return None, ()
    places = {name: place for place, name in enumerate(classes)}
    return np.array([places[name] for name in first], np.int32), tuple(classes)


def _choose(names: list[str], most: int) -> list[str]:
    if not most or len(names) <= most:
        return names
    return sorted(sorted(names, key=lambda name: hashlib.sha256(os.fsencode(name)).digest())[:most])


def _kinds(found: Listing) -> str:
    counts = sorted(found.others.items(), key=lambda item: (-item[1], item[0]))
    return listed((f'{count} {suffix or "without a suffix"}' for suffix, count in counts), most=5)
