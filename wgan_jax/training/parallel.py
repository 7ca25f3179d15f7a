"""One compiled call on one device or on many: the only module that knows how many there are.

On many, which is what ``jax.pmap`` makes of a step, and with the same bits, every device holds the whole state and the
whole dataset, works on its share of each batch, and averages what it found with the others (data parallelism with
replicated parameters). It is written with ``jax.shard_map``, which serves devices of several processes too.
"""

import collections
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.data.feed import Feed
from wgan_jax.data.order import scramble
from wgan_jax.training.draws import draw_from_feed
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.state import TrainState
from wgan_jax.training.step import train_steps
from wgan_jax.types import Array, PyTree

AXIS = 'devices'
_UNSIGNED = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32, 8: jnp.uint32}  # of 8 bytes two of these


class Runner(NamedTuple):
    """Training as a few functions, whatever the devices.

    Attributes:
        place: ``place(state) -> state``: a state, of NumPy or JAX arrays, laid out on the devices.
        run: ``run(state, num_steps) -> (state, rows)``: see ``train_steps``; the state given is donated, ``rows`` is
            (capacity, number of metrics).
        fetch: ``fetch(state) -> tree``: any part of a state as NumPy arrays.
        capacity: the most steps of one call.
        num_devices: how many devices share a batch.
        of: ``of(hyperparameters) -> Runner``: the same program and dataset with other hyperparameters.
        streamed: whether the dataset stays on the host.
        close: ``close()``: lets go of a dataset on the host; nothing is run afterwards.
        differing: ``differing(state)``: the name of a leaf whose copies on the devices are not the same bits, or None.
    """

    place: Callable[[TrainState], TrainState]
    run: Callable[[TrainState, int], tuple[TrainState, Array]]
    fetch: Callable[[PyTree], PyTree]
    capacity: int
    num_devices: int
    of: 'Callable[[Hyperparameters], Runner]'
    streamed: bool = False
    close: Callable[[], None] = lambda: None
    differing: Callable[[TrainState], str | None] = lambda state: None


def make_runner(
    gan: GAN,
    hyperparameters: Hyperparameters,
    data: PyTree,
    *,
    mode: str = 'auto',
    devices: Sequence[jax.Device] | None = None,
    capacity: int = 512,
    streamed: bool = False,
) -> Runner:
    """A Runner for a GAN on a dataset, which is held on the device or streamed to it.

    Args:
        gan, hyperparameters: what is trained, and its hyperparameters.
        data: the dataset, as ``gan.draw`` takes it, of NumPy arrays.
        mode: 'jit' for one device, 'pmap' for any number, 'auto' for the first where there is one and else the second.
        devices: which to use; all by default, of other processes too.
        capacity: the most steps of one call.
        streamed: leave the dataset, images or (images, labels), on the host, and fetch each batch when it is due: the
            same bits.

    Returns:
        A Runner; nothing is compiled before its first ``run``.

    Raises:
        ValueError: for an unknown mode, or a batch that the devices cannot share evenly.
    """
    if mode not in ('auto', 'jit', 'pmap'):
        raise ValueError(f'parallel={mode} is unknown; there are: auto, jit, pmap')
    if streamed:
        feed = Feed.of(data, gan.batch_size)
        gan, data, close = streaming(gan, feed), (), feed.close
    else:
        data, close = jax.tree.map(np.asarray, data), Runner._field_defaults['close']
    devices = list(jax.devices() if devices is None else devices)
    processes = collections.Counter(device.process_index for device in devices)
    if len(set(processes.values())) > 1:
        of_each = ', '.join(f'{processes[i]}' for i in sorted(processes))
        raise ValueError(f'the processes have different numbers of devices, {of_each}: give each as many')
    if mode == 'jit' and len(processes) > 1:
        raise ValueError(f'parallel=jit is for one device, and there are {len(processes)} processes: use parallel=pmap')
    sizes = {'batch_size': gan.batch_sizes.critic, 'generator_batch_size': gan.batch_sizes.generator}
    if mode == 'jit' or (mode == 'auto' and len(devices) == 1):
        return _on_one(gan, hyperparameters, data, devices[0], capacity, streamed, close)
    for name, size in sizes.items():
        if size % len(devices):
            below = size // len(devices) * len(devices)
            would = ' or '.join(map(str, filter(None, (below, below + len(devices)))))
            or_one = '' if len(processes) > 1 else ', or parallel=jit, which is for one of them'
            raise ValueError(
                f'{name}={size} cannot be shared evenly by {len(devices)} devices: {would} would do{or_one}'
            )
    return _on_many(gan, hyperparameters, data, devices, capacity, streamed, close)


