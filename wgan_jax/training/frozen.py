"""A critic trained from scratch against a generator that stands still, and what that critic would hand to it."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from wgan_jax.lengths import tree_length
from wgan_jax.objectives import Objective, wasserstein_estimate
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.state import TrainState, init_state
from wgan_jax.training.step import critic_update, draw_batches, generator_gradient
from wgan_jax.types import Array, Players, Variables


class CriticProbe(NamedTuple):
    """A critic's state at one moment, and the gradients that a generator would get from it.

    Attributes:
        loss: the critic's objective on a fresh batch, without a penalty.
        accuracy: share of that batch's images, real and fake, on the right side of a score of 0.
        wasserstein: E f(real) - E f(fake) on that batch.
        gradient_norm: for each objective, mean over the draws of the norm of its gradient with respect to the
            generator's parameters; (objectives,).
        gradient_std: for each objective, the standard deviation over the draws of that norm; (objectives,).
    """

    loss: Array
    accuracy: Array
    wasserstein: Array
    gradient_norm: Array
    gradient_std: Array


def restart_critic(gan: GAN, hyperparameters: Hyperparameters, state: TrainState, seed: int) -> TrainState:
    """The generator of ``state`` with a critic of ``gan`` as it comes from initialisation.

    Args:
        gan: whose generator is that of ``state``; its critic, objective and constraint may be others.
        hyperparameters: the traced numbers.
        state: whose generator is kept.
        seed: of the critic's initial weights and of all draws from here on.

    Returns:
        A state with no critic updates done; ``frozen_updates`` advances it.
    """
    fresh = init_state(gan, hyperparameters, seed)
    return fresh._replace(
        step=state.step,
        params=Players(state.params.generator, fresh.params.critic),
        network_state=Players(state.network_state.generator, fresh.network_state.critic),
    )


def frozen_updates(
    gan: GAN, hyperparameters: Hyperparameters, state: TrainState, data: Array, num_updates: Array | int
) -> TrainState:
    """``num_updates`` critic updates, a run-time value, against the generator as it is."""

    def body(_, state):
        return critic_update(gan, hyperparameters, state, data)[0]

    return jax.lax.fori_loop(0, num_updates, body, state)


def probe_critic(
    gan: GAN, objectives: Sequence[Objective], state: TrainState, data: Array, *, draws: int
) -> CriticProbe:
    """Reads a critic on one fresh batch, and the generator's gradients on several.

    Args:
        gan: what was trained.
        objectives: whose generator losses are differentiated, all through the same critic.
        state: both players.
        data: the whole dataset, as ``gan.draw`` takes it.
        draws: batches of latents over which norms are averaged; every probe draws others.

    Returns:
        A CriticProbe.

    Source: Arjovsky and Bottou, 2017, https://arxiv.org/abs/1701.04862, figures 2 and 3.
    """
    critic = Variables(state.params.critic, state.network_state.critic)
    real, fake, _ = draw_batches(gan, state, data, state.critic_step)
    real_scores, fake_scores = (gan.networks.critic.apply(critic, images, train=True)[0] for images in (real, fake))
    right = jnp.concatenate([real_scores > 0, fake_scores < 0])
    counters = jnp.uint32(0x80000000) + jnp.uint32(state.critic_step) * draws + jnp.arange(draws, dtype=jnp.uint32)

    def norms(objective):
        one = dataclasses.replace(gan, objective=objective)
        return jax.lax.map(lambda counter: tree_length(generator_gradient(one, state, counter)[1]), counters)

    all_norms = jnp.stack([norms(objective) for objective in objectives])
    return CriticProbe(
        loss=gan.objective.critic_loss(real_scores, fake_scores),
        accuracy=jnp.mean(right),
        wasserstein=wasserstein_estimate(real_scores, fake_scores),
        gradient_norm=all_norms.mean(1),
        gradient_std=all_norms.std(1),
    )
