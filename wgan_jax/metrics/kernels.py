"""Squared maximum mean discrepancies: with the cubic kernel of the kernel distance, and with Gaussian ones.

>>> x = np.random.default_rng(0).normal(size=(300, 4))
>>> abs(kernel_distance(x, x)) < 1e-12, kernel_distance(x, x + 1) > 1
(True, True)
>>> maximum_mean_discrepancy(x, x, unbiased=False) < 1e-6
True
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from wgan_jax.metrics.checks import as_features
from wgan_jax.metrics.neighbours import pair_squares
from wgan_jax.ranges import COUNT, POSITIVE, SEED, whole
from wgan_jax.types import ArrayLike

_FOR_THE_MEDIAN = 1000  # points of each set


class KernelDistance(NamedTuple):
    """A kernel distance and how sure it is.

    Attributes:
        distance: the estimate, see ``kernel_distance``.
        standard_error: of the estimate, over samples as large as these; somewhat too large where the distance is
            nearly 0.
    """

    distance: float
    standard_error: float


def kernel_distance(x: ArrayLike, y: ArrayLike, *, subsets: int = 50, subset_size: int = 1000, seed: int = 0) -> float:
    """Squared maximum mean discrepancy with the kernel (<a, b> / d + 1)^3, unbiased, averaged over random subsets.

    On a subset of s of each, KD = 1 / (s (s - 1)) sum over i != j of
    k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i). As i = j is left out of all four, x against x itself is 0.

    Subsets are drawn without replacement, for sets of one size the same rows of both, which must not be paired (as an
    image and its reconstruction are). Where both sets have ``subset_size`` rows or less and are of one size, the one
    subset is everything.

    Args:
        x, y: features (n, d) and (m, d), n, m >= 2.
        subsets: how many; 50 of 1,000 in the release.
        subset_size: rows of each set in a subset, at least 2; of smaller sets all.
        seed: of the draw.

    Returns:
        The estimate: in expectation the same for every n, m and subset size, so that small sets can be judged; about 0
        for samples of one distribution, and then negative half of the time. KID where the features are Inception's.

    Raises:
        ValueError: for features that cannot be compared, less than two rows, and numbers that cannot be.

    Source: Binkowski et al. 2018, https://arxiv.org/abs/1801.01401, section 4; Gretton et al. 2012, equation 4.
    """
    return kernel_distance_and_error(x, y, subsets=subsets, subset_size=subset_size, seed=seed).distance


def kernel_distance_and_error(
    x: ArrayLike, y: ArrayLike, *, subsets: int = 50, subset_size: int = 1000, seed: int = 0
) -> KernelDistance:
    """``kernel_distance`` with its standard error, 2 std(h_i) / sqrt(min(n, m)).

    h_i is the mean over j of the four kernels above. The spread of the estimates over subsets, which is often given
    instead, says how far subsets differ that share most of their rows.

    Args:
        x, y, subsets, subset_size, seed: as of ``kernel_distance``.

    Returns:
        KernelDistance.

    Raises:
        ValueError: as ``kernel_distance``.
    """
    COUNT.check('subsets', subsets)
    whole(2).check('subset_size', subset_size)
    SEED.check('seed', seed)
    x, y = as_features(2, x=x, y=y)
    fewer = min(len(x), len(y))
    size = min(fewer, subset_size)
    if size == len(x) == len(y):
        subsets = 1
    draw = np.random.default_rng(seed)
    means, variances = [], []
    for _ in range(subsets):
        rows = draw.permutation(len(x))[:size]
        a, b = x[rows], y[rows if len(x) == len(y) else draw.permutation(len(y))[:size]]
        cross = _cubic(a, b)
        kernels = _cubic(a, a)
        kernels += _cubic(b, b)
        kernels -= cross
        kernels -= cross.T
        np.fill_diagonal(kernels, 0)
        h = kernels.sum(axis=1) / (size - 1)
        means.append(h.mean())
        variances.append(h.var())
    return KernelDistance(float(np.mean(means)), float(2 * np.sqrt(np.mean(variances) / fewer)))


def maximum_mean_discrepancy(
    x: ArrayLike, y: ArrayLike, *, bandwidths: Sequence[float] | None = None, unbiased: bool = True
) -> float:
    """Squared maximum mean discrepancy with the mean of Gaussian kernels exp(-|a - b|^2 / (2 sigma^2)).

    MMD^2 = mean k(x, x') + mean k(y, y') - 2 mean k(x, y), the first two over pairs of different points if unbiased and
    over all if not.

    Args:
        x, y: features (n, d) and (m, d), n, m >= 2.
        bandwidths: every sigma, in units of the features; None: one, the median distance between different points of
            both sets, up to 1,000 of each at equal steps: to compare several y with one x, give that of x alone.
        unbiased: whether its expectation is 0 for samples of one distribution (it is negative half of the time then);
            otherwise it is never negative, and about 1 / n + 1 / m too large.

    Returns:
        A number below 2, without unit; for the same bandwidths two distances can be compared.

    Raises:
        ValueError: for features that cannot be compared, less than two rows, and bandwidths that are not positive.

    Source: Gretton et al. 2012, https://jmlr.org/papers/v13/gretton12a.html, lemma 6 and section 8.
    """
    x, y = as_features(2, x=x, y=y)
    sigmas = np.array([median_distance(x, y)] if bandwidths is None else bandwidths, np.float64)
    if sigmas.ndim != 1 or not len(sigmas):
        raise ValueError(f'bandwidths={bandwidths} must be a sequence of positive numbers')
    for sigma in sigmas:
        POSITIVE.check('bandwidths', sigma)

    scale = sigmas.max()  # so that no square of float32 overflows

    def mean_kernel(a, b, *, same=False):
        total = 0.0
        for _, squares in pair_squares(a / scale, b / scale, dtype=np.float32):
            total += sum(np.exp(squares * np.float32(-((scale / s) ** 2) / 2)).sum(dtype=np.float64) for s in sigmas)
        total /= len(sigmas)
        return (total - len(a)) / (len(a) * (len(a) - 1)) if same and unbiased else total / (len(a) * len(b))

    distance = mean_kernel(x, x, same=True) + mean_kernel(y, y, same=True) - 2 * mean_kernel(x, y)
    return float(distance if unbiased else max(distance, 0.0))


def _cubic(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    kernel = a @ b.T
    kernel /= a.shape[1]
    kernel += 1
    return kernel * kernel * kernel


def median_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Between different points of both sets; 1 where all are equal."""
    points = np.concatenate([a[:: -(-len(a) // _FOR_THE_MEDIAN)] for a in (x, y)])
    squares = np.concatenate([block.ravel() for _, block in pair_squares(points, points, leave_one_out=True)])
    squares = squares[np.isfinite(squares) & (squares > 0)]
    return float(np.sqrt(np.median(squares))) if len(squares) else 1.0