def _on_one(gan, hyperparameters, data, device, capacity, streamed, close):
    place = functools.partial(jax.device_put, device=device)
    data = place(data)
    steps = jax.jit(functools.partial(train_steps, gan, capacity=capacity), donate_argnums=1)

    def runner(hyperparameters):
        own = place(hyperparameters)
        return Runner(
            place=lambda state: place(_copied(state)),
            run=lambda state, num_steps: steps(own, state, data, np.int32(num_steps)),
            fetch=_fetch,
            capacity=capacity,
            num_devices=1,
            streamed=streamed,
            close=close,
            of=runner,
        )

    return runner(hyperparameters)


def _on_many(gan, hyperparameters, data, devices, capacity, streamed, close):
    mesh = jax.sharding.Mesh(np.asarray(devices), (AXIS,))
    replicated = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    local = all(device.process_index == jax.process_index() for device in devices)

    def place(tree):
        if local:
            return jax.device_put(tree, replicated)
        return jax.tree.map(
            lambda x: jax.make_array_from_callback(x.shape, replicated, lambda place: np.array(x[place])), tree
        )

    data = place(data)
    step = functools.partial(train_steps, gan, capacity=capacity, axis_name=AXIS)
    over_devices = functools.partial(
        jax.shard_map, mesh=mesh, in_specs=replicated.spec, out_specs=replicated.spec, check_vma=False
    )
    steps = jax.jit(over_devices(step), donate_argnums=1)
    sums_of_all = jax.jit(over_devices(lambda tree: jax.lax.all_gather(_sums(tree), AXIS)))

    def differing(state):
        sums = _fetch(sums_of_all(state))  # (devices, leaves)
        names = [jax.tree_util.keystr(path, simple=True, separator='/') for path, _ in
                 jax.tree_util.tree_leaves_with_path(state)]  # fmt: skip
        return next((name for name, own in zip(names, sums.T, strict=True) if (own != own[0]).any()), None)

    def runner(hyperparameters):
        own = place(hyperparameters) if local else hyperparameters  # numbers, which every process has
        return Runner(
            # Donated replicated arrays must lie on this mesh already, or live arrays would be deleted with them.
            place=lambda state: place(_copied(state)),
            run=lambda state, num_steps: steps(own, state, data, np.int32(num_steps)),
            fetch=_fetch,
            capacity=capacity,
            num_devices=len(devices),
            streamed=streamed,
            close=close,
            of=runner,
            differing=differing,
        )

    return runner(hyperparameters)


def streaming(gan: GAN, feed: Feed) -> GAN:
    """The GAN whose real examples come from a feed; its steps take () as data."""
    return dataclasses.replace(gan, draw=draw_from_feed(feed))


def _sums(tree: PyTree) -> Array:
    """For each leaf a sum of its bits, scrambled with their places; uint32 (leaves,)."""

    def of(leaf):
        bits = leaf if leaf.dtype == bool else jax.lax.bitcast_convert_type(leaf, _UNSIGNED[leaf.dtype.itemsize])
        bits = bits.astype(jnp.uint32).reshape(-1)
        places = scramble(jnp, jnp.arange(bits.size, dtype=jnp.uint32))
        return jnp.sum(scramble(jnp, bits + places), dtype=jnp.uint32)

    return jnp.stack([of(leaf) for leaf in jax.tree.leaves(tree)])


def _copied(state):
    """Host copies: what is donated later must not be anybody else's array."""
    return jax.tree.map(np.array, state)


def _fetch(tree):
    """NumPy copies from the first device; indexing an array of replicas instead would gather all of them."""
    return jax.tree.map(lambda x: np.array(x.addressable_shards[0].data), tree)
