"""What stands in an optax chain and optax has not, or has otherwise: RMSProp as released, and weight clipping, last.

>>> params, gradients = jnp.array([0.009, 0.0]), jnp.array([-0.4, 0.001])
>>> optimizer = optax.chain(optax.sgd(0.5), clip_weights(0.01))
>>> updates, _ = optimizer.update(gradients, optimizer.init(params), params)
>>> [round(float(weight), 5) for weight in optax.apply_updates(params, updates)]
[0.01, -0.0005]
>>> first, _ = rmsprop(0.1).update(gradients, rmsprop(0.1).init(params))  # learning rate / sqrt(1 - decay)
>>> [round(float(update), 2) for update in first]
[1.0, -1.0]
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from wgan_jax.types import PyTree


def rmsprop(learning_rate: jax.Array | float, *, decay: jax.Array | float = 0.99) -> optax.GradientTransformation:
    """RMSProp without momentum as PyTorch has it, with which the original WGAN was trained: epsilon outside the root.

    v <- decay v + (1 - decay) g^2 from v = 0, u = -learning_rate g / (sqrt(v) + 1e-8)

    Args:
        learning_rate: may be traced, as may the decay.
        decay: of the mean of squared gradients.

    Returns:
        An ``optax.GradientTransformation``. optax's own has the decay 0.9 and epsilon inside the root, under which
        gradients below 1e-4 hardly move a weight.

    Source: Hinton 2012; the release of Arjovsky et al. 2017 (``torch.optim.RMSprop`` with its defaults).
    """
    return optax.rmsprop(learning_rate, decay=decay, eps=1e-8, eps_in_sqrt=False)


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


def into_box(limit: float | jax.Array, params: PyTree) -> PyTree:
    """The nearest parameters in the box [-limit, limit]: what ``clip_weights`` makes of them without an update.

    Args:
        limit: half the side c of the box, > 0.
        params: a tree of arrays.

    Returns:
        A tree like it, of clip(p, -limit, limit).
    """
    return jax.tree.map(lambda p: jnp.clip(p, -jnp.asarray(limit, p.dtype), jnp.asarray(limit, p.dtype)), params)


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
