"""Mode collapse: eight ways to train a GAN on the ring and the grid of Gaussians; modes captured, quality, reverse KL.

The default is sized for ten minutes on two cores. --size=full takes the steps at which our own recipe of pairs
captures every mode with at least 95 % of high quality on every seed; --size=tiny only shows that everything runs.

A method is kept as soon as it is done: the same command goes on where it was stopped, and what was done for other
methods is not done again.
"""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from wgan_jax.data import synthetic
from wgan_jax.files import atomic_path
from wgan_jax.json_files import write_json
from wgan_jax.metrics import ModeCoverage, mode_coverage
from wgan_jax.ranges import whole
from wgan_jax.training.draws import Role, draw_from, role_key
from wgan_jax.training.groups import map_runs
from wgan_jax.training.settings import Settings
from wgan_jax.training.sweep import combinations, make_sweep, train_in_chunks
from wgan_jax.training.toy import TOY_PRESETS, build_toy

from ..common import kept, launcher
from ..common.flagtypes import define_choice, define_choices, define_number
from ..common.progress import progress
from ..common.tables import mean_and_std, shown, text_table
from ..common.toy_run import Clock, eval_steps, mean_std, require_memory
from . import figures

DATA = ('ring', 'grid')
# Generator updates, width of the networks, evaluations along the way.
SIZES = {'tiny': (20, 8, 2), 'default': (1_500, 64, 10), 'full': (30_000, 64, 20)}
# What differs between methods is the loss and what is done to the critic. All use the same networks, latents and batch,
# and rates that decay to zero; the published rates, of runs some ten times as long, would not get anywhere here.
_RATES = {'generator_lr': 1e-3, 'critic_lr': 1e-3}
METHODS: dict[str, tuple[str, str, dict[str, Any]]] = {
    'gan_minimax': ('GAN, log(1 - D)', 'dcgan_minimax', _RATES),
    'gan': ('GAN, -log D', 'dcgan', _RATES),
    'wgan': ('WGAN, clipped', 'wgan', {'generator_lr': 5e-4, 'critic_lr': 5e-4, 'clip': 0.1}),
    'wgan_gp': ('WGAN-GP', 'wgan_gp', _RATES),
    'sngan': ('SNGAN', 'sngan', _RATES),
    'r3gan': ('R3GAN: pairs, R1 + R2', 'r3gan', {**_RATES, 'penalty_weight': 0.1}),
    'r1_ema': ('ours: R1, decay, average', 'r1_ema', {}),
    'r3gan_ema': ('ours: pairs, R1 + R2, decay, average', 'r3gan_ema', {}),
}
# Lin et al. 2018 (PacGAN), tables 1 and 2; another ring (radius 1, sigma 0.01), other networks and longer training.
PUBLISHED = {
    'GAN': {'ring': (6.3, 0.982), 'grid': (17.3, 0.948)},
    'PacGAN4': {'ring': (7.8, 0.959), 'grid': (24.8, 0.936)},
    'VEEGAN': {'ring': (8.0, 0.529), 'grid': (24.6, 0.400)},
}
NUM_SAMPLES = 2500
OUTPUTS = ('samples.png', 'curves.png', 'arrays.npz')
KEPT = 'methods'
ARRAYS = ['step', *(f'{data}_{name}' for data in DATA for name in (*ModeCoverage._fields, 'samples_of_first_seed'))]

SIZE = define_choice('size', 'default', list(SIZES), 'Budget: tiny, default or full.')
SEEDS = define_number('seeds', 5, 'Seeds of every method, from --seed on, all in one program.', whole(1, 10_000))
CHOSEN = define_choices('methods', METHODS, METHODS, 'Which methods')


def settings_of(method: str, size: str) -> Settings:
    """The settings of a method at a size."""
    steps, width, _ = SIZES[size]
    _, preset, changes = METHODS[method]
    return dataclasses.replace(TOY_PRESETS[preset], **{**changes, 'steps': steps, 'decay_steps': steps, 'width': width})


def main() -> int:
    """Reads the flags, trains every method, and returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            seeds = launcher.seeds(SEEDS.value)
            _require_memory()
            workdir = held.enter_context(launcher.results_folder('mode_collapse'))
        launcher.begin(
            workdir,
            OUTPUTS,
            launcher='mode_collapse',
            size=SIZE.value,
            seed=seeds[0],
            seeds=SEEDS.value,
            methods={name: dataclasses.asdict(settings_of(name, SIZE.value)) for name in CHOSEN.value},
        )
        _run(workdir, seeds)
    return 0


def _require_memory() -> None:
    """Raises ValueError when all seeds of a method would take too much memory; all methods are of one size."""
    settings, density = settings_of(CHOSEN.value[0], SIZE.value), synthetic.load(DATA[-1])
    num_evals = SIZES[SIZE.value][2]
    compared = 4 * NUM_SAMPLES * len(density.modes)  # distances of the samples of one moment to all modes
    require_memory(
        *build_toy(settings, density), density, settings, len(DATA) * SEEDS.value, num_evals,
        beside=2 * compared * SEEDS.value * (num_evals + 1),
    )  # fmt: skip


def _run(workdir: Path, seeds: range) -> None:
    steps, _, _ = SIZES[SIZE.value]
    results, arrays = {}, {}
    kept.prepare(workdir, KEPT)
    with progress(steps * len(CHOSEN.value), 'steps') as bar:
        for name in CHOSEN.value:
            bar.set_description(name)
            results[name], arrays[name] = _method(workdir, name, seeds, bar)
            print(f'\n{_line(name, results[name])}', flush=True)
    labels = {name: METHODS[name][0] for name in CHOSEN.value}
    figures.over_time(workdir / 'samples.png', arrays, labels, DATA)
    figures.curves(workdir / 'curves.png', arrays, labels, DATA)
    with atomic_path(workdir / 'arrays.npz') as temporary:
        np.savez_compressed(
            temporary, **{f'{name}_{key}': value for name, own in arrays.items() for key, value in own.items()}
        )
    published = {name: {data: {'captured': modes, 'high_quality': share} for data, (modes, share) in rows.items()}
                 for name, rows in PUBLISHED.items()}  # fmt: skip
    perfect = {'high_quality': synthetic.perfect_quality(2), 'reverse_kl': 0.0}
    write_json(
        workdir / 'results.json',
        {'size': SIZE.value, 'steps': steps, 'seeds': SEEDS.value, 'methods': results,
         'perfect': perfect, 'published': published},
    )  # fmt: skip
    print(_table(results))
    print(f'Results in {workdir}/: results.json, arrays.npz, samples.png, curves.png')


def _method(workdir: Path, name: str, seeds: range, bar: tqdm) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a method reaches; from its file if it was done before."""
    record = {'settings': dataclasses.asdict(settings_of(name, SIZE.value)), 'size': SIZE.value, 'seeds': [*seeds]}
    path, before = kept.place(workdir, KEPT, name, f'{SIZE.value}_{len(seeds)}', record), bar.n
    found = kept.read(path, dict.fromkeys(DATA, dict), ARRAYS)
    if found is None:
        found = _train(name, seeds, bar)
        kept.write(path, *found)
    bar.update(before + SIZES[SIZE.value][0] - bar.n)
    return found


