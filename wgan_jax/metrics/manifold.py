"""What nearest neighbours say of two sets: precision, recall, density, coverage, and who is told from whom.

All five come from the same three sets of distances (real to real, fake to fake, real to fake), so that
``neighbour_scores`` takes about as long as one of them.

>>> real, fake = np.array([[0.0], [1.0], [5.0], [6.0]]), np.array([[0.1], [0.4], [0.9], [0.6]])
>>> precision_recall(real, fake, 1)  # all are realistic, and one of the two places is missing
PrecisionRecall(precision=1.0, recall=0.5)
"""

from typing import NamedTuple

import numpy as np

from wgan_jax.metrics.checks import as_features
from wgan_jax.metrics.neighbours import balls, check_neighbours, pair_squares
from wgan_jax.types import ArrayLike


class PrecisionRecall(NamedTuple):
    """How much of either set lies among the other.

    Attributes:
        precision: share of the fakes that lie among the real.
        recall: share of the real that lie among the fakes.
    """

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """How densely fakes lie around the real, and around how many of them.

    Attributes:
        density: fakes around a real point, 1 for as many as there are real ones.
        coverage: share of the real points that have a fake around them.
    """

    density: float
    coverage: float


class NeighbourScores(NamedTuple):
    """Everything that nearest neighbours say of two sets.

    Attributes:
        precision, recall: see ``precision_recall``.
        density, coverage: see ``density_coverage``.
        accuracy: see ``nearest_neighbour_accuracy``.
        real_accuracy, fake_accuracy: the same of the points of one set. Samples that are copies make both low; samples
            that have collapsed make that of the fakes high and that of the real low.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    accuracy: float
    real_accuracy: float
    fake_accuracy: float


class Own(NamedTuple):
    """What the distances within a set of n points say, which serves beside any number of other sets.

    Attributes:
        points: (n, d), float64.
        nearest: squared distance from each to the nearest other, (n,).
        ball: squared radius of the ball to its k-th nearest other, (n,).
        alike: pairs of points that are no farther apart than was asked.
    """

    points: np.ndarray
    nearest: np.ndarray
    ball: np.ndarray
    alike: int


class _Cross(NamedTuple):
    """Between two sets: how many balls of the real hold a fake, and so on."""

    holders: np.ndarray  # (m,): balls of the real that hold this fake
    covered: np.ndarray  # (n,): whether the ball of this real one holds a fake
    recalled: np.ndarray  # (n,): whether a ball of the fakes holds this real one
    nearest_fake: np.ndarray  # (n,): squared distance
    nearest_real: np.ndarray  # (m,)


def precision_recall(real: ArrayLike, fake: ArrayLike, k: int) -> PrecisionRecall:
    """Improved precision and recall: how much of one set lies within the k-nearest-neighbour balls of the other.

    precision = mean over y in fake of 1[some x in real has |y - x| <= r_k(x)], r_k(x) the distance from x to its k-th
    nearest other point of its set; recall is the same with the sets exchanged.

    Args:
        real, fake: features (n, d) and (m, d).
        k: neighbours, below n and m; 3 to 5 in the papers. Both numbers fall and rise with k, n, m and d: compare only
            at the same ones.

    Returns:
        PrecisionRecall, each in [0, 1]. For two samples of one distribution it is below 1, in high dimension far so.

    Raises:
        ValueError: for features that cannot be compared, and for fewer points than neighbours.

    Source: Kynkäänniemi et al. 2019, https://arxiv.org/abs/1904.06991, equations 1 and 2.
    """
    return PrecisionRecall(*neighbour_scores(real, fake, k)[:2])


def density_coverage(real: ArrayLike, fake: ArrayLike, k: int) -> DensityCoverage:
    """Density and coverage: how often fakes lie in the balls of the real, and how many of these balls hold one.

    density = 1 / (k m) sum over y in fake of #{x in real: |y - x| <= r_k(x)},
    coverage = mean over x in real of 1[some y in fake has |y - x| <= r_k(x)], r_k as in ``precision_recall``. A single
    outlier among the real makes no fake precise here, and no ball around fakes is asked for.

    Args:
        real, fake: features (n, d) and (m, d).
        k: neighbours, below n; 5 in the paper.

    Returns:
        DensityCoverage: density >= 0, about 1 for samples of the same distribution; coverage in [0, 1], then about
        1 - 2^-k for n = m.

    Raises:
        ValueError: for features that cannot be compared, and for fewer points than neighbours.

    Source: Naeem et al. 2020, https://arxiv.org/abs/2002.09797, section 3.
    """
    real, fake = _centred(real, fake)
    check_neighbours('real', len(real), k)
    return _density_coverage(_cross(real, fake, own(real, k).ball, np.full(len(fake), -1.0)), k)


def nearest_neighbour_accuracy(x: ArrayLike, y: ArrayLike) -> float:
    """Accuracy of the nearest-neighbour classifier that tells two sets apart, each point left out in its turn.

    The share of points whose nearest other point is of their own set; one of either set, equally near, counts half.

    Args:
        x, y: features (n, d) and (m, d), at least two each; of equal size, or chance is not 0.5.

    Returns:
        In [0, 1]: 0.5 for samples of one distribution, 1 for sets that lie apart, 0 where each point has its copy in
        the other set. ``neighbour_scores`` gives it by side.

    Raises:
        ValueError: for features that cannot be compared, and for less than two points.

    Source: Lopez-Paz and Oquab 2017, https://arxiv.org/abs/1610.06545; Xu et al. 2018,
        https://arxiv.org/abs/1806.07755, section 2.
    """
    first, second = as_features(2, x=x, y=y)
    return neighbour_scores(first, second, 1).accuracy


def neighbour_scores(real: ArrayLike, fake: ArrayLike, k: int) -> NeighbourScores:
    """Precision, recall, density, coverage and nearest-neighbour accuracy at once.

    Args:
        real, fake: features (n, d) and (m, d).
        k: neighbours, below n and m; the accuracy looks at one.

    Returns:
        NeighbourScores.

    Raises:
        ValueError: for features that cannot be compared, and for fewer points than neighbours.
    """
    real, fake = _centred(real, fake)
    check_neighbours('real', len(real), k)
    check_neighbours('fake', len(fake), k)
    return compare(own(real, k), own(fake, k), k)


def compare(real: Own, fake: Own, k: int) -> NeighbourScores:
    """``neighbour_scores`` of two sets whose own distances are known, which is one pass in place of three.

    Args:
        real, fake: as of ``own`` with the same k, best with the mean of the real taken off both.
        k: neighbours.
    """
    cross = _cross(real.points, fake.points, real.ball, fake.ball)
    real_right = _told_apart(real.points, real.nearest, cross.nearest_fake)
    fake_right = _told_apart(fake.points, fake.nearest, cross.nearest_real)
    return NeighbourScores(
        float((cross.holders > 0).mean()),
        float(cross.recalled.mean()),
        *_density_coverage(cross, k),
        float(np.concatenate([real_right, fake_right]).mean()),
        float(real_right.mean()),
        float(fake_right.mean()),
    )


def _density_coverage(cross: _Cross, k: int) -> DensityCoverage:
    return DensityCoverage(float(cross.holders.mean() / k), float(cross.covered.mean()))


def _centred(real: ArrayLike, fake: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both sets with the mean of the real taken off: what rounding may do goes by the norms."""
    x, y = as_features(real=real, fake=fake)
    centre = x.mean(axis=0)
    return x - centre, y - centre


