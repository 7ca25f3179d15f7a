"""Transport over many orders of magnitude: right to 1e-9 of its own cost, beside exact arithmetic, or refused."""

import numpy as np
import pytest
import scipy.optimize
from scipy.spatial.distance import cdist

from tests.distances import exact
from wgan_jax.distances import transport_plan, wasserstein_exact
from wgan_jax.distances.certificate import Base, gap
from wgan_jax.distances.simplex import Flow
from wgan_jax.distances.transport import common_masses

NORMAL = np.random.default_rng(7).normal(size=(4, 20, 2))


def _proportions(n, weights):
    return np.full(n, 1 / n) if weights is None else np.asarray(weights) / np.sum(weights)


def _proven(x, y, **named):
    """The plan, after its two totals have been compared as a reader would, and W_p."""
    result = transport_plan(x, y, **named)
    a, b = _proportions(len(x), named.get('x_weights')), _proportions(len(y), named.get('y_weights'))
    dual = a @ result.x_potential + b @ result.y_potential
    assert abs(result.cost - dual) <= 1.1e-9 * result.cost
    np.testing.assert_allclose(result.plan.sum(axis=1), a, rtol=1e-10)
    np.testing.assert_allclose(result.plan.sum(axis=0), b, rtol=1e-10)
    cost = cdist(x, y) ** named.get('p', 1)
    assert (result.x_potential[:, None] + result.y_potential <= cost * (1 + 1e-9) + 1e-9 * result.cost).all()
    np.testing.assert_allclose(np.sum(result.plan * cost), result.cost, rtol=1e-9)
    distance = wasserstein_exact(x, y, **named)
    np.testing.assert_allclose(distance ** named.get('p', 1), result.cost, rtol=2e-9)
    return distance


@pytest.mark.parametrize('p, apart', [(1, 1e10), (2, 1e5), (2, 1e6), (2, 1e8), (4, 1e3), (4, 1e6), (10, 1e3)])
def test_two_far_clusters_are_two_problems(p, apart):
    shift = np.array([2.0 ** round(np.log2(apart)), 0])
    near, far = NORMAL[:2], np.round(NORMAL[2:] * 2**20) / 2**20  # that the shift does not round
    matched = [cdist(*pair) ** p for pair in (near, far)]
    parts = [cost[scipy.optimize.linear_sum_assignment(cost)].mean() for cost in matched]
    expected = np.mean(parts) ** (1 / p)
    x, y = (np.concatenate([near[k], far[k] + shift]) for k in range(2))
    weights = np.full(40, 0.3)
    tolerance = 1e-9 if apart <= 1e6 else 1e-6  # of the rounded coordinates
    for named in ({}, {'x_weights': weights, 'y_weights': weights}):
        np.testing.assert_allclose(_proven(x, y, p=p, **named), expected, rtol=tolerance)
    twice = np.concatenate([near[0], near[0], far[0] + shift, far[0] + shift])
    np.testing.assert_allclose(_proven(twice, y, p=p), expected, rtol=tolerance)
    # Masses whose totals in each cluster differ by rounding: that is no mass to be sent across.
    masses = np.random.default_rng(1).random((2, 2, 20))
    masses /= masses.sum(axis=-1, keepdims=True)
    parts = [
        wasserstein_exact(*pair, p=p, x_weights=a, y_weights=b) ** p
        for pair, (a, b) in zip((near, far), masses.swapaxes(0, 1), strict=True)
    ]
    found = _proven(x, y, p=p, x_weights=masses[0].ravel(), y_weights=masses[1].ravel())
    np.testing.assert_allclose(found, np.mean(parts) ** (1 / p), rtol=tolerance)


@pytest.mark.parametrize('p, factor', [(1, 1e6), (1, 1e12), (2, 1e6), (2, 1e12), (4, 1e6)])
def test_far_points_that_carry_mass(p, factor):
    x, y = np.concatenate([NORMAL[0], NORMAL[1]])[:24].copy(), NORMAL[2][:15]
    x[:5] *= factor
    named = {'x_weights': np.full(24, 1.0), 'p': p}
    distance = _proven(x, y, **named)
    assert wasserstein_exact(x, y, p=p) == distance
    expected = distance * exact.transport(x[:, :], y, p, unit=distance)
    np.testing.assert_allclose(distance, expected, rtol=1e-9)


