"""What a classifier says: closed forms of the Inception score and of the KL divergence between classes."""

import numpy as np
import pytest
from scipy.stats import entropy

from wgan_jax import metrics
from wgan_jax.metrics import class_coverage, inception_score, inception_scores

RNG = np.random.default_rng(0)


def test_the_score_is_the_formula():
    # By exp(H(mean) - mean H), another form of it. Fails for a mean outside of the logarithm or bits for nats.
    p = RNG.dirichlet(np.ones(7), size=50)
    p[0] = np.eye(7)[3]  # 0 log 0
    expected = np.exp(entropy(p.mean(0)) - entropy(p, axis=1).mean())
    np.testing.assert_allclose(inception_score(p), expected, rtol=1e-12)


def test_the_ends_of_its_range():
    assert inception_score(np.repeat(np.eye(10), 5, axis=0)) == pytest.approx(10)
    assert inception_score(np.full((20, 10), 0.1)) == pytest.approx(1)
    assert inception_score(np.repeat(np.eye(10)[:1], 30, axis=0)) == pytest.approx(1)
    assert inception_score(np.array([[0.2, 0.8]], np.float32)) == pytest.approx(1)


def test_splits_are_scored_by_themselves():
    p = RNG.dirichlet(np.ones(4), size=22)
    expected = [inception_score(part) for part in (p[:8], p[8:15], p[15:])]
    np.testing.assert_allclose(inception_scores(p, 3), expected)


@pytest.mark.parametrize(
    'p, said',
    [
        (np.zeros((0, 3)), r'\(0, 3\) must be \(n, K\)'),
        (np.ones(3) / 3, r'\(3,\) must be \(n, K\)'),
        (np.ones((2, 2)), 'sums to 2, not 1'),
        ([[1.5, -0.5]], 'must not be negative'),
        ([[np.nan, 1.0]], 'must be finite'),
    ],
)
def test_what_are_no_probabilities_is_refused(p, said):
    with pytest.raises(ValueError, match=said):
        inception_score(p)


def test_more_splits_than_samples_are_refused():
    with pytest.raises(ValueError, match='3 samples cannot be split into 10 parts'):
        inception_scores(np.eye(3))


def test_classes_are_counted():
    # Fails for KL(p || q), which is infinite here, and for a minlength forgotten.
    found = class_coverage(np.array([0, 0, 0, 2]), 5)
    assert found.captured == 2 and found.counts.tolist() == [3, 0, 1, 0, 0]
    np.testing.assert_allclose(found.kl, np.log(5) - entropy([0.75, 0.25]))
    assert class_coverage(np.arange(1000), 1000).kl == pytest.approx(0, abs=1e-12)


def test_the_data_may_have_shares_of_their_own():
    p = np.array([0.5, 0.25, 0.25])
    assert class_coverage(np.array([0, 0, 1, 2]), 3, p).kl == 0
    np.testing.assert_allclose(class_coverage(np.array([1, 1]), 3, p).kl, np.log(4))
    assert class_coverage(np.array([1]), 2, np.array([1.0, 0.0])).kl == np.inf


def test_of_fair_samples_it_is_half_the_classes_over_the_samples():
    # Wilks: 2 n KL is chi-squared with K - 1 degrees of freedom; its mean over 50 draws has deviation sqrt(2 K / 50).
    draws = [2 * 20_000 * class_coverage(RNG.integers(0, 100, 20_000), 100).kl for _ in range(50)]
    np.testing.assert_allclose(np.mean(draws), 99, atol=4 * np.sqrt(2 * 99 / 50))


@pytest.mark.parametrize(
    'labels, said',
    [
        (np.array([], int), r'labels \(0,\)'),
        (np.array([0.5]), 'of type float64 must be integers'),
        (np.array([0, 3]), 'labels from 0 to 3 are no classes 0 to 2'),
        (np.array([-1]), 'labels from -1 to -1'),
    ],
)
def test_labels_that_cannot_be_are_refused(labels, said):
    with pytest.raises(ValueError, match=said):
        class_coverage(labels, 3)


def test_shares_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r'p \(2,\) must have a share for each class, \(3,\)'):
        class_coverage(np.array([0]), 3, np.array([0.5, 0.5]))
    with pytest.raises(ValueError, match='sums to'):
        class_coverage(np.array([0]), 2, np.array([0.5, 0.6]))


def test_classes_are_missing_where_there_are_half_as_many_or_fewer_and_not_by_chance():
    # Fails for shares that are compared as counts, one class's with another's, or an alarm for a few images.
    assert metrics.missing_classes([500, 500, 500], [1000, 1000, 1000]) == 0  # half as many samples of all
    assert metrics.missing_classes([998, 0, 2], [600, 398, 2]) == 1
    assert metrics.missing_classes([500, 501, 0], [499, 500, 2]) == 0  # of two, none may be there by chance
    assert metrics.missing_classes([900, 60, 40], [500, 250, 250]) == 2
    assert metrics.missing_classes([600, 200, 200], [500, 250, 250]) == 0
    draw = np.random.default_rng(0)
    alarms = [metrics.missing_classes(*draw.multinomial(2000, np.full(100, 0.01), 2)) for _ in range(200)]
    assert sum(alarms) == 0
    half = [
        metrics.missing_classes(draw.multinomial(4000, [0.05, 0.95]), draw.multinomial(4000, [0.1, 0.9]))
        for _ in range(300)
    ]
    assert sum(half) <= 3  # just half: at the level of chance, 0.0005 each


@pytest.mark.parametrize('samples, data', [([1, 2], [1, 2, 3]), ([0, 0], [1, 2]), ([1, 2], [0, 0]), (3, 4)])
def test_counts_of_other_classes_are_refused(samples, data):
    with pytest.raises(ValueError, match='must be of the same classes'):
        metrics.missing_classes(samples, data)
