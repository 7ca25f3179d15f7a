"""A critic trained against something that stands still: a frozen generator, or any distribution in place of one.

``fit_critic`` is the one loop; ``fit_critics`` trains many critics from scratch with it, and ``probe_critic`` reads
what a critic would hand to a generator.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.lengths import tree_length
from wgan_jax.objectives import Objective, wasserstein_estimate
from wgan_jax.training.draws import draw_from
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.groups import default_group, group_size, map_runs
from wgan_jax.training.pace import SECONDS_PER_CALL, Pace
from wgan_jax.training.state import TrainState, init_state
from wgan_jax.training.step import critic_update, draw_batches, generator_gradient
from wgan_jax.types import Array, Key, Network, Players, PyTree, Variables, given

PLACE = 0x706C6163  # of the key for placing a critic, apart from the seed's others


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


def between(gan: GAN, real: Callable[[PyTree, Key], Array], fake: Callable[[PyTree, Key], Array]) -> GAN:
    """``gan`` with two distributions in place of its data and its generator, for the functions of this module.

    Args:
        gan: its critic, objective, constraint, augmentation, instance noise, critic optimizer and
            batch size are kept.
        real, fake: ``sample(parameters, key)``, one example each.

    Returns:
        A GAN whose data are the parameters of ``real``, and whose generator's parameters are those of ``fake``: they go
        into ``fresh_critic`` as ``Variables(parameters, {})``. Its latents are keys.
    """

    def init(key: Key) -> Variables:
        del key
        return Variables({}, {})

    def apply(
        variables: Variables, keys: Key, *, train: bool, axis_name: str | None = None, labels: Array | None = None
    ) -> tuple[Array, PyTree]:
        del train, axis_name, labels
        return jax.vmap(lambda key: fake(variables.params, key))(keys), variables.state

    networks = Players(Network(init, apply), gan.networks.critic)
    return dataclasses.replace(gan, networks=networks, latent=lambda key: key, draw=draw_from(real))


def fresh_critic(
    gan: GAN, hyperparameters: Hyperparameters, generator: Variables, seed: Array | int, *, step: Array | int = 0
) -> TrainState:
    """A critic of ``gan`` as it comes from initialisation, facing a generator that is given; ``vmap`` makes many.

    Args:
        gan: whose generator network takes these variables; its critic, objective and constraint may be others than
            those that the generator was trained with.
        hyperparameters: the traced scalars.
        generator: of whose arrays no copy is made.
        seed: of the critic's initial weights and of all draws from here on.
        step: generator updates done, which instance noise depends on.

    Returns:
        A state with no critic updates done; ``fit_critic`` advances it.
    """
    fresh = init_state(gan, hyperparameters, seed)
    return fresh._replace(
        step=jnp.asarray(step, jnp.int32),
        params=Players(generator.params, fresh.params.critic),
        network_state=Players(generator.state, fresh.network_state.critic),
    )


def fit_critic(
    gan: GAN,
    hyperparameters: Hyperparameters,
    state: TrainState,
    data: PyTree,
    num_updates: Array | int,
    *,
    horizon: Array | int = 0,
) -> TrainState:
    """Critic updates against the generator as it is; pure, and ``vmap`` runs over critics.

    Args:
        gan, hyperparameters: what is trained, and its hyperparameters.
        state: of whose fields only the critic's change.
        data: the whole dataset, as ``gan.draw`` takes it.
        num_updates: how many, a run-time value.
        horizon: critic updates over which the critic's learning rate falls linearly to 0: the update after ``i``
            others, in this call or before, has ``rate * (1 - i / horizon)``. 0 for a constant rate. A run-time value.

    Returns:
        The state after the updates.
    """

    def body(_, state):
        left = jnp.where(horizon > 0, jnp.maximum(0.0, 1.0 - state.critic_step / jnp.maximum(horizon, 1)), 1.0)
        now = hyperparameters._replace(critic_lr=hyperparameters.critic_lr * left)
        return critic_update(gan, now, state, data)[0]

    return jax.lax.fori_loop(0, num_updates, body, state)


class Critics(NamedTuple):
    """R trained critics.

    Attributes:
        variables: leaves (R, ...).
        seconds: that their training took together, compilation apart.
    """

    variables: Variables
    seconds: float


def fit_critics(
    gan: GAN,
    hyperparameters: Hyperparameters,
    generators: Variables,
    data: PyTree,
    seeds: Array,
    num_updates: int,
    *,
    place: Callable[[Variables, Variables, PyTree, Key], Variables] | None = None,
    on_updates: Callable[[int], object] | None = None,
) -> Critics:
    """Trains R critics from scratch to the end, each against its own generator, in one compiled program.

    Args:
        gan: what all have in common.
        hyperparameters, generators, data: of each critic, leaves (R, ...); see ``fresh_critic`` and ``fit_critic``.
        seeds: (R,), uint32.
        num_updates: of each critic; its learning rate falls linearly to 0 over them.
        place: ``place(critic, generator, data, key)`` gives a critic's variables to begin with, made of fresh ones and
            of what it is to tell apart; None for the fresh ones.
        on_updates: is told after every call, which takes about two seconds, how many updates of each critic it made.

    Returns:
        The Critics.
    """
    num = len(seeds)
    group = group_size(num, default_group())
    hyperparameters, generators, data, seeds = jax.device_put((hyperparameters, generators, data, seeds))

    @jax.jit
    def begin(hyperparameters, generators, data, seeds):
        def one(hyperparameters, generator, data, seed):
            state = fresh_critic(gan, hyperparameters, generator, seed)
            if place is None:
                return state
            placed = place(state.critic, generator, data, jax.random.fold_in(jax.random.key(seed), PLACE))
            return state._replace(
                params=Players(state.params.generator, placed.params),
                network_state=Players(state.network_state.generator, placed.state),
            )

        return map_runs(one, group)(hyperparameters, generators, data, seeds)

    @functools.partial(jax.jit, donate_argnums=1)
    def run(hyperparameters, states, data, count):
        def one(hyperparameters, state, data):
            return fit_critic(gan, hyperparameters, state, data, count, horizon=num_updates)

        return map_runs(one, group)(hyperparameters, states, data)

    states = begin(hyperparameters, generators, data, seeds)
    compiled = run.lower(hyperparameters, states, data, np.int32(0)).compile()
    done, seconds, pace = 0, 0.0, Pace(num_updates)
    pace.took(1, SECONDS_PER_CALL)  # compiled already
    while done < num_updates:
        count = pace.next(num_updates - done)
        began = time.perf_counter()
        states = jax.block_until_ready(compiled(hyperparameters, states, data, np.int32(count)))
        took = time.perf_counter() - began
        done, seconds = done + count, seconds + took
        pace.took(count, took)
        if on_updates is not None:
            on_updates(count)
    return Critics(states.critic, seconds)


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
    real, fake, _, labels = draw_batches(gan, state, data, state.critic_step)
    real_scores, fake_scores = (
        gan.networks.critic.apply(state.critic, images, train=True, **given(labels))[0] for images in (real, fake)
    )
    right = jnp.concatenate([real_scores > 0, fake_scores < 0])
    counters = jnp.uint32(0x80000000) + jnp.uint32(state.critic_step) * draws + jnp.arange(draws, dtype=jnp.uint32)

    def norms(objective):
        one = dataclasses.replace(gan, objective=objective)
        return jax.lax.map(lambda counter: tree_length(generator_gradient(one, state, data, counter)[1]), counters)

    all_norms = jnp.stack([norms(objective) for objective in objectives])
    return CriticProbe(
        loss=gan.objective.critic_loss(real_scores, fake_scores),
        accuracy=jnp.mean(right),
        wasserstein=wasserstein_estimate(real_scores, fake_scores),
        gradient_norm=all_norms.mean(1),
        gradient_std=all_norms.std(1),
    )
