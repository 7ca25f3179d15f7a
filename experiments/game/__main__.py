"""Two-player games: update rules side by side, their eigenvalues, rates and paths; or a trained GAN as a game.

Without --run: simulates a small game and writes figures, an animation and the numbers behind them. With --run=WORKDIR:
leading eigenvalues of the game that a checkpoint of a training run stands in, written into WORKDIR/game/.

Options of a game or an update go into brackets: --update='consensus(gamma=0.5),heavy_ball(beta=-0.3,alternating=True)'.
"""

import contextlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags
from tqdm import tqdm

from wgan_jax import memory
from wgan_jax.files import atomic_path
from wgan_jax.games import GAMES, UPDATES, Example
from wgan_jax.ranges import BATCH, COUNT, POSITIVE, real, whole
from wgan_jax.types import Players

from ..common import launcher
from ..common.calls import Call, parse_calls
from ..common.choices import described
from ..common.flagtypes import define_number, define_numbers, define_text
from ..common.tables import shown, text_table
from . import figures
from .run import study_run
from .study import Study, study, sweep, sweepable

GAME = define_text('game', 'bilinear', f'Game, with its options: {described(GAMES)}.')
UPDATE = define_text(
    'update', 'all', f'Update rules, with their options, separated by commas; all: {described(UPDATES)}.'
)
STEP_SIZE = define_numbers('step_size', (0.1,), 'Step sizes, separated by commas.', POSITIVE)
START = define_numbers(
    'start', None, "Start: the generator's numbers, then the critic's (default: the game's own).", real(-1e6, 1e6)
)
STEPS = define_number('steps', 100, 'Steps.', COUNT)
GRID = define_number(
    'grid', None, 'Also start from a grid of N x N points, for players of one number.', whole(1, 10_000)
)
RUN = define_text('run', None, "A training run's folder: study its game in place of a small one.")
STEP = define_number('step', None, 'With --run: the checkpoint (default: the newest).', whole(0))
COUNT = define_number('count', 8, 'With --run: how many eigenvalues.', whole(1, 1000))
BATCH_SIZE = define_number('batch_size', None, "With --run: examples that make the losses (default: the run's).", BATCH)

SMALL_ONLY = (GAME, UPDATE, STEP_SIZE, START, STEPS, GRID)
POINT = 20  # numbers that a point of a path takes while it is drawn
RUN_ONLY = (STEP, COUNT, BATCH_SIZE)


def main() -> int:
    """Reads the flags and studies a game; returns the exit status."""
    with launcher.usage_errors():
        for flag in RUN_ONLY if RUN.value is None else SMALL_ONLY:
            if flags.FLAGS[flag.name].present:
                raise ValueError(
                    f'{flag.name} has no effect {"without" if RUN.value is None else "with"} --run: leave it out'
                )
        seed = launcher.seed()
    if RUN.value is not None:
        return study_run(RUN.value, STEP.value, COUNT.value, BATCH_SIZE.value, seed)
    with jax.enable_x64(True), contextlib.ExitStack() as held:
        with launcher.usage_errors():
            (game,) = _one(parse_calls('game', GAME.value, GAMES))
            rules = parse_calls('update', ','.join(UPDATES) if UPDATE.value == 'all' else UPDATE.value, UPDATES)
            step_sizes = STEP_SIZE.value
            example = _usable(f'game={game.text}', lambda: GAMES[game.name](**game.options))
            for rule in rules:
                for eta in step_sizes:
                    _usable(f'update={rule.text}', lambda r=rule, e=eta: UPDATES[r.name](example.game, e, **r.options))
            example = example._replace(start=_start(example))
            _check_grid(example)
            _require_memory(rules, step_sizes, example)
            starts = _starts(example)
            workdir = held.enter_context(launcher.results_folder('game'))
        chosen = launcher.values_of(*SMALL_ONLY)
        start = {name: np.asarray(own).tolist() for name, own in example.start._asdict().items()}
        launcher.begin(workdir, figures.OUTPUTS, launcher='game', flags=chosen, start=start, dtype='float64')
        _study_small(workdir, game, rules, np.array(step_sizes), example, starts)
    return 0


