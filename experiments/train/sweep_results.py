"""What the runs of a sweep have come to: a table, their curves over one another, and the numbers."""

import contextlib
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wgan_jax.files import atomic_path
from wgan_jax.json_files import read_json
from wgan_jax.training.records import read_metrics
from wgan_jax.training.run_files import final_metrics
from wgan_jax.training.watch import Looks

from ..common import launcher
from ..common.children import REFUSED, Ended
from ..common.tables import mean_and_spread, mean_and_std, shown, text_table

OUTPUTS = ('sweep.png', 'sweep.npz')
# What is shown, where a run has it: numbers of the losses are means over the last tenth of the lines of metrics.jsonl,
# those of the samples are of the last ones.
_COLUMNS = ('wasserstein', 'critic_loss', 'generator_loss', *(name for name in Looks._fields if name != 'w1_of_data'))
_IN_TABLE = ('patch_distance', 'diversity', 'duplicates', 'evaluation')
_MOST_NAMED = 20  # runs in the legend of a figure
_LABELS = {
    'duplicates': 'share of\nnear-duplicates',
    'diversity': 'diversity over\nthat of the data',
    'patch_distance': 'patch distance',
    'gap': 'score of real less\nthat of samples',
    'held_out_gap': 'the same of\nimages held out',
    'w1': 'exact W1 to as\nmany real images',
    'evaluation': 'patch distance of\nmany samples',
}


def steps_done(folder: Path) -> tuple[int, int]:
    """How many steps of how many a run has logged; of none where it has not begun."""
    with contextlib.suppress(OSError, ValueError):  # of files that come and grow meanwhile
        steps = read_json(folder / 'config.json', {'settings': {'steps': int}})['settings']['steps']
        with open(folder / 'metrics.jsonl', 'rb') as file:  # which may be long
            file.seek(max(0, os.fstat(file.fileno()).st_size - 10_000))
            lines = file.read().split(b'\n')
        return (json.loads(lines[-2])['step'] if len(lines) > 1 else 0), steps
    return 0, 0


def write(workdir: Path, runs: Mapping[str, Mapping[str, float]], ended: Mapping[str, Ended]) -> None:
    """Writes ``sweep.png``, ``sweep.npz`` and ``results.json``, and prints a table.

    Args:
        workdir: of the sweep.
        runs: how each run differs from the others, by name.
        ended: how each has.
    """
    rows = {name: [] if ended[name].status == REFUSED else _metrics(workdir / name) for name in runs}  # not another's
    results = [_result(workdir / name, chosen, ended[name], rows[name]) for name, chosen in runs.items()]
    seeds = _over_seeds(results)
    with atomic_path(workdir / 'sweep.npz') as temporary:
        np.savez_compressed(temporary, names=[*runs], **_arrays(rows))
    if drawn := any(rows.values()):
        _figure(workdir / 'sweep.png', rows)
    launcher.write_results(workdir, {'runs': results, 'over_seeds': seeds})
    print(_table(results, seeds))
    figure = ', sweep.png' if drawn else ''
    print(f'Results in {workdir}/: results.json, sweep.npz{figure}, and a folder for each run')


def _metrics(folder: Path) -> list[dict[str, Any]]:
    path = folder / 'metrics.jsonl'
    return read_metrics(path) if os.path.exists(path) else []


