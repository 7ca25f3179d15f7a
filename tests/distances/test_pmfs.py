"""Distances between probabilities on bins: scipy, true infinities, gradients at empty bins, the two classic piles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr
from scipy.stats import wasserstein_distance

from wgan_jax.distances import earth_mover_distance, earth_moves, js_divergence, kl_divergence, total_variation

FUNCTIONS = [total_variation, kl_divergence, js_divergence, earth_mover_distance]


def _pmfs(seed, shape, empty=0.0):
    rng = np.random.default_rng(seed)
    p = rng.random(shape) * (rng.random(shape) >= empty)
    p[..., 0] += 0.01
    return p / p.sum(axis=-1, keepdims=True)


def _finite_difference(f, p, direction, h=1e-6):
    return (f(p + h * direction) - f(p - h * direction)) / (2 * h)


def test_equal_to_scipy_batched_and_broadcast():
    with jax.enable_x64(True):
        p, q = _pmfs(0, (4, 1, 9), empty=0.3), _pmfs(1, (3, 9))
        p_all, q_all = np.broadcast_arrays(p, q)
        kwargs = {'rtol': 1e-12, 'atol': 1e-14}
        np.testing.assert_allclose(total_variation(p, q), np.abs(p - q).sum(-1) / 2, **kwargs)
        np.testing.assert_allclose(kl_divergence(p, q), rel_entr(p, q).sum(-1), **kwargs)
        np.testing.assert_allclose(js_divergence(p, q), jensenshannon(p_all, q_all, axis=-1) ** 2, **kwargs)
        bins = np.arange(9)
        expected = [wasserstein_distance(bins, bins, a, b) for a, b in zip(p_all.reshape(-1, 9), q_all.reshape(-1, 9))]  # noqa: B905
        np.testing.assert_allclose(earth_mover_distance(p, q).ravel(), expected, **kwargs)


def test_single_precision_lists_and_integers():
    p, q = _pmfs(0, (9,)), _pmfs(1, (9,))
    np.testing.assert_allclose(kl_divergence(p, q), rel_entr(p, q).sum(), rtol=1e-5)
    assert kl_divergence(p, q).dtype == jnp.float32
    assert earth_mover_distance([5, 2, 2, 5], [3, 3, 5, 3]) == 5


def test_true_infinities_and_limits():
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.0, 0.5, 0.5])
    assert kl_divergence(p, q) == np.inf and kl_divergence(q, p) == np.inf
    one, other = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    np.testing.assert_allclose(js_divergence(one, other), np.log(2), rtol=1e-7)
    assert total_variation(one, other) == 1
    assert kl_divergence(one, np.array([0.5, 0.5])) == pytest.approx(np.log(2), rel=1e-7)  # 0 log 0 = 0
    for function in FUNCTIONS:
        assert function(p, p) == 0


def test_close_distributions_keep_relative_precision():
    # JS = sum (p - q)^2 / (8 p) to leading order; log(p / m) alone would lose all digits here.
    p = np.full(4, 0.25, np.float32)
    q = p + np.array([1, -1, 1, -1], np.float32) * 2.0**-20
    np.testing.assert_allclose(js_divergence(p, q), 4 * 2.0**-40 / (8 * 0.25), rtol=1e-5)


@pytest.mark.parametrize('function', FUNCTIONS)
def test_gradients_equal_finite_differences(function):
    with jax.enable_x64(True):
        p, q = _pmfs(0, (7,)), _pmfs(1, (7,))
        direction = np.random.default_rng(2).normal(size=7)
        direction -= direction.mean()
        for argument, start in ((0, p), (1, q)):

            def of(r, argument=argument):
                return function(r, q) if argument == 0 else function(p, r)

            slope = jnp.vdot(jax.grad(of)(start), direction)
            np.testing.assert_allclose(slope, _finite_difference(of, start, direction), rtol=1e-6)


@pytest.mark.parametrize('function', FUNCTIONS)
def test_gradients_at_empty_bins_are_finite_and_leave_the_others_right(function):
    with jax.enable_x64(True):
        p, q = np.array([0.0, 0.3, 0.7, 0.0]), np.array([0.2, 0.0, 0.8, 0.0])
        gradients = jax.grad(lambda p, q: jnp.where(jnp.isinf(function(p, q)), 0, function(p, q)), (0, 1))(p, q)
        assert all(np.isfinite(g).all() for g in gradients)
        assert np.isfinite(jax.grad(function, (0, 1))(p, q)).all()
    if function in (kl_divergence, js_divergence):
        with jax.enable_x64(True):
            # Through a softmax that underflows in one bin, the gradient is what it is without that bin.
            logits = np.array([0.3, -0.2, 0.5, -2000.0])
            q = np.array([0.2, 0.3, 0.4, 0.1])
            whole = jax.grad(lambda t: function(jax.nn.softmax(t), q))(logits)
            part = jax.grad(lambda t: function(jnp.append(jax.nn.softmax(t), 0.0), q))(logits[:3])
            np.testing.assert_allclose(whole[:3], part, rtol=1e-12)
            assert whole[3] == 0


@pytest.mark.parametrize(
    'p, q, surplus',
    [([5, 2, 2, 5], [3, 3, 5, 3], [2, 1, -2, 0]), ([3, 2, 1, 4], [1, 2, 4, 3], [2, 2, -1, 0])],
)
def test_classic_piles(p, q, surplus):
    assert earth_mover_distance(p, q) == 5
    result = earth_moves(p, q)
    assert result.work == 5 and list(result.surplus) == surplus
    after = np.array(p, float)
    for move in result.moves:
        after[move.source] -= move.mass
        after[move.target] += move.mass
        assert move.mass > 0 and move.source != move.target
    assert list(after) == q
    assert sum(move.mass * abs(move.target - move.source) for move in result.moves) == 5
    p, q = np.array(p) / np.sum(p), np.array(q) / np.sum(q)
    np.testing.assert_allclose(
        earth_mover_distance(p, q), 5 / np.sum([3, 3, 5, 3]) if surplus[1] == 1 else 0.5, rtol=1e-6
    )


def test_dual_potential_of_the_second_pile():
    potential, difference = np.array([0, -1, -2, -1]), np.array([3, 2, 1, 4]) - np.array([1, 2, 4, 3])
    assert np.abs(np.diff(potential)).max() == 1 and potential @ difference == earth_mover_distance(
        [3, 2, 1, 4], [1, 2, 4, 3]
    )


def test_under_jit_and_vmap():
    p, q = _pmfs(0, (5, 6)), _pmfs(1, (5, 6))
    for function in FUNCTIONS:
        np.testing.assert_allclose(jax.jit(jax.vmap(function))(p, q), function(p, q), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize('function', [total_variation, kl_divergence, js_divergence])
def test_no_pmf_is_refused(function):
    p = np.array([0.5, 0.5])
    with pytest.raises(ValueError, match=r'q sums to 0\.9, not 1'):
        function(p, np.array([0.5, 0.4]))
    with pytest.raises(ValueError, match=r'p\[1\] is -0\.5'):
        function(np.array([1.5, -0.5]), p)
    with pytest.raises(ValueError, match=r'p\[1, 0\] is nan'):
        function(np.array([[1.0, 0.0], [np.nan, 0.5]]), p)
    with pytest.raises(ValueError, match='same number of bins'):
        function(p, np.array([1.0]))
    with pytest.raises(ValueError, match='same number of bins'):
        function(np.zeros(0), np.zeros(0))


def test_unequal_totals_are_refused():
    with pytest.raises(ValueError, match='unequal totals, 3 and 4'):
        earth_mover_distance([1, 2], [2, 2])
    with pytest.raises(ValueError, match='unequal totals'):
        earth_moves([1, 2], [2, 2])
    with pytest.raises(ValueError, match='one axis'):
        earth_moves([[1, 2]], [[2, 1]])
    with pytest.raises(ValueError, match='has no mass'):
        earth_mover_distance([0, 0], [0, 0])


def test_subnormal_probabilities_are_not_zero():
    p, q = np.float32([0.5, 0.5]), np.float32([1, 1e-40])
    np.testing.assert_allclose(kl_divergence(p, q), 0.5 * np.log(0.5) + 0.5 * np.log(0.5 / 1e-40), rtol=1e-5)
    assert kl_divergence(q, p) == pytest.approx(np.log(2), rel=1e-6)
    for function in FUNCTIONS:
        assert np.isfinite(jax.jit(function)(q, p))
