"""Activations that only sort: a permutation at every point, so no gradient loses length, as it does in a ReLU.

Between orthonormal layers they make a critic whose slope can be 1 everywhere.

>>> max_min(jnp.array([1.0, 5.0, 4.0, 2.0])).tolist()  # the pairs are 1, 4 and 5, 2
[4.0, 5.0, 1.0, 2.0]
>>> full_sort(jnp.array([1.0, 5.0, 4.0, 2.0])).tolist()
[1.0, 2.0, 4.0, 5.0]
"""

import jax.numpy as jnp

from wgan_jax.types import Array


def check_pairs(width: int) -> None:
    """Raises ValueError for an odd number of channels, of which ``max_min`` makes no pairs."""
    if width % 2:
        raise ValueError(f'width={width} is odd, but MaxMin sorts pairs of channels: use {width + 1}')


def max_min(x: Array, axis: int = -1) -> Array:
    """Sorts pairs: the larger ones in the first half of the channels, the smaller ones in the second.

    max(a, b), min(a, b) for channels a = 0..C/2-1 and b = C/2..C-1. It can represent the absolute value with slopes
    of +-1.

    Args:
        x: an even number of channels along the axis.
        axis: of channels.

    Returns:
        An array like x.

    Raises:
        ValueError: for an odd number of channels.

    Source: Anil et al. 2019, section 4.1 (GroupSort with groups of two).
    """
    if x.shape[axis] % 2:
        raise ValueError(f'MaxMin sorts pairs of channels and cannot take {x.shape[axis]}: use an even width.')
    a, b = jnp.split(x, 2, axis)
    return jnp.concatenate([jnp.maximum(a, b), jnp.minimum(a, b)], axis)


def full_sort(x: Array) -> Array:
    """Sorts all units, the smallest first.

    A bitonic network of minima and maxima, and not ``jnp.sort``, of which value and gradient take three to four times
    as long for 1,024 x 128 on a CPU. Equal units share the gradient, two of them evenly, as in ``max_min``.

    Args:
        x: (..., C), any C; no NaN.

    Returns:
        An array like x.

    Source: Anil et al. 2019, section 4.1; the network: Batcher 1968.
    """
    units, size = x.shape[-1], 1 << (x.shape[-1] - 1).bit_length()
    rows = jnp.moveaxis(x, -1, 0).reshape(units, -1)  # units first: whole rows are compared
    rows = jnp.pad(rows, ((0, size - units), (0, 0)), constant_values=jnp.inf)
    sorted_run = 2
    while sorted_run <= size:  # each round makes runs of twice the length, in log2 of it steps
        rows = _compare(rows, sorted_run, mirrored=True)
        run = sorted_run // 2
        while run > 1:
            rows = _compare(rows, run, mirrored=False)
            run //= 2
        sorted_run *= 2
    return jnp.moveaxis(rows[:units].reshape(units, *x.shape[:-1]), 0, -1)


def _compare(rows, run, *, mirrored):
    """The lower half of every run gets the minima of both halves, the upper half the maxima."""
    lower, upper = jnp.split(rows.reshape(-1, run, rows.shape[-1]), 2, axis=1)
    if mirrored:
        upper = upper[:, ::-1]
    smaller, larger = jnp.minimum(lower, upper), jnp.maximum(lower, upper)
    return jnp.concatenate([smaller, larger[:, ::-1] if mirrored else larger], axis=1).reshape(rows.shape)
