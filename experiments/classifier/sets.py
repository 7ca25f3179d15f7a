"""The pictures that a classifier is trained on, and those that it is tested on."""

import numpy as np

from wgan_jax import memory
from wgan_jax.data.images import Images, hold_out
from wgan_jax.text import listed, printable

HELD_OUT = 0.1


def check_classes(images: Images, name: str) -> Images:
    """The images in memory, if they have labels and there are some of each."""
    images = labelled(images, name)
    counts = np.bincount(images.labels, minlength=len(images.classes))
    if not counts.all():
        empty = [each for each, count in zip(images.classes, counts, strict=True) if not count]
        raise ValueError(f'dataset={shown(name)}: no picture is of the classes {listed(empty, most=3)}')
    return images


def labelled(images: Images, name: str) -> Images:
    """The images in memory, if they have labels."""
    if images.labels is None or len(images.classes) < 2:
        raise ValueError(
            f'dataset={shown(name)} has no labels of two classes or more: put the pictures of each into a folder of '
            'its own, or take a TFDS dataset with labels'
        )
    memory.require(3 * images.pixels.nbytes, f'dataset={shown(name)} as an array', 'use a smaller image size')
    return images._replace(pixels=np.asarray(images.pixels), labels=np.asarray(images.labels))


def split(images: Images, name: str) -> tuple[Images, Images]:
    """A tenth of the images apart; a class that would have none left to train on keeps all of its own."""
    parts = hold_out(images, HELD_OUT)
    back = ~np.isin(parts.held_out_labels, parts.labels)
    train = images._replace(
        pixels=np.concatenate([parts.pixels, parts.held_out[back]]),
        labels=np.concatenate([parts.labels, parts.held_out_labels[back]]),
    )
    test = images._replace(pixels=parts.held_out[~back], labels=parts.held_out_labels[~back])
    if not len(test.pixels):
        raise ValueError(f'dataset={shown(name)} has too few pictures of a class to test with: name a --test_dataset')
    return train, test


def shown(name: str) -> str:
    """A name as messages show it."""
    return printable(name, 80)
