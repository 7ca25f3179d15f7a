"""Data: datasets held in memory, the order they are drawn in, augmentation.

``load(name, height, width)`` gives ``Images``. A new dataset is a file with a ``load`` and a line in ``DATASETS``.
"""

import os
from collections.abc import Callable

from wgan_jax.data.images import Images, UnknownDataset, check_size
from wgan_jax.text import listed, printable

# The loaders import Pillow and TFDS themselves, and are themselves imported when they are called.


def _flags(argument: str, height: int, width: int, data_dir: str | os.PathLike | None) -> Images:
    del data_dir  # they come with the package
    if argument:
        raise ValueError(f"dataset 'flags' takes nothing after a colon, got '{printable(argument, 80)}'")
    from wgan_jax.data import flags

    return flags.load(height, width)


def _folder(argument: str, height: int, width: int, data_dir: str | os.PathLike | None) -> Images:
    del data_dir  # the path says where
    if not argument:
        raise ValueError("dataset 'folder' needs a path: folder:PATH")
    from wgan_jax.data import folder

    return folder.load(argument, height, width)


DATASETS: dict[str, Callable[..., Images]] = {'flags': _flags, 'folder': _folder}


def _is_path(name: str) -> bool:
    """Whether it can only be a path, or is one of a folder that a TFDS name with a slash would hide."""
    return name.startswith(('/', './', '../', '~')) or name in ('.', '..') or ('/' in name and os.path.isdir(name))


def load(name: str, height: int, width: int, *, data_dir: str | os.PathLike | None = None) -> Images:
    """A dataset by name, in memory at one size.

    Args:
        name: 'flags', 'folder:PATH', a path that is none else, or a TFDS name such as 'mnist'. What precedes a colon
            is looked up in ``DATASETS`` and called as ``(what follows the colon, height, width, data_dir)``.
        height, width: pixels.
        data_dir: where TFDS datasets are prepared; None: TFDS's own default.

    Returns:
        ``Images`` with uint8 pixels (N, height, width, C).

    Raises:
        ValueError: an unknown name, or whatever keeps the dataset from being loaded.
    """
    height, width = check_size(height, width)
    if not isinstance(name, str):
        raise ValueError(f"a dataset is named by a string, such as 'folder:PATH', got {printable(repr(name), 80)}")
    kind, _, argument = name.partition(':')
    if kind in DATASETS:
        return DATASETS[kind](argument, height, width, data_dir)
    if _is_path(name):
        return _folder(name, height, width, data_dir)
    from wgan_jax.data import tfds_images

    try:
        return tfds_images.load(name, height, width, data_dir=data_dir)
    except UnknownDataset as error:
        if os.path.isdir(name):
            return _folder(name, height, width, data_dir)
        known = listed((f"'{kind}'" if kind != 'folder' else "'folder:PATH'" for kind in DATASETS), most=20)
        raise UnknownDataset(f"{error}; known are {known} and any TFDS dataset with images, such as 'mnist'") from error
