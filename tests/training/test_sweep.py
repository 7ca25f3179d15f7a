"""Sweeps: each run of a program computes what it would compute alone, in groups of any size, in one compilation."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from wgan_jax.data import synthetic
from wgan_jax.networks import Players, mlp
from wgan_jax.training.configure import settings
from wgan_jax.training.draws import draw_from
from wgan_jax.training.gan import Hyperparameters
from wgan_jax.training.groups import default_group, group_size, map_runs
from wgan_jax.training.state import init_state
from wgan_jax.training.step import train_steps
from wgan_jax.training.sweep import combinations, make_sweep, sweep
from wgan_jax.training.toy import TOY_PRESETS, build_toy

SMALL = {'width': 8, 'batch_size': 8, 'n_critic': 2}


@pytest.fixture(scope='module')
def gan():

    settings = dataclasses.replace(TOY_PRESETS['wgan'], **SMALL)
    return build_toy(settings, synthetic.ring(), depth=1)[0]


BASE = Hyperparameters(generator_lr=1e-2, critic_lr=7.0, clip=7.0, penalty_weight=3.0)
RUNS = combinations([3, 4], BASE, critic_lr=[1e-2, 3e-2], clip=[0.1, 0.5])


def test_combinations_take_every_value_with_every_other_seeds_fastest():
    assert RUNS.seed.tolist() == [3, 4] * 4
    np.testing.assert_allclose(RUNS.hyperparameters.critic_lr, [0.01] * 4 + [0.03] * 4)
    np.testing.assert_allclose(RUNS.hyperparameters.clip, [0.1, 0.1, 0.5, 0.5] * 2)
    np.testing.assert_allclose(RUNS.hyperparameters.generator_lr, [0.01] * 8)
    np.testing.assert_array_equal(RUNS.hyperparameters.penalty_weight, [3] * 8)
    with pytest.raises(ValueError, match='beta1 cannot be swept; there are: generator_lr, critic_lr'):
        combinations([0], BASE, beta1=[0.5])
    with pytest.raises(ValueError, match='clip has no values'):
        combinations([0], BASE, clip=[])


@pytest.mark.slow
def test_a_sweep_compiles_once_and_each_run_is_what_it_is_alone(gan):
    compilations = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compilations.append(name) if 'backend_compile' in name else None
    )
    alone = jax.jit(functools.partial(train_steps, gan, capacity=4))
    for group in (1, 4):
        sweep = make_sweep(gan, RUNS, group=group, capacity=4)
        assert sweep.group == group
        states = sweep.init()
        jax.block_until_ready(states)
        states, _ = sweep.run(states, 1)
        jax.block_until_ready(states)
        compilations.clear()
        states, rows = sweep.run(states, 3)
        jax.block_until_ready(states)
        assert not compilations
        assert rows.shape[:2] == (8, 4)
        for i in (0, 3, 7):
            hyperparameters, seed = jax.tree.map(lambda leaf, i=i: leaf[i], (RUNS.hyperparameters, RUNS.seed))
            one, one_rows = alone(hyperparameters, init_state(gan, hyperparameters, seed), None, 4)
            np.testing.assert_allclose(rows[i, :3], one_rows[1:], rtol=2e-4, atol=1e-6)
            for a, b in zip(jax.tree.leaves(states), jax.tree.leaves(one), strict=True):
                np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-5)
    largest = [max(float(np.abs(leaf[i]).max()) for leaf in jax.tree.leaves(states.params.critic)) for i in range(8)]
    assert all(value <= np.float32(clip) for value, clip in zip(largest, RUNS.hyperparameters.clip, strict=True))
    assert max(largest) > 0.1


def test_runs_may_differ_in_their_data(gan):

    two = jax.tree.map(lambda leaf: leaf[:2], RUNS)
    apart = synthetic.stack_mixtures(
        [synthetic.mixture(np.array([[9.0, 9.0]]), 0.01), synthetic.mixture(np.array([[0.0, 0.0], [0.5, 0.5]]), 0.01)]
    )
    traced = dataclasses.replace(gan, draw=draw_from(synthetic.sample_mixture))
    runs = two._replace(data=apart, seed=np.array([3, 3], np.uint32))
    sweep = make_sweep(traced, runs, capacity=1)
    _, rows = sweep.run(sweep.init(), 1)
    assert not np.allclose(rows[0], rows[1])
    shared = make_sweep(traced, two, jax.tree.map(lambda leaf: leaf[0], apart), capacity=1)
    _, same = shared.run(shared.init(), 1)
    np.testing.assert_allclose(same[0], rows[0], rtol=1e-6)


@pytest.mark.parametrize(('num', 'most', 'size'), [(16, 5, 4), (16, 64, 16), (7, 4, 1), (7, 7, 7), (1, 8, 1)])
def test_groups_divide_the_runs(num, most, size):
    assert group_size(num, most) == size


def test_groups_are_made_of_neighbours_whatever_their_size():
    x, y = np.arange(6.0), np.arange(12.0).reshape(6, 2)
    expected = x[:, None] * y
    for group in (1, 2, 3, 6):
        np.testing.assert_array_equal(jax.jit(map_runs(lambda a, b: a * b, group))(x, y), expected)
    assert default_group('cpu') < default_group('gpu')


def test_one_call_trains_every_combination_as_each_would_train_alone():
    small = dataclasses.replace(TOY_PRESETS['wgan'], **SMALL)
    result = sweep(small, dataset='ring', seeds=[3, 4], clip=[0.1, 0.5], steps=5)
    assert result.metrics.wasserstein.shape == (4, 5) and result.runs.seed.tolist() == [3, 4] * 2
    assert result.sample(jax.random.key(0), 6).shape == (4, 6, 2)
    gan, hyperparameters = build_toy(dataclasses.replace(small, clip=0.5), synthetic.ring())
    alone = jax.jit(functools.partial(train_steps, gan, capacity=5))
    state, rows = alone(hyperparameters, init_state(gan, hyperparameters, 4), None, 5)
    np.testing.assert_allclose(np.stack(result.metrics, -1)[3], rows, rtol=2e-4, atol=1e-6)
    for a, b in zip(jax.tree.leaves(result.states), jax.tree.leaves(state), strict=True):
        np.testing.assert_allclose(a[3], b, rtol=1e-4, atol=1e-5)


def test_a_sweep_of_images_and_what_is_refused():
    pixels = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 1), np.uint8)
    tiny = settings('wgan_gp', arch='mlp', width=4, latent_dim=2, batch_size=4, n_critic=1, image_size=4)
    result = sweep(tiny, dataset=pixels, penalty_weight=[1.0, 10.0], steps=2, group=np.int64(2))
    assert result.metrics.penalty.shape == (2, 2) and result.sample(jax.random.key(0), 3).shape == (2, 3, 4, 4, 1)
    with pytest.raises(ValueError, match=r'not an array \(2,\) of key'):
        result.sample(jax.random.split(jax.random.key(0)), 3)
    for options, message in (
        ({'clip': [0.1]}, 'clip has no effect with constraint=gradient_penalty'),
        ({'critic_lr': [-1.0]}, 'critic_lr=-1.0 must be a positive number'),
        ({'n_critic': [1, 2]}, 'n_critic cannot be swept; there are: generator_lr'),
        ({'steps': 0}, 'steps=0 must be at least 1'),
        ({'seeds': []}, 'seeds has no values'),
        ({'seeds': [-1]}, r'seeds=\[-1\] must lie in'),
        ({'critic_lr': 0.1}, 'critic_lr=0.1 must be a sequence of values'),
        ({'critic_lr': b'ab'}, "critic_lr=b'ab' must be a sequence of values"),
        ({'critic_lr': np.array(0.1)}, r'critic_lr=array\(0.1\) must be a sequence of values'),
        ({'seeds': range(10**9)}, '1000000000 runs of .* would take'),
        ({'group': 0}, 'group=0 must be at least 1'),
        ({'seeds': np.array(3)}, r'seeds=array\(3\) must be a sequence of values'),
        ({'seeds': range(10**20)}, r'seeds=range\(0, 1' + '0' * 20 + r'\) are more than 2147483647 values'),
        ({'on_chunk': 3}, 'on_chunk=3 must be a function'),
        ({'critic_lr': ['a']}, 'critic_lr=a must be a number'),
    ):
        with pytest.raises(ValueError, match=message):
            sweep(tiny, dataset=pixels, **options)
    with pytest.raises(ValueError, match='arch=dcgan is not read for a density'):
        settings('wgan', toy=True, critic_norm='layer', arch='dcgan', image_size=16)
    with pytest.raises(ValueError, match='init_from=/x has no effect on a sweep'):
        sweep(settings('wgan', toy=True, init_from='/x'))
    with pytest.raises(ValueError, match='preset=flags is unknown for a density; there are: wgan, wgan_gp'):
        sweep('flags', dataset='ring')
    with pytest.raises(ValueError, match=r"unknown dataset 'rings'.*; of densities there are ring, grid"):
        sweep('wgan', dataset='rings')


def test_a_toy_of_networks_of_one_s_own():
    generator = mlp.generator((2,), latent_dim=2, width=4, depth=1)
    mine = Players(generator, mlp.critic((2,), width=4, depth=1))
    result = sweep(settings('wgan_gp', toy=True, arch=mine, batch_size=8), dataset='ring', steps=2)
    assert result.gan.networks is mine and result.metrics.penalty.shape == (1, 2)
    with pytest.raises(ValueError, match=r'arch: the generator makes \(2, 3\) of \(2, 2\)'):
        other = Players(mlp.generator((3,), latent_dim=2, width=4), mine.critic)
        sweep(settings('wgan_gp', toy=True, arch=other), dataset='ring', steps=2)
