"""The figures and the animation of the game launcher, from arrays alone."""

# ruff: noqa: RUF001  (rho is not p)

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from matplotlib import pyplot as plt

from wgan_jax.files import atomic_path
from wgan_jax.games import Example, Spectrum, vector_field
from wgan_jax.types import Players

from ..common import pictures
from ..common.figures import save
from .study import Map, Study

LINES = 150  # paths drawn in one portrait, at most, evenly picked
FRAMES = 50
LARGEST = 1e100  # number that is drawn: of larger ones Matplotlib cannot make an axis
OUTPUTS = (
    'curves.png', 'distance.png', 'eigenvalues.png', 'portraits.png', 'trajectories.gif', 'convergence.*', 'paths.npz',
)  # fmt: skip


def write_all(
    folder: Path, game: str, example: Example, studies: list[Study], maps: dict[str, Map], step_sizes: np.ndarray
) -> list[str]:
    """Writes every figure that this game has.

    Args:
        folder: where to.
        game: its name and options, for titles.
        example: the game.
        studies: one a rule.
        maps: by rule; may be empty.
        step_sizes: of the studies, (E,).

    Returns:
        The names of the files written.
    """
    names = ['curves.png', 'distance.png', 'eigenvalues.png']
    curves(folder / names[0], game, example, studies[0], step_sizes[0])
    distances(folder / names[1], game, studies, step_sizes)
    eigenvalues(folder / names[2], game, studies, step_sizes)
    if not any(np.ndim(own) for own in example.start):
        names += ['portraits.png', 'trajectories.gif']
        portraits(folder / names[3], game, example, studies, step_sizes[0])
        animation(folder / names[4], game, example, studies, step_sizes[0])
    if maps:
        names.append('convergence.png')
        convergence(folder / names[-1], game, maps, studies[0].distance.shape[-1] - 1)
        with atomic_path(folder / 'convergence.npz') as temporary:
            arrays = {f'{rule}: {key}': value for rule, one in maps.items() for key, value in one._asdict().items()}
            np.savez_compressed(temporary, **arrays)
    return names


def curves(path: Path, game: str, example: Example, one: Study, step_size: float) -> None:
    """Both players and their product against time, with the envelope that the spectral radius predicts."""
    g, d = (_up_to(np.asarray(own)[0, 0], LARGEST) for own in one.path)
    time, radius = np.arange(len(g)), one.radius[0]
    figure, axes = plt.subplots(2, 1, figsize=(9, 6.6), sharex=True, layout='constrained')
    axes[0].plot(time, g, color='C0', label=['g', *[None] * (np.size(g[0]) - 1)])
    axes[0].plot(time, d, color='C3', label=['d', *[None] * (np.size(d[0]) - 1)])
    axes[0].set_ylabel("players' numbers")
    products = np.sum((g * d).reshape(len(g), -1), axis=1) if g.shape == d.shape else None
    axes[1].set_ylabel('g·d')
    if products is not None:
        axes[1].plot(time, products, color='C2', label='g·d, of the same step as g and d')
    caption = 'The product is that of the state at the same step, not of the one before.'
    centred = not any(np.any(own) for own in example.equilibrium)
    if centred and np.isfinite(radius):
        with np.errstate(over='ignore'):
            length = _up_to(one.distance[0, 0, 0] * radius**time, LARGEST)
        for sign in (-1, 1):
            label = None if sign < 0 else f'± |w₀| ρᵗ, ρ = {radius:.6f}'
            axes[0].plot(time, sign * length, '--', color='0.4', linewidth=1, label=label)
            label = None if sign < 0 else '± |w₀|² ρ²ᵗ / 2'
            axes[1].plot(time, sign * length**2 / 2, '--', color='0.4', linewidth=1, label=label)
        if game == 'bilinear' and one.rule.text == 'simultaneous':
            caption += f'\nThe envelope is √(1 + η²)ᵗ: the oscillation grows by {radius - 1:.2%} a step, for ever.'
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.margins(x=0.01, y=0.2)  # room for the legend
        axis.legend(loc='upper left', fontsize='small', ncols=3)
    axes[0].set_title(f'{game}: {one.rule.text}, step size {step_size:g}')
    axes[1].set_xlabel('steps')
    save(figure, path, caption)


