"""Kernel distances: by loops, closed forms between Gaussians, no bias, and the standard error."""

import numpy as np
import pytest

from wgan_jax.metrics import kernel_distance, kernel_distance_and_error, maximum_mean_discrepancy, neighbours

RNG = np.random.default_rng(0)


def cubic(a, b):
    return (a @ b / len(a) + 1) ** 3


def by_loops(x, y, kernel, *, cross_diagonal):
    n, m = len(x), len(y)
    xx = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    crossed = [kernel(x[i], y[j]) for i in range(n) for j in range(m) if cross_diagonal or i != j]
    return xx + yy - 2 * np.mean(crossed)


def test_the_kernel_distance_is_the_sum_over_pairs():
    # Fails for another degree, offset or division by d, and for a diagonal that is kept.
    x, y = RNG.normal(size=(12, 5)), RNG.normal(size=(12, 5)) + 0.5
    np.testing.assert_allclose(kernel_distance(x, y), by_loops(x, y, cubic, cross_diagonal=False), rtol=1e-12)


@pytest.mark.parametrize('n, d', [(50, 4), (20, 100), (2, 3), (1500, 8)])
def test_a_set_is_at_0_from_itself(n, d):
    # Fails with the full cross term, and for subsets that are drawn for each set by itself.
    x = RNG.normal(size=(n, d)).astype(np.float32) + 2
    assert abs(kernel_distance(x, x, subsets=3)) < 1e-9


def test_it_has_no_bias_and_knows_its_error():
    # 150 draws: the mean is that of the closed form within 4 standard errors, and the mean variance that is claimed is
    # the one that is seen. For d = 1, x ~ N(0, 1), y ~ N(1, 1): E (ab + 1)^3 =
    # 1 + 3 E a E b + 3 E a^2 E b^2 + E a^3 E b^3 = 4 for xx, 1 + 3 + 12 + 16 = 32 for yy, 1 + 6 = 7 for
    # xy: 22. Fails for the biased estimate, which is larger, and for an error without the 2.
    draws = [
        kernel_distance_and_error(RNG.normal(size=(400, 1)), RNG.normal(size=(300, 1)) + 1, subsets=5, subset_size=200)
        for _ in range(150)
    ]
    distances, errors = np.array(draws).T
    assert abs(distances.mean() - 22) < 4 * distances.std() / np.sqrt(150)
    np.testing.assert_allclose(np.sqrt(np.square(errors).mean()), distances.std(), rtol=0.25)


def test_small_and_large_sets_have_the_same_expectation():
    x, y = RNG.normal(size=(3000, 3)), RNG.normal(size=(2000, 3)) + 0.5
    whole = kernel_distance(x, y, subsets=1, subset_size=2000)
    parts = [kernel_distance(x, y, subsets=30, subset_size=size) for size in (20, 200)]
    np.testing.assert_allclose(parts, whole, rtol=0.35)
    assert kernel_distance(x, y, subsets=2, seed=1) != kernel_distance(x, y, subsets=2, seed=2)
    assert kernel_distance(x, y, subsets=2, seed=1) == kernel_distance(x, y, subsets=2, seed=1)


@pytest.mark.parametrize('together', [2**22, 100])
def test_the_discrepancy_is_the_sum_over_pairs(together, monkeypatch):
    monkeypatch.setattr(neighbours, '_TOGETHER', together)
    x, y = RNG.normal(size=(20, 4)), RNG.normal(size=(15, 4)) + 0.5

    def gaussians(a, b):
        return np.mean([np.exp(-np.square(a - b).sum() / (2 * sigma**2)) for sigma in (0.7, 3.0)])

    found = maximum_mean_discrepancy(x, y, bandwidths=(0.7, 3.0))
    np.testing.assert_allclose(found, by_loops(x, y, gaussians, cross_diagonal=True), atol=1e-6)
    biased = np.mean([[gaussians(a, b) for a in x] for b in x]) + np.mean([[gaussians(a, b) for a in y] for b in y])
    biased -= 2 * np.mean([[gaussians(a, b) for a in x] for b in y])
    found = maximum_mean_discrepancy(x, y, bandwidths=(0.7, 3.0), unbiased=False)
    np.testing.assert_allclose(found, biased, atol=1e-6)


def test_closed_form_between_gaussians():
    # N(0, 1) and N(mu, 1) in d dimensions: 2 (s / (s + 2))^(d / 2) (1 - exp(-|mu|^2 / (2 (s + 2)))), s = sigma^2.
    x, y = RNG.normal(size=(3000, 2)), RNG.normal((1, 0), size=(3000, 2))
    expected = 2 * (4 / 6) * (1 - np.exp(-1 / 12))
    np.testing.assert_allclose(maximum_mean_discrepancy(x, y, bandwidths=[2.0]), expected, rtol=0.1)


def test_the_bandwidth_is_the_median_distance():
    x, y = RNG.normal(size=(40, 3)), RNG.normal(size=(30, 3)) + 1
    points = np.concatenate([x, y])
    apart = np.linalg.norm(points[:, None] - points, axis=-1)
    median = np.median(apart[np.triu_indices(70, 1)])
    np.testing.assert_allclose(
        maximum_mean_discrepancy(x, y), maximum_mean_discrepancy(x, y, bandwidths=[median]), rtol=1e-5
    )


@pytest.mark.parametrize('n', [2, 40])
def test_the_biased_discrepancy_of_identical_sets_is_0(n):
    x = RNG.normal(size=(n, 50)).astype(np.float32)
    assert 0 <= maximum_mean_discrepancy(x, x, unbiased=False) < 1e-6
    assert maximum_mean_discrepancy(np.ones((n, 3)), np.ones((n, 3)), unbiased=False) == 0


def test_refusals():
    x = RNG.normal(size=(5, 2))
    for metric in (kernel_distance, maximum_mean_discrepancy):
        with pytest.raises(ValueError, match='y has 1 rows, and at least 2'):
            metric(x, x[:1])
        with pytest.raises(ValueError, match=r'x\[0, 0\] is inf'):
            metric(np.full((3, 2), np.inf), x)
    for bad in ([], [0.0], [np.nan], 3.0):
        with pytest.raises(ValueError, match='bandwidths='):
            maximum_mean_discrepancy(x, x, bandwidths=bad)
    with pytest.raises(ValueError, match='subset_size=1 must be at least 2'):
        kernel_distance(x, x, subset_size=1)
    with pytest.raises(ValueError, match='subsets=0 must be at least 1'):
        kernel_distance(x, x, subsets=0)
