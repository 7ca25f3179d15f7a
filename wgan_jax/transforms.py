"""Weight clipping as the last transform of an optax chain."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from wgan_jax.types import PyTree


def clip_weights(
    limit: float | jax.Array, mask: PyTree | Callable[[PyTree], PyTree] | None = None
) -> optax.GradientTransformation:
    """Changes updates so that every weight lies in [-limit, limit] once they are applied.

    u <- u                               where |p + u| <= limit   (not a bit of it changes)
    u <- clip(p + u, -limit, limit) - p  elsewhere

    ``p + (limit - p)`` can round to one unit in the last place above the limit. There the update moves on by one unit
    in its own last place, after which the exact sum, and therefore the rounded one, is inside.

    Args:
        limit: half the side c of the box, > 0; may be a traced scalar, which is then not checked.
        mask: as in ``optax.masked``: a tree of bools like the params, or a function from params to one; only leaves
            marked True are clipped.

    Returns:
        A stateless ``optax.GradientTransformation``, to stand last in a chain.

    Raises:
        ValueError: for a limit <= 0, and in ``update`` when params are missing.

    Source: Arjovsky et al. 2017, algorithm 1, line 7.
    """
    if not isinstance(limit, jax.core.Tracer) and not np.all(np.asarray(limit) > 0):
        raise ValueError(f'the clip limit must be > 0, got {limit}')

    def init(params):
        del params
        return optax.EmptyState()

    def update(updates, state, params=None):
        if params is None:
            raise ValueError('clip_weights needs the current parameters: call update(updates, state, params)')
        return jax.tree.map(lambda u, p: _into_box(u, p, limit), updates, params), state

    transform = optax.GradientTransformation(init, update)
    return transform if mask is None else optax.masked(transform, mask)


def _into_box(update, param, limit):
    limit = jnp.asarray(limit, param.dtype)
    # A compiler may contract the multiplication that made the update and the addition here into one rounding, but not
    # the addition that applies the update later. The barrier makes both see the same, rounded, update.
    update = jax.lax.optimization_barrier(update.astype(param.dtype))
    target = param + update
    shortened = jnp.clip(target, -limit, limit) - param
    landed = param + shortened
    inwards = jnp.where(landed > limit, -jnp.inf, jnp.where(landed < -limit, jnp.inf, shortened))
    return jnp.where(jnp.abs(target) > limit, jnp.nextafter(shortened, inwards.astype(param.dtype)), update)
