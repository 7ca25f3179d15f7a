"""What the number of a convolutional critic proves: flags, and the same flags a little lighter, whose W1 is known."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from wgan_jax import data
from wgan_jax.data.images import to_float
from wgan_jax.training.build import build_gan
from wgan_jax.training.frozen import between, fit_critics
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import Settings, override
from wgan_jax.types import Key, Variables

from .pairs import measured

CONSTRAINTS = ('clip', 'gradient_penalty', 'spectral', 'spectral_operator', 'orthonormal')
IMAGE_SIZE, WIDTH, BATCH_SIZE = '32x48', 8, 32
SHIFT = 0.25  # of every pixel in [-1, 1]


def settings_of(constraint: str, seed: int) -> Settings:
    """A DCGAN critic under a constraint; a clipped one is moved by RMSProp."""
    given = {
        'image_size': IMAGE_SIZE, 'width': WIDTH, 'batch_size': BATCH_SIZE, 'constraint': constraint,
        'critic_norm': 'none', 'critic_lr': 5e-4 if constraint == 'clip' else 5e-3, 'seed': seed,
    }  # fmt: skip
    return override(PRESETS['wgan' if constraint == 'clip' else 'wgan_gp'], given)


def measure(constraints: Sequence[str], *, updates: int, seed: int, bar: tqdm) -> dict[str, Any]:
    """Trains a critic under each constraint on one half of the flags, and reads it on the other.

    Args:
        constraints: by name.
        updates: of each critic; its rate falls to 0 over them.
        seed: of the halves, the critics and their batches.
        bar: advances by updates.

    Returns:
        ``w1``, the exact distance, which is the length of the shift; ``constraints``: for each what ``measured`` says.
    """
    height, width = settings_of('clip', seed).height_width
    pixels = to_float(data.load('flags', height, width).pixels)
    pixels = np.asarray(pixels)[np.random.default_rng(seed).permutation(len(pixels))]
    seen, fresh = np.array_split(pixels, 2)
    w1 = SHIFT * pixels[0].size ** 0.5
    rows = {}
    for constraint in constraints:
        bar.set_description(f'images: {constraint}')
        gan, hyperparameters = build_gan(settings_of(constraint, seed), pixels.shape[-1])
        real, fake, scalars = jax.tree.map(
            lambda leaf: np.asarray(leaf, np.float32)[None], (seen, seen + SHIFT, hyperparameters)
        )
        critics = fit_critics(
            between(gan, _one, _one), scalars, Variables(fake, {}), real, np.array([seed], np.uint32), updates,
            on_updates=bar.update,
        )  # fmt: skip
        variables = jax.tree.map(lambda leaf: leaf[0], critics.variables)
        rows[constraint] = measured(gan.networks.critic, variables, fresh, fresh + np.float32(SHIFT), w1)
    return {'w1': w1, 'constraints': rows}


def _one(images: jax.Array, key: Key) -> jax.Array:
    return images[jax.random.randint(key, (), 0, len(images))]
