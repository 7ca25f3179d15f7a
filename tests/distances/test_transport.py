"""Exact transport, Sinkhorn and the dual: plans that are plans, potentials that prove them, scipy and POT."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from scipy.spatial.distance import cdist

from wgan_jax.distances import (
    duality_gap,
    lipschitz_constant,
    optimal_potential,
    simplex,
    sinkhorn,
    sinkhorn_divergence,
    transport_plan,
    wasserstein_1d,
    wasserstein_exact,
)
from wgan_jax.distances.costs import pairwise_distances


def _linear_program(cost, a, b):
    """The whole program by scipy, every column in it."""
    n, m = cost.shape
    sums = np.vstack([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
    return scipy.optimize.linprog(cost.ravel(), A_eq=sums, b_eq=np.r_[a, b]).fun


def _grid(side):
    return np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2).astype(float)


def _cases():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2))
    a, b = rng.random(9), rng.random(12)
    a[2] = b[5] = 0
    b *= a.sum() / b.sum()
    return {
        'equal sizes': (rng.normal(size=(30, 3)), rng.normal(size=(30, 3)), None, None),
        'unequal sizes': (rng.normal(size=(11, 2)), rng.normal(size=(7, 2)), None, None),
        'weights, some zero': (rng.normal(size=(9, 2)), rng.normal(size=(12, 2)), a, b),
        'weights on one side': (rng.normal(size=(9, 2)), rng.normal(size=(12, 2)), a, None),
        'one point': (rng.normal(size=(1, 2)), rng.normal(size=(6, 2)), None, None),
        'the same cloud in another order': (x, x[::-1], None, None),
        'all points equal': (np.zeros((5, 2)), np.zeros((5, 2)), None, None),
        'all points equal, unequal sizes': (np.zeros((5, 2)), np.ones((4, 2)), None, None),
        'ties': (_grid(6), _grid(6) + np.eye(2)[0], None, None),
        'ties, unequal sizes': (_grid(6), _grid(6)[:20] + 0.5, None, None),
        'high dimension': (rng.normal(size=(20, 50)) + 100, rng.normal(size=(20, 50)) + 100, None, None),
    }


@pytest.mark.parametrize('p', [1, 2])
@pytest.mark.parametrize('name', _cases())
def test_plan_is_a_plan_and_its_potentials_prove_it(name, p):
    x, y, x_weights, y_weights = _cases()[name]
    result = transport_plan(x, y, p=p, x_weights=x_weights, y_weights=y_weights)
    a = np.full(len(x), 1 / len(x)) if x_weights is None else x_weights / x_weights.sum()
    b = np.full(len(y), 1 / len(y)) if y_weights is None else y_weights / y_weights.sum()
    cost = np.sqrt(np.sum((x[:, None] - y) ** 2, axis=-1)) ** p
    size = max(cost.max(), 1)
    assert (result.plan >= 0).all()
    np.testing.assert_allclose(result.plan.sum(axis=1), a, atol=1e-14)
    np.testing.assert_allclose(result.plan.sum(axis=0), b, atol=1e-14)
    np.testing.assert_allclose(result.cost, np.sum(result.plan * cost), atol=1e-13 * size)
    assert (result.x_potential[:, None] + result.y_potential - cost).max() <= 1e-12 * size
    np.testing.assert_allclose(a @ result.x_potential + b @ result.y_potential, result.cost, atol=1e-12 * size)
    distance = wasserstein_exact(x, y, p=p, x_weights=x_weights, y_weights=y_weights)
    assert isinstance(distance, float)
    np.testing.assert_allclose(distance**p, result.cost, atol=1e-12 * size)
    if p == 1:  # 1-Lipschitz on either side
        for points, potential in ((x, result.x_potential), (y, result.y_potential)):
            slack = np.abs(potential[:, None] - potential) - cdist(points, points)
            assert slack.max() <= 1e-12 * size


@pytest.mark.parametrize('name', _cases())
def test_equal_to_the_whole_linear_program_and_to_pot(name):
    x, y, x_weights, y_weights = _cases()[name]
    a = np.full(len(x), 1 / len(x)) if x_weights is None else x_weights / x_weights.sum()
    b = np.full(len(y), 1 / len(y)) if y_weights is None else y_weights / y_weights.sum()
    distance = wasserstein_exact(x, y, x_weights=x_weights, y_weights=y_weights)
    np.testing.assert_allclose(distance, _linear_program(cdist(x, y), a, b), atol=1e-9)
    ot = pytest.importorskip('ot')
    np.testing.assert_allclose(distance, ot.emd2(a, b, cdist(x, y)), rtol=1e-11, atol=1e-13)


def test_arcs_that_are_left_out_at_first_change_nothing(monkeypatch):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(300, 2)), rng.normal(size=(300, 2)) + 0.5
    cost = cdist(x, y)
    rows, columns = scipy.optimize.linear_sum_assignment(cost)
    monkeypatch.setattr(simplex, 'WHOLE', 2000)
    for arcs in (2, 32):  # so few that many have to join, and as many as by default
        monkeypatch.setattr(simplex, 'ARCS', arcs)
        np.testing.assert_allclose(wasserstein_exact(x, y), cost[rows, columns].mean(), rtol=1e-13)
        plan = transport_plan(x, y)
        assert (plan.x_potential[:, None] + plan.y_potential - cost).max() <= 1e-12
        np.testing.assert_allclose(plan.x_potential.mean() + plan.y_potential.mean(), plan.cost, rtol=1e-12)
        ot = pytest.importorskip('ot')
        expected = ot.emd2(np.full(300, 1 / 300), np.full(200, 1 / 200), cost[:, :200])
        np.testing.assert_allclose(transport_plan(x, y[:200]).cost, expected, rtol=1e-11)


def test_on_the_line_equals_sorting():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 1)), rng.normal(size=(20, 1))
    with jax.enable_x64(True):
        for p in (1, 2):
            expected = wasserstein_1d(x[:, 0], y[:, 0], p=p)
            np.testing.assert_allclose(wasserstein_exact(x, y, p=p), expected, rtol=1e-14)
            np.testing.assert_allclose(transport_plan(x, y, p=p).cost ** (1 / p), expected, rtol=1e-12)
    # In float64 whatever JAX's precision is.
    np.testing.assert_allclose(wasserstein_exact(x, y, p=2), np.float64(expected), rtol=1e-14)


def test_translation_and_distances_in_high_dimension():
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(25, 40)), rng.normal(size=40)
    for p in (1, 2, 3.5):
        np.testing.assert_allclose(wasserstein_exact(x, x + v, p=p), np.linalg.norm(v), rtol=1e-12)
    close = x + 1e-9 * rng.normal(size=x.shape)  # the products alone would give 0 or NaN here
    np.testing.assert_allclose(pairwise_distances(x, close), cdist(x, close), rtol=1e-12)


@pytest.mark.parametrize('dimension', [2, 40])
def test_distances_near_and_far_at_once(dimension):
    x = np.zeros((3, dimension))
    x[:, 0] = 1e16, 3e-150, 2
    y = np.zeros((2, dimension))
    y[:, :2] = [[0, 4e-150], [1e16, 6]]
    expected = [[1e16, 6], [5e-150, 1e16], [2, 1e16]]
    np.testing.assert_allclose(pairwise_distances(x, y), expected, rtol=1e-12)
    np.testing.assert_allclose(pairwise_distances(1e290 * x, 1e290 * y), 1e290 * np.array(expected), rtol=1e-12)


def test_sinkhorn_equals_pot_and_the_limit():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 2)), rng.normal(size=(6, 2))
    a, b = rng.random(8), rng.random(6)
    a, b = a / a.sum(), b / b.sum()
    with jax.enable_x64(True):
        for p in (1, 2):
            result = sinkhorn(x, y, epsilon=0.3, p=p, x_weights=a, y_weights=b, tolerance=1e-13)
            cost = cdist(x, y) ** p
            plan = a[:, None] * b * np.exp((result.x_potential[:, None] + result.y_potential - cost) / 0.3)
            np.testing.assert_allclose(plan.sum(axis=0), b, rtol=1e-10)
            np.testing.assert_allclose(plan.sum(axis=1), a, rtol=1e-9)
            entropy = np.sum(plan * np.log(plan / (a[:, None] * b)))
            np.testing.assert_allclose(result.cost, np.sum(plan * cost) + 0.3 * entropy, rtol=1e-10)
            assert result.error < 1e-12 and result.iterations < 2000
            try:
                import ot
            except ImportError:
                continue
            np.testing.assert_allclose(
                plan, ot.sinkhorn(a, b, cost, 0.3, method='sinkhorn_log', stopThr=1e-13), rtol=1e-8
            )
        small = sinkhorn_divergence(x, y, epsilon=0.005, p=1, max_iterations=5000, tolerance=1e-6)
        np.testing.assert_allclose(small, wasserstein_exact(x, y), rtol=5e-3)


def test_sinkhorn_divergence_of_a_translation_and_of_equal_clouds():
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(20, 3)), np.array([1.0, -2, 2])
    with jax.enable_x64(True):
        divergence = jax.jit(jax.vmap(lambda epsilon: sinkhorn_divergence(x, x + v, epsilon=epsilon, tolerance=1e-11)))
        np.testing.assert_allclose(divergence(np.array([1.0, 5.0, 50.0])), 9, rtol=1e-9)
        assert abs(sinkhorn_divergence(x, x[::-1], epsilon=5.0)) < 1e-9


@pytest.mark.parametrize('iterations', [1, 5, 40])
def test_sinkhorn_reports_the_error_of_the_plan_that_it_returns(iterations):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(10, 2)), rng.normal(size=(8, 2))
    with jax.enable_x64(True):
        result = sinkhorn(x, y, epsilon=1e-3, max_iterations=iterations)
        cost = cdist(x, y) ** 2
        logs = (np.asarray(result.x_potential)[:, None] + result.y_potential - cost) / 1e-3 - np.log(80)
        plan = np.exp(logs)
        np.testing.assert_allclose(plan.sum(axis=0), 1 / 8, rtol=1e-10)
        np.testing.assert_allclose(result.error, np.abs(plan.sum(axis=1) - 0.1).sum(), rtol=1e-9)
        assert result.error > 1e-3 and result.iterations == iterations
        dual = result.x_potential.mean() + result.y_potential.mean()
        np.testing.assert_allclose(result.cost, dual, rtol=1e-12)
        assert 0 < result.cost < sinkhorn(x, y, epsilon=1e-3, max_iterations=20_000).cost
        with pytest.warns(RuntimeWarning, match=f'after {iterations} iterations .* raise max_iterations'):
            divergence = sinkhorn_divergence(x, y, epsilon=1e-3, max_iterations=iterations)
        traced = jax.jit(lambda x: sinkhorn_divergence(x, y, epsilon=1e-3, max_iterations=iterations))(x)
        np.testing.assert_allclose(traced, divergence, rtol=1e-10)


def test_sinkhorn_of_subnormal_masses_counts_their_proportions():
    x, y = np.float32([[0, 0], [1, 0]]), np.float32([[0, 1], [3, 0], [1, 1]])
    masses = np.float32([1.5, 4.5])
    tiny = masses * np.float32(2.0**-140)
    with_tiny = jax.jit(lambda w: sinkhorn(x, y, epsilon=0.5, x_weights=w).cost)(tiny)
    np.testing.assert_allclose(with_tiny, sinkhorn(x, y, epsilon=0.5, x_weights=masses).cost, rtol=1e-6)


def test_sinkhorn_gradients_equal_finite_differences():
    rng = np.random.default_rng(0)
    x, y, a = rng.normal(size=(6, 2)), rng.normal(size=(6, 2)), np.full(6, 1 / 6)
    to_x, to_a, h = rng.normal(size=x.shape), rng.normal(size=6), 1e-5
    with jax.enable_x64(True):

        @jax.jit
        @functools.partial(jax.value_and_grad, argnums=(0, 2))
        def divergence(x, y, a):
            return sinkhorn_divergence(x, y, epsilon=0.5, p=1, x_weights=a, tolerance=1e-13)

        _, gradients = divergence(x, y, a)
        difference = (divergence(x + h * to_x, y, a)[0] - divergence(x - h * to_x, y, a)[0]) / (2 * h)
        np.testing.assert_allclose(jnp.vdot(gradients[0], to_x), difference, rtol=1e-7)
        difference = (divergence(x, y, a + h * to_a)[0] - divergence(x, y, a - h * to_a)[0]) / (2 * h)
        np.testing.assert_allclose(jnp.vdot(gradients[1], to_a), difference, rtol=1e-7)
        assert np.isfinite(divergence(x, x, a)[1][0]).all()  # distances of 0, whose root has no slope
        zero = a.copy()
        zero[0] = 0
        assert np.isfinite(divergence(x, y, zero)[1][0]).all()


def test_optimal_potential_closes_the_gap():
    rng = np.random.default_rng(0)
    x, y, a = rng.normal(size=(14, 2)), rng.normal(size=(10, 2)) + 1, rng.random(14)
    with jax.enable_x64(True):
        for weights in ({}, {'x_weights': a}):
            f = optimal_potential(x, y, **weights)
            found = duality_gap(f, x, y, **weights)
            assert abs(found.gap) < 1e-12 and found.lipschitz < 1 + 1e-9
            np.testing.assert_allclose(found.dual, found.primal, rtol=1e-12)
            norms = jnp.linalg.norm(jax.vmap(jax.grad(lambda z: f(z[None])[0]))(rng.normal(size=(50, 2))), axis=1)  # noqa: B023
            np.testing.assert_allclose(norms, 1, rtol=1e-12)
        steep = duality_gap(lambda z: 5 * f(z), x, y, x_weights=a)
        np.testing.assert_allclose([steep.dual, steep.lipschitz], [5 * found.dual, 5 * found.lipschitz], rtol=1e-12)
        assert abs(steep.gap) < 1e-12
        poor = duality_gap(lambda z: -z[:, 0], x, y)
        assert 0 < poor.gap < poor.primal and poor.lipschitz <= 1
        flat = duality_gap(lambda z: jnp.zeros(len(z)), x, y)
        assert flat.gap == flat.primal and flat.lipschitz == 0


def test_lipschitz_constant():
    rng = np.random.default_rng(0)
    points, values = rng.normal(size=(150, 3)), rng.normal(size=150)
    with jax.enable_x64(True):
        slopes = np.abs(values[:, None] - values) / (cdist(points, points) + np.eye(150))
        np.testing.assert_allclose(lipschitz_constant(values, points), slopes.max(), rtol=1e-12)
    assert lipschitz_constant(np.array([2.0]), np.zeros((1, 3))) == 0
    assert lipschitz_constant(np.array([2.0, 3.0]), np.zeros((2, 3))) == np.inf
    assert lipschitz_constant(np.array([2.0, 2.0]), np.zeros((2, 3))) == 0
    with pytest.raises(ValueError, match='values'):
        lipschitz_constant(np.zeros(3), np.zeros((2, 3)))


@pytest.mark.parametrize('size', [1e-25, 1.0, 1e25])
def test_lengths_whose_squares_are_no_float32(size):
    # The squares of 1e-25 are 0 and those of 1e25 infinite. Fails where distances are roots of sums of squares.
    x = np.float32(size) * np.array([[0, 0], [3, 4]], np.float32)
    np.testing.assert_allclose(lipschitz_constant(x[:, 1], x), 0.8, rtol=1e-6)
    np.testing.assert_allclose(optimal_potential(x, x[:1])(x), np.array([0, 5]) * size, rtol=1e-6, atol=0)
    np.testing.assert_allclose(sinkhorn(x[:1], x[1:], epsilon=size, p=1).cost, 5 * size, rtol=1e-6)


@pytest.mark.parametrize(
    'function', [wasserstein_exact, transport_plan, lambda x, y, **w: sinkhorn(x, y, epsilon=1.0, **w)]
)
def test_bad_clouds_are_refused(function):
    x = np.ones((3, 2))
    for y, named, message in (
        (np.ones((3, 4)), {}, 'must be clouds'),
        (np.ones(3), {}, 'must be clouds'),
        (np.ones((0, 2)), {}, 'must be clouds'),
        (np.full((3, 2), np.nan), {}, r'y\[0, 0\] is nan'),
        (x, {'y_weights': [1, 1]}, 'one weight a point'),
        (x, {'x_weights': [1, -1, 1]}, r'x_weights\[1\] is -1'),
        (x, {'x_weights': [1, 1, 1], 'y_weights': [1, 2, 1]}, 'unequal totals'),
        (x, {'p': 0.5}, 'p=0.5'),
    ):
        with pytest.raises(ValueError, match=message):
            function(x, y, **named)


def test_what_cannot_be_is_refused():
    x = np.ones((3, 2))
    with pytest.raises(ValueError, match='cannot run under jit'):
        jax.jit(wasserstein_exact)(x, x)
    for far in (np.full((3, 2), 1e308), np.array([[1e308, 0.0]] * 2)):
        with pytest.raises(ValueError, match='does not fit into float64'):
            wasserstein_exact(far, -far)
    with pytest.raises(ValueError, match='epsilon=0'):
        sinkhorn_divergence(x, x, epsilon=0.0)
    with pytest.raises(ValueError, match='one value a point'):
        duality_gap(lambda z: z, x, x)
    with pytest.raises(ValueError, match='potential'):
        duality_gap(lambda z: z[:, 0] * jnp.nan, x, x)
