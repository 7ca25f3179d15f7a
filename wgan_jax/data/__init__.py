"""Data: datasets held in memory, the order they are drawn in, augmentation.

``load(name, height, width)`` gives ``Images``. A new dataset is a file with a ``load`` and a line in ``DATASETS``.
"""

import os
from collections.abc import Callable
from typing import Any

from wgan_jax.data.fitting import View, check_view
from wgan_jax.data.images import Images, UnknownDataset
from wgan_jax.text import listed, printable

# The loaders import Pillow and TFDS themselves, and are themselves imported when they are called.


Progress = Callable[[int, int], object]


def _flags(argument: str, view: View, data_dir: str | os.PathLike | None, on_progress: Progress) -> Images:
    del data_dir, on_progress  # they come with the package, and there are few
    from wgan_jax.data import flags

    return flags.load(view.height, view.width, view.num_channels, split=argument or 'all')


def _folder(argument: str, view: View, data_dir: str | os.PathLike | None, on_progress: Progress) -> Images:
    del data_dir  # the path says where
    if not argument:
        raise ValueError("dataset 'folder' needs a path: folder:PATH")
    from wgan_jax.data import folder

    return folder.load(argument, view, on_progress=on_progress)


def _stacked_mnist(argument: str, view: View, data_dir: str | os.PathLike | None, on_progress: Progress) -> Images:
    from wgan_jax.data import stacked

    return stacked.load(argument or 'train', view, data_dir=data_dir, on_progress=on_progress)


DATASETS: dict[str, Callable[[str, View, str | os.PathLike | None, Progress], Images]] = {
    'flags': _flags,
    'folder': _folder,
    'stacked_mnist': _stacked_mnist,
}
OF_TFDS = ('stacked_mnist',)  # that are made of a TFDS dataset
# What a view has that makes no difference to the images of a dataset.
UNREAD = {'flags': ('fit', 'background', 'min_side', 'max_images')}


def is_path(name: str) -> bool:
    """Whether it can only be a path, or is one of a folder that a TFDS name with a slash would hide."""
    return name.startswith(('/', './', '../', '~')) or name in ('.', '..') or ('/' in name and os.path.isdir(name))


def load(
    name: str,
    height: int,
    width: int,
    *,
    data_dir: str | os.PathLike | None = None,
    on_progress: Progress = lambda done, of: None,
    **view: Any,
) -> Images:
    """A dataset by name, in memory at one size.

    Args:
        name: 'flags', 'flags:train' or 'flags:test', 'folder:PATH', a path that is none else, 'stacked_mnist' or
            'stacked_mnist:test', or a TFDS name such as 'mnist', 'mnist:test'. What precedes a colon is looked up in
            ``DATASETS`` and called with what follows it.
        height, width: pixels.
        data_dir: where TFDS datasets are prepared; None: TFDS's own default.
        on_progress: told how many pictures of how many have been looked at, now and then.
        view: what else a ``View`` has: channels, fit, background, min_side, max_images.

    Returns:
        ``Images`` with uint8 pixels (N, height, width, C).

    Raises:
        ValueError: an unknown name, or whatever keeps the dataset from being loaded.
    """
    seen = check_view(View(height, width, **view))
    if not isinstance(name, str):
        raise ValueError(f"a dataset is named by a string, such as 'folder:PATH', got {printable(repr(name), 80)}")
    kind, _, argument = name.partition(':')
    for unread in UNREAD.get(kind, ()):
        if getattr(seen, unread) != View._field_defaults[unread]:
            raise ValueError(f'{unread}={getattr(seen, unread)} has no effect with dataset={kind}: leave it out')
    if kind in DATASETS:
        return DATASETS[kind](argument, seen, data_dir, on_progress)
    if is_path(name):
        return _folder(name, seen, data_dir, on_progress)
    from wgan_jax.data import tfds_images

    try:
        return tfds_images.load(name, seen, data_dir=data_dir, on_progress=on_progress)
    except UnknownDataset as error:
        if os.path.isdir(name):
            return _folder(name, seen, data_dir, on_progress)
        known = listed((f"'{kind}'" if kind != 'folder' else "'folder:PATH'" for kind in DATASETS), most=20)
        raise UnknownDataset(f"{error}; known are {known} and any TFDS dataset with images, such as 'mnist'") from error
