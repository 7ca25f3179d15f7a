"""The Fréchet distance: closed forms, scipy's matrix roots, and fewer samples than features."""

import numpy as np
import pytest
import scipy.linalg

from wgan_jax.metrics import Moments, frechet_distance, frechet_of_moments

RNG = np.random.default_rng(0)


def by_eigenvalues(x, y):
    """tr((C_x C_y)^(1/2)) as the sum of the roots of the eigenvalues of the product."""
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    roots = np.sqrt(np.maximum(scipy.linalg.eigvals(a @ b).real, 0)).sum()
    return np.square(x.mean(0) - y.mean(0)).sum() + np.trace(a) + np.trace(b) - 2 * roots


@pytest.mark.parametrize('n, m', [(200, 150), (20, 150), (150, 20), (20, 13), (2, 3), (30, 31)])
def test_it_is_the_formula(n, m):
    # d = 30: more and fewer samples than features, of one set and of both. Fails for covariances with N, for a root of
    # the wrong set, for a rank-deficient one that is left out.
    x, y = RNG.normal(size=(n, 30)), RNG.normal(size=(m, 30)) @ np.diag(np.linspace(0.1, 2, 30)) + 0.5
    expected = by_eigenvalues(x, y)
    np.testing.assert_allclose(frechet_distance(x, y), expected, rtol=1e-6)
    np.testing.assert_allclose(frechet_of_moments(Moments.of(x), Moments.of(y)), expected, rtol=1e-6)


def test_scipy_takes_the_same_root():
    x, y = RNG.normal(size=(100, 12)), RNG.gamma(2, size=(90, 12))
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real)
    np.testing.assert_allclose(frechet_distance(x, y), expected, rtol=1e-10)


def test_closed_form_of_scaled_sets():
    # y = s x + v: |m|^2 + (1 - s)^2 tr C. Fails without the root.
    x = RNG.normal(size=(50, 8))
    shift = (0.5 * x.mean(0) + 1) - x.mean(0)
    expected = np.square(shift).sum() + 0.25 * np.trace(np.cov(x, rowvar=False))
    np.testing.assert_allclose(frechet_distance(x, 0.5 * x + 1), expected, rtol=1e-12)


@pytest.mark.parametrize('n, d, scale', [(200, 20, 1), (20, 150, 1e3), (2, 60, 1), (50, 50, 1e-3), (51, 50, 1e3)])
def test_identical_sets_are_at_0(n, d, scale):
    # Fails for roots of the eigenvalues of the product, whose rounding is the root of float64's, and for a matrix root
    # of a singular matrix. In another order, too.
    x = scale * (RNG.normal(size=(n, d)) + 3).astype(np.float32)
    for distance in (frechet_distance(x, x), frechet_distance(x, x[::-1])):
        assert 0 <= distance < 1e-6 * max(1, scale**2)
    assert 0 <= frechet_of_moments(Moments.of(x), Moments.of(x)) < 1e-6 * max(1, scale**2)


def test_constant_sets_have_no_spread():
    assert frechet_distance(np.zeros((4, 3)), np.full((2, 3), 2.0)) == 12


def test_any_cut_of_a_stream_has_the_same_moments():
    # Fails for sums of squares less N mean^2 (all digits are lost at this offset), and for a forgotten between-term.
    x = RNG.normal(size=(100, 5)) + np.array([0, 1, 1e6, -1e7, 1e8])
    whole = Moments.of(x)
    for cuts in ([1, 2, 50], [99], [30, 60, 90]):
        first, *rest = np.split(x, cuts)
        moments = Moments.of(first)
        for batch in rest:
            moments = moments.update(batch)
        assert moments.count == 100
        np.testing.assert_allclose(moments.mean, x.mean(0), rtol=1e-14)
        np.testing.assert_allclose(moments.scatter / 99, np.cov(x, rowvar=False), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(moments.scatter, whole.scatter, rtol=1e-6, atol=1e-5)
    halves = Moments.of(x[:40]).combine(Moments.of(x[40:]))
    np.testing.assert_allclose(halves.scatter, whole.scatter, rtol=1e-6, atol=1e-5)


def test_refusals():
    with pytest.raises(ValueError, match='x has 1 rows, and at least 2 are needed'):
        frechet_distance(np.zeros((1, 3)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match='different widths, x 3 and y 2'):
        frechet_distance(np.zeros((4, 3)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r'y\[1, 0\] is nan'):
        frechet_distance(np.zeros((2, 1)), [[0.0], [np.nan]])
    with pytest.raises(ValueError, match='different widths, 3 and 2'):
        Moments.of(np.zeros((4, 3))).update(np.zeros((4, 2)))
    with pytest.raises(ValueError, match='b has 1 row, and a covariance needs at least 2'):
        frechet_of_moments(Moments.of(np.zeros((4, 3))), Moments.of(np.zeros((1, 3))))
    with pytest.raises(ValueError, match='features has 0 rows'):
        Moments.of(np.zeros((0, 3)))
