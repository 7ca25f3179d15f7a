"""Wasserstein distances between samples: scipy and POT, weights, ties, gradients, and the laws of a metric."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import gamma
from scipy.stats import wasserstein_distance

from wgan_jax.distances import sliced_wasserstein, wasserstein_1d
from wgan_jax.distances.sorting import sort

SIZES = [(6, 6), (7, 4), (1, 5), (4, 12)]


def _samples(n, m, seed=0):
    rng = np.random.default_rng(seed)
    a, b = rng.random(n), rng.random(m)
    return rng.normal(size=n), rng.normal(size=m) + 0.3, a / a.sum(), b / b.sum()


def _by_definition(x, y, a, b, p):
    """The integral over the quantiles, level by level, in exact order and plain Python."""
    x_order, y_order = np.argsort(x), np.argsort(y)
    i = j = 0
    left_a, left_b, total = a[x_order[0]], b[y_order[0]], 0.0
    while True:
        mass = min(left_a, left_b)
        total += mass * abs(x[x_order[i]] - y[y_order[j]]) ** p
        left_a, left_b = left_a - mass, left_b - mass
        if left_a <= left_b:
            i += 1
            if i == len(x):
                return total ** (1 / p)
            left_a = a[x_order[i]]
        else:
            j += 1
            if j == len(y):
                return total ** (1 / p)
            left_b = b[y_order[j]]


@pytest.mark.parametrize('n, m', SIZES)
def test_equal_to_scipy_and_to_the_definition(n, m):
    x, y, a, b = _samples(n, m)
    for weights in ((None, None), (a, b), (a, None), (None, b)):
        named = dict(zip(('x_weights', 'y_weights'), weights, strict=True))
        with jax.enable_x64(True):
            np.testing.assert_allclose(wasserstein_1d(x, y, **named), wasserstein_distance(x, y, *weights), rtol=1e-12)
            full = [np.full(k, 1 / k) if w is None else w for k, w in zip((n, m), weights, strict=True)]
            for p in (1, 1.5, 2, 4):
                np.testing.assert_allclose(
                    wasserstein_1d(x, y, p=p, **named), _by_definition(x, y, *full, p), rtol=1e-9
                )
        result = wasserstein_1d(x.astype(np.float32), y.astype(np.float32), **named)
        assert result.dtype == jnp.float32
        np.testing.assert_allclose(result, wasserstein_distance(x, y, *weights), rtol=1e-5)


def test_equal_to_pot():
    ot = pytest.importorskip('ot')
    with jax.enable_x64(True):
        for n, m in SIZES:
            x, y, a, b = _samples(n, m, seed=1)
            for p in (1, 2, 3):
                expected = ot.wasserstein_1d(x, y, a, b, p=p) ** (1 / p)
                np.testing.assert_allclose(wasserstein_1d(x, y, p=p, x_weights=a, y_weights=b), expected, rtol=1e-10)


def test_traced_equals_plain_and_batches():
    rng = np.random.default_rng(0)
    x, y, a, b = rng.normal(size=(3, 1, 5)), rng.normal(size=(4, 7)), rng.random((3, 1, 5)), rng.random(7)
    b *= a.sum() / 3 / b.sum()
    a *= b.sum() / a.sum(axis=-1, keepdims=True)
    with jax.enable_x64(True):
        for p, weights in (
            (1, {}),
            (2, {}),
            (1, {'x_weights': a, 'y_weights': b}),
            (3, {'x_weights': a, 'y_weights': b}),
        ):
            plain = wasserstein_1d(x, y, p=p, **weights)
            assert plain.shape == (3, 4)
            single = [[wasserstein_1d(u, v, p=p, **({'x_weights': w[0], 'y_weights': b} if weights else {})) for v in y]
                      for (u,), w in zip(x, a, strict=True)]  # fmt: skip
            np.testing.assert_allclose(plain, single, rtol=1e-12)
            traced = jax.jit(lambda x, y, w, p=p: wasserstein_1d(x, y, p=p, **w))(x, y, weights)
            np.testing.assert_allclose(traced, plain, rtol=1e-12)
        mapped = jax.vmap(lambda u: wasserstein_1d(u[0], y[0]))(x)
        np.testing.assert_allclose(mapped, wasserstein_1d(x, y)[:, 0], rtol=1e-12)


def test_sort_orders_every_kind_of_float_and_has_the_sorts_derivative():
    tiny = np.finfo(np.float32).smallest_subnormal
    x = np.array([3, -0.0, 0.0, -np.inf, np.inf, tiny, -tiny, -2, -2, 1e38, -1e38, 5], np.float32)
    np.testing.assert_array_equal(jax.jit(sort)(x), np.sort(x))
    many = np.random.default_rng(0).normal(size=(5, 100))
    np.testing.assert_array_equal(sort(many.astype(np.float32)), np.sort(many.astype(np.float32)))
    with jax.enable_x64(True):
        np.testing.assert_array_equal(sort(many), np.sort(many))
        tangent = np.random.default_rng(1).normal(size=many.shape)
        ours, theirs = jax.jvp(sort, (many,), (tangent,)), jax.jvp(jnp.sort, (many,), (tangent,))
        np.testing.assert_array_equal(ours, theirs)
        second = jax.grad(lambda x: jnp.vdot(jax.grad(lambda x: jnp.sum(sort(x) ** 3 * tangent))(x), tangent))(many)
        assert np.isfinite(second).all() and np.abs(second).max() > 0


@pytest.mark.parametrize('n, m, p, weighted', [(6, 6, 1, False), (7, 4, 2, False), (7, 4, 1, True), (4, 6, 2.5, True)])
def test_gradients_equal_finite_differences(n, m, p, weighted):
    with jax.enable_x64(True):
        x, y, a, b = _samples(n, m)

        def of(x, a):
            named = {'x_weights': a, 'y_weights': b * jnp.sum(a)} if weighted else {}
            return wasserstein_1d(x, y, p=p, **named)

        both = jax.jit(jax.value_and_grad(of, (0, 1)))
        _, gradients = both(x, a)
        rng = np.random.default_rng(1)
        directions = rng.normal(size=n), rng.normal(size=n) * a
        for k in range(1 + weighted):
            shift = [1e-6 * directions[0] * (k == 0), 1e-6 * directions[1] * (k == 1)]
            high, low = both(x + shift[0], a + shift[1])[0], both(x - shift[0], a - shift[1])[0]
            np.testing.assert_allclose(gradients[k] @ directions[k], (high - low) / 2e-6, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize('p', [1, 2, 2.5])
def test_equal_samples_have_distance_and_gradient_zero(p):
    x = np.array([1.0, 1, 3, -2], np.float32)
    value, gradient = jax.value_and_grad(lambda x: wasserstein_1d(x, jnp.array([1.0, -2, 1, 3]), p=p))(x)
    assert value == 0 and not gradient.any()
    # Each point twice is the same distribution; widths reckoned in floats would leave slivers here.
    assert wasserstein_1d(x, np.repeat(x, 2), p=p) == 0
    assert jax.jit(lambda x, y: wasserstein_1d(x, y, p=p))(x, np.repeat(x, 3)) == 0


@pytest.mark.parametrize('double', [False, True])
@pytest.mark.parametrize('p', [1, 4, 10])
def test_atoms_split_in_two_are_the_same_atoms(p, double):
    with jax.enable_x64(double):
        rng = np.random.default_rng(0)
        dtype = np.float64 if double else np.float32
        for n in (5, 400):
            x, weights = rng.normal(size=n).astype(dtype), rng.random(n).astype(dtype)
            share = weights * rng.random(n).astype(dtype)
            for first in (weights / 2, share):
                arguments = x, np.tile(x, 2), weights, np.concatenate([first, weights - first])

                def distance(x, y, a, b):
                    return wasserstein_1d(x, y, p=p, x_weights=a, y_weights=b)

                assert distance(*arguments) == 0
                assert jax.jit(distance)(*arguments) == 0


def test_small_masses_are_no_rounding():
    # A light atom far away among heavy ones, at either end and in the middle: W_4^4 is its mass times gap^4.
    for light, double in ((1e-9, False), (1e-20, True)):
        with jax.enable_x64(double):
            dtype = np.float64 if double else np.float32
            for place in (-1e4, 0.5, 1e4):
                x, y = np.array([0, place, 1], dtype), np.array([0, place + 3, 1], dtype)
                weights = np.array([1, light, 2], dtype)
                if place == 0.5:  # in between the next order swaps it with the last one
                    y = np.array([0, 0.75, 1], dtype)
                gap = float(y[1]) - float(x[1])
                expected = gap * (light / 3) ** 0.25
                named = {'p': 4, 'x_weights': weights, 'y_weights': weights}
                np.testing.assert_allclose(wasserstein_1d(x, y, **named), expected, rtol=1e-5)
                traced = jax.jit(lambda x, y, w: wasserstein_1d(x, y, p=4, x_weights=w, y_weights=w))(x, y, weights)
                np.testing.assert_allclose(traced, expected, rtol=1e-3)


def test_subnormal_masses_count_their_proportions():
    x, y = np.float32([0, 1]), np.float32([0, 1])
    a, b = np.float32([1, 3]) * np.float32(2.0**-140), np.float32([2, 2]) * np.float32(2.0**-140)
    traced = jax.jit(lambda x, y, a, b: wasserstein_1d(x, y, x_weights=a, y_weights=b))
    assert traced(x, y, a, b) == 0.25 and wasserstein_1d(x, y, x_weights=a, y_weights=b) == 0.25


def test_powers_do_not_overflow():
    np.testing.assert_allclose(wasserstein_1d(np.float32([0, 0]), np.float32([3e30, 4e30]), p=4),
                               (0.5 * (3**4 + 4**4)) ** 0.25 * 1e30, rtol=1e-6)  # fmt: skip


def test_laws_of_a_metric():
    hypothesis = pytest.importorskip('hypothesis')
    from hypothesis import strategies as st

    numbers = st.floats(-1e3, 1e3, allow_subnormal=False)
    clouds = st.lists(numbers, min_size=1, max_size=8)

    @hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
    @hypothesis.given(clouds, clouds, clouds, numbers, st.floats(-10, 10), st.sampled_from([1, 2, 3]))
    def check(x, y, z, shift, factor, p):
        x, y, z = (np.array(values) for values in (x, y, z))

        def distance(x, y):
            return float(wasserstein_1d(x, y, p=p))

        near = {'rtol': 1e-9, 'atol': 1e-9}
        np.testing.assert_allclose(distance(x, y), distance(y, x), **near)
        np.testing.assert_allclose(distance(x, x + shift), abs(shift), **near)
        np.testing.assert_allclose(distance(x + shift, y + shift), distance(x, y), rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(distance(factor * x, factor * y), abs(factor) * distance(x, y), rtol=1e-7, atol=1e-7)
        assert distance(x, z) <= distance(x, y) + distance(y, z) + 1e-7
        assert distance(x, y) >= abs(x.mean() - y.mean()) - 1e-7
        weights = np.arange(1.0, len(x) + 1)
        repeated = np.repeat(x, np.arange(1, len(x) + 1))
        weighted = wasserstein_1d(x, y, p=p, x_weights=weights)
        np.testing.assert_allclose(weighted, distance(repeated, y), rtol=1e-6, atol=1e-4)

    with jax.enable_x64(True):
        check()


def test_sliced_distance_of_a_translation():
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(50, 3)).astype(np.float32), np.array([1.0, 2, 2], np.float32)
    key = jax.random.key(0)
    # The mean of <theta, v>^2 over 20,000 lines is |v|^2 / 3 up to 0.6 %.
    squared = sliced_wasserstein(x, x + v, key, num_projections=20_000)
    np.testing.assert_allclose(squared, 3 / np.sqrt(3), rtol=0.01)
    first = sliced_wasserstein(x, x + v, key, num_projections=20_000, p=1)
    np.testing.assert_allclose(first, 3 * gamma(1.5) / (np.sqrt(np.pi) * gamma(2)), rtol=0.01)
    directions = jax.random.normal(key, (4, 3))
    directions /= jnp.linalg.norm(directions, axis=1, keepdims=True)
    y = rng.normal(size=(30, 3)).astype(np.float32)
    each = [_by_definition(x @ d, y @ d, np.full(50, 1 / 50), np.full(30, 1 / 30), 2) for d in np.asarray(directions)]
    few = sliced_wasserstein(x, y, key, num_projections=4)
    np.testing.assert_allclose(few, np.sqrt(np.mean(np.square(each))), rtol=1e-5)
    traced = jax.jit(jax.value_and_grad(lambda x, y: sliced_wasserstein(x, y, key, num_projections=4)))
    np.testing.assert_allclose(traced(x, y)[0], few, rtol=1e-5)
    assert np.isfinite(traced(x[:30], x[:30])[1]).all()


def test_bad_samples_are_refused():
    x = np.ones(3)
    for bad, message in (
        ((np.array([1, np.nan]), x), r'x\[1\] is nan'),
        ((x, np.array([[1, 2], [3, np.inf]])), r'y\[1, 1\] is inf'),
        ((np.zeros(0), x), 'at least one sample'),
        ((np.ones((2, 3)), np.ones((5, 3))), 'do not broadcast'),
    ):
        with pytest.raises(ValueError, match=message):
            wasserstein_1d(*bad)
    for weights, message in (
        ({'x_weights': [1, 1]}, 'one weight a sample'),
        ({'x_weights': [1, -1, 1]}, r'x_weights\[1\] is -1'),
        ({'x_weights': [0, 0, 0]}, 'no mass'),
        ({'x_weights': [1, 1, 1], 'y_weights': [1, 1, 2]}, 'unequal totals, 3 and 4'),
    ):
        with pytest.raises(ValueError, match=message):
            wasserstein_1d(x, x, **weights)
    for p in (0.5, np.inf, np.nan):
        with pytest.raises(ValueError, match='finite Python number >= 1'):
            wasserstein_1d(x, x, p=p)
    key = jax.random.key(0)
    with pytest.raises(ValueError, match='must be clouds'):
        sliced_wasserstein(np.ones((3, 2)), np.ones((3, 4)), key, num_projections=2)
    with pytest.raises(ValueError, match='num_projections=0'):
        sliced_wasserstein(np.ones((3, 2)), np.ones((3, 2)), key, num_projections=0)
    with pytest.raises(ValueError, match='num_projections=2147483647 would take'):
        sliced_wasserstein(np.ones((3, 2)), np.ones((3, 2)), key, num_projections=2**31 - 1)
    with pytest.raises(ValueError, match=r'x\[0, 0\] is nan'):
        sliced_wasserstein(np.full((3, 2), np.nan), np.ones((3, 2)), key, num_projections=2)
