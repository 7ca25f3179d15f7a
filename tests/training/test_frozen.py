"""Critics trained against a frozen generator: nothing else moves, and readings are what they say."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training.common import small_gan, small_pixels
from wgan_jax.objectives import OBJECTIVES
from wgan_jax.training.frozen import frozen_updates, probe_critic, restart_critic
from wgan_jax.training.state import init_state
from wgan_jax.training.step import generator_gradient


@pytest.fixture(scope='module')
def trained():
    gan, hyperparameters = small_gan('dcgan')
    begun = init_state(gan, hyperparameters, 0)
    start = restart_critic(gan, hyperparameters, begun._replace(step=jnp.int32(7)), 5)
    update = jax.jit(functools.partial(frozen_updates, gan))
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
    reading = jax.jit(functools.partial(probe_critic, gan, objectives, draws=2))(after, small_pixels())
    first = np.uint32(0x80000000) + np.uint32(int(after.critic_step) * 2)
    for i, objective in enumerate(objectives):
        single = jax.jit(functools.partial(generator_gradient, dataclasses.replace(gan, objective=objective)))
        norms = []
        for draw in range(2):
            _, gradient = single(after, first + np.uint32(draw))
            norms.append(np.sqrt(sum(float((g**2).sum()) for g in jax.tree.leaves(gradient))))
        np.testing.assert_allclose(reading.gradient_norm[i], np.mean(norms), rtol=1e-5)
        np.testing.assert_allclose(reading.gradient_std[i], np.std(norms), rtol=1e-3, atol=1e-7)
    assert 0 <= reading.accuracy <= 1
    # d/dg log(1 - D) = -D l' and d/dg -log D = -(1 - D) l': near D = 1/2 the two are about equal.
    np.testing.assert_allclose(*reading.gradient_norm, rtol=0.5)
