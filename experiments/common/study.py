"""A claim about training critics, settled by numbers over seeds, on a density or on images: n_critic and momentum."""

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import pyplot as plt

from wgan_jax.data.synthetic import DENSITIES
from wgan_jax.files import atomic_path
from wgan_jax.metrics.features import feature_network
from wgan_jax.ranges import COUNT, SIZE, whole
from wgan_jax.training.settings import Settings
from wgan_jax.training.step import Metrics

from . import launcher
from .choices import datasets
from .figures import save
from .flagtypes import define_number, define_text
from .progress import progress
from .study_data import OnDensity, OnImages, Outcome
from .tables import mean_and_std, over_seeds, text_table
from .toy_run import mean_std

SEEDS = define_number('seeds', 3, 'Seeds of every variant, from --seed on.', whole(1, 10_000))
STEPS = define_number('steps', None, "Generator updates (default: the study's own).", COUNT)
DATASET = define_text(
    'dataset', 'ring', f'What is learnt; a density, by exact W1: {", ".join(DENSITIES)}; or images, by the patch '
    f'distance: {datasets()}.',
)  # fmt: skip
WIDTH = define_number('width', None, 'Width of the networks (default: 64 on a density, 8 on images).', SIZE)
OF_IMAGES = (
    define_text('data_dir', None, 'Where TFDS finds its prepared datasets.'),
    define_text('image_size', None, 'Of images: their side in pixels, or HEIGHTxWIDTH (default: 32x32).'),
    define_text(
        'features', None, 'Of images: whose kernel distance is the second measure: random_conv (default), pixels, '
        'classifier:FILE, inception_v3:FILE, dinov2_vitb14:FILE, ...',
    ),
)  # fmt: skip


class Variant(NamedTuple):
    """One way to train.

    Attributes:
        line: that it belongs to.
        place: on that line.
        preset: from which its settings come.
        changes: of them, wherever it is trained.
        on_density, on_images: of them, there alone.
    """

    line: str
    place: str
    preset: str
    changes: Mapping[str, Any]
    on_density: Mapping[str, Any]
    on_images: Mapping[str, Any]


def settings_of(variant: Variant, ground: OnDensity | OnImages, given: Mapping[str, Any]) -> Settings:
    """Settings of a variant on a density or on images, and what the flags change."""
    own = variant.on_density if isinstance(ground, OnDensity) else variant.on_images
    return ground.settings(variant.preset, {**variant.changes, **own, **given})


def run_study(name: str, variants: Sequence[Variant], axis_label: str) -> int:
    """Trains every variant over seeds, and writes what came out.

    Args:
        name: of the launcher.
        variants: what to compare.
        axis_label: what differs along a line.

    Returns:
        The exit status.
    """
    outputs = (f'{name}.png', 'arrays.npz')
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            seeds, ground = launcher.seeds(SEEDS.value), _ground()
            given = {flag.name: flag.value for flag in (STEPS, WIDTH) if flag.value is not None}
            settings = [settings_of(variant, ground, given) for variant in variants]
            ground.require_memory(settings, seeds)
            workdir = held.enter_context(launcher.results_folder(name))
        launcher.require_ours(workdir, outputs)
        outcomes = []
        total = sum(one.steps for one in settings) * (1 if isinstance(ground, OnDensity) else len(seeds))
        with progress(total, 'steps') as bar:
            for variant, own in zip(variants, settings, strict=True):
                title = f'{variant.line}, {variant.place}'
                bar.set_description(title)
                outcomes.append(ground.train(workdir, title, own, seeds, bar))
        # From here on: until there are new results, the old ones stay.
        launcher.begin(
            workdir, outputs, launcher=name, seeds=list(seeds), **ground.recorded,
            variants=[
                {'line': variant.line, 'place': variant.place, 'settings': dataclasses.asdict(own)}
                for variant, own in zip(variants, settings, strict=True)
            ],
        )  # fmt: skip
        rows = [_row(variant, outcome) for variant, outcome in zip(variants, outcomes, strict=True)]
        _figure(workdir / f'{name}.png', variants, outcomes, rows, axis_label, ground)
        arrays = {}
        for i, outcome in enumerate(outcomes):
            arrays |= {f'{i}_{key}': values for key, values in outcome.quality.items()}
            arrays |= {f'{i}_step': outcome.step, f'{i}_metrics': outcome.metrics}
        with atomic_path(workdir / 'arrays.npz') as temporary:
            np.savez_compressed(temporary, names=[f'{v.line}, {v.place}' for v in variants], **arrays)
        launcher.write_results(workdir, {'seeds': len(seeds), 'variants': rows})
    print(_table(rows))
    print(f'Results in {workdir}/: results.json, arrays.npz, {name}.png')
    return 0