def _train(method: str, seeds: range, bar: tqdm) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """All seeds of a method on both densities, in one program."""
    settings = settings_of(method, SIZE.value)
    densities = [synthetic.load(name) for name in DATA]
    gan, hyperparameters = build_toy(settings, densities[0])
    gan = dataclasses.replace(gan, draw=draw_from(synthetic.sample_mixture))
    one = combinations(seeds, hyperparameters)
    mixtures = synthetic.stack_mixtures(densities)
    runs = jax.tree.map(lambda leaf: np.concatenate([leaf] * len(DATA)), one)
    runs = runs._replace(data=jax.tree.map(lambda leaf: np.repeat(leaf, SEEDS.value, axis=0), mixtures))
    sweep = make_sweep(gan, runs)

    @jax.jit
    def sample(states, key):
        latents = jax.vmap(gan.latent)(jax.random.split(key, NUM_SAMPLES))
        return map_runs(lambda state: gan.networks.generator.apply(state.ema, latents, train=False)[0], sweep.group)(
            states
        )

    steps, _, num_evals = SIZES[SIZE.value]
    clock, when, samples = Clock(), eval_steps(steps, num_evals), []
    key = role_key(seeds[0], Role.SAMPLE)
    for step, states, _ in train_in_chunks(sweep, when, on_chunk=clock.shown_on(bar)):
        drawn = np.asarray(sample(states, jax.random.fold_in(key, step)))
        samples.append(drawn.reshape(len(DATA), SEEDS.value, NUM_SAMPLES, -1))
    samples = np.stack(samples, axis=2)  # (densities, seeds, moments, samples, 2)
    measure = {
        name: jax.jit(jax.vmap(jax.vmap(lambda x, d=density: mode_coverage(x, d.modes, d.std))))
        for name, density in zip(DATA, densities, strict=True)
    }
    result: dict[str, Any] = {
        'label': METHODS[method][0],
        'compile_seconds': round(clock.compiling, 1),
        'seconds': round(clock.training, 1),
    }
    arrays = {'step': np.array(when)}
    for name, own in zip(DATA, samples, strict=True):
        coverage = measure[name](own)
        arrays |= {f'{name}_{key}': np.asarray(getattr(coverage, key)) for key in coverage._fields}
        arrays[f'{name}_samples_of_first_seed'] = own[0]
        last = {key: np.asarray(getattr(coverage, key))[:, -1] for key in ('captured', 'high_quality', 'reverse_kl')}
        result[name] = {key: mean_std(values) for key, values in last.items()}
        result[name]['worst_seed'] = {
            'captured': int(last['captured'].min()), 'high_quality': float(last['high_quality'].min())
        }  # fmt: skip
    return result, arrays


def _line(name: str, result: dict[str, Any]) -> str:
    cells = []
    for data in DATA:
        one = result[data]
        cells.append(
            f'{data}: {one["captured"]["mean"]:.1f} modes, {one["high_quality"]["mean"]:.1%} high quality '
            f'(of the worst seed {one["worst_seed"]["captured"]} and {one["worst_seed"]["high_quality"]:.1%})'
        )
    return f'{name:12} ' + '; '.join(cells)


def _table(results: dict[str, Any]) -> str:
    header = [title for data in DATA for title in (f'{data} modes', 'high quality', 'reverse KL')]
    rows = []
    for result in results.values():
        cells = []
        for one in (result[data] for data in DATA):
            quality = mean_and_std(one['high_quality'], '.1%', '.1%')
            cells += [shown(one['captured']['mean'], '.1f'), quality, shown(one['reverse_kl']['mean'], '.3f')]
        rows.append([result['label'], *cells])
    for name, published in PUBLISHED.items():
        cells = [cell for data in DATA for cell in (f'{published[data][0]:.1f}', f'{published[data][1]:.1%}', '-')]
        rows.append([f'{name} (published)', *cells])
    perfect = f'{synthetic.perfect_quality(2):.1%}'
    rows.append(['perfect sampler', *(cell for number in (8, 25) for cell in (f'{number:.1f}', perfect, '0.000'))])
    return text_table(['', *header], rows)


if __name__ == '__main__':
    launcher.run(main)