@pytest.mark.parametrize('far', [1e3, 1e8, 1e16])
def test_one_far_point_that_stays_changes_nothing(far):
    x, y = NORMAL[0].copy(), NORMAL[1].copy()
    x[0] = y[3] = far
    for p in (1, 2):
        cost = cdist(x[1:], np.delete(y, 3, axis=0)) ** p
        expected = (cost[scipy.optimize.linear_sum_assignment(cost)].sum() / 20) ** (1 / p)
        for named in ({}, {'x_weights': np.ones(20), 'y_weights': np.ones(20)}):
            np.testing.assert_allclose(_proven(x, y, p=p, **named), expected, rtol=1e-9)


@pytest.mark.parametrize('far', [1e-2, 1.0, 50.0])
def test_large_orders_neither_overflow_nor_vanish(far):
    x, y = np.zeros((1, 2)), np.array([[0.0, far]])
    np.testing.assert_allclose(wasserstein_exact(x, y, p=200), far, rtol=1e-13)
    for p in (50, 200):
        x, y = far * NORMAL[0][:6], far * NORMAL[1][:6]
        distance = wasserstein_exact(x, y, p=p)
        np.testing.assert_allclose(distance, exact.transport(x, y, p, unit=distance) * distance, rtol=1e-10)
        # W_p lies between the bottleneck distance and that times n^(-1/p).
        order = scipy.optimize.linear_sum_assignment
        bottleneck = min(t for t in np.unique(cdist(x, y)) if (cdist(x, y) > t)[order(cdist(x, y) > t)].sum() == 0)
        assert 6 ** (-1 / p) * bottleneck * (1 - 1e-12) <= distance <= bottleneck * (1 + 1e-12)
    if far != 1:
        with pytest.raises(ValueError, match='do not fit into float64'):
            transport_plan(np.zeros((1, 2)), np.array([[0.0, far]]), p=200)


def test_equal_clouds_are_at_distance_zero():
    x = np.arange(3.0)[:, None]
    for cloud in (x, np.hstack([x, x]), NORMAL[0], np.tile(NORMAL[0], 20)):
        for p in (1, 2, 10, 200):
            for times in (1, 10):
                repeated = np.repeat(cloud, times, axis=0)[::-1]
                assert wasserstein_exact(cloud, repeated, p=p) == 0
                weights = np.random.default_rng(0).random(len(cloud))
                split = np.repeat(weights / times, times)[::-1]
                assert wasserstein_exact(cloud, repeated, p=p, x_weights=weights, y_weights=split) == 0
            assert transport_plan(cloud, repeated, p=p).cost == 0


def test_light_masses():
    weights = np.random.default_rng(0).random(20)
    without = wasserstein_exact(NORMAL[0][1:], NORMAL[1], x_weights=weights[1:])
    weights[0] = 1e-50
    assert _proven(NORMAL[0], NORMAL[1], x_weights=weights) == pytest.approx(without, rel=1e-12)
    # All that moves is the light mass.
    x, y = np.array([[0.0, 0], [1, 0], [7, 7]]), np.array([[7.0, 7], [0, 0], [5, 0]])
    for light in (1e-12, 1e-20, 1e-50):
        masses = {'x_weights': [1, light, 0.5], 'y_weights': [0.5, 1, light]}
        np.testing.assert_allclose(wasserstein_exact(x, y, **masses), 4 * light / 1.5, rtol=1e-9)


def test_a_plan_that_moves_other_masses_proves_nothing():
    cost, a = np.array([[0.0, 1], [1, 0]]), np.array([1, 1e-20])
    base, zero, ends = Base(np.zeros(2), np.zeros(2)), np.zeros(2), np.arange(2)
    assert gap(cost, cost, base, a, a, Flow(ends, ends, a, zero, zero)) == 0
    for wrong in (3e-20, 0.9e-20):  # far below the rounding of the total
        assert gap(cost, cost, base, a, a, Flow(ends, ends, np.array([1, wrong]), zero, zero)) == np.inf
    # Potentials above a cost are taken off, and a plan with a detour is charged for it.
    assert gap(cost, cost, base, a, a, Flow(ends, ends, a, zero + 1e-3, zero)) > 1e-3
    assert gap(cost, cost, base, np.ones(2), np.ones(2), Flow(ends, 1 - ends, np.ones(2), zero, zero)) == 2


