"""The envelope of cones: its values, its slope, its temperature, where its cones are put, and that it finds W1."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.data import funnels
from wgan_jax.lipschitz import lower_bounds, upper_bound
from wgan_jax.networks import cones
from wgan_jax.types import Variables


def _variables(apexes, heights, first=0.5, passes=0):
    params = {'apexes': jnp.asarray(apexes, jnp.float32), 'heights': jnp.asarray(heights, jnp.float32)}
    return Variables(params, {'cooling': {'first': jnp.float32(first), 'passes': jnp.int32(passes)}})


def _random(dim, num, seed=0, **options):
    draw = np.random.default_rng(seed)
    return _variables(draw.normal(size=(num, dim)), draw.normal(size=num), **options)


@pytest.mark.parametrize('dim', [1, 4, 5, 60])
def test_it_is_the_smooth_maximum_of_cones(dim):
    # Fails for another sign, temperature, or distance: by differences in few dimensions, by products in many.
    variables, network = _random(dim, 7), cones.critic((dim,), num_cones=7)
    x = np.random.default_rng(1).normal(size=(9, dim)).astype(np.float32)
    a, h = (np.asarray(variables.params[name], np.float64) for name in ('apexes', 'heights'))
    cone = h - np.sqrt(np.square(x[:, None].astype(np.float64) - a).sum(-1))
    expected = 0.5 * np.log(np.exp(cone / 0.5).sum(axis=1))
    np.testing.assert_allclose(network.apply(variables, x, train=False)[0], expected, rtol=1e-4, atol=1e-5)
    cold = _random(dim, 7, first=1e-4)
    np.testing.assert_allclose(network.apply(cold, x, train=False)[0], cone.max(axis=1), rtol=1e-3, atol=1e-3)


def test_images_are_vectors():
    network = cones.critic((2, 3, 1), num_cones=4)
    variables, x = _random(6, 4), np.random.default_rng(2).normal(size=(5, 2, 3, 1)).astype(np.float32)
    flat = cones.critic((6,), num_cones=4).apply(variables, x.reshape(5, 6), train=False)[0]
    np.testing.assert_array_equal(network.apply(variables, x, train=False)[0], flat)


@pytest.mark.parametrize('dim', [2, 30])
@pytest.mark.parametrize('first', [1e-4, 0.5, 100.0])
def test_it_is_nowhere_steeper_than_one(dim, first):
    # At apexes, too, and between points that are near to each other.
    variables, network = _random(dim, 20, first=first), cones.critic((dim,), num_cones=20)
    draw = np.random.default_rng(3)
    x = np.concatenate([variables.params['apexes'], draw.normal(0, 2, (100, dim)), draw.normal(0, 1e-2, (60, dim))])
    found = lower_bounds(lambda x: network.apply(variables, x, train=False)[0], jnp.asarray(x, jnp.float32), shifts=90)
    assert 0.01 < found.gradient < 1 + 1e-5 and found.slope < 1 + 1e-3
    assert float(upper_bound(network, variables)) == 1 and float(upper_bound(network, variables, clip=3.0)) == 1


def test_a_gradient_at_an_apex_is_finite():
    variables, network = _random(3, 4), cones.critic((3,), num_cones=4)

    def score(params, x):
        return network.apply(Variables(params, variables.state), x, train=False)[0].sum()

    gradients = jax.grad(score, argnums=(0, 1))(variables.params, variables.params['apexes'])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


def test_the_temperature_falls_to_a_thirtieth_and_stays():
    # Fails if passes without train count, the two passes of an update count twice, or it falls on for ever.
    network = cones.critic((2,), num_cones=1, temperature=0.6, anneal=4)
    variables = network.init(jax.random.key(0))
    x, temperatures = jnp.zeros((1, 2)), []
    # One cone of height 0 at the point itself would hide the temperature: a second one at the same place shows it.
    twice = cones.critic((2,), num_cones=2, temperature=0.6, anneal=4)
    state = twice.init(jax.random.key(0)).state
    assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, variables.state)
    same = {'apexes': jnp.zeros((2, 2)), 'heights': jnp.zeros(2)}
    for _ in range(7):
        score, unchanged = twice.apply(Variables(same, state), x, train=False)
        assert unchanged is state
        temperatures.append(float(score[0]) / np.log(2))
        state = twice.apply(Variables(same, state), x, train=True)[1]
    np.testing.assert_allclose(temperatures, 0.6 * 30.0 ** -np.minimum(np.arange(7) / 4, 1), rtol=1e-5)
    constant = cones.critic((2,), num_cones=2, temperature=0.6)
    fixed = Variables(same, constant.init(jax.random.key(0)).state)
    after = constant.apply(fixed, x, train=True)[1]
    np.testing.assert_allclose(constant.apply(Variables(same, after), x, train=True)[0], 0.6 * np.log(2), rtol=1e-5)


def test_cones_are_put_among_samples():
    # Fails for neighbours of other samples, a sign of the estimate, or cones that keep what they had learnt.
    draw = np.random.default_rng(4)
    high, low = draw.normal(size=(60, 2)).astype(np.float32), draw.normal(3, 1, (50, 2)).astype(np.float32)
    network = cones.critic((2,), num_cones=8, anneal=10)
    placed = cones.place(_random(2, 8, passes=7), high, low, neighbours=5)
    order = np.argsort(np.linalg.norm(high[:8, None] - high, axis=-1), axis=1)[:, :5]
    np.testing.assert_allclose(placed.params['apexes'], high[order].mean(axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(placed.params['heights'], 0)
    apexes = np.asarray(placed.params['apexes'])
    near_high, near_low = (np.linalg.norm(x[:, None] - apexes, axis=-1).min(axis=1).mean() for x in (high, low))
    np.testing.assert_allclose(placed.state['cooling']['first'], 0.3 * (near_low - near_high), rtol=1e-4)
    assert int(placed.state['cooling']['passes']) == 0
    network.apply(placed, high, train=True)
    equal = cones.place(_random(2, 8, first=0.25), high, high)
    assert float(equal.state['cooling']['first']) == 0.25  # nothing is a unit of distance there
    with pytest.raises(ValueError, match='8 cones and 61 neighbours need as many samples, and there are 60'):
        cones.place(_random(2, 8), high, low, neighbours=61)


@pytest.mark.parametrize('options, match', [({'num_cones': 0}, 'num_cones'), ({'temperature': 0.0}, 'temperature')])
def test_what_cannot_be_built_is_refused(options, match):
    with pytest.raises(ValueError, match=f'{match}=0.* must be'):
        cones.critic((2,), **options)


@functools.cache
def _trained(dim, num):
    from experiments.w1_benchmark import cells
    from experiments.w1_benchmark.methods import METHODS

    pair = funnels.draw_funnels(jax.random.key(0), dim, num)
    method = METHODS['cones'](num_cones=64, cones_per_dim=0, batch_size=256, updates=500)
    variables, _ = cells.train(method, pair, seed=0)
    return cells.judge(method, variables, pair, 0)


@pytest.mark.parametrize('dim, num, cosine', [(2, 4, 0.9), (6, 6, 0.97)])
def test_it_finds_the_distance_and_never_more(dim, num, cosine):
    # Fails if it is not trained where it was put, not cooled, or steeper than it says.
    found = _trained(dim, num)
    assert found['cosine'] > cosine and -0.03 < found['w1_error'] < 2e-3
    assert found['bound'] == 1 and found['certified'] == found['w1'] and found['largest_gradient'] < 1 + 1e-4
