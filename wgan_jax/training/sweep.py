"""Many runs in one compiled program: every combination of seeds and hyperparameters, by ``vmap`` and ``lax.map``.

A batched matrix product of small networks gains nothing on a CPU over one after the other, and a state that no longer
fits its caches loses: runs therefore go through in groups, mapped one group after the other inside the program.
"""

import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax import memory
from wgan_jax.data.images import Images, UnknownDataset
from wgan_jax.data.synthetic import DENSITIES, Density
from wgan_jax.data.synthetic import load as load_density
from wgan_jax.latents import check_key
from wgan_jax.ranges import INT32, whole
from wgan_jax.training.build import build_gan
from wgan_jax.training.compiled import compiled
from wgan_jax.training.cost import require_memory
from wgan_jax.training.dataset import checked, with_images
from wgan_jax.training.draws import draw_images
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.groups import default_group, group_size, map_runs
from wgan_jax.training.pace import Pace
from wgan_jax.training.settings import Settings, override
from wgan_jax.training.state import TrainState, init_state
from wgan_jax.training.step import Metrics, train_steps
from wgan_jax.training.toy import TOY_PRESETS, build_toy
from wgan_jax.types import Array, Key, PyTree


class Runs(NamedTuple):
    """What distinguishes R runs of one program; run r is ``jax.tree.map(lambda leaf: leaf[r], runs)``.

    Attributes:
        seed: uint32, (R,).
        hyperparameters: leaves (R,).
        data: what ``gan.draw`` takes, leaves (R, ...), where the runs differ in it; None where they share it.
    """

    seed: np.ndarray
    hyperparameters: Hyperparameters
    data: PyTree = None


def combinations(seeds: Sequence[int], base: Hyperparameters, **values: Sequence[float]) -> Runs:
    """Every combination of the values given, the seeds fastest: run r has seed ``seeds[r % len(seeds)]``.

    Args:
        seeds: 0 <= seed < 2**32.
        base: what the hyperparameters are of which no values are given.
        values: of hyperparameters, by their names.

    Returns:
        Runs, R the product of the numbers of values; a name that comes first in ``Hyperparameters`` varies slowest.

    Raises:
        ValueError: for a name that is no hyperparameter, or no values or seeds at all.
    """
    for name, given in {**values, 'seeds': seeds}.items():
        if not len(given):
            raise ValueError(f'{name} has no values')
    if min(seeds) < 0 or max(seeds) >= 2**32:
        raise ValueError(f'seeds={list(seeds)} must lie in [0, 2**32)')
    unknown = values.keys() - set(Hyperparameters._fields)
    if unknown:
        raise ValueError(f'{min(unknown)} cannot be swept; there are: {", ".join(Hyperparameters._fields)}')
    columns: list[Any] = [
        np.asarray(values.get(name, [getattr(base, name)]), np.float32) for name in Hyperparameters._fields
    ]
    axes: list[Any] = [axis.ravel() for axis in np.meshgrid(*columns, np.asarray(seeds, np.uint32), indexing='ij')]
    return Runs(axes[-1], Hyperparameters(*axes[:-1]))


class Sweep(NamedTuple):
    """R runs as functions of stacked states, whose leaves have a leading axis R.

    Attributes:
        init: ``init() -> states``.
        run: ``run(states, num_steps) -> (states, rows)``, one compiled program for any number of steps up to the
            capacity; the states given are donated, ``rows`` is (R, capacity, number of metrics) as of ``train_steps``.
        group: runs that are batched together.
        capacity: the most steps of one call.
    """

    init: Callable[[], TrainState]
    run: Callable[[TrainState, int], tuple[TrainState, Array]]
    group: int
    capacity: int


