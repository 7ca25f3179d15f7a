"""Stacked MNIST: three random digits as the red, green and blue of one image, 1,000 classes that can be counted.

How many of them a generator's samples are of says how many modes it has dropped.

Source: Metz et al. 2017, https://arxiv.org/abs/1611.02163, section 3.3.1.
"""

import os
from collections.abc import Callable

import numpy as np

from wgan_jax.data import cache, tfds_images
from wgan_jax.data.fitting import View
from wgan_jax.data.images import Images, collect
from wgan_jax.data.order import epoch_key, permute

CLASSES = tuple(f'{number:03}' for number in range(1000))
_SEED = 0
_TOGETHER = 1024


def load(
    split: str,
    view: View,
    *,
    data_dir: str | os.PathLike | None = None,
    on_progress: Callable[[int, int], object] = lambda done, of: None,
) -> Images:
    """As many images as MNIST has, in each channel every digit once, in an order of its own that is always the same.

    Args:
        split: of MNIST, such as 'train', 'test' or 'train[:50%]'.
        view: how digits are made into images; ``max_images`` are the first.
        data_dir: the folder MNIST is prepared in; None: TFDS's own default.
        on_progress: told how many digits of how many have been looked at.

    Returns:
        ``Images`` (N, height, width, 3), of class '407' where red is a 4, green a 0 and blue a 7.

    Raises:
        ValueError: another number of channels, and whatever keeps MNIST from being loaded.
    """
    if view.channels not in ('auto', '3'):
        raise ValueError(f'channels={view.channels}: stacked_mnist has three digits, one for each of 3')
    grey = view._replace(channels='1', max_images=0)
    digits = tfds_images.load(f'mnist:{split}', grey, data_dir=data_dir, on_progress=on_progress)
    if digits.labels is None:
        raise ValueError('stacked_mnist needs the labels of MNIST')
    num = len(digits.pixels)
    taken = min(num, view.max_images or num)
    pixels = cache.room(taken, view.height, view.width, 3, 'stacked_mnist')
    labels = np.zeros(taken, np.int32)
    for channel in range(3):
        places = permute(np.arange(taken, dtype=np.uint32), epoch_key(_SEED, channel, xp=np), num, xp=np)
        for start in range(0, taken, _TOGETHER):  # the set may lie on the disk
            part = slice(start, start + _TOGETHER)
            pixels[part, ..., channel] = digits.pixels[places[part], ..., 0]
        labels = 10 * labels + digits.labels[places]
    notes = (f'not taken: {num - taken}',) if taken < num else ()
    return collect(pixels)._replace(labels=labels, classes=CLASSES, notes=notes)
