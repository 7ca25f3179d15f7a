"""Commands as child processes, as many at a time as there are places for them, each with a log."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from wgan_jax.text import printable

from .interrupts import ends_with_us, start_child, status_of
from .reading import SECONDS_BETWEEN_LINES

REFUSED = 2  # the status of a launcher whose input cannot be used


class Ended(NamedTuple):
    """How a command has ended: its exit status, and the last line that it said."""

    status: int
    said: str


class Refused(Exception):
    """The first command to end was refused, as the others would be most likely; its text says which and why."""


class _Child(NamedTuple):
    process: subprocess.Popen
    name: str
    place: Mapping[str, str]
    log: Path
    begins: int  # byte of the log at which it does
    since: float


def run_all(
    commands: Mapping[str, Sequence[str]],
    places: Sequence[Mapping[str, str]],
    logs: Path,
    received: Sequence[int],
    steps_done: Callable[[str], tuple[int, int]],
    *,
    refusals_end: bool = True,
) -> dict[str, Ended]:
    """Runs all commands, and says how far they are and how they end. One that fails does not stop the others.

    Args:
        commands: by name.
        places: variables of the environment that a command has to itself.
        logs: the folder in which what each says is added to NAME.txt.
        received: gets the signal upon which no more begin, and which those that run are sent.
        steps_done: of a name, how many steps of how many; of none where it has not begun.
        refusals_end: whether the others are given up when all that have ended were refused.

    Returns:
        How those have ended that were begun.

    Raises:
        Refused: with ``refusals_end``, when all that have ended were refused.
    """
    waiting, free, running, told = list(commands), list(places), list[_Child](), False
    ended: dict[str, Ended] = {}
    spoke, interactive = time.monotonic(), sys.stderr.isatty()
    with (
        contextlib.ExitStack() as held,
        tqdm(total=len(commands), unit=' runs', dynamic_ncols=True, disable=not interactive) as bar,
    ):
        held.callback(
            lambda: _end(running)
        )  # those that are left when the rest is given up, or something here goes wrong
        while running or (waiting and not received):
            while waiting and free and not received:
                name = waiting.pop(0)
                running.append(child := _start(name, commands[name], free.pop(0), logs / f'{name}.txt'))
                held.enter_context(ends_with_us(child.process))
            time.sleep(0.1)
            if received and not told:
                told = True
                for child in running:
                    child.process.send_signal(received[0])
            for child in [child for child in running if child.process.poll() is not None]:
                running.remove(child)
                free.append(child.place)
                ended[child.name] = _ended(child)
                if not received:
                    if refusals_end and all(one.status == REFUSED for one in ended.values()):
                        raise Refused(f'{child.name}: {ended[child.name].said}')
                    _say(child, ended[child.name], f'{len(ended)} of {len(commands)}')
            if time.monotonic() - spoke > (1 if interactive else SECONDS_BETWEEN_LINES):
                spoke = time.monotonic()
                _show(bar, [(child.name, *steps_done(child.name)) for child in running], len(ended), interactive)
    return ended


def _start(name: str, command: Sequence[str], place: Mapping[str, str], log: Path) -> _Child:
    with log.open('ab') as file:
        begins, variables = file.tell(), {**place, 'PYTHONUNBUFFERED': '1'}  # so that lines come as they are said
        process = start_child(command, variables, stdout=file, stderr=file)
    return _Child(process, name, place, log, begins, time.monotonic())


def _ended(child: _Child) -> Ended:
    text = child.log.read_bytes()[child.begins :].decode(errors='replace').strip()
    return Ended(status_of(child.process), printable((text.splitlines() or ['without a word'])[-1], 600))


def _end(running: Sequence[_Child]) -> None:
    for child in running:
        child.process.terminate()
    for child in running:
        child.process.wait()


def _say(child: _Child, ended: Ended, count: str) -> None:
    outcome = 'done' if ended.status == 0 else f'ended with status {ended.status} ({ended.said})'
    with tqdm.external_write_mode(sys.stdout):
        print(f'{count}: {child.name} {outcome}, {(time.monotonic() - child.since) / 60:.1f} minutes', flush=True)


def _show(bar: tqdm, running: Sequence[tuple[str, int, int]], num_ended: int, interactive: bool) -> None:
    """One line of how far all are."""
    line = ', '.join(f'{name}: step {step} of {steps}' if steps else f'{name} begins' for name, step, steps in running)
    if interactive:
        bar.n = round(num_ended + sum(step / steps for _, step, steps in running if steps), 2)
        bar.set_postfix_str(line)
    elif running:
        print(f'{num_ended} of {bar.total} have ended; {line}', file=sys.stderr)
