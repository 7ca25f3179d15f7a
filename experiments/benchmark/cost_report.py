"""What ``benchmark --cost`` makes of its counts: the tables, the arrays, the figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt

from ..common.figures import save
from ..common.tables import shown, text_table

PLAYERS = ('critic', 'generator')
PLATFORMS = ('cpu', 'cuda', 'tpu')


def text(results: Mapping[str, Mapping[str, Any]], scales: Sequence[int]) -> str:
    """Both tables, with what their columns mean."""
    return '\n'.join([
        'Counts of an update, and of a step of n_critic critic updates and a generator update.',
        'GFLOP: of the products by definition, zeros around images included, and all of the program of each platform,',
        'without those. GB: at least, and as the program reads and writes, for cuda and tpu before anything is fused.',
        'Collectives: all-reduces + all-gathers + reduce-scatters, and MB of the part of each device.',
        updates_table(results),
        '',
        'ms: of a step at best, with the least bytes, and the share of the peak rate then; where nothing is fused.',
        'Efficiency of so many devices: weak, the batch of each fixed, at best to unfused; strong, that of all fixed',
        f'(- where they cannot share it). Last, {scales[-1]} devices, weak and at best, with jitter and stragglers.',
        chips_table(results, scales),
    ])  # fmt: skip


def updates_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Counts of each update, and of a step."""
    flops = [f'GFLOP {name}' for name in ('products', *PLATFORMS)]
    header = ['', *flops, *(f'GB {name}' for name in ('least', *PLATFORMS)), 'collectives', 'MB']
    rows = []
    for name, result in results.items():
        times = {'critic': result['n_critic'], 'generator': 1}
        numbers = {player: _numbers(result[player]) for player in PLAYERS}
        for player in PLAYERS:
            rows.append([f'{name} {player}', *_cells(numbers[player])])
        step = [
            [None if x is None else sum(times[p] * numbers[p][i][j] for p in PLAYERS) for j, x in enumerate(part)]
            for i, part in enumerate(numbers['critic'])
        ]
        rows.append([f'{name} step ({times["critic"]} + 1)', *_cells(step)])
    return text_table(header, rows)


def _numbers(update: Mapping[str, Any]) -> list[list[float | None]]:
    """Operations, bytes, collectives of each kind, and their bytes."""
    programs, sent = update['programs'], update['collectives']
    kinds = [sent.get(kind, {'number': 0, 'bytes': 0}) for kind in ('all-reduce', 'all-gather', 'reduce-scatter')]
    return [
        [update['flops_of_products'], *(programs[p]['flops'] if p in programs else None for p in PLATFORMS)],
        [update['least_bytes'], *(programs[p]['bytes'] if p in programs else None for p in PLATFORMS)],
        [kind['number'] for kind in kinds],
        [sum(kind['bytes'] for kind in kinds)],
    ]


def _cells(numbers: Sequence[Sequence[float | None]]) -> list[str]:
    flops, size, collectives, sent = numbers
    cells = ['-' if x is None else f'{x / 1e9:.4g}' for x in (*flops, *size)]
    return [*cells, '+'.join(f'{n:.0f}' for n in collectives), f'{sent[0] / 1e6:.3g}']


def chips_table(results: Mapping[str, Mapping[str, Any]], scales: Sequence[int]) -> str:
    """Seconds and efficiencies of each preset on each chip."""
    header = ['', 'ms', 'of peak', 'ms unfused', *(f'weak {n}' for n in scales), *(f'strong {n}' for n in scales),
              f'{scales[-1]} formula', f'{scales[-1]} simulated']  # fmt: skip
    rows = []
    for name, result in results.items():
        for chip, of in result['chips'].items():
            weak = zip(of['weak_efficiency'], of['unfused_weak_efficiency'], strict=True)
            rows.append([
                f'{name} {chip}', f'{1e3 * of["ideal_seconds"]:.4g}', f'{of["share_of_rate"]:.0%}',
                f'{1e3 * of["unfused_seconds"]:.4g}', *(f'{100 * best:.0f}-{unfused:.0%}' for best, unfused in weak),
                *(shown(value, '.1%') for value in of['strong_efficiency']),
                f'{of["straggling_efficiency"]:.1%}', f'{of["simulated_efficiency"]:.1%}',
            ])  # fmt: skip
    return text_table(header, rows)


def arrays(results: Mapping[str, Mapping[str, Any]], scales: Sequence[int]) -> dict[str, np.ndarray]:
    """What the figure shows: by preset and chip, in the order of ``presets`` and ``chips``."""
    chips = list(next(iter(results.values()))['chips'])

    def of(name):
        return np.array([[result['chips'][chip][name] for chip in chips] for result in results.values()], float)

    names = ('ideal_seconds', 'unfused_seconds', 'weak_efficiency', 'unfused_weak_efficiency', 'strong_efficiency',
             'straggling_efficiency', 'simulated_efficiency', 'simulated_seconds')  # fmt: skip
    labels = {'presets': np.array(list(results)), 'chips': np.array(chips), 'scales': np.array(scales)}
    return labels | {name: of(name) for name in names}


def figure(path: Path, results: Mapping[str, Mapping[str, Any]], scales: Sequence[int]) -> None:
    """Milliseconds of a step on each chip, and the efficiency of the most devices, by formula and simulated."""
    of = arrays(results, scales)
    places, height = np.arange(len(results)), 0.8 / len(of['chips'])
    drawing, (left, right) = plt.subplots(
        1, 2, figsize=(13, 2.5 + 0.5 * len(results)), layout='constrained', sharey=True
    )
    for i, chip in enumerate(of['chips']):
        y, color = places + (i - (len(of['chips']) - 1) / 2) * height, f'C{i}'
        ideal, unfused = 1e3 * of['ideal_seconds'][:, i], 1e3 * of['unfused_seconds'][:, i]
        left.hlines(y, ideal, unfused, color=color, linewidth=1.5, alpha=0.6)
        left.plot(ideal, y, 'o', color=color, markersize=4)
        best, most = of['weak_efficiency'][:, i, -1], of['unfused_weak_efficiency'][:, i, -1]
        right.barh(y, best, height, color=color, alpha=0.35, label=chip)
        right.hlines(y, best, most, color=color, alpha=0.6)
        last = i == len(of['chips']) - 1  # one line each of the legend
        stragglers = 'stragglers, formula' if last else None
        right.plot(of['straggling_efficiency'][:, i], y, '|', color='k', markersize=6, label=stragglers)
        simulated = 'stragglers, simulated' if last else None
        right.plot(of['simulated_efficiency'][:, i], y, 'k.', markersize=3, label=simulated)
    left.set_xscale('log')
    left.set_xlabel('milliseconds of a step')
    left.set_yticks(places, list(results))
    left.invert_yaxis()
    left.set_title('One device: at best, to nothing fused')
    right.set_xlabel('efficiency, weak scaling (fraction)')
    right.set_xlim(0, 1.02)
    right.set_title(f'{scales[-1]} devices')
    right.legend(fontsize=8, loc='upper left', bbox_to_anchor=(1.01, 1))
    save(
        drawing, path, 'Left: a dot is the roofline of a step with the least bytes, the end of its line that of a '
        'program in which nothing is fused. Right: bars are the efficiency of '
        f'{scales[-1]} devices, each with the whole batch of the preset, that compute at best and wait for their '
        'collectives, the lines from there that of devices with nothing fused; with the noise and the slow devices of '
        'config.json the devices at best come to the strokes, and simulated to the dots.',
    )  # fmt: skip
