"""A whole training run in a folder: begun, continued or found done by one call."""

import contextlib
import functools
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.data.images import Images
from wgan_jax.data.pictures import grid_bytes
from wgan_jax.environment import environment
from wgan_jax.files import WriteError, discard, make_folder, set_aside
from wgan_jax.json_files import write_json
from wgan_jax.ranges import whole
from wgan_jax.text import printable, reason
from wgan_jax.training import budget
from wgan_jax.training.build import build_gan
from wgan_jax.training.callbacks import Callback, Record, RunInfo, as_callback
from wgan_jax.training.checkpoint import Checkpoint, CheckpointStore, digest_of_arrays, unflatten
from wgan_jax.training.continuation import longest, mend, say_what_is_gone, steps_of, take_up
from wgan_jax.training.cost import require_memory
from wgan_jax.training.dataset import list_skipped, with_images
from wgan_jax.training.folder import checkpoint_of, identity, locked, read_run
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.load import Generator
from wgan_jax.training.loop import NotFinite, Schedule, run_loop
from wgan_jax.training.manifest import Manifest
from wgan_jax.training.parallel import AXIS, Runner, make_runner
from wgan_jax.training.parts import KINDS
from wgan_jax.training.run_files import NUM_SAMPLES, RunFiles, final_metrics, pictures_after
from wgan_jax.training.settings import Settings, record
from wgan_jax.training.signals import Interrupted, stop_signals
from wgan_jax.training.state import TrainState, init_state
from wgan_jax.training.step import train_step
from wgan_jax.training.watch import Watch, watch_bytes

logger = logging.getLogger(__name__)


