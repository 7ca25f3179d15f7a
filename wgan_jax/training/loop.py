"""The training loop: compiled calls of about two seconds, with barriers between them.

At a barrier (a sample, a checkpoint, the end, a request to stop) everything computed so far is fetched, checked and
handed over before anything else is computed; so what the caller writes is always one consistent past. Between
barriers the metrics of one call are fetched only after the next has been dispatched: the device never waits.
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import jax
import numpy as np

from wgan_jax.training.checkpoint import flatten
from wgan_jax.training.gan import GAN
from wgan_jax.training.parallel import Runner
from wgan_jax.training.state import TrainState
from wgan_jax.training.step import Metrics

SECONDS_PER_CALL = 2.0


class NotFinite(ArithmeticError):
    """A metric or parameter became infinite or NaN."""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """When what happens, in generator updates; a period of 0 means never.

    Attributes:
        steps: updates after which training is done.
        sample_every: period of samples, which are also due at the end.
        checkpoint_every: period of checkpoints, which are also due at the end and on a stop.
    """

    steps: int
    sample_every: int
    checkpoint_every: int

    def next_barrier(self, step: int) -> int:
        """The first step after ``step`` at which something is due."""
        periods = [period for period in (self.sample_every, self.checkpoint_every) if period]
        return min([self.steps, *(step - step % period + period for period in periods)])


class Block(NamedTuple):
    """The metrics of one call.

    Attributes:
        first: number of the first step (1 is the first ever).
        rows: (number of steps, number of metrics), in the order of ``Metrics``.
        images: real images that each step took, (number of steps,).
        start, end: seconds since the start of this process's training.
    """

    first: int
    rows: np.ndarray
    images: np.ndarray
    start: float
    end: float

    def records(self) -> Iterator[dict[str, float]]:
        """One dictionary a step, with the call's time spread evenly over its steps."""
        duration = max(self.end - self.start, 1e-9)
        for i, row in enumerate(self.rows.tolist()):
            yield {
                'step': self.first + i,
                **dict(zip(Metrics._fields, row, strict=True)),
                'seconds': round(self.start + duration * (i + 1) / len(self.rows), 3),
                'images_per_second': round(float(self.images[i]) * len(self.rows) / duration, 2),
            }


class Listener(Protocol):
    """Who is told what happens; called in order, with the state fetched as NumPy arrays."""

    def block(self, block: Block) -> None:
        """Metrics of the steps of one call, all finite."""

    def sample(self, step: int, state: TrainState) -> None:
        """A sample is due."""

    def checkpoint(self, step: int, state: TrainState) -> None:
        """A checkpoint is due; every block up to ``step`` has been handed over."""


def train(
    gan: GAN,
    runner: Runner,
    state: TrainState,
    schedule: Schedule,
    listener: Listener,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    tracer: Callable[[], object] | None = None,
) -> bool:
    """Trains from ``state`` to ``schedule.steps``, or until asked to stop.

    Args:
        gan: what is trained.
        runner: of this GAN.
        state: where to begin, arrays of any kind.
        schedule: when samples and checkpoints are due.
        listener: is told of metrics, samples and checkpoints.
        should_stop: asked between calls.
        tracer: makes a context manager in which the first call after compilation runs (a profiler).

    Returns:
        True when all steps are done, False when asked to stop before.

    Raises:
        NotFinite: naming the step and the first metric, or the parameter, that went bad; nothing of it is handed on.
    """
    begin = step = int(state.step)
    state = runner.place(state)
    started = previous = time.monotonic()
    pending, size = None, 1

    def fetch(first, count, rows):
        nonlocal previous, size
        rows = runner.fetch(rows)[:count]
        now = time.monotonic()
        updates = gan.critic_updates(np.arange(first - 1, first - 1 + count))
        images = np.broadcast_to(gan.batch_size * updates, count)
        block = Block(first, rows, images, previous - started, now - started)
        if first > begin + 1:  # the very first call is mostly compilation
            size = max(1, min(math.ceil(SECONDS_PER_CALL * count / (now - previous)), 2 * count))
        previous = now
        bad = np.argwhere(~np.isfinite(block.rows))
        if not len(bad):
            listener.block(block)
            return
        row, column = bad[0]
        if row:  # how it came to this is worth keeping
            listener.block(block._replace(rows=block.rows[:row], images=block.images[:row]))
        raise NotFinite(
            f'{Metrics._fields[column]} became {block.rows[row, column]} at step {first + row}; '
            'a lower learning rate may help'
        )

    while step < schedule.steps and not should_stop():
        barrier = schedule.next_barrier(step)
        count = min(size, barrier - step, runner.capacity)
        with tracer() if tracer is not None and step > begin else contextlib.nullcontext() as tracing:
            state, rows = runner.run(state, count)
            if tracing is not None:
                jax.block_until_ready(rows)
                tracer = None
        if pending is not None:
            fetch(*pending)
        pending = (step + 1, count, rows)
        step += count
        if step == barrier or step == begin + count:
            fetch(*pending)
            pending = None
        if step == barrier:
            _at_barrier(step, runner, state, schedule, listener)
            previous = time.monotonic()  # what the listener took is not training time
    if pending is not None:
        fetch(*pending)
    if begin < step < schedule.steps:
        listener.checkpoint(step, _checked(runner.fetch(state)))
    return step >= schedule.steps


def _at_barrier(step, runner, state, schedule, listener):
    done = step == schedule.steps
    fetched = _checked(runner.fetch(state))
    if done or (schedule.sample_every and step % schedule.sample_every == 0):
        listener.sample(step, fetched)
    if done or (schedule.checkpoint_every and step % schedule.checkpoint_every == 0):
        listener.checkpoint(step, fetched)


def _checked(state: TrainState) -> TrainState:
    for name, array in flatten(state).items():
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            raise NotFinite(f'{name} is not finite at step {int(state.step)}; a lower learning rate may help')
    return state