def make_sweep(gan: GAN, runs: Runs, data: PyTree = None, *, capacity: int = 512, group: int | None = None) -> Sweep:
    """A sweep over runs of one GAN; each run computes what it would compute alone.

    Args:
        gan: what is trained.
        runs: how the runs differ.
        data: the dataset, as ``gan.draw`` takes it, where all runs share it.
        capacity: the most steps of one call.
        group: the most runs to batch together; by default what suits the backend. The largest divisor of their number
            up to it is taken.

    Returns:
        A Sweep; nothing is compiled before it is called.
    """
    group = group_size(len(runs.seed), default_group() if group is None else group)
    runs, data = jax.device_put((runs, data))
    own_data = runs.data is not None

    @functools.partial(jax.jit, donate_argnums=1)
    def run(runs, states, data, num_steps):
        def one(this, state):
            own = this.data if own_data else data
            return train_steps(gan, this.hyperparameters, state, own, num_steps, capacity=capacity)

        return map_runs(one, group)(runs, states)

    @jax.jit
    def init(runs):
        return map_runs(lambda this: init_state(gan, this.hyperparameters, this.seed), group)(runs)

    return Sweep(
        init=lambda: init(runs),
        run=lambda states, num_steps: run(runs, states, data, np.int32(num_steps)),
        group=group,
        capacity=capacity,
    )


def train_in_chunks(
    sweep: Sweep,
    when: Sequence[int],
    *,
    start: TrainState | None = None,
    on_chunk: Callable[[int, float], object] = lambda count, seconds: None,
) -> Iterator[tuple[int, TrainState, np.ndarray | None]]:
    """Trains all runs of a sweep, in calls of about two seconds.

    Args:
        sweep: what to train.
        when: generator updates at which to yield, ascending.
        start: stacked states to begin from, which are used up; initial ones by default.
        on_chunk: told of every call, ``(steps, seconds)``; the first one's seconds are mostly compilation.

    Yields:
        (step, states, metrics since the last, (R, steps, metrics), None for no steps); the states only last until the
        next is asked for.
    """
    states, done, pace = sweep.init() if start is None else start, 0, Pace(sweep.capacity)
    for step in when:
        rows = []
        while done < step:
            count = pace.next(step - done)
            began = time.perf_counter()
            states, part = sweep.run(states, count)
            rows.append(np.asarray(part)[:, :count])  # on the device it would be a program for each count
            seconds = time.perf_counter() - began
            pace.took(count, seconds)
            done += count
            on_chunk(count, seconds)
        yield step, states, np.concatenate(rows, axis=1) if rows else None


class SweepResult(NamedTuple):
    """What a sweep has trained.

    Attributes:
        runs: how the R runs differ.
        gan: what was trained.
        states: at the end, leaves (R, ...); run r is ``jax.tree.map(lambda leaf: leaf[r], states)``.
        metrics: of every step: leaves (R, steps).
    """

    runs: Runs
    gan: GAN
    states: TrainState
    metrics: Metrics

    def sample(self, key: Key, n: int) -> Array:
        """``n`` samples of each run's averaged generator, all from the same latents: (R, n, ...), float32.

        Images lie in [-1, 1], as those of ``Generator.sample`` do.

        Raises:
            ValueError: for n < 1, or a key that is none.
        """
        check_key(key)
        whole(1).check('n', n)
        latents = jax.vmap(self.gan.latent)(jax.random.split(key, n))
        samples = compiled(_sample, self.gan)(self.states.ema, latents).astype(jnp.float32)
        return jnp.clip(samples, -1, 1) if self.gan.draw is draw_images else samples


def _sample(gan, variables, latents):
    return jax.lax.map(lambda one: gan.networks.generator.apply(one, latents, train=False)[0], variables)


