"""What every preset's program for a CPU must satisfy: no convolution whose derived gradient is slow in a loop."""

import functools

import jax
import jax.numpy as jnp
import pytest

from wgan_jax.training.build import build_gan
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.state import init_state
from wgan_jax.training.step import train_steps

PROGRAMS = {
    **{name: {} for name in PRESETS},
    'wgan_gp resnet': {'preset': 'wgan_gp', 'arch': 'resnet', 'critic_norm': 'layer'},
    'sngan operator norm': {'preset': 'sngan', 'constraint': 'spectral_operator'},
}


@pytest.mark.slow
@pytest.mark.parametrize('name', PROGRAMS)
def test_training_on_a_cpu_has_no_convolution_of_the_library(name):
    # Inside a loop XLA:CPU computes a convolution by a naive path unless its dimension numbers are the canonical ones,
    # which those of derived gradients are not: 1.7 s for one that takes 16 ms as products.
    changes = dict(PROGRAMS[name])
    preset = PRESETS[changes.pop('preset', name)]
    settings = preset.__class__(**{**vars(preset), **changes})
    gan, hyperparameters = build_gan(settings, 3, conv_impl='matmul')
    state = jax.eval_shape(lambda: init_state(gan, hyperparameters, 0))
    pixels = jax.ShapeDtypeStruct((256, *settings.height_width, 3), jnp.uint8)
    steps = jax.jit(functools.partial(train_steps, gan, capacity=8))
    text = steps.lower(hyperparameters, state, pixels, jax.ShapeDtypeStruct((), jnp.int32)).as_text()
    assert 'stablehlo.dot_general' in text and 'stablehlo.convolution' not in text
