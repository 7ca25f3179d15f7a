"""Distributions of latent vectors, and the way from one vector to another.

>>> normal_latent(64)(jax.random.key(0)).shape
(64,)
>>> arc = slerp(jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0]), jnp.array([0.5]))
>>> [round(float(coordinate), 4) for coordinate in arc[0]]  # sqrt(1/2)
[0.7071, 0.7071]
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from wgan_jax.lengths import length, unit
from wgan_jax.types import Array, Key


def check_key(key: object) -> None:
    """Raises ValueError for what is not one key of JAX, a typed one or its bits."""
    if isinstance(key, jax.Array):
        typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
        bits = jax.eval_shape(jax.random.key_data, jax.random.key(0))
        if (typed and key.shape == ()) or (key.dtype, key.shape) == (bits.dtype, bits.shape):
            return
    shown = f'an array {key.shape} of {key.dtype}' if isinstance(key, jax.Array) else repr(key)
    raise ValueError(f'key must be one JAX key such as jax.random.key(0), not {shown}')


def normal_latent(size: int) -> Callable[[Key], Array]:
    """The latent distribution N(0, I).

    Args:
        size: Z.

    Returns:
        ``draw(key) -> (Z,)``, one latent; ``vmap`` makes batches.
    """
    return lambda key: jax.random.normal(key, (size,))


def uniform_latent(size: int) -> Callable[[Key], Array]:
    """The latent distribution U[-1, 1) in every coordinate.

    Args:
        size: Z.

    Returns:
        ``draw(key) -> (Z,)``, one latent; ``vmap`` makes batches.
    """
    return lambda key: jax.random.uniform(key, (size,), minval=-1.0, maxval=1.0)


LATENTS: dict[str, Callable[[int], Callable[[Key], Array]]] = {'normal': normal_latent, 'uniform': uniform_latent}


def truncate_normal(latents: Array, bound: float) -> Array:
    """Latents from N(0, I) as latents of the same law given that no coordinate is beyond a bound.

    z -> sqrt(2) erfinv(erf(z / sqrt 2) erf(b / sqrt 2)), which grows with z: what a latent is among the others, it is
    among the truncated ones. So for each b a picture varies with b, where drawing again beyond it would give another.

    Args:
        latents: drawn from N(0, I), any shape.
        bound: b > 0, in standard deviations.

    Returns:
        Latents of that shape, in [-b, b]; for a large b about those that were given.

    Source: the law is that of the truncation trick of Brock, Donahue, Simonyan 2019, "Large scale GAN training",
        https://arxiv.org/abs/1809.11096.
    """
    latents = jnp.asarray(latents, float)
    inside = jax.scipy.special.erf(latents / 2**0.5) * math.erf(bound / 2**0.5)
    return jnp.clip(2**0.5 * jax.scipy.special.erfinv(inside), -bound, bound)  # where it is rounded to 1, too


def truncate_uniform(latents: Array, bound: float) -> Array:
    """Latents from U[-1, 1) as latents from U[-b, b), 0 < b <= 1: the same law given that none is beyond b."""
    return bound * latents


# A distribution without an entry is not truncated.
TRUNCATIONS: dict[str, Callable[[Array, float], Array]] = {'normal': truncate_normal, 'uniform': truncate_uniform}


def slerp(a: Array, b: Array, t: Array) -> Array:
    """Points on the arc between two latents, their directions evenly turned and their lengths evenly spaced.

    ((1 - t) |a| + t |b|) (cos(f) m + sin(f) e),  f = (2t - 1) atan2(|v - u|, |v + u|),

    with u and v the directions of a and b, and m and e, at right angles, those of v + u and v - u. In many dimensions
    normal latents all have about one length; on the straight line the points in the middle are shorter than any that
    the generator has seen. (Uniform latents: the arc may leave their box a little.)

    Args:
        a, b: latents, (Z,).
        t: positions in [0, 1], (T,).

    Returns:
        (T, Z), of lengths between those of a and b. Between opposite directions, where every half circle is as short,
        it is the one through the axis that is most nearly at right angles to a (Z = 1 has none, and passes 0); from a
        latent 0, which has no direction, the straight line.

    Source: Shoemake 1985; White 2016, "Sampling generative networks".
    """
    a, b, t = (1.0 * jnp.asarray(v) for v in (a, b, t))  # whole numbers, too
    lengths = length(a), length(b)
    u, v = unit(a), unit(b)
    u, v = jnp.where(lengths[0] == 0, v, u), jnp.where(lengths[1] == 0, u, v)
    near = jnp.sum(u * v) >= 0
    larger, smaller = jnp.where(near, v + u, v - u), jnp.where(near, v - u, v + u)
    first = unit(larger)
    # Rounding leaves a part of the larger in the smaller, by far the most of it where u = v or u = -v.
    smaller = smaller - jnp.sum(smaller * first) * first
    axis = jax.nn.one_hot(jnp.argmin(jnp.abs(u)), len(u), dtype=u.dtype)
    opposite = ~near & (length(smaller) < 8 * jnp.finfo(u.dtype).eps)
    second = unit(jnp.where(opposite, axis - jnp.sum(axis * first) * first, smaller))
    far = length(larger)  # 0 between two latents 0, where atan2 has no gradient
    half = jnp.arctan2(jnp.where(opposite, 0, length(smaller)), jnp.where(far == 0, 1, far))  # at most pi / 4
    m, e = jnp.where(near, first, second), jnp.where(near, second, first)
    t = t[:, None]
    angle = (2 * t - 1) * jnp.where(near, half, jnp.pi / 2 - half)
    return ((1 - t) * lengths[0] + t * lengths[1]) * (jnp.cos(angle) * m + jnp.sin(angle) * e)
