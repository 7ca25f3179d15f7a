"""Densities of one or two dimensions to try GANs on: each a pure function from a key to one sample.

The scales are those of the published toy experiments, in which a sample has about unit size.

>>> load('grid').modes.shape
(25, 2)
>>> draw(line(3.0), jax.random.key(0), 2)[:, 0].tolist()
[3.0, 3.0]
>>> round(perfect_quality(2), 4)  # 1 - exp(-9 / 2)
0.9889
"""

import functools
import math
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.data.points import read_points
from wgan_jax.text import printable
from wgan_jax.types import Array, ArrayLike, Key


class Density(NamedTuple):
    """A distribution to draw from.

    Attributes:
        sample: ``sample(key) -> (d,)``, one sample; ``vmap`` makes batches.
        dim: d.
        modes: centres of its modes, (M, d), all of one weight; None where there are none.
        std: standard deviation of a mode in every direction; None where there are no modes.
    """

    sample: Callable[[Key], Array]
    dim: int
    modes: np.ndarray | None = None
    std: float | None = None


class Mixture(NamedTuple):
    """A Gaussian mixture as arrays, so that one compiled program serves mixtures of any number of modes.

    Attributes:
        modes: centres, (M, d), of which only the first ``num`` count.
        num: their number.
        std: of every mode, in every direction.
    """

    modes: ArrayLike
    num: ArrayLike
    std: ArrayLike


def stack_mixtures(densities: Sequence[Density]) -> Mixture:
    """Densities with modes, of one dimension d, as one Mixture with a leading axis; shorter ones are padded.

    Args:
        densities: K of them, with modes.

    Returns:
        A Mixture of modes (K, M, d) with M those of the longest, num (K,) and std (K,).

    Raises:
        ValueError: for a density without modes.
    """
    centres = [density.modes for density in densities if density.modes is not None]
    if len(centres) != len(densities):
        raise ValueError(f'{len(densities) - len(centres)} of {len(densities)} densities have no modes')
    most = max(len(modes) for modes in centres)
    padded = np.stack([np.pad(modes, ((0, most - len(modes)), (0, 0))) for modes in centres])
    stds = np.array([density.std for density in densities], np.float32)
    return Mixture(padded, np.array([len(modes) for modes in centres], np.int32), stds)


def sample_mixture(mixture: Mixture, key: Key) -> Array:
    """One sample of a mixture, the same as ``mixture(...).sample(key)``.

    Args:
        mixture: without a leading axis; ``vmap`` takes stacked ones.
        key: draws the mode and the noise.

    Returns:
        (d,).
    """
    mode_key, noise_key = jax.random.split(key)
    mode = jnp.asarray(mixture.modes)[jax.random.randint(mode_key, (), 0, mixture.num)]
    return mode + mixture.std * jax.random.normal(noise_key, mode.shape)


def mixture(modes: np.ndarray, std: float) -> Density:
    """Gaussians of equal weight, x = m_k + std * e with k uniform and e ~ N(0, I).

    Args:
        modes: the centres m, (M, d).
        std: of every mode, in every direction.

    Returns:
        A Density with modes.
    """
    modes = np.asarray(modes, np.float32)
    whole = Mixture(modes, np.int32(len(modes)), np.float32(std))
    return Density(functools.partial(sample_mixture, whole), modes.shape[1], modes, std)


def ring() -> Density:
    """Eight Gaussians on a circle: radius 2, standard deviation 0.02, both divided by 1.414.

    Returns:
        A Density with modes (8, 2).

    Source: Metz et al. 2017, https://arxiv.org/abs/1611.02163; in this scale the release of Gulrajani et al. 2017.
    """
    angles = 2 * np.pi * np.arange(8) / 8
    return mixture(2 / 1.414 * np.stack([np.cos(angles), np.sin(angles)], axis=1), 0.02 / 1.414)


def grid() -> Density:
    """Twenty-five Gaussians on {-4, -2, 0, 2, 4}^2, standard deviation 0.05, all divided by 2.828.

    Returns:
        A Density with modes (25, 2).

    Source: the release of Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028.
    """
    side = np.arange(-4, 5, 2)
    return mixture(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2) / 2.828, 0.05 / 2.828)


