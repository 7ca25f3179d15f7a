"""What the benchmark times: presets at fixed sizes, and how many operations their products take by definition."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax import data
from wgan_jax.data.synthetic import DENSITIES
from wgan_jax.training.build import build_gan
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.operations import operations
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import Settings
from wgan_jax.training.state import init_state
from wgan_jax.training.step import critic_update, generator_update
from wgan_jax.training.toy import TOY_PRESETS, build_toy

TOY_DENSITY = 'grid'


class Case(NamedTuple):
    """A preset with changes.

    Attributes:
        preset: name in ``PRESETS``, or in ``TOY_PRESETS`` for a toy.
        changes: settings that differ from the preset's.
        toy: whether the examples are points of a density.
    """

    preset: str
    changes: Mapping[str, Any]
    toy: bool = False


# The published sizes, except that a round of the residual networks has one critic update instead of five, and that of
# the 64x64 ones a quarter of the batch: their updates take seconds on a CPU.
CASES: dict[str, Case] = {
    'clip': Case('wgan', {'critic_warmup': False}),
    'gp': Case('wgan_gp', {'latent_dim': 100}),
    'resnet_gp': Case(
        'wgan_gp', {'image_size': '32x32', 'arch': 'resnet', 'resnet_variant': 'cifar', 'width': 128, 'n_critic': 1}
    ),
    'resnet_good_gp': Case(
        'wgan_gp',
        {'arch': 'resnet', 'resnet_variant': 'good', 'critic_norm': 'layer', 'n_critic': 1, 'batch_size': 16},
    ),
    'sngan': Case('sngan', {'n_critic': 1}),
    'mlp_gp': Case('wgan_gp', {'arch': 'mlp', 'width': 512}),
    'toy_gp': Case('wgan_gp', {'width': 512}, toy=True),
}


def case_settings(name: str, precision: str, batch_size: int | None, width: int | None) -> Settings:
    """The settings of a case, with another batch size or width where one is given."""
    case = CASES[name]
    changes = {**case.changes, 'precision': precision}
    if batch_size is not None:
        changes |= {'batch_size': batch_size, 'generator_batch_size': 0}
    if width is not None:
        changes |= {'width': width, 'critic_width': 0}
    return dataclasses.replace((TOY_PRESETS if case.toy else PRESETS)[case.preset], **changes)


def build_case(name: str, settings: Settings, *, conv_impl: str | None = None) -> tuple[GAN, Hyperparameters]:
    """The GAN of a case, on pictures of three channels or on a toy density."""
    if CASES[name].toy:
        return build_toy(settings, DENSITIES[TOY_DENSITY]())
    return build_gan(settings, 3, conv_impl=conv_impl)


def case_data(name: str, settings: Settings) -> Any:
    """What the steps of a case take as data: the flags, as uint8 (N, H, W, 3), or None for a toy."""
    return None if CASES[name].toy else data.load('flags', *settings.height_width).pixels


def round_products(name: str, settings: Settings) -> float:
    """Floating-point operations of the matrix products and convolutions of one round, counted by their definition.

    n_critic critic updates and one generator update are traced with the library's convolutions; see ``Operations``.
    """
    settings = dataclasses.replace(settings, precision='float32')
    gan, hyperparameters = build_case(name, settings, conv_impl='native')
    state = jax.eval_shape(lambda: init_state(gan, hyperparameters, 0))
    pixels = case_data(name, settings)

    def counted(update: Callable) -> float:
        return operations(jax.make_jaxpr(update)(state).jaxpr).flops

    of_critic = counted(lambda state: critic_update(gan, hyperparameters, state, pixels))
    return gan.n_critic * of_critic + counted(lambda state: generator_update(gan, hyperparameters, state, pixels))


def matmul_rate(dtype: jnp.dtype, seconds: float = 1.0) -> float:
    """The best rate of a square matrix product in operations per second, in bfloat16 accumulated in float32."""
    n = 2048 if jax.default_backend() == 'cpu' else 8192  # large enough that starting it costs nothing
    a = jnp.asarray(np.random.default_rng(0).normal(size=(n, n)), dtype)
    product = jax.jit(lambda a, b: jnp.dot(a, b, preferred_element_type=jnp.float32))
    product(a, a).block_until_ready()
    times, start = [], time.perf_counter()
    while time.perf_counter() - start < seconds:
        began = time.perf_counter()
        product(a, a).block_until_ready()
        times.append(time.perf_counter() - began)
    return 2 * n**3 / min(times)
