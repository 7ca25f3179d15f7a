"""GANs on toy densities: samples, value surfaces, the estimate beside the exact Wasserstein distance, mode coverage.

Several --seeds, and lists given to --clip, --penalty_weight, --generator_lr and --critic_lr, train every combination
in one compiled program.
"""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from wgan_jax.data import synthetic
from wgan_jax.data.points import read_points
from wgan_jax.data.synthetic import Density
from wgan_jax.files import atomic_path
from wgan_jax.ranges import whole
from wgan_jax.training.checkpoint import digest_of
from wgan_jax.training.gan import GAN
from wgan_jax.training.settings import Settings
from wgan_jax.training.sweep import Runs, make_sweep
from wgan_jax.training.toy import build_toy

from ..common import launcher
from ..common.flagtypes import define_number
from ..common.tables import mean_and_std, text_table
from ..common.toy_run import column, final_look, mean_std, require_memory, train_runs
from . import figures
from . import flags as toy_flags

NUM_EVALS = define_number(
    'num_evals', 30, 'Moments at which samples are drawn and distances computed.', whole(1, 10_000)
)

OUTPUTS = ('samples.png', 'curves.png', 'training.gif', 'critic.png', 'modes.png', 'arrays.npz')
FRAME_BYTES = 10**6  # of the animation, with the surface that it shows


def main() -> int:
    """Reads the flags, trains all runs, and returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            settings, density, runs = toy_flags.resolve()
            gan, hyperparameters = build_toy(settings, density, depth=toy_flags.DEPTH.value)
            require_memory(
                gan, hyperparameters, density, settings, len(runs.seed), NUM_EVALS.value,
                beside=FRAME_BYTES * NUM_EVALS.value,
            )  # fmt: skip
            workdir = held.enter_context(launcher.results_folder('toy'))
        launcher.begin(
            workdir,
            OUTPUTS,
            launcher='toy',
            settings=dataclasses.asdict(settings),
            depth=toy_flags.DEPTH.value,
            seeds=toy_flags.SEEDS.value,
            points=_digest(settings.dataset),
            lists={name: value for name, value in toy_flags.given().items() if isinstance(value, tuple)},
            num_evals=NUM_EVALS.value,
        )
        _run(workdir, settings, gan, density, runs, launcher.seed())
    return 0


def _digest(dataset: str) -> str | None:
    """Which points a file holds; None for a density that has a name."""
    return None if dataset in synthetic.DENSITIES else digest_of({'points': read_points(dataset)})


def _groups(runs: Runs, num_seeds: int) -> list[tuple[str, np.ndarray]]:
    """Name and run indices of each combination of hyperparameters; the name says what differs between them."""
    columns = {name.replace('_', ' '): values for name, values in runs.hyperparameters._asdict().items()}
    differing = {name: values for name, values in columns.items() if len(set(values.tolist())) > 1}
    groups = []
    for first in range(0, len(runs.seed), num_seeds):
        name = ', '.join(f'{label} {values[first]:g}' for label, values in differing.items())
        groups.append((name or 'all runs', np.arange(first, first + num_seeds)))
    return groups


def _run(workdir: Path, settings: Settings, gan: GAN, density: Density, runs: Runs, seed: int) -> None:
    sweep = make_sweep(gan, runs)
    print(f'{len(runs.seed)} runs of {settings.steps} generator updates on {settings.dataset}', flush=True)
    with tqdm(total=settings.steps, unit=' steps', desc='training') as bar:
        states, history = train_runs(
            sweep, gan, density, steps=settings.steps, num_evals=NUM_EVALS.value, seed=seed, bar=bar
        )
    final = final_look(sweep, gan, density, states, seed)
    groups = _groups(runs, toy_flags.SEEDS.value)
    wasserstein = settings.objective == 'wasserstein'
    title = f'{toy_flags.PRESET.value} on {Path(settings.dataset).name}'

    real = np.asarray(synthetic.draw(density, jax.random.key(seed), 2048))
    names = ['samples.png', 'curves.png', 'training.gif']
    labels = [f'{name}, seed {runs.seed[i]}' for name, indices in groups for i in indices]
    order = [int(indices[k]) for k in range(len(groups[0][1])) for _, indices in groups]
    figures.samples(
        workdir / names[0], real, [history.samples[-1, i] for i in order], [labels[i] for i in order], title
    )
    figures.curves(workdir / names[1], history, groups, wasserstein, f'{title}: estimate and exact distance')
    fields = None
    if density.dim <= 2:
        on_grid, (low, high) = figures.surface(gan.networks.critic), figures.window(real)
        fields = [on_grid(variables, low, high) for variables in history.critics]
        names.append('critic.png')
        figures.critic(workdir / names[-1], real, history.samples[-1, 0], fields[-1], f'{title}: the critic')
    figures.animation(workdir / names[2], real, history.samples[:, 0], history.step, fields)
    if density.modes is not None:
        names.append('modes.png')
        figures.modes(workdir / names[-1], history, groups, len(density.modes), f'{title}: mode coverage')

    surface = {}
    if fields is not None:
        surface = dict(zip(('grid', 'scores', 'gradient_norms'), fields[-1], strict=True))
    with atomic_path(workdir / 'arrays.npz') as temporary:
        np.savez_compressed(
            temporary, real=real, seed=runs.seed, **runs.hyperparameters._asdict(),
            step=history.step, samples=history.samples[-1],
            samples_of_first_run=history.samples[:, 0], estimate=history.estimate, gradient_norm=history.gradient_norm,
            distance=history.distance, captured=history.captured, high_quality=history.high_quality,
            reverse_kl=history.reverse_kl, metrics=history.metrics, **surface,
        )  # fmt: skip

    results: dict[str, Any] = {
        'runs': len(runs.seed),
        'group': sweep.group,
        'compile_seconds': round(history.compile_seconds, 2),
        'seconds_per_step_and_run': history.seconds / max(1, settings.steps - 1) / len(runs.seed),
        'w1_of_two_real_samples': final.floor,
        'combinations': [],
    }
    for name, indices in groups:
        one = {
            'name': name,
            'w1': mean_std(final.distance[indices]),
            'w1_of_average': mean_std(final.average_distance[indices]),
            'largest_gradient_norm': mean_std(final.gradient_norm[indices]),
            'estimate': mean_std(final.estimate[indices]) if wasserstein else None,
            'estimate_over_w1': mean_std(final.estimate[indices] / final.distance[indices]) if wasserstein else None,
            'critic_loss': mean_std(column(history, 'critic_loss')[-1, indices]),
        }
        if density.modes is not None:
            one |= {
                'modes': len(density.modes),
                'captured': mean_std(history.captured[-1, indices]),
                'high_quality': mean_std(history.high_quality[-1, indices]),
                'reverse_kl': mean_std(history.reverse_kl[-1, indices]),
            }
        results['combinations'].append(one)
    launcher.write_results(workdir, results)
    print(_table(results))
    print(f'Results in {workdir}/: results.json, arrays.npz, {", ".join(names)}')


def _table(results: dict[str, Any]) -> str:
    combinations = results['combinations']
    keys = [key for key in ('estimate', 'w1', 'w1_of_average', 'largest_gradient_norm', 'captured', 'high_quality')
            if key in combinations[0]]  # fmt: skip
    rows = [[one['name'], *(mean_and_std(one[key], '.4f', '.4f') for key in keys)] for one in combinations]
    floor = results['w1_of_two_real_samples']
    return f'{text_table(["", *keys], rows)}\nW1 of two real samples of this size: {floor:.4f}'


if __name__ == '__main__':
    launcher.run(main)
