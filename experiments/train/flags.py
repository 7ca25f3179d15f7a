"""The flags of the train launcher, and how they become settings."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from absl import flags

from wgan_jax.joining import HEARTBEAT as HEARTBEAT_RANGE
from wgan_jax.joining import PATIENCE
from wgan_jax.json_files import read_json
from wgan_jax.ranges import SEED, whole
from wgan_jax.training.budget import MINUTES as MINUTES_RANGE
from wgan_jax.training.configure import settings
from wgan_jax.training.folder import completed, settings_of
from wgan_jax.training.prepare import DATA_PATHS
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import Settings, override, record

from ..common import launcher
from ..common.choices import described
from ..common.flag_help import group
from ..common.flagtypes import define_choice, define_number, define_numbers, define_text
from ..common.setting_flags import define_settings, given

_SETTINGS: dict[str, flags.FlagHolder] = {}  # one for each field of Settings; --seed is every launcher's


def _define(*names: str) -> None:
    _SETTINGS.update(define_settings(names, lists=True))


with group('What to train', launcher.SEED_FLAG, launcher.WORKDIR):
    PRESET = define_text('preset', 'flags', f'Settings to start from: {described(PRESETS)}.')
    CONFIG = define_text(
        'config', None, "The same from a JSON file: a run's config.json, or an object of settings, with preset for "
        'those that it does not name, such as --show_settings prints.',
    )  # fmt: skip
    _define('init_from')
    SEEDS = define_numbers(
        'seeds', None, 'Train a run of each of these seeds, such as 0,1,2. Any setting that is a number takes a list, '
        'too, such as --generator_lr=1e-3,5e-4: every combination is a run of its own, in a folder in WORKDIR, and '
        'each accelerator trains one of them at a time.', SEED, least=2, distinct=True,
    )  # fmt: skip
    SHOW_SETTINGS = flags.DEFINE_bool('show_settings', False, 'Print all settings as JSON, and train nothing.')
with group('Data'):
    _define('dataset', 'data_dir', 'image_size', 'channels', 'fit', 'background', 'min_side', 'max_images')
    _define('augment', 'conditional', 'held_out')
    DATA_PATH = define_choice(
        'data_path',
        'auto',
        DATA_PATHS,
        'device: the pictures lie where the networks are; stream: they stay on the host, or on the disk, and each '
        'batch is fetched when it is due, with the same result; auto: whichever fits.',
    )
with group('Networks'):
    _define('arch', 'width', 'critic_width', 'latent', 'latent_dim', 'critic_norm', 'critic_bias')
    _define('upsampling', 'doublings', 'resnet_variant', 'ema_decay')
with group('Losses and constraints'):
    _define('objective', 'label_smoothing', 'constraint', 'clip', 'penalty_weight', 'instance_noise')
with group('Optimisers'):
    _define('optimizer', 'generator_lr', 'critic_lr', 'beta1', 'beta2', 'n_critic', 'critic_warmup')
    _define('batch_size', 'generator_batch_size')
    _define('decay_steps', 'decay', 'final_lr', 'final_penalty', 'final_beta2')
with group('Time, devices and precision'):
    _define('steps')
    MINUTES = define_number(
        'minutes',
        None,
        'Train for this long: chooses --steps, and --decay_steps where rates decay, from the measured rate; recorded '
        'with the run.',
        MINUTES_RANGE,
    )
    PARALLEL = define_choice(
        'parallel',
        'auto',
        ('auto', 'jit', 'pmap'),
        'jit: one device; pmap: all devices, which must share batches evenly; auto: pmap where there are several.',
    )
    DEVICES = define_number('devices', None, 'Number of virtual CPU devices.', whole(1, 1024))
    _define('precision')
    MATMUL_PRECISION = define_choice(
        'matmul_precision', None, ('default', 'high', 'highest'), 'What the factors of products of float32 are '
        'rounded to: default: TF32 on a GPU, bfloat16 on a TPU; high: between; highest: nothing is rounded; recorded '
        'with the run (default: what JAX_DEFAULT_MATMUL_PRECISION says).',
    )  # fmt: skip
    _define('deterministic')
with group('Several processes as one run'):
    DISTRIBUTED = flags.DEFINE_bool(
        'distributed', False, 'Train with other processes, each of which gets the same command: those that Slurm, a '
        'TPU pod, Open MPI or Kubernetes has started; the next three flags name others, and say as much.',
    )  # fmt: skip
    COORDINATOR = define_text('coordinator', None, 'HOST:PORT at which process 0 waits for the others.')
    NUM_PROCESSES = define_number('num_processes', None, 'How many processes there are.', whole(1, 2**16))
    PROCESS_ID = define_number('process_id', None, 'Which of them this is, from 0 on.', whole(0, 2**16))
    HEARTBEAT = define_number(
        'heartbeat', None, 'Seconds after which a process without a sign of life is given up, and with it the run '
        '(default: 100).', HEARTBEAT_RANGE,
    )  # fmt: skip
    JOIN_TIMEOUT = define_number(
        'join_timeout', None, 'Seconds in which all processes have to come (default: 300).', PATIENCE
    )
with group('Logging and files'):
    LOG_EVERY = define_number('log_every', 10, 'Steps between lines of metrics.jsonl.', whole(1))
    SAMPLE_EVERY = define_number('sample_every', 100, 'Steps between grids of samples.', whole(1))
    CHECKPOINT_EVERY = define_number('checkpoint_every', 500, 'Steps between checkpoints.', whole(1))
    KEEP_CHECKPOINTS = define_number('keep_checkpoints', 3, 'How many of the newest checkpoints are kept.', whole(1))
    EVALUATE_EVERY = define_number(
        'evaluate_every',
        None,
        'Steps between evaluations: the patch distance of up to 2,048 samples, and a checkpoint, of which the best one '
        'is kept besides the newest (default: none).',
        whole(1),
    )
    LOG_LIPSCHITZ = flags.DEFINE_bool(
        'log_lipschitz', False, 'With every grid of samples, write bounds of how steep the critic is to '
        'lipschitz.jsonl.',
    )  # fmt: skip
    LOG_TO = define_choice(
        'log_to', None, ('wandb',), 'Log metrics and samples there, too: wandb, if you have it installed, on your '
        'account.',
    )  # fmt: skip
    PROFILE = flags.DEFINE_bool('profile', False, 'Write a profile of a few steps to WORKDIR/profile.')
_define(*(f.name for f in dataclasses.fields(Settings) if f.name not in (*_SETTINGS, 'seed')))  # new ones, of no group


def preset_defaults(given: Mapping[str, str]) -> dict[str, str]:
    """What --help says of the defaults of the settings: their values in the preset that is given beside it.

    Args:
        given: the flags of the command line.
    """
    name = given['preset'] if given.get('preset') in PRESETS else PRESET.default
    values = {flag: getattr(PRESETS[name], flag) for flag in _SETTINGS}
    return {
        flag: f'preset {name}: {str(value).lower() if isinstance(value, bool) else str(value).removesuffix(".0")}'
        for flag, value in values.items()
        if value is not None
    }


def swept() -> dict[str, list[float]]:
    """The settings that are given as lists; the seeds last."""
    lists = {name: value for name, value in given(_SETTINGS).items() if isinstance(value, list)}
    return lists if SEEDS.value is None else {**lists, 'seed': SEEDS.value}


def settings_from_flags(chosen: Mapping[str, float] = MappingProxyType({})) -> Settings:
    """The settings of the preset, or of the file, with the flags that were given.

    Args:
        chosen: one value for each of those that are given as lists.

    Raises:
        ValueError: one line naming the flag, what is wrong with it and what would do.
    """
    changes = given(_SETTINGS) | dict(chosen)
    if changes.get('conditional') and LOG_LIPSCHITZ.value:
        raise ValueError('log_lipschitz has no effect on conditional runs, whose critic is one for each class')
    for name in ('steps', 'decay_steps'):
        if MINUTES.value is not None and name in changes:
            raise ValueError(f'{name} has no effect with --minutes, which chooses it: leave one of them out')
    if CONFIG.value is None:
        return settings(PRESET.value, **{'seed': launcher.seed(), **changes})
    if flags.FLAGS['preset'].present:
        raise ValueError('preset has no effect with --config, which is begun from: leave one of them out')
    if flags.FLAGS['seed'].present:
        changes['seed'] = launcher.seed()
    found = read_json(CONFIG.value, dict)
    if 'settings' in found:
        if launcher.WORKDIR.value is None and not SHOW_SETTINGS.value:
            raise ValueError(f'config={CONFIG.value} is that of a run: name another folder by --workdir')
        return override(_by_size(settings_of(completed(found, CONFIG.value))), changes)
    if found.keys() == {field.name for field in dataclasses.fields(Settings)}:  # of which not all need have an effect
        return override(_by_size(override(Settings(**found), {})), changes)
    return override(settings(found.pop('preset', 'flags')), found | changes)


def _by_size(given_settings: Settings) -> Settings:
    """The settings with what goes with the size of the images left to it, where they say no other: it may change."""
    free = dataclasses.replace(given_settings, doublings=0, resnet_variant='auto')
    return free if record(free) == record(given_settings) else given_settings


def default_folder() -> str:
    """Where a run goes without --workdir."""
    name = PRESET.value if CONFIG.value is None else Path(CONFIG.value).stem
    return f'runs/{name}'
