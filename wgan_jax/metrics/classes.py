"""What a classifier says of samples: how sure and how varied it is, and which classes there are.

>>> inception_score(np.eye(4)), inception_score(np.full((8, 4), 0.25))
(4.0, 1.0)
>>> class_coverage(np.array([0, 0, 1, 1]), 4)._replace(counts=None)  # log 2
ClassCoverage(captured=2, kl=0.6931471805599453, counts=None)
"""

from typing import NamedTuple

import numpy as np
from scipy.special import rel_entr

from wgan_jax.distances.checks import check_probabilities
from wgan_jax.ranges import COUNT
from wgan_jax.types import ArrayLike

_PART, _SURE = 0.5, 1e-3  # of the data's share; probability of an alarm by chance


class ClassCoverage(NamedTuple):
    """Which classes samples are of.

    Attributes:
        captured: classes with at least one sample.
        kl: KL(share of the samples by class || p) in nats; inf for samples of a class with p = 0.
        counts: samples by class, (K,).
    """

    captured: int
    kl: float
    counts: np.ndarray


def inception_score(probabilities: ArrayLike) -> float:
    """exp(E_x KL(p(y | x) || p(y))), p(y) the mean over the samples: how many classes there are to be told apart.

    Args:
        probabilities: of each class for each sample, (n, K), by any classifier; only with Inception-v3 is it what is
            published under this name.

    Returns:
        Between 1 (all samples get the same answer) and K (sure, and as many of each class). It knows no real samples:
        one perfect sample of each class, again and again, has the best score.

    Raises:
        ValueError: for what are no probabilities, or none.

    Source: Salimans et al. 2016, https://arxiv.org/abs/1606.03498, section 4.
    """
    return float(inception_scores(probabilities, 1)[0])


def inception_scores(probabilities: ArrayLike, splits: int = 10) -> np.ndarray:
    """The Inception score of each of so many parts of the samples, of equal size as far as possible.

    Args:
        probabilities: (n, K).
        splits: parts, at most n; 10 in the paper, which gives mean and standard deviation over them.

    Returns:
        (splits,).

    Raises:
        ValueError: for what are no probabilities, and fewer samples than parts.
    """
    COUNT.check('splits', splits)
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 2 or 0 in p.shape:
        raise ValueError(f'probabilities {p.shape} must be (n, K), a row for each sample')
    if len(p) < splits:
        raise ValueError(f'{len(p)} samples cannot be split into {splits} parts')
    check_probabilities('probabilities', p)
    return np.array(
        [np.exp(rel_entr(part, part.mean(axis=0)).sum(axis=1).mean()) for part in np.array_split(p, splits)]
    )


def missing_classes(samples: ArrayLike, data: ArrayLike) -> int:
    """How many classes samples are of less than half as often as data are, and not by chance.

    Were the samples of class k just half as frequent as the data, n_k would be binomial, of n_k + m_k draws with the
    probability n / (n + 2 m), n and m the sums. A class counts where so few, or fewer, have a probability below 0.001
    over the number of classes: of a thousand sets without fault one at most gets an alarm.

    Args:
        samples: counts n_k by class, (K,).
        data: counts m_k by class, (K,).

    Returns:
        Between 0 and K. Of K classes of equal size some 20 images of each are needed to see that one is missing
        altogether, and more where there are hundreds of classes.

    Raises:
        ValueError: for counts that are not of as many classes, or all 0.
    """
    from scipy.stats import binom  # slow to import

    n, m = (np.asarray(counts, np.int64) for counts in (samples, data))
    if n.shape != m.shape or n.ndim != 1 or min(n.sum(initial=0), m.sum(initial=0)) < 1:
        raise ValueError(f'counts {n.shape} and {m.shape} must be of the same classes, (K,), and not all 0')
    share = n.sum() / (n.sum() + m.sum() / _PART)
    return int((binom.cdf(n, n + m, share) < _SURE / len(n)).sum())


def class_coverage(labels: ArrayLike, num_classes: int, p: ArrayLike | None = None) -> ClassCoverage:
    """Classes captured and the KL divergence of the samples' classes from those of the data.

    KL(q || p) = sum_k q_k log(q_k / p_k), q_k the share of the samples that a classifier puts into class k. On stacked
    MNIST (1,000 classes, 26,000 samples) these are the published 'modes' and 'reverse KL'.

    Args:
        labels: the classes of the samples, (n,), integers from 0 to num_classes - 1.
        num_classes: K.
        p: the data's share of each class, (K,); None for uniform.

    Returns:
        ClassCoverage; of n samples that are drawn as the data are, the KL is about (K - 1) / (2 n).

    Raises:
        ValueError: for no labels, others than these, and what are no K probabilities.

    Source: Metz et al. 2017, https://arxiv.org/abs/1611.02163, section 3.3.1; Lin et al. 2018 (PacGAN).
    """
    COUNT.check('num_classes', num_classes)
    labels = np.asarray(labels)
    if labels.ndim != 1 or not len(labels) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f'labels {labels.shape} of type {labels.dtype} must be integers (n,), one for each sample')
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(f'labels from {labels.min()} to {labels.max()} are no classes 0 to {num_classes - 1}')
    shares = np.full(num_classes, 1 / num_classes) if p is None else np.asarray(p, np.float64)
    if shares.shape != (num_classes,):
        raise ValueError(f'p {shares.shape} must have a share for each class, ({num_classes},)')
    check_probabilities('p', shares)
    counts = np.bincount(labels, minlength=num_classes)
    return ClassCoverage(int((counts > 0).sum()), float(rel_entr(counts / len(labels), shares).sum()), counts)
