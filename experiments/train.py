"""Train a GAN: by default a Wasserstein GAN on the world's flags, sized for a laptop.

A flag that is left out has the value of the preset; the run's config.json shows them all.

The same command again continues a run that was stopped, and does nothing when it is done.
"""

import contextlib
import dataclasses
import functools
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from experiments.common import launcher, train_flags  # before JAX: the launcher prepares its environment

import jax  # isort: skip

from experiments.common.lipschitz_log import LipschitzLog
from experiments.common.train_outputs import RunOutputs, write_figures
from wgan_jax import data
from wgan_jax.data.images import Images
from wgan_jax.files import read_json, write_json
from wgan_jax.training.build import build_gan
from wgan_jax.training.checkpoint import CheckpointStore, unflatten
from wgan_jax.training.gan import GAN
from wgan_jax.training.loop import NotFinite, Schedule, train
from wgan_jax.training.parallel import Runner, make_runner
from wgan_jax.training.run import differences, locked, read_run
from wgan_jax.training.settings import Settings
from wgan_jax.training.state import TrainState, init_state
from wgan_jax.types import Variables

logger = logging.getLogger('wgan_jax.train')


def main() -> int:
    """Reads the flags, trains, and returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            settings = train_flags.settings_from_flags(launcher.seed())
            _choose_devices(settings)
            images = data.load(settings.dataset, *settings.height_width, data_dir=settings.data_dir)
            gan, hyperparameters = build_gan(settings, images.pixels.shape[-1])
            runner = make_runner(gan, hyperparameters, images.pixels, mode=train_flags.PARALLEL.value)
            if runner.num_devices < (train_flags.DEVICES.value or 1):
                own = settings.generator_batch_size
                sizes = f'batch_size={settings.batch_size}' + (f' and generator_batch_size={own}' if own else '')
                raise ValueError(
                    f'--devices={train_flags.DEVICES.value} cannot share {sizes} evenly; '
                    f'{runner.num_devices} devices can'
                )
            fresh = functools.partial(init_state, gan, hyperparameters, settings.seed)
            source = None if settings.init_from is None else _source(settings.init_from, jax.eval_shape(fresh))
            workdir = held.enter_context(locked(launcher.WORKDIR.value or f'runs/{train_flags.PRESET.value}'))
            config = _config(settings, images)
            _check_continuation(workdir, config)
            store = CheckpointStore(workdir / 'checkpoints', train_flags.KEEP_CHECKPOINTS.value)
            found = store.read_newest()
            if found is not None:
                state = unflatten(jax.eval_shape(fresh), found[1], f'checkpoint {found[0]}')
            else:
                state = fresh() if source is None else fresh()._replace(**source)
        step = int(state.step)
        results = workdir / 'results.json'
        if step >= settings.steps and results.exists() and read_json(results)['steps'] == step:
            print(f'{workdir}: done already, {step} steps; a larger --steps goes on from there')
            return 0
        write_json(workdir / 'config.json', config)
        results.unlink(missing_ok=True)  # of a shorter run
        total = sum(x.size for x in jax.tree.leaves(state.params))
        print(
            f'{len(images.pixels)} images of {settings.image_size}x{images.pixels.shape[-1]} ({settings.dataset}), '
            f'{total:,} parameters, {runner.num_devices} x {jax.devices()[0].device_kind}: '
            + (f'step {step} to {settings.steps}' if step else f'{settings.steps} steps'),
            flush=True,
        )
        if 0 < settings.decay_steps < settings.steps:
            logger.warning(
                f'after step {settings.decay_steps} learning rates are 0; --decay_steps={settings.steps} spreads them'
            )
        lipschitz = None
        if train_flags.LOG_LIPSCHITZ.value:
            critic = Variables(state.params.critic, state.network_state.critic)
            lipschitz = LipschitzLog(workdir, gan.networks.critic, critic, images.pixels, step)
        return _run(gan, runner, state, settings, store, workdir, lipschitz)


def _choose_devices(settings: Settings) -> None:
    """Acts on what must be known before JAX looks for devices. Raises ValueError for what cannot be."""
    if settings.deterministic:
        os.environ['XLA_FLAGS'] = os.environ.get('XLA_FLAGS', '') + ' --xla_gpu_deterministic_ops=true'
    devices = train_flags.DEVICES.value
    if devices is not None:
        jax.config.update('jax_num_cpu_devices', devices)
        if jax.default_backend() != 'cpu':
            raise ValueError('--devices makes virtual CPU devices: set WGAN_JAX_BACKEND=cpu, or leave it out')
        if devices > 1 and train_flags.PARALLEL.value == 'jit':
            raise ValueError(f'--devices={devices} has no effect with --parallel=jit: use --parallel=pmap')
    if settings.deterministic and jax.default_backend() != 'gpu':
        raise ValueError(f'--deterministic has no effect on {jax.default_backend()}, which repeats itself anyway')


def _config(settings: Settings, images: Images) -> dict[str, Any]:
    run_flags = (
        train_flags.PRESET, train_flags.PARALLEL, train_flags.DEVICES, train_flags.CHECKPOINT_EVERY,
        train_flags.KEEP_CHECKPOINTS, train_flags.SAMPLE_EVERY, train_flags.LOG_EVERY,
    )  # fmt: skip
    return {
        'launcher': 'train',
        'settings': dataclasses.asdict(settings),
        'dataset': {'shape': list(images.pixels.shape), 'fingerprint': images.fingerprint},
        'run': {flag.name: flag.value for flag in run_flags},
        **launcher.environment(),
    }


def _check_continuation(workdir: Path, config: dict[str, Any]) -> None:
    if not (workdir / 'config.json').exists():
        return
    changed = differences(read_run(workdir), config)
    if changed:
        raise ValueError(
            f'--workdir={workdir} holds a run with other settings ({"; ".join(changed)}): '
            'choose another folder, or give the same settings to continue it'
        )


def _source(workdir: str, shapes: TrainState) -> dict[str, Any]:
    """The networks of another run, as the fields of a state."""
    read_run(workdir)
    found = CheckpointStore(Path(workdir) / 'checkpoints').read_newest()
    if found is None:
        raise ValueError(f'init_from={workdir} has no checkpoint to begin from')
    taken = {name: getattr(shapes, name) for name in ('params', 'network_state', 'ema')}
    return unflatten(taken, found[1], f'init_from={workdir}')


def _run(
    gan: GAN, runner: Runner, state: TrainState, settings: Settings, store: CheckpointStore, workdir: Path,
    lipschitz: LipschitzLog | None,
) -> int:  # fmt: skip
    schedule = Schedule(settings.steps, train_flags.SAMPLE_EVERY.value, train_flags.CHECKPOINT_EVERY.value)
    outputs = RunOutputs(
        workdir, settings, gan.networks.generator, store, int(state.step), train_flags.LOG_EVERY.value, lipschitz
    )
    tracer = functools.partial(jax.profiler.trace, str(workdir / 'profile')) if train_flags.PROFILE.value else None
    received = _stop_signals()
    began, bad = time.monotonic(), None
    try:
        done = train(gan, runner, state, schedule, outputs, should_stop=lambda: bool(received), tracer=tracer)
    except NotFinite as error:
        bad = error
    finally:
        outputs.close()
    if bad is not None:
        print(f'train: stopped: {bad}. The last good checkpoint is kept in {workdir}/checkpoints', file=sys.stderr)
        return 1
    if not done:
        print(f'train: stopped by {received[0].name} and saved; the same command continues it', file=sys.stderr)
        return 128 + received[0]
    seconds = time.monotonic() - began
    final = write_figures(workdir)
    step = max(int(state.step), settings.steps)
    write_json(workdir / 'results.json', {'steps': step, 'seconds_of_last_process': round(seconds, 1), 'final': final})
    print(
        f'Done in {seconds / 60:.1f} minutes. Look at {workdir}/samples/step_{step:08d}.png (64 samples), '
        f'{workdir}/training.gif and {workdir}/curves.png; the numbers are in {workdir}/results.json'
    )
    return 0


def _stop_signals() -> list[signal.Signals]:
    """From now on SIGINT and SIGTERM only leave their name in the list returned; a second one acts as usual."""
    received = []

    def note(number, frame):
        del frame
        received.append(signal.Signals(number))
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    return received


if __name__ == '__main__':
    launcher.run(main)
