"""How much memory a training takes, reckoned before it is taken."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr

from wgan_jax import memory
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.state import TrainState, init_state
from wgan_jax.types import Network, Variables, given

_STATES = 3  # the state itself, what an update makes of it, and gradients
_STORED, _STORED_ON_CPU = 4, 2  # one result in so many is stored, about; others are computed along with the next
_DOUBT = 1.3  # what an accelerator may not hold after all must be too much by this factor


def require_memory(
    gan: GAN,
    hyperparameters: Hyperparameters,
    what: str,
    *,
    runs: int = 1,
    beside: float = 0,
    on_device: float = 0,
    state: TrainState | None = None,
    devices: int = 1,
) -> None:
    """Refuses a training that would take more than half of the free memory, or more than all of an accelerator's.

    Nothing is computed, nothing taken. The estimate is of the states, and of what the networks compute in one batch.
    For a program that does not fit into an accelerator, XLA would look for a better one for many minutes first.

    Args:
        gan, hyperparameters: what is trained.
        what: the settings that decide it, for the error.
        runs: trained at once.
        beside: bytes that are held besides on the host.
        on_device: bytes that are held besides where the networks are.
        state: the shapes of a run's state, where they are known already.
        devices: that share a batch.

    Raises:
        NotEnough: in one line, with both numbers.
    """
    state = state_shapes(gan, hyperparameters) if state is None else state
    one, batch = bytes_of(state), _batch_bytes(gan, state)
    if jax.default_backend() == 'cpu':
        memory.require(runs * _STATES * one + batch / _STORED_ON_CPU + beside + on_device, what)
    else:
        memory.require(beside, what)
        needed = (runs + _STATES - 1) * one + batch / _STORED / devices
        memory.require_on_accelerator(needed / _DOUBT + on_device, what)


def state_shapes(gan: GAN, hyperparameters: Hyperparameters) -> TrainState:
    """Of one run's state, of which nothing is computed."""
    return jax.eval_shape(functools.partial(init_state, gan, hyperparameters, 0))


def state_bytes(gan: GAN, hyperparameters: Hyperparameters) -> int:
    """Of one run's state."""
    return bytes_of(state_shapes(gan, hyperparameters))


def _batch_bytes(gan: GAN, state: TrainState) -> int:
    """Of all that the two networks compute for one batch, the larger of the two players."""
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), max(gan.batch_sizes)))
    latents = jax.eval_shape(jax.vmap(gan.latent), keys)
    labels = jax.ShapeDtypeStruct(keys.shape, jnp.int32) if gan.class_shares else None
    images, held = _forward(gan.networks.generator, state.generator, latents, labels)
    return held + _forward(gan.networks.critic, state.critic, images, labels)[1]


def _forward(network: Network, variables: Variables, x: Any, labels: Any) -> tuple[Any, int]:
    """The output's shape, and the bytes of everything on the way to it."""

    def apply(variables, x, labels):
        return network.apply(variables, x, train=True, **given(labels))

    jaxpr, (output, _) = jax.make_jaxpr(apply, return_shape=True)(variables, x, labels)
    return output, _computed(jaxpr.jaxpr)


def _computed(jaxpr: Jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        inner = [value for value in equation.params.values() if isinstance(value, (Jaxpr, ClosedJaxpr))]
        if inner:
            total += sum(_computed(value.jaxpr if isinstance(value, ClosedJaxpr) else value) for value in inner)
        else:
            total += bytes_of([variable.aval for variable in equation.outvars])
    return total


def bytes_of(tree: Any) -> int:
    """Of the arrays of a tree, or of their shapes."""
    return sum(math.prod(leaf.shape) * jnp.dtype(leaf.dtype).itemsize for leaf in jax.tree.leaves(tree))
