"""Copies: of the training data, and of each other.

>>> train, new = np.arange(20.0)[:, None], np.arange(20.0)[:, None] + 0.3
>>> memorisation(train[:5], train, new).statistic, memorisation(new, train, new).statistic
(1.0, 0.5)
"""

from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv

from wgan_jax.metrics.checks import as_features
from wgan_jax.metrics.duplicates import NEAR
from wgan_jax.metrics.neighbours import Neighbours, check_neighbours, nearest_neighbours, pair_squares
from wgan_jax.ranges import POSITIVE
from wgan_jax.types import ArrayLike

_BESIDE = 2_000  # training images whose distances to the others are taken
_FEWEST = 20  # images held out that say anything
_AMONG = 10  # nearest training images, of which one is singled out


class Memorisation(NamedTuple):
    """Whether samples are nearer to the training data than new data are.

    Attributes:
        statistic: probability that a sample is nearer to the training set than a held-out item is, ties counted half;
            0.5 for samples that know the training set no better, 1 for copies.
        p_value: of a statistic as large by chance, one-sided, if both had the same distances.
        nearest: index of the training item that is nearest to each sample, (n,).
        distances: from each sample to it, (n,); exactly 0 for a copy.
        held_out_distances: from each held-out item to its nearest training item.
    """

    statistic: float
    p_value: float
    nearest: np.ndarray
    distances: np.ndarray
    held_out_distances: np.ndarray


class SupportSize(NamedTuple):
    """How many different things samples show.

    Attributes:
        size: the estimate; inf where no two samples are alike.
        low, high: ends of its 95 % confidence interval.
        duplicates: pairs of samples that are alike.
        threshold: distance below which a pair is alike.
    """

    size: float
    low: float
    high: float
    duplicates: int
    threshold: float


def memorisation(samples: ArrayLike, train: ArrayLike, held_out: ArrayLike | None) -> Memorisation:
    """Tests whether samples are nearer to the training data than held-out data are, by the ranks of the distances.

    With L(z) = min over t in train of |z - t|, the statistic is U / (n m), the Mann-Whitney estimate of
    P(L(sample) < L(held out)) + P(equal) / 2.

    Args:
        samples: features (n, d).
        train: of the items that the generator was trained on.
        held_out: of items of the same kind that it was not; without twins of theirs in ``train``. None: there are none,
            and each training item is one in its turn, beside the others.

    Returns:
        Memorisation. A statistic far below 0.5 says the opposite: the samples are farther from the data than data are.

    Raises:
        ValueError: for features that cannot be compared, and for none.

    Source: Meehan et al. 2020, https://arxiv.org/abs/2004.05675, section 3, without its cells.
    """
    if held_out is None:
        samples, train = as_features(samples=samples, train=train)
        beside = nearest_neighbours(train)
    else:
        samples, train, held_out = as_features(samples=samples, train=train, held_out=held_out)
        beside = nearest_neighbours(held_out, train)
    return _ranked(nearest_neighbours(samples, train), beside.distances[:, 0])


def _ranked(near: Neighbours, held_out_distances: np.ndarray) -> Memorisation:
    distances = near.distances[:, 0]
    return Memorisation(*_smaller(distances, held_out_distances), near.indices[:, 0], distances, held_out_distances)