def own(points: np.ndarray, k: int, near: float = 0.0) -> Own:
    """The distances within a set.

    Args:
        points: (n, d), float64.
        k: neighbours, below n.
        near: distance at which two points count as alike.
    """
    nearest, farthest, alike = np.empty(len(points)), np.empty(len(points)), 0
    for rows, squares in pair_squares(points, points, leave_one_out=True):
        nearest[rows] = squares.min(axis=1)
        alike += int((squares <= near**2).sum())
        squares.partition(k - 1, axis=1)
        farthest[rows] = squares[:, k - 1]
    return Own(points, nearest, balls(points, farthest), alike // 2)  # every pair was seen from both sides


def _cross(real: np.ndarray, fake: np.ndarray, real_balls: np.ndarray, fake_balls: np.ndarray) -> _Cross:
    holders, nearest_real = np.zeros(len(fake), np.int64), np.full(len(fake), np.inf)
    covered, recalled = np.empty(len(real), bool), np.empty(len(real), bool)
    nearest_fake = np.empty(len(real))
    for rows, squares in pair_squares(real, fake):
        held = squares <= real_balls[rows, None]
        holders += held.sum(axis=0)
        covered[rows] = held.any(axis=1)
        recalled[rows] = (squares <= fake_balls).any(axis=1)
        nearest_fake[rows] = squares.min(axis=1)
        np.minimum(nearest_real, squares.min(axis=0), out=nearest_real)
    return _Cross(holders, covered, recalled, nearest_fake, nearest_real)


def _told_apart(points: np.ndarray, own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """1 where the own set is nearer, 0 where the other is, 1/2 where rounding may have decided."""
    return np.where(balls(points, own) < other, 1.0, np.where(balls(points, other) < own, 0.0, 0.5))
