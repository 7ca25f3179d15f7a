"""Settings: every refusal says what, why and what would do; presets are the published ones."""

import pytest

from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import override, parse_image_size

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
    ('wgan', {'label_smoothing': 0.1}, 'label_smoothing has no effect with objective=wasserstein'),
    ('wgan', {'penalty_weight': 10.0}, 'penalty_weight has no effect with constraint=clip'),
    ('wgan_gp', {'clip': 0.01}, 'clip has no effect with constraint=gradient_penalty'),
    ('wgan', {'beta1': 0.5}, 'beta1 has no effect with optimizer=rmsprop'),
    ('flags', {'data_dir': '/x'}, 'data_dir has no effect'),
    ('flags', {'image_size': '30x48'}, 'not divisible by 16; 32x48 would do'),
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
    ('wgan_gp', {'constraint': 'orthonormal', 'width': 9}, 'width=9 is odd, but orthonormal layers sort pairs'),
    ('wgan', {'arch': 'mlp'}, 'critic_norm=batch is not built for arch=mlp'),
    ('sngan', {'constraint': 'orthonormal'}, 'constraint=orthonormal does not hold for arch=resnet'),
    ('sngan', {'image_size': '30'}, 'not divisible by 8; 32x32 would do'),
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


# preset: (objective, constraint, optimizer, learning rate, beta1, n_critic, batch size), from the papers.
PUBLISHED = {
    'wgan': ('wasserstein', 'clip', 'rmsprop', 5e-5, None, 5, 64),
    'wgan_gp': ('wasserstein', 'gradient_penalty', 'adam', 1e-4, 0.0, 5, 64),
    'wgan_lp': ('wasserstein', 'one_sided_penalty', 'adam', 1e-4, 0.0, 5, 64),
    'dragan': ('minimax', 'dragan', 'adam', 2e-4, 0.5, 1, 64),
    'r1': ('non_saturating', 'r1', 'rmsprop', 1e-4, None, 1, 64),
    'hinge': ('hinge', 'none', 'rmsprop', 2e-4, None, 1, 64),
    'lsgan': ('least_squares', 'none', 'adam', 1e-3, 0.5, 1, 64),
    'dcgan': ('non_saturating', 'none', 'adam', 2e-4, 0.5, 1, 128),
    'dcgan_minimax': ('minimax', 'none', 'adam', 2e-4, 0.5, 1, 128),
}


@pytest.mark.parametrize('name', PUBLISHED)
def test_presets_have_the_published_settings(name):
    s = PRESETS[name]
    beta1 = s.beta1 if s.optimizer == 'adam' else None
    assert (s.objective, s.constraint, s.optimizer, s.critic_lr, beta1, s.n_critic, s.batch_size) == PUBLISHED[name]
    assert s.generator_lr == s.critic_lr and s.image_size == '64x64' and s.width == 64
