"""The sheets of the distances launcher: from the arrays of ``numbers`` to figures with captions."""

from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection
from matplotlib.ticker import NullLocator

from wgan_jax.distances import EarthMoves, optimal_logit

from ..common.figures import save
from .numbers import SHOWN

REAL, FAKE = 'C0', 'C1'
NAMES = {'tv': 'total variation', 'kl': 'KL divergence', 'js': 'Jensen-Shannon', 'w1': 'Wasserstein-1'}
COLOURS = {'tv': 'C2', 'kl': 'C3', 'js': 'C4', 'w1': 'C5'}


def sliding(path: Path, a: dict[str, np.ndarray]) -> None:
    """Densities at four separations, the four distances over the separation, and their slopes."""
    figure, axes = plt.subplots(3, 4, figsize=(14, 9), layout='constrained')
    for axis, delta in zip(axes[0], SHOWN, strict=True):
        x = np.linspace(-5, delta + 5, 1201)
        for mean, colour, label in ((0, REAL, 'N(0, 1)'), (delta, FAKE, f'N({delta:g}, 1)')):
            density = np.exp(-((x - mean) ** 2) / 2) / np.sqrt(2 * np.pi)
            axis.fill_between(x, density, color=colour, alpha=0.35, linewidth=0)
            axis.plot(x, density, color=colour, linewidth=1, label=label)
        axis.set(title=f'means {delta:g} apart', xlabel='x', ylim=(0, 0.55), yticks=[0, 0.2, 0.4])
        axis.legend(fontsize='small', ncols=2, loc='upper center')
    axes[0, 0].set_ylabel('density')
    limits = {'tv': (1, 'limit 1'), 'js': (np.log(2), 'limit log 2')}
    for axis, (name, title) in zip(axes[1], NAMES.items(), strict=True):
        axis.plot(a['delta'], a[name], color=COLOURS[name], label='closed form')
        sampled, finite = a[f'{name}_sampled'], np.isfinite(a[f'{name}_sampled'])
        if finite.any():
            axis.plot(a['delta_sampled'][finite], sampled[finite], 'k.', markersize=4, label='from samples')
        if not finite.all():
            top = a[name].max()
            axis.plot(a['delta_sampled'][~finite], np.full((~finite).sum(), top), 'k^', markersize=4, mfc='none',
                      label='from samples: infinite')  # fmt: skip
        if name in limits:
            axis.axhline(limits[name][0], color='0.6', linewidth=0.8, linestyle='--', label=limits[name][1])
        axis.set(title=title, xlabel='distance of the means')
        axis.legend(
            fontsize='small', loc='center right' if name in limits else 'upper left' if name == 'w1' else 'center left'
        )
    axes[1, 0].set_ylabel('value (nats for KL, JS)')
    for axis, name in zip(axes[2], NAMES, strict=True):
        axis.plot(a['delta'], a[f'{name}_log10_slope'], color=COLOURS[name])
        far = a[f'{name}_log10_slope'][-1]
        label, shift = (f'10^{far:.0f} at 100', (-42, 6)) if far < -1 else (f'{10**far:.0f} at 100', (0, 8))
        axis.annotate(label, (100, far), shift, textcoords='offset points', ha='right', fontsize='small')
        axis.set(xlabel='distance of the means', ylim=(-600, 60) if far < -1 else (-3, 3))
        axis.set_title(f'slope of {NAMES[name]}', fontsize='medium')
        axis.axhline(0, color='0.6', linewidth=0.8, linestyle='--')
    axes[2, 0].set_ylabel('log10 of the slope')
    figure.suptitle('Two Gaussians slide apart: which distance still says where to go?', fontsize='x-large')
    save(
        figure, path,
        'Lines are closed forms, dots are estimates from samples: histograms with bins 1/4 wide for TV, KL and JS, '
        'sorted samples for Wasserstein. TV and JS are at their limits before the means are 10 apart, and their '
        'slopes fall below 10^-500; KL grows as the square, but its estimate is infinite as soon as a bin of one has '
        'no sample of the other; Wasserstein-1 is the distance of the means, with slope 1 everywhere.',
    )  # fmt: skip


