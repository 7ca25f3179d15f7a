"""What the updates of a preset compute, move and send, from their programs; nothing is trained or allocated."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.stages import Compiled, Lowered

from wgan_jax.training.build import build_gan
from wgan_jax.training.cost import bytes_of, state_shapes
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.operations import Collective, operations
from wgan_jax.training.settings import Settings
from wgan_jax.training.state import TrainState
from wgan_jax.training.step import critic_update, generator_update
from wgan_jax.types import PyTree

UPDATES = {'critic': critic_update, 'generator': generator_update}
IMAGES = 64  # of the dataset, whose number the counts do not depend on
# XLA's passes over the program stay as they are; that machine code is made of it in haste does not change its cost.
_IN_HASTE = {'xla_backend_optimization_level': 0, 'xla_llvm_disable_expensive_passes': True}


class Program(NamedTuple):
    """XLA's count of a program: operations of all kinds, and bytes that its instructions read and write.

    An instruction on ``cuda`` or ``tpu`` is one operation, as the program is lowered here and not compiled: an upper
    bound, as compiled ones are fused. Zeros around an image are not multiplied. One on ``cpu`` is compiled.
    """

    flops: float
    bytes: float


class Update(NamedTuple):
    """One update at the batch size of its settings, and how that changes with the batch.

    Attributes:
        programs: by platform.
        flops: of the matrix products by their definition, see ``Operations``.
        flops_of_batch: of those, what is proportional to the batch.
        bytes: the least: of the products' factors and results, and of the player's state, read and written once.
        bytes_of_batch: of those, what is proportional to the batch.
        collectives: see ``Operations``.
    """

    programs: dict[str, Program]
    flops: float
    flops_of_batch: float
    bytes: float
    bytes_of_batch: float
    collectives: tuple[Collective, ...]


def count_updates(settings: Settings, *, compile_for_cpu: bool) -> dict[str, Update]:
    """The updates of both players, on pictures of three channels.

    Args:
        settings: of the run; the batch is that of one device.
        compile_for_cpu: whether the CPU's program is compiled and counted too.
    """
    doubled = dataclasses.replace(
        settings, batch_size=2 * settings.batch_size, generator_batch_size=2 * settings.generator_batch_size
    )
    one, two = _build(settings, 'native'), _build(doubled, 'native')
    on_cpu = _build(settings, 'matmul') if compile_for_cpu else None
    return {player: _count(player, one, two, on_cpu) for player in UPDATES}


class _Built(NamedTuple):
    """A GAN, and the shapes of what its updates take: state and images."""

    gan: GAN
    hyperparameters: Hyperparameters
    shapes: tuple[TrainState, jax.ShapeDtypeStruct]

    def update(self, player: str, axis_name: str | None = None) -> Callable[..., PyTree]:
        """An update as a function of state and images."""

        def update(state, images):
            return UPDATES[player](self.gan, self.hyperparameters, state, images, axis_name=axis_name)

        return update


def _build(settings: Settings, conv_impl: str) -> _Built:
    gan, hyperparameters = build_gan(settings, 3, conv_impl=conv_impl)
    images = jax.ShapeDtypeStruct((IMAGES, *settings.height_width, 3), jnp.uint8)
    return _Built(gan, hyperparameters, (state_shapes(gan, hyperparameters), images))


def _count(player: str, one: _Built, two: _Built, on_cpu: _Built | None) -> Update:
    """The update of one batch, with that of two for what grows with it; both counts are affine in the batch."""
    flops, size, collectives = _least(one, player)
    more_flops, more_size, _ = _least(two, player)
    traced = jax.jit(one.update(player)).trace(*one.shapes)
    programs = {name: _program(traced.lower(lowering_platforms=(name,))) for name in ('cuda', 'tpu')}
    if on_cpu is not None:
        lowered = jax.jit(on_cpu.update(player)).lower(*on_cpu.shapes)
        programs['cpu'] = _program(lowered.compile(compiler_options=_IN_HASTE))
    return Update(programs, flops, more_flops - flops, size, more_size - size, collectives)


def _least(built: _Built, player: str) -> tuple[float, int, tuple[Collective, ...]]:
    """Operations and bytes at least, and the collectives."""
    update = built.update(player, 'devices')
    counted = operations(jax.make_jaxpr(update, axis_env=[('devices', 1)])(*built.shapes).jaxpr)
    state, _ = built.shapes
    own = [getattr(part, player) for part in (state.params, state.network_state, state.optimizer_state)]
    kept = bytes_of([*own, state.ema] if player == 'generator' else own)
    return counted.flops, counted.bytes + 2 * kept, counted.collectives


def _program(program: Lowered | Compiled) -> Program:
    cost: Any = program.cost_analysis()
    return Program(cost['flops'], cost['bytes accessed'])
