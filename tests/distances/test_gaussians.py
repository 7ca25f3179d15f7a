"""Gaussians against the published digits, an independent integration, finite differences, and their singular points."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import erf

from wgan_jax.distances import (
    gaussian_js,
    gaussian_js_log_gap,
    gaussian_kl,
    gaussian_tv,
    gaussian_tv_log_gap,
    gaussian_wasserstein,
    minimax_gradient,
    minimax_log_gradient,
    non_saturating_gradient,
    optimal_critic,
    optimal_logit,
    optimal_value,
    wasserstein_gradient,
)

DELTA = np.array([0.0, 1, 5, 10, 25, 100])
SMOOTH = [gaussian_kl, gaussian_tv, gaussian_js, gaussian_tv_log_gap, gaussian_js_log_gap, gaussian_wasserstein]
# (mean0, std0, mean1, std1): close, far, either one narrower, one inside the other, nearly equal widths.
CASES = np.array([
    [0, 1, 1, 2], [0.3, 2, -1, 0.5], [0, 1, 8, 1.5], [1, 0.1, 1, 3], [-2, 1, 2, 1], [0, 1, 0.5, 1.0001], [5, 4, 1, 1],
])  # fmt: skip


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def test_table_of_shifted_unit_gaussians():
    js = np.array([0, 0.1114214822, 0.6759425774, 0.6931463174, np.log(2), np.log(2)])
    tv = np.array([0, 0.3829249225, 0.9875806693, 0.9999994267, 1, 1])
    np.testing.assert_allclose(gaussian_js(0, 1, DELTA, 1), js, atol=5e-11)
    assert (gaussian_js(0, 1, DELTA, 1) <= np.log(2)).all()
    np.testing.assert_allclose(gaussian_tv(0, 1, DELTA, 1), tv, atol=5e-11)
    np.testing.assert_allclose(gaussian_kl(0, 1, DELTA, 1), DELTA**2 / 2, rtol=1e-14)
    for p in (1, 2):
        np.testing.assert_allclose(gaussian_wasserstein(0, 1, DELTA, 1, p=p), DELTA, rtol=1e-14)


def test_logarithms_where_the_gaps_underflow():
    np.testing.assert_allclose(gaussian_js_log_gap(0, 1, DELTA[-2:], 1), [-80.4389177, -1253.687124], rtol=5e-10)
    # 1 - erf(t) = erfc(t), whose logarithm scipy has.
    expected = np.log(2) + stats.norm.logcdf(-DELTA / 2)
    np.testing.assert_allclose(gaussian_tv_log_gap(0, 1, DELTA, 1), expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(np.exp(gaussian_tv_log_gap(0, 1, 25, 1)), 7.465e-36, rtol=1e-4)
    np.testing.assert_allclose(gaussian_tv_log_gap(0, 1, 100, 1), np.log(2.16) - 545 * np.log(10), rtol=2e-6)
    near = DELTA[:3]
    np.testing.assert_allclose(
        np.exp(gaussian_js_log_gap(0, 1, near, 1)), np.log(2) - gaussian_js(0, 1, near, 1), rtol=1e-12
    )


def test_table_of_slopes():
    np.testing.assert_allclose(
        minimax_gradient(0, 1, DELTA, 1)[:5], [0, 0.3979728672, 0.04737961718, 4.464100e-6, 1.463616e-34], rtol=5e-7
    )
    np.testing.assert_allclose(minimax_log_gradient(0, 1, DELTA[-2:], 1), [-77.9069834, -1249.774702], rtol=5e-10)
    np.testing.assert_allclose(
        non_saturating_gradient(0, 1, DELTA, 1),
        [0, 0.6020271328, 4.952620383, 9.999995536, 25, 100],
        rtol=3e-10,
        atol=1e-15,
    )
    np.testing.assert_array_equal(wasserstein_gradient(0, 1, DELTA, 1), np.sign(DELTA))
    # The logarithm is that of 2 dJS/d delta, and the two slopes add up to dKL/d delta.
    slopes = jax.vmap(jax.grad(gaussian_js, 2), (None, None, 0, None))(0.0, 1.0, DELTA, 1.0)
    np.testing.assert_allclose(minimax_gradient(0, 1, DELTA, 1), 2 * slopes, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(
        minimax_gradient(0, 1, DELTA, 1) + non_saturating_gradient(0, 1, DELTA, 1), DELTA, rtol=1e-12
    )


def test_unequal_widths_equal_an_independent_integration():
    for mean0, std0, mean1, std1 in CASES:
        first, second = stats.norm(mean0, std0), stats.norm(mean1, std1)

        def js(x, first=first, second=second):
            p, q = first.pdf(x), second.pdf(x)
            m = (p + q) / 2
            return (p * (first.logpdf(x) - np.log(m)) + q * (second.logpdf(x) - np.log(m))) / 2

        ends = sorted([mean0 - 10 * std0, mean0, mean0 + 10 * std0, mean1 - 10 * std1, mean1, mean1 + 10 * std1])
        pieces = list(itertools.pairwise(ends))
        total = sum(integrate.quad(js, *piece, epsabs=1e-13)[0] for piece in pieces)
        np.testing.assert_allclose(gaussian_js(mean0, std0, mean1, std1), total, rtol=1e-9)
        grid = np.linspace(ends[0], ends[-1], 400_001)
        both = np.minimum(first.pdf(grid), second.pdf(grid))
        np.testing.assert_allclose(
            gaussian_tv(mean0, std0, mean1, std1), 1 - integrate.trapezoid(both, grid), atol=1e-7
        )

        def kl(x, first=first, second=second):
            return first.pdf(x) * (first.logpdf(x) - second.logpdf(x))

        total = sum(integrate.quad(kl, *piece)[0] for piece in pieces)
        np.testing.assert_allclose(gaussian_kl(mean0, std0, mean1, std1), total, rtol=1e-8)
        w1 = integrate.quad(lambda u: abs(first.ppf(u) - second.ppf(u)), 0, 1, limit=200)[0]  # noqa: B023
        np.testing.assert_allclose(gaussian_wasserstein(mean0, std0, mean1, std1), w1, rtol=1e-5)


def test_gaps_agree_with_the_distances():
    arguments = CASES.T
    np.testing.assert_allclose(np.exp(gaussian_tv_log_gap(*arguments)), 1 - gaussian_tv(*arguments), rtol=1e-10)
    np.testing.assert_allclose(np.exp(gaussian_js_log_gap(*arguments)), np.log(2) - gaussian_js(*arguments), rtol=1e-10)


def test_gap_with_two_sharp_crossings():
    # A narrow Gaussian in the tail of a wide one: the densities cross 20 narrow widths on either side of its mean, and
    # all between counts, for there the wide one is the smaller.
    mean, std = 20_000.0, 1000.0
    x = np.linspace(-40, 40, 400_001)
    p, q = stats.norm.logpdf(x), stats.norm.logpdf(x, mean, std)
    r = np.abs(p - q)
    mixture = np.logaddexp(p, q) - np.log(2)
    # The entropy of the coin that says which of the two an x came from, times e^r.
    entropy = np.where(r < 700, np.log1p(np.exp(-r)) * np.exp(np.minimum(r, 700)), 1) + r / (1 + np.exp(-r))
    expected = np.log(integrate.trapezoid(np.exp(mixture - r + 200) * entropy, x)) - 200
    np.testing.assert_allclose(gaussian_js_log_gap(0, 1, mean, std), expected, rtol=1e-9)
    np.testing.assert_allclose(gaussian_js_log_gap(mean, std, 0, 1), expected, rtol=1e-9)


def test_wasserstein_of_unequal_widths():
    np.testing.assert_allclose(gaussian_wasserstein(0, 1, 0.7, 2), 0.9857587536, rtol=1e-10)
    np.testing.assert_allclose(gaussian_wasserstein(0, 1, 3, 5, p=2), 5, rtol=1e-14)
    assert gaussian_wasserstein(1, 0, 4, 0) == 3  # two points


def test_symmetric_and_invariant():
    for function in SMOOTH[1:]:
        forth, back = function(*CASES.T), function(*CASES[:, [2, 3, 0, 1]].T)
        np.testing.assert_allclose(forth, back, rtol=1e-13)
        scale = 10 if function is gaussian_wasserstein else 1
        moved = function(*(10 * CASES + [7, 0, 7, 0]).T)
        np.testing.assert_allclose(moved, scale * forth, rtol=1e-10)
    kl = gaussian_kl(0, 1, 0, 2), gaussian_kl(0, 2, 0, 1)
    np.testing.assert_allclose(kl, [np.log(2) - 3 / 8, 1.5 - np.log(2)], rtol=1e-14)


# Equal distributions; equal means only; equal widths only; so far apart that everything underflows.
SINGULAR = np.array([[0, 1, 0, 1], [0, 1, 0, 2], [0, 1, 3, 1], [0, 1, 100, 1], [0, 1, 100, 3]]).astype(float)


@functools.cache
def _values_and_gradients(function):
    """At CASES, then at SINGULAR: one program for both."""
    compiled = jax.jit(jax.vmap(jax.value_and_grad(function, (0, 1, 2, 3))))
    return jax.device_get(compiled(*np.concatenate([CASES, SINGULAR]).T))


@pytest.mark.parametrize('function', SMOOTH)
def test_gradients_equal_finite_differences(function):
    gradients = [gradient[: len(CASES)] for gradient in _values_and_gradients(function)[1]]
    bends, function = function is gaussian_wasserstein, jax.jit(function)
    for k, gradient in enumerate(gradients):
        step = np.zeros(4)
        step[k] = 1e-5
        difference = (function(*(CASES + step).T) - function(*(CASES - step).T)) / 2e-5
        # W_1 bends where the widths are equal: at the nearly equal ones the difference sees the other side.
        smooth = np.abs(CASES[:, 1] - CASES[:, 3]) > 0 if bends else np.full(len(CASES), True)
        np.testing.assert_allclose(gradient[smooth], difference[smooth], rtol=1e-5, atol=2e-8)


@pytest.mark.parametrize('function', SMOOTH)
def test_gradients_are_finite_at_singular_points(function):
    value, gradients = jax.tree.map(lambda x: x[len(CASES) :], _values_and_gradients(function))
    assert np.isfinite(value).all() and np.isfinite(gradients).all()
    if not function.__name__.endswith('log_gap'):
        assert value[0] == 0 and gradients[0][0] == 0
    if function is gaussian_js:
        assert abs(gradients[1][0]) < 1e-12 and gradients[3][0] == 0


def test_float32_and_jit():
    with jax.enable_x64(False):
        for function in SMOOTH:
            result = jax.jit(function)(*CASES.T.astype(np.float32))
            assert result.dtype == jnp.float32
            with jax.enable_x64(True):
                expected = function(*CASES.T)
            np.testing.assert_allclose(result, expected, rtol=2e-5, atol=1e-6)


def test_optimal_discriminator_is_the_ratio_of_densities():
    x = np.linspace(-6, 6, 13)
    for mean_r, std_r, mean_g, std_g in CASES[:3]:
        p, q = stats.norm.pdf(x, mean_r, std_r), stats.norm.pdf(x, mean_g, std_g)
        np.testing.assert_allclose(
            jax.nn.sigmoid(optimal_logit(x, mean_r, std_r, mean_g, std_g)), p / (p + q), rtol=1e-10
        )
    np.testing.assert_allclose(optimal_logit(x, 1.0, 2.0, 0.0, 2.0), (x - 0.5) / 4, atol=1e-15)
    np.testing.assert_allclose(optimal_value(0, 1, 1, 1), 2 * 0.1114214822 - np.log(4), atol=1e-9)


def test_slopes_of_unequal_widths_equal_frozen_losses():
    rng_points, weights = np.polynomial.hermite_e.hermegauss(150)
    weights = weights / weights.sum()
    for mean_r, std_r, mean_g, std_g in CASES[[0, 4, 5]]:

        def frozen(shift, loss, mean_r=mean_r, std_r=std_r, mean_g=mean_g, std_g=std_g):
            logit = optimal_logit(mean_g + shift + std_g * rng_points, mean_r, std_r, mean_g, std_g)
            return jnp.sum(weights * loss(logit))

        for slope, loss in (
            (minimax_gradient, lambda t: -jax.nn.softplus(t)),
            (non_saturating_gradient, lambda t: jax.nn.softplus(-t)),
        ):
            expected = jax.grad(frozen)(0.0, loss)
            np.testing.assert_allclose(slope(mean_r, std_r, mean_g, std_g), expected, rtol=1e-5)


def test_optimal_critic_reaches_the_distance_with_slope_one():
    x = np.linspace(-40, 40, 160_001)
    for arguments in [*CASES[[0, 1, 4, 5, 6]], [0, 1, 2, 1], [1, 2, 1, 1]]:
        mean_r, std_r, mean_g, std_g = (float(v) for v in arguments)
        f = np.asarray(optimal_critic(x, mean_r, std_r, mean_g, std_g))
        np.testing.assert_allclose(np.abs(np.diff(f)).max(), x[1] - x[0], rtol=1e-6)
        difference = stats.norm.pdf(x, mean_r, std_r) - stats.norm.pdf(x, mean_g, std_g)
        reached = integrate.trapezoid(f * difference, x)
        np.testing.assert_allclose(reached, gaussian_wasserstein(*arguments), atol=1e-7)
        slope = jax.grad(gaussian_wasserstein, 2)(mean_r, std_r, mean_g, std_g)
        np.testing.assert_allclose(wasserstein_gradient(*arguments), slope, atol=1e-12)


def test_bad_parameters_are_refused():
    with pytest.raises(ValueError, match=r'std1 has the value 0'):
        gaussian_js(0, 1, 1, 0)
    with pytest.raises(ValueError, match=r'std0 has the value -1'):
        gaussian_wasserstein(0, -1, 1, 1)
    with pytest.raises(ValueError, match='mean1 is nan'):
        gaussian_kl(0, 1, np.nan, 1)
    with pytest.raises(ValueError, match='do not broadcast'):
        gaussian_tv(np.zeros(2), 1, np.zeros(3), 1)
    with pytest.raises(ValueError, match='p=3'):
        gaussian_wasserstein(0, 1, 1, 1, p=3)


@pytest.mark.parametrize('p', [1, 2])
def test_a_traced_parameter_that_is_not_finite_gives_no_number(p):
    # Fails where a comparison takes NaN for zero: 0 is the best value that there is.
    traced = jax.jit(lambda mean: gaussian_wasserstein(mean, 1.0, 0.0, 1.0, p=p))
    assert not np.isfinite(traced(np.nan)) and not np.isfinite(traced(np.inf))


@pytest.mark.parametrize('double', [False, True])
def test_close_gaussians_keep_their_relative_precision(double):
    with jax.enable_x64(double):
        dtype, rtol = (np.float64, 1e-9) if double else (np.float32, 3e-6)
        zero, one = dtype(0), dtype(1)
        for apart in (1e-3, 1e-5, 1e-6, 1e-7, 1e-12):
            m = dtype(apart)
            delta = float(m)
            tv = erf(delta / 8**0.5)
            np.testing.assert_allclose(gaussian_tv(zero, one, m, one), tv, rtol=rtol)
            np.testing.assert_allclose(gaussian_tv_log_gap(zero, one, m, one), np.log1p(-tv), rtol=rtol)
            # To second order; the next term of each is delta^2 / 8 of it at most.
            second = max(rtol, delta**2 / 4)
            np.testing.assert_allclose(gaussian_js(zero, one, m, one), delta**2 / 8, rtol=second)
            np.testing.assert_allclose(minimax_gradient(zero, one, m, one), delta / 2, rtol=second)
            np.testing.assert_allclose(non_saturating_gradient(zero, one, m, one), delta / 2, rtol=second)
            np.testing.assert_allclose(optimal_logit(zero, zero, one, m, one), delta**2 / 2, rtol=second)
        for more in (1e-4, 4e-7):
            s = dtype(1 + more)
            t = float(s) - 1
            np.testing.assert_allclose(gaussian_js(zero, one, zero, s), t**2 / 4, rtol=2 * t + 3e-6)
            crossing = np.exp(-0.5) / np.sqrt(2 * np.pi)
            np.testing.assert_allclose(gaussian_tv(zero, one, zero, s), 2 * t * crossing, rtol=2 * t + 3e-6)
            np.testing.assert_allclose(optimal_logit(zero, zero, one, zero, s), np.log1p(t), rtol=3e-6)


@pytest.mark.parametrize('double', [False, True])
def test_collapsed_widths(double):
    with jax.enable_x64(double):
        dtype, rtol = (np.float64, 1e-12) if double else (np.float32, 2e-6)
        zero, one = dtype(0), dtype(1)
        for width in (1e-3, 1e-7, 1e-8, 1e-30, 1e-40):  # the last one is subnormal in float32
            s = dtype(width)
            expected = -np.log(float(s)) + (float(s) ** 2 - 1) / 2
            np.testing.assert_allclose(gaussian_kl(zero, s, zero, one), expected, rtol=rtol)
            if width > 1e-38:
                gradient = jax.grad(gaussian_kl, 1)(zero, s, zero, one)
                np.testing.assert_allclose(gradient, float(s) - 1 / float(s), rtol=rtol)
        np.testing.assert_allclose(gaussian_kl(zero, dtype(1e-8), one, one), 8 * np.log(10), rtol=rtol)


def test_widths_of_any_ratio():
    narrow, zero = np.float32(1), np.float32(0)
    with jax.enable_x64(False):
        for ratio in (1e6, 1e10, 1e15, 1e20, 1e30, 1e36):
            wide = np.float32(ratio)
            log = np.log(float(wide))
            # The densities cross where z^2 = 2 log s, and beyond and between lies what they share.
            crossing = np.sqrt(2 * log)
            shared = np.log(2 * stats.norm.sf(crossing) + 2 * crossing / float(wide) / np.sqrt(2 * np.pi))
            for pair in ((zero, narrow, zero, wide), (zero, wide, zero, narrow)):
                np.testing.assert_allclose(gaussian_tv(*pair), 1 - np.exp(shared), rtol=1e-6)
                np.testing.assert_allclose(gaussian_tv_log_gap(*pair), shared, rtol=2e-5)
                gap = gaussian_js_log_gap(*pair)
                np.testing.assert_allclose(gaussian_js(*pair), np.log(2) - np.exp(gap), rtol=1e-6)
                if ratio <= 1e15:  # whose squares float64 has
                    with jax.enable_x64(True):
                        np.testing.assert_allclose(gap, gaussian_js_log_gap(*map(np.float64, pair)), rtol=1e-5)
                assert np.isfinite(minimax_gradient(*pair)) and np.isfinite(non_saturating_gradient(*pair))


@pytest.mark.parametrize('narrow', [0.5, 1e-3, 1e-5, 1e-9, 1e-19, 1e-30])
def test_tv_gradient_at_any_ratio_of_the_widths(narrow):
    # dTV/ds = -2 phi(s c) c for N(0, s^2) beside N(0, 1), whose densities cross at +-s c, c^2 = -2 log s / (1 - s^2).
    # Fails where the crossings' own movement, which counts for nothing, is left to cancel in float32.
    one, zero, s = np.float32(1), np.float32(0), np.float32(narrow)
    with jax.enable_x64(False):
        c = np.sqrt(-2 * np.log(float(s)) / (1 - float(s) ** 2))
        expected = -2 * stats.norm.pdf(float(s) * c) * c
        np.testing.assert_allclose(jax.grad(gaussian_tv, 1)(zero, s, zero, one), expected, rtol=2e-5)
        np.testing.assert_allclose(jax.grad(gaussian_tv, 3)(zero, one, zero, s), expected, rtol=2e-5)
        np.testing.assert_allclose(jax.grad(gaussian_tv, 3)(zero, s, zero, one), -expected * float(s), rtol=2e-5)


@pytest.mark.parametrize('difference', [1e-38, 1e-25, 1e-19, 1e-3])
def test_wasserstein_gradient_at_small_differences_of_the_widths(difference):
    with jax.enable_x64(False):
        one, zero, d = np.float32(1), np.float32(0), np.float32(difference)
        gradient = jax.grad(gaussian_wasserstein, (0, 1, 2, 3))(one, d, zero, zero)
        np.testing.assert_array_equal(gradient, [1, 0, -1, 0])
        np.testing.assert_array_equal(wasserstein_gradient(zero, 2 * d, one, d), 1)
        # sqrt(delta^2 + s^2), whose squares underflow.
        value = gaussian_wasserstein(3 * d, 4 * d, zero, zero, p=2)
        np.testing.assert_allclose(float(value), 5 * float(d), rtol=1e-5)
        gradient = jax.grad(lambda *a: gaussian_wasserstein(*a, p=2), (0, 1))(3 * d, 4 * d, zero, zero)
        np.testing.assert_allclose(gradient, [0.6, 0.8], rtol=1e-5)
