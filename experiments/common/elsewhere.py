"""Where a launcher runs when not simply here: several processes of this machine, Slurm, a TPU pod; or only what would.

Flags of a place stand before the launcher's name: ``./launch.sh --local_processes=2 train --preset=wgan_gp``.
"""

import contextlib
import dataclasses
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .interrupts import end_with_parent

_CLONE = Path(__file__).resolve().parents[2]
_PACKAGE = __name__.partition('.')[0]
_SAVED = 128 + signal.SIGTERM  # the status of a run that SIGTERM stopped and saved
_NOTICE = 120  # seconds before the end of its time at which Slurm sends SIGTERM
_TOGETHER = 'coordinator', 'num_processes', 'process_id', 'distributed'  # flags of train that a place sets itself

# What may stand before the name, each with what it takes.
_FLAGS = {
    'local_processes': r'[1-9]\d{0,3}',
    'slurm': None,
    'nodes': r'[1-9]\d{0,4}',
    'gpus_per_node': r'\d{1,3}',
    'time': r'[\d:-]{1,20}',
    'partition': r'[\w.,-]{1,100}',
    'account': r'[\w.-]{1,100}',
    'tpu': r'[\w.-]{1,100}',
    'zone': r'[\w.-]{1,100}',
    'dry_run': None,
}
_OF_SLURM = 'nodes', 'gpus_per_node', 'time', 'partition', 'account'