def _result(
    folder: Path, chosen: Mapping[str, float], ended: Ended, rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    result = {'name': folder.name, 'chosen': dict(chosen), 'status': ended.status}
    if ended.status == 0:
        return {**result, **read_json(folder / 'results.json', {'steps': int, 'final': dict})}
    found = {'steps': rows[-1]['step'], 'final': final_metrics(folder)} if rows else {'steps': 0, 'final': {}}
    return {**result, 'said': ended.said.removeprefix('train: '), **found}


def _over_seeds(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean and deviation over the seeds of each combination of the other settings; none where there is one seed."""
    found = []
    for others, group in itertools.groupby(results, lambda result: _without_seed(result['chosen'])):
        members = [result for result in group if result['status'] == 0]
        if len(members) > 1:
            spreads = {
                name: mean_and_spread([member['final'].get(name) for member in members])
                for name in _COLUMNS
                if sum(name in member['final'] for member in members) > 1
            }
            found.append({
                'chosen': others, 'seeds': len(members),
                **{name: {'mean': mean, 'std': std} for name, (mean, std) in spreads.items()},
            })  # fmt: skip
    return found


def _without_seed(chosen: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in chosen.items() if name != 'seed'}


def _table(results: Sequence[Mapping[str, Any]], seeds: Sequence[Mapping[str, Any]]) -> str:
    found = {name for result in results for name in result['final']}
    estimate = 'wasserstein' if 'wasserstein' in found else 'critic_loss'
    columns = [name for name in (estimate, *_IN_TABLE) if name in found]
    rows = [
        [
            result['name'],
            'done' if result['status'] == 0 else f'failed ({result["status"]})',
            str(result['steps']),
            *(shown(result['final'].get(name)) for name in columns),
        ]
        for result in results
    ]
    for one in seeds:
        others = ', '.join(f'{name} {value:g}' for name, value in one['chosen'].items())
        cells = (mean_and_std(one.get(name), '.3g', '.1g') for name in columns)
        rows.append([f'{others or "all"}, {one["seeds"]} seeds', '', '', *cells])
    lines = [text_table(['', '', 'steps', *columns], rows)]
    lines += [f'{result["name"]}: {result["said"]}' for result in results if result['status']]
    return '\n'.join(lines)


def _arrays(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, np.ndarray]:
    """For run i 'i_step' and 'i_NAME' for each metric, NaN where it was not measured."""
    return {
        f'{i}_{name}': np.array([row.get(name) for row in metrics], int if name == 'step' else float)
        for i, metrics in enumerate(rows.values())
        for name in ('step', *_COLUMNS)
    }


def _figure(path: Path, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    from matplotlib import pyplot as plt  # slow to import, and wanted at the end only

    from ..common.figures import save

    there = [name for name in _COLUMNS if any(row.get(name) is not None for run in rows.values() for row in run)]
    figure, axes = plt.subplots(
        len(there), 1, figsize=(9, 2 * len(there) + 0.6), sharex=True, layout='constrained', squeeze=False
    )
    colours = plt.get_cmap('viridis')(np.linspace(0, 0.95, len(rows)))
    if len(rows) <= 10:
        colours = plt.get_cmap('tab10')(range(len(rows)))
    for axis, name in zip(axes[:, 0], there, strict=True):
        for (label, run), colour in zip(rows.items(), colours, strict=True):
            seen = [(row['step'], row[name]) for row in run if row.get(name) is not None]
            if seen:
                marker = 'o-' if name in Looks._fields else '-'
                axis.plot(*zip(*seen, strict=True), marker, color=colour, markersize=3, linewidth=1, label=label)
        axis.set_ylabel(_LABELS.get(name, name.replace('_', ' ')))
        axis.grid(alpha=0.3)
    axes[-1, 0].set_xlabel('generator updates')
    axes[0, 0].set_title(
        f'{len(rows)} runs of {path.absolute().parent.name}: losses and samples over generator updates'
    )
    if len(rows) <= _MOST_NAMED:
        named = {
            label: line for axis in axes[:, 0] for line, label in zip(*axis.get_legend_handles_labels(), strict=True)
        }
        figure.legend(named.values(), named.keys(), loc='outside right upper', fontsize='small')
        colour_of = 'The legend names the runs.'
    else:
        colour_of = f'Dark to bright: {next(iter(rows))} to {[*rows][-1]}.'
    save(
        figure,
        path,
        f'Every logged step of every run. {colour_of} A loss or a Wasserstein estimate can be compared between runs '
        'with the same objective and constraint only; what samples look like always can: their patch distance should '
        'be low, and their diversity near 1, that of the data.',
    )
