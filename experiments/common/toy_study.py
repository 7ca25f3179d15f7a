"""A claim about training critics on the ring, settled by numbers over seeds: what n_critic and momentum share."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from tqdm import tqdm

from wgan_jax.data import synthetic
from wgan_jax.files import atomic_path
from wgan_jax.ranges import COUNT, whole
from wgan_jax.training.settings import Settings
from wgan_jax.training.sweep import combinations, make_sweep
from wgan_jax.training.toy import TOY_PRESETS, build_toy

from . import launcher
from .figures import save
from .flagtypes import define_number
from .tables import mean_and_std, text_table
from .toy_run import History, column, mean_std, require_memory, train_runs

SEEDS = define_number('seeds', 3, 'Seeds of every variant, from --seed on, all in one program.', whole(1, 10_000))
STEPS = define_number('steps', None, "Generator updates (default: the study's own).", COUNT)

NUM_EVALS = 20
_SMALL = {'width': 64, 'batch_size': 64, 'dataset': 'ring', 'generator_lr': 5e-4, 'critic_lr': 5e-4}


class Variant(NamedTuple):
    """One way to train: the line it belongs to, its place on that line, and its settings."""

    line: str
    place: str
    settings: Settings


def small_settings(preset: str, **changes: Any) -> Settings:
    """A toy preset at the size of these studies."""
    return dataclasses.replace(TOY_PRESETS[preset], **_SMALL, **changes)


def run_study(name: str, variants: Sequence[Variant], axis_label: str) -> int:
    """Trains every variant, all seeds of one in one program, and writes what came out.

    Args:
        name: of the launcher.
        variants: what to compare.
        axis_label: what differs along a line.

    Returns:
        The exit status.
    """
    if STEPS.value is not None:
        variants = [v._replace(settings=dataclasses.replace(v.settings, steps=STEPS.value)) for v in variants]
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            seeds = launcher.seeds(SEEDS.value)
            _require_memory(variants, len(seeds))
            workdir = held.enter_context(launcher.results_folder(name))
        launcher.begin(
            workdir,
            (f'{name}.png', 'arrays.npz'),
            launcher=name,
            seeds=list(seeds),
            variants=[{**variant._asdict(), 'settings': dataclasses.asdict(variant.settings)} for variant in variants],
        )
        histories = []
        with tqdm(total=sum(variant.settings.steps for variant in variants), unit=' steps') as bar:
            for variant in variants:
                bar.set_description(f'{variant.line}, {variant.place}')
                histories.append(_train(variant.settings, seeds, bar))
        rows = [_row(variant, history) for variant, history in zip(variants, histories, strict=True)]
        _figure(workdir / f'{name}.png', variants, histories, rows, axis_label)
        arrays = {}
        for i, history in enumerate(histories):
            arrays |= {f'{i}_{key}': getattr(history, key) for key in ('step', 'distance', 'estimate', 'metrics')}
        with atomic_path(workdir / 'arrays.npz') as temporary:
            np.savez_compressed(temporary, names=[f'{v.line}, {v.place}' for v in variants], **arrays)
        launcher.write_results(workdir, {'seeds': len(seeds), 'variants': rows})
    print(_table(rows))
    print(f'Results in {workdir}/: results.json, arrays.npz, {name}.png')
    return 0


def _require_memory(variants: Sequence[Variant], seeds: int) -> None:
    """Raises ValueError when the study would take too much memory; all variants are of one size."""
    settings = variants[0].settings
    density = synthetic.load(settings.dataset)
    require_memory(*build_toy(settings, density), density, settings, seeds, NUM_EVALS, programs=len(variants))


def _train(settings: Settings, seeds: range, bar: tqdm) -> History:
    density = synthetic.load(settings.dataset)
    gan, hyperparameters = build_toy(settings, density)
    sweep = make_sweep(gan, combinations(seeds, hyperparameters))
    return train_runs(sweep, gan, density, steps=settings.steps, num_evals=NUM_EVALS, seed=seeds[0], bar=bar)[1]


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


def _figure(
    path: Path, variants: Sequence[Variant], histories: list[History], rows: list[dict[str, Any]], label: str
) -> None:
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
    keys = ('w1', 'w1_std', 'captured', 'generator_grad_norm', 'critic_loss_std')
    cells = [[f'{row["line"]}, {row["place"]}', *(mean_and_std(row[key]) for key in keys)] for row in rows]
    return text_table(['', *keys], cells)
