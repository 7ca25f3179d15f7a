"""The figures of the lipschitz launcher, from arrays alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt

from ..common.figures import save

NAMES = {'clip': 'weight clipping, c = 0.01', 'gradient_penalty': 'gradient penalty'}


def surfaces(path: Path, arrays: Mapping[str, np.ndarray], data: Mapping[str, np.ndarray], updates: int) -> None:
    """Contours of critics on three densities, clipped above, penalised below."""
    figure, axes = plt.subplots(2, len(data), figsize=(4.2 * len(data), 7.6), layout='constrained')
    side = arrays['side']
    for row, (constraint, label) in zip(axes, NAMES.items(), strict=True):
        for axis, (name, points) in zip(row, data.items(), strict=True):
            values = arrays[f'{constraint}_{name}']
            drawn = axis.contour(side, side, values, 20, cmap='viridis', linewidths=0.9)
            figure.colorbar(drawn, ax=axis, shrink=0.8)
            axis.plot(*points.T, '.', color='tab:orange', markersize=2)
            axis.set_aspect('equal')
            axis.set_xlim(side[0], side[-1])
            axis.set_ylim(side[0], side[-1])
            axis.set_title(f'{name.replace("_", " ")}: {label}', fontsize=10)
    figure.suptitle(f'Value surfaces of critics, data (orange) against data + unit noise, {updates} updates')
    save(
        figure,
        path,
        'Contours of f. The clipped critic only draws the broad outline of the data; the penalised one follows its '
        'shape. Scores are in units of each critic (colour bars).',
    )


def weights(path: Path, arrays: Mapping[str, np.ndarray], clip: float) -> None:
    """Histograms of the weights of both kinds of critic."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout='constrained')
    for axis, (constraint, label) in zip(axes, NAMES.items(), strict=True):
        axis.hist(arrays[constraint], 80, color='tab:blue', log=True)
        axis.set_title(label, fontsize=10)
        axis.set_xlabel('weight')
        axis.locator_params(axis='x', nbins=5)
        axis.set_ylabel('number of weights')
        if constraint == 'clip':
            for sign in (-1, 1):
                axis.axvline(
                    sign * clip, color='tab:red', linestyle='--', linewidth=1, label='±c' if sign > 0 else None
                )
            axis.legend(fontsize=8)
    figure.suptitle('Weights of the trained critics on the swiss roll')
    save(figure, path, 'Under clipping weights pile up at the bounds of the box; under the penalty they spread.')


def layers(path: Path, number: np.ndarray, norms: Mapping[str, np.ndarray], fits: Mapping[str, Any]) -> None:
    """Gradient norm by layer on a logarithmic scale, with the fitted exponential."""
    figure, axis = plt.subplots(figsize=(8.5, 5.2), layout='constrained')
    for name, own in norms.items():
        slope = fits[name]['decades_per_layer']
        rate = 'zero somewhere' if slope is None else f'{slope:+.2f} decades a layer'
        positive = np.where(own > 0, own, np.nan)
        (line,) = axis.semilogy(number, positive, 'o-', label=f'{name}: {rate}')
        if slope is not None:
            fitted = np.polyval(np.polyfit(number, np.log10(own), 1), number)
            axis.semilogy(number, 10**fitted, '--', color=line.get_color(), linewidth=0.9)
    axis.set_xlabel('hidden layer, from the input')
    axis.set_ylabel('|∂ loss / ∂ activation|, over the batch')
    axis.set_title(f'What is left of the gradient in a critic of {len(number)} layers, swiss roll')
    axis.grid(alpha=0.3)
    axis.legend()
    save(figure, path, 'Gradients flow from right to left. Dashed: the fitted exponential.')


def table(path: Path, rows: Mapping[str, Mapping[str, Any]], pairs: Sequence[str]) -> None:
    """Estimate over exact distance of every constraint, raw and divided by the bounds of the slope."""
    figure, axes = plt.subplots(
        1,
        len(pairs),
        figsize=(max(4.6 * len(pairs), 8), 0.42 * len(rows) + 2.2),
        sharey=True,
        squeeze=False,
        layout='constrained',
    )
    places = np.arange(len(rows))
    for axis, pair in zip(axes[0], pairs, strict=True):
        values = {
            'estimate': [row[pair]['estimate_over_w1'] for row in rows.values()],
            'estimate / largest gradient': [
                None if row[pair]['estimate'] is None or not row[pair]['largest_gradient']
                else row[pair]['estimate_over_w1'] / row[pair]['largest_gradient'] for row in rows.values()
            ],
            'estimate / upper bound K': [row[pair]['estimate_over_upper_bound_over_w1'] for row in rows.values()],
        }  # fmt: skip
        for (label, own), marker in zip(values.items(), 'os^', strict=True):
            axis.plot([np.nan if v is None or v <= 0 else v for v in own], places, marker, label=label)
        axis.axvline(1, color='0.4', linestyle='--', linewidth=1)
        axis.set_xscale('log')
        axis.set_title(pair)
        axis.set_xlabel('relative to exact W1')
        axis.grid(alpha=0.3)
    axes[0, 0].set_yticks(places, list(rows))
    axes[0, 0].set_ylim(len(rows) - 0.5, -0.5)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), fontsize=8, loc='outside upper right')
    figure.suptitle('What critics under each constraint say of a known distance', x=0.01, ha='left')
    save(
        figure,
        path,
        'Dashed: the exact distance between the same samples. Divided by a true upper bound (triangles) no estimate '
        'can pass it; undivided (circles) the critic without one counts its own steepness as distance.',
    )
