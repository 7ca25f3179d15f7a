"""The flags of the toy launcher, and how they become settings and runs."""

from absl import flags

from wgan_jax.constraints import CONSTRAINTS
from wgan_jax.data import synthetic
from wgan_jax.data.synthetic import Density
from wgan_jax.objectives import OBJECTIVES
from wgan_jax.training.build import hyperparameters_of
from wgan_jax.training.optimizers import OPTIMIZERS
from wgan_jax.training.settings import Settings, override
from wgan_jax.training.sweep import Runs, combinations
from wgan_jax.training.toy import TOY_PRESETS

from ..common import launcher
from ..common.choices import described

PRESET = flags.DEFINE_enum('preset', 'wgan_gp', list(TOY_PRESETS), f'Settings to start from: {described(TOY_PRESETS)}.')
DATA = flags.DEFINE_string('data', 'ring', f'Density: {described(synthetic.DENSITIES)}, or FILE.npz of samples (n, d).')
SEEDS = flags.DEFINE_integer('seeds', 1, 'Seeds to train, from --seed on, all in one compiled program.', lower_bound=1)
DEPTH = flags.DEFINE_integer('depth', 3, 'Hidden layers of either network.', lower_bound=1)

# Values that a sweep varies: every combination is trained.
_LISTS = {
    'clip': flags.DEFINE_list('clip', None, 'Largest absolute value of a critic weight; several: each.'),
    'penalty_weight': flags.DEFINE_list('penalty_weight', None, 'Factor of the penalty; several: each.'),
    'generator_lr': flags.DEFINE_list('generator_lr', None, "The generator's learning rate; several: each."),
    'critic_lr': flags.DEFINE_list('critic_lr', None, "The critic's learning rate; several: each."),
}
_SINGLE = {
    'width': flags.DEFINE_integer('width', None, 'Units of a hidden layer.'),
    'latent_dim': flags.DEFINE_integer('latent_dim', None, 'Dimensions of the latent vector.'),
    'batch_size': flags.DEFINE_integer('batch_size', None, 'Examples in a batch.'),
    'steps': flags.DEFINE_integer('steps', None, 'Generator updates.'),
    'n_critic': flags.DEFINE_integer('n_critic', None, 'Critic updates per generator update.'),
    'objective': flags.DEFINE_string('objective', None, f'Losses: {described(OBJECTIVES)}.'),
    'constraint': flags.DEFINE_string(
        'constraint', None, f'What keeps the critic Lipschitz: {described(CONSTRAINTS)}.'
    ),
    'optimizer': flags.DEFINE_string('optimizer', None, f'Of both players: {described(OPTIMIZERS)}.'),
    'beta1': flags.DEFINE_float('beta1', None, 'Decay of the mean of gradients (adam).'),
    'beta2': flags.DEFINE_float('beta2', None, 'Decay of the mean of squared gradients (adam).'),
    'decay_steps': flags.DEFINE_integer(
        'decay_steps', None, 'Generator updates over which rates and noise fall to 0; 0: never.'
    ),
    'instance_noise': flags.DEFINE_float('instance_noise', None, 'Deviation of noise on all the critic sees.'),
    'label_smoothing': flags.DEFINE_float('label_smoothing', None, 'How far below 1 the target of real examples is.'),
    'ema_decay': flags.DEFINE_float('ema_decay', None, "Decay of the generator's moving average; 0: none."),
}


def given() -> dict[str, object]:
    """The settings that the command line names, lists as tuples of numbers."""
    chosen = {name: flag.value for name, flag in _SINGLE.items() if flag.value is not None}
    return chosen | {name: _numbers(flag) for name, flag in _LISTS.items() if flag.value is not None}


def _numbers(flag: flags.FlagHolder) -> tuple[float, ...]:
    numbers = tuple(launcher.numbers(flag))
    if len(set(numbers)) < len(numbers):
        raise ValueError(f'{flag.name}={",".join(flag.value)} must be finite numbers, each once')
    return numbers


def resolve() -> tuple[Settings, Density, Runs]:
    """What the flags describe.

    Returns:
        (settings of the first run, the density, all runs, seeds fastest).

    Raises:
        ValueError: one line naming the flag, what is wrong with it and what would do.
    """
    seeds = launcher.seeds(SEEDS.value)
    density = synthetic.load(DATA.value)
    chosen = {'dataset': DATA.value, 'seed': seeds[0], **given()}
    lists = {name: chosen[name] for name in _LISTS if name in chosen}
    for name, numbers in lists.items():
        for number in numbers:  # each must be valid, whatever the others
            override(
                TOY_PRESETS[PRESET.value], chosen | {other: some[0] for other, some in lists.items()} | {name: number}
            )
    settings = override(TOY_PRESETS[PRESET.value], chosen | {name: numbers[0] for name, numbers in lists.items()})
    runs = combinations(seeds, hyperparameters_of(settings), **lists)
    return settings, density, runs
