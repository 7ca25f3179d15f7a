"""The flags of the train launcher, and how they become settings."""

import dataclasses

from absl import flags

from wgan_jax.constraints import CONSTRAINTS
from wgan_jax.data.augmentation import AUGMENTATIONS
from wgan_jax.latents import LATENTS
from wgan_jax.networks import ARCHITECTURES
from wgan_jax.networks.dcgan import UPSAMPLINGS
from wgan_jax.networks.resnet import VARIANTS
from wgan_jax.objectives import LOGIT_OBJECTIVES, OBJECTIVES
from wgan_jax.training.configure import settings
from wgan_jax.training.optimizers import OPTIMIZERS
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import CRITIC_NORMS, PRECISIONS, Settings

from ..common.choices import datasets, described

PRESET = flags.DEFINE_string('preset', 'flags', f'Settings to start from: {described(PRESETS)}.')

_VARIANTS = {
    'auto': 'good where both sides are multiples of 16 and at least 64, else cifar',
    'cifar': 'of one width',
    'good': 'whose widths double towards small images',
}
_AUGMENTATIONS = {
    'data': 'flips, small turns and zooms, slight colour changes of the real images',
    'diff': 'brightness, saturation, contrast, shifts and holes, of real and fake alike',
}

# One flag for each field of Settings (--seed is every launcher's); without it, the preset decides.
_HELP = {
    'dataset': f'images: {datasets()}',
    'data_dir': 'where TFDS finds its prepared datasets',
    'image_size': 'image side in pixels, or HEIGHTxWIDTH',
    'arch': f'networks: {described(ARCHITECTURES)}',
    'resnet_variant': f'which residual network (resnet): {described(("auto", *VARIANTS), _VARIANTS)}',
    'width': 'channels at full size (dcgan, resnet), or units of a hidden layer (mlp)',
    'critic_width': 'the same of the critic; 0: as the generator',
    'upsampling': 'how the generator doubles its size (dcgan): '
    + described(UPSAMPLINGS, {'nearest': 'which draws no checkerboard'}),
    'latent_dim': 'dimensions of the latent vector',
    'latent': 'distribution of the latent vector: ' + described(LATENTS, {'uniform': 'in [-1, 1]'}),
    'critic_norm': f'normalisation in the critic: {described(CRITIC_NORMS)}',
    'objective': f'losses: {described(OBJECTIVES)}',
    'label_smoothing': f'how far below 1 the target of real images lies ({described(LOGIT_OBJECTIVES)}); that of fake '
    'stays 0',
    'constraint': f'what keeps the critic Lipschitz: {described(CONSTRAINTS)}',
    'clip': 'largest absolute value of a critic weight',
    'penalty_weight': 'factor of the penalty in the critic loss; for r1 and r2 the gamma of gamma/2 E|grad|^2',
    'instance_noise': 'deviation of the noise on all that the critic sees, falling linearly to 0 over decay_steps',
    'optimizer': f'optimizer of both players: {described(OPTIMIZERS)}',
    'generator_lr': "the generator's learning rate",
    'critic_lr': "the critic's learning rate",
    'beta1': 'decay of the mean of gradients (adam)',
    'beta2': 'decay of the mean of squared gradients (adam)',
    'decay_steps': 'generator updates over which learning rates and instance noise fall linearly to 0; 0: constant',
    'n_critic': 'critic updates per generator update',
    'critic_warmup': '100 critic updates for each of the first 25 generator updates and for every 500th',
    'steps': 'generator updates after which training is done',
    'batch_size': 'images in a batch, over all devices',
    'generator_batch_size': "images in the batch of a generator update, over all devices; 0: as the critic's",
    'precision': f'precision of the computation: {described(PRECISIONS)}; parameters are float32',
    'augment': f'augmentation: {described(AUGMENTATIONS, _AUGMENTATIONS)}',
    'ema_decay': "decay of the generator's moving average, from which samples come; 0: none",
    'init_from': "another run's folder, whose networks to begin from",
    'deterministic': 'make a GPU repeat itself to the bit, at some cost in speed',
}
_DEFINE = {'int': flags.DEFINE_integer, 'float': flags.DEFINE_float, 'bool': flags.DEFINE_bool}

_SETTINGS = {
    field.name: _DEFINE.get(str(getattr(field.type, '__name__', field.type)), flags.DEFINE_string)(
        field.name, None, f'{_HELP[field.name][0].upper()}{_HELP[field.name][1:]}.'
    )
    for field in dataclasses.fields(Settings)
    if field.name != 'seed'
}

PARALLEL = flags.DEFINE_string('parallel', 'auto', 'jit: one device; pmap: all devices; auto: whichever fits.')
DEVICES = flags.DEFINE_integer('devices', None, 'Number of virtual CPU devices.', lower_bound=1)
CHECKPOINT_EVERY = flags.DEFINE_integer('checkpoint_every', 500, 'Steps between checkpoints.', lower_bound=1)
KEEP_CHECKPOINTS = flags.DEFINE_integer(
    'keep_checkpoints', 3, 'How many of the newest checkpoints are kept.', lower_bound=1
)
SAMPLE_EVERY = flags.DEFINE_integer('sample_every', 100, 'Steps between grids of samples.', lower_bound=1)
LOG_EVERY = flags.DEFINE_integer('log_every', 10, 'Steps between lines of metrics.jsonl.', lower_bound=1)
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
