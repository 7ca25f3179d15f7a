"""What the fixed samples of a run tell of it, each time that they are drawn, beside the real images."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.data.images import Images
from wgan_jax.lengths import pairwise_distances
from wgan_jax.metrics.duplicates import NEAR, nearest_distances
from wgan_jax.metrics.patches import patch_distance
from wgan_jax.training.compiled import compiled
from wgan_jax.training.draws import Role, first_images, first_places, role_key
from wgan_jax.training.gan import GAN
from wgan_jax.types import Array, Key, Network, Variables, given

NUM_WATCHED = 256  # samples, and real images; of large ones fewer
PIXELS = 2**24  # of them all, about: 64 of 512x512
CHUNK = 64  # images that are scored at once
PATCH, PATCHES = 7, 8  # pixels a side; of each image at each level
NUM_PROJECTIONS = 64
NUM_EVALUATED, PIXELS_EVALUATED, PROJECTIONS_EVALUATED = 2_048, 2**25, 256  # where checkpoints are to be told apart


class Looks(NamedTuple):
    """What is measured, under the names that it has in ``metrics.jsonl``.

    Attributes:
        duplicates: share of the samples that are near-duplicates: no farther from another sample than half the median
            distance from a real image to the nearest other one, twins left out.
        diversity: median distance from a sample to the nearest other one, over that of as many real images; 1 for
            samples as different from each other as the data are.
        patch_distance: between samples and real images, see ``metrics.patches``.
        gap: mean score that the critic gives to real images, less that of the samples; for Wasserstein scores an
            estimate of the distance between the two, without instance noise, augmentation of both, and statistics of
            the batch.
        held_out_gap: the same of real images that it was not trained on: as far as this stays behind, the critic has
            learnt its images by heart.
        w1: Wasserstein-1 distance between the samples and as many real images, exact, of a conditional generator within
            classes; the Euclidean distance of images as points, whose coordinates are their values in [-1, 1]. On the
            same images a Wasserstein critic whose slope is at most 1 has no larger gap.
        w1_of_data: the same between two halves of those real images: about what other real images would have, and a
            little more, since it is of half as many. Flat images and blends may have no more: the two tell how far a
            gap can go, and not how good samples are.
        evaluation: the patch distance of up to ``NUM_EVALUATED`` samples, where one was due.
    """

    duplicates: float | None
    diversity: float | None
    patch_distance: float | None
    gap: float | None
    held_out_gap: float | None
    w1: float | None
    w1_of_data: float | None
    evaluation: float | None = None


def num_watched(height: int, width: int) -> int:
    """How many samples of a size are looked at: at least the 64 of the grid."""
    return max(64, min(NUM_WATCHED, PIXELS // (height * width)))


def watch_bytes(height: int, width: int) -> int:
    """Memory that looking takes: samples, real images, those held out, smaller copies and centred ones, float32.

    Of up to 4 channels each.
    """
    return 4 * 7 * 4 * num_watched(height, width) * height * width


class Watch:
    """Measures samples beside the real images of a run.

    Args:
        gan: whose augmentation says what the generator learns: where only real images are augmented, those.
        images: the dataset, on the host.
        seed: of the run.
    """

    def __init__(self, gan: GAN, images: Images, seed: int):
        self._conditional = gan.networks.critic.num_classes > 0
        self._augment = gan.augmentation.real if gan.augmentation.fake is None else None
        self._images, self._seed, self._batch_size = images, seed, gan.batch_size
        self._score = compiled(_scores, gan.networks.critic)

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Of which classes the samples must be, which are those of the real images beside them; None for no classes."""
        return self._first_labels(self._images.labels)

    @functools.cached_property
    def held_out_labels(self) -> np.ndarray | None:
        """The same for the images held out; None where there are none."""
        return self._first_labels(self._images.held_out_labels)

    def __call__(self, samples: Array, critic: Variables, beside_held_out: Array | None = None) -> Looks:
        """What the fixed samples (N, H, W, C) in [-1, 1] look like, N at least as many as are watched.

        A conditional critic's scores of two classes cannot be compared: samples are scored as of the classes that they
        and the real images beside them are of, and others beside those held out.

        Everything is None that one image, or images that are all the same, cannot tell; the patch distance of images
        that are smaller than a patch; and what takes images held out where there are none.
        """
        samples = samples[: len(self._real)]
        looks: tuple[Array, ...] = (jnp.full(3, jnp.nan),)
        if len(self._real) > 1:
            looks = _look(samples, self._real, self._distances, role_key(self._seed, Role.WATCH))
        of_samples = self._mean_score(critic, samples, self.labels)
        gaps: list[Array | float] = [self._mean_score(critic, self._real, self.labels) - of_samples, jnp.nan]
        if self._held_out is not None:
            if beside_held_out is not None:
                of_samples = self._mean_score(critic, beside_held_out, self.held_out_labels)
            gaps[1] = self._mean_score(critic, self._held_out, self.held_out_labels) - of_samples
        w1 = _w1(_centred(samples, self._real), _centred(self._real, self._real), self.labels)
        values = [*np.asarray(jnp.hstack([*looks, *gaps])).tolist(), w1, self._w1_of_data]
        return Looks(*(value if np.isfinite(value) else None for value in values))

    def evaluate(self, draw: Callable[[int, np.ndarray | None], Array]) -> float | None:
        """The patch distance of more samples and real images than are watched, of the same classes.

        Args:
            draw: ``draw(n, labels)``: samples (n, H, W, C), of a conditional generator of classes (n,).

        Returns:
            The distance; None where it is not finite.
        """
        pixels = self._images.pixels
        height, width = pixels.shape[1:3]
        most = max(num_watched(height, width), min(NUM_EVALUATED, PIXELS_EVALUATED // (height * width)))
        count = min(most, len(pixels))
        real = first_images(pixels, self._augment, self._seed, count, batch_size=self._batch_size)
        key = role_key(self._seed, Role.WATCH)
        value = float(_evaluated(real, draw(count, self._first_labels(self._images.labels, count)), key))
        return value if np.isfinite(value) else None

    def _mean_score(self, critic: Variables, images: Array, labels: np.ndarray | None) -> Array:
        parts = [slice(start, start + CHUNK) for start in range(0, len(images), CHUNK)]
        scores = [self._score(critic, images[part], None if labels is None else labels[part]) for part in parts]
        return jnp.concatenate(scores).mean()

    def _first_labels(self, labels: np.ndarray | None, count: int | None = None) -> np.ndarray | None:
        """Of the images that ``_first`` takes, or of so many; None for an unconditional critic."""
        if not self._conditional or labels is None or not len(labels):
            return None
        count = count or min(num_watched(*self._images.pixels.shape[1:3]), len(labels))
        return labels[first_places(len(labels), self._seed, count, batch_size=self._batch_size)]

    @functools.cached_property
    def _real(self) -> Array:
        return self._first(self._images.pixels)

    @functools.cached_property
    def _distances(self) -> Array:
        return _nearest_distances(self._real)

    @functools.cached_property
    def duplicates_of_data(self) -> float:
        """The share of near-duplicates among as many real images; 0 for a single one."""
        if len(self._real) < 2:
            return 0.0
        distances = np.asarray(self._distances)
        return float((distances <= NEAR * np.median(distances[distances > 0])).mean()) if distances.any() else 1.0

    @functools.cached_property
    def _w1_of_data(self) -> float:
        labels = np.zeros(len(self._real)) if self.labels is None else self.labels
        members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        halves = [np.concatenate([of[part : len(of) // 2 * 2 : 2] for of in members]) for part in (0, 1)]
        if not len(halves[0]):
            return float('nan')
        images = _centred(self._real, self._real)
        return _w1(images[halves[0]], images[halves[1]], None if self.labels is None else labels[halves[0]])

    @functools.cached_property
    def _held_out(self) -> Array | None:
        pixels = self._images.held_out
        return None if pixels is None or not len(pixels) else self._first(pixels)

    def _first(self, pixels: np.ndarray) -> Array:
        count = min(num_watched(*pixels.shape[1:3]), len(pixels))
        return first_images(pixels, self._augment, self._seed, count, batch_size=self._batch_size)


def _scores(network: Network, critic: Variables, images: Array, labels: Array | None) -> Array:
    return network.apply(critic, images, train=False, **given(labels))[0]


_nearest_distances = jax.jit(nearest_distances)
_pairwise_distances = jax.jit(pairwise_distances)


@jax.jit
def _centred(images: Array, about: Array) -> Array:
    """(N, H W C): without what all have in common, distances lose fewer digits."""
    return (images - about.mean(axis=0)).reshape(len(images), -1)


def _w1(x: Array, y: Array, labels: np.ndarray | None) -> float:
    """Between points (N, d) and as many, of the classes ``labels`` (N,) both; NaN where one is not finite."""
    from scipy.optimize import linear_sum_assignment  # slow to import

    if not (jnp.isfinite(x).all() and jnp.isfinite(y).all()):  # of which distances would be 0
        return float('nan')
    costs = np.asarray(_pairwise_distances(x, y))
    labels = np.zeros(len(x)) if labels is None else labels
    total = 0.0
    for label in np.unique(labels):
        block = costs[np.ix_(labels == label, labels == label)]
        total += block[linear_sum_assignment(block)].sum()  # of as many points each, the best plan pairs them
    return float(total / len(costs))


_evaluated = jax.jit(
    functools.partial(patch_distance, size=PATCH, patches=2 * PATCHES, num_projections=PROJECTIONS_EVALUATED)
)


@jax.jit
def _look(samples: Array, real: Array, real_distances: Array, key: Key) -> tuple[Array, Array, Array]:
    distances = nearest_distances(samples)
    typical = jnp.nanmedian(jnp.where(real_distances > 0, real_distances, jnp.nan))  # half of a set may have a twin
    patches = jnp.asarray(jnp.nan)
    if min(real.shape[1:3]) >= PATCH:
        patches = patch_distance(real, samples, key, size=PATCH, patches=PATCHES, num_projections=NUM_PROJECTIONS)
    near = jnp.where(distances <= NEAR * typical, 1.0, 0.0).mean()
    return jnp.where(typical > 0, near, jnp.nan), jnp.median(distances) / typical, patches
