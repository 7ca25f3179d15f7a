"""What every training run writes into its folder: metrics, sample grids, checkpoints, results."""

import contextlib
import functools
import logging
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wgan_jax.data import pictures
from wgan_jax.files import WriteError, discard, make_folder, matching, remove_leftovers, set_aside
from wgan_jax.training.alarm import FIRST, Alarm
from wgan_jax.training.callbacks import Callback, Record
from wgan_jax.training.checkpoint import CheckpointStore
from wgan_jax.training.classes import ROW, row_labels
from wgan_jax.training.folder import lock_of
from wgan_jax.training.load import Generator, sample_images
from wgan_jax.training.loop import MetricsChunk, Schedule
from wgan_jax.training.manifest import Manifest
from wgan_jax.training.records import MetricsLog, common_names, read_metrics
from wgan_jax.training.settings import Settings
from wgan_jax.training.state import TrainState
from wgan_jax.training.watch import Looks, Watch, num_watched
from wgan_jax.types import Array, Network

NUM_SAMPLES = 64

_UNSEEN = dict.fromkeys(Looks._fields)

logger = logging.getLogger(__name__)


class RunFiles:
    """Writes what the loop hands over, and passes it on to the callbacks.

    Args:
        workdir: of the run.
        settings: of the run.
        generator: the network.
        store: where checkpoints go.
        run: what they are sealed with.
        manifest: of the folder.
        watch: looks at the fixed samples whenever they are drawn.
        schedule: when that is due.
        callbacks: are told of everything.
        step: that the run continues from; samples and metrics past it are dropped, to come again.
        log_every: period of the lines of metrics, in steps.
        lines_every: the longest period that the lines before have.
        checked: files that are known to be as the run wrote them.
    """

    def __init__(
        self,
        workdir: Path,
        settings: Settings,
        generator: Network,
        store: CheckpointStore,
        run: dict[str, Any],
        manifest: Manifest,
        watch: Watch,
        schedule: Schedule,
        callbacks: Sequence[Callback],
        *,
        step: int,
        log_every: int,
        lines_every: int,
        checked: Collection[str] = (),
    ):
        self._workdir, self._settings, self._generator, self._store = workdir, settings, generator, store
        self._lock = lock_of(workdir)
        self._run, self._log_every, self._callbacks = run, log_every, callbacks
        self._wasserstein = settings.objective == 'wasserstein'
        self._manifest, self._watch, self._schedule = manifest, watch, schedule
        self._unwatched: Record | None = None  # the metrics of a step whose samples are still to be drawn
        self._samples = make_folder(workdir / 'samples')
        remove_leftovers(self._samples)
        for path in pictures_after(workdir, step):
            discard(path)
        for path in self._samples.glob('step_*.png'):
            if not os.path.isfile(path):
                set_aside(path, 'something else stands where a picture belongs', workdir)
            elif f'samples/{path.name}' not in checked and (why := pictures.damage(path)) is not None:
                set_aside(path, why, workdir)
        self._log = MetricsLog(workdir / 'metrics.jsonl', step)
        self._alarm = Alarm(settings, read_metrics(workdir / 'metrics.jsonl')[:FIRST])
        if step - self._log.last >= lines_every:
            logger.warning(f'{workdir}/metrics.jsonl: the lines from step {self._log.last + 1} to {step} are lost')
        self.saved: TrainState | None = None  # the state of the newest checkpoint of this call
        self._last_saved = step if step in store.steps() else None

    def metrics(self, chunk: MetricsChunk) -> None:
        """Metrics of some steps: every ``log_every``-th to the file, and those of steps with samples after these."""
        records: list[Record] = [{**record, **_UNSEEN} for record in chunk.records()]
        if not self._wasserstein:
            records = [{**record, 'wasserstein': None} for record in records]
        if self._schedule.samples(records[-1]['step']):
            self._unwatched = records.pop()
        self._alarm.add(records)
        self._log.append(record for record in records if record['step'] % self._log_every == 0)
        if records:
            self._tell('metrics', records)

    def sample(self, step: int, state: TrainState) -> None:
        """A grid of the fixed samples, from the generator's moving average, and what they look like."""
        self._check_folder()
        drawn = self._draw(step, state)
        if self._unwatched is not None:
            looks = self._watch(drawn.samples, state.critic, drawn.beside_held_out)
            if self._schedule.evaluates(step):
                looks = looks._replace(evaluation=evaluate(self._generator, state, self._settings, self._watch))
            self._write_unwatched(looks._asdict())
            if looks.evaluation is not None:
                self._store.spare(best_step(self._workdir, {*self._store.steps(), step}))
        self._tell('sample', step, state, drawn.shown)

    def write_unseen(self) -> None:
        """Writes the metrics of a step whose samples will not be drawn, since its parameters are not finite."""
        if self._unwatched is not None:
            self._write_unwatched({})

    def _write_unwatched(self, looks: dict[str, Any]) -> None:
        record, self._unwatched = {**(self._unwatched or {}), **looks}, None
        self._log.append([record])
        for line in self._alarm.look(record, self._watch.duplicates_of_data) if looks else ():
            logger.warning(f'{self._workdir}: {line}')
        self._tell('metrics', [record])

    def check(self) -> None:
        """Whether what the run has written is still there and as it was: pictures that are not are moved aside.

        Raises:
            WriteError: when another file is, without which no command could continue the run, or not truly.
        """
        self._check_folder()
        self._log.check()
        for path in self._manifest.replaced():
            if path.parent != self._samples:
                raise WriteError(path, 'it was changed or removed while the run went on')
            if os.path.lexists(path):
                set_aside(path, 'it was changed while the run went on', self._workdir)
            else:
                logger.warning(f'{path}: it was removed while the run went on')
            self._manifest.drop(path)

    def keep_sample(self, step: int, state: TrainState) -> None:
        """Draws the grid of a step again, if it is not there any more."""
        if not os.path.exists(self._picture(step)):
            self._draw(step, state)

    def _picture(self, step: int) -> Path:
        return self._samples / f'step_{step:08d}.png'

    def _draw(self, step: int, state: TrainState) -> 'Drawn':
        drawn = draw_watched(self._generator, state, self._settings, self._watch)
        columns = ROW if self._settings.conditional else None
        pictures.save_png(self._picture(step), pictures.grid(np.asarray(drawn.shown), columns))
        self._manifest.note(self._picture(step))
        return drawn

    def checkpoint(self, step: int, state: TrainState) -> None:
        """A checkpoint, after everything before it is on the disk."""
        self._log.sync()
        self.check()
        self._tell('checkpoint', step, state)
        if step != self._last_saved:
            self._store.save(step, state, self._run)
            self._last_saved = step
        self._manifest.update(step)
        self.saved = state

    def _check_folder(self) -> None:
        """Raises WriteError when the folder has been moved away: what is there now may be another run's."""
        if lock_of(self._workdir) != self._lock:
            raise WriteError(
                self._workdir, 'the folder in which the run began, or its .lock, has been moved or removed'
            )

    def _tell(self, what: str, *arguments: Any) -> None:
        for callback in self._callbacks:
            getattr(callback, what)(*arguments)

    def close(self) -> None:
        """Closes the file of metrics."""
        self._log.close()


