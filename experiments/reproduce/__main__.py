"""Reproduce: runs every launcher, checks every claim, and writes one page with the figures and the numbers.

Launchers that are done already are not run again: a run that was stopped goes on where it was.
"""

import contextlib
import datetime
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from wgan_jax.files import NUMBER, discard, read_json, write_json

from ..common import launcher
from ..common.flagtypes import define_choice, define_choices
from ..common.interrupts import ends_with_us
from .checks import check
from .claims import CLAIMS
from .jobs import JOBS, SIZES
from .page import Section, number, write_page

SIZE = define_choice(
    'size', 'quick', SIZES, 'quick: at most 20 minutes on two cores; full: what the launchers are for; tiny: only '
    'whether they run, their numbers mean nothing.',
)  # fmt: skip
RECORD = {'arguments': [str], 'minutes': NUMBER}  # of a run that has ended well

ONLY = define_choices('only', None, JOBS, 'Which runs (default: all)')


def main() -> int:
    """Runs what is not done, checks the claims, writes the page; returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            workdir = held.enter_context(launcher.results_folder('reproduce'))
        names, seed = ONLY.value or list(JOBS), launcher.seed()
        chosen = {'size': SIZE.value, 'only': names, 'seed': seed}
        environment = launcher.begin(workdir, ('claims.json', 'index.html'), launcher='reproduce', flags=chosen)
        failed = _run_all(names, seed, workdir)
        found = {name: _found(workdir / name / 'results.json', dict) for name in JOBS}
        results = {name: own for name, own in found.items() if own is not None}
        rows = check(CLAIMS, results)
        write_json(workdir / 'claims.json', rows)
        versions = environment['versions']
        made = (
            f'{datetime.date.today()}, size {SIZE.value}, seed {seed}, {os.cpu_count()} cores, '
            f'{", ".join(environment["devices"])}, jax {versions["jax"]}, Python {versions["python"]}'
        )
        write_page(workdir / 'index.html', [_section(name, seed, workdir) for name in names], rows, made)
        counts = {
            'held': sum(row['held'] is True for row in rows),
            'did_not_hold': sum(row['held'] is False for row in rows),
            'not_measured': sum(row['held'] is None for row in rows),
        }
        write_json(workdir / 'results.json', {**counts, 'failed_launchers': failed})
    for row in rows:
        if row['held'] is False:
            print(
                f'did not hold ({row["launcher"]}): {row["claim"]}: {number(row["measured"])}, theory {row["theory"]}'
            )
    print(
        f'{counts["held"]} claims held, {counts["did_not_hold"]} did not, {counts["not_measured"]} were not measured. '
        f'Open {workdir}/index.html; the numbers are in {workdir}/claims.json'
    )
    return 1 if failed else 0


def _launcher(name: str) -> str:
    return JOBS[name].launcher or name


def _arguments(name: str, seed: int, workdir: Path) -> list[str]:
    return [_launcher(name), f'--workdir={workdir / name}', f'--seed={seed}', *getattr(JOBS[name], SIZE.value)]


def _found(path: Path, shape: Any) -> Any:
    """What an earlier call left in a file; None, with a warning, for what has been damaged since: that runs again."""
    if not os.path.lexists(path):
        return None
    try:
        return read_json(path, shape)
    except ValueError as error:
        launcher.logger.warning(f'{error}: not used')
        return None


def _run_all(names: list[str], seed: int, workdir: Path) -> list[str]:
    """Runs the launchers that are not done with these arguments; the names of those that failed."""
    failed = []
    with tqdm(names, unit=' launchers') as bar:
        for name in bar:
            bar.set_description(name)
            arguments, record = _arguments(name, seed, workdir), workdir / f'{name}.json'
            done, results = _found(record, RECORD), workdir / name / 'results.json'
            if done and done['arguments'] == arguments and _found(results, dict) is not None:
                continue
            for old in (record, results):  # of other arguments, or damaged
                discard(old)
            began = time.monotonic()
            if (status := _run(*arguments, log=workdir / f'{name}.log')) == 0:
                write_json(record, {'arguments': arguments, 'minutes': (time.monotonic() - began) / 60})
                continue
            tqdm.write(f'reproduce: {name} failed with status {status}; see {workdir}/{name}.log', file=sys.stderr)
            failed.append(name)
    return failed


def _run(launcher_name: str, *arguments: str, log: Path) -> int:
    command = [sys.executable, '-P', '-m', f'{__package__.partition(".")[0]}.{launcher_name}', *arguments]
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
    with (
        log.open('w') as file,
        subprocess.Popen(command, stdout=file, stderr=file, env=environment) as process,
        ends_with_us(process),
    ):
        return process.wait()


def _section(name: str, seed: int, workdir: Path) -> Section:
    job, folder, record = JOBS[name], workdir / name, _found(workdir / f'{name}.json', RECORD)
    flags_given = ' '.join([*getattr(job, SIZE.value), *([f'--seed={seed}'] if seed else [])])
    return Section(
        name=name,
        title=job.title,
        caption=job.caption,
        command=f'./launch.sh {_launcher(name)} {flags_given}'.strip(),
        figures=sorted(folder.glob('*.png')),
        minutes=record and float(record['minutes']),
    )


if __name__ == '__main__':
    launcher.run(main)