def _ground() -> OnDensity | OnImages:
    """Raises ValueError for what cannot be loaded, and for flags of images where a density is learnt."""
    own = {flag.name: flag.value for flag in OF_IMAGES}
    if DATASET.value not in DENSITIES:
        features = own.pop('features') or 'random_conv'
        return OnImages({'dataset': DATASET.value, **own}, feature_network(features))
    for flag, value in own.items():
        if value is not None:
            raise ValueError(f'{flag}={value} is for images, and dataset={DATASET.value} is a density')
    return OnDensity(DATASET.value)


def _row(variant: Variant, outcome: Outcome) -> dict[str, Any]:
    """Numbers of the last quarter of the training, mean and deviation over seeds."""
    late = outcome.step > 0.75 * outcome.step[-1]
    metrics = Metrics(*np.moveaxis(outcome.metrics[-max(2, len(outcome.metrics) // 4) :], -1, 0))
    row: dict[str, Any] = {'line': variant.line, 'place': variant.place}
    for name, values in outcome.quality.items():
        row[name] = mean_std(values[late].mean(axis=0))
        row[f'{name}_std'] = mean_std(values[late].std(axis=0))
    if outcome.captured is not None:
        row['captured'] = mean_std(outcome.captured)
    return {
        **row,
        'generator_grad_norm': mean_std(np.median(metrics.generator_grad_norm, axis=0)),
        'critic_loss_std': mean_std(metrics.critic_loss.std(axis=0)),
    }


def _figure(
    path: Path, variants: Sequence[Variant], outcomes: Sequence[Outcome], rows: Sequence[dict[str, Any]], label: str,
    ground: OnDensity | OnImages,
) -> None:  # fmt: skip
    lines = list(dict.fromkeys(variant.line for variant in variants))
    name = next(iter(outcomes[0].quality))
    drawn = np.concatenate([outcome.quality[name].ravel() for outcome in outcomes])
    highest = drawn[np.isfinite(drawn)].max(initial=1e-9)
    figure, axes = plt.subplots(1, len(lines) + 1, figsize=(4.4 * (len(lines) + 1), 4.4), layout='constrained')
    for axis, line in zip(axes, lines, strict=False):
        for variant, outcome in zip(variants, outcomes, strict=True):
            if variant.line == line:
                quality = outcome.quality[name]
                mean, deviation = quality.mean(axis=1), quality.std(axis=1)
                (line_of_it,) = axis.plot(outcome.step, mean, label=variant.place)
                colour = line_of_it.get_color()
                axis.fill_between(outcome.step, mean - deviation, mean + deviation, color=colour, alpha=0.15)
        axis.set_title(line, fontsize=10)
        axis.set_xlabel('generator updates')
        axis.set_ylim(0, 1.05 * highest)
        axis.grid(alpha=0.3)
        axis.legend(title=label, fontsize=8, title_fontsize=8)
    axes[0].set_ylabel(ground.label)
    for line in lines:
        own = [row for row in rows if row['line'] == line]
        values, bars = (
            [np.nan if row[name][key] is None else row[name][key] for row in own] for key in ('mean', 'std')
        )
        spread = {'yerr': bars, 'capsize': 3} if np.isfinite(bars).any() else {}  # none of one seed
        axes[-1].errorbar([row['place'] for row in own], values, fmt='o-', label=line, **spread)
    axes[-1].set_xlabel(label)
    axes[-1].set_ylabel(f'{ground.label},\nlast quarter of the training')
    if len(lines) == 1:
        plt.setp(axes[-1].get_xticklabels(), rotation=20, ha='right')
    axes[-1].grid(alpha=0.3)
    axes[-1].legend(fontsize=8)
    figure.suptitle(f'{ground.title}: distance of the generator from the data, lower is better')
    save(figure, path, over_seeds(outcomes[0].metrics.shape[1]))


def _table(rows: Sequence[dict[str, Any]]) -> str:
    keys = [key for key in rows[0] if key not in ('line', 'place')]
    cells = [[f'{row["line"]}, {row["place"]}', *(mean_and_std(row[key]) for key in keys)] for row in rows]
    return text_table(['', *keys], cells)
