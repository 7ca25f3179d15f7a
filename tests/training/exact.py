"""A GAN in float64, small enough for the step to be written out: networks as plain functions, every part switched on.

Call everything here inside ``jax.enable_x64(True)``.
"""

import dataclasses

import jax
import jax.numpy as jnp

from wgan_jax.training.build import build_gan
from wgan_jax.training.draws import draw_from
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import Settings, validate
from wgan_jax.types import Network, Players, Variables

IMAGE = (8, 8, 2)
LATENT, WIDTH = 3, 5
REAL = jnp.linspace(-0.9, 0.9, 128).reshape(IMAGE)  # the dataset: real images are this one and noise

# Rates so large that what one step does shows in every digit of the next.
BASE = {
    'image_size': '8x8', 'arch': 'mlp', 'critic_norm': 'none', 'width': WIDTH, 'latent_dim': LATENT, 'latent': 'normal',
    'batch_size': 4, 'n_critic': 2, 'critic_warmup': False, 'generator_lr': 2**-8, 'critic_lr': 2**-7, 'clip': 0.25,
    'penalty_weight': 3.0, 'decay_steps': 4, 'instance_noise': 0.25, 'ema_decay': 0.125, 'augment': 'diff',
    'label_smoothing': 0.0,
}  # fmt: skip


def exact_settings(preset: str, **changes) -> Settings:
    """A preset with small sizes, high rates and everything else switched on; the changes win."""
    settings = dataclasses.replace(PRESETS[preset], **{**BASE, **changes})
    validate(settings)
    return settings


def exact_gan(settings: Settings, *, mixes: bool) -> tuple[GAN, Hyperparameters]:
    """The library's GAN of these settings around the networks below, its numbers in float64.

    Args:
        settings: of ``exact_settings``.
        mixes: whether the critic normalises over its batch.
    """
    gan, hyperparameters = build_gan(settings, IMAGE[-1], conv_impl='native')
    gan = dataclasses.replace(gan, networks=Players(GENERATOR, critic(mixes)), draw=draw_from(draw_real))
    return gan, jax.tree.map(lambda number: number.astype(jnp.float64), hyperparameters)


def draw_real(data, key):
    """One real image."""
    return data + 0.3 * jax.random.normal(key, IMAGE)


def _normalise(h, state, axis_name):
    """Normalises features (N, D) over the batch; the state holds running means, half old and half new."""
    average = (lambda v: v) if axis_name is None else (lambda v: jax.lax.pmean(v, axis_name))
    mean = average(h.mean(0))
    variance = average(((h - mean) ** 2).mean(0))
    return (h - mean) / jnp.sqrt(variance + 0.1), {'mean': 0.5 * state['mean'] + 0.5 * mean}


def _weights(key, **shapes):
    keys = jax.random.split(key, len(shapes))
    return {
        name: jax.random.normal(key, shape) * (2 / shape[0]) ** 0.5
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def generate(params, state, z, axis_name=None):
    """Images of latents (N, Z), and the new state."""
    h, state = _normalise(z @ params['first'], state, axis_name)
    return jnp.tanh(jnp.tanh(h) @ params['second']).reshape(-1, *IMAGE), state


def score(params, state, x, axis_name=None):
    """Scores of images, and the new state, which is empty where the critic does not mix its batch."""
    h = x.reshape(len(x), -1) @ params['first']
    if state:
        h, state = _normalise(h, state, axis_name)
    return (jnp.tanh(h) @ params['second'])[:, 0] + params['bias'][0], state


def _network(function, mixes, shapes):
    def init(key):
        state = {'mean': jnp.zeros(WIDTH)} if mixes else {}
        return Variables(_weights(key, **shapes), state)

    def apply(variables, x, *, train, axis_name=None, labels=None):
        assert train and labels is None
        return function(variables.params, variables.state, x, axis_name)

    return Network(init, apply, uses_batch_statistics=mixes)


PIXELS = IMAGE[0] * IMAGE[1] * IMAGE[2]
GENERATOR = _network(generate, True, {'first': (LATENT, WIDTH), 'second': (WIDTH, PIXELS)})


def critic(mixes: bool) -> Network:
    """The critic, with or without normalisation over the batch."""
    return _network(score, mixes, {'first': (PIXELS, WIDTH), 'second': (WIDTH, 1), 'bias': (1,)})
