"""Precision, recall, density, coverage and nearest-neighbour accuracy: by loops, at ties, and as published."""

from fractions import Fraction

import numpy as np
import pytest

from wgan_jax.metrics import (
    density_coverage,
    nearest_neighbour_accuracy,
    neighbour_scores,
    neighbours,
    precision_recall,
)

RNG = np.random.default_rng(0)


def by_loops(real, fake, k):
    """The definitions, in integers: no rounding."""

    def square(a, b):
        return sum((int(p) - int(q)) ** 2 for p, q in zip(a, b, strict=True))

    def radii(points):
        return [sorted(square(a, b) for j, b in enumerate(points) if j != i)[k - 1] for i, a in enumerate(points)]

    def within(centres, radius, points):
        return [[square(c, p) <= r for c, r in zip(centres, radius, strict=True)] for p in points]

    def right(own, other):
        total = Fraction(0)
        for i, a in enumerate(own):
            inside = min(square(a, b) for j, b in enumerate(own) if j != i)
            outside = min(square(a, b) for b in other)
            total += Fraction(1, 2) if inside == outside else int(inside < outside)
        return total

    in_real, in_fake = within(real, radii(real), fake), within(fake, radii(fake), real)
    n, m = len(real), len(fake)
    real_right, fake_right = right(real, fake), right(fake, real)
    return (
        sum(map(any, in_real)) / m,
        sum(map(any, in_fake)) / n,
        sum(map(sum, in_real)) / (k * m),
        sum(any(column) for column in zip(*in_real, strict=True)) / n,
        float((real_right + fake_right) / (n + m)),
        float(real_right / n),
        float(fake_right / m),
    )


@pytest.mark.parametrize('k', [1, 4])
@pytest.mark.parametrize('levels, d', [(1000, 6), (4, 3), (2, 2)])
def test_they_are_what_loops_in_integers_say(levels, d, k, monkeypatch):
    # On few levels nearly all is ties: fails for radii that are not enlarged by what rounding may do.
    # Fails for radii of the wrong set, a neighbour too many, the point itself among its neighbours, chunks that
    # overwrite each other.
    monkeypatch.setattr(neighbours, '_TOGETHER', 256)
    real, fake = RNG.integers(0, levels, (40, d)), RNG.integers(0, levels, (30, d)) + levels // 4
    expected = by_loops(real, fake, k)
    offset = np.sqrt(2) * 1e3  # no float64 holds such a sum exactly
    for shift in (0, offset):
        found = neighbour_scores(real + shift, fake + shift, k)
        np.testing.assert_allclose(found, expected, atol=1e-12)
        assert precision_recall(real + shift, fake + shift, k) == found[:2]
        assert density_coverage(real + shift, fake + shift, k) == found[2:4]
    np.testing.assert_allclose(nearest_neighbour_accuracy(real, fake), expected[4], atol=1e-12)


def test_copies_and_sets_apart_are_the_extremes():
    x = RNG.normal(size=(60, 20)).astype(np.float32)
    same = neighbour_scores(x, x, 3)
    assert same.precision == same.recall == same.coverage == 1 and same.accuracy == 0
    np.testing.assert_allclose(same.density, 4 / 3)  # in each ball its three neighbours and the centre's copy
    apart = neighbour_scores(x, x + 100, 3)
    assert apart == (0, 0, 0, 0, 1, 1, 1)
    collapsed = neighbour_scores(x, np.repeat(x[:1], 60, axis=0), 3)
    assert collapsed.precision == 1 and collapsed.recall == 1 / 60 and collapsed.fake_accuracy == 0.5


def test_a_set_apart_may_have_any_size():
    x = RNG.normal(size=(30, 5))
    assert density_coverage(x, x[:1], 5).coverage >= 1 / 30  # no neighbours of fakes are asked for


@pytest.mark.parametrize('k', [1, 5])
def test_coverage_and_density_of_one_distribution(k):
    # E density = 1, E coverage = 1 - C(2n - 1 - k, n) / C(2n - 1, n), exactly, by exchangeability, in any dimension.
    # Fails for k + 1 instead of k.
    n = 300
    draws = [density_coverage(RNG.normal(size=(n, 2)), RNG.normal(size=(n, 2)), k) for _ in range(30)]
    missed = np.prod([(n - 1 - i) / (2 * n - 1 - i) for i in range(k)])
    np.testing.assert_allclose(np.mean(draws, axis=0), [1, 1 - missed], atol=0.06 if k == 1 else 0.03)


def test_refusals():
    x = RNG.normal(size=(5, 2))
    for metric in (precision_recall, density_coverage, neighbour_scores):
        with pytest.raises(ValueError, match='real has 5 rows: k=5 neighbours of each need at least 6'):
            metric(x, RNG.normal(size=(9, 2)), 5)
        with pytest.raises(ValueError, match='different widths, real 2 and fake 3'):
            metric(x, RNG.normal(size=(9, 3)), 2)
    with pytest.raises(ValueError, match='fake has 5 rows: k=5'):
        precision_recall(RNG.normal(size=(9, 2)), x, 5)
    with pytest.raises(ValueError, match='y has 1 rows, and at least 2'):
        nearest_neighbour_accuracy(x, x[:1])


@pytest.mark.slow
def test_published_values():
    # Naeem et al.'s README: N(0, I) in 1,000 dimensions, 10,000 against 10,000, k = 5, one draw of a seed that is not
    # said. Over six draws here the standard deviations are 0.015, 0.005, 0.09 and 0.008: whose points happen to lie
    # farther out has less around it, so that what precision loses recall gains. Fails for a point among its own
    # neighbours (the sum of both becomes 0.8) and for distances that float32 has rounded.
    draws = np.random.default_rng(1)
    real, fake = draws.normal(size=(10_000, 1000)), draws.normal(size=(10_000, 1000))
    found = neighbour_scores(real, fake, 5)
    np.testing.assert_allclose(found[:4], [0.4772, 0.4705, 1.0555, 0.9735], atol=0.12)
    np.testing.assert_allclose(found[:2], [0.4772, 0.4705], atol=0.03)
    np.testing.assert_allclose(found.coverage, 0.9735, atol=0.02)
    np.testing.assert_allclose(found.precision + found.recall, 0.4772 + 0.4705, atol=0.03)
