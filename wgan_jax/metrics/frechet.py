"""The Fréchet distance between Gaussians with the moments of two sets of features.

Called FID where, and only where, the features are those of one certain Inception-v3 network.

>>> x = np.array([[0.0, 0.0], [0.0, 2.0], [2.0, 0.0], [2.0, 2.0]])
>>> round(frechet_distance(x, x), 6), round(frechet_distance(x, x + [3, 4]), 6)
(0.0, 25.0)
>>> halves = Moments.of(x[:1]).update(x[1:])  # any cut of a stream
>>> round(frechet_of_moments(halves, Moments.of(x + [3, 4])), 6)
25.0
"""

from dataclasses import dataclass

import numpy as np

from wgan_jax.metrics.checks import as_features
from wgan_jax.types import ArrayLike


@dataclass(frozen=True)
class Moments:
    """Count, mean and scatter of a stream of features: all that the Fréchet distance needs of them, in float64.

    Attributes:
        count: rows seen, N.
        mean: their mean, (d,).
        scatter: sum over rows of (x - mean)(x - mean)^T, (d, d).
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, features: ArrayLike) -> 'Moments':
        """Of a first batch (n, d), n >= 1.

        Raises:
            ValueError: for what are no finite features.
        """
        (x,) = as_features(features=features)
        mean = x.mean(axis=0)
        centred = x - mean
        return cls(len(x), mean, centred.T @ centred)

    def update(self, features: ArrayLike) -> 'Moments':
        """Of the rows seen and another batch (n, d).

        Raises:
            ValueError: for what are no finite features, or not of this width.
        """
        return self.combine(Moments.of(features))

    def combine(self, other: 'Moments') -> 'Moments':
        """Of two streams together: scatter = S_a + S_b + (N_a N_b / N) delta delta^T, delta = mean_b - mean_a.

        Raises:
            ValueError: for streams of different widths.

        Source: Chan, Golub and LeVeque 1983, https://doi.org/10.1080/00031305.1983.10483115.
        """
        _check_widths(self, other)
        count, delta = self.count + other.count, other.mean - self.mean
        between = self.count * other.count / count * np.outer(delta, delta)
        return Moments(count, self.mean + other.count / count * delta, self.scatter + other.scatter + between)


def frechet_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Squared Wasserstein-2 distance between the Gaussians with the means and covariances of two samples.

    FD = |m_x - m_y|^2 + tr(C_x) + tr(C_y) - 2 tr((C_x C_y)^(1/2)), covariances with N - 1. With any roots C = R R^T
    the last trace is the sum of the singular values of R_x^T R_y. Where there are fewer samples than features the
    centred samples are the root, so that no singular matrix has its root taken.

    Args:
        x, y: features (n, d) and (m, d), n, m >= 2.

    Returns:
        In squared units of the features, >= 0; 0 for equal moments. It has a bias upwards that falls as 1 / n and is
        large for n below d: compare only at the same n and m.

    Raises:
        ValueError: for features that cannot be compared, and for less than two of a set.

    Source: Heusel et al. 2017, https://arxiv.org/abs/1706.08500, equation 6; Dowson and Landau 1982.
    """
    x, y = as_features(2, x=x, y=y)
    return _distance(x.mean(axis=0), _root_of_samples(x), y.mean(axis=0), _root_of_samples(y))


def frechet_of_moments(a: Moments, b: Moments) -> float:
    """The Fréchet distance of two streams, as ``frechet_distance`` of all their rows.

    Args:
        a, b: moments of at least two rows each.

    Returns:
        As ``frechet_distance``, to about 1e-7 of the traces where there are fewer rows than features.

    Raises:
        ValueError: for streams of different widths or of less than two rows.
    """
    _check_widths(a, b)
    for name, moments in (('a', a), ('b', b)):
        if moments.count < 2:
            raise ValueError(f'{name} has {moments.count} row, and a covariance needs at least 2')
    return _distance(a.mean, _root_of_scatter(a), b.mean, _root_of_scatter(b))


def _distance(mean_x: np.ndarray, root_x: np.ndarray, mean_y: np.ndarray, root_y: np.ndarray) -> float:
    """Of roots (d, r) of the covariances."""
    shared = np.linalg.svd(root_x.T @ root_y, compute_uv=False).sum()
    spread = np.square(root_x).sum() + np.square(root_y).sum() - 2 * shared
    return float(np.square(mean_x - mean_y).sum() + max(spread, 0.0))


def _root_of_samples(x: np.ndarray) -> np.ndarray:
    centred = (x - x.mean(axis=0)) / np.sqrt(len(x) - 1)
    return centred.T if len(x) <= x.shape[1] else np.asarray(np.linalg.qr(centred, mode='r')).T


def _root_of_scatter(moments: Moments) -> np.ndarray:
    values, vectors = np.linalg.eigh(moments.scatter / (moments.count - 1))
    return vectors * np.sqrt(np.maximum(values, 0))


def _check_widths(a: Moments, b: Moments) -> None:
    if a.mean.shape != b.mean.shape:
        raise ValueError(f'features of different widths, {len(a.mean)} and {len(b.mean)}: take both of one network')