def _study_small(workdir: Path, game: Call, rules: list[Call], step_sizes, example: Example, starts: Players) -> None:
    studies: list[Study] = []
    maps = {}
    with tqdm(total=len(rules) + 1, unit=' rules') as bar:
        for rule in rules:
            bar.set_description(rule.text)
            studies.append(study(rule, example, step_sizes, starts, STEPS.value))
            if sweepable(rule):
                maps[rule.text] = sweep(rule, example, STEPS.value)
            bar.update()
        bar.set_description('drawing')
        names = figures.write_all(workdir, game.text, example, studies, maps, step_sizes)
        bar.update()
    with atomic_path(workdir / 'paths.npz') as temporary:
        arrays = {'step_sizes': step_sizes}
        for i, one in enumerate(studies):
            arrays |= {f'{i}_generator': one.path.generator, f'{i}_critic': one.path.critic}
            arrays |= {f'{i}_distance': one.distance, f'{i}_eigenvalues': one.eigenvalues}
        np.savez_compressed(temporary, rules=np.array([rule.text for rule in rules]), **arrays)
    runs = [record for one in studies for record in _records(one, step_sizes)]
    launcher.write_results(workdir, {'game': game.text, 'steps': STEPS.value, 'runs': runs})
    print(_table(runs))
    print(f'Results in {workdir}/: results.json, paths.npz, {", ".join(names)}')


def _records(one: Study, step_sizes: np.ndarray) -> list[dict[str, Any]]:
    """What results.json says of a rule, for each step size; the first start stands for itself, a grid for a share."""
    records = []
    for i, eta in enumerate(step_sizes):
        record = {
            'update': one.rule.text,
            'step_size': float(eta),
            'final': {name: launcher.plain(np.asarray(path)[i, 0, -1]) for name, path in one.path._asdict().items()},
            'distance_start': launcher.plain(one.distance[i, 0, 0]),
            'distance_end': launcher.plain(one.distance[i, 0, -1]),
            'fitted_rate': launcher.plain(one.fitted[i]),
            'predicted_rate': launcher.plain(one.radius[i]),
        }
        if one.distance.shape[1] > 1:
            closer = one.distance[i, 1:, -1] < one.distance[i, 1:, 0]
            record['grid'] = {'starts': closer.size, 'share_closer_at_the_end': float(closer.mean())}
        records.append(record)
    return records


def _table(runs: list[dict[str, Any]]) -> str:
    keys = {'distance': 'distance_end', 'fitted rate': 'fitted_rate', 'predicted': 'predicted_rate'}
    rows = [
        [run['update'], f'{run["step_size"]:g}', *(shown(run[key], '.6g') for key in keys.values())] for run in runs
    ]
    return text_table(['update', 'step', *keys], rows)


def _one(calls: list[Call]) -> list[Call]:
    if len(calls) > 1:
        raise ValueError(f'game={GAME.value} names {len(calls)} games: choose one')
    return calls


def _usable(what: str, make):
    """What ``make`` returns; its complaints about options become errors of the flag."""
    try:
        return make()
    except (TypeError, ValueError) as error:
        raise ValueError(f'{what}: {error}') from None


def _start(example: Example) -> Players:
    if START.value is None:
        return example.start
    numbers, sizes = START.value, [np.size(own) for own in example.start]
    if len(numbers) != sum(sizes):
        raise ValueError(
            f'start={",".join(map(str, START.value))} has {len(numbers)} numbers; {GAME.value} takes {sum(sizes)}: '
            f'{sizes[0]} of the generator, then {sizes[1]} of the critic'
        )
    parts = np.split(np.array(numbers), sizes[:1])
    return Players(*(part.reshape(np.shape(own)) for part, own in zip(parts, example.start, strict=True)))


def _check_grid(example: Example) -> None:
    if GRID.value is not None and any(np.ndim(own) for own in example.start):
        raise ValueError(f'grid={GRID.value} needs players of one number, and those of {GAME.value} have more')


def _starts(example: Example) -> Players:
    """The start, and after it those of the grid; their axis comes first."""
    first = Players(*(np.asarray(own)[None] for own in example.start))
    if GRID.value is None:
        return first
    side = np.linspace(-1.5, 1.5, GRID.value)
    grid = np.meshgrid(side + example.equilibrium.generator, side + example.equilibrium.critic)
    return Players(*(np.concatenate([own, points.ravel()]) for own, points in zip(first, grid, strict=True)))


def _require_memory(rules: list[Call], step_sizes: list[float], example: Example) -> None:
    """Raises ValueError when the paths, or what is drawn of them, would take too much memory."""
    starts = 1 + (GRID.value or 0) ** 2
    numbers = sum(np.size(own) for own in example.start) + 1  # both players, and their distance
    drawn = min(starts, figures.LINES) + len(step_sizes)
    needed = 8 * len(rules) * (STEPS.value + 1) * (starts * len(step_sizes) * numbers + POINT * drawn)
    memory.require(
        needed,
        f'steps={STEPS.value} from {starts} start(s) with {len(step_sizes)} step size(s) and {len(rules)} rule(s)',
        'take fewer',
    )


if __name__ == '__main__':
    launcher.run(main)
