"""Where a launcher runs when not simply here: several processes of this machine, Slurm, a TPU pod; or only what would.

Flags of a place stand before the launcher's name: ``./launch.sh --local_processes=2 train --preset=wgan_gp``.
"""

import dataclasses
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from wgan_jax.text import printable

from . import accelerators
from .interrupts import start_child, status_of

_CLONE = Path(__file__).resolve().parents[2]
_PACKAGE = __name__.partition('.')[0]
_STOPPED = 128 + signal.SIGTERM  # the status of a run that SIGTERM has stopped, saved if it had begun
_NOTICE = 120  # seconds before the end of its time at which Slurm sends SIGTERM
_SHORTEST = 600  # seconds: of less, little would be left to train in, or nothing, again and again
_TURNS = 100  # of a job at most
_CPUS = 8  # for each GPU, and without any
_PATIENT = 1.0  # seconds in which processes that end together have all ended
_SOON = 5.0  # seconds after which processes that another one, which failed, has left are told to end
_LEFT_BEHIND = 120.0  # seconds after which they are killed
_TOGETHER = (
    'coordinator',
    'num_processes',
    'process_id',
    'distributed',
    'nodistributed',
)  # flags of train that a place sets itself

# What may stand before the name, each with what it takes, and that in words; None of those that take nothing.
_NAME = r'[\w.-]{1,100}', 'a name'
_FLAGS: dict[str, tuple[str, str] | None] = {
    'local_processes': (r'[1-9]\d{0,3}', 'a number from 1 to 9999'),
    'slurm': None,
    'nodes': (r'[1-9]\d{0,4}', 'a number from 1 to 99999'),
    'gpus_per_node': (r'\d{1,3}', 'a number from 0 to 999'),
    'cpus_per_node': (r'[1-9]\d{0,3}', 'a number from 1 to 9999'),
    'time': (r'(\d{1,3}-)?\d{1,2}:[0-5]\d:[0-5]\d', 'HH:MM:SS, or D-HH:MM:SS'),
    'partition': (r'[\w.,-]{1,100}', 'a name'),
    'account': _NAME,
    'tpu': _NAME,
    'zone': _NAME,
    'dry_run': None,
}
_OF_SLURM = 'nodes', 'gpus_per_node', 'cpus_per_node', 'time', 'partition', 'account'

USAGE = """\
Flags before NAME say where train runs:

  --local_processes=N  N processes of this machine, as one run; GPUs are shared out among them.
  --slurm              A job of Slurm, one process a node: --nodes=1 --gpus_per_node=1 --cpus_per_node=8
                       --time=04:00:00 --partition=P --account=A; when its time is over it is queued again.
  --tpu=NAME           Every worker of a TPU pod slice, in --zone=ZONE, where a clone lies in the home folder.

  --dry_run            With one of these, or before any NAME: print what would run, instead.
"""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where to run what.

    Attributes:
        given: the place's flags and their values; '' of those that take none.
        name: the launcher's.
        flags: its own.
    """

    given: dict[str, str]
    name: str
    flags: list[str]

    @property
    def dry_run(self) -> bool:
        """Whether to print only."""
        return 'dry_run' in self.given


def is_flag(argument: str) -> bool:
    """Whether a command line's argument is the flag of a place."""
    return argument.startswith('--') and argument[2:].partition('=')[0] in _FLAGS


def read_flags(arguments: list[str]) -> dict[str, str]:
    """The flags of a place by name. Raises ValueError, in one line, for what cannot be, or has no effect."""
    given: dict[str, str] = {}
    for argument in arguments:
        name, equals, value = argument[2:].partition('=')
        wanted = _FLAGS[name]
        if name in given:
            raise ValueError(f'--{name} is given twice')
        if wanted is None and equals:
            raise ValueError(f'--{name} takes no value')
        if wanted is not None and not re.fullmatch(wanted[0], value, re.ASCII):
            shown = printable(value, 100) if equals else 'nothing'
            raise ValueError(f'--{name} takes {wanted[1]}, after a =, and not {shown}')
        given[name] = value
    places = [name for name in ('local_processes', 'slurm', 'tpu') if name in given]
    if len(places) > 1:
        raise ValueError(f'--{places[0]} and --{places[1]} are two places: give one of them')
    for owner, names in (('slurm', _OF_SLURM), ('tpu', ('zone',))):
        for name in names:
            if name in given and owner not in given:
                raise ValueError(f'--{name} has no effect without --{owner}')
    if 'time' in given and _seconds(given['time']) < _SHORTEST:
        raise ValueError(f'--time={given["time"]} is too short: give at least {_SHORTEST // 60} minutes')
    if 'tpu' in given and 'zone' not in given:
        raise ValueError('--tpu takes --zone, too, that of the pod slice')
    return given


