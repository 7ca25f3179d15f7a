"""Benchmark: time of a training round beside PyTorch's, on this machine, in one run and in turn.

A round is n_critic critic updates and one generator update. The two sides alternate, so that whatever else the machine
does falls on both; what is reported is the median of the ratios of pairs.
"""

import contextlib
import functools
import importlib.metadata
import importlib.util
import statistics
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from matplotlib import pyplot as plt
from tqdm import tqdm

from experiments.benchmark.cases import (
    CASES,
    TOY_DENSITY,
    build_case,
    case_data,
    case_settings,
    matmul_rate,
    round_products,
)
from experiments.common import launcher
from wgan_jax.data.images import to_float
from wgan_jax.data.synthetic import DENSITIES, draw
from wgan_jax.files import atomic_path, write_json
from wgan_jax.training.settings import PRECISIONS, Settings
from wgan_jax.training.state import init_state
from wgan_jax.training.step import train_steps

CASE_NAMES = [f'{case}_{precision}' for case in CASES for precision in PRECISIONS]

PAIRS = flags.DEFINE_integer('pairs', 5, 'Timed rounds of each side.')
BATCH_SIZE = flags.DEFINE_integer('batch_size', None, "Examples in a batch (default: the case's own).")
WIDTH = flags.DEFINE_integer('width', None, "Width of the networks (default: the case's own).")
CHOSEN = flags.DEFINE_list(
    'cases', None, f'Which cases to measure, separated by commas: {", ".join(CASE_NAMES)}, or several of a kind as in '
    f'{", ".join(CASES)} (default: clip and gp; all takes about an hour with PyTorch on two cores).'
)  # fmt: skip
CACHE = flags.DEFINE_bool('cache', False, 'Use the compilation cache, so that compile times are those of a second run.')


class Ours:
    """A case's compiled round.

    Args:
        case: name in ``CASES``.
        settings: of the case.
    """

    def __init__(self, case: str, settings: Settings):
        gan, hyperparameters = build_case(case, settings)
        pixels = case_data(case, settings)
        self.arguments = jax.device_put((hyperparameters, pixels))
        self.rate = matmul_rate(jnp.dtype(settings.precision))
        self.state = init_state(gan, hyperparameters, launcher.seed())
        self.images = settings.n_critic * settings.batch_size
        self.products = round_products(case, settings)
        began = time.perf_counter()
        steps = jax.jit(functools.partial(train_steps, gan, capacity=1), donate_argnums=1)
        self.compiled = steps.lower(hyperparameters, self.state, pixels, np.int32(1)).compile()
        self.compile_seconds = time.perf_counter() - began
        memory = self.compiled.memory_analysis()
        self.peak_bytes = memory.argument_size_in_bytes + memory.temp_size_in_bytes + memory.output_size_in_bytes
        self.peak_bytes -= memory.alias_size_in_bytes
        self()

    def __call__(self) -> None:
        """One round."""
        hyperparameters, pixels = self.arguments
        self.state, rows = self.compiled(hyperparameters, self.state, pixels, np.int32(1))
        rows.block_until_ready()


def _torch_round(case: str, settings: Settings, device: str):
    import torch

    from experiments.benchmark.torch_baseline import make_round

    torch.manual_seed(launcher.seed())
    if CASES[case].toy:
        points = np.asarray(draw(DENSITIES[TOY_DENSITY](), jax.random.key(launcher.seed()), 50_000))
        examples = torch.from_numpy(points.copy())
    else:
        pixels = np.array(to_float(case_data(case, settings)))
        examples = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    examples = examples.to(device)
    run = make_round(
        lambda n: examples[torch.randint(len(examples), (n,), device=device)],
        settings,
        image_shape=tuple(examples.shape[1:]),
        device=device,
    )
    run()
    return run


def _torch_device() -> str | None:
    """Where PyTorch runs on the same kind of device as JAX; None where it does not."""
    if importlib.util.find_spec('torch') is None:
        return None
    import torch

    device = {'cpu': 'cpu', 'gpu': 'cuda'}.get(jax.default_backend())
    return device if device != 'cuda' or torch.cuda.is_available() else None


def _seconds(function) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def _case(name: str, torch_device: str | None, bar: tqdm):
    """The numbers of one case, and the times of both sides' rounds in seconds."""
    bar.set_description(f'{name}: compiling')
    case, _, precision = name.rpartition('_')
    settings = case_settings(case, precision, BATCH_SIZE.value, WIDTH.value)
    ours = Ours(case, settings)
    theirs = None if torch_device is None else _torch_round(case, settings, torch_device)
    times, torch_times = [], []
    bar.set_description(name)
    for _ in range(PAIRS.value):
        times.append(_seconds(ours))
        if theirs is not None:
            torch_times.append(_seconds(theirs))
        bar.update()
    seconds = statistics.median(times)
    result = {
        'seconds_per_round': seconds,
        'compile_seconds': ours.compile_seconds,
        'images_per_second': ours.images / seconds,
        'gflop_of_products': ours.products / 1e9,
        'matmul_gflop_per_second': ours.rate / 1e9,
        'peak_memory_gigabytes': ours.peak_bytes / 1e9,
    }
    if theirs is not None:
        result['torch_seconds_per_round'] = statistics.median(torch_times)
        result['ratio'] = statistics.median(a / b for a, b in zip(times, torch_times, strict=True))
    return result, times, torch_times


