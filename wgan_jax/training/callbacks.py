"""What a run tells those who listen: user code, progress bars, further files.

CALLBACKS.md beside this file says when each method is called, with a callback that logs to Weights & Biases.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wgan_jax.data.images import Images
from wgan_jax.training.gan import GAN
from wgan_jax.training.settings import Settings
from wgan_jax.training.state import TrainState
from wgan_jax.types import Array

Record = dict[str, Any]


class RunInfo(NamedTuple):
    """A run that is about to train.

    Attributes:
        workdir: its folder.
        settings: of the run.
        gan: what is trained.
        images: the dataset.
        state: where it begins or goes on.
        num_devices: that share a batch.
        streamed: whether the dataset stays on the host.
    """

    workdir: Path
    settings: Settings
    gan: GAN
    images: Images
    state: TrainState
    num_devices: int
    streamed: bool = False


class Callback:
    """Is told what happens in a run. All methods do nothing here: override those that are wanted.

    States are NumPy arrays and hold everything up to the step that is named. ``close`` is called however a run ends,
    and also where ``start`` itself fails.

    Attributes:
        files: what it writes into the run's folder, as glob patterns: files that only grow, or come anew under their
            names. Those that have changed when the run goes on are moved aside, with a warning; not those behind a
            link to a folder elsewhere, which other runs may share.
    """

    files: Sequence[str] = ()

    def loading(self, done: int, of: int) -> None:
        """So many pictures of so many have been looked at, before anything else is known; told now and then."""

    def measuring(self) -> None:
        """How many steps the time allows is about to be measured, for some seconds and a compilation."""

    def start(self, run: RunInfo) -> None:
        """Everything has been checked; training begins after this."""

    def metrics(self, records: Sequence[Record]) -> None:
        """The metrics of the next steps, one dictionary each, as in ``metrics.jsonl``; every step comes once."""

    def sample(self, step: int, state: TrainState, images: Array) -> None:
        """The fixed samples (64, H, W, C) in [-1, 1] have been drawn from the generator's moving average."""

    def checkpoint(self, step: int, state: TrainState) -> None:
        """A checkpoint is about to be written: what belongs to the steps before must be safe when this returns."""

    def finish(self, results: Mapping[str, Any]) -> None:
        """All steps are done; ``results`` is about to be written to ``results.json``."""

    def close(self) -> None:
        """The run is over."""


class OnEachStep(Callback):
    """A plain function as a callback: it gets the metrics of every step, a dictionary each."""

    def __init__(self, function: Callable[[Record], Any]):
        self._function = function

    def metrics(self, records: Sequence[Record]) -> None:
        for record in records:
            self._function(record)


def as_callback(callback: Callback | Callable[[Record], Any]) -> Callback:
    """A callback as it is, a function as one. Raises ValueError for anything else."""
    if isinstance(callback, Callback):
        if isinstance(callback.files, str):
            raise ValueError(
                f'callbacks: files={callback.files!r} of {type(callback).__name__} must be a list of patterns'
            )
        return callback
    if callable(callback):
        return OnEachStep(callback)
    raise ValueError(f'callbacks: {callback!r} is neither a Callback nor a function of a dictionary of metrics')
