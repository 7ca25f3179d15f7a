"""What the train launcher adds to a run: progress on the terminal, TensorBoard events, figures at the end."""

import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from wgan_jax.files import WriteError, atomic_path, make_folder, writing
from wgan_jax.training.callbacks import Callback, Record, RunInfo
from wgan_jax.training.draws import first_images
from wgan_jax.training.records import common_names, read_metrics
from wgan_jax.training.run_files import NUM_SAMPLES
from wgan_jax.training.state import TrainState
from wgan_jax.training.watch import Looks

from ..common import launcher, pictures
from ..common.reading import SECONDS_BETWEEN_LINES, Reading

logger = logging.getLogger('wgan_jax.train')

FEW = 100  # images, of which samples are copies whatever the critic says


class Progress(Callback):
    """Says what is trained, then how far it is: a bar on a terminal, else a line now and then.

    Attributes:
        started: whether training has begun.
    """

    def __init__(self):
        self.started = False
        self.loading = Reading()
        self._interactive = sys.stderr.isatty()

    def measuring(self) -> None:
        print('Measuring how many steps the time allows ...', file=sys.stderr, flush=True)

    def start(self, run: RunInfo) -> None:
        self.started = True
        launcher.warn_of_repeated_flags()
        settings, step = run.settings, int(run.state.step)
        total = sum(x.size for x in jax.tree.leaves(run.state.params))
        num_held_out = 0 if run.images.held_out is None else len(run.images.held_out)
        held_out = f', {num_held_out} more held out' if num_held_out else ''
        print(
            f'{len(run.images.pixels)} images of {settings.image_size}x{run.images.pixels.shape[-1]} '
            f'({settings.dataset}{held_out}{", streamed" if run.streamed else ""}), {total:,} parameters, '
            f'{run.num_devices} x {jax.devices()[0].device_kind}: '
            + (f'step {step} to {settings.steps}' if step else f'{settings.steps} steps'),
            flush=True,
        )
        if run.images.notes:
            print(f'Of its files: {"; ".join(run.images.notes)}', flush=True)
        if len(run.images.pixels) < FEW:
            logger.warning(
                f'{len(run.images.pixels)} images are few: a generator learns so many by heart; several hundred show '
                'whether it has learnt more'
            )
        if 0 < settings.decay_steps < settings.steps and not settings.final_lr:
            logger.warning(
                f'after step {settings.decay_steps} learning rates are 0; --decay_steps={settings.steps} spreads them'
            )
        self._name = 'wasserstein' if settings.objective == 'wasserstein' else 'critic_loss'
        self._steps, self._spoke, self._compiled = settings.steps, time.monotonic(), False
        self._bar = tqdm(
            total=settings.steps, initial=step, unit='step', dynamic_ncols=True, disable=not self._interactive
        )
        self._bar.set_description('compiling')

    def metrics(self, records: Sequence[Record]) -> None:
        last = records[-1]
        self._bar.set_description('training')
        self._bar.set_postfix_str(f'{self._name} {last[self._name]:.3f}', refresh=False)
        self._bar.update(len(records))
        if not self._compiled:  # the time left is reckoned from here: the first step was mostly compilation
            self._compiled, self._bar.initial, self._bar.start_t = True, self._bar.n, time.time()
        if not self._interactive and time.monotonic() - self._spoke > SECONDS_BETWEEN_LINES:
            self._spoke = time.monotonic()
            print(f'step {last["step"]} of {self._steps}, {self._name} {last[self._name]:.3f}', file=sys.stderr)

    def close(self) -> None:
        if self.started:
            self._bar.close()


