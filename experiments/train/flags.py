"""The flags of the train launcher, and how they become settings."""

import dataclasses

from absl import flags

from wgan_jax.constraints import CONSTRAINTS
from wgan_jax.data.augmentation import AUGMENTATION_PARTS, AUGMENTATIONS
from wgan_jax.data.fitting import CHANNELS, FITS
from wgan_jax.latents import LATENTS
from wgan_jax.networks import ARCHITECTURES
from wgan_jax.networks.dcgan import UPSAMPLINGS
from wgan_jax.networks.resnet import VARIANTS
from wgan_jax.objectives import LOGIT_OBJECTIVES, OBJECTIVES
from wgan_jax.ranges import whole
from wgan_jax.training.configure import settings
from wgan_jax.training.optimizers import OPTIMIZERS
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import CRITIC_NORMS, PRECISIONS, Settings

from ..common.choices import datasets, described
from ..common.flagtypes import define_choice, define_number, define_text

PRESET = define_text('preset', 'flags', f'Settings to start from: {described(PRESETS)}.')

_VARIANTS = {
    'auto': 'good where both sides are multiples of 16 and at least 64, else cifar',
    'cifar': 'of one width',
    'good': 'whose widths double towards small images',
}
_AUGMENTATIONS = {
    'data': 'flip,upside_down,turn,zoom,colour of the real images',
    'diff': 'diff:colour,shift,cutout, of real and fake alike',
}
_PARTS = described(AUGMENTATION_PARTS, {name: part.text for name, part in AUGMENTATION_PARTS.items()})

_NAMES = {
    'datasets': datasets(),
    'channels': described(CHANNELS, {'1': 'grey', '3': 'red, green and blue', 'auto': '1 where nothing has a colour'}),
    'fit': described(FITS, FITS),
    'arch': described(ARCHITECTURES),
    'resnet_variant': described(('auto', *VARIANTS), _VARIANTS),
    'upsampling': described(UPSAMPLINGS, {'nearest': 'which draws no checkerboard'}),
    'latent': described(LATENTS, {'uniform': 'in [-1, 1]'}),
    'critic_norm': described(CRITIC_NORMS),
    'objective': described(OBJECTIVES),
    'logits': described(LOGIT_OBJECTIVES),
    'constraint': described(CONSTRAINTS),
    'optimizer': described(OPTIMIZERS),
    'precision': described(PRECISIONS),
    'augment': (
        f'{described(AUGMENTATIONS, _AUGMENTATIONS)}; or parts with commas between them, such as flip,zoom, of the '
        f'real images, which samples will then look like, or after diff: of real and fake alike. Parts: {_PARTS}'
    ),
}


def _define(field: dataclasses.Field) -> flags.FlagHolder:
    """The flag of a setting; without it, the preset decides."""
    text, allowed = field.metadata['text'].format(**_NAMES), field.metadata['range']
    text = f'{text[0].upper()}{text[1:]}.'
    if allowed is not None:
        return define_number(field.name, None, text, allowed)
    return (flags.DEFINE_bool if field.type is bool else define_text)(field.name, None, text)


# One for each field of Settings; --seed is every launcher's.
_SETTINGS = {field.name: _define(field) for field in dataclasses.fields(Settings) if field.name != 'seed'}

PARALLEL = define_choice(
    'parallel', 'auto', ('auto', 'jit', 'pmap'), 'jit: one device; pmap: all devices; auto: whichever fits.'
)
DEVICES = define_number('devices', None, 'Number of virtual CPU devices.', whole(1, 1024))
CHECKPOINT_EVERY = define_number('checkpoint_every', 500, 'Steps between checkpoints.', whole(1))
KEEP_CHECKPOINTS = define_number('keep_checkpoints', 3, 'How many of the newest checkpoints are kept.', whole(1))
SAMPLE_EVERY = define_number('sample_every', 100, 'Steps between grids of samples.', whole(1))
LOG_EVERY = define_number('log_every', 10, 'Steps between lines of metrics.jsonl.', whole(1))
LOG_LIPSCHITZ = flags.DEFINE_bool(
    'log_lipschitz', False, 'With every grid of samples, write bounds of how steep the critic is to lipschitz.jsonl.'
)
PROFILE = flags.DEFINE_bool('profile', False, 'Write a profile of a few steps to WORKDIR/profile.')


def settings_from_flags(seed: int) -> Settings:
    """The preset's settings with the flags that were given.

    Raises:
        ValueError: one line naming the flag, what is wrong with it and what would do.
    """
    given = {name: flag.value for name, flag in _SETTINGS.items() if flag.value is not None}
    return settings(PRESET.value, **given, seed=seed)
