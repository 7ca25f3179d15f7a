"""The figure of the discriminator launcher, from arrays alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt

from ..common.figures import save


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow."""
    return np.exp(-np.logaddexp(0, -x))


def draw(path: Path, arrays: Mapping[str, np.ndarray], results: Mapping[str, Any], titles: Mapping[str, str]) -> None:
    """Draws the discriminator beside its optimum, the critics beside theirs, and the gradients that all would give.

    Args:
        path: of the PNG.
        arrays: over 'x' the 'real_density', 'fake_density', 'optimal_logit' and 'optimal_critic', and NAME_scores and
            NAME_slope of each that was trained.
        results: the numbers of results.json.
        titles: of all that were trained, the discriminator first.
    """
    critics = dict(list(titles.items())[1:])
    x, logit = arrays['x'], arrays['discriminator_scores']
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 5), layout='constrained')
    for axis in (left, middle):
        densities = axis.twinx() if axis is middle else axis
        densities.fill_between(x, arrays['real_density'], color='tab:blue', alpha=0.2, lw=0, label='real density')
        densities.fill_between(x, arrays['fake_density'], color='tab:red', alpha=0.2, lw=0, label='generated density')
        if axis is middle:
            densities.set_ylim(0, 1)
            densities.set_yticks([])
    left.plot(x, sigmoid(logit), color='black', lw=2.5, label='D, learned')
    left.plot(x, sigmoid(arrays['optimal_logit']), color='tab:orange', ls='--', label='D* = p_r / (p_r + p_g)')
    left.set(
        title=f'The discriminator saturates\nlargest error {results["largest_error_of_d"]:.4f}; JS '
        f'{results["js_estimate"]:.4f} (true {results["js"]:.4f})',
        xlabel='x', ylabel='D(x), probability of being real',
    )  # fmt: skip
    colours = dict(zip(titles, ('black', 'tab:green', 'tab:purple', 'tab:brown'), strict=True))
    centre = np.argmin(np.abs(arrays['optimal_critic']))
    middle.plot(x, arrays['optimal_critic'], color='tab:orange', ls='--', label='best 1-Lipschitz critic')
    for name in critics:
        scores = (arrays[f'{name}_scores'] - arrays[f'{name}_scores'][centre]) / results[name]['largest_slope']
        middle.plot(x, scores, color=colours[name], label=f'{critics[name]}, / its largest slope')
    middle.set(
        title=f'Critics stay close to a line\nW1 = {results["w1"]:.3f}; estimates '
        + ', '.join(f'{results[name]["estimate_over_slope"]:.3f}' for name in critics),
        xlabel='x', ylabel='f(x), in units of x',
    )  # fmt: skip
    slope, probability = arrays['discriminator_slope'], sigmoid(logit)
    tiny = 1e-12
    right.plot(x, np.abs(probability * slope) + tiny, color='black', label='minimax, |d log(1 - D) / dx|')
    right.plot(x, np.abs((1 - probability) * slope) + tiny, color='black', ls=':', label='-log D, |d log D / dx|')
    for name in critics:
        right.plot(x, np.abs(arrays[f'{name}_slope']) / results[name]['largest_slope'] + tiny, color=colours[name],
                   label=critics[name])  # fmt: skip
    right.set(yscale='log', ylim=(1e-6, 20), xlabel='x, where a generated sample lies', ylabel='size of the gradient',
              title='What a sample at x is told')  # fmt: skip
    for axis in (left, middle, right):
        axis.legend(fontsize=8, loc='best')
    save(
        figure, path,
        'Where the generator is (red), the minimax gradient is nearly gone although D is right; every critic still has '
        'a slope that points to the real samples.',
    )  # fmt: skip
