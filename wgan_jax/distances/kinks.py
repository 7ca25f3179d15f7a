"""Functions with a kink or an infinite slope at 0, given the gradient 0 there, which leaves equal things be."""

import jax.numpy as jnp

from wgan_jax.types import Array


def absolute(x: Array) -> Array:
    """|x| with the gradient sign(x), 0 at 0."""
    return x * jnp.sign(x)


def root(x: Array) -> Array:
    """sqrt(x) for x >= 0 with the gradient 0 at 0, where an infinite slope times a zero would be NaN."""
    positive = x > 0
    # Both branches of a `where` are differentiated, so the root must not see the zero at all.
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1)), 0)