def _share_of_best_rate(results: dict[str, dict[str, float]]) -> None:
    """Adds each case's share of the best rate measured beside any case of its precision: one alone may be too low."""
    for precision in {name.rpartition('_')[2] for name in results}:
        cases = [result for name, result in results.items() if name.endswith(precision)]
        rate = max(result['matmul_gflop_per_second'] for result in cases)
        for result in cases:
            result['matmul_gflop_per_second'] = rate
            result['matmul_share'] = result['gflop_of_products'] / result['seconds_per_round'] / rate


def main() -> int:
    """Reads the flags, measures every case and writes the table; returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            for flag in (PAIRS, BATCH_SIZE, WIDTH):
                if flag.value is not None and flag.value < 1:
                    raise ValueError(f'{flag.name}={flag.value} must be at least 1')
            names = _chosen_cases(CHOSEN.value or ['clip', 'gp'])
            chosen = {flag.name: flag.value for flag in (PAIRS, BATCH_SIZE, WIDTH, CACHE)} | {
                'cases': names, 'seed': launcher.seed()
            }  # fmt: skip
            workdir = held.enter_context(launcher.results_folder('benchmark'))
        if not CACHE.value:
            jax.config.update('jax_enable_compilation_cache', False)
        torch_device = _torch_device()
        torch_version = importlib.metadata.version('torch') if torch_device else None
        write_json(
            workdir / 'config.json',
            {'launcher': 'benchmark', 'flags': chosen, 'torch': torch_version, **launcher.environment()},
        )
        results, arrays = {}, {}
        with tqdm(total=len(names) * PAIRS.value, unit=' pairs') as bar:
            for name in names:
                results[name], arrays[f'{name}_seconds'], arrays[f'{name}_torch_seconds'] = _case(
                    name, torch_device, bar
                )
        _share_of_best_rate(results)
        with atomic_path(workdir / 'times.npz') as temporary:
            np.savez(temporary, **arrays)
        _figure(workdir / 'benchmark.png', results)
        write_json(workdir / 'results.json', results)
    print(_table(results))
    if torch_device is None:
        print(f'No PyTorch for {jax.default_backend()} is installed: our side alone')
    print(f'Results in {workdir}/: results.json, times.npz, benchmark.png')
    return 0


def _chosen_cases(given: list[str]) -> list[str]:
    """The cases that are named, each once; a kind stands for both of its precisions, 'all' for everything."""
    names = []
    for name in given:
        if name not in ('all', *CASES, *CASE_NAMES):
            raise ValueError(f'cases={name} is unknown; there are: all, {", ".join([*CASES, *CASE_NAMES])}')
        names += [known for known in CASE_NAMES if name in ('all', known, known.rpartition('_')[0])]
    return list(dict.fromkeys(names))


def _table(results: dict[str, dict[str, float]]) -> str:
    lines = [
        f'{"":24} {"s/round":>8} {"torch":>8} {"ratio":>6} {"images/s":>9} {"of matmul rate":>15} {"compile s":>10} '
        f'{"peak GB":>8}'
    ]
    for name, r in results.items():
        torch_time, ratio = (f'{r[key]:.3f}' if key in r else '-' for key in ('torch_seconds_per_round', 'ratio'))
        lines.append(
            f'{name:24} {r["seconds_per_round"]:8.3f} {torch_time:>8} {ratio:>6} {r["images_per_second"]:9.0f} '
            f'{r["matmul_share"]:15.0%} {r["compile_seconds"]:10.1f} {r["peak_memory_gigabytes"]:8.1f}'
        )
    return '\n'.join(lines)


def _figure(path: Path, results: dict[str, dict[str, float]]) -> None:
    figure, axis = plt.subplots(figsize=(max(7, len(results)), 4), layout='constrained')
    places = np.arange(len(results))
    axis.bar(places - 0.2, [r['seconds_per_round'] for r in results.values()], 0.4, label='wgan_jax')
    if all('ratio' in r for r in results.values()):
        axis.bar(places + 0.2, [r['torch_seconds_per_round'] for r in results.values()], 0.4, label='PyTorch')
    floor = [r['gflop_of_products'] / r['matmul_gflop_per_second'] for r in results.values()]
    axis.plot(places - 0.2, floor, 'k_', markersize=22, label='matrix products alone at the measured rate')
    axis.set_xticks(places, results)
    axis.set_ylabel('seconds per round')
    axis.set_yscale('log')
    axis.tick_params('x', rotation=30 if len(results) > 4 else 0)
    axis.set_title('One training round: lower is faster')
    axis.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)


if __name__ == '__main__':
    launcher.run(main)