class Drawn(NamedTuple):
    """The fixed samples of a run, in [-1, 1].

    Attributes:
        shown: ``NUM_SAMPLES`` of them, of a conditional run in rows of one class each.
        samples: that are watched.
        beside_held_out: of a conditional run, those of the classes of the images held out.
    """

    shown: Array
    samples: Array
    beside_held_out: Array | None


def draw_watched(network: Network, state: TrainState, settings: Settings, watch: Watch) -> Drawn:
    """The fixed samples of a run by the moving average of its generator."""
    classes = tuple(map(str, range(network.num_classes)))
    generator = Generator(network, state.ema, settings, int(state.step), classes)
    draw = functools.partial(sample_images, generator, settings.seed)
    if watch.labels is None:
        samples = draw(num_watched(*settings.height_width))
        return Drawn(samples[:NUM_SAMPLES], samples, None)
    held = watch.held_out_labels
    beside = None if held is None else draw(len(held), held)
    return Drawn(
        draw(NUM_SAMPLES, row_labels(NUM_SAMPLES, len(classes))), draw(len(watch.labels), watch.labels), beside
    )


def evaluate(network: Network, state: TrainState, settings: Settings, watch: Watch) -> float | None:
    """The patch distance of so many samples that checkpoints can be told apart by it, see ``Watch.evaluate``."""
    generator = Generator(network, state.ema, settings, int(state.step), tuple(map(str, range(network.num_classes))))
    return watch.evaluate(functools.partial(sample_images, generator, settings.seed))


def best_step(workdir: Path, steps: Collection[int]) -> int | None:
    """Which of some steps has the best evaluation by a run's metrics, of equal ones the first; None for none."""
    path, rows = workdir / 'metrics.jsonl', []
    with contextlib.suppress(OSError, ValueError):  # of one that cannot be read, others speak
        rows = read_metrics(path) if os.path.isfile(path) else []
    evaluated = [(row['evaluation'], row['step']) for row in rows if isinstance(row.get('evaluation'), float)]
    return min((each for each in evaluated if each[1] in steps), default=(0.0, None))[1]


def pictures_after(workdir: Path, step: int) -> list[Path]:
    """The pictures of samples of later steps."""
    found = [(path, re.fullmatch(r'step_(\d{8,})', path.stem)) for path in matching(workdir, 'samples/step_*.png')]
    return [path for path, number in found if number and int(number[1]) > step]


def final_metrics(workdir: Path) -> dict[str, float]:
    """The logged metrics of a run, averaged over the last tenth of the lines; without the time since the start.

    What samples look like is that of the last ones.
    """
    rows = read_metrics(workdir / 'metrics.jsonl')
    last = rows[-max(1, len(rows) // 10) :]
    if not last:
        return {}
    names = [name for name in common_names(last) if name not in ('step', 'seconds', *Looks._fields)]
    seen = {name: [row[name] for row in rows if row.get(name) is not None][-1:] for name in Looks._fields}
    return {name: sum(row[name] for row in last) / len(last) for name in names} | {
        name: values[0] for name, values in seen.items() if values
    }
