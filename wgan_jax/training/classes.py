"""What a conditional run knows of its classes, and what an unconditional one does not look at."""

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from wgan_jax.data.images import Images
from wgan_jax.text import listed, printable
from wgan_jax.training.settings import Settings
from wgan_jax.types import PyTree

logger = logging.getLogger(__name__)

ROW = 8  # samples of one class beside each other in the grids of a conditional run


def check_classes(settings: Settings, images: Images) -> Images:
    """The images, their labels int32.

    Raises:
        ValueError: where a run is to be conditional and its images are of no classes, or their labels are none.
    """
    if not settings.conditional:
        return images
    if images.labels is None:
        raise ValueError(
            f'conditional: {printable(settings.dataset, 80)} has no classes: put the pictures of each into a folder of '
            'its own, or take a TFDS dataset with labels'
        )
    labels = np.asarray(images.labels)
    if labels.shape != (len(images.pixels),) or not np.issubdtype(labels.dtype, np.integer):
        wanted = f'({len(images.pixels)},) whole numbers, one for each image'
        raise ValueError(f'conditional: labels must be {wanted}, not {labels.shape} {labels.dtype}')
    if labels.min() < 0 or labels.max() >= len(images.classes):
        which = labels[(labels < 0) | (labels >= len(images.classes))][0]
        raise ValueError(f'conditional: a label is {which}, and there are {len(images.classes)} classes, from 0 on')
    return images._replace(labels=labels.astype(np.int32))


def class_shares(settings: Settings, images: Images) -> tuple[float, ...]:
    """How often each class is among the images to train on; () for an unconditional run."""
    return tuple(count / len(images.pixels) for count in _counts(images)) if settings.conditional else ()


def say_what_is_empty(settings: Settings, images: Images) -> None:
    """Warns of classes of which there is no image to train on."""
    if settings.conditional:
        empty = [name for name, count in zip(images.classes, _counts(images), strict=True) if not count]
        if empty:
            logger.warning(f'of these classes there is no image to train on, {len(empty)}: {listed(empty, most=3)}')


def _counts(images: Images) -> list[int]:
    assert images.labels is not None
    return np.bincount(images.labels, minlength=len(images.classes)).tolist()


def data_of(settings: Settings, images: Images) -> PyTree:
    """What ``gan.draw`` takes: images, or images and labels; on the host, or on the disk."""
    return (images.pixels, images.labels) if settings.conditional else images.pixels


def record_of(settings: Settings, images: Images) -> dict[str, Any]:
    """The dataset of a run as its configuration has it; of a conditional one the fingerprint is of labels too."""
    held = 0 if images.held_out is None else len(images.held_out)
    shape = [len(images.pixels) + held, *images.pixels.shape[1:]]
    if not settings.conditional:
        return {'shape': shape, 'fingerprint': images.fingerprint}
    digest = hashlib.sha256(repr((images.fingerprint, images.classes)).encode())
    for labels in (images.labels, images.held_out_labels):
        digest.update(b'' if labels is None else np.ascontiguousarray(labels, np.int32).tobytes())
    return {
        'shape': shape, 'fingerprint': digest.hexdigest(), 'classes': list(images.classes),
        'class_counts': _counts(images),
    }  # fmt: skip


def row_labels(n: int, num_classes: int) -> np.ndarray | None:
    """Labels (n,) of samples that are shown in rows of one class each; None without classes."""
    return (np.arange(n) // ROW % num_classes).astype(np.int32) if num_classes else None


def number_of(label: Any, classes: Sequence[str], what: str = 'label') -> int:
    """The number of a class that is named by it or by its name; ``what`` it is goes into a refusal.

    Raises:
        ValueError: for a class that there is not.
    """
    if isinstance(label, str) and label in classes:
        return classes.index(label)
    number = int(label) if isinstance(label, str) and label.isdecimal() and len(label) < 10 else label
    if isinstance(number, (int, np.integer)) and not isinstance(number, bool) and 0 <= number < len(classes):
        return int(number)
    shown = printable(str(label), 40)
    known = f'{len(classes)}: {listed(classes, most=5)}, or their numbers'
    raise ValueError(f'{what}={shown} is no class; there are {known}')
