"""How many steps a time allows: measured with the run's own program before it begins, and recorded with the run."""

import dataclasses
import os
import time
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from wgan_jax.ranges import INT32, real
from wgan_jax.training.checkpoint import CheckpointStore
from wgan_jax.training.folder import completed, read_run
from wgan_jax.training.gan import GAN, WARMUP_CRITIC_UPDATES, WARMUP_INTERVAL, WARMUP_STEPS
from wgan_jax.training.parallel import Runner
from wgan_jax.training.settings import Settings
from wgan_jax.training.state import TrainState

MINUTES = real(0.1, 100_000)
LONGEST = 10.0  # seconds of measuring, beside compilation
SHARE = 0.03  # of the time, at most
LEFT = 0.86  # of the time that is left goes into steps: beside samples and checkpoints they are slower than measured
FIGURES = 6.0  # seconds for those at the end, of a short time a tenth


def recorded(workdir: str | os.PathLike, settings: Settings, minutes: float) -> Settings | None:
    """Settings with the steps that a time was found to allow when the run of a folder began; None where none has.

    Args:
        workdir: of the run.
        settings: whose steps and decay are replaced.
        minutes: that were asked for now.

    Raises:
        ValueError: where the folder holds a run whose steps were not chosen by as many minutes.
    """
    try:
        before = read_run(workdir) if os.path.lexists(Path(workdir) / 'config.json') else _of_checkpoint(workdir)
    except ValueError:
        return settings  # which whoever takes up the folder has the better words for
    if before is None:
        return None
    steps, run = before['settings']['steps'], before.get('run', before)  # as a checkpoint has it
    asked = run.get('minutes') if isinstance(run, dict) else None
    asked = asked if isinstance(asked, int | float) else None
    if asked != minutes:
        began = f'was begun with minutes={asked:.12g}' if asked else 'was not begun with minutes'
        raise ValueError(
            f'minutes={minutes:.12g}: {workdir} holds a run that {began} and has {steps} steps: choose another folder, '
            + (f'or give minutes={asked:.12g} to continue it' if asked else 'or leave minutes out')
        )
    return _with_steps(settings, steps, before['settings']['decay_steps'])


def _of_checkpoint(workdir: str | os.PathLike) -> dict[str, Any] | None:
    folder = Path(workdir) / 'checkpoints'
    found = CheckpointStore(folder).newest()[0] if os.path.isdir(folder) else None
    if found is None or found.run is None:
        return None
    return completed(found.run, f'the record in checkpoint {found.step} of {workdir}')


def to_measure(settings: Settings) -> Settings:
    """Settings of the same program but for the decay, which no cache of compiled programs can know yet."""
    if not settings.decay_steps:
        return settings
    return dataclasses.replace(settings, decay_steps=INT32 - time.time_ns() % 10**8)


def within(settings: Settings, gan: GAN, runner: Runner, state: TrainState, minutes: float, since: float) -> Settings:
    """Settings with as many steps as a time allows, over which rates that decay are spread.

    The program is compiled and run on a state that is thrown away. What changes with the decay is another program: the
    time for its compilation is set aside.

    Args:
        settings: of the run.
        gan, runner: of ``to_measure(settings)``.
        state: to measure with; where the critic is trained longer at first, the usual length is measured.
        minutes: for everything.
        since: when they began, by ``time.monotonic``.

    Raises:
        ValueError: when not even compilation takes less.
    """
    seconds, step = 60 * minutes, WARMUP_STEPS + 1
    state = runner.place(state._replace(step=jnp.int32(step)))

    def take(count: int) -> tuple[float, int]:
        """Seconds, and critic updates, of so many steps."""
        nonlocal state, step
        start = time.monotonic()
        state, rows = runner.run(state, count)
        runner.fetch(rows)
        updates = np.broadcast_to(gan.critic_updates(np.arange(step, step + count)), count)
        step += count
        return time.monotonic() - start, int(updates.sum())

    (compilation, _), count, longest = take(1), 1, min(LONGEST, SHARE * seconds)
    while (measured := take(count))[0] < longest / 2 and count < runner.capacity:
        count = min(runner.capacity, 2 * count)
    taken, updates = measured
    beside = time.monotonic() - since + compilation + min(FIGURES, seconds / 10)
    left = LEFT * (seconds - beside)
    if left < taken / count:
        raise ValueError(
            f'minutes: compilation leaves no time for a step; {(1.5 * beside + taken) / 60:.1f} would do for some'
        )
    steps = _steps_of_as_many_critic_updates(gan, left / taken * updates)
    return _with_steps(settings, steps, steps)


def _steps_of_as_many_critic_updates(gan: GAN, updates: float) -> int:
    """The most steps with so many critic updates, rounded down to two digits and a half; at least one."""
    more = max(WARMUP_CRITIC_UPDATES, gan.n_critic) - gan.n_critic if gan.critic_warmup else 0
    low, high = 1, min(max(2, int(updates / gan.n_critic) + 1), INT32)
    while high - low > 1:
        middle = (low + high) // 2
        warm = min(middle, WARMUP_STEPS) + (middle - 1) // WARMUP_INTERVAL  # see GAN.critic_updates
        low, high = (middle, high) if middle * gan.n_critic + more * warm <= updates else (low, middle)
    unit = 5 * 10 ** (len(str(low)) - 3) if low >= 100 else 1
    return low // unit * unit


def _with_steps(settings: Settings, steps: int, decay_steps: int) -> Settings:
    both = settings.decay_steps and decay_steps  # else one of them has none, and they differ
    return dataclasses.replace(settings, steps=steps, decay_steps=decay_steps if both else settings.decay_steps)
