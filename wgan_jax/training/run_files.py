"""What every training run writes into its folder: metrics, sample grids, checkpoints, results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wgan_jax.data import pictures
from wgan_jax.training.callbacks import Callback, Record
from wgan_jax.training.checkpoint import CheckpointStore
from wgan_jax.training.load import Generator, sample_images
from wgan_jax.training.loop import MetricsChunk
from wgan_jax.training.records import MetricsLog, read_metrics
from wgan_jax.training.settings import Settings
from wgan_jax.training.state import TrainState
from wgan_jax.types import Network

NUM_SAMPLES = 64


class RunFiles:
    """Writes what the loop hands over, and passes it on to the callbacks.

    Args:
        workdir: of the run.
        settings: of the run.
        generator: the network.
        store: where checkpoints go.
        step: that the run continues from.
        log_every: period of the lines of metrics, in steps.
        callbacks: are told of everything.
    """

    def __init__(
        self,
        workdir: Path,
        settings: Settings,
        generator: Network,
        store: CheckpointStore,
        step: int,
        log_every: int,
        callbacks: Sequence[Callback],
    ):
        self._workdir, self._settings, self._generator, self._store = workdir, settings, generator, store
        self._log_every, self._callbacks = log_every, callbacks
        self._wasserstein = settings.objective == 'wasserstein'
        self._log = MetricsLog(workdir / 'metrics.jsonl', step)
        self.saved: TrainState | None = None  # the state of the newest checkpoint of this call

    def metrics(self, chunk: MetricsChunk) -> None:
        """Metrics of some steps: every ``log_every``-th to the file."""
        records: list[Record] = list(chunk.records())
        if not self._wasserstein:
            records = [{**record, 'wasserstein': None} for record in records]
        self._log.append(record for record in records if record['step'] % self._log_every == 0)
        self._tell('metrics', records)

    def sample(self, step: int, state: TrainState) -> None:
        """A grid of the fixed samples, from the generator's moving average."""
        generator = Generator(self._generator, state.ema, self._settings, step)
        images = sample_images(generator, self._settings.seed, NUM_SAMPLES)
        folder = self._workdir / 'samples'
        folder.mkdir(exist_ok=True)
        pictures.save_png(folder / f'step_{step:08d}.png', pictures.grid(np.asarray(images)))
        self._tell('sample', step, state, images)

    def checkpoint(self, step: int, state: TrainState) -> None:
        """A checkpoint, after everything before it is on the disk."""
        self._log.sync()
        self._tell('checkpoint', step, state)
        self._store.wait()  # for the one before, whose failure must not pass unseen
        if step not in self._store.steps():
            self._store.save(step, state)
        self.saved = state

    def _tell(self, what: str, *arguments: Any) -> None:
        for callback in self._callbacks:
            getattr(callback, what)(*arguments)

    def close(self) -> None:
        """Closes the file of metrics."""
        self._log.close()


def final_metrics(workdir: Path) -> dict[str, float]:
    """The logged metrics of a run, averaged over the last tenth of the lines; without the time since the start."""
    rows = read_metrics(workdir / 'metrics.jsonl')
    last = rows[-max(1, len(rows) // 10) :]
    if not last:
        return {}
    names = [name for name, value in last[0].items() if name not in ('step', 'seconds') and value is not None]
    return {name: sum(row[name] for row in last) / len(last) for name in names}
