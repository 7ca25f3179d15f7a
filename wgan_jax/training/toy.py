"""Toy GANs: the presets on densities of a few dimensions, with multilayer perceptrons."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from wgan_jax.data.synthetic import Density
from wgan_jax.networks import mlp
from wgan_jax.training.build import fitting, make_gan
from wgan_jax.training.draws import draw_from
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.parts import KINDS, find_part, record_part
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import Settings
from wgan_jax.types import Players

# What every toy run has in common: the networks and the batch of the published toy of Gulrajani et al. 2017, narrower.
_TOY: dict[str, Any] = {
    'dataset': 'ring', 'arch': 'mlp', 'resnet_variant': 'auto', 'upsampling': 'transposed', 'critic_norm': 'none',
    'critic_bias': False, 'width': 128, 'critic_width': 0, 'latent_dim': 2, 'latent': 'normal', 'batch_size': 256,
    'generator_batch_size': 0, 'critic_warmup': False, 'steps': 4_000, 'decay_steps': 0, 'decay': 'linear',
    'final_lr': 0.0, 'final_penalty': 1.0, 'final_beta2': 0.0, 'ema_decay': 0.0, 'augment': 'none',
}  # fmt: skip

# Gulrajani et al. 2017, code of the toy experiments: penalty weight 0.1 and momentum.
_PENALISED = {'penalty_weight': 0.1, 'beta1': 0.5, 'beta2': 0.9}

_CHANGES: dict[str, dict[str, Any]] = {
    'wgan': {},
    'wgan_gp': _PENALISED,
    'wgan_lp': _PENALISED,
    'dcgan': {},
    'dcgan_minimax': {},
    'dragan': {},
    'r1': {},
    'r3gan': {},
    'hinge': {},
    'lsgan': {},
    'sngan': {},
}

TOY_PRESETS: dict[str, Settings] = {
    name: dataclasses.replace(PRESETS[name], **_TOY, **changes) for name, changes in _CHANGES.items() if name in PRESETS
}

# This project's recipe for sharp modes: the gradient penalty on data alone lets the critic be as steep between modes as
# the data are narrow, many small steps at a high rate that decays to zero let both players settle, and the average of
# the generator rests where they circle.
TOY_PRESETS['r1_ema'] = dataclasses.replace(
    TOY_PRESETS['r1'], optimizer='adam', beta1=0.5, beta2=0.9, penalty_weight=0.1, width=64, generator_lr=3e-3,
    critic_lr=3e-3, ema_decay=0.999, steps=15_000, decay_steps=15_000,
)  # fmt: skip

# The same with R3GAN's loss of pairs, penalty on both sides and schedules: the penalty falls, too, so that the critic
# may become as steep as the modes are narrow.
TOY_PRESETS['r3gan_ema'] = dataclasses.replace(
    TOY_PRESETS['r1_ema'], objective='relativistic', constraint='r1_r2', beta1=0.0, final_beta2=0.99, decay='cosine',
    final_penalty=0.1, generator_lr=5e-3, critic_lr=5e-3, ema_decay=0.9995, steps=30_000, decay_steps=30_000,
)  # fmt: skip


def check_toy(settings: Settings) -> None:
    """Raises ValueError, in one line, for settings that a toy does not read."""
    for name in ('arch', 'critic_width', 'critic_norm', 'augment'):
        value = getattr(settings, name)
        if value != _TOY[name] and not (name == 'arch' and isinstance(value, Players)):
            raise ValueError(
                f'{name}={record_part(value) if name in KINDS else value} is not read for a density, whose networks '
                f"are multilayer perceptrons, or Players of one's own: use {name}={_TOY[name]}"
            )


def build_toy(settings: Settings, density: Density, *, depth: int = 3) -> tuple[GAN, Hyperparameters]:
    """The GAN that settings describe on a density: d from its samples, both networks with weights as He et al. draw.

    Args:
        settings: validated settings, with arch 'mlp' or Players of networks from latents to points and from points to
            scores; dataset and image size are not looked at.
        density: where real examples come from, anew for every batch.
        depth: hidden layers of either network.

    Returns:
        (GAN, Hyperparameters); its steps take ``None`` as data.
    """
    check_toy(settings)
    shape = (density.dim,)
    if isinstance(settings.arch, Players):
        networks = fitting(settings.arch, settings.latent_dim, shape)
        return make_gan(settings, networks, draw=draw_from(lambda data, key: density.sample(key)))
    dtype = jnp.dtype(settings.precision)
    common: dict[str, Any] = {'width': settings.width, 'depth': depth, 'init': 'he', 'dtype': dtype}
    parametrization = find_part('constraint', settings.constraint).parametrization
    networks = Players(
        mlp.generator(shape, latent_dim=settings.latent_dim, **common),
        mlp.critic(shape, parametrization=parametrization, **common),
    )
    return make_gan(settings, networks, draw=draw_from(lambda data, key: density.sample(key)))
