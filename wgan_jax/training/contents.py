"""Which pictures a run was begun on, by name: so that a set that has changed can be told from the one before."""

import itertools
import os
import zlib
from pathlib import Path

import numpy as np

from wgan_jax.data.images import Images
from wgan_jax.json_files import read_json, write_json
from wgan_jax.text import listed

_NAME = '.pictures.json'


def list_contents(workdir: Path, images: Images) -> None:
    """Writes the names of a dataset's images, with checksums of their pixels; nothing where they have no names."""
    if images.names:
        write_json(workdir / _NAME, _checksums(images))


def changes_of(workdir: Path, images: Images) -> str:
    """What has changed since ``list_contents``: '3786 -> 3785 pictures, 1 gone: a.png'; '' where that is not known.

    Args:
        workdir: of the run.
        images: the dataset as it is now, at the same size.
    """
    path = workdir / _NAME
    if not images.names or not os.path.isfile(path):
        return ''
    try:
        before = read_json(path, dict)
    except ValueError:  # a help only: the fingerprint decides
        return ''
    now = _checksums(images)
    groups = {
        'gone': [name for name in before if name not in now],
        'new': [name for name in now if name not in before],
        'changed': [name for name in now if name in before and before[name] != now[name]],
    }
    parts = [f'{len(names)} {what}: {listed(names, most=3)}' for what, names in groups.items() if names]
    return ', '.join([f'{len(before)} -> {len(now)} pictures', *parts]) if parts else ''


def _checksums(images: Images) -> dict[str, int]:
    names = (*images.names, *images.held_out_names)
    pixels = itertools.chain(images.pixels, () if images.held_out is None else images.held_out)
    return {name: zlib.crc32(np.ascontiguousarray(image).data) for name, image in zip(names, pixels, strict=True)}
