"""Many runs in one compiled program: every combination of seeds and hyperparameters, by ``vmap`` and ``lax.map``.

A batched matrix product of small networks gains nothing on a CPU over one after the other, and a state that no longer
fits its caches loses: runs therefore go through in groups, mapped one group after the other inside the program.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.state import TrainState, init_state
from wgan_jax.training.step import train_steps
from wgan_jax.types import Array, Players, PyTree


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


def combinations(
    seeds: Sequence[int],
    *,
    generator_lr: Sequence[float],
    critic_lr: Sequence[float],
    clip: Sequence[float] = (0.01,),
    penalty_weight: Sequence[float] = (10.0,),
) -> Runs:
    """Every combination of the values given, the seeds fastest: run r has seed ``seeds[r % len(seeds)]``.

    Args:
        seeds: 0 <= seed < 2**32.
        generator_lr, critic_lr, clip, penalty_weight: values of the hyperparameters.

    Returns:
        Runs, R the product of the numbers of values.
    """
    rows = list(itertools.product(generator_lr, critic_lr, clip, penalty_weight, seeds))
    *numbers, seed = zip(*rows, strict=True)
    generator_lr, critic_lr, clip, penalty_weight = (np.array(column, np.float32) for column in numbers)
    return Runs(np.array(seed, np.uint32), Hyperparameters(Players(generator_lr, critic_lr), clip, penalty_weight))


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


def group_size(num: int, most: int) -> int:
    """The largest divisor of ``num`` that is at most ``most``."""
    return max(size for size in range(1, min(num, most) + 1) if num % size == 0)


def default_group(backend: str | None = None) -> int:
    """The most runs to batch together: 1 on a CPU, where batching small products gains nothing, else 64."""
    return 1 if (backend or jax.default_backend()) == 'cpu' else 64


def map_runs(function: Callable, group: int) -> Callable:
    """``vmap`` in groups: ``map_runs(f, g)(*stacked)`` is ``vmap(f)(*stacked)``, g runs at a time.

    Args:
        function: of one run.
        group: a divisor of the number of runs.

    Returns:
        The function of stacked arguments, for use under ``jit``.
    """

    def mapped(*stacked: PyTree) -> PyTree:
        num = jax.tree.leaves(stacked)[0].shape[0]
        if num == group:
            return jax.vmap(function)(*stacked)
        if group == 1:
            return jax.lax.map(lambda one: function(*one), stacked)
        grouped = jax.tree.map(lambda leaf: leaf.reshape(num // group, group, *leaf.shape[1:]), stacked)
        out = jax.lax.map(lambda some: jax.vmap(function)(*some), grouped)
        return jax.tree.map(lambda leaf: leaf.reshape(num, *leaf.shape[2:]), out)

    return mapped


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
