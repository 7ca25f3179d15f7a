"""What the loss_quality launcher says of its runs: a summary of each, and the figure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from scipy import ndimage, stats

from wgan_jax.files import atomic_path

FILTER = 5  # points in the median filter
BLOWN_UP = 10  # times the largest value that a true estimate can have


def smooth(values: np.ndarray, valid: int) -> np.ndarray:
    """The median filter over the first ``valid`` points; NaN beyond, which a median of numbers would make anything of.

    Args:
        values: (points,).
        valid: how many of them count, 0 to points.
    """
    out = np.full(len(values), np.nan)
    if valid:
        out[:valid] = ndimage.median_filter(values[:valid], FILTER)
    return out


def summary(arrays: dict[str, np.ndarray], largest: float) -> dict[str, Any]:
    """Rank correlation of the two filtered curves, and where they begin and end, as long as the run is sound.

    A run that has blown up estimates nothing from then on, though its numbers may be finite and still go up and down
    with something: what comes after does not count.

    Args:
        arrays: 'steps', 'estimate' and 'distance', (points,).
        largest: the largest value that a true estimate can have.

    Returns:
        'spearman', None without one; 'reason', why there is none or why it is of a part of the run, else None;
        'valid_points', those before the first estimate that is not finite or ten times too large, or distance that is
        not finite; 'first_' and 'last_' 'estimate' and 'distance' of those.
    """
    sound = np.isfinite(arrays['distance']) & (np.abs(arrays['estimate']) <= BLOWN_UP * largest)  # false for NaN
    valid = len(sound) if sound.all() else int(np.argmin(sound))
    curves = {name: smooth(arrays[name], valid)[:valid] for name in ('estimate', 'distance')}
    constant = [name for name, y in curves.items() if valid and np.ptp(y) == 0]
    reason = None if valid == len(sound) else f'blown up by update {arrays["steps"][valid]}'
    if valid >= max(FILTER, len(sound) / 2) and constant:
        reason = f'the {constant[0]} stands still'
    correlates = valid >= max(FILTER, len(sound) / 2) and not constant
    return {
        'spearman': float(stats.spearmanr(curves['estimate'], curves['distance'])[0]) if correlates else None,
        'reason': reason,
        'valid_points': valid,
        **{f'first_{name}': float(y[0]) if valid else None for name, y in curves.items()},
        **{f'last_{name}': float(y[-1]) if valid else None for name, y in curves.items()},
    }


def draw(
    path: Path,
    arrays: Mapping[str, Mapping[str, np.ndarray]],
    results: Mapping[str, Mapping[str, Any]],
    titles: Mapping[str, str],
    strips: Mapping[str, np.ndarray],
) -> None:
    """Draws for each run the estimate and the distance against the steps, and samples along the way.

    Args:
        path: of the PNG.
        arrays: for each run 'steps', 'estimate' and 'distance', (points,).
        results: for each run its summary, with 'spearman', 'valid_points' and 'reason'. Later points are not drawn.
        titles: for each run.
        strips: for each run a picture, uint8 (height, width, 3), of samples at evenly spread moments.
    """
    columns = min(3, len(titles))
    rows = -(-len(titles) // columns)
    figure, axes = plt.subplots(
        2 * rows, columns, figsize=(5 * columns, 5 * rows), layout='constrained', squeeze=False,
        height_ratios=[3, 2] * rows,
    )  # fmt: skip
    for axis in axes.flat:
        axis.axis('off')
    for i, (name, title) in enumerate(titles.items()):
        top, bottom = axes[2 * (i // columns) : 2 * (i // columns) + 2, i % columns]
        one = arrays[name]
        top.axis('on')
        result = results[name]
        valid = result['valid_points']
        top.plot(one['steps'][:valid], one['estimate'][:valid], color='tab:blue', alpha=0.25)
        top.plot(one['steps'], smooth(one['estimate'], valid), color='tab:blue')
        kind = 'Wasserstein estimate' if name.startswith('wgan') else 'JS estimate (nats)'
        top.set_ylabel(kind, color='tab:blue')
        top.set_xlabel('generator updates')
        found = 'none' if result['spearman'] is None else f'{result["spearman"]:+.2f}'
        reason = f' ({result["reason"]})' if result['reason'] else ''
        top.set_title(f'{title}\nrank correlation {found}{reason}', fontsize=10)
        if not name.startswith('wgan'):
            top.axhline(np.log(2), color='tab:blue', lw=0.8, ls=':')
        right = top.twinx()
        right.plot(one['steps'], smooth(one['distance'], valid), color='tab:orange')
        right.set_ylabel('patch distance of samples (real std)', color='tab:orange')
        right.set_ylim(bottom=0)
        bottom.imshow(strips[name])
    figure.suptitle('Does the loss mean something? Estimate of the critic (blue) and distance of its samples (orange)')
    figure.supxlabel(
        'Thick lines: median of 5 points. Dotted: log 2, the largest JS divergence. Below: samples, left to right in '
        'time.\nA loss that means something falls where the samples improve and stays where they do not.', fontsize=9,
    )  # fmt: skip
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=80, format='png')
    plt.close(figure)
