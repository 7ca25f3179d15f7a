"""Distances between distributions: why Wasserstein, in six sheets, each number checked.

Sheets: sliding (two Gaussians part), parallel_lines, piles (earth moving), clouds (plan and critic), directions (KL
both ways), slide_home (gradient descent under JS and under Wasserstein). With --benchmark also the speed of
wasserstein_1d beside scipy's, and of wasserstein_exact beside POT's.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from absl import flags
from tqdm import tqdm

from wgan_jax import distances, memory
from wgan_jax.files import atomic_path
from wgan_jax.ranges import COUNT, real, whole

from ..common import launcher
from ..common.flagtypes import define_number, define_numbers
from ..common.tables import shown, text_table
from . import figures, numbers, speed

_MASSES = real(0, 1e9)
SAMPLES = define_number('samples', 20_000, 'Samples a side behind the dots of the first sheet.', COUNT)
POINTS = define_number('points', 60, 'Points a side of the clouds.', whole(1, 2000))
STEPS = define_number('steps', 400, 'Steps of gradient descent.', COUNT)
P = define_numbers('p', None, 'Masses of a pile of your own, such as 5,2,2,5; needs --q.', _MASSES)
Q = define_numbers('q', None, 'Masses that it is to become, of the same total.', _MASSES)
BENCHMARK = flags.DEFINE_bool('benchmark', False, "Also time our distances beside scipy's and POT's (2 minutes more).")

PILES = [([5, 2, 2, 5], [3, 3, 5, 3]), ([3, 2, 1, 4], [1, 2, 4, 3])]
NOISES = (0.1, 0.3)
WIDTH = 2.0
STARTS = (1.0, 3.0, 6.0, 10.0)
STEP_SIZE = 0.05
BATCH = 256
BENCHMARK_PAIRS = 5
# Numbers of 8 bytes at once, as measured: for a sample a side, a pair of points, and a step of gradient descent.
SAMPLE, PAIR, STEP = 12, 6, 120
CRITIC_GRID = 121**2  # points at which the critic of the clouds is drawn


def main() -> int:
    """Reads the flags, draws the sheets, and returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            examples = _examples()
            _require_memory()
            key = jax.random.key(launcher.seed())
            workdir = held.enter_context(launcher.results_folder('distances'))
        chosen = launcher.values_of(SAMPLES, POINTS, STEPS, P, Q, BENCHMARK)
        sheets = _sheets(key, examples)
        launcher.begin(workdir, [f'{name}.*' for name in sheets], launcher='distances', flags=chosen)
        results = {}
        with tqdm(total=6 + BENCHMARK.value, unit='sheet', disable=None) as bar:
            for name, sheet in sheets.items():
                bar.set_description(name)
                with jax.enable_x64(True):
                    arrays, draw, results[name] = sheet()
                with atomic_path(workdir / f'{name}.npz') as temporary:
                    np.savez(temporary, **arrays)
                draw(workdir / f'{name}.png')
                bar.update()
            if BENCHMARK.value:
                bar.set_description('benchmark')
                results['speed'] = speed.measure(launcher.seed(), BENCHMARK_PAIRS)
                results['exact_speed'] = speed.measure_exact(launcher.seed(), BENCHMARK_PAIRS)
                bar.update()
        launcher.write_results(workdir, results)
    print(_summary(results))
    print(f'Six sheets (PNG, the arrays behind each as .npz) and results.json are in {workdir}/')
    return 0


def _require_memory() -> None:
    """Raises ValueError when a sheet would take too much memory."""
    memory.require(8 * SAMPLES.value * SAMPLE, f'samples={SAMPLES.value}')
    memory.require(8 * POINTS.value * (POINTS.value + CRITIC_GRID) * PAIR, f'points={POINTS.value}')
    memory.require(8 * STEPS.value * STEP, f'steps={STEPS.value}')


def _examples() -> list[tuple[np.ndarray, np.ndarray, distances.EarthMoves]]:
    """The classic piles, and the user's own behind them."""
    piles = list(PILES)
    if (P.value is None) != (Q.value is None):
        raise ValueError('--p and --q are two piles and go together')
    if P.value is not None:
        piles.append((P.value, Q.value))
    return [(np.array(p, float), np.array(q, float), distances.earth_moves(p, q)) for p, q in piles]


