"""Every random draw of a run, as a function of (seed, counter, role, example)."""

import enum
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from wgan_jax.types import Array, Key


class Role(enum.IntEnum):
    """What a draw is for. The values are part of what makes a run repeatable: never renumber."""

    INIT_GENERATOR = 0
    INIT_CRITIC = 1
    CRITIC_LATENT = 2
    GENERATOR_LATENT = 3
    AUGMENT_REAL = 4
    AUGMENT_FAKE = 5
    AUGMENT_GENERATED = 6
    PENALTY = 7
    SAMPLE = 8


def role_key(seed: Array | int, role: Role) -> Key:
    """The key of all draws of one role in one run."""
    return jax.random.fold_in(jax.random.key(seed), int(role))


def example_keys(seed: Array | int, roles: Sequence[Role], counter: Array | int, examples: Array) -> tuple[Key, ...]:
    """Keys of several roles, one per example, the same whichever device holds the example.

    Args:
        seed: of the run, uint32.
        roles: what the keys are for; all are made in one batch, which compiles to one program instead of many.
        counter: which update draws (critic updates or generator steps, as the role's name says).
        examples: global indices of the examples in the batch, (N,).

    Returns:
        For each role its keys, (N,).
    """

    def one(role, example):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), role), counter)
        return jax.random.fold_in(key, example)

    numbers = jnp.array([int(role) for role in roles], jnp.uint32)
    keys = jax.vmap(lambda role: jax.vmap(lambda example: one(role, example))(examples))(numbers)
    return tuple(keys[i] for i in range(len(roles)))
