"""How many steps a time allows: measured with the run's own program before it begins, and recorded with the run."""

import contextlib
import dataclasses
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from wgan_jax.data import pictures
from wgan_jax.files import make_folder, temporary_name
from wgan_jax.ranges import INT32, real
from wgan_jax.training.checkpoint import CheckpointStore
from wgan_jax.training.folder import completed, read_run
from wgan_jax.training.gan import GAN, WARMUP_CRITIC_UPDATES, WARMUP_INTERVAL, WARMUP_STEPS
from wgan_jax.training.parallel import Runner
from wgan_jax.training.run_files import draw_watched, evaluate
from wgan_jax.training.settings import Settings
from wgan_jax.training.state import TrainState
from wgan_jax.training.watch import Watch

MINUTES = real(0.1, 100_000)
LONGEST = 10.0  # seconds of measuring, beside compilation
SHARE = 0.05  # of the time, at most
LEFT = 0.95  # of the time that is left is used: beside samples and checkpoints, steps are slower than measured
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
        chosen = f'minutes={asked:.12g}' if asked else 'no minutes'
        raise ValueError(
            f'minutes={minutes:.12g}: {workdir} holds a run of {steps} steps, which {chosen} chose: choose another '
            'folder, ' + (f'or give minutes={asked:.12g} to continue it' if asked else 'or leave minutes out')
        )
    return _with_steps(settings, steps, before['settings']['decay_steps'])


def _of_checkpoint(workdir: str | os.PathLike) -> dict[str, Any] | None:
    folder = Path(workdir) / 'checkpoints'
    found = CheckpointStore(folder).newest()[0] if os.path.isdir(folder) else None
    if found is None or found.run is None:
        return None
    return completed(found.run, f'the record in checkpoint {found.step} of {workdir}')


def to_measure(settings: Settings) -> Settings:
    """Settings to measure with: where noise decays, of a program that no cache of compiled ones can know yet."""
    if not (settings.decay_steps and settings.instance_noise):
        return settings
    return dataclasses.replace(settings, decay_steps=INT32 - time.time_ns() % 10**8)


class Chore(NamedTuple):
    """What is done now and then beside training.

    Attributes:
        every: so many steps, and at the end.
        do: does it, with the state as NumPy arrays.
    """

    every: int
    do: Callable[[TrainState], object]


@contextlib.contextmanager
def chores(
    workdir: Path,
    settings: Settings,
    gan: GAN,
    watch: Watch,
    sample_every: int,
    checkpoint_every: int,
    evaluate_every: int | None,
) -> Iterator[list[Chore]]:
    """Samples and checkpoints as a run makes them, in a folder of their own that is removed afterwards.

    Args:
        workdir: of the run, on whose disk they are written.
        settings, gan, watch: of the run.
        sample_every, checkpoint_every: their periods, in steps.
        evaluate_every: that of evaluations; None for none.
    """
    folder = make_folder(workdir / temporary_name('measuring'))
    store = CheckpointStore(folder / 'checkpoints', 1)

    def sample(state: TrainState) -> None:
        drawn = draw_watched(gan.networks.generator, state, settings, watch)
        watch(drawn.samples, state.critic, drawn.beside_held_out)
        pictures.save_png(folder / 'samples.png', pictures.grid(np.asarray(drawn.shown)))

    def checkpoint(state: TrainState) -> None:
        store.save(max(store.steps(), default=0) + 1, state)

    def evaluation(state: TrainState) -> None:
        evaluate(gan.networks.generator, state, settings, watch)

    own = []
    if evaluate_every is not None:  # samples and checkpoints that are due anyway cost nothing more
        beside = [
            do for do, every in ((sample, sample_every), (checkpoint, checkpoint_every)) if evaluate_every % every
        ]
        own = [Chore(evaluate_every, do) for do in (evaluation, *beside)]
    try:
        yield [Chore(sample_every, sample), Chore(checkpoint_every, checkpoint), *own]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def within(
    settings: Settings,
    gan: GAN,
    runner: Runner,
    state: TrainState,
    minutes: float,
    since: float,
    chores: Sequence[Chore] = (),
) -> Settings:
    """Settings with as many steps as a time allows, over which rates that decay are spread.

    The program is compiled and run on a state that is thrown away; where instance noise decays, the run's own is
    another program, and the time for its compilation is set aside.

    Args:
        settings: of the run.
        gan, runner: of ``to_measure(settings)``.
        state: to measure with; where the critic is trained longer at first, the usual length is measured.
        minutes: for everything.
        since: when they began, by ``time.monotonic``.
        chores: what is done beside training.

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
    one = measured[0] / measured[1]  # seconds of a critic update, with its share of the generator's
    seconds_of = [_seconds_of(chore, runner, state) for chore in chores]
    beside = time.monotonic() - since + (compilation if gan.noise_steps else 0) + sum(seconds_of)
    beside += min(FIGURES, seconds / 10)
    left = LEFT * (seconds - beside)
    if left < one * gan.n_critic:
        raise ValueError(
            f'minutes={minutes:.12g}: compilation and measuring took {(time.monotonic() - since) / 60:.2g} and leave '
            f'no time for a step: give at least {(1.5 * beside + 20 * one) / 60:.1f}, more on a machine that is busy'
        )
    each = sum(taken / chore.every for taken, chore in zip(seconds_of, chores, strict=True))
    steps = _steps_of_as_many_critic_updates(gan, left / one, each / one)
    return _with_steps(settings, steps, steps)


def _seconds_of(chore: Chore, runner: Runner, state: TrainState) -> float:
    chore.do(runner.fetch(state))  # the first time, it is compiled
    start = time.monotonic()
    chore.do(runner.fetch(state))
    return time.monotonic() - start


def _steps_of_as_many_critic_updates(gan: GAN, updates: float, beside: float = 0.0) -> int:
    """The most steps in the time of so many critic updates, rounded down to two digits and a half; at least one.

    Args:
        gan: how many a step has.
        updates: for which there is time.
        beside: in whose time goes what else a step takes.
    """
    more = max(WARMUP_CRITIC_UPDATES, gan.n_critic) - gan.n_critic if gan.critic_warmup else 0
    low, high = 1, min(max(2, int(updates / gan.n_critic) + 1), INT32)
    while high - low > 1:
        middle = (low + high) // 2
        warm = min(middle, WARMUP_STEPS) + (middle - 1) // WARMUP_INTERVAL  # see GAN.critic_updates
        low, high = (middle, high) if middle * (gan.n_critic + beside) + more * warm <= updates else (low, middle)
    unit = 5 * 10 ** (len(str(low)) - 3) if low >= 100 else 1
    return low // unit * unit


def _with_steps(settings: Settings, steps: int, decay_steps: int) -> Settings:
    both = settings.decay_steps and decay_steps  # else one of them has none, and they differ
    return dataclasses.replace(settings, steps=steps, decay_steps=decay_steps if both else settings.decay_steps)
