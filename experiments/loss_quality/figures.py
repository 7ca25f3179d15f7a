"""The figure of the loss_quality launcher, from arrays alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from ..common.figures import save
from .summary import CURVES, smooth


def draw(
    path: Path,
    arrays: Mapping[str, Sequence[Mapping[str, np.ndarray]]],
    results: Mapping[str, Mapping[str, Any]],
    titles: Mapping[str, str],
    strips: Mapping[str, np.ndarray],
) -> None:
    """Draws for each run its estimate and distance, the generator's loss, and samples along the way.

    Args:
        path: of the PNG.
        arrays: for each run and seed its curves, (points,), by the names of ``summary.CURVES``, and 'steps'.
        results: for each run what ``summary.over_seeds`` says. Points that are not valid are not drawn.
        titles: for each run.
        strips: for each run a picture, uint8 (height, width, 3), of samples of the first seed at even distances.
    """
    columns = min(4, len(titles))
    rows = -(-len(titles) // columns)
    figure, axes = plt.subplots(
        3 * rows, columns, figsize=(4.5 * columns, 6.5 * rows), layout='constrained', squeeze=False,
        height_ratios=[3, 1.5, 2] * rows,
    )  # fmt: skip
    for axis in axes.flat:
        axis.axis('off')
    for i, (name, title) in enumerate(titles.items()):
        top, middle, bottom = axes[3 * (i // columns) : 3 * (i // columns) + 3, i % columns]
        _draw_run(top, middle, arrays[name], results[name], wasserstein=name.startswith('wgan'))
        top.set_title(f'{title}\n{_found(results[name])}', fontsize=10)
        bottom.imshow(strips[name])
    figure.suptitle('Does the loss mean something? Estimate of the critic (blue) and distance of its samples (orange)')
    save(
        figure, path,
        'A line for each seed: the median of 5 points. Dotted: log 2, the largest JS divergence. Green: the loss of '
        'the generator, within its standard deviation between two points. Below: samples, left to right in time, grey '
        'after a run has blown up. A loss that means something falls as samples improve and stays where they do not.',
    )  # fmt: skip


def _draw_run(
    top: Axes, middle: Axes, runs: Sequence[Mapping[str, np.ndarray]], result: Mapping[str, Any], *, wasserstein: bool
) -> None:
    right = top.twinx()
    for one, row in zip(runs, result['seeds'], strict=True):
        valid = row['valid_points']
        steps, curves = one['steps'], {name: smooth(one[name], valid) for name in CURVES}
        top.plot(steps, curves['estimate'], color='tab:blue', lw=1)
        right.plot(steps, curves['patch_distance'], color='tab:orange', lw=1)
        loss, deviation = curves['generator_loss'], curves['generator_loss_std']
        middle.plot(steps, loss, color='tab:green', lw=1)
        middle.fill_between(steps, loss - deviation, loss + deviation, color='tab:green', alpha=0.2, lw=0)
    for axis in (top, middle):
        axis.axis('on')
        axis.set_xlim(0, runs[0]['steps'][-1])
    top.set_ylabel('Wasserstein estimate' if wasserstein else 'JS estimate (nats)', color='tab:blue')
    if not wasserstein:
        top.axhline(np.log(2), color='tab:blue', lw=0.8, ls=':')
    right.set_ylabel('patch distance (real std)', color='tab:orange')
    right.set_ylim(bottom=0)
    middle.set_ylabel("generator's loss", color='tab:green')
    middle.set_xlabel('generator updates')


def _found(result: Mapping[str, Any]) -> str:
    if result['spearman'] is None:
        return f'no rank correlation ({result["reason"]})'
    spread = '' if result['spearman_std'] is None else f' ± {result["spearman_std"]:.2f}'
    reason = f' ({result["reason"]})' if result['reason'] else ''
    return f'rank correlation {result["spearman"]:+.2f}{spread}{reason}'
