"""Distributions of latent vectors, and the way from one vector to another."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from wgan_jax.types import Array, Key


def normal_latent(size: int) -> Callable[[Key], Array]:
    """z ~ N(0, I): ``key -> (size,)``."""
    return lambda key: jax.random.normal(key, (size,))


def uniform_latent(size: int) -> Callable[[Key], Array]:
    """z ~ U[-1, 1) in every coordinate: ``key -> (size,)``."""
    return lambda key: jax.random.uniform(key, (size,), minval=-1.0, maxval=1.0)


LATENTS: dict[str, Callable[[int], Callable[[Key], Array]]] = {'normal': normal_latent, 'uniform': uniform_latent}


def great_circle(a: Array, b: Array, t: Array) -> Array:
    """Points on the arc between two latents, of lengths between theirs.

    sin((1-t) w)/sin(w) a + sin(t w)/sin(w) b, with w the angle between a and b. In many dimensions normal
    latents all have about one length; on the straight line the points in the middle are shorter than any that the
    generator has seen. (Uniform latents: the arc may leave their box a little.)

    Args:
        a, b: latents, (Z,).
        t: positions in [0, 1], (T,).

    Returns:
        (T, Z); the straight line where a and b have one direction or opposite ones.

    Source: Shoemake 1985; White 2016, "Sampling generative networks".
    """
    cosine = jnp.sum(a * b) / (jnp.linalg.norm(a) * jnp.linalg.norm(b))
    angle = jnp.arccos(jnp.clip(cosine, -1, 1))
    t = t[:, None]
    near = jnp.sin(angle) < 1e-4
    sine = jnp.where(near, 1.0, jnp.sin(angle))
    circle = jnp.sin((1 - t) * angle) / sine * a + jnp.sin(t * angle) / sine * b
    return jnp.where(near, (1 - t) * a + t * b, circle)
