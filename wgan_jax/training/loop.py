"""The training loop: compiled calls of about two seconds, with barriers between them.

At a barrier (a sample, a checkpoint, the end, a request to stop) everything computed so far is fetched, checked and
handed over before anything else is computed; so what the caller writes is always one consistent past. Between
barriers the metrics of one call are fetched only after the next has been dispatched: the device never waits.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import jax
import numpy as np

from wgan_jax.training.checkpoint import flatten
from wgan_jax.training.gan import GAN
from wgan_jax.training.pace import Pace
from wgan_jax.training.parallel import Runner
from wgan_jax.training.state import TrainState
from wgan_jax.training.step import Metrics


class NotFinite(ArithmeticError):
    """A metric or parameter became infinite or NaN."""


class CopiesDiffer(NotFinite):
    """Copies of a parameter on several devices, which must be equal, are not: one of them computes wrongly."""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """When what happens, in generator updates; a period of 0 means never.

    Attributes:
        steps: updates after which training is done.
        sample_every: period of samples, which are also due at the end.
        checkpoint_every: period of checkpoints, which are also due at the end and on a stop.
        evaluate_every: period of evaluations, at each of which, and at the end, all three are due.
    """

    steps: int
    sample_every: int
    checkpoint_every: int
    evaluate_every: int = 0

    def next_barrier(self, step: int) -> int:
        """The first step after ``step`` at which something is due."""
        periods = [period for period in (self.sample_every, self.checkpoint_every, self.evaluate_every) if period]
        return min([self.steps, *(step - step % period + period for period in periods)])

    def samples(self, step: int) -> bool:
        """Whether samples are due at a step."""
        return self._due(self.sample_every, step) or self.evaluates(step)

    def saves(self, step: int) -> bool:
        """Whether a checkpoint is due at a step."""
        return self._due(self.checkpoint_every, step) or self.evaluates(step)

    def evaluates(self, step: int) -> bool:
        """Whether an evaluation is due at a step."""
        return self.evaluate_every > 0 and self._due(self.evaluate_every, step)

    def _due(self, period: int, step: int) -> bool:
        return step == self.steps or (period > 0 and step % period == 0)


class MetricsChunk(NamedTuple):
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


class LoopCallback(Protocol):
    """Who is told what happens; called in order, with the state fetched as NumPy arrays."""

    def metrics(self, chunk: MetricsChunk) -> None:
        """Metrics of the steps of one call, all finite."""

    def sample(self, step: int, state: TrainState) -> None:
        """A sample is due."""

    def checkpoint(self, step: int, state: TrainState) -> None:
        """A checkpoint is due; all metrics up to ``step`` have been handed over."""


class _Call(NamedTuple):
    """A call whose metrics have not been fetched."""

    first: int
    steps: int
    rows: jax.Array


def run_loop(
    gan: GAN,
    runner: Runner,
    state: TrainState,
    schedule: Schedule,
    callback: LoopCallback,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    tracer: Callable[[], contextlib.AbstractContextManager] | None = None,
) -> bool:
    """Trains from ``state`` to ``schedule.steps``, or until asked to stop.

    Args:
        gan: what is trained.
        runner: of this GAN.
        state: where to begin, arrays of any kind.
        schedule: when samples and checkpoints are due.
        callback: is told of metrics, samples and checkpoints.
        should_stop: asked between calls.
        tracer: makes a context manager in which the first call after compilation runs (a profiler).

    Returns:
        True when all steps are done, False when asked to stop before.

    Raises:
        NotFinite: naming the step and the first metric, or the parameter, that went bad; nothing of it is handed on.
    """
    begin = step = int(state.step)
    state = runner.place(state)
    reports = _Reports(gan, runner, callback)
    pending = None
    while step < schedule.steps and not should_stop():
        barrier = schedule.next_barrier(step)
        count = reports.pace.next(barrier - step)
        trace = tracer if step > begin else None
        with trace() if trace else contextlib.nullcontext():
            state, rows = runner.run(state, count)
            if trace:
                runner.fetch(rows)  # which waits
                tracer = None
        if pending is not None:
            reports.hand_over(pending)
        pending = _Call(step + 1, count, rows)
        step += count
        if step == barrier or step == begin + count:
            reports.hand_over(pending)
            pending = None
        if step == barrier:
            arrays = _checked(runner.fetch(state))
            if schedule.saves(step):
                _check_copies(runner, state, step)
            if schedule.samples(step):
                callback.sample(step, arrays)
            if schedule.saves(step):
                callback.checkpoint(step, arrays)
            reports.resume()
    if pending is not None:
        reports.hand_over(pending)
    if begin < step < schedule.steps:
        _check_copies(runner, state, step)
        callback.checkpoint(step, _checked(runner.fetch(state)))
    return step >= schedule.steps


class _Reports:
    """Fetches the metrics of calls, times and checks them, and hands them over."""

    def __init__(self, gan: GAN, runner: Runner, callback: LoopCallback):
        self.pace = Pace(runner.capacity)
        self._gan, self._runner, self._callback = gan, runner, callback
        self._started = self._previous = time.monotonic()

    def resume(self) -> None:
        """What the callback took since the last call is not training time."""
        self._previous = time.monotonic()

    def hand_over(self, call: _Call) -> None:
        """Tells the callback of a call's metrics. Raises NotFinite after those before the first bad one."""
        rows = self._runner.fetch(call.rows)[: call.steps]
        now = time.monotonic()
        self.pace.took(call.steps, now - self._previous)
        updates = self._gan.critic_updates(np.arange(call.first - 1, call.first - 1 + call.steps))
        images = np.broadcast_to(self._gan.batch_size * updates, call.steps)
        chunk = MetricsChunk(call.first, rows, images, self._previous - self._started, now - self._started)
        self._previous = now
        bad = np.argwhere(~np.isfinite(rows))
        if not len(bad):
            self._callback.metrics(chunk)
            return
        row, column = bad[0]
        if row:  # how it came to this is worth keeping
            self._callback.metrics(chunk._replace(rows=rows[:row], images=images[:row]))
        raise NotFinite(
            f'{Metrics._fields[column]} became {rows[row, column]} at step {call.first + row}; '
            'a lower learning rate may help'
        )


def _check_copies(runner: Runner, state: TrainState, step: int) -> None:
    if (name := runner.differing(state)) is not None:
        raise CopiesDiffer(f'the copies of {name} on the devices differ at step {step}: one of them computes wrongly')


def _checked(state: TrainState) -> TrainState:
    for name, array in flatten(state).items():
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            raise NotFinite(f'{name} is not finite at step {int(state.step)}; a lower learning rate may help')
    return state
