"""What trains, made and checked before anything is written or computed."""

import functools
import os
from collections.abc import Callable
from typing import Any

import jax

from wgan_jax import memory
from wgan_jax.data.feed import feed_bytes
from wgan_jax.data.images import Images, on_disk
from wgan_jax.data.pictures import grid_bytes
from wgan_jax.ranges import whole
from wgan_jax.text import reason
from wgan_jax.training.build import build_gan
from wgan_jax.training.classes import class_shares, data_of
from wgan_jax.training.cost import require_memory
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.parallel import AXIS, Runner, make_runner
from wgan_jax.training.parts import KINDS
from wgan_jax.training.run_files import NUM_SAMPLES
from wgan_jax.training.settings import Settings
from wgan_jax.training.state import TrainState, init_state
from wgan_jax.training.step import train_step
from wgan_jax.training.watch import watch_bytes
from wgan_jax.types import PyTree

DATA_PATHS = ('auto', 'device', 'stream')


def built(
    settings: Settings, images: Images, parallel: str, num_devices: int | None, data_path: str = 'auto'
) -> tuple[GAN, Callable[[], TrainState], TrainState, Runner]:
    """What trains with these settings: the GAN, what makes its first state, the shapes of that, and the runner."""
    if data_path not in DATA_PATHS:
        raise ValueError(f'data_path={data_path} is unknown; there are: {", ".join(DATA_PATHS)}')
    shares, data = class_shares(settings, images), data_of(settings, images)
    gan, hyperparameters = build_gan(settings, images.pixels.shape[-1], class_shares=shares)
    fresh = functools.partial(init_state, gan, hyperparameters, settings.seed)
    shapes = jax.eval_shape(fresh)
    what = f'training with image_size={settings.image_size}, batch_size={settings.batch_size}, width={settings.width}'
    shown, watched = grid_bytes(NUM_SAMPLES, *settings.height_width), watch_bytes(*settings.height_width)
    devices = 1 if parallel == 'jit' else jax.local_device_count()
    need = functools.partial(require_memory, gan, hyperparameters, what, state=shapes, devices=devices)
    ahead = feed_bytes(data, gan.batch_size)
    streamed = _is_streamed(
        data, data_path,
        lambda size: need(beside=shown if size else shown + ahead, on_device=watched + size),
    )  # fmt: skip
    runner = make_runner(gan, hyperparameters, data, mode=parallel, streamed=streamed)
    if num_devices is not None:
        whole(1).check('num_devices', num_devices)
    if num_devices is not None and runner.num_devices < num_devices:
        raise ValueError(
            f'num_devices={num_devices} are to share the batches, and parallel={parallel} has {runner.num_devices}'
        )
    if any(not isinstance(getattr(settings, kind), str) for kind in KINDS):
        _try_parts(gan, hyperparameters, shapes, data, runner.num_devices)
    return gan, fresh, shapes, runner


def _is_streamed(data: PyTree, data_path: str, require: Callable[[float], None]) -> bool:
    """Whether a dataset stays on the host.

    Raises:
        ValueError: for what has no room, by ``require(bytes of data on the device)``.
    """
    leaves = jax.tree.leaves(data)
    size = sum(leaf.nbytes for leaf in leaves)
    if data_path == 'device' or (data_path == 'auto' and not on_disk(leaves[0])):
        try:
            if on_disk(leaves[0]):  # it passes through memory on its way
                memory.require(size, 'the dataset')
            require(size)
            return False
        except memory.NotEnough as error:
            require(0)  # has its own words where it would not help to stream
            if data_path == 'device':
                raise memory.NotEnough(f'{error}, or data_path=stream') from None
    else:
        require(0)
    try:
        jax.local_devices(backend='cpu')
    except RuntimeError:
        raise ValueError("data_path=stream needs JAX's CPU beside the accelerator: add cpu to JAX_PLATFORMS") from None
    return True


def _try_parts(gan: GAN, hyperparameters: Hyperparameters, state: TrainState, data: PyTree, num_devices: int) -> None:
    """Traces one step with parts of one's own, before anything is written. Raises ValueError with what they raise."""

    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), data)  # it may lie on the disk

    def step(state: TrainState, data: PyTree, axis_name: str | None) -> Any:
        return train_step(gan, hyperparameters, state, data, axis_name=axis_name)

    try:
        if num_devices == 1:
            jax.eval_shape(functools.partial(step, axis_name=None), state, shapes)
        else:
            each = jax.vmap(lambda state, data: step(state, data, AXIS), None, axis_name=AXIS, axis_size=num_devices)
            jax.eval_shape(each, state, shapes)
    except Exception as error:
        raise ValueError(
            f"a step with these parts of one's own fails: {type(error).__name__}: {reason(error)}"
        ) from error


def check_deterministic(settings: Settings) -> None:
    """Raises ValueError where a backend cannot be made to repeat itself, or has not been asked to."""
    if not settings.deterministic:
        return
    backend = jax.default_backend()
    if backend != 'gpu':
        raise ValueError(f'deterministic has no effect on {backend}, which repeats itself anyway')
    if 'xla_gpu_deterministic_ops=true' not in os.environ.get('XLA_FLAGS', ''):
        raise ValueError('deterministic needs XLA_FLAGS=--xla_gpu_deterministic_ops=true before JAX is first used')