def parallel_lines(path: Path, a: dict[str, np.ndarray], noises: tuple[float, ...]) -> None:
    """The four distances of two lines over their offset, and what the best critic and discriminator look like."""
    figure, axes = plt.subplots(2, 3, figsize=(13, 7.6), layout='constrained')
    theta, off = a['theta'], a['theta'] != 0
    for axis, (name, title) in zip(axes.ravel(), NAMES.items(), strict=False):
        bare = a[name][0]
        if name == 'kl':
            axis.axhline(26, color='k', linewidth=2)
            axis.text(0, 24.6, 'bare lines: infinite', ha='center', va='top', fontsize='small')
            axis.set_ylim(-1, 28)
        else:
            axis.plot(np.where(off, theta, np.nan), np.where(off, bare, np.nan), 'k', linewidth=2, label='bare lines')
        if name != 'w1':
            axis.plot(0, 26 if name == 'kl' else bare.max(), 'o', color='k', mfc='w', markersize=6)
        axis.plot(0, 0, 'ko', markersize=5)
        for k, noise in enumerate(noises):
            values = np.where(a[name][k + 1] < 26, a[name][k + 1], np.nan) if name == 'kl' else a[name][k + 1]
            style = {'linestyle': (0, (2 + 2 * k, 2)), 'linewidth': 1.6}
            axis.plot(theta, values, color=f'C{k + 2}', label=f'with noise of std {noise:g}', **style)
        axis.set(title=title, xlabel='offset of the lines', ylabel='nats' if name in ('kl', 'js') else 'distance')
    axes[1, 0].legend(fontsize='small', loc='upper center')
    place = 0.5
    x, y = np.meshgrid(np.linspace(-0.5, 1, 61), np.linspace(0, 1, 41))
    shown = axes[1, 1].contourf(x, y, -x, 15, cmap='RdBu')
    axes[1, 1].plot([0, 0], [0, 1], color=REAL, linewidth=3, label='real: x = 0')
    axes[1, 1].plot([place, place], [0, 1], color=FAKE, linewidth=3, label=f'fake: x = {place}')
    axes[1, 1].set(title='best critic f(x, y) = -x', xlabel='x', ylabel='y')
    axes[1, 1].legend(fontsize='small', loc='lower right')
    figure.colorbar(shown, ax=axes[1, 1], label='score')
    axis, x = axes[1, 2], np.linspace(-0.5, 1, 601)
    for k, noise in enumerate(noises):
        logit = np.asarray(optimal_logit(x, 0.0, noise, place, noise))
        axis.plot(x, 1 / (1 + np.exp(-logit)), color=f'C{k + 2}', label=f'D*, noise of std {noise:g}')
    axis.plot([0, place], [1, 0], 'ko', label='D*, bare: 1 and 0, else undefined')
    axis.plot(x, place - x, 'k--', label='critic, up to a constant')
    axis.axvline(0, color=REAL, linewidth=1)
    axis.axvline(place, color=FAKE, linewidth=1)
    axis.set(title='along x', xlabel='x', ylabel='D* or score', ylim=(-0.6, 2.1))
    axis.legend(fontsize='small', loc='upper right')
    figure.suptitle('Parallel lines: a distance that jumps and one that does not', fontsize='x-large')
    save(
        figure, path,
        'Points uniform on the segment x = 0 against points on x = offset. Bare, TV, KL and JS are constant or '
        'infinite wherever the lines do not coincide, and jump to 0 where they do: no gradient anywhere. Noise on '
        'both makes them continuous, and flat again beyond a few of its standard deviations. Wasserstein-1 is |offset| '
        'with and without noise (the three lines lie on each other), and its critic has slope 1 between the lines.',
    )  # fmt: skip