def _up_to(values: np.ndarray, largest: float) -> np.ndarray:
    """The values, NaN in place of those that are too large to be drawn."""
    return np.where(np.abs(values) <= largest, values, np.nan)


def distances(path: Path, game: str, studies: list[Study], step_sizes: np.ndarray) -> None:
    """Distance to the equilibrium of every rule, on a logarithmic scale."""
    figure, axis = plt.subplots(figsize=(10, 6), layout='constrained')
    colours = plt.get_cmap('tab20').colors
    for i, one in enumerate(studies):
        for e, eta in enumerate(step_sizes):
            lengths = _up_to(one.distance[e, 0], LARGEST)
            lengths = np.where(lengths > 0, lengths, np.nan)
            name = one.rule.text if len(step_sizes) == 1 else f'{one.rule.text}, η = {eta:g}'
            rates = ' | '.join(f'{rate:.5f}' if np.isfinite(rate) else '-' for rate in (one.fitted[e], one.radius[e]))
            style = ('-', '--', ':', '-.')[e % 4]
            axis.semilogy(lengths, style, color=colours[i % 20], label=f'{name}: {rates}', linewidth=1.6)
    axis.set_xlabel('steps')
    axis.set_ylabel('distance to the equilibrium')
    axis.set_title(f'{game}: distance to the equilibrium, step size ' + ', '.join(f'{eta:g}' for eta in step_sizes))
    axis.grid(alpha=0.3)
    axis.legend(
        title='rule: factor per step, fitted | predicted', fontsize='x-small', title_fontsize='small',
        loc='center left', bbox_to_anchor=(1.0, 0.5),
    )  # fmt: skip
    caption = (
        'Straight lines are geometric: the fitted factor is of the second half, the predicted one the spectral radius\n'
        'of one step at the equilibrium (- where there is none). Rules of one factor lie on one line.'
    )
    save(figure, path, caption)


def _panels(count: int, size: float, **options):
    columns = min(5, count)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(max(4.5, size * columns), max(4.2, size * rows + 0.9)), squeeze=False,
        layout='constrained', **options,
    )  # fmt: skip
    for axis in axes.ravel()[count:]:
        axis.set_visible(False)
    return figure, axes.ravel()[:count]


def eigenvalues(path: Path, game: str, studies: list[Study], step_sizes: np.ndarray) -> None:
    """Eigenvalues of one step at the equilibrium, in the complex plane beside the unit circle."""
    figure, axes = _panels(len(studies), 2.5, sharex=True, sharey=True)
    angle = np.linspace(0, 2 * np.pi, 200)
    for axis, one in zip(axes, studies, strict=True):
        axis.plot(np.cos(angle), np.sin(angle), color='0.6', linewidth=1)
        for e, eta in enumerate(step_sizes):
            values = one.eigenvalues[e]
            values = values[np.abs(values) < 3]  # NaN is not, either
            axis.plot(values.real, values.imag, 'o', color=f'C{e % 10}', markersize=5, label=f'η = {eta:g}', alpha=0.8)
        radius = one.radius[0]
        says = f'ρ = {radius:.5f}' if radius < 3 else 'ρ > 3, not shown' if radius >= 3 else 'none'
        axis.set_title(f'{_short(one.rule.text)}\n{says}', fontsize=9)
        axis.set_aspect('equal')
        axis.grid(alpha=0.3)
        axis.set_xlim(-1.3, 1.3)
        axis.set_ylim(-1.3, 1.3)
    if len(step_sizes) > 1:
        axes[0].legend(fontsize='x-small', loc='lower left')
    figure.suptitle(f'{game}: eigenvalues of one step at the equilibrium, η = {step_sizes[0]:g} in the titles')
    caption = 'Horizontal: real part; vertical: imaginary part. Inside the circle the rule converges from nearby; '
    save(figure, path, caption + 'the memory of momentum and of past gradients has eigenvalues of its own.')