def sweep(
    settings: str | Settings,
    *,
    seeds: Sequence[int] = (0,),
    dataset: str | np.ndarray | Images | Density | None = None,
    steps: int | None = None,
    group: int | None = None,
    on_chunk: Callable[[int, float], object] = lambda count, seconds: None,
    **values: Sequence[float],
) -> SweepResult:
    """Trains many runs of one GAN in one compiled program: every seed with every combination of hyperparameters.

    Args:
        settings: a preset's name, or settings such as ``wgan_jax.settings`` makes; their seed is not looked at. A name
            with a density as the dataset stands for the toy preset of that name.
        seeds: 0 <= seed < 2**32.
        dataset: a density, or its name ('ring', 'grid', 'swiss_roll', ...), for a toy GAN of multilayer perceptrons;
            images, as for ``train``; None for what the settings name.
        steps: generator updates; those of the settings by default.
        group: runs that are batched together; by default what suits the backend.
        on_chunk: told of every compiled call, ``(steps, seconds)``.
        values: of hyperparameters, by their names: ``clip=(0.01, 0.1)``, ``critic_lr=...``.

    Returns:
        A SweepResult, runs in the order of ``combinations``.

    Raises:
        ValueError: for what cannot be used, and a hyperparameter that has no effect.
    """
    for name, given in {**values, 'seeds': seeds}.items():
        if name not in (*Hyperparameters._fields, 'seeds'):
            raise ValueError(f'{name} cannot be swept; there are: {", ".join(Hyperparameters._fields)}')
        is_array = isinstance(given, np.ndarray) and given.ndim == 1
        if not is_array and (not isinstance(given, Sequence) or isinstance(given, str | bytes)):
            raise ValueError(f'{name}={given!r} must be a sequence of values')
        if isinstance(given, range) and len(given[: INT32 + 1]) > INT32:  # of which no length can be told
            raise ValueError(f'{name}={given} are more than {INT32} values')
    if not callable(on_chunk):
        raise ValueError(f'on_chunk={on_chunk!r} must be a function')
    if group is not None:
        whole(1).check('group', group)
    gan, hyperparameters, data, settings = _build(settings, dataset)
    if steps is not None:
        settings = override(settings, {'steps': steps})
    for name in ('init_from', 'deterministic'):
        if getattr(settings, name):
            raise ValueError(f'{name}={getattr(settings, name)} has no effect on a sweep: leave it out')
    if 'decay_steps' in values and settings.instance_noise:
        raise ValueError('decay_steps cannot be swept with instance noise, whose program depends on it')
    num = math.prod(map(len, (seeds, *values.values())))  # before they are listed, which takes memory too
    history = 4 * len(Metrics._fields) * settings.steps * num
    what = f'{num} runs of {settings.steps} steps with width={settings.width}'
    require_memory(gan, hyperparameters, what, runs=num, beside=history)
    if not all(isinstance(seed, (int, np.integer)) and not isinstance(seed, bool) for seed in seeds):
        raise ValueError(f'seeds={list(seeds)} must be whole numbers')
    for name, given in values.items():
        for value in given:
            override(settings, {other: max(them) for other, them in values.items()} | {name: value})
    runs = combinations(seeds, hyperparameters, **values)
    program = make_sweep(gan, runs, data, group=group)
    ((_, states, rows),) = train_in_chunks(program, [settings.steps], on_chunk=on_chunk)
    assert rows is not None  # there is at least one step
    return SweepResult(runs, gan, states, Metrics(*np.moveaxis(rows, 2, 0)))


def _build(
    settings: str | Settings, dataset: str | np.ndarray | Images | Density | None
) -> tuple[GAN, Hyperparameters, PyTree, Settings]:
    """The GAN, its hyperparameters, its data, and the settings."""
    checked(settings)
    named: Any = dataset if dataset is not None or isinstance(settings, str) else settings.dataset
    if isinstance(named, str) and (named in DENSITIES or named.endswith('.npz')):
        named = load_density(named)
    if isinstance(named, Density):
        if isinstance(settings, str):
            if settings not in TOY_PRESETS:
                raise ValueError(f'preset={settings} is unknown for a density; there are: {", ".join(TOY_PRESETS)}')
            settings = TOY_PRESETS[settings]
        return *build_toy(settings, named), None, settings
    if isinstance(settings, Settings) and settings.conditional:
        raise ValueError('conditional=True has no effect on a sweep: leave it out')
    try:
        settings, images = with_images(settings, named if dataset is not None else None)
    except UnknownDataset as error:
        raise UnknownDataset(f'{error}; of densities there are {", ".join(DENSITIES)}') from None
    memory.require(images.pixels.nbytes, f'{settings.dataset}, whose images a sweep holds in memory,')
    return *build_gan(settings, images.pixels.shape[-1]), np.asarray(images.pixels), settings
