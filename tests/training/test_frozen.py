"""Critics trained against a frozen generator: nothing else moves, and probes are what they say."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from tests.training.common import small_gan, small_pixels
from wgan_jax.data import synthetic
from wgan_jax.objectives import OBJECTIVES
from wgan_jax.training.frozen import between, fit_critic, fit_critics, fresh_critic, probe_critic
from wgan_jax.training.state import init_state
from wgan_jax.training.step import generator_gradient
from wgan_jax.training.toy import TOY_PRESETS, build_toy
from wgan_jax.types import Variables


@pytest.fixture(scope='module')
def trained():
    gan, hyperparameters = small_gan('dcgan')
    begun = init_state(gan, hyperparameters, 0)
    generator = Variables(begun.params.generator, begun.network_state.generator)
    start = fresh_critic(gan, hyperparameters, generator, 5, step=7)
    update = jax.jit(functools.partial(fit_critic, gan))
    return gan, hyperparameters, begun, start, update(hyperparameters, start, small_pixels(), np.int32(3)), update


def _equal(a, b):
    return jax.tree.all(jax.tree.map(lambda u, v: bool((np.asarray(u) == np.asarray(v)).all()), a, b))


def test_only_the_critic_moves(trained):
    # Fails if the generator's batch statistics or its average advance, or if a restart keeps the old critic.
    _, _, begun, start, after, _ = trained
    assert _equal(after.params.generator, begun.params.generator)
    assert _equal(after.network_state.generator, begun.network_state.generator)
    assert int(after.step) == 7 and int(after.critic_step) == 3
    assert not _equal(start.params.critic, begun.params.critic) and not _equal(after.params.critic, start.params.critic)


def test_updates_go_on_where_they_stopped_in_one_program(trained):
    _, hyperparameters, _, start, after, update = trained
    twice = update(
        hyperparameters, update(hyperparameters, start, small_pixels(), np.int32(1)), small_pixels(), np.int32(2)
    )
    assert _equal(twice.params.critic, after.params.critic) and update._cache_size() == 1


def test_a_reading_averages_the_norms_of_single_gradients(trained):
    # Against norms computed one by one; fails for the norm of a mean, or for one objective used for all.
    gan, _, _, _, after, _ = trained
    objectives = [OBJECTIVES['minimax'], OBJECTIVES['non_saturating']]
    probe = jax.jit(functools.partial(probe_critic, gan, objectives, draws=2))(after, small_pixels())
    first = np.uint32(0x80000000) + np.uint32(int(after.critic_step) * 2)
    for i, objective in enumerate(objectives):
        single = jax.jit(functools.partial(generator_gradient, dataclasses.replace(gan, objective=objective)))
        norms = []
        for draw in range(2):
            _, gradient = single(after, small_pixels(), first + np.uint32(draw))
            norms.append(np.sqrt(sum(float((g**2).sum()) for g in jax.tree.leaves(gradient))))
        np.testing.assert_allclose(probe.gradient_norm[i], np.mean(norms), rtol=1e-5)
        np.testing.assert_allclose(probe.gradient_std[i], np.std(norms), rtol=1e-3, atol=1e-7)
    assert 0 <= probe.accuracy <= 1
    # d/dg log(1 - D) = -D l' and d/dg -log D = -(1 - D) l': near D = 1/2 the two are about equal.
    np.testing.assert_allclose(*probe.gradient_norm, rtol=0.5)


def test_rates_fall_to_0_with_the_critic_s_own_updates(trained):
    # Fails if a rate falls with the updates of a call, or with the generator's; the fourth of four has a quarter left.
    gan, hyperparameters, _, start, _, update = trained
    state = start
    for i in range(4):
        now = hyperparameters._replace(critic_lr=hyperparameters.critic_lr * np.float32(1 - i / 4))
        state = update(now, state, small_pixels(), np.int32(1))
    falling = jax.jit(functools.partial(fit_critic, gan))
    first = falling(hyperparameters, start, small_pixels(), np.int32(3), horizon=np.int32(4))
    fitted = falling(hyperparameters, first, small_pixels(), np.int32(1), horizon=np.int32(4))
    for ours, theirs in zip(*map(jax.tree.leaves, (fitted.params.critic, state.params.critic)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    still = falling(hyperparameters, fitted, small_pixels(), np.int32(2), horizon=np.int32(4))
    assert _equal(still.params.critic, fitted.params.critic) and falling._cache_size() == 1


def _line(parameters, key):
    mean, std = parameters
    return mean + std * jax.random.normal(key, (1,))


def test_many_critics_are_each_what_it_would_be_alone_and_find_their_distances():
    # Fails if one sees another's data, generator, clip or seed. An orthonormal critic's estimate is W1 itself: here the
    # distance of the means.
    settings = dataclasses.replace(
        TOY_PRESETS['wgan'], constraint='orthonormal', optimizer='adam', critic_lr=1e-2, width=8, batch_size=64
    )
    gan, one = build_toy(settings, synthetic.two_gaussians_1d(), depth=1)
    gan = between(gan, _line, _line)
    mean_real, mean_fake, std = np.float32([0.0, 1.0, -1.0]), np.float32([2.0, -2.0, 2.0]), np.float32([0.5, 0.25, 1.0])
    hyperparameters = jax.tree.map(lambda value: np.full(3, value, np.float32), one)
    told = []

    def fit(runs):
        def pick(tree):
            return jax.tree.map(lambda leaf: leaf[runs], tree)

        return fit_critics(
            gan, pick(hyperparameters), Variables(pick((mean_fake, std)), {}), pick((mean_real, std)),
            np.uint32([3, 4, 5])[runs], 200, on_updates=told.append,
        ).variables  # fmt: skip

    together = fit(np.arange(3))
    assert sum(told) == 200
    alone = fit(np.array([1]))
    for ours, theirs in zip(*map(jax.tree.leaves, (together, alone)), strict=True):
        np.testing.assert_allclose(ours[1], theirs[0], rtol=1e-4, atol=1e-5)
    for i in range(3):
        variables = jax.tree.map(lambda leaf, i=i: leaf[i], together)
        ends = np.array([[mean_real[i]], [mean_fake[i]]])
        high, low = gan.networks.critic.apply(variables, ends, train=False)[0]
        np.testing.assert_allclose(high - low, abs(mean_real[i] - mean_fake[i]), rtol=0.02)
