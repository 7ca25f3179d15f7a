"""Euclidean lengths that neither underflow nor overflow on the way, with the subgradient 0 at 0."""

import jax
import jax.numpy as jnp

from wgan_jax.types import Array, PyTree


def magnitude(x: Array, axis: int | tuple[int, ...] | None = None) -> Array:
    """A power of 2 near max |x|, by which x can be divided without any rounding; 1 where x is 0 or not finite.

    Args:
        x: any floating-point array, not empty along the axes.
        axis: over which the maximum goes; None for all.

    Returns:
        Like x, the axes of length 1, between a quarter of the maximum and the maximum; no gradient flows through it.
    """
    info = jnp.finfo(x.dtype)
    half = jnp.max(jnp.abs(jax.lax.stop_gradient(x)), axis, keepdims=True) / 2
    power = jax.lax.reduce_precision(half, exponent_bits=info.nexp, mantissa_bits=0)
    # Numbers below the smallest normal one are 0 to a processor that flushes them: not to be divided by.
    return jnp.where((power >= info.tiny) & (power < jnp.inf), power, 1)


def length(x: Array, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False) -> Array:
    """||x|| = m sqrt(sum (x / m)^2), m the magnitude of x.

    The squares of a float32 below 1e-19 are 0 and those above 1e19 infinite; those of x / m are neither. The result
    does not depend on m, so m is a constant to differentiation, which stays right to any order. At 0 the gradient is
    the subgradient 0. What is not finite stays so: infinities give inf (or NaN), NaN gives NaN.

    Args:
        x: any floating-point array, not empty along the axes.
        axis: over which the sum goes; None for all.
        keepdims: whether those axes stay, of length 1.

    Returns:
        x's shape without the axes.
    """
    scale = magnitude(x, axis)
    squares = jnp.sum(jnp.square(x / scale), axis, keepdims=True)
    # sqrt has an infinite slope at 0, which times a zero gradient is NaN. Both branches of a `where` are
    # differentiated, so the root must not see the zero at all. NaN is no zero.
    zero = squares == 0
    norm = scale * jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, squares)))
    return norm if keepdims else jnp.squeeze(norm, axis)


def unit(x: Array, axis: int | tuple[int, ...] | None = None) -> Array:
    """x / ||x||, 0 for 0; arguments as of ``length``."""
    x = x / magnitude(x, axis)
    norm = length(x, axis, keepdims=True)
    return x / jnp.where(norm == 0, 1, norm)


def tree_length(tree: PyTree) -> Array:
    """The length of all the numbers in a tree of arrays as one vector."""
    return length(jnp.stack([length(leaf) for leaf in jax.tree.leaves(tree) if leaf.size]))
