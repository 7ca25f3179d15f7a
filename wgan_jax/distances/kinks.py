"""Functions with a kink or an infinite slope at 0, given the gradient 0 there; and what XLA takes for zero."""

import math

import jax
import jax.numpy as jnp

from wgan_jax.types import Array


def absolute(x: Array) -> Array:
    """|x| with the gradient sign(x), 0 at 0."""
    return x * jnp.sign(x)


def root(x: Array) -> Array:
    """sqrt(x) for x >= 0 with the gradient 0 at 0, where an infinite slope times a zero would be NaN."""
    zero = x == 0  # NaN is none
    # Both branches of a `where` are differentiated, so the root must not see the zero at all.
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, x)))


def log_ratio(x: Array, y: Array) -> Array:
    """log(x / y) for x, y > 0: of relative precision where they are close, and without a quotient where far apart."""
    close = jnp.abs(x - y) < 0.5 * y
    # Both branches of a `where` are differentiated, so neither may see what is for the other.
    safe = jnp.where(close, y, 1)
    near = jnp.log1p((jnp.where(close, x, 1) - safe) / safe)
    return jnp.where(close, near, log(jnp.where(close, 1, x)) - log(jnp.where(close, 1, y)))


@jax.custom_jvp
def log(x: Array) -> Array:
    """log x for x >= 0, also of subnormal numbers, which XLA takes for zero on a CPU."""
    integer = {4: jnp.int32, 8: jnp.int64}[x.dtype.itemsize]
    whole = jax.lax.bitcast_convert_type(x, integer)  # of a subnormal number, its multiple of the smallest one
    info = jnp.finfo(x.dtype)
    subnormal = (x < info.tiny) & (whole > 0)
    safe = jnp.where(subnormal, whole, 1).astype(x.dtype)
    return jnp.where(subnormal, jnp.log(safe) + math.log(2) * (info.minexp - info.nmant), jnp.log(x))


@log.defjvp
def _log_jvp(primals, tangents):
    (x,), (tangent,) = primals, tangents
    return log(x), tangent / x


def out_of_the_subnormal(weights: Array) -> Array:
    """Weights that XLA does not take for zero, in the same proportions, where all of them are subnormal.

    The bits of a subnormal number are an integer in its proportion. Constants to differentiation there.
    """
    integer = {4: jnp.int32, 8: jnp.int64}[weights.dtype.itemsize]
    whole = jax.lax.bitcast_convert_type(jax.lax.stop_gradient(weights), integer).astype(weights.dtype)
    largest = jnp.max(weights, axis=-1, keepdims=True)
    return jnp.where(largest < jnp.finfo(weights.dtype).tiny, whole, weights)