def piles(path: Path, examples: list[tuple[np.ndarray, np.ndarray, EarthMoves]]) -> None:
    """Each example in a column: the pile, its moves, the pile wanted, and the running surplus."""
    columns = len(examples)
    heights = [3, 1.2, 3, 1.8]
    figure, axes = plt.subplots(
        4, columns, figsize=(max(8, 4.6 * columns), 9.5), layout='constrained', height_ratios=heights, squeeze=False
    )
    for column, (p, q, found) in zip(axes.T, examples, strict=True):
        bins, tallest = np.arange(len(p)), max(np.max(p), np.max(q))
        cut = np.minimum(p, q)
        for axis, masses, colour, label in ((column[0], p, REAL, 'pile P'), (column[2], q, FAKE, 'pile Q, wanted')):
            axis.bar(bins, cut, 0.8, color=colour, alpha=0.45, edgecolor='k', label='stays')
            axis.bar(bins, masses - cut, 0.8, bottom=cut, color=colour, edgecolor='k', hatch='//',
                     label='leaves' if masses is p else 'arrives')  # fmt: skip
            axis.set(ylabel=label, ylim=(0, 1.35 * tallest), xticks=bins)
            axis.legend(fontsize='small', loc='upper center', ncols=2)
            for i, mass in enumerate(masses):
                axis.text(i, mass + 0.03 * tallest, f'{mass:g}', ha='center', va='bottom', fontsize='small')
        column[0].set_title(f'{_listed(p)} -> {_listed(q)}: work {found.work:g}')
        for k, move in enumerate(found.moves):
            height = -k
            column[1].annotate('', (move.target, height), (move.source, height),
                               arrowprops={'arrowstyle': '-|>', 'color': 'k', 'shrinkA': 0, 'shrinkB': 0})  # fmt: skip
            column[1].text(
                (move.source + move.target) / 2, height + 0.12, f'{move.mass:g}', ha='center', fontsize='small'
            )
        column[1].set(ylabel='moves', yticks=[], ylim=(-max(len(found.moves), 1) + 0.4, 0.9), xticks=bins)
        surplus = found.surplus
        column[3].bar(bins + 0.5, surplus, 0.5, color=np.where(surplus >= 0, 'C2', 'C3'), edgecolor='k')
        reach = max(np.abs(surplus).max(), 1e-9)
        for i, value in enumerate(surplus):
            column[3].text(i + 0.5, value + np.sign(value) * 0.08 * reach, f'{value:g}', ha='center',
                           va='bottom' if value >= 0 else 'top', fontsize='small')  # fmt: skip
        column[3].axhline(0, color='k', linewidth=0.8)
        column[3].set(ylabel='running surplus', xlabel='bin', xticks=bins, ylim=(-1.45 * reach, 1.45 * reach))
        for axis in column:
            axis.set_xlim(-0.6, len(p) - 0.1)
    figure.suptitle("Earth mover's distance: move a pile, count the work", fontsize='x-large')
    save(
        figure, path,
        'What lies in both piles stays; the rest moves along the arrows, each with its mass. The running surplus '
        's_i = s_(i-1) + P_i - Q_i is what has to cross from bin i to bin i + 1, to the left where it is negative: '
        'the work is the sum of its absolute values, and equals mass times distance over the arrows.',
    )  # fmt: skip


def _listed(masses: np.ndarray) -> str:
    return '[' + ', '.join(f'{mass:g}' for mass in masses) + ']'


def clouds(path: Path, a: dict[str, np.ndarray]) -> None:
    """A plan between clouds of equal size, one onto weighted points, and the best critic."""
    figure, axes = plt.subplots(1, 3, figsize=(15, 5.6), layout='constrained')
    for axis, target, plan in ((axes[0], a['y'], a['plan']), (axes[1], a['few'], a['few_plan'])):
        i, j = np.nonzero(plan)
        lines = np.stack([a['x'][i], target[j]], axis=1)
        axis.add_collection(LineCollection(lines, colors='0.55', linewidths=1.2 * plan[i, j] / plan.max(), zorder=1))
    axes[1].scatter(
        *a['few'].T, s=1500 * a['few_weights'], color=FAKE, edgecolor='k', label='y, area is mass', zorder=2
    )
    axes[0].scatter(*a['y'].T, s=22, color=FAKE, edgecolor='k', linewidth=0.5, label='y', zorder=2)
    shown = axes[2].contourf(a['grid_x'], a['grid_y'], a['critic'] - a['critic'].mean(), 20, cmap='RdBu')
    figure.colorbar(shown, ax=axes[2], label='score, up to a constant', shrink=0.8)
    axes[2].scatter(*a['y'].T, s=14, color=FAKE, edgecolor='k', linewidth=0.5, label='y (fake)')
    for axis in axes:
        label = 'x (real)' if axis is axes[2] else 'x'
        axis.scatter(*a['x'].T, s=22, color=REAL, edgecolor='k', linewidth=0.5, label=label, zorder=3)
        axis.set(xlabel='first coordinate', ylabel='second coordinate', aspect='equal', xlim=(-3, 3), ylim=(-3, 3))
        axis.legend(fontsize='small', loc='lower left')
    axes[0].set_title(f'best plan: W1 = {a["primal"]:.4f} (W2 = {a["w2"]:.4f})')
    axes[1].set_title(f'onto four weighted points: W1 = {a["few_w1"]:.4f}')
    axes[2].set_title(f'best critic: E f(x) - E f(y) = {a["dual"]:.4f}')
    figure.suptitle('Optimal transport between two clouds, and the critic that proves it', fontsize='x-large')
    save(
        figure, path,
        'Left: each line carries one share of the mass; no other pairing is shorter in total, and no two lines cross. '
        'Middle: mass is split where it has to be. Right: the 1-Lipschitz function that separates the clouds most. Its '
        f'value equals the cost of the plan; its largest slope between two points is {a["lipschitz"]:.6f}.',
    )  # fmt: skip


