"""Critics held to known distances: the public Wasserstein-1 benchmark, in 2 to 128 dimensions, beside its solvers.

Each cell is a pair of distributions whose distance and optimal critic are known. A cell is kept as soon as it is done:
the same command goes on where it was stopped, and what was done for other cells or methods is not done again.
"""

import contextlib
import dataclasses
import hashlib
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from wgan_jax import memory
from wgan_jax.data.funnels import Funnels, draw_funnels, pad, read_funnels
from wgan_jax.files import atomic_path
from wgan_jax.json_files import NUMBER
from wgan_jax.ranges import COUNT
from wgan_jax.text import listed, printable

from ..common import kept, launcher
from ..common.calls import parse_calls
from ..common.flagtypes import define_number, define_text
from ..common.progress import progress
from ..common.tables import shown, text_table
from . import figures
from .cells import judge, surface_of, train, true_surface
from .methods import METHODS, PLACED_AMONG, Method
from .published import DIMS, FUNNELS, best

QUICK = '2x4,2x256,8x64,16x256,32x64,64x16'
CHOSEN = define_text(
    'methods', 'cones', 'Critics, separated by commas, each with other numbers if wanted, cones(num_cones=256): '
    f'{", ".join(METHODS)}.',
)  # fmt: skip
CELLS = define_text('cells', QUICK, 'Pairs as DIMENSIONxFUNNELS, separated by commas; all: the 28 published ones.')
PAIRS = define_text(
    'pairs', None, 'An .npz with centers_<D>_<N> and offsets_<D>_<N>, such as the published ones (default: pairs drawn '
    'by the same law from --seed, whose distances differ a little).',
)  # fmt: skip
UPDATES = define_number('updates', None, "Critic updates in place of the methods' own.", COUNT)

_DRAWN = 0x70616972  # of the keys of pairs, apart from the seed's others
OUTPUTS = ('table.png', 'surfaces.png', 'surfaces.npz')
KEPT = 'cells'
SHAPE = dict.fromkeys(('cosine', 'l2', 'w1', 'w1_true', 'w1_error', 'seconds'), NUMBER)


