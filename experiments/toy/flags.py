"""The flags of the toy launcher, and how they become settings and runs."""

import dataclasses

from absl import flags

from wgan_jax.constraints import CONSTRAINTS
from wgan_jax.data import synthetic
from wgan_jax.data.synthetic import Density
from wgan_jax.objectives import OBJECTIVES
from wgan_jax.ranges import whole
from wgan_jax.training.build import hyperparameters_of
from wgan_jax.training.gan import DECAYS
from wgan_jax.training.optimizers import OPTIMIZERS
from wgan_jax.training.settings import Settings, override
from wgan_jax.training.sweep import Runs, combinations
from wgan_jax.training.toy import TOY_PRESETS

from ..common import launcher
from ..common.choices import described
from ..common.flagtypes import define_choice, define_number, define_numbers, define_text

PRESET = define_choice('preset', 'wgan_gp', TOY_PRESETS, f'Settings to start from: {described(TOY_PRESETS)}.')
DATA = define_text('data', 'ring', f'Density: {described(synthetic.DENSITIES)}, or FILE.npz of samples (n, d).')
SEEDS = define_number('seeds', 1, 'Seeds to train, from --seed on, all in one compiled program.', whole(1, 100_000))
DEPTH = define_number('depth', 3, 'Hidden layers of either network.', whole(1, 100))

_RANGES = {field.name: field.metadata['range'] for field in dataclasses.fields(Settings)}


def _several(name: str, text: str) -> flags.FlagHolder:
    return define_numbers(name, None, text, _RANGES[name], distinct=True)


def _one(name: str, text: str) -> flags.FlagHolder:
    return define_text(name, None, text) if _RANGES[name] is None else define_number(name, None, text, _RANGES[name])


# Values that a sweep varies: every combination is trained.
_LISTS = {
    'clip': _several('clip', 'Largest absolute value of a critic weight; several: each.'),
    'penalty_weight': _several('penalty_weight', 'Factor of the penalty; several: each.'),
    'generator_lr': _several('generator_lr', "The generator's learning rate; several: each."),
    'critic_lr': _several('critic_lr', "The critic's learning rate; several: each."),
}
_SINGLE = {
    'width': _one('width', 'Units of a hidden layer.'),
    'latent_dim': _one('latent_dim', 'Dimensions of the latent vector.'),
    'batch_size': _one('batch_size', 'Examples in a batch.'),
    'steps': _one('steps', 'Generator updates.'),
    'n_critic': _one('n_critic', 'Critic updates per generator update.'),
    'objective': _one('objective', f'Losses: {described(OBJECTIVES)}.'),
    'constraint': _one('constraint', f'What keeps the critic Lipschitz: {described(CONSTRAINTS)}.'),
    'optimizer': _one('optimizer', f'Of both players: {described(OPTIMIZERS)}.'),
    'beta1': _one('beta1', 'Decay of the mean of gradients (adam).'),
    'beta2': _one('beta2', 'Decay of the mean of squared gradients (adam).'),
    'decay_steps': _one('decay_steps', 'Generator updates over which rates and noise fall; 0: never.'),
    'decay': _one('decay', f'How they fall: {described(DECAYS)}.'),
    'final_lr': _one('final_lr', 'Share of the learning rates that is left after decay_steps.'),
    'final_penalty': _one('final_penalty', 'Share of the factor of the penalty that is left after decay_steps.'),
    'final_beta2': _one('final_beta2', 'beta2 after decay_steps (adam); 0: it stays as it is.'),
    'instance_noise': _one('instance_noise', 'Deviation of noise on all the critic sees.'),
    'label_smoothing': _one('label_smoothing', 'How far below 1 the target of real examples is.'),
    'ema_decay': _one('ema_decay', "Decay of the generator's moving average; 0: none."),
}


def given() -> dict[str, object]:
    """The settings that the command line names, lists as tuples of numbers."""
    chosen = {name: flag.value for name, flag in _SINGLE.items() if flag.value is not None}
    return chosen | {name: tuple(flag.value) for name, flag in _LISTS.items() if flag.value is not None}


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
