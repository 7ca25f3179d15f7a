"""Train a GAN: by default a Wasserstein GAN on the world's flags, sized for a laptop.

A flag that is left out has the value of the preset; the run's config.json shows them all, and
`train --preset=NAME --help` those of another preset.

The same command again continues a run that was stopped, and does nothing when it is done.

Lists, such as --seeds=0,1,2 --penalty_weight=1,10, train a run of every combination, each in a folder of its own.
"""

import contextlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

import jax

import wgan_jax
from wgan_jax.joining import give_up, part
from wgan_jax.text import reason
from wgan_jax.training.loop import NotFinite
from wgan_jax.training.process_group import Lost, again, last_words
from wgan_jax.training.settings import Settings, record
from wgan_jax.training.signals import Interrupted

from ..common import launcher
from . import flags, sweep
from .lipschitz_log import LipschitzLog
from .outputs import Events, Figures, Progress
from .wandb_log import WandbLog

_SILENT = 10.0  # seconds in which the other processes may come without a word


def main() -> int:
    """Reads the flags, trains, and returns the exit status."""
    try:
        status = _train()
    except Lost as error:  # there may be nobody to part from
        give_up(str(error))
        print(f'train: stopped: {error}', file=sys.stderr)
        return 1
    except launcher.UsageError:  # which all processes have
        _part()
        raise
    except Exception as error:  # of this one: the others do not come to part
        give_up(again(f'process 0 ended: {last_words(error)}'))
        raise
    _part()
    return status


def _train() -> int:
    with launcher.usage_errors():
        runs = sweep.asked_for()
    return sweep.run(runs) if runs else _train_one()


def _train_one() -> int:
    progress = Progress()
    with launcher.usage_errors():
        settings = flags.settings_from_flags()
        if flags.SHOW_SETTINGS.value:
            print(json.dumps(record(settings), indent=2))
            return 0
        elsewhere = [WandbLog(flags.LOG_EVERY.value)] if flags.LOG_TO.value == 'wandb' else []
        _choose_devices(settings)
    workdir = launcher.WORKDIR.value or flags.default_folder()
    began = time.monotonic()
    try:
        generator = wgan_jax.train(
            settings,
            workdir,
            callbacks=[
                *elsewhere,  # first: what fails there fails before training is said to have begun
                progress,
                events := Events(flags.LOG_EVERY.value),
                *([LipschitzLog(events)] if flags.LOG_LIPSCHITZ.value else []),
                Figures(),
            ],
            checkpoint_every=flags.CHECKPOINT_EVERY.value,
            keep_checkpoints=flags.KEEP_CHECKPOINTS.value,
            sample_every=flags.SAMPLE_EVERY.value,
            log_every=flags.LOG_EVERY.value,
            evaluate_every=flags.EVALUATE_EVERY.value,
            minutes=flags.MINUTES.value,
            parallel=flags.PARALLEL.value,
            num_devices=flags.DEVICES.value,
            data_path=flags.DATA_PATH.value,
            profile=flags.PROFILE.value,
        )
    except ValueError as error:
        if progress.started:
            raise
        raise launcher.UsageError(str(error)) from error
    except NotFinite as error:
        print(f'train: stopped: {error}', file=sys.stderr)
        return 1
    except Interrupted as error:
        again = f'the same command {"continues" if error.step else "begins"} it'
        print(f'train: {error}; {"its results are there" if error.done else again}', file=sys.stderr)
        return 128 + error.signal
    if jax.process_index():
        print(f'process {jax.process_index()} of {jax.process_count()}: done, {generator.step} steps')
        return 0
    if not progress.started:
        print(f'{workdir}: done already, {generator.step} steps; a larger --steps goes on from there')
        return 0
    curves = Path(workdir) / 'curves.png'
    samples = f'{workdir}/samples/step_{generator.step:08d}.png (64 samples; {workdir}/real.png shows the data)'
    pictures = [samples, f'{workdir}/training.gif']
    pictures += [str(curves)] if os.path.exists(curves) else []
    print(
        f'Done in {(time.monotonic() - began) / 60:.1f} minutes. Look at {", ".join(pictures[:-1])} and '
        f'{pictures[-1]}; the numbers are in {workdir}/results.json'
    )
    if not os.path.exists(curves):
        print(f'{workdir}/metrics.jsonl has no step, and there are no curves: --log_every is {flags.LOG_EVERY.value}')
    return 0


def _choose_devices(settings: Settings) -> None:
    """Acts on what must be known before JAX looks for devices. Raises ValueError for what cannot be."""
    if settings.deterministic:
        os.environ['XLA_FLAGS'] = os.environ.get('XLA_FLAGS', '') + ' --xla_gpu_deterministic_ops=true'
    if flags.MATMUL_PRECISION.value is not None:
        jax.config.update('jax_default_matmul_precision', flags.MATMUL_PRECISION.value)
    devices = flags.DEVICES.value
    if devices is not None:
        jax.config.update('jax_num_cpu_devices', devices)
    _join()
    if devices is not None:
        if jax.default_backend() != 'cpu':
            raise ValueError('--devices makes virtual CPU devices: set WGAN_JAX_BACKEND=cpu, or leave it out')
        if devices > 1 and flags.PARALLEL.value == 'jit':
            raise ValueError(f'--devices={devices} has no effect with --parallel=jit: use --parallel=pmap')


def _join() -> None:
    """Joins other processes where flags say that there are some. Raises ValueError for those that say nothing then."""
    places = {flag.name: flag.value for flag in (flags.COORDINATOR, flags.NUM_PROCESSES, flags.PROCESS_ID)}
    limits = {'heartbeat': flags.HEARTBEAT.value, 'patience': flags.JOIN_TIMEOUT.value}
    limits = {name: value for name, value in limits.items() if value is not None}
    if flags.DISTRIBUTED.value or any(value is not None for value in places.values()):
        patience = limits.get('patience', 300)
        word = f'train: waiting for the other processes, {patience:g} seconds at most (--join_timeout)\n'
        waiting = threading.Timer(_SILENT, sys.stderr.write, [word])
        waiting.daemon = True
        waiting.start()
        try:
            wgan_jax.join(**places, **limits, on_lost=_stop_at_once)
        finally:
            waiting.cancel()
        if jax.process_index():
            print(
                f'process {jax.process_index()} of {jax.process_count()} follows process 0, which writes the files; if '
                f'another one is lost, this one ends within {limits.get("heartbeat", 100)} seconds, and the same '
                'commands continue from the last checkpoint'
            )
    elif limits:
        raise ValueError('--heartbeat and --join_timeout have no effect on one process: see --distributed')


def _stop_at_once(why: str) -> NoReturn:
    """Ends this process with a word: in a moment JAX would end it without one that helps."""
    line = f'train: stopped: {why or again("process 0 is gone")}\n'
    os.write(sys.stderr.fileno(), line.encode())  # at once, whatever another thread writes
    rest = threading.Thread(target=_flush, daemon=True)  # nobody may read it, or a thread hold it
    rest.start()
    rest.join(1)
    os._exit(1)


def _flush() -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()


def _part() -> None:
    """Leaves together with the other processes: the service of process 0 is theirs too."""
    try:
        part()
    except RuntimeError as error:
        print(f'train: warning: the other processes did not part in time: {reason(error)}', file=sys.stderr)


if __name__ == '__main__':
    launcher.run(main, flags.preset_defaults)
