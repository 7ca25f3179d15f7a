"""Memorisation against scipy and by chance, ties included; support sizes of uniform draws."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import binomtest, kstest

from wgan_jax.metrics import memorisation, support_size

RNG = np.random.default_rng(0)


def test_the_statistic_counts_pairs_of_distances():
    # Fails for the other direction, ties forgotten, and distances of the wrong set.
    samples, train, held_out = (RNG.integers(0, 6, (size, 2)) for size in (30, 20, 25))
    found = memorisation(samples, train, held_out)
    a, b = (cdist(points, train).min(axis=1) for points in (samples, held_out))
    expected = (a[:, None] < b).mean() + (a[:, None] == b).mean() / 2
    np.testing.assert_allclose(found.statistic, expected)
    np.testing.assert_allclose(found.distances, a)
    np.testing.assert_allclose(found.held_out_distances, b)
    np.testing.assert_allclose(np.linalg.norm(samples - train[found.nearest], axis=1), a)


def test_the_p_value_is_uniform_by_chance():
    # Fails for a two-sided test and for a variance without the samples' ties.
    train = RNG.normal(size=(40, 3))
    values = [memorisation(RNG.normal(size=(25, 3)), train, RNG.normal(size=(30, 3))).p_value for _ in range(200)]
    assert kstest(values, 'uniform').pvalue > 0.01


def test_copies_are_called_so_and_strangers_are_not():
    train, held_out = RNG.normal(size=(2, 100, 8)).astype(np.float32)
    copied = memorisation(train[::2], train, held_out)
    assert copied.statistic == 1 and copied.p_value < 1e-10
    assert (copied.distances == 0).all() and copied.nearest.tolist() == list(range(0, 100, 2))
    some = memorisation(np.concatenate([train[:40], RNG.normal(size=(60, 8))]), train, held_out)
    assert some.statistic > 0.5 and some.p_value < 0.05
    far = memorisation(RNG.normal(size=(50, 8)) + 5, train, held_out)
    assert far.statistic < 0.01 and far.p_value > 0.999
    near = memorisation(train[:50] + 0.01 * RNG.normal(size=(50, 8)), train, held_out)
    assert near.statistic == 1


def test_distances_that_are_all_equal_say_nothing():
    train = np.zeros((3, 2))
    assert memorisation(train, train, train)[:2] == (0.5, 1.0)
    assert memorisation(train[:1] + 1, train, train[:1] - 1)[:2] == (0.5, 1.0)


@pytest.mark.parametrize('size, draws', [(50, 100), (2000, 600)])
def test_uniform_draws_show_their_number(size, draws):
    # The variance of the pairs that are alike is that of independent ones, for uniform draws: by chance one of the
    # estimates is farther off than this once in 15,000. Fails for ordered pairs, and n^2 in place of n (n - 1).
    things = RNG.normal(size=(size, 24)).astype(np.float32)
    fake = things[RNG.integers(0, size, draws)]
    found = support_size(things, fake)
    pairs = draws * (draws - 1) / 2
    assert abs(pairs / found.size - pairs / size) < 4 * np.sqrt(pairs / size)
    assert found.low < found.size < found.high
    noisy = support_size(things, fake + 0.01 * RNG.normal(size=fake.shape))
    assert noisy == found
    interval = binomtest(found.duplicates, int(pairs)).proportion_ci(0.95, 'exact')
    np.testing.assert_allclose([found.low, found.high], [1 / interval.high, 1 / interval.low], rtol=1e-6)


def test_the_ends_of_the_support():
    things = RNG.normal(size=(30, 24))
    none = support_size(things, things)
    assert none.size == none.high == np.inf and none.duplicates == 0 and 100 < none.low < 30 * 29 / 2
    one = support_size(things, np.repeat(things[:1], 10, axis=0))
    assert one.size == one.low == 1 and one.duplicates == 45


def test_twins_of_the_data_do_not_set_the_threshold():
    things = RNG.normal(size=(20, 24))
    twice = np.concatenate([things, things[:15]])
    apart = support_size(things, things).threshold
    assert 0.8 * apart < support_size(twice, things).threshold < 1.3 * apart


def test_refusals():
    x = RNG.normal(size=(5, 2))
    with pytest.raises(ValueError, match='held_out has 0 rows, and at least 1'):
        memorisation(x, x, x[:0])
    with pytest.raises(ValueError, match='different widths, samples 2 and train 1 and held_out 2'):
        memorisation(x, x[:, :1], x)
    with pytest.raises(ValueError, match='fake has 1 rows, and at least 2'):
        support_size(x, x[:1])
    with pytest.raises(ValueError, match='real items are all equal'):
        support_size(np.ones((4, 2)), x)
    with pytest.raises(ValueError, match='near=0 must be a positive number'):
        support_size(x, x, near=0)