def train(
    settings: str | Settings,
    workdir: str | os.PathLike,
    *,
    dataset: str | np.ndarray | Images | None = None,
    callbacks: Sequence[Callback | Callable[[Record], Any]] = (),
    checkpoint_every: int = 500,
    keep_checkpoints: int = 3,
    sample_every: int = 100,
    log_every: int = 10,
    minutes: float | None = None,
    parallel: str = 'auto',
    num_devices: int | None = None,
    profile: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Generator:
    """Trains a GAN in a folder: begins a run, continues one that was stopped, or finds it done.

    The folder gets ``config.json``, ``metrics.jsonl``, ``samples/``, ``checkpoints/`` and, once all steps are done,
    ``results.json``. A run that is stopped anywhere, by kill -9 too, and called again with the same arguments ends in
    the same bits on the same devices. Ctrl-C, SIGTERM and SIGHUP are waited for: the call in progress ends, a
    checkpoint is saved, then ``Interrupted`` is raised; a second one does not wait.

    Args:
        settings: a preset's name, or settings such as ``wgan_jax.settings`` makes.
        workdir: made when missing; a relative one is meant from the current folder.
        dataset: uint8 images (N, H, W, C), C 1 or 3, whose size is then that of the run; or what ``--dataset`` names,
            as 'flags', 'folder:PATH' or a TFDS name; None for what the settings name.
        callbacks: ``Callback``s, or functions that get the metrics of every step as a dictionary.
        checkpoint_every, sample_every, log_every: generator updates between checkpoints, grids of samples, and lines
            of metrics.
        keep_checkpoints: how many of the newest are kept.
        minutes: in place of the steps of the settings, and of those over which rates that decay fall, as many as this
            time allows, from this call to its return; measured once and recorded: from then on they are the run's.
        parallel: 'jit' for one device, 'pmap' for all, 'auto' for as many as share the batches evenly.
        num_devices: how many must be found to share them; None for whatever there is.
        profile: write a profile of a few steps to ``WORKDIR/profile``.
        should_stop: asked between calls, about every two seconds; True saves and returns.

    Returns:
        The trained generator, as ``load(workdir)`` gives it: ``.sample(key, n)``.

    Raises:
        ValueError: in one line that says what would do, before anything is changed: for what cannot be used, a folder
            in use, a run with other settings, no sound checkpoint.
        NotFinite: when a metric or parameter becomes infinite or NaN; the last good checkpoint stays.
        WriteError: when a file cannot be written; those before are whole, and the same call continues once it can.
        Interrupted: see above; also when the signal came too late to stop anything.
    """
    called = time.monotonic()
    counts = {'checkpoint_every': checkpoint_every, 'keep_checkpoints': keep_checkpoints,
              'sample_every': sample_every, 'log_every': log_every}  # fmt: skip
    for name, value in counts.items():
        whole(1).check(name, value)
    if minutes is not None:
        budget.MINUTES.check('minutes', minutes)
        minutes = float(minutes)
    if not isinstance(workdir, (str, os.PathLike)) or not os.fspath(workdir):
        raise ValueError(f'workdir={workdir!r} must be the path of a folder')
    if not isinstance(callbacks, Sequence):
        raise ValueError('callbacks must be a list')
    listeners = [as_callback(callback) for callback in callbacks]

    def loading(done: int, of: int) -> None:
        for listener in listeners:
            listener.loading(done, of)

    settings, images = with_images(settings, dataset, loading)
    _check_deterministic(settings)
    num_images = len(images.pixels) + (0 if images.held_out is None else len(images.held_out))
    first = settings if minutes is None else budget.to_measure(settings)
    gan, fresh, shapes, runner = _built(first, images.pixels, parallel, num_devices)
    with contextlib.ExitStack() as held:
        workdir = held.enter_context(locked(workdir)).absolute()  # callbacks may go to another folder
        received = held.enter_context(stop_signals())
        if minutes is not None:
            known = budget.recorded(workdir, settings, minutes)
            if known is None:
                for listener in listeners:
                    listener.measuring()
                known = budget.within(settings, gan, runner, fresh(), minutes, called)
            settings = known
            del runner  # and with it the dataset on the device, which the next one holds
            gan, fresh, shapes, runner = _built(settings, images.pixels, parallel, num_devices)
        config = {
            'launcher': 'train',
            'settings': record(settings),
            'dataset': {'shape': [num_images, *images.pixels.shape[1:]], 'fingerprint': images.fingerprint},
            'run': {'parallel': parallel, **{name: int(value) for name, value in counts.items()}},
            **environment(),
        }
        store = CheckpointStore(workdir / 'checkpoints', keep_checkpoints)
        manifest = Manifest(workdir, [pattern for listener in listeners for pattern in listener.files])
        missing = manifest.missing()
        before, found = take_up(workdir, config, store, manifest)
        config['run']['minutes'] = minutes or _minutes_of(before, found)
        lines_every = config['run']['longest_log_every'] = longest('log_every', before, int(log_every))
        config['run']['longest_checkpoint_every'] = longest('checkpoint_every', before, int(checkpoint_every))
        state, begun_from = _state(fresh, shapes, found, before, settings.init_from, workdir)
        config |= begun_from
        step, results = int(state.step), workdir / 'results.json'
        changed = manifest.changed()
        say_what_is_gone(workdir, manifest, missing, before, trained=found is not None)
        if step < settings.steps or changed or before is None or steps_of(results) != step:
            checked = set(manifest.names())
            # In this order: a process that ends in between leaves a run that is not done, and damage that is found.
            if results not in changed:
                discard(results)
            mend(workdir, sorted(changed, key=lambda path: path != results))
            for path in manifest.strangers():
                set_aside(path, 'it is not of this run, which writes a file of this name', workdir)
            manifest.release(step if found else 0, [*changed, *pictures_after(workdir, step)], metrics_up_to=step)
            write_json(workdir / 'config.json', config)
            manifest.note(workdir / 'config.json')
            list_skipped(workdir, images)
            schedule = Schedule(settings.steps, sample_every, checkpoint_every)
            files = RunFiles(
                workdir, settings, gan.networks.generator, store, identity(config), manifest,
                Watch(gan, images, settings.seed), schedule, listeners,
                step=step, log_every=log_every, lines_every=lines_every, checked=checked,
            )  # fmt: skip
            held.callback(files.close)
            for listener in listeners:
                held.callback(listener.close)
                listener.start(RunInfo(workdir, settings, gan, images, state, runner.num_devices))
            manifest.update(step if found else 0)
            began = time.monotonic()
            profiler = _Profiler(workdir / 'profile') if profile else None
            try:
                done = run_loop(
                    gan,
                    runner,
                    state,
                    schedule,
                    files,
                    should_stop=lambda: bool(received) or should_stop(),
                    tracer=profiler,
                )
            except NotFinite as error:
                files.write_unseen()
                kept = store.steps()
                left = f'checkpoint {kept[-1]} is kept' if kept else 'there is no checkpoint yet'
                raise NotFinite(f'{error}; {left}') from None
            if profiler is not None and not profiler.was_used:
                logger.warning('there is no profile: the first call, which is mostly compilation, was the only one')
            state = state if files.saved is None else files.saved
            if done:
                files.check()
                final = {
                    'steps': max(step, settings.steps),
                    'seconds_of_last_process': round(time.monotonic() - began, 1),
                    'final': final_metrics(workdir),
                }
                manifest.release(int(state.step))
                files.keep_sample(int(state.step), state)
                for listener in listeners:
                    listener.finish(final)
                files.check()
                files.keep_sample(int(state.step), state)
                write_json(results, final)
                manifest.update(int(state.step))
        elif missing or 'results.json' not in manifest.names():  # as of a process that ended just before
            manifest.update(step)
        if received:
            raise Interrupted(received[0], done=steps_of(results) == int(state.step))
        return Generator(gan.networks.generator, jax.tree.map(jnp.asarray, state.ema), settings, int(state.step))


def _built(
    settings: Settings, pixels: np.ndarray, parallel: str, num_devices: int | None
) -> tuple[GAN, Callable[[], TrainState], TrainState, Runner]:
    """What trains with these settings: the GAN, what makes its first state, the shapes of that, and the runner."""
    gan, hyperparameters = build_gan(settings, pixels.shape[-1])
    fresh = functools.partial(init_state, gan, hyperparameters, settings.seed)
    shapes = jax.eval_shape(fresh)
    what = f'training with image_size={settings.image_size}, batch_size={settings.batch_size}, width={settings.width}'
    shown = max(grid_bytes(NUM_SAMPLES, *settings.height_width), watch_bytes(*settings.height_width))
    devices = 1 if parallel == 'jit' else jax.local_device_count()
    require_memory(gan, hyperparameters, what, state=shapes, beside=shown, devices=devices)
    runner = make_runner(gan, hyperparameters, pixels, mode=parallel)
    if num_devices is not None:
        whole(1).check('num_devices', num_devices)
    if num_devices is not None and runner.num_devices < num_devices:
        own = settings.generator_batch_size
        sizes = f'batch_size={settings.batch_size}' + (f' and generator_batch_size={own}' if own else '')
        raise ValueError(f'{num_devices} devices cannot share {sizes} evenly; {runner.num_devices} can')
    if any(not isinstance(getattr(settings, kind), str) for kind in KINDS):
        _try_parts(gan, hyperparameters, shapes, pixels, runner.num_devices)
    return gan, fresh, shapes, runner


class _Profiler:
    """Writes a profile of a block into a folder. Raises WriteError, in place of what XLA raises of files."""

    def __init__(self, folder: Path):
        self._folder = folder
        self.was_used = False

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        self.was_used = True
        make_folder(self._folder)
        if os.path.lexists(self._folder / 'plugins'):
            make_folder(self._folder / 'plugins')
        try:
            with jax.profiler.trace(str(self._folder)):
                yield
        except RuntimeError as error:
            if str(self._folder) not in str(error):
                raise
            raise WriteError(self._folder, reason(error).rpartition('; ')[2]) from error


def _try_parts(
    gan: GAN, hyperparameters: Hyperparameters, state: TrainState, pixels: np.ndarray, num_devices: int
) -> None:
    """Traces one step with parts of one's own, before anything is written. Raises ValueError with what they raise."""

    def step(state: TrainState, axis_name: str | None) -> Any:
        return train_step(gan, hyperparameters, state, pixels, axis_name=axis_name)

    try:
        if num_devices == 1:
            jax.eval_shape(functools.partial(step, axis_name=None), state)
        else:
            each = jax.vmap(lambda state: step(state, AXIS), None, axis_name=AXIS, axis_size=num_devices)
            jax.eval_shape(each, state)
    except Exception as error:
        raise ValueError(
            f"a step with these parts of one's own fails: {type(error).__name__}: {reason(error)}"
        ) from error


def _check_deterministic(settings: Settings) -> None:
    if not settings.deterministic:
        return
    backend = jax.default_backend()
    if backend != 'gpu':
        raise ValueError(f'deterministic has no effect on {backend}, which repeats itself anyway')
    if 'xla_gpu_deterministic_ops=true' not in os.environ.get('XLA_FLAGS', ''):
        raise ValueError('deterministic needs XLA_FLAGS=--xla_gpu_deterministic_ops=true before JAX is first used')


def _state(
    fresh: Callable[[], TrainState],
    shapes: TrainState,
    found: Checkpoint | None,
    before: dict[str, Any] | None,
    init_from: str | None,
    workdir: Path,
) -> tuple[TrainState, dict[str, Any]]:
    """What a run goes on from, as NumPy arrays; and for the record, with which networks of another run it began."""
    recorded = {name: value for name, value in (before or {}).items() if name == 'begun_from'}
    if found is not None:
        return unflatten(shapes, found.arrays, f'checkpoint {found.step}'), recorded
    if init_from is None:
        return jax.tree.map(np.asarray, fresh()), {}
    networks, source = _networks_of(init_from, shapes)
    if recorded.get('begun_from', source) != source:
        logger.warning(f'{init_from} has changed since {workdir} was begun: it is begun anew')
    return jax.tree.map(np.asarray, fresh()._replace(**networks)), {'begun_from': source}


def _minutes_of(before: dict[str, Any] | None, found: Checkpoint | None) -> float | None:
    """The time by which the steps of a run were chosen, by its configuration or else its checkpoint; None for none."""
    if before is not None:
        return before['run'].get('minutes')
    return None if found is None or found.run is None else found.run.get('minutes')


def _networks_of(workdir: str, shapes: TrainState) -> tuple[dict[str, Any], dict[str, Any]]:
    """The networks of another run, as the fields of a state; and which these are, for the record."""
    try:
        found = checkpoint_of(workdir, read_run(workdir))
    except ValueError as error:
        raise ValueError(f'init_from={printable(workdir)}: {error}') from None
    taken = {name: getattr(shapes, name) for name in ('params', 'network_state', 'ema')}
    source = {'step': found.step, 'sha256': digest_of_arrays(found.arrays)}
    return unflatten(taken, found.arrays, f'init_from={workdir}'), source