def _seconds(time_limit: str) -> int:
    days, _, rest = time_limit.rpartition('-')
    hours, minutes, seconds = map(int, rest.split(':'))
    return 86_400 * int(days or 0) + 3_600 * hours + 60 * minutes + seconds


def run(place: Place) -> int:
    """Runs it, or prints what would run; the exit status. Raises ValueError, in one line, for what cannot be."""
    kinds: dict[str, Callable[[Place], int]] = {'local_processes': _locally, 'slurm': _by_slurm, 'tpu': _on_tpu}
    for kind, start in kinds.items():
        if kind in place.given:
            if place.name != 'train':
                raise ValueError(f'{place.name} runs in one process: only train goes with --{kind}')
            for flag in place.flags:
                if flag.startswith('-') and (found := flag.lstrip('-').partition('=')[0]) in _TOGETHER:
                    raise ValueError(f'--{found} has no effect with --{kind}, which chooses it')
            if {'-h', '-help', '--help', '--helpshort', '-?'} & set(place.flags):
                return subprocess.run(_command(place), check=False).returncode
            _require_usable(place)
            return start(place)
    _print(_command(place), {})
    return 0


def _require_usable(place: Place) -> None:
    """Raises ValueError for flags that the launcher refuses: here once, and not later by every process."""
    environment = {**os.environ, 'JAX_PLATFORMS': 'cpu'}
    asked = [*_command(place), '--distributed', '--show_settings']
    shown = subprocess.run(asked, capture_output=True, text=True, env=environment, check=False)
    if shown.returncode:
        last = (shown.stderr.strip().splitlines() or ['it cannot be started'])[-1]
        raise ValueError(last.removeprefix(f'{place.name}: '))


def _command(place: Place) -> list[str]:
    return [sys.executable, '-P', '-m', f'{_PACKAGE}.{place.name}', *place.flags]


def _print(command: Sequence[str], variables: Mapping[str, str]) -> None:
    """Prints a command with the variables that it needs, such that a shell can run it."""
    needed = {name: os.environ[name] for name in ('PYTHONPATH', 'JAX_PLATFORMS') if name in os.environ}
    words = ['env', *(f'{name}={value}' for name, value in {**needed, **variables}.items()), *command]
    print(shlex.join(words), flush=True)


def _entry() -> list[str]:
    """The command that starts launchers on another machine: the clone's script, or the installed package's."""
    return [str(_CLONE / 'launch.sh')] if _PACKAGE == 'experiments' else ['wgan-jax']


def _locally(place: Place) -> int:
    count = int(place.given['local_processes'])
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
    shares = _gpus(count)
    common = [*_command(place), f'--coordinator=127.0.0.1:{port}', f'--num_processes={count}']
    commands = [[*common, f'--process_id={i}'] for i in range(count)]
    if place.dry_run:
        for command, share in zip(commands, shares, strict=True):
            _print(command, share)
        return 0
    children: list[subprocess.Popen] = []
    told: set[subprocess.Popen] = set()
    received: list[int] = []

    def pass_on(number: int, frame: object) -> None:
        del frame
        received.append(number)
        running = [child for child in children if child.poll() is None]
        if len(received) > 1:
            for child in running:
                child.kill()
        elif running:
            told.add(running[0])
            running[0].send_signal(number)  # a signal to one stops all of them, saved

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # as the runs themselves do
            signal.signal(number, pass_on)
    try:
        for command, share in zip(commands, shares, strict=True):
            children.append(start_child(command, share))
        _wait(children, told)
    finally:
        for child in children:
            child.kill()  # nothing, of one that has ended
    statuses = [status_of(child) for child in children]
    if len(received) > 1:
        print(f'interrupted by {signal.Signals(received[0]).name}: the processes were not let save', file=sys.stderr)
        return 128 + received[0]
    for i, status in enumerate(statuses):
        if status != statuses[0]:
            print(f'process {i} of {count} ended with status {status}, process 0 with {statuses[0]}', file=sys.stderr)
    if set(statuses) != {statuses[0]}:
        print('the same command goes on from the last checkpoint, if there is one', file=sys.stderr)
        return next((status for status in statuses if 0 < status < 128), 1)  # what a lost one ended with says nothing
    return statuses[0]


