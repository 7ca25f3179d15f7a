"""Does a rule settle at a point? Eigenvalues there, the rates they predict, and the largest step that is stable."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from wgan_jax.games.game import Game, jacobian
from wgan_jax.games.updates.rule import UpdateRule, require, require_count
from wgan_jax.ranges import FRACTION
from wgan_jax.types import Array, Players, PyTree


def flow_eigenvalues(game: Game, players: Players[PyTree]) -> Array:
    """Eigenvalues of the continuous descent w' = -xi(w) at a point: those of -J. Negative real parts are stable.

    Args:
        game: the game.
        players: the point, of n numbers in all.

    Returns:
        (n,), complex, in no order.

    Source: Mescheder et al. 2018, section 3.1.
    """
    return jnp.linalg.eigvals(-jacobian(game, players))


def update_jacobian(update: UpdateRule, players: Players[PyTree]) -> Array:
    """The Jacobian of one step in everything that the step changes: the players, and what the rule remembers.

    Args:
        update: a rule on a game.
        players: the point; at a fixed point ``update.init`` gives the state of a rule that has always been there.

    Returns:
        (m, m), with m the numbers of both players and of the rule's state; integers in it are held fixed.
    """
    leaves, tree = jax.tree.flatten((players, update.init(players)))
    floats = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(jnp.result_type(leaf), jnp.floating)]
    flat, unravel = ravel_pytree([jnp.asarray(leaves[i]) for i in floats])

    def step(x):
        whole = list(leaves)
        for i, leaf in zip(floats, unravel(x), strict=True):
            whole[i] = leaf
        after = jax.tree.leaves(update.step(*jax.tree.unflatten(tree, whole)))
        return ravel_pytree([after[i] for i in floats])[0]

    return jax.jacfwd(step)(flat)


def update_eigenvalues(update: UpdateRule, players: Players[PyTree]) -> Array:
    """Eigenvalues of one step at a point, momentum and whatever else the rule keeps included: of ``update_jacobian``.

    Args:
        update: a rule on a game.
        players: the point.

    Returns:
        (m,), complex, in no order, with m the numbers of both players and of the rule's state.
    """
    return jnp.linalg.eigvals(update_jacobian(update, players))


def spectral_radius(update: UpdateRule, players: Players[PyTree]) -> Array:
    """The largest modulus of ``update_eigenvalues``; below 1 the rule converges to a fixed point from nearby.

    In the long run it is the factor by which the distance to the fixed point changes in each step.

    Args:
        update: a rule on a game.
        players: the fixed point.

    Returns:
        A scalar.
    """
    return jnp.max(jnp.abs(update_eigenvalues(update, players)))


def fitted_rate(distances: Array, *, skip: float = 0.5) -> Array:
    """The factor per step of an observed distance: exp of the least-squares slope of its logarithm over time.

    Args:
        distances: to the equilibrium at every step, (T,). Entries that are 0 or not finite carry no rate and are
            left out.
        skip: the share of the path at its beginning that is left out, in [0, 1).

    Returns:
        A scalar; NaN where fewer than two entries are left.

    Raises:
        ValueError: for another share.
    """
    if not isinstance(skip, jax.core.Tracer):
        FRACTION.check('skip', float(skip))
    distances = jnp.asarray(distances)
    time = jnp.arange(distances.shape[-1], dtype=distances.dtype)
    counts = (distances > 0) & jnp.isfinite(distances) & (time >= skip * (distances.shape[-1] - 1))
    weights = counts / jnp.maximum(jnp.sum(counts), 1)
    logs = jnp.log(jnp.where(counts, distances, 1))
    centred = time - jnp.sum(weights * time)
    slope = jnp.sum(weights * centred * logs) / jnp.sum(weights * centred**2)
    return jnp.exp(slope)


def largest_stable_step(
    rule: Callable[[Array], UpdateRule],
    players: Players[PyTree],
    *,
    upper: Array | float = 4.0,
    slack: float = 0.0,
    iterations: int = 48,
) -> Array:
    """The step size up to which a rule converges to a fixed point from nearby, by bisection.

    Finds the end of the interval (0, eta*) on which the spectral radius stays below 1 + slack, if the stable step sizes
    are such an interval.

    Args:
        rule: step size -> UpdateRule; it is called with traced values, so that vmap over its options works.
        players: the fixed point.
        upper: where the search begins; the result is ``upper`` when that is stable itself.
        slack: by how much the radius may exceed 1; a little (1e-9) takes rules for stable that conserve.
        iterations: halvings of the interval [0, upper].

    Returns:
        A scalar, below eta* by at most upper / 2^iterations and rounding; 0 when no step size is stable.

    Raises:
        ValueError: for an ``upper`` that is not positive, or fewer than one iteration.
    """
    require('upper', upper, lambda x: (x > 0) & (x < math.inf), 'must be a positive number')
    require_count('iterations', iterations)
    upper = jnp.asarray(upper, ravel_pytree(players)[0].dtype)

    def stable(step_size):
        return spectral_radius(rule(step_size), players) < 1 + slack

    def halve(_, ends):
        low, high = ends
        middle = (low + high) / 2
        good = stable(middle)
        return jnp.where(good, middle, low), jnp.where(good, high, middle)

    low, _ = jax.lax.fori_loop(0, iterations, halve, (jnp.zeros_like(upper), upper))
    return jnp.where(stable(upper), upper, low)
