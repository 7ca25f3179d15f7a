"""Benchmark: time of a training round beside PyTorch's, on this machine, in one run and in turn.

A round is n_critic critic updates and one generator update. The two sides alternate, so that whatever else the machine
does falls on both; what is reported is the median of the ratios of pairs.

With --cost nothing is run: operations, bytes and collectives of the presets' updates are read off their programs, and
the time of a step on named chips, and the efficiency of many, are reckoned from them.
"""

import contextlib
import importlib.metadata

import jax
import numpy as np
from absl import flags
from tqdm import tqdm

from wgan_jax.files import atomic_path
from wgan_jax.ranges import BATCH, SIZE, whole
from wgan_jax.training.cost import require_memory
from wgan_jax.training.settings import PRECISIONS

from ..common import launcher
from ..common.flagtypes import define_choices, define_number
from . import cost, report
from .cases import CASES, build_case, case_settings
from .rounds import measure, torch_device

CASE_NAMES = [f'{case}_{precision}' for case in CASES for precision in PRECISIONS]

PAIRS = define_number('pairs', 5, 'Timed rounds of each side.', whole(1, 10_000))
BATCH_SIZE = define_number('batch_size', None, "Examples in a batch (default: the case's or preset's own).", BATCH)
WIDTH = define_number('width', None, "Width of the networks (default: the case's or preset's own).", SIZE)
CHOSEN = define_choices(
    'cases', ['clip', 'gp'], ['all', *CASES, *CASE_NAMES],
    'Which cases to measure; a kind stands for both of its precisions, and all takes about an hour with PyTorch on two '
    'cores',
)  # fmt: skip
CACHE = flags.DEFINE_bool('cache', False, 'Use the compilation cache, so that compile times are those of a second run.')
COST = flags.DEFINE_bool('cost', False, 'What a step of the presets costs on paper, in place of measuring cases.')
TIMING_ONLY = (PAIRS, CHOSEN, CACHE)


def main() -> int:
    """Reads the flags, measures every case and writes the table; returns the exit status."""
    with launcher.usage_errors():
        others, where = (TIMING_ONLY, 'with') if COST.value else (cost.COST_ONLY, 'without')
        for flag in others:
            if flags.FLAGS[flag.name].present:
                raise ValueError(f'{flag.name} has no effect {where} --cost: leave it out')
    if COST.value:
        return cost.report_costs(BATCH_SIZE, WIDTH)
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            names = [name for name in CASE_NAMES if {'all', name, name.rpartition('_')[0]} & set(CHOSEN.value)]
            device = torch_device()
            for case in dict.fromkeys(name.rpartition('_')[0] for name in names):
                _require_memory(case, sides=1 if device is None else 2)
            workdir = held.enter_context(launcher.results_folder('benchmark'))
        if not CACHE.value:
            jax.config.update('jax_enable_compilation_cache', False)
        torch_version = importlib.metadata.version('torch') if device else None
        chosen = launcher.values_of(PAIRS, BATCH_SIZE, WIDTH, CACHE) | {'cases': names}
        launcher.begin(workdir, ('times.npz', 'benchmark.png'), launcher='benchmark', flags=chosen, torch=torch_version)
        results, arrays = {}, {}
        with tqdm(total=len(names) * PAIRS.value, unit=' pairs') as bar:
            for name in names:
                case, _, precision = name.rpartition('_')
                settings = case_settings(case, precision, BATCH_SIZE.value, WIDTH.value)
                measured = measure(case, settings, launcher.seed(), device, PAIRS.value, bar)
                results[name] = measured.result
                arrays |= {f'{name}_seconds': measured.times, f'{name}_torch_seconds': measured.torch_times}
        report.add_shares_of_best_rate(results)
        with atomic_path(workdir / 'times.npz') as temporary:
            np.savez(temporary, **arrays)
        report.figure(workdir / 'benchmark.png', results)
        launcher.write_results(workdir, results)
    print(report.table(results))
    if device is None:
        print(f'No PyTorch for {jax.default_backend()} is installed: our side alone')
    print(f'Results in {workdir}/: results.json, times.npz, benchmark.png')
    return 0


def _require_memory(case: str, sides: int) -> None:
    """Raises ValueError when a case would take too much memory, of which each side takes about as much."""
    settings = case_settings(case, 'float32', BATCH_SIZE.value, WIDTH.value)
    what = f'{case} with batch_size={settings.batch_size}, width={settings.width}'
    require_memory(*build_case(case, settings), what, runs=sides)


if __name__ == '__main__':
    launcher.run(main)
