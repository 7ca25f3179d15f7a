"""Different bins: the test of two proportions by contingency tables, and k-means at its fixed point."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import chi2_contingency

from wgan_jax.metrics import different_bins
from wgan_jax.metrics.bins import k_means

RNG = np.random.default_rng(0)
CENTRES = 20 * np.stack(np.meshgrid(np.arange(4), np.arange(5)), axis=-1).reshape(-1, 2)


def mixture(counts):
    return np.repeat(CENTRES, counts, axis=0) + RNG.normal(size=(sum(counts), 2))


def test_bins_differ_where_a_contingency_table_says_so():
    # The z-test of two proportions is the chi-squared test of a 2x2 table without correction. Fails for a one-sided
    # quantile, an error that is not pooled, and for counts in place of shares.
    real_counts, fake_counts = RNG.integers(20, 60, 20), RNG.integers(5, 30, 20)
    fake_counts[3] = 0
    real, fake = mixture(real_counts), mixture(fake_counts)
    found = different_bins(real, fake, bins=20)
    n, m = len(real), len(fake)
    real_counts, fake_counts = (
        np.bincount(cdist(points, k_means(real, 20)).argmin(axis=1), minlength=20) for points in (real, fake)
    )
    assert (found.real_counts == real_counts).all() and (found.fake_counts == fake_counts).all()
    p_values = [
        chi2_contingency([[a, n - a], [b, m - b]], correction=False).pvalue
        for a, b in zip(real_counts, fake_counts, strict=True)
    ]
    assert found.different == (np.array(p_values) < 0.05).sum() > 2
    assert found.share == found.different / 20
    p, q = real_counts / n, fake_counts / m
    with np.errstate(divide='ignore', invalid='ignore'):
        divergence = sum(np.nansum(a * np.log(a / ((p + q) / 2))) for a in (p, q)) / 2
    np.testing.assert_allclose(found.js_divergence, divergence)


def test_samples_of_the_same_mixture_differ_by_chance_only():
    share = np.mean([different_bins(mixture([40] * 20), mixture([40] * 20), bins=20).share for _ in range(5)])
    assert share < 0.05  # equal counts
    assert different_bins(mixture([40] * 20), mixture([800] + [0] * 19), bins=20).different == 20


def test_every_centre_is_the_mean_of_its_points():
    # Fails for rounds that end early, a centre that is lost, and labels of the wrong points.
    points = RNG.normal(size=(300, 3)) + 50
    centres = k_means(points, 12)
    labels = cdist(points, centres).argmin(axis=1)
    assert len(set(labels)) == 12
    for label in range(12):
        np.testing.assert_allclose(centres[label], points[labels == label].mean(0))
    np.testing.assert_array_equal(centres, k_means(points, 12))
    assert (centres != k_means(points, 12, seed=1)).any()


def test_nearly_all_clusters_that_lie_apart_are_found():
    # Fails for starts that are drawn uniformly, which find about 14 of the 20.
    found = [(cdist(CENTRES, k_means(mixture([30] * 20), 20, seed=seed)).min(axis=1) < 1).sum() for seed in range(8)]
    assert np.mean(found) > 17.5


def test_fewer_different_points_than_bins():
    found = different_bins(np.repeat([[0.0], [1.0]], 5, axis=0), np.zeros((10, 1)), bins=4)
    assert sorted(found.real_counts) == [0, 0, 5, 5] and found.different == 2


def test_refusals():
    x = RNG.normal(size=(5, 2))
    with pytest.raises(ValueError, match='bins=6 clusters cannot be made of 5 points'):
        different_bins(x, x, bins=6)
    with pytest.raises(ValueError, match='bins=0 must be at least 1'):
        different_bins(x, x, bins=0)
    with pytest.raises(ValueError, match='significance=0 must lie between 0 and 1'):
        different_bins(x, x, bins=2, significance=0)
    with pytest.raises(ValueError, match='different widths, real 2 and fake 1'):
        different_bins(x, x[:, :1], bins=2)