def _short(text: str) -> str:
    return text.replace('symplectic_adjustment', 'symplectic_adj.').replace('alternating=True', 'alt.')


def _box(example: Example, studies: list[Study]) -> tuple[np.ndarray, float]:
    """Centre and half side of the square that portraits show."""
    centre = np.array([example.equilibrium.generator, example.equilibrium.critic])
    starts = np.stack([np.asarray(own)[0, :, 0] for own in studies[0].path], axis=-1)
    reach = np.abs(starts - centre).max()
    return centre, max(1.8 * reach if len(starts) == 1 else 1.25 * reach, 1e-3)


def _field_panels(game: str, example: Example, studies: list[Study], size: float, title: str):
    """Panels with the descent directions drawn in, one a rule."""
    centre, half = _box(example, studies)
    side = np.linspace(-half, half, 13)
    points = Players(*np.meshgrid(side + centre[0], side + centre[1]))
    field = jax.jit(jax.vmap(jax.vmap(lambda w: vector_field(example.game, w))))(points)
    u, v = (-np.asarray(part) for part in field)
    figure, axes = _panels(len(studies), size, sharex=True, sharey=True)
    for axis, one in zip(axes, studies, strict=True):
        axis.quiver(*points, u, v, color='0.75', angles='xy', width=0.005, zorder=0)
        axis.plot(*centre, 'k+', markersize=9)
        axis.set_title(_short(one.rule.text), fontsize=9)
        axis.set_aspect('equal')
        axis.set_xlim(centre[0] - half, centre[0] + half)
        axis.set_ylim(centre[1] - half, centre[1] + half)
    figure.suptitle(title)
    figure.supylabel('critic', fontsize=10)
    return figure, axes


def _drawn(one: Study) -> tuple[np.ndarray, np.ndarray]:
    """The paths of a portrait, (lines, T + 1) of each player."""
    g, d = (np.asarray(own)[0] for own in one.path)
    picked = np.unique(np.linspace(0, len(g) - 1, min(len(g), LINES)).round().astype(int))
    return g[picked], d[picked]


def portraits(path: Path, game: str, example: Example, studies: list[Study], step_size: float) -> None:
    """Every rule's path in the plane of both players, over the descent directions."""
    title = f'{game}: paths of every rule, step size {step_size:g}, {studies[0].distance.shape[-1] - 1} steps'
    figure, axes = _field_panels(game, example, studies, 2.6, title)
    for axis, one in zip(axes, studies, strict=True):
        g, d = (_up_to(x, 1e6) for x in _drawn(one))
        if len(g) > 1:
            axis.plot(g[1:].T, d[1:].T, color='C0', linewidth=0.5, alpha=0.5)
        axis.plot(g[0], d[0], color='C3', linewidth=1.2)
        axis.plot(g[0, 0], d[0, 0], 'o', color='C3', markersize=4)
    caption = "Horizontal: the generator. Arrows: both players' descent directions. Dot: start; cross: equilibrium. "
    count = studies[0].distance.shape[1] - 1
    caption += f'Blue: {min(count, LINES - 1)} of the {count} starts of the grid.' if count else ''
    save(figure, path, caption)


def animation(path: Path, game: str, example: Example, studies: list[Study], step_size: float) -> None:
    """The paths as they grow, every rule side by side."""
    title = f'{game}: step size {step_size:g}'
    figure, axes = _field_panels(game, example, studies, 1.9, title)
    figure.supxlabel('generator', fontsize=10)
    figure.set_dpi(72)
    lines = []
    for axis, one in zip(axes, studies, strict=True):
        g, d = (_up_to(x, 1e6) for x in _drawn(one))
        (trail,) = axis.plot([], [], color='C3', linewidth=1, animated=True)
        (dots,) = axis.plot([], [], 'o', color='C0' if len(g) > 1 else 'C3', markersize=2 if len(g) > 1 else 4,
                            animated=True)  # fmt: skip
        lines.append((axis, g, d, trail, dots))
        axis.tick_params(labelsize=6)
    _redraw(figure)
    background = figure.canvas.copy_from_bbox(figure.bbox)
    steps = lines[0][1].shape[1]
    frames = []
    for t in sorted({round(t) for t in np.linspace(0, steps - 1, min(FRAMES, steps))}):
        figure.canvas.restore_region(background)
        for axis, g, d, trail, dots in lines:
            trail.set_data(g[0, : t + 1], d[0, : t + 1])
            dots.set_data(g[:, t], d[:, t])
            axis.draw_artist(trail)
            axis.draw_artist(dots)
        frames.append(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())
    plt.close(figure)
    pictures.save_gif(path, frames, seconds=0.08, hold=1.5)


