"""Euclidean lengths that neither underflow nor overflow on the way, with the subgradient 0 at 0.

>>> round(float(length(jnp.array([3e-30, 4e-30]))) * 1e30, 5)  # whose squares are 0 in float32
5.0
"""

import functools

import jax
import jax.numpy as jnp

from wgan_jax.types import Array, PyTree

_BY_DIFFERENCES = 4


def magnitude(x: Array, axis: int | tuple[int, ...] | None = None) -> Array:
    """A power of 2 near max |x|, by which x can be divided without any rounding; 1 where x is 0 or not finite.

    Args:
        x: any floating-point array, not empty along the axes.
        axis: over which the maximum goes; None for all.

    Returns:
        Like x, the axes of length 1, between half and 3/2 of the maximum; no gradient flows through it.
    """
    info = jnp.finfo(x.dtype)
    largest = jnp.max(jnp.abs(jax.lax.stop_gradient(x)), axis, keepdims=True)
    power = jax.lax.reduce_precision(largest, exponent_bits=info.nexp, mantissa_bits=0)
    power = jnp.minimum(power, 2.0 ** (info.maxexp - 1))  # the next power is infinity
    # Numbers below the smallest normal one are 0 to a processor that flushes them: not to be divided by.
    return jnp.where((power >= info.tiny) & (largest < jnp.inf), power, 1)


def length(x: Array, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Array:
    """||x|| = m sqrt(sum (x / m)^2), m the magnitude of x.

    The squares of a float32 below 1e-19 are 0 and those above 1e19 infinite; those of x / m are neither. The gradient
    is ``unit(x)``, the subgradient 0 at 0. What is not finite stays so: infinities give inf or NaN, NaN gives NaN.

    Args:
        x: any floating-point array, not empty along the axes.
        axis: over which the sum goes; None for all.
        keepdims: whether those axes stay, of length 1.

    Returns:
        x's shape without the axes.
    """
    norm = _length(x, axis)
    return norm if keepdims else jnp.squeeze(norm, axis)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _length(x, axis):
    scale = magnitude(x, axis)
    return scale * jnp.sqrt(jnp.sum(jnp.square(x / scale), axis, keepdims=True))


@_length.defjvp
def _length_jvp(axis, primals, tangents):
    # By the rules for its parts a cotangent would be multiplied by m first and divided by it last, and vanish or
    # overflow in between; and at 0 the root has an infinite slope.
    (x,), (tangent,) = primals, tangents
    return _length(x, axis), jnp.sum(unit(x, axis) * tangent, axis, keepdims=True)


def unit(x: Array, axis: int | tuple[int, ...] | None = None) -> Array:
    """x / ||x||, 0 for 0, its derivative 0 there, too.

    Args:
        x: any floating-point array, not empty along the axes.
        axis: over which the length goes; None for all.

    Returns:
        Like x, of length 1 or 0.
    """
    x = x / magnitude(x, axis)
    norm = length(x, axis, keepdims=True)
    return jnp.where(norm == 0, 0, x / jnp.where(norm == 0, 1, norm))


def tree_length(tree: PyTree) -> Array:
    """The length of all the numbers in a tree as one vector, sqrt(sum of their squares).

    Args:
        tree: of floating-point arrays.

    Returns:
        A scalar; 0 for a tree without numbers.
    """
    lengths = [length(leaf) for leaf in jax.tree.leaves(tree) if leaf.size]
    return length(jnp.stack(lengths)) if lengths else jnp.zeros(())


def pairwise_distances(x: Array, y: Array) -> Array:
    """|x_n - y_k| for all pairs, in little memory; the derivative at distance 0 is 0.

    In up to four dimensions of differences, as points may lie very near to each other there. In more,
    |x|^2 - 2 <x, y> + |y|^2, one product of matrices, and as much as rounding may have taken from it, max(8, sqrt(d))
    units in the last place of |x|^2 + |y|^2, is added: so points that nearly coincide are some thousandths of their
    lengths apart, and the slope of a distance is not above 1.

    Args:
        x: points, (N, d).
        y: points, (K, d).

    Returns:
        (N, K).
    """
    if x.shape[1] <= _BY_DIFFERENCES:
        squares = _squares_of_differences(x, y)
    else:
        products = jnp.matmul(x, y.T, precision='highest')
        sums = jnp.sum(jnp.square(x), axis=1)[:, None] + jnp.sum(jnp.square(y), axis=1)
        rounding = jnp.finfo(sums.dtype).eps * max(8.0, x.shape[1] ** 0.5)
        squares = jnp.maximum(sums - 2 * products, 0) + jax.lax.stop_gradient(rounding * sums)
    apart = squares > 0
    return jnp.where(apart, jnp.sqrt(jnp.where(apart, squares, 1)), 0)


@jax.custom_vjp
def _squares_of_differences(x, y):
    return sum(jnp.square(x[:, i, None] - y[:, i]) for i in range(x.shape[1]))


def _forward(x, y):
    return _squares_of_differences(x, y), (x, y)


def _backward(saved, cotangent):
    # By the rules for its parts the sums over the first axis are several times slower than as products. Differences
    # stay exact however small they are: the cotangent of a distance is the larger, the nearer two points.
    x, y = saved
    ones = jnp.ones(len(x), x.dtype)
    parts = [cotangent * (x[:, i, None] - y[:, i]) for i in range(x.shape[1])]
    of_x = jnp.stack([part.sum(axis=1) for part in parts], axis=1)
    of_y = jnp.stack([jnp.matmul(ones, part, precision='highest') for part in parts], axis=1)
    return 2 * of_x, -2 * of_y


_squares_of_differences.defvjp(_forward, _backward)
