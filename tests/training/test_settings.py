"""Settings: every refusal says what, why and what would do; what is chosen is recorded, and older records are read."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.training.build import build_networks
from wgan_jax.training.dataset import with_images
from wgan_jax.training.folder import differences, settings_of
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import override, parse_image_size, record

REFUSED = [
    ('flags', {'batch_size': 0}, 'batch_size=0 must be at least 1'),
    ('flags', {'steps': 0}, 'steps=0'),
    ('wgan', {'clip': -0.01}, 'clip=-0.01 must be a positive number'),
    ('wgan', {'clip': float('nan')}, 'clip=nan'),
    ('wgan_gp', {'penalty_weight': -1.0}, 'penalty_weight=-1.0'),
    (
        'wgan',
        {'constraint': 'weight_decay'},
        'constraint=weight_decay is unknown; there are: none, clip, gradient_penalty',
    ),
    ('dcgan', {'instance_noise': -0.1}, 'instance_noise=-0.1 must be a number >= 0'),
    ('dcgan', {'label_smoothing': 1.0}, r'label_smoothing=1.0 must lie in \[0, 1\)'),
    ('wgan', {'label_smoothing': 0.1}, 'label_smoothing=0.1 has no effect with objective=wasserstein'),
    ('wgan', {'penalty_weight': 10.0}, 'penalty_weight has no effect with constraint=clip'),
    ('wgan_gp', {'clip': 0.01}, 'clip has no effect with constraint=gradient_penalty'),
    ('wgan', {'beta1': 0.5}, 'beta1 has no effect with optimizer=rmsprop'),
    ('flags', {'data_dir': '/x'}, 'data_dir has no effect'),
    ('flags', {'image_size': '48y32'}, 'neither a side such as 64 nor HEIGHTxWIDTH'),
    ('flags', {'image_size': '0'}, 'neither a side'),
    ('flags', {'objective': 'wgan'}, 'objective=wgan is unknown; there are: wasserstein, minimax'),
    ('flags', {'arch': 'vgg'}, 'there are: mlp, dcgan'),
    ('wgan', {'constraint': 'gradient_penalty'}, 'batch normalisation mixes the samples: use critic_norm=none'),
    (
        'wgan',
        {'constraint': 'spectral'},
        'a normalisation between them would stretch what they bound: use critic_norm=none',
    ),
    ('wgan_gp', {'constraint': 'orthonormal', 'width': 9}, 'width=9 is odd, but MaxMin sorts pairs'),
    ('wgan', {'arch': 'mlp'}, 'critic_norm=batch is not built for arch=mlp'),
    ('sngan', {'constraint': 'orthonormal'}, 'constraint=orthonormal does not hold for arch=resnet'),
    ('sngan', {'resnet_variant': 'large'}, 'resnet_variant=large is unknown; there are: auto, cifar, good'),
    ('wgan', {'resnet_variant': 'good'}, 'resnet_variant has no effect with arch=dcgan'),
    ('wgan', {'critic_bias': False}, 'critic_bias has no effect with critic_norm=batch'),
    ('sngan', {'critic_bias': False}, 'critic_bias has no effect with arch=resnet'),
    ('wgan', {'generator_batch_size': -1}, r'generator_batch_size=-1 must be >= 0 \(0: the same as batch_size\)'),
    ('sngan', {'upsampling': 'nearest'}, 'upsampling has no effect with arch=resnet'),
    ('flags', {'ema_decay': 1.0}, r'ema_decay=1.0 must lie in \[0, 1\)'),
    ('flags', {'generator_lr': 0.0}, 'generator_lr=0.0 must be a positive number'),
    ('flags', {'seed': -1}, 'seed=-1'),
]


@pytest.mark.parametrize('preset, given, message', REFUSED)
def test_refusals_are_one_clear_line(preset, given, message):
    with pytest.raises(ValueError, match=message) as caught:
        override(PRESETS[preset], given)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('text, size', [('64', '64x64'), ('32x48', '32x48'), ('48X32', '48x32')])
def test_image_sizes(text, size):
    assert parse_image_size(text) == size


def test_a_flag_overrides_its_own_setting_only():
    settings = override(PRESETS['wgan'], {'clip': 0.05})
    assert settings.clip == 0.05
    assert {**vars(settings), 'clip': 0.01} == vars(PRESETS['wgan'])


def test_a_run_s_record_says_which_residual_network_it_has():
    # Fails if a record says 'auto', or if images of another size get the network of the size that settings speak of.
    def recorded(preset, **given):
        return record(override(PRESETS[preset], given))['resnet_variant']

    plain = override(PRESETS['wgan_gp'], {'arch': 'resnet'})
    assert recorded('wgan_gp', arch='resnet') == 'good' and plain.resnet_variant == 'auto'
    assert recorded('wgan_gp', arch='resnet', image_size='56') == 'cifar'
    assert recorded('wgan_gp', arch='resnet', resnet_variant='cifar') == 'cifar'
    assert recorded('sngan', image_size='64') == 'cifar'
    assert recorded('wgan_gp') == recorded('sngan', arch='dcgan') == 'auto'  # nothing reads it
    for side, variant in ((32, 'cifar'), (64, 'good')):
        settings, _ = with_images(plain, np.zeros((20, side, side, 3), np.uint8))
        assert record(settings)['resnet_variant'] == variant
        named = dataclasses.replace(settings, resnet_variant=variant)
        ours, its = (jax.eval_shape(build_networks(s, 3).generator.init, jax.random.key(0)) for s in (settings, named))
        assert jax.tree.map(jnp.shape, ours) == jax.tree.map(jnp.shape, its)


def test_critics_have_biases_where_they_are_asked_for():
    # Fails if a checkpoint of before there were any is given to a network with some, or if where there are none the
    # setting tells a run from itself.
    def down(settings):
        return jax.eval_shape(build_networks(settings, 3).critic.init, jax.random.key(0)).params['down_0']

    now = override(PRESETS['sngan'], {'arch': 'dcgan', 'width': 4, 'critic_width': 4})
    before = {name: value for name, value in record(now).items() if name != 'critic_bias'}
    assert sorted(down(now)) == ['bias', 'kernel']
    old = settings_of({'settings': before})
    assert not old.critic_bias and sorted(down(old)) == ['kernel']
    assert settings_of({'settings': record(now)}).critic_bias
    assert not settings_of({'settings': record(override(now, {'critic_bias': False}))}).critic_bias
    assert not record(PRESETS['sngan'])['critic_bias']  # residual networks have them always
    batch = dataclasses.replace(now, constraint='none', critic_norm='batch')
    assert not record(batch)['critic_bias'] and sorted(down(batch)) == ['kernel']


@pytest.mark.parametrize('size, variant', [('32x32', 'cifar'), ('64x64', 'good')])
def test_a_run_older_than_a_setting_continues(size, variant):
    now = override(PRESETS['sngan'], {'image_size': size, 'resnet_variant': variant, 'generator_batch_size': 0})
    before = {name: v for name, v in vars(now).items() if name not in ('resnet_variant', 'generator_batch_size')}
    dataset = {'fingerprint': 'f'}
    old = {'settings': record(settings_of({'settings': before})), 'dataset': dataset}
    assert differences(old, {'settings': record(now), 'dataset': dataset}) == []
    other = {'settings': record(override(PRESETS['sngan'], {'image_size': size})), 'dataset': dataset}
    changed = ['resnet_variant: good -> cifar'] if variant == 'good' else []
    assert differences(old, other) == [*changed, 'generator_batch_size: 0 -> 128']
