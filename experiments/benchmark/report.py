"""What the benchmark makes of its measurements: shares of the best rate, the table, the figure."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from ..common.figures import save
from ..common.tables import shown, text_table

COLUMNS = {  # title: (key of results.json, form)
    's/round': ('seconds_per_round', '.3f'),
    'torch': ('torch_seconds_per_round', '.3f'),
    'ratio': ('ratio', '.3f'),
    'images/s': ('images_per_second', '.0f'),
    'of matmul rate': ('matmul_share', '.0%'),
    'compile s': ('compile_seconds', '.1f'),
    'peak GB': ('peak_memory_gigabytes', '.1f'),
}


def add_shares_of_best_rate(results: dict[str, dict[str, float]]) -> None:
    """Adds each case's share of the best rate measured beside any case of its precision: one alone may be too low."""
    for precision in {name.rpartition('_')[2] for name in results}:
        cases = [result for name, result in results.items() if name.endswith(precision)]
        rate = max(result['matmul_gflop_per_second'] for result in cases)
        for result in cases:
            result['matmul_gflop_per_second'] = rate
            result['matmul_share'] = result['gflop_of_products'] / result['seconds_per_round'] / rate


def table(results: Mapping[str, Mapping[str, float]]) -> str:
    """The numbers of every case."""
    rows = [[name, *(shown(row.get(key), form) for key, form in COLUMNS.values())] for name, row in results.items()]
    return text_table(['', *COLUMNS], rows)


def figure(path: Path, results: Mapping[str, Mapping[str, float]]) -> None:
    """Seconds per round of every case, ours beside PyTorch's, and what the matrix products alone would take."""
    drawing, axis = plt.subplots(figsize=(max(7, len(results)), 4), layout='constrained')
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
    save(
        drawing, path, 'Medians over the timed pairs. The black line is what the matrix products and convolutions of a '
        'round would take at the best rate that a matrix product reached beside it.',
    )  # fmt: skip
