"""The runs that are compared: which GAN each of them is."""

import dataclasses
from typing import Any

from wgan_jax.training.build import build_gan
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import Settings, override, record
from wgan_jax.types import Players

_UNITS = 16  # of a hidden layer of an MLP, in units of the width


@dataclasses.dataclass(frozen=True)
class Run:
    """One training run: its preset, its networks, and the learning rate of both players."""

    title: str
    preset: str
    generator: str
    critic: str
    learning_rate: float


# Clipped: as published. With the penalty five, and as a standard GAN as many times, as fast as published.
RUNS = {
    'wgan_dcgan': Run('WGAN, weights clipped, DCGAN generator', 'wgan', 'dcgan', 'dcgan', 5e-5),
    'wgan_mlp': Run('WGAN, weights clipped, MLP generator', 'wgan', 'mlp', 'dcgan', 5e-5),
    'wgan_gp_dcgan': Run('WGAN-GP, DCGAN generator', 'wgan_gp', 'dcgan', 'dcgan', 5e-4),
    'wgan_gp_mlp': Run('WGAN-GP, MLP generator', 'wgan_gp', 'mlp', 'dcgan', 5e-4),
    'wgan_fails': Run('WGAN-GP, MLPs, rates too high', 'wgan_gp', 'mlp', 'mlp', 0.1),
    'gan_dcgan': Run('standard GAN, DCGAN generator', 'dcgan', 'dcgan', 'dcgan', 2e-4),
    'gan_mlp': Run('standard GAN, MLP generator', 'dcgan', 'mlp', 'dcgan', 2e-4),
    'gan_fails': Run('standard GAN, MLPs, rates too high', 'dcgan', 'mlp', 'mlp', 0.1),
}


def settings_of(run: Run, architecture: str, given: dict[str, Any]) -> Settings:
    """The settings of a run, as if both of its networks were of one architecture.

    Args:
        run: which.
        architecture: of both.
        given: what the flags say: dataset, data_dir, image_size, width, batch_size; None where they do not.
    """
    changes = {
        **given, 'arch': architecture, 'width': given['width'] * (_UNITS if architecture == 'mlp' else 1),
        'generator_lr': run.learning_rate, 'critic_lr': run.learning_rate,
        'critic_norm': 'none' if architecture == 'mlp' else PRESETS[run.preset].critic_norm,
    }  # fmt: skip
    return override(PRESETS[run.preset], {name: value for name, value in changes.items() if value is not None})


def recorded(run: Run, given: dict[str, Any]) -> list[dict[str, Any]]:
    """The settings of both players that decide numbers, for JSON."""
    elsewhere = ('dataset', 'data_dir', 'seed', 'steps')
    return [
        {name: value for name, value in record(settings_of(run, arch, given)).items() if name not in elsewhere}
        for arch in (run.generator, run.critic)
    ]


def build(run: Run, channels: int, given: dict[str, Any]) -> tuple[GAN, Hyperparameters]:
    """The GAN of a run, whose two networks may be of different architectures."""
    (gan, hyperparameters), (other, _) = (
        build_gan(settings_of(run, arch, given), channels) for arch in (run.critic, run.generator)
    )
    return dataclasses.replace(gan, networks=Players(other.networks.generator, gan.networks.critic)), hyperparameters
