"""Everything that changes while a GAN trains, in one structure."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.training.compiled import compiled
from wgan_jax.training.draws import Role, role_key
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.types import Array, Players, PyTree, Variables


class TrainState(NamedTuple):
    """The whole state of a run: what a checkpoint holds.

    Attributes:
        seed: uint32, constant; every draw follows from it and the two counters.
        step: generator updates done, int32.
        critic_step: critic updates done, int32.
        params: Players of parameters.
        network_state: Players of the networks' own state (batch statistics).
        optimizer_state: Players of optax states.
        ema: Variables of the generator averaged over its updates, in float32.
    """

    seed: Array
    step: Array
    critic_step: Array
    params: Players[PyTree]
    network_state: Players[PyTree]
    optimizer_state: Players[PyTree]
    ema: Variables

    @property
    def generator(self) -> Variables:
        """The generator as it trains, not its average."""
        return Variables(self.params.generator, self.network_state.generator)

    @property
    def critic(self) -> Variables:
        """The critic."""
        return Variables(self.params.critic, self.network_state.critic)


def init_state(gan: GAN, hyperparameters: Hyperparameters, seed: Array | np.integer | int) -> TrainState:
    """The state before the first update, a pure function of the seed.

    Args:
        gan: what is trained.
        hyperparameters: their values do not matter here, only that they are there.
        seed: 0 <= seed < 2**32.

    Returns:
        A TrainState in which no two leaves share a buffer, so that it can be donated.

    Raises:
        ValueError: for a GAN with a part that is not hashable.
    """
    # Op by op, initialising would compile hundreds of programs.
    try:
        initialise = compiled(_init_state, gan)
    except TypeError as error:
        raise ValueError(f'the parts of a GAN must be hashable ({error})') from None
    # A Python integer of 2**31 or more would not fit into the int32 that JAX makes of it.
    return initialise(hyperparameters, np.uint32(seed) if isinstance(seed, int) else seed)


def _init_state(gan, hyperparameters, seed):
    seed = jnp.asarray(seed, jnp.uint32)
    generator = gan.networks.generator.init(role_key(seed, Role.INIT_GENERATOR))
    critic = gan.networks.critic.init(role_key(seed, Role.INIT_CRITIC))
    params = Players(generator.params, critic.params)
    transforms = gan.transforms(hyperparameters, 0)
    return TrainState(
        seed=seed,
        step=jnp.zeros((), jnp.int32),
        critic_step=jnp.zeros((), jnp.int32),
        params=params,
        network_state=Players(generator.state, critic.state),
        optimizer_state=Players(*(t.init(p) for t, p in zip(transforms, params, strict=True))),
        ema=jax.tree.map(jnp.copy, generator),
    )
