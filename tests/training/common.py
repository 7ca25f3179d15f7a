"""The smallest GANs that have every part, for tests of training."""

import dataclasses

import numpy as np

from wgan_jax.training.build import build_gan
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import Settings

SMALL = {
    'image_size': '16x32', 'width': 4, 'critic_width': 0, 'latent_dim': 6, 'batch_size': 4, 'generator_batch_size': 0,
    'n_critic': 2, 'critic_warmup': False,
}  # fmt: skip


def small_settings(preset: str = 'wgan', **changes) -> Settings:
    """A preset at 16x32 pixels and width 4."""
    return dataclasses.replace(PRESETS[preset], **{**SMALL, **changes})


def small_gan(preset: str = 'wgan', **changes):
    """(GAN, Hyperparameters) of ``small_settings``; the library's own convolutions compile several times faster."""
    return build_gan(small_settings(preset, **changes), 3, conv_impl='native')


def small_pixels(n: int = 10) -> np.ndarray:
    """Random images, uint8 (n, 16, 32, 3)."""
    return np.random.default_rng(0).integers(0, 256, (n, 16, 32, 3), np.uint8)