def main() -> int:
    """Reads the flags, trains every critic, and returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            cells = _cells()
            methods = _methods(cells)
            _require_memory(methods, cells)
            pairs = _pairs(cells)
            workdir = held.enter_context(launcher.results_folder('w1_benchmark'))
        launcher.begin(
            workdir, OUTPUTS, launcher='w1_benchmark', flags=launcher.values_of(CHOSEN, CELLS, PAIRS, UPDATES),
            methods={name: dataclasses.asdict(method) for name, method in methods.items()},
            pairs={_name(cell): _digest(pair) for cell, pair in pairs.items()},
        )  # fmt: skip
        kept.prepare(workdir, KEPT)
        found = []
        with progress(len(cells) * sum(m.updates for m in methods.values()), 'updates') as bar:
            for name, method in methods.items():
                for cell in cells:
                    bar.set_description(f'{name} {_name(cell)}')
                    found.append(_cell(workdir, name, method, cell, pairs[cell], bar))
        results = [result for result, _ in found]
        written = ['table.png', *_draw(workdir, found, pairs)]
        launcher.write_results(workdir, {'cells': results, 'means': _means(results)})
    print(_text(results))
    print(f'Results in {workdir}/: results.json, {", ".join(written)}')
    return 0


def _draw(
    workdir: Path, found: list[tuple[dict[str, Any], np.ndarray]], pairs: dict[tuple[int, int], Funnels]
) -> list[str]:
    """Draws what was found; the names of the files besides the table."""
    figures.draw_table(workdir / 'table.png', [result for result, _ in found])
    surfaces = {(result['method'], result['funnels']): surface for result, surface in found if surface.size}
    if not surfaces:
        return []
    truths = {num: (true_surface(pair), pair) for (dim, num), pair in pairs.items() if dim == 2}
    figures.draw_surfaces(workdir / 'surfaces.png', surfaces, truths)
    with atomic_path(workdir / 'surfaces.npz') as temporary:
        np.savez_compressed(
            temporary,
            **{f'{name} {num}': surface for (name, num), surface in surfaces.items()},
            **{f'optimal {num}': truth for num, (truth, _) in truths.items()},
        )
    return ['surfaces.png', 'surfaces.npz']


def _methods(cells: list[tuple[int, int]]) -> dict[str, Method]:
    methods = {}
    for call in parse_calls('methods', CHOSEN.value, METHODS):
        if UPDATES.value is not None and 'updates' in call.options:
            raise ValueError(f'updates={UPDATES.value} has no effect on methods={call.text}: leave one of them out')
        changes = {} if UPDATES.value is None else {'updates': UPDATES.value}
        try:
            method = METHODS[call.name](**call.options, **changes)
            for dim, _ in cells:
                method.check(dim)
        except ValueError as error:
            raise ValueError(f'methods={call.text}: {error}') from None
        methods[call.text] = method
    return methods


def _cells() -> list[tuple[int, int]]:
    if CELLS.value == 'all':
        return [(dim, num) for dim in DIMS for num in FUNNELS]
    found = []
    for text in map(str.strip, CELLS.value.split(',')):
        match = re.fullmatch(r'([1-9]\d{0,4})x([1-9]\d{0,4})', text)
        if not match:
            raise ValueError(f'cells: {printable(text, 40)} is no DIMENSIONxFUNNELS, such as 8x64; or write all')
        found.append((int(match[1]), int(match[2])))
    return list(dict.fromkeys(found))


def _pairs(cells: list[tuple[int, int]]) -> dict[tuple[int, int], Funnels]:
    """The pairs, those of one dimension with as many centres, so that programs that are kept serve all of them."""
    if PAIRS.value is None:
        key = jax.random.fold_in(jax.random.key(launcher.seed()), _DRAWN)
        keys = {(dim, num): jax.random.fold_in(jax.random.fold_in(key, dim), num) for dim, num in cells}
        pairs = {cell: draw_funnels(keys[cell], *cell) for cell in cells}
    else:
        read = read_funnels(PAIRS.value)
        if missing := [_name(cell) for cell in cells if cell not in read]:
            there = listed([_name(cell) for cell in read], most=6)
            raise ValueError(
                f'pairs={printable(PAIRS.value, 200)} has no {listed(missing, most=3)}; there are: {there}'
            )
        pairs = {cell: read[cell] for cell in cells}
    most = {dim: max(num for d, num in cells if d == dim) for dim, _ in cells}
    return {cell: pad(pair, most[cell[0]]) for cell, pair in pairs.items()}


def _require_memory(methods: dict[str, Method], cells: list[tuple[int, int]]) -> None:
    dim, funnels = max(dim for dim, _ in cells), max(num for _, num in cells)
    for name, method in methods.items():
        units, layers = method.units(dim), max(method.depth, 1)
        weights = units * dim + (layers - 1) * units**2  # and gradients, both moments, and what they become
        numbers = 2 * method.batch_size * (8 * units * layers + 4 * funnels + 8 * dim)
        numbers += 5 * weights + len(cells) * dim * funnels + PLACED_AMONG * (units + funnels + 4 * dim)
        what = f'methods={name} on cells of {dim} dimensions and {funnels} funnels'
        memory.require(4 * numbers, what, 'use fewer of either, or a smaller batch_size')


def _cell(
    workdir: Path, name: str, method: Method, cell: tuple[int, int], pair: Funnels, bar: tqdm
) -> tuple[dict[str, Any], np.ndarray]:
    """What a method reaches on a pair, and its value surface in two dimensions; from its file if it was done before."""
    seed = launcher.seed()
    record = {
        'method': dataclasses.asdict(method), 'cell': cell, 'pair': _digest(pair), 'room': len(pair.offsets),
        'seed': seed,
    }  # fmt: skip
    path, before = kept.place(workdir, KEPT, name, _name(cell), record), bar.n
    found = kept.read(path, SHAPE, ['surface'])
    if found is None:
        variables, seconds = train(method, pair, seed, bar.update)
        numbers = judge(method, variables, pair, seed)
        result = {'method': name, 'dim': cell[0], 'funnels': cell[1], **numbers, 'updates': method.updates}
        surface = surface_of(method, variables) if cell[0] == 2 else np.zeros(0, np.float32)
        found = {**result, 'seconds': seconds}, {'surface': surface}
        kept.write(path, *found)
    bar.update(before + method.updates - bar.n)
    return found[0], found[1]['surface']


def _digest(pair: Funnels) -> str:
    """Of the arrays of a pair, without the centres that do not count."""
    counts = np.isfinite(pair.offsets)
    arrays = (np.ascontiguousarray(np.asarray(array)[counts]) for array in pair)
    return hashlib.sha256(b''.join(array.tobytes() for array in arrays)).hexdigest()


def _name(cell: tuple[int, int]) -> str:
    return f'{cell[0]}x{cell[1]}'


def _means(results: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By method: mean cosine, mean and largest |error of W1|, cells above the best published cosine."""
    found, published = {}, best()
    for name in dict.fromkeys(result['method'] for result in results):
        own = [result for result in results if result['method'] == name]
        errors = [abs(result['w1_error']) for result in own]
        compared = [result for result in own if (result['dim'], result['funnels']) in published]
        found[name] = {
            'cosine': float(np.mean([result['cosine'] for result in own])), 'w1_error': float(np.mean(errors)),
            'largest_w1_error': float(np.max(errors)), 'cells': len(own), 'compared': len(compared),
            'above_published': sum(round(r['cosine'], 2) > published[r['dim'], r['funnels']].cosine for r in compared),
        }  # fmt: skip
    return found


def _text(results: list[dict[str, Any]]) -> str:
    published = best()
    rows = []
    for result in results:
        other = published.get((result['dim'], result['funnels']))
        beside = ('-',) * 3 if other is None else (other.solver, f'{other.cosine:.2f}', f'{100 * other.w1_error:+.0f}%')
        rows.append(
            [
                f'{result["method"]} {result["dim"]}x{result["funnels"]}', f'{result["cosine"]:.3f}',
                f'{result["l2"]:.3f}', f'{result["w1"]:.3f}', f'{result["w1_true"]:.3f}',
                f'{100 * result["w1_error"]:+.1f}%', shown(result['bound']), f'{result["seconds"]:.0f}',
                *beside,
            ]
        )  # fmt: skip
    header = [
        'method, cell', 'cos', 'L2', 'W1', 'true', 'error', 'K', 'seconds', 'best published', 'its cos', 'its error',
    ]  # fmt: skip
    lines = [text_table(header, rows)]
    for name, mean in _means(results).items():
        lines.append(
            f'{name}: mean cosine {mean["cosine"]:.3f}, |error of W1| {100 * mean["w1_error"]:.1f}% on average and '
            f'{100 * mean["largest_w1_error"]:.1f}% at most'
        )
        if mean['compared']:
            other = '' if PAIRS.value else ' (of other pairs of this law)'
            lines[-1] += (
                f'; cosine above the best published{other} in {mean["above_published"]} of {mean["compared"]} cells'
            )
    return '\n'.join(lines)


if __name__ == '__main__':
    launcher.run(main)
