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
from typing import Any, NamedTuple

from absl import flags
from tqdm import tqdm

from experiments.common import launcher
from experiments.reproduce.claims import CLAIMS, check
from experiments.reproduce.page import Section, number, write_page
from wgan_jax.files import read_json, write_json

SIZES = ('tiny', 'quick', 'full')
SIZE = flags.DEFINE_string(
    'size', 'quick', 'quick: at most 20 minutes on two cores; full: what the launchers are for; tiny: only whether '
    'they run, their numbers mean nothing.',
)  # fmt: skip


class Job(NamedTuple):
    """One run of a launcher: its question, what to see, and its flags at each size.

    Attributes:
        title, look: the question, and what to see in the figures.
        tiny, quick, full: flags at each size.
        launcher: which one runs; None for the one of the job's own name.
    """

    title: str
    look: str
    tiny: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    launcher: str | None = None


JOBS = {
    'distances': Job(
        'Why the Wasserstein distance?',
        'Distances between distributions that slide apart: TV and JS level off and tell nothing of the way, KL grows '
        'or is infinite, W1 is the way itself.',
        tiny=('--samples=500', '--points=12', '--steps=20'),
    ),
    'game': Job(
        'Why does a two-player game not settle?',
        'Each player steps along its own gradient, and together they spiral; other rules on the same game converge.',
        tiny=('--steps=20',),
    ),
    'discriminator': Job(
        'Discriminator against critic',
        'Both trained to optimality between two Gaussians: the discriminator saturates where the critic stays a line.',
        tiny=('--updates=20', '--width=4', '--batch_size=8'),
    ),
    'vanishing_gradients': Job(
        'Why do gradients vanish?',
        'The better a discriminator, the smaller the minimax gradient; a Wasserstein critic keeps pointing the way.',
        tiny=('--image_size=16', '--width=2', '--batch_size=2', '--generator_steps=0', '--iterations=2', '--draws=1'),
        quick=('--fast', '--generator_steps=100,1000'),
    ),
    'loss_quality': Job(
        'Does the loss mean something?',
        'The Wasserstein estimate falls together with the distance of the samples; the standard loss does not.',
        tiny=(
            '--image_size=16', '--width=1', '--batch_size=2', '--steps=5', '--points=5', '--first_updates=1',
            '--samples=8', '--only=wgan_fails,gan_fails',
        ),
        quick=('--steps=500',), full=('--width=16', '--steps=3000'),
    ),
    'lipschitz': Job(
        'How is a critic kept Lipschitz?',
        'Critics trained to optimality under every constraint, beside the exact distance and bounds of their slope.',
        tiny=('--updates=40', '--width=2', '--batch_size=8', '--constraints=none,clip'),
        quick=('--updates=1000',),
    ),
    'toy': Job(
        'Does the estimate follow the exact distance?',
        'WGAN-GP on the ring of eight Gaussians, the estimate beside the exact W1 of fresh samples.',
        tiny=('--steps=2', '--num_evals=1', '--width=4', '--batch_size=8', '--n_critic=1'),
        quick=('--steps=1000',),
    ),
    'toy_n_critic': Job(
        'Does it help to train the critic to convergence?',
        'A better discriminator starves the generator of a standard GAN; a better critic only helps.',
        tiny=('--study=n_critic', '--steps=1', '--seeds=1'),
        quick=('--study=n_critic',), full=('--study=n_critic', '--seeds=10'), launcher='toy',
    ),
    'toy_momentum': Job(
        'Does momentum go together with clipping?',
        'The distance of the generator from the data under RMSProp and under Adam with more and more momentum.',
        tiny=('--study=momentum', '--steps=1', '--seeds=1'),
        quick=('--study=momentum',), full=('--study=momentum', '--seeds=10'), launcher='toy',
    ),
    'mode_collapse': Job(
        'Which GANs miss modes?',
        'Modes captured and share of good samples on the ring and the grid of Gaussians, over seeds.',
        tiny=('--size=tiny', '--methods=gan', '--seeds=1'),
        quick=('--methods=gan,wgan',), full=('--size=full', '--methods=gan_minimax,gan,wgan,wgan_gp,sngan'),
    ),
    'mode_collapse_ours': Job(
        'Can every mode be captured?',
        'The recipe of this project at the budget that it takes: samples over training time, for every seed.',
        tiny=('--size=tiny', '--methods=r1_ema', '--seeds=1'),
        quick=('--size=full', '--methods=r1_ema'), full=('--size=full', '--methods=r1_ema'), launcher='mode_collapse',
    ),
}  # fmt: skip

ONLY = flags.DEFINE_list('only', None, f'Which runs (default: all): {", ".join(JOBS)}.')


def main() -> int:
    """Runs what is not done, checks the claims, writes the page; returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            if SIZE.value not in SIZES:
                raise ValueError(f'size={SIZE.value} is unknown; there are: {", ".join(SIZES)}')
            names = ONLY.value or list(JOBS)
            for name in names:
                if name not in JOBS:
                    raise ValueError(f'only={name} is unknown; there are: {", ".join(JOBS)}')
            seed = launcher.seed()
            workdir = held.enter_context(launcher.results_folder('reproduce'))
        environment = launcher.environment()
        write_json(
            workdir / 'config.json',
            {'launcher': 'reproduce', 'flags': {'size': SIZE.value, 'only': names, 'seed': seed}, **environment},
        )
        failed = _run_all(names, seed, workdir)
        results = {name: read_json(path) for name in JOBS if (path := workdir / name / 'results.json').exists()}
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


def _run_all(names: list[str], seed: int, workdir: Path) -> list[str]:
    """Runs the launchers that are not done with these arguments; the names of those that failed."""
    failed = []
    with tqdm(names, unit=' launchers') as bar:
        for name in bar:
            bar.set_description(name)
            arguments, record = _arguments(name, seed, workdir), workdir / f'{name}.json'
            if record.exists() and read_json(record)['arguments'] == arguments:
                continue
            (workdir / name / 'results.json').unlink(missing_ok=True)  # of other arguments
            began = time.monotonic()
            if (status := _run(*arguments, log=workdir / f'{name}.log')) == 0:
                write_json(record, {'arguments': arguments, 'minutes': (time.monotonic() - began) / 60})
                continue
            record.unlink(missing_ok=True)
            tqdm.write(f'reproduce: {name} failed with status {status}; see {workdir}/{name}.log', file=sys.stderr)
            failed.append(name)
    return failed


def _run(launcher_name: str, *arguments: str, log: Path) -> int:
    command = [sys.executable, '-P', '-m', f'experiments.{launcher_name}', *arguments]
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
    with log.open('w') as file, subprocess.Popen(command, stdout=file, stderr=file, env=environment) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise


def _section(name: str, seed: int, workdir: Path) -> Section:
    job, folder, record = JOBS[name], workdir / name, workdir / f'{name}.json'
    flags_given = ' '.join([*getattr(job, SIZE.value), *([f'--seed={seed}'] if seed else [])])
    return Section(
        name=name,
        title=job.title,
        look=job.look,
        command=f'./launch.sh {_launcher(name)} {flags_given}'.strip(),
        figures=sorted(folder.glob('*.png')),
        minutes=_minutes(read_json(record)) if record.exists() else None,
    )


def _minutes(record: dict[str, Any]) -> float:
    return float(record['minutes'])


if __name__ == '__main__':
    launcher.run(main)