def _redraw(figure) -> None:
    """Draws twice: the layout is settled by the first."""
    draw: Callable[[], None] = figure.canvas.draw
    draw()
    draw()


def convergence(path: Path, game: str, maps: dict[str, Map], steps: int) -> None:
    """The mean factor per step of the distance over (step size, option), with the predicted edge of stability."""
    figure, axes = _panels(len(maps), 3.6)
    for axis, (rule, one) in zip(axes, maps.items(), strict=True):
        image = axis.pcolormesh(
            one.step_sizes, one.values, np.clip(np.nan_to_num(one.rate, nan=2, posinf=2), 0.8, 1.2), cmap='RdBu_r',
            vmin=0.8, vmax=1.2, shading='nearest', rasterized=True,
        )  # fmt: skip
        if np.isfinite(one.radius).all() and one.radius.min() < 1 < one.radius.max():
            axis.contour(one.step_sizes, one.values, one.radius, levels=[1.0], colors='k', linewidths=1.2)
        axis.set_title(_short(rule) + (' (alternating)' if rule == 'heavy_ball' else ''), fontsize=10)
        axis.set_xlabel('step size')
        axis.set_ylabel(one.option)
    bar = figure.colorbar(image, ax=list(axes), extend='both', shrink=0.9)
    bar.set_label(f'mean factor of the distance per step, over {steps} steps')
    figure.suptitle(f'{game}: where the rules converge')
    caption = 'Blue converges, red diverges. Black line: spectral radius 1 at the equilibrium, the predicted edge.'
    save(figure, path, caption)


def spectrum(path: Path, one: Spectrum, title: str) -> None:
    """Leading eigenvalues of a Jacobian in the plane, and those of its two parts.

    Args:
        path: of the PNG.
        one: what was found.
        title: of the figure.
    """
    figure, (plane, parts) = plt.subplots(1, 2, figsize=(11, 4.6), layout='constrained')
    values = one.jacobian
    plane.axhline(0, color='0.7', linewidth=0.8)
    plane.axvline(0, color='0.7', linewidth=0.8)
    plane.plot(values.real, values.imag, 'o', color='C0')
    plane.set_xlabel('real part: rate of contraction (expansion where negative)')
    plane.set_ylabel('imaginary part: rotation, radians per unit of time')
    plane.set_title('leading eigenvalues of the Jacobian J')
    plane.margins(0.15)
    parts.axhline(0, color='0.7', linewidth=0.8)
    parts.plot(np.arange(1, len(one.potential) + 1), one.potential, 's', color='C1',
               label='potential part (J + Jᵀ)/2: both ends of its spectrum')  # fmt: skip
    parts.plot(np.arange(1, len(one.hamiltonian) + 1), one.hamiltonian, 'o', color='C2',
               label='Hamiltonian part (J - Jᵀ)/2: frequencies')  # fmt: skip
    parts.set_yscale('symlog', linthresh=max(1e-6, 0.01 * np.abs(one.potential).max(initial=1e-4)))
    parts.set_xlabel('order')
    parts.set_ylabel('eigenvalue (symmetric logarithmic scale)')
    parts.set_title('contraction against rotation')
    parts.legend(fontsize='small')
    for axis in (plane, parts):
        axis.grid(alpha=0.3)
    figure.suptitle(f'{title}: the game of gradient descent, optimizers left aside')
    save(
        figure, path,
        'Gradient flow contracts along eigenvalues with a positive real part and circles at the rate of the imaginary '
        'part.',
    )  # fmt: skip
