"""What every preset must satisfy: it builds, lowers for TPU and CUDA, and trains two finite steps in one program."""

import functools

import jax
import jax.numpy as jnp
import pytest

from tests.training.common import small_pixels, small_settings
from wgan_jax.training.build import build_gan
from wgan_jax.training.gan import GAN
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import validate
from wgan_jax.training.state import init_state
from wgan_jax.training.step import train_steps

PIXELS = small_pixels()


@pytest.mark.parametrize('preset', PRESETS)
def test_preset_is_valid(preset):
    validate(PRESETS[preset])
    gan, _ = build_gan(PRESETS[preset], 3)
    assert isinstance(gan, GAN)


# Every day a few kinds of networks, and two in bfloat16: precision reaches layers, not presets.
BOTH = [(preset, precision) for preset in PRESETS for precision in ('float32', 'bfloat16')]
DAILY = [*((name, 'bfloat16') for name in ('flags', 'wgan_gp')),
         *((name, 'float32') for name in ('flags', 'wgan', 'sngan'))]  # fmt: skip


@pytest.mark.parametrize(
    ('preset', 'precision'), [pytest.param(*pair, marks=() if pair in DAILY else pytest.mark.slow) for pair in BOTH]
)
def test_preset_lowers_for_tpu_and_cuda(preset, precision):
    # At the preset's own size: nothing is computed, so only the tracing takes time.
    settings = PRESETS[preset].__class__(**{**vars(PRESETS[preset]), 'precision': precision})
    gan, hyperparameters = build_gan(settings, 3, conv_impl='native')
    state = jax.eval_shape(lambda: init_state(gan, hyperparameters, 0))
    pixels = jax.ShapeDtypeStruct((256, *settings.height_width, 3), jnp.uint8)
    steps = jax.jit(functools.partial(train_steps, gan, capacity=8))
    exported = jax.export.export(steps, platforms=['tpu', 'cuda'])(
        hyperparameters, state, pixels, jax.ShapeDtypeStruct((), jnp.int32)
    )
    assert set(exported.platforms) == {'tpu', 'cuda'}
    assert exported.out_avals[-1].shape == (8, 6)


# Of the others, another contract runs the objectives and the constraints; and networks of this size compile long.
RUN = ('wgan_gp',)


@pytest.mark.parametrize(
    'preset', [pytest.param(name, marks=() if name in RUN else pytest.mark.slow) for name in PRESETS]
)
def test_preset_takes_two_finite_steps(preset):
    # In the form of this machine for one preset with batch norm and one without: it takes long to compile.
    form = None if preset in ('wgan', 'flags') else 'native'
    gan, hyperparameters = build_gan(small_settings(preset), 3, conv_impl=form)
    run = jax.jit(functools.partial(train_steps, gan, capacity=2))
    state, _ = run(hyperparameters, init_state(gan, hyperparameters, 0), PIXELS, 1)
    state, rows = run(hyperparameters, state, PIXELS, 1)
    leaves = jax.tree.leaves((rows, state))
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating))
    assert int(state.step) == 2 and int(state.critic_step) == 2 * gan.n_critic
    assert run._cache_size() == 1
