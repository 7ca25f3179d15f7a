"""The pictures of a dataset."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from wgan_jax.data.images import Images, to_float
from wgan_jax.text import printable
from wgan_jax.training.settings import Settings

from ..common import pictures
from ..common.figures import save

MOST_PAIRS = 6


def draw_set(
    path: str | os.PathLike, chosen: Settings, images: Images, arrays: dict[str, np.ndarray], results: dict[str, Any]
) -> None:
    """The set as it was read and as the critic sees it, odd ones, duplicates, values and sizes."""
    figure = plt.figure(figsize=(11, 11), layout='constrained')
    top, middle, bottom = figure.subfigures(3, 1, height_ratios=(2.2, 1.3, 1.5))
    for axis, name, title in zip(
        top.subplots(1, 2), ('plain', 'seen'),
        (f'as read (fit={chosen.fit})', f'as the critic sees them (augment={chosen.augment})'), strict=True,
    ):  # fmt: skip
        _show(axis, pictures.grid(arrays[name]), title)
    odd = results['odd']
    pairs = arrays['duplicates'][:MOST_PAIRS]
    axes = middle.subplots(2, max(len(odd), 2 * len(pairs)), squeeze=False)
    for axis in axes.flat:
        axis.axis('off')
    for axis, (what, name), place in zip(axes[0], odd.items(), arrays['odd'], strict=False):
        size = '' if images.sizes is None else '\n{}x{}'.format(*images.sizes[place])
        _show(axis, pictures.grid(to_float(images.pixels[place][None])), f'{what}{size}\n{_short(name)}')
    for i, pair in enumerate(pairs):
        for axis, place in zip(axes[1, 2 * i :], pair[::-1], strict=False):
            name = images.names[place] if images.names else place
            _show(axis, pictures.grid(to_float(images.pixels[place][None])), f'equal\n{_short(name)}')
    left, right = bottom.subplots(1, 2)
    colours = {'grey': 'grey'} if len(arrays['values']) == 1 else {'red': 'red', 'green': 'green', 'blue': 'blue'}
    colours |= {'alpha': 'black'} if len(arrays['values']) == 4 else {}
    for (name, colour), counts in zip(colours.items(), arrays['values'], strict=True):
        left.plot(counts / counts.sum(), color=colour, label=name, linewidth=1)
    left.set(title='How often each value occurs', xlabel='value of a pixel (0 to 255)', ylabel='share', yscale='log')
    left.legend()
    if images.sizes is None:
        right.axis('off')
    else:
        right.scatter(*images.sizes.T[::-1], s=9, alpha=0.4, label='a picture as it was stored')
        right.scatter(*images.pixels.shape[2:0:-1], color='C3', marker='x', label='an image of the set')
        right.set(title='Sizes', xlabel='width in pixels', ylabel='height in pixels', xscale='log', yscale='log')
        right.legend()
    figure.suptitle(f'{len(images.pixels)} images of {printable(chosen.dataset, 60)} at {chosen.image_size} pixels')
    caption = (
        'What the generator is to imitate is on the left above; what the critic compares with its samples, on the '
        'right. Odd ones are worth a look: often they do not belong to the set.'
    )
    if images.notes:
        caption += f' Of the files: {"; ".join(images.notes)}.'
    save(figure, path, caption)


def draw_parts(path: str | os.PathLike, chosen: Settings, varied: dict[str, np.ndarray]) -> None:
    """What each part of augmentation does, alone, to the same images."""
    parts = [name for name in varied if not name.startswith('diff:')]
    figure, axes = plt.subplots(len(parts), 2, figsize=(9, 1.35 * len(parts)), layout='constrained')
    for row, name in zip(axes, parts, strict=True):
        for axis, form in zip(row, ('', 'diff:'), strict=True):
            key = form + name if form + name in varied else name
            _show(axis, pictures.grid(varied[key], columns=len(varied[key])), key)
    figure.suptitle(f'The parts of --augment on images of {printable(chosen.dataset, 60)}')
    save(
        figure, Path(path),
        'Left, of real images only: samples will look like these, so every row must be one that may be learned. Right, '
        'of real and fake images alike: samples will look like the first row, but for the flips.',
    )  # fmt: skip


def _show(axis: Axes, picture: np.ndarray, title: str) -> None:
    axis.imshow(picture, interpolation='nearest')
    axis.set_title(title, fontsize=8)
    axis.axis('off')


def _short(name: Any) -> str:
    return printable(name, 18)
