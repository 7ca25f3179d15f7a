"""The scores of a run's checkpoints over training."""

from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from wgan_jax.metrics.scorecard import meaning_of

from ..common.figures import save
from .evaluation import Evaluation

COLUMNS = 3


def draw_scores(path: Path, found: Evaluation) -> None:
    """``scores.png``: a panel for each score, the data's own beside it.

    Args:
        path: of the PNG.
        found: with one checkpoint or more.
    """
    steps, curves = np.array(list(found.by_step)), found.curves()
    rows = -(-len(curves) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(11, 1.9 * rows), sharex=True, layout='constrained')
    for axis, (name, values) in zip(axes.flat, curves.items(), strict=False):
        finite = np.where(np.isfinite(values), values, np.nan)
        axis.plot(steps, finite, 'o-', color='C0', markersize=4, label='samples')
        axis.axhline(found.scale[name], color='C2', linestyle='--', label='another half of the data')
        axis.axvline(found.generator.step, color='0.8', zorder=0)
        better = meaning_of(name).better
        arrow = {'lower': '↓', 'higher': '↑', 'like data': '='}[better]
        axis.set_title(f'{name.replace("_", " ")} {arrow}', fontsize=9)
        axis.grid(alpha=0.3)
        if np.isfinite(finite).any():
            axis.set_ylim(bottom=min(0, np.nanmin(finite), found.scale[name]))
    for axis in axes.flat[len(curves) :]:
        axis.set_visible(False)
    for axis in axes[-1]:
        axis.set_xlabel('generator updates')
    axes.flat[0].legend(loc='best', fontsize='small')
    figure.suptitle(f'Scores of {found.num:,} samples beside {found.num:,} images of {found.settings.dataset}')
    save(
        figure,
        path,
        'Dashed: what another half of the data gets beside the same images, as a perfect generator would. '
        'Arrows: lower is better, higher is better, or = near the dashed line. The grey line is the best checkpoint by '
        f'{found.best_by}.',
    )