class Events(Callback):
    """TensorBoard events: the metrics that the run logs, and every grid of samples.

    Each is written when it comes. tensorboardX's own writer hands them to a thread through a queue, which blocks the
    exit of the process once the thread has died of a full disk.
    """

    files = ('tensorboard/events.out.tfevents.*',)

    def __init__(self, log_every: int):
        self._log_every, self._writer = log_every, None

    def start(self, run: RunInfo) -> None:
        from tensorboardX.event_file_writer import EventsWriter  # slow to import
        from tensorboardX.proto.event_pb2 import SessionLog

        self._folder = make_folder(run.workdir / 'tensorboard')
        with writing(self._folder):
            self._writer = EventsWriter(str(self._folder / 'events'), f'.{os.getpid()}')
        # Events past the step that the run continues from are hidden.
        self._write(int(run.state.step) + 1, session_log=SessionLog(status=SessionLog.START))

    def metrics(self, records: Sequence[Record]) -> None:
        for record in records:
            if record['step'] % self._log_every == 0 or any(record[name] is not None for name in Looks._fields):
                self.scalars(record)

    def scalars(self, record: Mapping[str, Any]) -> None:
        """The numbers of a dictionary with a 'step'."""
        from tensorboardX import summary

        for name, value in record.items():
            if name not in ('step', 'seconds') and value is not None:
                self._write(record['step'], summary=summary.scalar(name, value))

    def sample(self, step: int, state: TrainState, images: jax.Array) -> None:
        from tensorboardX import summary

        self._write(step, summary=summary.image('samples', pictures.on_white(pictures.grid(images)), dataformats='HWC'))

    def _write(self, step: int, **content: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        with writing(self._folder):
            self._writer.write_event(Event(step=step, wall_time=time.time(), **content))

    def checkpoint(self, step: int, state: TrainState) -> None:
        with writing(self._folder):
            self._writer.flush()
            if not os.path.exists(self._writer._file_name):
                raise WriteError(self._folder, 'the events that the run wrote were moved or removed')

    def close(self) -> None:
        if self._writer is not None:
            with writing(self._folder):
                self._writer.close()


class Figures(Callback):
    """At first what the critic sees of the data; at the end the run's curves, their arrays, an animation of samples."""

    files = ('real.png', 'curves.png', 'curves.npz', 'training.gif')

    def start(self, run: RunInfo) -> None:
        self._workdir, settings = run.workdir, run.settings
        real = first_images(
            run.images.pixels, run.gan.augmentation.real, settings.seed, NUM_SAMPLES, batch_size=settings.batch_size
        )
        pictures.save_png(run.workdir / 'real.png', pictures.grid(np.asarray(real)))

    def finish(self, results: Mapping[str, Any]) -> None:
        write_figures(self._workdir)


_LABELS = {
    'duplicates': 'share of\nnear-duplicates',
    'diversity': 'diversity over\nthat of the data',
    'patch_distance': 'patch distance',
    'w1': 'w1: exact W1 to\nas many real images',
    'evaluation': 'patch distance of\nmany samples',
    'gap': 'gap: score of real\nless that of samples',
}
_BESIDE = {  # in one panel: which is drawn with it, and what the two are called
    'gap': ('held_out_gap', 'of images trained on', 'of images held out'),
    'w1': ('w1_of_data', 'of the samples', 'of two halves of those images'),
}
_CAPTION = {  # what a curve asks for to be said
    'step': 'Each metric is of one step: the mean over its critic updates. What matters is that the curves stay '
    'bounded and settle.',
    'wasserstein': 'A Wasserstein estimate is a distance only as far as the critic is near its best.',
    'duplicates': 'Of the samples, near-duplicates should be few, and the diversity near 1, that of the data.',
    'patch_distance': 'The distance of their patches from those of the data should fall.',
    'held_out_gap': 'A critic that scores images held out much lower than those it was trained on has learnt these by '
    'heart.',
    'w1': 'The exact W1, of images as points, is where the score of real images less that of samples can get to with a '
    'critic whose slope is at most 1. It does not tell how good samples are: flat and collapsed ones may have less '
    'than halves of the data.',
}


def write_figures(workdir: Path) -> None:
    """``curves.png``, ``curves.npz`` and ``training.gif`` of a run with metrics and samples."""
    from matplotlib import pyplot as plt  # slow to import, and wanted at the end only

    from ..common.figures import save

    rows = read_metrics(workdir / 'metrics.jsonl')
    names = [name for name in common_names(rows) if name not in ('step', 'seconds', *Looks._fields)]
    curves = {name: np.array([row[name] for row in rows]) for name in ('step', *names)}
    looks = {name: np.array([row.get(name) for row in rows], float) for name in Looks._fields}  # NaN where none is
    looks = {name: values for name, values in looks.items() if np.isfinite(values).any()}
    with atomic_path(workdir / 'curves.npz') as temporary:
        np.savez(temporary, **curves, **looks)
    drawn = {'step', *names, *looks}
    beside = {name: looks.pop(_BESIDE[name][0], None) for name in _BESIDE}
    if rows:
        shown = [name for name in names if name not in ('penalty', 'images_per_second')]
        panels = len(shown) + len(looks)
        figure, axes = plt.subplots(panels, 1, figsize=(8, 2 * panels), sharex=True, layout='constrained')
        window = max(1, len(rows) // 50)
        # What samples are like comes first, and there the distance, which the critic only estimates.
        for axis, (name, values) in zip(axes, sorted(looks.items(), key=lambda look: look[0] != 'w1'), strict=False):
            seen = np.isfinite(values)
            _, own, others = _BESIDE.get(name, ('', '', ''))
            axis.plot(curves['step'][seen], values[seen], 'o-', color='C1', markersize=3, label=own)
            if (other := beside.get(name)) is not None:
                axis.plot(curves['step'][seen], other[seen], 'o--', color='C2', markersize=3, label=others)
                axis.legend(loc='best', fontsize='small')
            least, most = min(0, *axis.dataLim.intervaly), max(0, *axis.dataLim.intervaly)
            axis.set_ylim(least, most + 0.1 * (most - least) or 1)
            axis.set_ylabel(_LABELS[name])
            axis.grid(alpha=0.3)
        for axis, name in zip(axes[len(looks) :], shown, strict=True):
            pale = 0.3 if window > 1 else 1.0
            axis.plot(curves['step'], curves[name], color='C0', alpha=pale, linewidth=0.8, label='each logged step')
            if window > 1:
                smooth = np.convolve(curves[name], np.ones(window) / window, 'valid')
                axis.plot(curves['step'][window - 1 :], smooth, color='C0', label=f'mean of the last {window} logged')
            axis.set_ylabel(name.replace('_', ' '))
            axis.grid(alpha=0.3)
        axes[len(looks)].legend(loc='best', fontsize='small')
        axes[0].set_title(f'Training of {workdir.name}: samples, losses and gradients over generator updates')
        axes[-1].set_xlabel('generator updates')
        caption = ' '.join(text for name, text in _CAPTION.items() if name in drawn)
        save(figure, workdir / 'curves.png', caption)
    frames = []  # somebody may have taken some away, or put something else there
    for path in sorted((workdir / 'samples').glob('step_*.png')):
        if (why := pictures.damage(path)) is None:
            frames.append(path)
        else:
            logger.warning(f'{path} {why}; left out of training.gif')
    if frames:
        pictures.gif_of_files(workdir / 'training.gif', frames)
