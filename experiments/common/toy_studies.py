"""Two claims about training critics, settled by numbers over seeds.

n_critic: training the critic to convergence helps the Wasserstein GAN and starves the standard one.
momentum: with clipped weights, momentum destabilises the critic.
"""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from tqdm import tqdm

from experiments.common import launcher
from experiments.common.toy_run import History, column, mean_std, train_runs
from experiments.toy import flags as toy_flags
from experiments.toy.figures import save
from wgan_jax.data import synthetic
from wgan_jax.files import atomic_path, write_json
from wgan_jax.training.settings import Settings
from wgan_jax.training.sweep import combinations, make_sweep
from wgan_jax.training.toy import TOY_PRESETS, build_toy

SEEDS = 3  # unless --seeds says otherwise
NUM_EVALS = 20
N_CRITICS = (1, 5, 25, 100)
_SMALL = {'width': 64, 'batch_size': 64, 'dataset': 'ring', 'generator_lr': 5e-4, 'critic_lr': 5e-4}


class Variant(NamedTuple):
    """One way to train: the line it belongs to, its place on that line, and its settings."""

    line: str
    place: str
    settings: Settings


def n_critic_variants() -> list[Variant]:
    """Three objectives at four numbers of critic updates, at the same number of generator updates."""
    methods = {'GAN, log(1 - D)': 'dcgan_minimax', 'GAN, -log D': 'dcgan', 'WGAN-GP': 'wgan_gp'}
    return [
        Variant(label, str(n), dataclasses.replace(TOY_PRESETS[name], **_SMALL, n_critic=n, steps=200))
        for label, name in methods.items()
        for n in N_CRITICS
    ]


def momentum_variants() -> list[Variant]:
    """The clipped critic under RMSProp and under Adam with three first decays."""
    base = dataclasses.replace(TOY_PRESETS['wgan'], **_SMALL, clip=0.1, steps=1_000)
    adam = dataclasses.replace(base, optimizer='adam', beta2=0.99)  # as long a memory of squares as RMSProp's
    return [Variant('WGAN, clipped', 'RMSProp', base)] + [
        Variant('WGAN, clipped', f'Adam, β1 = {beta1:g}', dataclasses.replace(adam, beta1=beta1))
        for beta1 in (0.0, 0.5, 0.9)
    ]


STUDIES = {
    'n_critic': (n_critic_variants, 'critic updates per generator update'),
    'momentum': (momentum_variants, 'optimizer'),
}


def run_study(name: str, seed: int) -> int:
    """Trains every variant of a study, all seeds of one in one program, and writes what came out.

    Args:
        name: of the study.
        seed: the first of the seeds.

    Returns:
        The exit status.
    """
    variants, axis_label = STUDIES[name]
    seeds = toy_flags.SEEDS.value if toy_flags.SEEDS.present else SEEDS
    with launcher.usage_errors():
        given = toy_flags.given()
        if set(given) - {'steps'} or toy_flags.PRESET.present or toy_flags.DATA.present or toy_flags.DEPTH.present:
            raise ValueError(
                f'study={name} fixes its own settings: only --seeds, --steps, --seed and --workdir go with it'
            )
        if seeds < 1 or seed + seeds > 2**32 or given.get('steps', 1) < 1:
            raise ValueError(f'seeds={seeds} and steps={given.get("steps")} must be at least 1, seed + seeds <= 2**32')
        folder = launcher.results_folder(f'toy_{name}')
    chosen = [variant._replace(settings=dataclasses.replace(variant.settings, **given)) for variant in variants()]
    with folder as workdir:
        config = {
            'launcher': f'toy_{name}',
            'seeds': list(range(seed, seed + seeds)),
            'variants': [{**variant._asdict(), 'settings': dataclasses.asdict(variant.settings)} for variant in chosen],
            **launcher.environment(),
        }
        write_json(workdir / 'config.json', config)
        histories = []
        with tqdm(total=sum(variant.settings.steps for variant in chosen), unit=' steps') as bar:
            for variant in chosen:
                bar.set_description(f'{variant.line}, {variant.place}')
                histories.append(_train(variant.settings, seed, seeds, bar))
        rows = [_row(variant, history) for variant, history in zip(chosen, histories, strict=True)]
        _figure(workdir / f'{name}.png', chosen, histories, rows, axis_label)
        with atomic_path(workdir / 'arrays.npz') as temporary:
            arrays = {}
            for i, history in enumerate(histories):
                arrays |= {
                    f'{i}_step': history.step,
                    f'{i}_distance': history.distance,
                    f'{i}_estimate': history.estimate,
                }
                arrays |= {f'{i}_metrics': history.metrics}
            np.savez_compressed(temporary, names=[f'{v.line}, {v.place}' for v in chosen], **arrays)
        write_json(workdir / 'results.json', {'seeds': seeds, 'variants': rows})
    print(_table(rows))
    print(f'Results in {workdir}/: results.json, arrays.npz, {name}.png')
    return 0


