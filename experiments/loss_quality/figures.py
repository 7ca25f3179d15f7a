"""The figure of the loss_quality launcher, from arrays alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt

from ..common.figures import save
from .summary import smooth


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
    save(
        figure, path,
        'Thick lines: median of 5 points. Dotted: log 2, the largest JS divergence. Below: samples, left to right in '
        'time.\nA loss that means something falls where the samples improve and stays where they do not.',
    )  # fmt: skip