def _sheets(key: jax.Array, examples: list) -> dict[str, Callable[[], tuple]]:
    """For each sheet a function that returns its arrays, what draws it, and its part of the results."""
    sliding_key, clouds_key, home_key = jax.random.split(key, 3)

    def sliding():
        a = numbers.sliding(sliding_key, SAMPLES.value)
        at = np.searchsorted(a['delta'], numbers.SHOWN)
        kept = (
            'delta',
            *figures.NAMES,
            'js_log_gap',
            'tv_log_gap',
            'minimax_log_gradient',
            'non_saturating_gradient',
        )
        result = {name: _plain(a[name][at]) for name in kept}
        sampled = {name: a[f'{name}_sampled'] - np.interp(a['delta_sampled'], a['delta'], a[name]) for name in _SAMPLED}
        result['largest_error_of_samples'] = {name: float(np.abs(errors).max()) for name, errors in sampled.items()}
        return a, lambda path: figures.sliding(path, a), result

    def parallel_lines():
        a = numbers.parallel_lines(NOISES)
        at = int(np.searchsorted(a['theta'], 0.5))
        result = {'offset': 0.5, 'noises': [0.0, *NOISES]}
        result |= {name: _plain(a[name][:, at]) for name in figures.NAMES}
        return a, lambda path: figures.parallel_lines(path, a, NOISES), result

    def piles():
        arrays = {}
        for k, (p, q, found) in enumerate(examples):
            arrays |= {f'p{k}': p, f'q{k}': q, f'surplus{k}': found.surplus, f'moves{k}': np.array(found.moves)}
        rows = [
            {'p': p.tolist(), 'q': q.tolist(), 'surplus': found.surplus.tolist(), 'work': found.work,
             'normalised': found.work / p.sum(), 'moves': [move._asdict() for move in found.moves]}
            for p, q, found in examples
        ]  # fmt: skip
        return arrays, lambda path: figures.piles(path, examples), {'examples': rows}

    def clouds():
        a = numbers.clouds(clouds_key, POINTS.value)
        result = {name: float(a[name]) for name in ('primal', 'dual', 'lipschitz', 'w2', 'few_w1')}
        return a, lambda path: figures.clouds(path, a), result

    def directions():
        a = numbers.directions(WIDTH)
        result = {'width': WIDTH, **{name: float(np.interp(WIDTH, a['s'], a[name])) for name in _BOTH_WAYS}}
        return a, lambda path: figures.directions(path, a, WIDTH), result

    def slide_home():
        a = numbers.slide_home(home_key, STARTS, STEPS.value, STEP_SIZE, BATCH)
        result = {'start': list(STARTS), **{f'{name}_end': _plain(paths[:, -1]) for name, paths in a.items()}}
        return a, lambda path: figures.slide_home(path, a, STEP_SIZE), result

    sheets = (sliding, parallel_lines, piles, clouds, directions, slide_home)
    return {sheet.__name__: sheet for sheet in sheets}


_LOGS = ('js_log_gap', 'tv_log_gap', 'minimax_log_gradient', 'non_saturating_gradient')
_SAMPLED = ('tv', 'js', 'w1')  # KL's estimate is infinite almost everywhere
_BOTH_WAYS = ('kl', 'kl_reversed', 'js', 'js_reversed')


def _plain(values: Any) -> list[float | str]:
    """Numbers as JSON has them; infinities by name."""
    return [float(v) if np.isfinite(v) else str(float(v)) for v in np.asarray(values)]


def _summary(results: dict[str, Any]) -> str:
    rows = results['sliding']
    columns = {'delta': 'g', 'tv': '.10f', 'kl': '.1f', 'js': '.10f', 'w1': 'g', 'js_log_gap': '.7g'}
    cells = [[shown(rows[key][k], form) for key, form in columns.items()] for k in range(len(rows['delta']))]
    lines = [text_table(['means apart', 'TV', 'KL', 'JS', 'W1', 'log(log 2 - JS)'], cells)]
    cloud = results['clouds']
    lines.append(f'clouds: W1 by the plan {cloud["primal"]:.12f}, by the critic {cloud["dual"]:.12f}')
    if 'speed' in results:
        s = results['speed']
        lines += [
            f'1e6 samples: scipy {1e3 * s["scipy"]:.0f} ms, plain {1e3 * s["plain"]:.0f} ms '
            f'({s["plain_speedup"]:.1f} times faster), jit {1e3 * s["jit"]:.0f} ms '
            f'({s["jit_time_over_scipy"]:.2f} of scipy)',
            f'1,000 pairs of 1,000: scipy loop {1e3 * s["scipy_loop"]:.0f} ms, one plain call '
            f'{1e3 * s["plain_batch"]:.0f} ms ({s["batch_speedup"]:.1f} times faster)',
        ]
    speed = results.get('exact_speed', {})
    for case in (name for name in speed if not name.endswith(('_pot', '_ratio'))):
        beside = f', {speed[f"{case}_ratio"]:.2f} of the time of ot.emd2' if f'{case}_ratio' in speed else ''
        lines.append(f'exact transport {case}: {speed[case]:.2f} s{beside}')
    return '\n'.join(lines)


if __name__ == '__main__':
    launcher.run(main)
