"""What every feature network is: a pure function of images, with a name that goes with every score."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from wgan_jax.data.images import to_float
from wgan_jax.ranges import COUNT
from wgan_jax.types import Array

BATCH = 64  # images at once: few enough for the largest network on a CPU, many enough for a GPU


@dataclass(frozen=True)
class FeatureNetwork:
    """A map from images to vectors between which distances mean something.

    Attributes:
        name: what goes with every score; scores of different names are no more comparable than metres and hours.
        apply: images (N, H, W, C) in [-1, 1] to features (N, d); pure, to be compiled. A ``jax.tree_util.Partial``
            hands its weights to the compiled function; those of any other function become part of it.
        probabilities: of a classifier, the same images to the probabilities of K classes, (N, K); None for others.
        classes: of a classifier, the names of its classes where they are known.
    """

    name: str
    apply: Callable[[Array], Array]
    probabilities: Callable[[Array], Array] | None = None
    classes: tuple[str, ...] = ()

    def __call__(self, images: np.ndarray, batch_size: int = BATCH) -> np.ndarray:
        """Features of any number of images, on the host in and out.

        Args:
            images: (N, H, W, C), floats in [-1, 1] or uint8; whatever slices give arrays of, such as ``np.memmap``.
            batch_size: images on the device at once; one program is compiled for each size of it and of images.

        Returns:
            (N, d) float32.

        Raises:
            ValueError: for anything but images, none of them, or images that the network does not take.
        """
        return _in_batches((self.apply,), images, batch_size)[0]

    def classify(self, images: np.ndarray, batch_size: int = BATCH) -> tuple[np.ndarray, np.ndarray]:
        """Features and class probabilities at once, in less time than one after the other.

        Args:
            images, batch_size: as of ``__call__``.

        Returns:
            (N, d) and (N, K) float32.

        Raises:
            ValueError: as ``__call__`` does, and for a network that is no classifier.
        """
        if self.probabilities is None:
            raise ValueError(
                f'{self.name} is no classifier: take a network with probabilities, such as classifier:FILE'
            )
        features, probabilities = _in_batches((self.apply, self.probabilities), images, batch_size)
        return features, probabilities


@jax.jit
def _run(functions: tuple[Any, ...], images: Array) -> tuple[Array, ...]:
    return tuple(function(images) for function in functions)  # what they share is computed once


def _in_batches(functions: tuple[Callable, ...], images: np.ndarray, batch_size: int) -> list[np.ndarray]:
    COUNT.check('batch_size', batch_size)
    if getattr(images, 'ndim', len(np.shape(images))) != 4 or not len(images):
        raise ValueError(f'need images (N, H, W, C), at least one, not {np.shape(images)}')
    run = partial(_run, tuple(f if isinstance(f, Partial) else Partial(f) for f in functions))
    parts = [jax.device_get(tuple(x[:n] for x in run(batch))) for batch, n in _batches(images, batch_size)]
    return [np.concatenate(column).astype(np.float32) for column in zip(*parts, strict=True)]


def _batches(images: np.ndarray, size: int) -> Iterator[tuple[Array, int]]:
    """Batches of floats, all of one size, each with how many of it count: the last image fills the last one up."""
    for start in range(0, len(images), size):
        part = np.asarray(images[start : start + size])
        whole = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)]) if len(part) < size else part
        yield to_float(whole) if whole.dtype == np.uint8 else jnp.asarray(whole, jnp.float32), len(part)
