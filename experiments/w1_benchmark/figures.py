"""The table as a heat map, and value surfaces of critics of two dimensions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt

from wgan_jax.data.funnels import HALF_WIDTH, Funnels

from ..common.figures import save
from .published import best

_BLANK = '0.92'
_PUBLISHED = 'best published solver of each cell'


def draw_table(path: Path, results: Sequence[Mapping[str, Any]]) -> None:
    """``table.png``: for every method, and for the best published solver of each cell, cosine and error of W1.

    Args:
        path: of the PNG.
        results: cells of all methods, at least one.
    """
    dims, funnels = (sorted({result[name] for result in results}) for name in ('dim', 'funnels'))
    rows = {name: {} for name in dict.fromkeys(result['method'] for result in results)}
    for result in results:
        rows[result['method']][result['dim'], result['funnels']] = result['cosine'], result['w1_error']
    asked = {(result['dim'], result['funnels']) for result in results}
    if known := {cell: (one.cosine, one.w1_error) for cell, one in best().items() if cell in asked}:
        rows[_PUBLISHED] = known
    size = 3.2 + 0.75 * len(dims), 1.2 + 0.55 * len(funnels)
    figure, axes = plt.subplots(
        len(rows), 2, figsize=(2 * size[0], len(rows) * size[1]), squeeze=False, layout='constrained'
    )
    for (name, cells), line in zip(rows.items(), axes, strict=True):
        for part, (axis, title) in enumerate(zip(line, ('cosine', 'error of W1 (%)'), strict=True)):
            values = np.full((len(funnels), len(dims)), np.nan)
            for (dim, num), both in cells.items():
                values[funnels.index(num), dims.index(dim)] = both[part]
            good = values if part == 0 else 1 - np.abs(values)
            shown = axis.imshow(good, cmap='RdYlGn', vmin=0 if part == 0 else 0.5, vmax=1, aspect='auto')
            axis.set_facecolor(_BLANK)
            for (row, column), value in np.ndenumerate(values):
                if np.isfinite(value):
                    digits = int(name != _PUBLISHED and abs(value) < 0.0995)  # those are known to one per cent
                    text = f'{value:.2f}' if part == 0 else f'{100 * value:+.{digits}f}'
                    colour = 'black' if 0.2 < shown.norm(good[row, column]) < 0.85 else 'white'
                    axis.text(column, row, text, ha='center', va='center', fontsize=9, color=colour)
            axis.set(title=f'{name}:\n{title}', xlabel='dimension', ylabel='funnels')
            axis.set_xticks(range(len(dims)), dims)
            axis.set_yticks(range(len(funnels)), funnels)
            bar = figure.colorbar(shown, ax=axis)
            bar.set_label('cosine' if part == 0 else '1 - |error|')
    save(
        figure, path,
        'Mean cosine between the gradient of a critic and the optimal one, at samples of the distribution on which its '
        'scores are to be high, and by how much its estimate of the Wasserstein-1 distance is off; green is good. '
        'Published: Korotin et al. 2022, the solver of eleven with the largest cosine, cell by cell.',
    )  # fmt: skip


def draw_surfaces(
    path: Path, surfaces: Mapping[tuple[str, int], np.ndarray], truths: Mapping[int, tuple[np.ndarray, Funnels]]
) -> None:
    """``surfaces.png``: critics of two dimensions beside the optimal one.

    Args:
        path: of the PNG.
        surfaces: (G, G) by method and number of funnels.
        truths: the optimal critic's, and the funnels, by their number.
    """
    methods = list(dict.fromkeys(name for name, _ in surfaces))
    figure, axes = plt.subplots(
        len(truths), 1 + len(methods), figsize=(3.9 * (1 + len(methods)), 3.6 * len(truths)), squeeze=False,
        layout='constrained', sharex=True, sharey=True,
    )  # fmt: skip
    side = np.array([-HALF_WIDTH, HALF_WIDTH])
    for line, (num, (truth, pair)) in zip(axes, truths.items(), strict=True):
        levels = np.linspace(truth.min() - truth.mean(), truth.max() - truth.mean(), 21)
        panels = {'optimal critic': truth} | {name: surfaces[name, num] for name in methods if (name, num) in surfaces}
        for axis, (name, values) in zip(line, panels.items(), strict=False):
            grid = np.linspace(*side, len(values))
            shown = axis.contourf(grid, grid, values - values.mean(), levels=levels, extend='both')
            centers = np.asarray(pair.centers)[np.isfinite(pair.offsets)]
            axis.plot(*centers.T, '.', color='red', markersize=4 if num < 64 else 1.5)
            axis.set(title=f'{num} funnels: {name}', aspect='equal', xlim=side, ylim=side, xlabel='x', ylabel='y')
        for axis in line[len(panels) :]:
            axis.axis('off')
        figure.colorbar(shown, ax=line, label='score, mean 0')
    save(
        figure, path,
        'Critics of two dimensions on the cube; red are the centres of the funnels, near which nearly all of the one '
        'distribution lies, the other being uniform. An optimal critic falls off from every centre with slope 1.',
    )  # fmt: skip