def swiss_roll() -> Density:
    """A spiral: t = 1.5 pi (1 + 2u), (t cos t, t sin t) plus noise of standard deviation 0.25, divided by 7.5.

    Two of the three coordinates of scikit-learn's ``make_swiss_roll``.

    Returns:
        A Density of dimension 2 without modes.

    Source: the release of Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028.
    """

    def sample(key: Key) -> Array:
        angle_key, noise_key = jax.random.split(key)
        angle = 1.5 * jnp.pi * (1 + 2 * jax.random.uniform(angle_key))
        curve = angle * jnp.stack([jnp.cos(angle), jnp.sin(angle)])
        return (curve + 0.25 * jax.random.normal(noise_key, (2,))) / 7.5

    return Density(sample, 2)


def two_gaussians() -> Density:
    """Two Gaussians in the plane, at (-1, 0) and (1, 0), standard deviation 0.2.

    Returns:
        A Density with modes (2, 2).
    """
    return mixture(np.array([[-1.0, 0.0], [1.0, 0.0]]), 0.2)


def two_gaussians_1d() -> Density:
    """Two Gaussians on the line, at -1 and 1, standard deviation 0.2.

    Returns:
        A Density with modes (2, 1).
    """
    return mixture(np.array([[-1.0], [1.0]]), 0.2)


def line(position: float = 1.0) -> Density:
    """The vertical line x = position, y ~ U[0, 1]: one of two parallel lines, the other being x = 0.

    Args:
        position: of the line, which is its Wasserstein distance to the other.

    Returns:
        A Density of dimension 2 without modes.

    Source: Arjovsky et al. 2017, example 1.
    """

    def sample(key: Key) -> Array:
        return jnp.stack([jnp.float32(position), jax.random.uniform(key)])

    return Density(sample, 2)


def parallel_lines() -> Density:
    """Two vertical lines, x = -1 or x = 1 with equal weight and y ~ U[0, 1].

    Returns:
        A Density of dimension 2 without modes.
    """

    def sample(key: Key) -> Array:
        side_key, height_key = jax.random.split(key)
        return jnp.stack([jax.random.rademacher(side_key, (), jnp.float32), jax.random.uniform(height_key)])

    return Density(sample, 2)


# A new density is a function that returns a Density, and a line here.
DENSITIES: dict[str, Callable[[], Density]] = {
    'ring': ring,
    'grid': grid,
    'swiss_roll': swiss_roll,
    'two_gaussians': two_gaussians,
    'two_gaussians_1d': two_gaussians_1d,
    'parallel_lines': parallel_lines,
}


def resample(points: np.ndarray) -> Density:
    """The empirical distribution of points: one of them, uniformly.

    Args:
        points: (n, d).

    Returns:
        A Density of dimension d without modes.
    """
    points = np.asarray(points, np.float32)

    def sample(key: Key) -> Array:
        return jnp.asarray(points)[jax.random.randint(key, (), 0, len(points))]

    return Density(sample, points.shape[1])


def load_points(path: str | os.PathLike) -> np.ndarray:
    """Reads samples from an ``.npz`` that holds one array of shape (n, d).

    Args:
        path: of the file.

    Returns:
        The points, float32 (n, d).

    Raises:
        ValueError: in one line, when the file is missing or no ``.npz``, holds none or several arrays, or one that is
            not of shape (n, d) with n >= 2 and d >= 1, not of real numbers, not finite, or too large for memory.
        OSError, MemoryError: for failures of the machine.
    """
    return read_points(path)


def load(name: str) -> Density:
    """A density by its name in ``DENSITIES``, or one made of the samples in an ``.npz``.

    Args:
        name: a name, or the path of a file that ends in ``.npz``.

    Returns:
        A Density.

    Raises:
        ValueError: for an unknown name, with the known ones, and as ``load_points``.
    """
    if str(name).endswith('.npz'):
        return resample(load_points(name))
    if not isinstance(name, str) or name not in DENSITIES:
        raise ValueError(
            f'data={printable(name, 80)} is unknown; there are: {", ".join(DENSITIES)}, and any FILE.npz of samples'
        )
    return DENSITIES[name]()


def draw(density: Density, key: Key, num: int) -> Array:
    """Independent samples from one key.

    Args:
        density: what to draw from.
        key: split into one for each sample.
        num: how many.

    Returns:
        (num, d).
    """
    return jax.vmap(density.sample)(jax.random.split(key, num))


def perfect_quality(dim: int, radius: float = 3.0) -> float:
    """The share of a d-dimensional Gaussian within ``radius`` standard deviations: 1 - exp(-radius^2 / 2) for d = 2.

    What a perfect sampler of well separated modes scores as high quality.

    Args:
        dim: d.
        radius: in standard deviations.

    Returns:
        A share in [0, 1].
    """
    return float(jax.scipy.special.gammainc(dim / 2, radius**2 / 2)) if dim != 2 else -math.expm1(-(radius**2) / 2)