def directions(path: Path, a: dict[str, np.ndarray], width: float) -> None:
    """KL in its two directions with their integrands, and JS, for equal means and unequal widths."""
    figure, axes = plt.subplots(1, 3, figsize=(14, 4.9), layout='constrained')
    axes[0].plot(a['x'], a['p'], color=REAL, label='p = N(0, 1)')
    axes[0].plot(a['x'], a['q'], color=FAKE, label=f'q = N(0, {width:g}^2)')
    axes[0].set(title='densities', xlabel='x', ylabel='density')
    axes[1].plot(a['x'], a['p_log_ratio'], color=REAL, label='p log(p / q)')
    axes[1].plot(a['x'], a['q_log_ratio'], color=FAKE, label='q log(q / p)')
    axes[1].fill_between(a['x'], a['p_log_ratio'], color=REAL, alpha=0.2)
    axes[1].fill_between(a['x'], a['q_log_ratio'], color=FAKE, alpha=0.2)
    axes[1].axhline(0, color='k', linewidth=0.8)
    axes[1].set(title='what is integrated', xlabel='x', ylabel='nats per unit of x')
    axes[2].plot(a['s'], a['kl'], color=REAL, label='KL(p || q)')
    axes[2].plot(a['s'], a['kl_reversed'], color=FAKE, label='KL(q || p)')
    axes[2].plot(a['s'], a['js'], color='C4', linewidth=3, alpha=0.5, label='JS(p, q)')
    axes[2].plot(a['s'], a['js_reversed'], 'k--', linewidth=1, label='JS(q, p)')
    axes[2].axvline(width, color='0.6', linewidth=0.8, linestyle=':')
    axes[2].set(
        title='over the width of q', xlabel='standard deviation of q', ylabel='nats', xscale='log', yscale='log'
    )
    axes[2].set(xticks=[0.25, 0.5, 1, 2, 4], ylim=(1e-4, 10))
    axes[2].xaxis.set_major_formatter('{x:g}')
    axes[2].xaxis.set_minor_locator(NullLocator())
    for axis in axes:
        axis.legend(fontsize='small')
    figure.suptitle('KL has a direction, JS has none', fontsize='x-large')
    save(
        figure, path,
        'Equal means, unequal widths. KL(q || p) weighs where q is and punishes q for reaching beyond p; KL(p || q) '
        'does the same the other way round. They agree only where the widths do. JS is the same both ways (the dashed '
        'line lies on the other). With equal widths and unequal means KL is the same both ways too, which shows '
        'nothing.',
    )  # fmt: skip


def slide_home(path: Path, a: dict[str, np.ndarray], step_size: float) -> None:
    """Where the generator is over the steps of gradient descent, for each loss and start."""
    panels = {
        'minimax': 'Gaussian, minimax loss (JS)', 'non_saturating': 'Gaussian, non-saturating loss',
        'wasserstein': 'Gaussian, Wasserstein-1', 'line_js': 'line, JS', 'line_wasserstein': 'line, Wasserstein-1',
    }  # fmt: skip
    figure, axes = plt.subplots(1, 5, figsize=(16, 4.8), layout='constrained', sharey=True)
    for axis, (name, title) in zip(axes, panels.items(), strict=True):
        for k, path_ in enumerate(a[name]):
            axis.plot(path_, color=f'C{k}', label=f'from {path_[0]:g}')
        axis.axhline(0, color='k', linewidth=0.8, linestyle='--')
        axis.set(title=title, xlabel='step')
    axes[0].set_ylabel('offset of the generator (home is 0)')
    axes[-1].legend(fontsize='small', loc='upper right')
    figure.suptitle('Sliding home by gradient descent: JS does not move what is far away, W1 does', fontsize='x-large')
    save(
        figure, path,
        f'The generator adds one learned offset; step size {step_size:g}, a fresh batch a step, the best discriminator '
        'or critic held fixed in each. Under the minimax loss only a start within reach of the data comes home; the '
        'non-saturating loss pulls with a force that grows with the distance; Wasserstein-1 pulls with force 1 from '
        'anywhere. Between parallel lines JS is constant: its gradient is exactly 0 and nothing moves.',
    )  # fmt: skip
