"""The flags of the train launcher, and how they become settings."""

import dataclasses

from absl import flags

from wgan_jax.ranges import whole
from wgan_jax.training.budget import MINUTES as MINUTES_RANGE
from wgan_jax.training.configure import settings
from wgan_jax.training.prepare import DATA_PATHS
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import Settings

from ..common.choices import described
from ..common.flagtypes import define_choice, define_number, define_text
from ..common.setting_flags import define_settings, given

PRESET = define_text('preset', 'flags', f'Settings to start from: {described(PRESETS)}.')

# One for each field of Settings; --seed is every launcher's.
_SETTINGS = define_settings(field.name for field in dataclasses.fields(Settings) if field.name != 'seed')

PARALLEL = define_choice(
    'parallel', 'auto', ('auto', 'jit', 'pmap'), 'jit: one device; pmap: all devices; auto: whichever fits.'
)
DEVICES = define_number('devices', None, 'Number of virtual CPU devices.', whole(1, 1024))
DATA_PATH = define_choice(
    'data_path',
    'auto',
    DATA_PATHS,
    'device: the pictures lie where the networks are; stream: they stay on the host, or on the disk, and each batch is '
    'fetched when it is due, with the same result; auto: whichever fits.',
)
CHECKPOINT_EVERY = define_number('checkpoint_every', 500, 'Steps between checkpoints.', whole(1))
KEEP_CHECKPOINTS = define_number('keep_checkpoints', 3, 'How many of the newest checkpoints are kept.', whole(1))
SAMPLE_EVERY = define_number('sample_every', 100, 'Steps between grids of samples.', whole(1))
EVALUATE_EVERY = define_number(
    'evaluate_every',
    None,
    'Steps between evaluations: the patch distance of up to 2,048 samples, and a checkpoint, of which the best one is '
    'kept besides the newest (default: none).',
    whole(1),
)
MINUTES = define_number(
    'minutes',
    None,
    'Train for this long: chooses --steps, and --decay_steps where rates decay, from the measured rate; recorded with '
    'the run.',
    MINUTES_RANGE,
)
LOG_EVERY = define_number('log_every', 10, 'Steps between lines of metrics.jsonl.', whole(1))
LOG_LIPSCHITZ = flags.DEFINE_bool(
    'log_lipschitz', False, 'With every grid of samples, write bounds of how steep the critic is to lipschitz.jsonl.'
)
LOG_TO = define_choice(
    'log_to', None, ('wandb',), 'Log metrics and samples there, too: wandb, if you have it installed, on your account.'
)
PROFILE = flags.DEFINE_bool('profile', False, 'Write a profile of a few steps to WORKDIR/profile.')


def settings_from_flags(seed: int) -> Settings:
    """The preset's settings with the flags that were given.

    Raises:
        ValueError: one line naming the flag, what is wrong with it and what would do.
    """
    changes = given(_SETTINGS)
    if changes.get('conditional') and LOG_LIPSCHITZ.value:
        raise ValueError('log_lipschitz has no effect on conditional runs, whose critic is one for each class')
    for name in ('steps', 'decay_steps'):
        if MINUTES.value is not None and name in changes:
            raise ValueError(f'{name} has no effect with --minutes, which chooses it: leave one of them out')
    return settings(PRESET.value, **changes, seed=seed)
