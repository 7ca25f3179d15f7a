"""A whole training run in a folder: begun, continued or found done by one call."""

import contextlib
import dataclasses
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wgan_jax.data.images import Images
from wgan_jax.environment import code_of, environment
from wgan_jax.files import WriteError, discard, make_folder, set_aside
from wgan_jax.json_files import write_json
from wgan_jax.ranges import whole
from wgan_jax.text import printable, reason
from wgan_jax.training import budget, processes
from wgan_jax.training.build import hyperparameters_of
from wgan_jax.training.callbacks import Callback, Record, RunInfo, as_callback
from wgan_jax.training.checkpoint import Checkpoint, CheckpointStore, digest_of_arrays, unflatten
from wgan_jax.training.classes import record_of, say_what_is_empty
from wgan_jax.training.contents import list_contents
from wgan_jax.training.continuation import layouts, longest, mend, say_what_is_gone, say_what_moves, steps_of, take_up
from wgan_jax.training.dataset import list_skipped, with_images
from wgan_jax.training.folder import checkpoint_of, identity, locked, read_run
from wgan_jax.training.load import Generator, classes_of
from wgan_jax.training.loop import NotFinite, Schedule, run_loop
from wgan_jax.training.manifest import Manifest
from wgan_jax.training.parallel import Runner
from wgan_jax.training.prepare import built, check_deterministic
from wgan_jax.training.run_files import RunFiles, best_step, final_metrics, pictures_after
from wgan_jax.training.settings import Settings, record
from wgan_jax.training.signals import Interrupted, stop_signals
from wgan_jax.training.state import TrainState
from wgan_jax.training.watch import PATCH, Watch

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
    evaluate_every: int | None = None,
    minutes: float | None = None,
    parallel: str = 'auto',
    num_devices: int | None = None,
    data_path: str = 'auto',
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
        dataset: uint8 images (N, H, W, C), C 1, 3 or 4, whose size is then that of the run; or what ``--dataset``
            names, as 'flags', 'folder:PATH' or a TFDS name; None for what the settings name.
        callbacks: ``Callback``s, or functions that get the metrics of every step as a dictionary.
        checkpoint_every, sample_every, log_every: generator updates between checkpoints, grids of samples, and lines
            of metrics.
        keep_checkpoints: how many of the newest are kept.
        evaluate_every: generator updates between evaluations, None for none: the patch distance of up to 2,048 samples,
            with a checkpoint; the best of these is kept besides the newest ones, and named in ``results.json``.
        minutes: in place of the steps of the settings, and of those over which rates that decay fall, as many as this
            time allows, from this call to its return; measured once and recorded: from then on they are the run's.
        parallel: 'jit' for one device, 'pmap' for all, 'auto' for the second where there are several. Batches that they
            cannot share evenly are refused.
        num_devices: how many must be found to share them; None for whatever there is.
        data_path: 'device' for a dataset that lies where the networks are, 'stream' for one that stays on the host and
            of which each batch is fetched when it is due, 'auto' for the first where there is room; the same bits.
        profile: write a profile of a few steps to ``WORKDIR/profile``.
        should_stop: asked between calls, about every two seconds; True saves and returns.

    Returns:
        The trained generator, as ``load(workdir)`` gives it: ``.sample(key, n)``.

    Raises:
        ValueError: in one line that says what would do, before anything is changed: for what cannot be used, a folder
            in use, a run with other settings, no sound checkpoint.
        NotFinite: when a metric or parameter becomes infinite or NaN; as CopiesDiffer also when its copies on several
            devices are not the same bits; the last good checkpoint stays.
        Lost: when another process of the run is gone, or has failed; the same call continues.
        WriteError: when a file cannot be written; those before are whole, and the same call continues once it can.
        Interrupted: see above; also when the signal came too late to stop anything.
    """
    called = time.monotonic()
    with contextlib.ExitStack() as held:
        group = held.enter_context(processes.together())  # what is refused from here on, all learn
        counts = {'checkpoint_every': checkpoint_every, 'keep_checkpoints': keep_checkpoints,
                  'sample_every': sample_every, 'log_every': log_every}  # fmt: skip
        for name, value in counts.items():
            whole(1).check(name, value)
        if evaluate_every is not None:
            whole(1).check('evaluate_every', evaluate_every)
        if minutes is not None:
            budget.MINUTES.check('minutes', minutes)
            minutes = float(minutes)
        if not isinstance(workdir, (str, os.PathLike)) or not os.fspath(workdir):
            raise ValueError(f'workdir={workdir!r} must be the path of a folder')
        if not callable(should_stop):
            raise ValueError('should_stop must be a function that is asked whether to stop')
        if not isinstance(profile, bool):
            raise ValueError(f'profile={profile!r} must be True or False')
        if not isinstance(callbacks, Sequence):
            raise ValueError('callbacks must be a list')
        listeners = [as_callback(callback) for callback in callbacks]

        def loading(done: int, of: int) -> None:
            for listener in listeners if not group.follows else ():
                listener.loading(done, of)

        settings, images = with_images(settings, dataset, loading)
        check_deterministic(settings)
        if evaluate_every is not None and min(settings.height_width) < PATCH:
            raise ValueError(f'evaluate_every compares patches of {PATCH}x{PATCH} pixels: images must be as large')
        first = settings if minutes is None else budget.to_measure(settings)
        gan, fresh, shapes, runner = built(first, images, parallel, num_devices, data_path)

        def rebuild(changes: Mapping[str, Any]) -> Runner:
            return built(dataclasses.replace(first, **changes), images, parallel, num_devices, data_path)[-1]

        group.agree({
            **_anywhere(settings), 'images': record_of(settings, images), **counts, 'minutes': minutes,
            'evaluate_every': evaluate_every, 'parallel': parallel, 'streamed': runner.streamed,
            **code_of(environment()),
        })  # fmt: skip
        if group.follows:
            with stop_signals() as received:
                step, ema, changes = group.follow(runner, shapes, rebuild, received)
            settings = dataclasses.replace(settings, **changes)
            classes = classes_of({'settings': record(settings), 'dataset': record_of(settings, images)})
            return Generator(gan.networks.generator, ema, settings, step, *classes)
        runner = group.led(runner)
        if gan.noise_steps and minutes is not None:  # a part of the program, and of each process another one
            group.rebuilt({'decay_steps': first.decay_steps})
        workdir = held.enter_context(locked(workdir)).absolute()  # callbacks may go to another folder
        received = held.enter_context(stop_signals())
        watch = Watch(gan, images, settings.seed)
        if minutes is not None:
            known = budget.recorded(workdir, settings, minutes)
            if known is None:
                for listener in listeners:
                    listener.measuring()
                with budget.chores(
                    workdir, settings, gan, watch, sample_every, checkpoint_every, evaluate_every
                ) as chores:
                    known = budget.within(settings, gan, runner, fresh(), minutes, called, chores)
            settings = known
            if gan.noise_steps:  # its program depends on them
                runner.close()
                del runner  # and with it the dataset on the device, which the next one holds
                group.rebuilt({'steps': settings.steps, 'decay_steps': settings.decay_steps})
                gan, fresh, shapes, runner = built(settings, images, parallel, num_devices, data_path)
                runner = group.led(runner)
            runner = runner.of(hyperparameters_of(settings))
        held.callback(runner.close)
        config: dict[str, Any] = {
            'launcher': 'train',
            'settings': record(settings),
            'dataset': record_of(settings, images),
            'run': {
                'parallel': parallel,
                'num_devices': runner.num_devices,
                'num_processes': jax.process_count(),
                'data_path': 'stream' if runner.streamed else 'device',
                **{name: int(value) for name, value in counts.items()},
                'evaluate_every': evaluate_every,
            },
            **environment(),
        }
        store = CheckpointStore(workdir / 'checkpoints', keep_checkpoints)
        store.spare(best_step(workdir, store.steps()))
        manifest = Manifest(workdir, [pattern for listener in listeners for pattern in listener.files])
        missing = manifest.missing()
        before, found = take_up(workdir, config, images, store, manifest)
        config['run']['minutes'] = minutes or _minutes_of(before, found, settings.steps)
        lines_every = config['run']['longest_log_every'] = longest('log_every', before, int(log_every))
        config['run']['longest_checkpoint_every'] = longest('checkpoint_every', before, int(checkpoint_every))
        state, begun_from = _state(fresh, shapes, found, before, settings.init_from, workdir)
        config |= begun_from
        step, results = int(state.step), workdir / 'results.json'
        config['layouts'] = layouts(before, config, step)
        changed = manifest.changed()
        say_what_is_gone(workdir, manifest, missing, before, trained=found is not None)
        if step < settings.steps or changed or before is None or steps_of(results) != step:
            checked = set(manifest.names())
            # In this order: a process that ends in between leaves a run that is not done, and damage that is found.
            if results not in changed:
                discard(results)
            strangers = manifest.strangers()  # before a list that is damaged goes
            mend(workdir, sorted(changed, key=lambda path: path != results))
            for path in strangers:
                set_aside(path, 'it is not known to be of this run, which writes a file of this name', workdir)
            manifest.release(step if found else 0, [*changed, *pictures_after(workdir, step)], metrics_up_to=step)
            write_json(workdir / 'config.json', config)
            manifest.note(workdir / 'config.json')
            list_skipped(workdir, images)
            list_contents(workdir, images)
            say_what_is_empty(settings, images)
            if step:
                say_what_moves(before, config)
            schedule = Schedule(settings.steps, sample_every, checkpoint_every, evaluate_every or 0)
            files = RunFiles(
                workdir, settings, gan.networks.generator, store, identity(config), manifest,
                watch, schedule, listeners,
                step=step, log_every=log_every, lines_every=lines_every, checked=checked,
            )  # fmt: skip
            held.callback(files.close)
            for listener in listeners:
                held.callback(listener.close)
                listener.start(RunInfo(workdir, settings, gan, images, state, runner.num_devices, runner.streamed))
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
                    should_stop=lambda: group.wish_to_stop(received) is not None or should_stop(),
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
                if (best := best_step(workdir, store.steps())) is not None:
                    final['best_step'] = best
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
        if (number := group.wish_to_stop(received)) is not None:
            raise Interrupted(number, int(state.step), done=steps_of(results) == int(state.step))
        step = int(state.step)
        ema = group.shared(step, state.ema, {'steps': settings.steps, 'decay_steps': settings.decay_steps})
        return Generator(gan.networks.generator, ema, settings, step, *classes_of(config))


def _anywhere(settings: Settings) -> dict[str, Any]:
    """Settings that all processes have in common: paths may differ between machines."""
    return {name: value for name, value in record(settings).items() if name not in ('dataset', 'data_dir', 'init_from')}


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


def _minutes_of(before: dict[str, Any] | None, found: Checkpoint | None, steps: int) -> float | None:
    """The time by which as many steps were chosen, by a run's configuration or else its checkpoint; None for none."""
    recorded = before if before is not None or found is None else found.run
    if recorded is None or recorded['settings']['steps'] != steps:
        return None
    return recorded.get('run', recorded).get('minutes')


def _networks_of(workdir: str, shapes: TrainState) -> tuple[dict[str, Any], dict[str, Any]]:
    """The networks of another run, as the fields of a state; and which these are, for the record."""
    try:
        found = checkpoint_of(workdir, read_run(workdir))
    except ValueError as error:
        raise ValueError(f'init_from={printable(workdir)}: {error}') from None
    taken = {name: getattr(shapes, name) for name in ('params', 'network_state', 'ema')}
    source = {'step': found.step, 'sha256': digest_of_arrays(found.arrays)}
    return unflatten(taken, found.arrays, f'init_from={workdir}'), source
