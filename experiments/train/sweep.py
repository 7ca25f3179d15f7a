"""Several training runs by one command: every combination of the lists that its flags were given.

Each is a process of its own that trains in a folder of its own, as ``train`` with one value of each list would: what
such a run may be asked, and what becomes of it, is no other than without a sweep. The accelerators are shared out, one
to a run; on a CPU there is one run after the other. A run that is done is found done.
"""

import contextlib
import itertools
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from absl import flags as absl_flags

from wgan_jax.files import make_folder
from wgan_jax.training.folder import differences, read_run
from wgan_jax.training.settings import Settings, record
from wgan_jax.training.signals import stop_signals

from ..common import accelerators, launcher
from ..common.children import Refused, run_all
from . import flags
from .sweep_results import OUTPUTS, steps_done, write

MOST_RUNS = 1000
_LONGEST_NAME = 200  # characters of a folder's name
_PACKAGE = __name__.partition('.')[0]
_TOGETHER = (flags.DISTRIBUTED, flags.COORDINATOR, flags.NUM_PROCESSES, flags.PROCESS_ID)


class Run(NamedTuple):
    """One run of a sweep.

    Attributes:
        name: of its folder, which says how it differs.
        chosen: its value of each setting that was given as a list.
        settings: all of its settings.
    """

    name: str
    chosen: Mapping[str, float]
    settings: Settings


def asked_for() -> list[Run]:
    """The runs that flags ask for, seeds fastest; none where no flag was given a list.

    Raises:
        ValueError: one line naming the flag, for whatever ``train`` would refuse in the settings of one of the runs,
            and for what goes with one run only.
    """
    lists = flags.swept()
    if not lists:
        return []
    given = ', '.join(f'--{"seeds" if name == "seed" else name}' for name in lists)
    if flags.SEEDS.value is not None and absl_flags.FLAGS['seed'].present:
        raise ValueError('--seed and --seeds: give one of them, --seed=3 for one run or --seeds=0,1,2 for three')
    if any(flag.value not in (None, False) for flag in _TOGETHER):
        raise ValueError(
            f'{given}: a run of several is trained by one process, and not by several together: leave that out, or '
            'what starts several'
        )
    count = math.prod(map(len, lists.values()))
    if count > MOST_RUNS:
        raise ValueError(f'{given}: these are {count} runs, and {MOST_RUNS} are the most')
    runs = []
    for values in itertools.product(*lists.values()):
        chosen = dict(zip(lists, values, strict=True))
        name = '_'.join(f'{setting}_{str(value).removesuffix(".0")}' for setting, value in chosen.items())
        if len(name) > _LONGEST_NAME:
            raise ValueError(f'{given}: these are too many lists for the name of a folder: leave some out')
        runs.append(Run(name, chosen, flags.settings_from_flags(chosen)))
    return runs


def run(runs: Sequence[Run]) -> int:
    """Trains all runs, and writes what they have come to; or only shows their settings. The exit status.

    Raises:
        UsageError: for a folder that cannot be used, and when the first run of a new sweep to end is refused.
    """
    records = {one.name: record(one.settings) for one in runs}
    if flags.SHOW_SETTINGS.value:
        print(json.dumps(records, indent=2))
        return 0
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            folder = Path(launcher.WORKDIR.value or f'{flags.default_folder()}_sweep')
            workdir = held.enter_context(launcher.results_folder('sweep', folder))
            _require_same(workdir, records)
        jax.config.update('jax_platforms', 'cpu')  # of this process: the accelerators are those of the runs
        launcher.begin(
            workdir, OUTPUTS, launcher='sweep', runs=records, minutes=flags.MINUTES.value,
            matmul_precision=flags.MATMUL_PRECISION.value,
        )  # fmt: skip
        # Of a new sweep one run is refused for what all would be; of another, for what its own folder has become.
        new = not any(os.path.lexists(workdir / one.name) for one in runs)
        places = accelerators.each()[: len(runs)]
        at_once = '' if len(places) == 1 else f', {len(places)} at a time'
        print(f'{len(runs)} runs{at_once}; what each says is in {workdir}/logs/', flush=True)
        commands, logs = {one.name: _command(one, workdir) for one in runs}, make_folder(workdir / 'logs')
        try:
            with stop_signals() as received:
                ended = run_all(
                    commands, places, logs, received, lambda name: steps_done(workdir / name), refusals_end=new
                )
        except Refused as error:
            raise launcher.UsageError(str(error).replace(': train: ', ': ', 1)) from None
        if received:
            done = sum(one.status == 0 for one in ended.values())
            text = f'stopped by {received[0].name}, {done} of {len(runs)} runs are done; the same command continues'
            print(f'train: {text}', file=sys.stderr)
            return 128 + received[0]
        write(workdir, {one.name: one.chosen for one in runs}, ended)
    return 1 if any(one.status for one in ended.values()) else 0


def _require_same(workdir: Path, records: Mapping[str, dict[str, Any]]) -> None:
    """Raises ValueError where a run has been trained with other settings: before any result is replaced."""
    for name, settings in records.items():
        try:
            before = read_run(workdir / name)
        except ValueError:  # there is none yet, or it is damaged, of which it will speak itself
            continue
        changed = differences(before, {**before, 'settings': settings})
        if flags.MINUTES.value is not None:  # by which they are chosen
            changed = [line for line in changed if not line.startswith('decay_steps: ')]
        if changed:
            raise ValueError(
                f'{workdir / name} was made with other settings ({"; ".join(changed)}): choose another folder, or give '
                'the same settings'
            )


def _command(one: Run, workdir: Path) -> list[str]:
    """The command that trains one of the runs: the flags that were given, with its value in place of each list."""
    own = {**{name: repr(value) for name, value in one.chosen.items()}, 'workdir': str(workdir / one.name)}
    given = [
        flag.serialize()
        for flag in (absl_flags.FLAGS[name] for name in absl_flags.FLAGS)
        if flag.present and flag.name not in own and flag.name != 'seeds'
    ]
    return [sys.executable, '-P', '-m', f'{_PACKAGE}.train', *given, *(f'--{n}={value}' for n, value in own.items())]