def _smaller(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Mann and Whitney's estimate of P(ours < theirs) + P(equal) / 2, and its p-value, one-sided."""
    from scipy.stats import mannwhitneyu  # slow to import, and the package is imported to train

    if np.ptp(np.concatenate([ours, theirs])) == 0:
        return 0.5, 1.0  # all equal: the test would divide by 0
    u, p_value = mannwhitneyu(theirs, ours, alternative='greater')
    return float(u / (len(ours) * len(theirs))), float(p_value)


class Chance(NamedTuple):
    """A probability that was estimated by ranks.

    Attributes:
        probability: that one number is smaller than another, ties counted half.
        p_value: of as large a one by chance, one-sided.
    """

    probability: float
    p_value: float


class Copies(NamedTuple):
    """Whether samples are copies of the training set.

    Attributes:
        copies: share of the samples that are near-duplicates of a training image.
        of_data: the same share of new images.
        test: ``memorisation``, against these.
        nearer: the same probability of one sample for each training image that is nearest to any: samples that all have
            one and the same nearest are one finding, and not a thousand.
        singled_out: the probability that the nearest training image is nearer to such a sample, in parts of the mean
            distance to the nearest ten, than it is to a new image. A blurred sample is near to all training images, and
            to none of them more than to others; one that was learnt by heart is near to one.
        held_out: whether new images are images that were held out; else they are training images, each beside the
            others.
    """

    copies: float
    of_data: float
    test: Memorisation
    nearer: Chance
    singled_out: Chance
    held_out: bool


def find_copies(samples: ArrayLike, train: ArrayLike, held_out: np.ndarray | None) -> Copies:
    """Whether samples are nearer to the training set than new images are.

    Near-duplicate means no farther than ``NEAR`` times the median distance from a training image to the nearest other
    one, twins left out; of a large set from the first 2,000.

    Args:
        samples, train, held_out: features (n, d), (m, d) and (h, d), m >= 2. Fewer than 20 held out say nothing, and
            each training image is one in its turn then, as where there are none.

    Raises:
        ValueError: for features that cannot be compared, and fewer than two training images.

    Source: for being singled out Carlini et al. 2023, https://arxiv.org/abs/2301.13188, section 5.1, of the nearest 50.
    """
    samples, train = as_features(samples=samples, train=train)
    check_neighbours('train', len(train), 1)
    beside = min(_AMONG, len(train) - 1)
    # Each is the nearest to itself, or a twin of it is.
    among = nearest_neighbours(train[:_BESIDE], train, k=beside + 1).distances[:, 1:]
    new, near = among, nearest_neighbours(samples, train, k=beside)
    if held_out is not None and len(held_out) >= _FEWEST:
        new = nearest_neighbours(*as_features(held_out=held_out, train=train), k=beside).distances
    test = _ranked(near, new[:, 0])
    _, one_each = np.unique(test.nearest, return_index=True)
    nearer = Chance(*_smaller(test.distances[one_each], new[:, 0]))
    singled_out = Chance(*_smaller(_ratios(near.distances[one_each]), _ratios(new)))
    limit = NEAR * typical_distance(among[:, 0])
    copies, of_data = (float((of <= limit).mean()) for of in (test.distances, test.held_out_distances))
    return Copies(copies, of_data, test, nearer, singled_out, held_out=new is not among)


def _ratios(distances: np.ndarray) -> np.ndarray:
    """Of the distance to the nearest to the mean of all, (n, k); 0 for a copy of an image and of all its twins."""
    first, mean = distances[:, 0], distances.mean(axis=1)
    return np.divide(first, mean, out=np.zeros_like(first), where=mean > 0)


def typical_distance(distances: np.ndarray) -> float:
    """The median distance to the nearest other item, twins left out; 0 where there are only twins."""
    apart = distances[distances > 0]
    return float(np.median(apart)) if len(apart) else 0.0


def support_size(real: ArrayLike, fake: ArrayLike, *, near: float = NEAR) -> SupportSize:
    """How many equally frequent things the samples show, by how many pairs of them are alike.

    Of n draws from N things, each as likely, n (n - 1) / (2 N) pairs are expected to be alike, whence
    N = n (n - 1) / (2 C) with C the pairs that are. For unequal ones it estimates 1 / sum of p^2, which is smaller than
    their number: a lower bound. A pair is alike when it is no farther apart than ``near`` times the median distance of
    real items to their nearest other one (twins left out); no human looks.

    Args:
        real: features of the data, (m, d), m >= 2, not all equal: only the threshold is taken from them.
        fake: features of the samples, (n, d), n >= 2. n samples can tell sizes up to about n^2 / 2.
        near: in median distances.

    Returns:
        SupportSize; the interval is Clopper and Pearson's for C of n (n - 1) / 2 pairs. ``support_size(real, real)``
        says how many of the data are alike by the same measure.

    Raises:
        ValueError: for features that cannot be compared, less than two, and data that are all equal.

    Source: after Arora and Zhang 2017, https://arxiv.org/abs/1706.08224, section 2, where a human looks at the pairs,
        and batches grow until half of them have one.
    """
    POSITIVE.check('near', near)
    real, fake = as_features(2, real=real, fake=fake)
    threshold = near * typical_distance(nearest_neighbours(real).distances)
    if not threshold:
        raise ValueError('real items are all equal, or all have twins: no distance between them says what is alike')
    alike = sum(int((squares <= threshold**2).sum()) for _, squares in pair_squares(fake, fake, leave_one_out=True))
    return support_of(alike // 2, len(fake), threshold)  # every pair was seen from both sides


def support_of(alike: int, count: int, threshold: float) -> SupportSize:
    """``support_size`` where the pairs are counted already.

    Args:
        alike: pairs that are.
        count: samples.
        threshold: distance up to which they are.
    """
    pairs = count * (count - 1) // 2
    least = betaincinv(alike, pairs - alike + 1, 0.025) if alike else 0.0
    most = betaincinv(alike + 1, pairs - alike, 0.975) if alike < pairs else 1.0
    size, high = (1 / share if share > 0 else np.inf for share in (alike / pairs, least))
    return SupportSize(float(size), float(1 / most), float(high), alike, threshold)
