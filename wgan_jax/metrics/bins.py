"""The number of statistically different bins: where in the data's own clusters there are too many or too few samples.

>>> real, half = np.array([[0.0], [0.1], [9.0], [9.1]] * 50), np.array([[0.0], [0.1]] * 100)
>>> different_bins(real, half, bins=2).different, different_bins(real, real, bins=2).different
(2, 0)
"""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, rel_entr

from wgan_jax.metrics.checks import as_features
from wgan_jax.ranges import COUNT, SEED
from wgan_jax.types import ArrayLike

_MOST_ROUNDS = 100


class DifferentBins(NamedTuple):
    """How samples fill the clusters of the data.

    Attributes:
        different: bins whose share of the samples differs significantly from their share of the data (NDB).
        share: of the bins, NDB / K; about ``significance`` where the samples are like the data.
        js_divergence: between the two histograms, in nats; 0 to log 2.
        real_counts, fake_counts: by bin, (K,).
    """

    different: int
    share: float
    js_divergence: float
    real_counts: np.ndarray
    fake_counts: np.ndarray


def different_bins(
    real: ArrayLike,
    fake: ArrayLike,
    *,
    bins: int = 100,
    significance: float = 0.05,
    seed: int = 0,
    centres: np.ndarray | None = None,
) -> DifferentBins:
    """Bins, the k-means clusters of the data, in which the share of the samples is significantly another one.

    With shares p and q of n and m, pooled P = (n p + m q) / (n + m), a bin differs if
    |p - q| / sqrt(P (1 - P) (1 / n + 1 / m)) exceeds the two-sided normal quantile of ``significance``.

    Args:
        real, fake: features (n, d) and (m, d); in the paper the pixels themselves.
        bins: clusters K, at most n; 100 in the paper, with hundreds of images in each.
        significance: of each test, between 0 and 1.
        seed: of the clustering.
        centres: what ``k_means(real, …)`` gave where it is known already, (K, d), in place of ``bins`` and ``seed``.

    Returns:
        DifferentBins. As the bins are made for ``real``, new data differ in a few more than chance says where bins hold
        few of them: compare with held-out data.

    Raises:
        ValueError: for features that cannot be compared, fewer rows than bins, and numbers that cannot be.

    Source: Richardson and Weiss 2018, https://arxiv.org/abs/1805.12462, section 3.
    """
    if not 0 < significance < 1:
        raise ValueError(f'significance={significance} must lie between 0 and 1')
    real, fake = as_features(real=real, fake=fake)
    centres = k_means(real, bins, seed=seed) if centres is None else centres
    bins = len(centres)
    real_counts, fake_counts = (np.bincount(_bin(points, centres), minlength=bins) for points in (real, fake))
    p, q = real_counts / len(real), fake_counts / len(fake)
    pooled = (real_counts + fake_counts) / (len(real) + len(fake))
    error = np.sqrt(pooled * (1 - pooled) * (1 / len(real) + 1 / len(fake)))
    different = int((np.abs(p - q) > ndtri(1 - significance / 2) * error).sum())
    middle = (p + q) / 2
    divergence = float((rel_entr(p, middle) + rel_entr(q, middle)).sum() / 2)
    return DifferentBins(different, different / bins, divergence, real_counts, fake_counts)


def k_means(points: ArrayLike, k: int, *, seed: int = 0) -> np.ndarray:
    """Centres of k clusters by Lloyd's algorithm, started by k-means++.

    Args:
        points: (n, d).
        k: clusters, at most n.
        seed: of the start; the same points, k and seed give the same centres.

    Returns:
        Centres (k, d), each the mean of the points that are nearest to it, after at most 100 rounds; where there are
        fewer different points than k some centres are equal, and only one of these has points.

    Raises:
        ValueError: for what are no finite features, and fewer than k.

    Source: Arthur and Vassilvitskii 2007.
    """
    COUNT.check('bins', k)
    SEED.check('seed', seed)
    (points,) = as_features(points=points)
    if len(points) < k:
        raise ValueError(f'bins={k} clusters cannot be made of {len(points)} points')
    draw = np.random.default_rng(seed)
    centres = points[[draw.integers(len(points))]]
    squares = np.square(points - centres[0]).sum(axis=1)
    while len(centres) < k:  # each new one is drawn by its squared distance from those there are
        total = squares.sum()
        chosen = draw.choice(len(points), p=squares / total if total > 0 else None)
        centres = np.concatenate([centres, points[[chosen]]])
        squares = np.minimum(squares, np.square(points - points[chosen]).sum(axis=1))
    labels = _bin(points, centres)
    for _ in range(_MOST_ROUNDS):
        order = np.argsort(labels, kind='stable')
        filled, starts = np.unique(labels[order], return_index=True)
        sums = np.add.reduceat(points[order], starts)
        centres[filled] = sums / np.diff(starts, append=len(points))[:, None]
        before, labels = labels, _bin(points, centres)
        if (labels == before).all():
            break
    return centres


def _bin(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The nearest centre of each point, which |point|^2 does not change."""
    return (np.square(centres).sum(axis=1) - 2 * points @ centres.T).argmin(axis=1)