def test_masses_that_were_normalised_in_float32():
    # Fails where the solver's own rescaling of one side rounds: it then finds that the problem has no solution.
    x, y = np.array([[1, -2], [0, 2]]), np.array([[0, 1], [0, -1], [0, -2]])
    a, b = np.float32([0.30359915, 0.69640088]), np.float32([0.56518209, 0.23912656, 0.19569132])
    found = wasserstein_exact(x, y, p=2, x_weights=a, y_weights=b)
    np.testing.assert_allclose(found, exact.transport(x, y, 2, a, b, unit=1.0), rtol=1e-6)


def test_masses_are_integers_where_they_can_be():
    third, fifth = np.full(6, 1 / 6), np.full(10, 0.1)
    a, b, exact_sums = common_masses(third, fifth)
    assert exact_sums and (a == 5).all() and (b == 3).all()
    a, b, exact_sums = common_masses(np.array([0.25, 0.75]), np.array([3.0, 1, 2]))
    assert exact_sums and a.sum() == b.sum() and (a * 4 == a.sum() * np.array([1, 3])).all()
    assert (b * 6 == b.sum() * np.array([3, 1, 2])).all()
    a, b, exact_sums = common_masses(np.array([0.1, 0.2, 1e-40]), np.array([0.3]))
    assert not exact_sums
    np.testing.assert_allclose(a / a[0], [1, 2, 1e-39], rtol=1e-15)


def _cases(count):
    for seed in range(count):
        rng = np.random.default_rng(seed)
        n, m, d = *rng.integers(1, 7, 2), rng.choice([1, 2, 3, 40])
        p = float(rng.choice([1, 1.5, 2, 4, 10, 200]))
        x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d))
        kind = rng.choice(['normal', 'clusters', 'outliers', 'grid', 'repeated', 'far', 'small', 'mixed'])
        if kind == 'clusters':
            x[rng.random(n) < 0.5] += 10.0 ** rng.uniform(1, 8)
            y[rng.random(m) < 0.5] += 10.0 ** rng.uniform(1, 8)
        elif kind == 'outliers':
            x[rng.random(n) < 0.3] *= 10.0 ** rng.uniform(2, 12)
        elif kind == 'grid':
            x, y = np.round(x), np.round(y)
        elif kind == 'repeated':
            y = x[rng.integers(0, n, m)]
        elif kind == 'far':
            x[0] = y[-1] = 10.0 ** rng.uniform(8, 16)
        elif kind == 'small':
            x, y = 1e-150 * x, 1e-150 * y
        elif kind == 'mixed':
            x, y = x * 10.0 ** rng.uniform(-15, 15, (n, 1)), y * 10.0 ** rng.uniform(-15, 15, (m, 1))
        a = b = None
        weights = rng.choice(['equal', 'one side', 'integers', 'float32', 'some zero', 'thirty orders'])
        if weights == 'one side':
            a = rng.random(n)
        elif weights == 'integers':
            a, b = rng.integers(1, 5, n).astype(float), rng.integers(1, 5, m).astype(float)
            a, b = a * b.sum(), b * a.sum()
        elif weights == 'float32':  # integers of 24 bits, and totals that differ in the last of them
            a, b = (np.float64(v / v.sum()) for v in (np.float32(rng.random(n)), np.float32(rng.random(m))))
        elif weights == 'some zero':
            a, b = (np.append(1, rng.random(k - 1) * (rng.random(k - 1) < 0.6)) for k in (n, m))
            b *= a.sum() / b.sum()
        elif weights == 'thirty orders':
            a = 2.0 ** -rng.integers(0, 100, n)
            b, y = rng.permutation(a), np.concatenate([y, rng.normal(size=(n, d))])[:n]
        yield seed, x, y, p, a, b


def test_random_problems_are_right_or_refused():
    refused = []
    for seed, x, y, p, a, b in _cases(400):
        distance = wasserstein_exact(x, y, p=p, x_weights=a, y_weights=b)
        expected = exact.transport(x, y, p, a, b, unit=distance or 1.0) * (distance or 1)
        np.testing.assert_allclose(distance, expected, rtol=2e-9, err_msg=f'case {seed}')
        try:
            plan = transport_plan(x, y, p=p, x_weights=a, y_weights=b)
        except ValueError as error:
            refused.append((seed, str(error)))
            continue
        dual = _proportions(len(x), a) @ plan.x_potential + _proportions(len(y), b) @ plan.y_potential
        assert abs(plan.cost - dual) <= 1.1e-9 * plan.cost, seed
    assert sum('cannot be proven' in message for _, message in refused) <= 4
    assert all('cannot be proven' in message or 'do not fit' in message for _, message in refused)
