"""Many runs at once, batched in groups: ``vmap`` within a group, ``lax.map`` from group to group."""

from collections.abc import Callable

import jax

from wgan_jax.types import PyTree


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
