"""The flags of the train launcher, and how they become settings."""

import dataclasses

from absl import flags

from wgan_jax.constraints import CONSTRAINTS
from wgan_jax.training.configure import settings
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import Settings

PRESET = flags.DEFINE_string('preset', 'flags', f'Settings to start from: {", ".join(PRESETS)}.')

# One flag for each field of Settings (--seed is every launcher's); without it, the preset decides.
_HELP = {
    'dataset': 'flags, mnist, any TFDS name with images, or folder:PATH',
    'data_dir': 'where TFDS finds its prepared datasets',
    'image_size': 'image side in pixels, or HEIGHTxWIDTH',
    'arch': 'networks: mlp, dcgan or resnet',
    'resnet_variant': 'which residual network: cifar, of one width; good, whose widths double towards small images; '
    'auto: good where both sides are multiples of 16 and at least 64, else cifar',
    'width': 'channels at full size (dcgan, resnet), or units of a hidden layer (mlp)',
    'critic_width': 'the same of the critic; 0: as the generator',
    'upsampling': 'how the generator doubles its size: transposed, or nearest, which draws no checkerboard (dcgan)',
    'latent_dim': 'dimensions of the latent vector',
    'latent': 'distribution of the latent vector: normal or uniform',
    'critic_norm': 'normalisation in the critic: none, batch or layer',
    'objective': 'wasserstein, minimax, non_saturating, hinge or least_squares',
    'label_smoothing': 'how far below 1 the target of real images lies (minimax, non_saturating); that of fake stays 0',
    'constraint': f'what keeps the critic Lipschitz: {", ".join(CONSTRAINTS)}',
    'clip': 'largest absolute value of a critic weight',
    'penalty_weight': 'factor of the penalty in the critic loss; for r1 and r2 the gamma of gamma/2 E|grad|^2',
    'instance_noise': 'deviation of the noise on all that the critic sees, falling linearly to 0 over decay_steps',
    'optimizer': 'adam or rmsprop',
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
    'precision': 'precision of the computation: float32 or bfloat16; parameters are float32',
    'augment': 'augmentation: none; data: flips, rotations, zooms, colour of the real; diff: of real and fake alike',
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