USAGE = """\
Before NAME may stand where it runs (train, unless it is --dry_run alone):

  --local_processes=N  N processes of this machine, as one run; GPUs are shared out among them.
  --slurm              A job of Slurm, one process a node: --nodes=1 --gpus_per_node=1 --time=04:00:00 --partition=…
                       --account=…; before its time is over the run is saved, and the job queued again.
  --tpu=NAME           On every worker of a TPU pod slice, in --zone=ZONE, where this clone lies in the home folder.
  --dry_run            Print what would run, and run nothing.
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
        if (wanted is None) == bool(equals):
            raise ValueError(f'--{name} takes {"no" if wanted is None else "a"} value')
        if wanted is not None and not re.fullmatch(wanted, value, re.ASCII):
            raise ValueError(f'--{name}={value[:100]!r} cannot be used')
        given[name] = value
    places = [name for name in ('local_processes', 'slurm', 'tpu') if name in given]
    if len(places) > 1:
        raise ValueError(f'--{places[0]} and --{places[1]} are two places: give one of them')
    for owner, names in (('slurm', _OF_SLURM), ('tpu', ('zone',))):
        for name in names:
            if name in given and owner not in given:
                raise ValueError(f'--{name} has no effect without --{owner}')
    if 'tpu' in given and 'zone' not in given:
        raise ValueError('--tpu takes --zone, too, that of the pod slice')
    return given


def run(place: Place) -> int:
    """Runs it, or prints what would run; the exit status. Raises ValueError, in one line, for what cannot be."""
    kinds: dict[str, Callable[[Place], int]] = {'local_processes': _locally, 'slurm': _by_slurm, 'tpu': _on_tpu}
    for kind, start in kinds.items():
        if kind in place.given:
            if place.name != 'train':
                raise ValueError(f'{place.name} runs in one process: only train goes with --{kind}')
            for flag in place.flags:
                if (found := flag.lstrip('-').partition('=')[0]) in _TOGETHER:
                    raise ValueError(f'--{found} has no effect with --{kind}, which chooses it')
            return start(place)
    print(shlex.join(_command(place)))
    return 0


def _command(place: Place) -> list[str]:
    return [sys.executable, '-P', '-m', f'{_PACKAGE}.{place.name}', *place.flags]


def _said() -> list[str]:
    """What a launcher is started with on another machine, or by somebody: the clone's script, or the package's."""
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
            print(shlex.join([*(f'{name}={value}' for name, value in share.items()), *command]))
        return 0
    # In groups of their own, so that Ctrl-C reaches them once, through us: a second signal would not let them save.
    children = [
        subprocess.Popen(command, env={**os.environ, **share}, preexec_fn=_apart)
        for command, share in zip(commands, shares, strict=True)
    ]
    received: list[int] = []

    def pass_on(number: int, frame: object) -> None:
        del frame
        received.append(number)
        for child in children if len(received) > 1 else children[:1]:  # the first one stops all, saved
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, pass_on)
    statuses = [child.wait() for child in children]
    statuses = [128 - status if status < 0 else status for status in statuses]
    for i, status in enumerate(statuses):
        if status != statuses[0]:
            print(f'process {i} of {count} ended with status {status}, process 0 with {statuses[0]}', file=sys.stderr)
    return next((status for status in statuses if status), 0)


def _apart() -> None:
    os.setpgid(0, 0)
    end_with_parent()


def _gpus(count: int) -> list[dict[str, str]]:
    """What the environment of each process says besides: which GPUs are its own."""
    if not os.environ.get('JAX_PLATFORMS', '').startswith('cuda'):
        return [{}] * count
    given = os.environ.get('CUDA_VISIBLE_DEVICES')
    if given is None:
        listed = subprocess.run(['nvidia-smi', '-L'], capture_output=True, text=True, check=False).stdout
        names = [str(i) for i, _ in enumerate(re.findall(r'^GPU ', listed, re.MULTILINE))]
    else:
        names = [name for name in given.split(',') if name]
    if not names or len(names) % count:
        raise ValueError(f'--local_processes={count} cannot share {len(names)} GPUs evenly')
    each = len(names) // count
    return [{'CUDA_VISIBLE_DEVICES': ','.join(names[i * each : (i + 1) * each])} for i in range(count)]


def job_script(place: Place) -> str:
    """The job of Slurm: one process on each node, which has all of the GPUs there."""
    given = {'nodes': '1', 'gpus_per_node': '1', 'time': '04:00:00', **place.given}
    options = {
        'job-name': 'wgan_jax', 'nodes': given['nodes'], 'ntasks-per-node': '1',
        **({'gpus-per-node': given['gpus_per_node']} if given['gpus_per_node'] != '0' else {}),
        'time': given['time'], 'signal': f'TERM@{_NOTICE}', 'open-mode': 'append',
        **{name: given[name] for name in ('partition', 'account') if name in given},
    }  # fmt: skip
    lines = [f'#SBATCH --{name}={value}' for name, value in options.items()]
    command = shlex.join([*_said(), place.name, *place.flags])
    return '\n'.join(
        [
            '#!/bin/bash',
            *lines,
            '#SBATCH --requeue',
            '',
            '# One process on each node; process 0 on the first of them.',
            'first="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"',
            'export COORDINATOR="$first:$((20000 + SLURM_JOB_ID % 20000))"',
            'srun --kill-on-bad-exit=0 bash -c \'exec "$0" "$@" --coordinator="$COORDINATOR" '
            f'--num_processes="$SLURM_NNODES" --process_id="$SLURM_NODEID"\' {command}',
            'status=$?',
            f'# {_NOTICE} seconds before its time is over a run gets SIGTERM and is saved: it goes on in another turn.',
            f'[[ $status != {_SAVED} ]] || exec scontrol requeue "$SLURM_JOB_ID"',
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
    there = shlex.join(['./launch.sh', place.name, '--distributed', *place.flags])
    command = [
        'gcloud', 'compute', 'tpus', 'tpu-vm', 'ssh', place.given['tpu'], f'--zone={place.given["zone"]}',
        '--worker=all', f'--command=cd {shlex.quote(_CLONE.name)} && {there}',
    ]  # fmt: skip
    if place.dry_run:
        print(shlex.join(command))
        return 0
    return subprocess.run([_program('gcloud'), *command[1:]], check=False).returncode


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ValueError(f'there is no {name} here: --dry_run prints what would run')
    return found
