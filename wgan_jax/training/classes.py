"""What a conditional run knows of its classes, and what an unconditional one does not look at."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from wgan_jax.data.images import Images
from wgan_jax.text import listed, printable
from wgan_jax.training.settings import Settings
from wgan_jax.types import PyTree

ROW = 8  # samples of one class beside each other in the grids of a conditional run


def check_classes(settings: Settings, images: Images) -> None:
    """Raises ValueError where a run is to be conditional and its images are of no classes."""
    if settings.conditional and images.labels is None:
        raise ValueError(
            f'conditional: {printable(settings.dataset, 80)} has no classes: put the pictures of each into a folder of '
            'its own, or take a TFDS dataset with labels'
        )


def class_counts(settings: Settings, images: Images) -> tuple[int, ...]:
    """How many images to train on are of each class; () for an unconditional run."""
    if not settings.conditional or images.labels is None:
        return ()
    return tuple(np.bincount(images.labels, minlength=len(images.classes)).tolist())


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
    digest.update(np.ascontiguousarray(images.labels, np.int32).tobytes())
    counts = list(class_counts(settings, images))
    return {'shape': shape, 'fingerprint': digest.hexdigest(), 'classes': list(images.classes), 'class_counts': counts}


def row_labels(n: int, num_classes: int) -> np.ndarray | None:
    """Labels (n,) of samples that are shown in rows of one class each; None without classes."""
    return (np.arange(n) // ROW % num_classes).astype(np.int32) if num_classes else None


def number_of(label: Any, classes: Sequence[str]) -> int:
    """The number of a class that is named by it or by its name.

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
    raise ValueError(f'label={shown} is no class; there are {known}')
