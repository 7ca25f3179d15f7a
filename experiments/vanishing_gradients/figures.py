"""The figure of the vanishing_gradients launcher."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt

from ..common.figures import save


def draw(path: Path, arrays: Mapping[str, np.ndarray], horizons: Sequence[int], probes: Mapping[str, Any]) -> None:
    """Draws losses, accuracies and gradient norms against the iterations of fresh critics.

    Args:
        path: of the PNG.
        arrays: 'iterations', and KIND_FIELD of (generators, seeds, moments[, objectives]).
        horizons: generator updates after which each generator was frozen.
        probes: the kinds of critics by name, with their titles.
    """
    figure, axes = plt.subplots(2, 3, figsize=(14, 7.5), layout='constrained')
    colours = plt.get_cmap('viridis')(np.linspace(0.1, 0.85, len(horizons)))
    x = arrays['iterations'] + 1  # a logarithmic axis has no place for 0

    def curves(axis, name, field, index=None, band=None, log=True):
        for i, (horizon, colour) in enumerate(zip(horizons, colours, strict=True)):
            pick = (i, ...) if index is None else (i, ..., index)
            seeds = arrays[f'{name}_{field}'][pick]
            several = len(seeds) > 1
            y = np.median(seeds, axis=0)
            axis.plot(x, y, color=colour, label=f'generator after {horizon:,} updates')
            low, high = seeds.min(axis=0), seeds.max(axis=0)
            if several or band is not None:
                deviation = 0 if several else arrays[f'{name}_{band}'][pick][0]
                low = low if several else np.maximum(low - deviation, low / 10)
                axis.fill_between(x, low, high + deviation, color=colour, alpha=0.2, lw=0)
        axis.set_xscale('log')
        if log:
            axis.set_yscale('log')
        axis.set_xlabel('1 + updates of the fresh critic')

    norm = 'gradient norm at the generator'
    curves(axes[0, 0], 'standard', 'loss')
    axes[0, 0].set(title='Discriminator: its loss falls to 0 ...', ylabel='cross-entropy, both halves (nats)')
    curves(axes[0, 1], 'standard', 'accuracy', log=False)
    axes[0, 1].set(title='... its accuracy rises to 1 ...', ylabel='share of images on the right side')
    curves(axes[0, 2], 'standard', 'gradient_norm', 0, 'gradient_std')
    axes[0, 2].set(title='... and the minimax gradient vanishes', ylabel=norm)
    curves(axes[1, 0], 'standard', 'gradient_norm', 1, 'gradient_std')
    axes[1, 0].set(title='-log D: the gradient stays, its spread grows', ylabel=norm)
    for axis, name in ((axes[1, 1], 'clip'), (axes[1, 2], 'gradient_penalty')):
        curves(axis, name, 'gradient_norm', 0, 'gradient_std')
        axis.set(title=f'Wasserstein {probes[name].title}', ylabel=norm)
    for axis in (axes[0, 2], axes[1, 1], axes[1, 2]):
        low, high = axis.get_ylim()
        middle = np.sqrt(low * high)
        axis.set_ylim(min(low, middle / 1e2), max(high, middle * 1e2))  # four decades at least, so that they compare
    axes[0, 0].legend(fontsize=8)
    figure.suptitle(
        'A critic trained to the end against a frozen generator: what is left for the generator to learn from'
    )
    save(
        figure, path,
        'Lines: the median of the seeds; bands: all of them, and where there is one seed a standard deviation over '
        'batches. The better the discriminator, the less the minimax loss has to say; a Wasserstein critic goes on '
        'pointing the way.',
    )  # fmt: skip