def _train(settings: Settings, seed: int, seeds: int, bar: tqdm) -> History:
    density = synthetic.load(settings.dataset)
    gan, _ = build_toy(settings, density)
    rates = {name: (getattr(settings, name),) for name in ('generator_lr', 'critic_lr', 'clip', 'penalty_weight')}
    sweep = make_sweep(gan, combinations(range(seed, seed + seeds), **rates))
    return train_runs(sweep, gan, density, steps=settings.steps, num_evals=NUM_EVALS, seed=seed, bar=bar)[1]


def _row(variant: Variant, history: History) -> dict[str, Any]:
    """Numbers of the last quarter of the training, mean and deviation over seeds."""
    late = slice(-max(1, (len(history.step) - 1) // 4), None)
    steps = slice(-max(2, len(history.metrics) // 4), None)
    gradients = column(history, 'generator_grad_norm')
    distance = history.distance[late]
    return {
        'line': variant.line,
        'place': variant.place,
        'w1': mean_std(distance.mean(axis=0)),
        'w1_std': mean_std(distance.std(axis=0)),
        'captured': mean_std(history.captured[-1]),
        'generator_grad_norm': mean_std(np.median(gradients[steps], axis=0)),
        'critic_loss_std': mean_std(column(history, 'critic_loss')[steps].std(axis=0)),
    }


def _figure(path: Path, variants: list[Variant], histories: list[History], rows: list[dict[str, Any]], label: str):
    lines = list(dict.fromkeys(variant.line for variant in variants))
    figure, axes = plt.subplots(1, len(lines) + 1, figsize=(4.4 * (len(lines) + 1), 4.4), layout='constrained')
    for axis, line in zip(axes, lines, strict=False):
        for variant, history in zip(variants, histories, strict=True):
            if variant.line == line:
                mean, deviation = history.distance.mean(axis=1), history.distance.std(axis=1)
                (drawn,) = axis.plot(history.step, mean, label=variant.place)
                axis.fill_between(history.step, mean - deviation, mean + deviation, color=drawn.get_color(), alpha=0.15)
        axis.set_title(line, fontsize=10)
        axis.set_xlabel('generator updates')
        axis.set_ylim(0, 1.05 * max(np.nanmax(history.distance) for history in histories))
        axis.grid(alpha=0.3)
        axis.legend(title=label, fontsize=8, title_fontsize=8)
    axes[0].set_ylabel('exact W1 of generated samples to data')
    for line in lines:
        own = [row for row in rows if row['line'] == line]
        values, bars = (
            [np.nan if row['w1'][key] is None else row['w1'][key] for row in own] for key in ('mean', 'std')
        )
        axes[-1].errorbar([row['place'] for row in own], values, bars, fmt='o-', capsize=3, label=line)
    axes[-1].set_xlabel(label)
    axes[-1].set_ylabel('exact W1, last quarter of the training')
    if len(lines) == 1:
        plt.setp(axes[-1].get_xticklabels(), rotation=20, ha='right')
    axes[-1].grid(alpha=0.3)
    axes[-1].legend(fontsize=8)
    figure.suptitle('Ring of eight Gaussians: distance of the generator from the data, lower is better')
    save(figure, path, f'Mean and deviation over {histories[0].distance.shape[1]} seeds.')


def _table(rows: list[dict[str, Any]]) -> str:
    def shown(value):
        return '-' if value['mean'] is None else f'{value["mean"]:.4g} ± {value["std"]:.2g}'

    keys = ('w1', 'w1_std', 'captured', 'generator_grad_norm', 'critic_loss_std')
    lines = [f'{"":34} ' + ' '.join(f'{key:>20}' for key in keys)]
    for row in rows:
        cells = ' '.join(f'{shown(row[key]):>20}' for key in keys)
        lines.append(f'{row["line"] + ", " + row["place"]:34} {cells}')
    return '\n'.join(lines)
