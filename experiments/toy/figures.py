"""The figures and the animation of the toy launcher, from arrays alone."""

from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from matplotlib import pyplot as plt

from wgan_jax.penalties import gradient_norms
from wgan_jax.types import Network, Variables

from ..common import pictures
from ..common.figures import save
from ..common.toy_run import History

GRID = 96  # points a side of value surfaces
PANELS = 8  # at most, of samples
SHOWN = 1000  # points of a scatter
REAL, FAKE = '0.35', 'tab:red'


def window(*clouds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner of a box around the first cloud, with a margin of a quarter of its size; (d,) each."""
    low, high = clouds[0].min(axis=0), clouds[0].max(axis=0)
    margin = 0.25 * np.maximum(high - low, 0.5 * np.max(high - low))
    return low - margin, high + margin


def surface(network: Network) -> Callable[[Variables, np.ndarray, np.ndarray], tuple[np.ndarray, ...]]:
    """A compiled ``(variables, low, high) -> (points, scores, gradient norms)`` on a grid of 1 or 2 dimensions."""

    @jax.jit
    def evaluate(variables, points):
        def critic_fn(x):
            return network.apply(variables, x, train=False)[0]

        return critic_fn(points), gradient_norms(critic_fn, points)

    def on_grid(variables, low, high):
        axes = [np.linspace(a, b, GRID, dtype=np.float32) for a, b in zip(low, high, strict=True)]
        points = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, len(low))
        return points, *(np.asarray(values) for values in evaluate(variables, points))

    return on_grid


def _cloud(axis, real: np.ndarray, fake: np.ndarray | None, low, high) -> None:
    """Points in the plane (the first two coordinates), or histograms on the line."""
    if real.shape[1] == 1:
        bins = np.linspace(low[0], high[0], 60)
        axis.hist(real[:, 0], bins, density=True, color=REAL, alpha=0.5, label='data')
        if fake is not None:
            axis.hist(fake[:, 0], bins, density=True, color=FAKE, alpha=0.5, label='generated')
        axis.set_xlim(low[0], high[0])
        return
    axis.plot(*real[:SHOWN, :2].T, '.', color=REAL, markersize=3, label='data')
    if fake is not None:
        axis.plot(*fake[:SHOWN, :2].T, '.', color=FAKE, markersize=2, alpha=0.5, label='generated')
    axis.set_xlim(low[0], high[0])
    axis.set_ylim(low[1], high[1])
    axis.set_aspect('equal')


def samples(path: Path, real: np.ndarray, fakes: Sequence[np.ndarray], names: Sequence[str], title: str) -> None:
    """Samples over the data, one panel a run.

    Args:
        path: of the PNG.
        real: (n, d).
        fakes: of each run, (n, d).
        names: of the runs.
        title: of the figure.
    """
    shown = min(len(fakes), PANELS)
    columns = min(shown, 4)
    rows = -(-shown // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(max(4.2 * columns, 5), 4.2 * rows + 0.8), squeeze=False, layout='constrained'
    )
    low, high = window(real)
    for axis in axes.flat[shown:]:
        axis.axis('off')
    for axis, fake, name in zip(axes.flat, fakes, names, strict=False):
        _cloud(axis, real, fake, low, high)
        axis.set_title(name, fontsize=9)
    axes.flat[0].legend(fontsize=8, loc='upper right', markerscale=3)
    figure.suptitle(title)
    more = '' if shown == len(fakes) else f' The first {shown} of {len(fakes)} runs.'
    save(figure, path, f'Samples of the averaged generator over fresh data, in units of the data.{more}')


def critic(path: Path, real: np.ndarray, fake: np.ndarray, field: tuple[np.ndarray, ...], title: str) -> None:
    """The critic's value surface and the norm of its gradient, of one run.

    Args:
        path: of the PNG.
        real, fake: samples, (n, d), d 1 or 2.
        field: points, scores and gradient norms, see ``surface``.
        title: of the figure.
    """
    points, scores, norms = field
    low, high = points.min(axis=0), points.max(axis=0)
    figure, axes = plt.subplots(1, 2, figsize=(11, 5.2), layout='constrained')
    for axis, values, what in zip(axes, (scores, norms), ('score f(x)', 'gradient norm |∇f(x)|'), strict=True):
        if points.shape[1] == 1:
            axis.plot(points[:, 0], values, color='tab:blue')
            axis.set_xlabel('x')
            axis.set_ylabel(what)
            twin = axis.twinx()
            _cloud(twin, real, fake, low, high)
            twin.set_ylabel('density of the samples')
            continue
        x, y = (points[:, i].reshape(GRID, GRID) for i in (0, 1))
        levels = 24 if what[0] == 's' else np.linspace(0, max(float(np.quantile(values, 0.98)), 1e-6), 25)
        filled = axis.contourf(x, y, values.reshape(GRID, GRID), levels, cmap='viridis', extend='both')
        figure.colorbar(filled, ax=axis, shrink=0.85, label=what)
        _cloud(axis, real, fake, low, high)
    axes[0].set_title('Value surface: real should score high', fontsize=10)
    axes[1].set_title('Slope: 1 everywhere it matters would be a distance', fontsize=10)
    axes[0].legend(*figure.axes[-1 if points.shape[1] == 1 else 0].get_legend_handles_labels(), fontsize=8)
    figure.suptitle(title)
    save(figure, path, 'The critic of the first run at the end of training, with data and generated samples.')


def curves(path: Path, history: History, groups: Sequence[tuple[str, np.ndarray]], wasserstein: bool, title: str):
    """The critic's estimate against the exact distance over training, mean and deviation over seeds.

    Args:
        path: of the PNG.
        history: of all runs.
        groups: name and run indices of each combination of hyperparameters.
        wasserstein: whether the objective's estimate is one of the Wasserstein distance.
        title: of the figure.
    """
    shown = groups[:6]
    figure, axes = plt.subplots(
        1, len(shown), figsize=(max(5.2 * len(shown), 7), 4.6), sharey=True, squeeze=False, layout='constrained'
    )
    for axis, (name, indices) in zip(axes[0], shown, strict=True):
        lines = [(history.distance, 'exact W1 of fresh samples', 'black', '-')]
        if wasserstein:
            lines.append((history.estimate, "critic's estimate", 'tab:blue', '-'))
        lines.append(
            (
                history.estimate / np.maximum(history.gradient_norm, 1e-12),
                'estimate / largest gradient norm',
                'tab:blue',
                ':',
            )
        )
        for values, label, colour, style in lines:
            own = values[:, indices]
            mean, deviation = own.mean(axis=1), own.std(axis=1, ddof=min(1, len(indices) - 1))  # ends where a run fails
            axis.plot(history.step, mean, style, color=colour, label=label)
            if len(indices) > 1:
                axis.fill_between(history.step, mean - deviation, mean + deviation, color=colour, alpha=0.15)
        axis.set_yscale('symlog', linthresh=1e-2)
        axis.set_title(name, fontsize=9)
        axis.set_xlabel('generator updates')
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel('distance, units of the data')
    axes[0, 0].legend(fontsize=8)
    figure.suptitle(title)
    note = f' Band: deviation over {len(groups[0][1])} seeds.' if len(groups[0][1]) > 1 else ''
    more = '' if len(shown) == len(groups) else f' The first {len(shown)} of {len(groups)} combinations.'
    save(
        figure,
        path,
        'The dotted line divides the estimate by the largest gradient norm found, so that it cannot count a steep '
        f'critic as a long way: at the right gradient norm it meets the exact distance.{note}{more}',
    )


def modes(path: Path, history: History, groups: Sequence[tuple[str, np.ndarray]], num_modes: int, title: str) -> None:
    """Modes captured and the share of high quality over training, mean and deviation over seeds."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.4), layout='constrained')
    columns = ((history.captured, 'modes captured'), (history.high_quality, 'share of high quality'),
               (history.reverse_kl, 'reverse KL, nats'))  # fmt: skip
    for axis, (values, label) in zip(axes, columns, strict=True):
        for name, indices in groups[:10]:
            own = values[:, indices]
            mean, deviation = own.mean(axis=1), own.std(axis=1, ddof=min(1, len(indices) - 1))
            (line,) = axis.plot(history.step, mean, label=name)
            axis.fill_between(history.step, mean - deviation, mean + deviation, color=line.get_color(), alpha=0.15)
        axis.set_xlabel('generator updates')
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    axes[0].axhline(num_modes, color='0.5', linestyle='--')
    axes[1].axhline(0.98889, color='0.5', linestyle='--')
    axes[2].axhline(0, color='0.5', linestyle='--')
    if len(groups) > 1:
        axes[0].legend(fontsize=8)
    figure.suptitle(title)
    save(
        figure, path, 'Dashed: all modes; what a perfect sampler of separated modes in the plane scores; evenly spread.'
    )


def animation(
    path: Path, real: np.ndarray, fakes: np.ndarray, steps: np.ndarray, fields: Sequence[tuple[np.ndarray, ...]] | None
) -> None:
    """Samples of one run over training, on the contours of its critic.

    Args:
        path: of the GIF.
        real: (n, d).
        fakes: (T, n, d).
        steps: (T,).
        fields: of each moment, see ``surface``; None for more than two dimensions.
    """
    low, high = window(real)
    frames = []
    for i, step in enumerate(steps):
        figure, axis = plt.subplots(figsize=(4.6, 4.8), dpi=80, layout='constrained')
        if fields is not None:
            points, scores, _ = fields[i]
            if real.shape[1] == 1:
                twin = axis.twinx()
                twin.plot(points[:, 0], scores, color='tab:blue')
                twin.set_ylabel('score', color='tab:blue')
            else:
                x, y = (points[:, k].reshape(GRID, GRID) for k in (0, 1))
                axis.contour(x, y, scores.reshape(GRID, GRID), 16, cmap='viridis', linewidths=0.8)
        _cloud(axis, real, fakes[i], low, high)
        axis.set_title(f'{step} generator updates: data grey, generated red', fontsize=9)
        figure.canvas.draw()
        frames.append(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())
        plt.close(figure)
    pictures.save_gif(path, frames, seconds=0.2, hold=1.5)
