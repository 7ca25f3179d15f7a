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

from wgan_jax.environment import numerics
from wgan_jax.files import begins_with, discard, file_digest
from wgan_jax.json_files import NUMBER, read_json, write_json

from ..common import launcher
from ..common.flagtypes import define_choice, define_choices
from ..common.interrupts import end_with_parent, ends_with_us
from ..common.page import number
from .checks import check
from .claims import CLAIMS
from .jobs import JOBS, SIZES
from .page import Section, write_page

SIZE = define_choice(
    'size', 'quick', SIZES, 'quick: about half an hour on two cores; full: what the launchers are for; tiny: only '
    'whether they run, their numbers mean nothing.',
)  # fmt: skip
# Of a run that has ended well: what was run, how long it took, and size and digest of what it left.
RECORD = {'arguments': [str], 'numerics': dict, 'minutes': NUMBER, 'files': dict}

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
        done = {name: record for name in JOBS if (record := _done(name, seed, workdir)) is not None}
        results = {name: read_json(workdir / name / 'results.json', dict) for name in done}
        rows = [{**row, 'command': _command(row['launcher'], seed)} for row in check(CLAIMS, results)]
        write_json(workdir / 'claims.json', rows)
        versions = environment['versions']
        made = (
            f'{datetime.date.today()}, size {SIZE.value}, seed {seed}, {os.cpu_count()} cores, '
            f'{", ".join(environment["devices"])}, jax {versions["jax"]}, Python {versions["python"]}'
        )
        sections = [_section(name, seed, workdir, done.get(name)) for name in names]
        write_page(workdir / 'index.html', sections, rows, made)
        counts = {
            'held': sum(row['held'] is True for row in rows),
            'did_not_hold': sum(row['held'] is False for row in rows),
            'not_measured': sum(row['held'] is None for row in rows),
        }
        launcher.write_results(workdir, {**counts, 'failed_launchers': failed})
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


def _done(name: str, seed: int, workdir: Path) -> dict[str, Any] | None:
    """The record of a run with these arguments; None, with a warning, where it or what the run left was damaged."""
    path = workdir / f'{name}.json'
    if not os.path.lexists(path):
        return None
    try:
        record = read_json(path, RECORD)
        if record['arguments'] != _arguments(name, seed, workdir) or record['numerics'] != numerics():
            return None
        for file, (size, digest) in record['files'].items():
            if not begins_with(workdir / name / file, size, digest):
                raise ValueError(f'{workdir / name / file} is not as {name} left it')
        if not 0 <= record['minutes'] < 10**7:
            raise ValueError(f'{path}: minutes is out of bounds')
        read_json(workdir / name / 'results.json', dict)
    except (ValueError, TypeError) as error:
        launcher.logger.warning(f'{error}: not used')
        return None
    return record


def _left(folder: Path) -> dict[Path, tuple[int, int]]:
    """What lies in a launcher's folder for the page, each with what changes when it is written."""
    paths = [folder / 'results.json', *sorted(folder.glob('*.png'))]
    return {path: (state.st_ino, state.st_mtime_ns) for path in paths if (state := _state(path)) is not None}


def _state(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None


def _run_all(names: list[str], seed: int, workdir: Path) -> list[str]:
    """Runs the launchers that are not done with these arguments; the names of those that failed."""
    failed = []
    with tqdm(names, unit=' launchers') as bar:
        for name in bar:
            bar.set_description(name)
            if _done(name, seed, workdir) is not None:
                continue
            arguments, folder, log = _arguments(name, seed, workdir), workdir / name, workdir / f'{name}.log'
            # Of other arguments, or damaged.
            for old in (workdir / f'{name}.json', folder / 'results.json', log):
                discard(old)
            began, before = time.monotonic(), _left(folder)
            if (status := _run(*arguments, log=log)) == 0:
                minutes = (time.monotonic() - began) / 60
                written = [path for path, state in _left(folder).items() if before.get(path) != state]
                files = {path.name: (size := path.stat().st_size, file_digest(path, size)) for path in written}
                record = {'arguments': arguments, 'numerics': numerics(), 'minutes': minutes, 'files': files}
                write_json(workdir / f'{name}.json', record)
                continue
            tqdm.write(f'reproduce: {name} failed with status {status}; see {workdir}/{name}.log', file=sys.stderr)
            failed.append(name)
    return failed


def _run(launcher_name: str, *arguments: str, log: Path) -> int:
    command = [sys.executable, '-P', '-m', f'{__package__.partition(".")[0]}.{launcher_name}', *arguments]
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
    with (
        log.open('w') as file,
        subprocess.Popen(command, stdout=file, stderr=file, env=environment, preexec_fn=end_with_parent) as process,
        ends_with_us(process),
    ):
        return process.wait()


def _command(name: str, seed: int) -> str:
    """What a person types to run it."""
    flags_given = ' '.join([*getattr(JOBS[name], SIZE.value), *([f'--seed={seed}'] if seed else [])])
    return f'./launch.sh {_launcher(name)} {flags_given}'.strip()


def _section(name: str, seed: int, workdir: Path, record: dict[str, Any] | None) -> Section:
    job = JOBS[name]
    return Section(
        name=name,
        title=job.title,
        caption=job.caption,
        command=_command(name, seed),
        figures=[workdir / name / file for file in (record or {'files': ()})['files'] if file.endswith('.png')],
        minutes=record and float(record['minutes']),
    )


if __name__ == '__main__':
    launcher.run(main)
