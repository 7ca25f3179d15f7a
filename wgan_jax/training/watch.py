"""What the fixed samples of a run tell of it, each time that they are drawn, beside the real images."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.metrics.duplicates import nearest_distances
from wgan_jax.metrics.patches import patch_distance
from wgan_jax.training.draws import Role, first_images, role_key
from wgan_jax.training.gan import GAN
from wgan_jax.types import Array, Key

NUM_WATCHED = 256  # samples, and real images; of large ones fewer
PIXELS = 2**24  # of them all, about: 64 of 512x512
PATCH, PATCHES = 7, 8  # pixels a side; of each image at each level
NUM_PROJECTIONS = 64
NEAR = 0.5  # of the median distance between nearest real images, at most: a near-duplicate


class Looks(NamedTuple):
    """What is measured, under the names that it has in ``metrics.jsonl``.

    Attributes:
        duplicates: share of the samples that are near-duplicates: no farther from another sample than half the median
            distance from a real image to the nearest other one, twins left out.
        diversity: median distance from a sample to the nearest other one, over that of as many real images; 1 for
            samples as different from each other as the data are.
        patch_distance: between samples and real images, see ``metrics.patches``.
    """

    duplicates: float | None
    diversity: float | None
    patch_distance: float | None


def num_watched(height: int, width: int) -> int:
    """How many samples of a size are looked at: at least the 64 of the grid."""
    return max(64, min(NUM_WATCHED, PIXELS // (height * width)))


def watch_bytes(height: int, width: int) -> int:
    """Memory that looking takes: samples, real images, and smaller copies of both, float32."""
    return 3 * 4 * 3 * num_watched(height, width) * height * width


class Watch:
    """Measures samples beside the real images of a run.

    Args:
        gan: whose augmentation says what the generator learns: where only real images are augmented, those.
        pixels: the dataset, uint8 (number of images, H, W, C), on the host.
        seed: of the run.
    """

    def __init__(self, gan: GAN, pixels: np.ndarray, seed: int):
        self._augment = gan.augmentation.real if gan.augmentation.fake is None else None
        self._pixels, self._seed, self._batch_size = pixels, seed, gan.batch_size
        self._count = min(num_watched(*pixels.shape[1:3]), len(pixels))

    def __call__(self, samples: Array) -> Looks:
        """What the fixed samples (N, H, W, C) in [-1, 1] look like, N at least as many as are watched.

        Everything is None that one image, or images that are all the same, cannot tell; and the patch distance of
        images that are smaller than a patch.
        """
        if self._count < 2:
            return Looks(None, None, None)
        real, distances = self._real
        looks = _look(samples[: self._count], real, distances, role_key(self._seed, Role.WATCH))
        return Looks(*(value if np.isfinite(value) else None for value in np.asarray(jnp.stack(looks)).tolist()))

    @functools.cached_property
    def _real(self) -> tuple[Array, Array]:
        real = first_images(self._pixels, self._augment, self._seed, self._count, batch_size=self._batch_size)
        return real, _nearest_distances(real)


_nearest_distances = jax.jit(nearest_distances)


@jax.jit
def _look(samples: Array, real: Array, real_distances: Array, key: Key) -> tuple[Array, Array, Array]:
    distances = nearest_distances(samples)
    typical = jnp.nanmedian(jnp.where(real_distances > 0, real_distances, jnp.nan))  # half of a set may have a twin
    patches = jnp.asarray(jnp.nan)
    if min(real.shape[1:3]) >= PATCH:
        patches = patch_distance(real, samples, key, size=PATCH, patches=PATCHES, num_projections=NUM_PROJECTIONS)
    near = jnp.where(distances <= NEAR * typical, 1.0, 0.0).mean()
    return jnp.where(typical > 0, near, jnp.nan), jnp.median(distances) / typical, patches