def _wait(children: Sequence[subprocess.Popen], told: set[subprocess.Popen]) -> None:
    """Until all have ended. One that another, which failed, has left is told to end, unless it has been ``told``.

    A second signal would keep it from saving; so would killing it too soon.
    """
    failed, said = None, False
    while any(child.poll() is None for child in children):
        time.sleep(0.1)
        number = next((i for i, child in enumerate(children) if child.poll()), None)
        if number is None:
            continue
        if failed is None:
            failed = time.monotonic()
        since = time.monotonic() - failed
        if since > _PATIENT and not said and not told:
            said = True
            print(
                f'process {number} of {len(children)} has ended; so will the others, within {_LEFT_BEHIND:.0f} seconds',
                file=sys.stderr,
            )
        if since > _LEFT_BEHIND:
            return
        if since > _SOON:
            for child in children:
                if child.poll() is None and child not in told:
                    told.add(child)
                    child.terminate()


def _gpus(count: int) -> list[dict[str, str]]:
    """What the environment of each process says besides: which GPUs are its own."""
    names, platforms = accelerators.gpus(), os.environ.get('JAX_PLATFORMS', '')
    if not names and not {'cuda', 'gpu'} & set(platforms.split(',')):
        return [{}] * count
    if not names or len(names) % count:
        raise ValueError(f'--local_processes={count} cannot share {len(names)} GPUs evenly')
    each = len(names) // count
    return [{'CUDA_VISIBLE_DEVICES': ','.join(names[i * each : (i + 1) * each])} for i in range(count)]


def job_script(place: Place) -> str:
    """The job of Slurm: one process on each node, which has all of the GPUs there."""
    given = {'nodes': '1', 'gpus_per_node': '1', 'time': '04:00:00', **place.given}
    cpus = given.get('cpus_per_node', str(_CPUS * max(1, int(given['gpus_per_node']))))
    options = {
        'job-name': 'wgan_jax', 'nodes': given['nodes'], 'ntasks-per-node': '1', 'cpus-per-task': cpus,
        **({'gpus-per-node': given['gpus_per_node']} if given['gpus_per_node'] != '0' else {}),
        'time': given['time'], 'signal': f'TERM@{_NOTICE}', 'open-mode': 'append',
        **{name: given[name] for name in ('partition', 'account') if name in given},
    }  # fmt: skip
    lines = [f'#SBATCH --{name}={value}' for name, value in options.items()]
    command = shlex.join([*_entry(), place.name, *place.flags])
    return '\n'.join(
        [
            '#!/bin/bash',
            *lines,
            '#SBATCH --requeue',
            '',
            '# One process on each node; process 0 on the first of them.',
            'first="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"',
            f'export SRUN_CPUS_PER_TASK={cpus}',  # since 22.05 srun does not take over that of the job
            'export COORDINATOR="$first:$((10000 + SLURM_JOB_ID % 20000))"',
            'srun --kill-on-bad-exit=0 bash -c \'exec "$0" "$@" --coordinator="$COORDINATOR" '
            f'--num_processes="$SLURM_NNODES" --process_id="$SLURM_NODEID"\' {command}',
            'status=$?',
            f'# {_NOTICE} seconds before its time is over a run gets SIGTERM and is saved: it goes on in another turn.',
            f'[[ $status != {_STOPPED} || ${{SLURM_RESTART_COUNT:-0}} -ge {_TURNS} ]] || exec scontrol requeue '
            '"$SLURM_JOB_ID"',
            'exit $status',
            '',
        ]
    )


def _by_slurm(place: Place) -> int:
    script = job_script(place)
    if place.dry_run:
        print(script, end='')
        return 0
    # What this machine's JAX runs on, by launch.sh or the user, says nothing of the nodes: they find out, or are told
    # by WGAN_JAX_BACKEND.
    environment = {name: value for name, value in os.environ.items() if name != 'JAX_PLATFORMS'}
    return subprocess.run([_program('sbatch')], input=script, text=True, check=False, env=environment).returncode


def _on_tpu(place: Place) -> int:
    in_clone = _PACKAGE == 'experiments'
    there = shlex.join(['./launch.sh' if in_clone else 'wgan-jax', place.name, '--distributed', *place.flags])
    command = [
        'gcloud', 'compute', 'tpus', 'tpu-vm', 'ssh', place.given['tpu'], f'--zone={place.given["zone"]}',
        '--worker=all', f'--command=cd {shlex.quote(_CLONE.name)} && {there}' if in_clone else f'--command={there}',
    ]  # fmt: skip
    if place.dry_run:
        print(shlex.join(command))
        return 0
    os.execv(_program('gcloud'), command)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ValueError(f'there is no {name} here: --dry_run prints what would run')
    return found
