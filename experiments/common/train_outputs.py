"""What a training run writes: metrics, events, sample grids, checkpoints, and at the end its figures."""

import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from experiments.common import pictures
from experiments.common.lipschitz_log import LipschitzLog
from wgan_jax.files import atomic_path
from wgan_jax.training.checkpoint import CheckpointStore
from wgan_jax.training.load import Generator, sample_images
from wgan_jax.training.loop import Block
from wgan_jax.training.records import MetricsLog, open_tensorboard, read_metrics
from wgan_jax.training.settings import Settings
from wgan_jax.training.state import TrainState
from wgan_jax.types import Network

NUM_SAMPLES = 64
SECONDS_BETWEEN_LINES = 30.0  # of progress, where there is no terminal to draw a bar on


class RunOutputs:
    """Listens to the loop and writes what it hears into the run's folder; shows progress on the terminal.

    Args:
        workdir: of the run.
        settings: of the run.
        network: the generator.
        store: where checkpoints go.
        step: that the run continues from.
        log_every: period of metrics, in steps.
        lipschitz: what measures the critic with every grid of samples; None for nothing.
    """

    def __init__(
        self, workdir: Path, settings: Settings, network: Network, store: CheckpointStore, step: int, log_every: int,
        lipschitz: LipschitzLog | None = None,
    ):  # fmt: skip
        self._workdir, self._settings, self._network, self._store = workdir, settings, network, store
        self._log_every, self._lipschitz = log_every, lipschitz
        self._wasserstein = settings.objective == 'wasserstein'
        self._log = MetricsLog(workdir / 'metrics.jsonl', step)
        self._events = open_tensorboard(workdir / 'tensorboard', step)
        self._interactive = sys.stderr.isatty()
        self._spoke = time.monotonic()
        self._bar = tqdm(
            total=settings.steps, initial=step, unit='step', dynamic_ncols=True, disable=not self._interactive
        )
        self._bar.set_description('compiling')
        self._compiled = False

    def block(self, block: Block) -> None:
        """Metrics of some steps: to the progress bar, and every ``log_every``-th to the files."""
        for record in block.records():
            if not self._wasserstein:
                record['wasserstein'] = None
            if record['step'] % self._log_every == 0:
                self._log.append([record])
                for name in record.keys() - {'step', 'seconds'}:
                    if record[name] is not None:
                        self._events.add_scalar(name, record[name], record['step'])
        name = 'wasserstein' if self._wasserstein else 'critic_loss'
        self._bar.set_description('training')
        self._bar.set_postfix_str(f'{name} {record[name]:.3f}', refresh=False)
        self._bar.update(len(block.rows))
        if not self._compiled:  # the time left is reckoned from here: the first step was mostly compilation
            self._compiled, self._bar.initial, self._bar.start_t = True, self._bar.n, time.time()
        if not self._interactive and time.monotonic() - self._spoke > SECONDS_BETWEEN_LINES:
            self._spoke = time.monotonic()
            print(f'step {record["step"]} of {self._settings.steps}, {name} {record[name]:.3f}', file=sys.stderr)

    def sample(self, step: int, state: TrainState) -> None:
        """A grid of the fixed samples, from the generator's moving average."""
        images = sample_images(
            Generator(self._network, state.ema, self._settings, step), self._settings.seed, NUM_SAMPLES
        )
        picture = pictures.grid(images)
        folder = self._workdir / 'samples'
        folder.mkdir(exist_ok=True)
        pictures.save_png(folder / f'step_{step:08d}.png', picture)
        self._events.add_image('samples', picture, step, dataformats='HWC')
        if self._lipschitz is not None:
            for name, value in self._lipschitz.append(step, state, images).items():
                if name != 'step' and value is not None:
                    self._events.add_scalar(name, value, step)

    def checkpoint(self, step: int, state: TrainState) -> None:
        """A checkpoint, after everything before it is on the disk."""
        self._log.sync()
        if self._lipschitz is not None:
            self._lipschitz.sync()
        self._events.flush()
        self._store.wait()  # for the one before, whose failure must not pass unseen
        if step not in self._store.steps():
            self._store.save(step, state)

    def close(self) -> None:
        """Waits until all is written."""
        self._bar.close()
        self._store.close()
        self._log.close()
        if self._lipschitz is not None:
            self._lipschitz.close()
        self._events.close()


def write_figures(workdir: Path) -> dict[str, float | int | None]:
    """The run's curves, their arrays, and the animation of its samples.

    Args:
        workdir: of a run with metrics and samples.

    Returns:
        The metrics, averaged over the last tenth of the lines: the numbers at the end of the curves.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    rows = read_metrics(workdir / 'metrics.jsonl')
    names = [name for name in rows[0] if name not in ('step', 'seconds') and rows[0][name] is not None] if rows else []
    curves = {name: np.array([row[name] for row in rows]) for name in ('step', *names)}
    with atomic_path(workdir / 'curves.npz') as temporary:
        np.savez(temporary, **curves)
    if rows:
        shown = [name for name in names if name not in ('penalty', 'images_per_second')]
        figure, axes = plt.subplots(len(shown), 1, figsize=(8, 2 * len(shown)), sharex=True, layout='constrained')
        window = max(1, len(rows) // 50)
        for axis, name in zip(axes, shown, strict=True):
            axis.plot(curves['step'], curves[name], color='C0', alpha=0.3, linewidth=0.8, label='each logged step')
            smooth = np.convolve(curves[name], np.ones(window) / window, 'valid')
            axis.plot(curves['step'][window - 1 :], smooth, color='C0', label=f'mean of the last {window} logged')
            axis.set_ylabel(name.replace('_', ' '))
            axis.grid(alpha=0.3)
        axes[0].legend(loc='best', fontsize='small')
        axes[0].set_title(f'Training of {workdir.name}: losses and gradients over generator updates')
        axes[-1].set_xlabel('generator updates')
        with atomic_path(workdir / 'curves.png') as temporary:
            figure.savefig(temporary, dpi=100)
        plt.close(figure)
    frames = sorted((workdir / 'samples').glob('step_*.png'))
    pictures.gif_of_files(workdir / 'training.gif', frames)
    last = max(1, len(rows) // 10)
    return {name: float(curves[name][-last:].mean()) for name in names}
