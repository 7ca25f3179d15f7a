"""The figures of the mode_collapse launcher, from arrays alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from wgan_jax.data import synthetic

from ..common.figures import save
from ..common.tables import over_seeds

COLUMNS = 5  # moments shown of each density


def over_time(
    path: Path, arrays: Mapping[str, Mapping[str, np.ndarray]], labels: Mapping[str, str], data: Sequence[str]
) -> None:
    """Samples of the first seed along training: one row a method, one block of columns a density.

    Args:
        path: of the PNG.
        arrays: of each method, 'step' and for each density its samples (moments, n, 2).
        labels: of each method.
        data: names of densities.
    """
    rows = len(arrays)
    figure, axes = plt.subplots(
        rows, COLUMNS * len(data), figsize=(1.7 * COLUMNS * len(data), 1.75 * rows + 0.9), squeeze=False,
        layout='constrained',
    )  # fmt: skip
    for row, (method, own) in zip(axes, arrays.items(), strict=True):
        moments = np.unique(np.linspace(1, len(own['step']) - 1, COLUMNS).round().astype(int))
        for i, axis in enumerate(row):
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_visible(i % COLUMNS < len(moments))
        row[0].set_ylabel(labels[method].replace(', ', ',\n').replace(': ', ':\n'), fontsize=8)
        for block, name in enumerate(data):
            modes = synthetic.load(name).modes
            for i, moment in enumerate(moments):
                axis = row[block * COLUMNS + i]
                axis.plot(*modes.T, '+', color='0.6', markersize=5, markeredgewidth=0.6)
                axis.plot(*own[f'{name}_samples_of_first_seed'][moment, :1000].T, '.', color='tab:red', markersize=0.8)
                axis.set_xlim(-2, 2)
                axis.set_ylim(-2, 2)
                axis.set_aspect('equal')
                if axis in axes[0]:
                    axis.set_title(f'{name}, step {own["step"][moment]}', fontsize=8)
    figure.suptitle('Samples over training, first seed of each method')
    save(figure, path, 'Red: 1,000 samples of the generator (its average where there is one); crosses: the modes.')


def curves(
    path: Path, arrays: Mapping[str, Mapping[str, np.ndarray]], labels: Mapping[str, str], data: Sequence[str]
) -> None:
    """Modes, quality and reverse KL over training, mean and deviation over seeds; one row a density."""
    columns = {'captured': 'modes captured', 'high_quality': 'share of high quality', 'reverse_kl': 'reverse KL, nats'}
    figure, axes = plt.subplots(len(data), 3, figsize=(13.5, 3.8 * len(data)), squeeze=False, layout='constrained')
    for row, name in zip(axes, data, strict=True):
        best = (len(synthetic.load(name).modes), synthetic.perfect_quality(2), 0)
        for axis, (key, label), target in zip(row, columns.items(), best, strict=True):
            for method, own in arrays.items():
                values = own[f'{name}_{key}']
                mean, deviation = values.mean(axis=0), values.std(axis=0, ddof=min(1, len(values) - 1))
                (line,) = axis.plot(own['step'], mean, label=labels[method])
                axis.fill_between(own['step'], mean - deviation, mean + deviation, color=line.get_color(), alpha=0.12)
            axis.axhline(target, color='0.5', linestyle='--')
            axis.set_xlabel('generator updates')
            axis.set_ylabel(f'{name}: {label}')
            axis.grid(alpha=0.3)
    axes[0, -1].legend(fontsize=8)
    seeds = len(next(iter(arrays.values()))[f'{data[0]}_captured'])
    figure.suptitle('Mode coverage over training')
    save(figure, path, f'{over_seeds(seeds)} Dashed: a perfect sampler.')
