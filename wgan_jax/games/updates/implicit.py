"""Rules that solve an equation in every step: exact for affine fields, by Newton's method for others."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from wgan_jax.games.game import Game, dense, jacobian_product, mixed_product, vector_field
from wgan_jax.games.updates.rule import (
    UpdateRule,
    add_scaled,
    project,
    require_count,
    require_step_size,
    stateless,
)
from wgan_jax.types import Array, Players, PyTree

# Players of up to so many numbers get a dense matrix and an exact solution; larger ones GMRES on products.
DENSE_LIMIT = 256


def solve(
    product: Callable[[Players[PyTree]], Players[PyTree]], right: Players[PyTree], *, dense_limit: int = DENSE_LIMIT
) -> Players[PyTree]:
    """The solution x of the linear system M x = b.

    Args:
        product: x -> M x on Players of trees.
        right: b.
        dense_limit: up to so many numbers the matrix is formed and factorised; above, GMRES runs on the products,
            restarted every 32, until the residual is below sqrt of the float type's resolution times |b|.

    Returns:
        x, Players of trees like b's.
    """
    flat, unravel = ravel_pytree(right)
    if flat.size <= dense_limit:
        return unravel(jnp.linalg.solve(dense(product, right), flat))
    tolerance = float(jnp.finfo(flat.dtype).eps) ** 0.5
    return jax.scipy.sparse.linalg.gmres(product, right, tol=tolerance, restart=32, maxiter=20)[0]


def proximal(game: Game, step_size: Array | float, *, iterations: Array | int = 4) -> UpdateRule:
    """The implicit (backward Euler) step: w <- w+ where w+ = w - eta xi(w+).

    Newton's method from w: w+ <- w+ - (I + eta J(w+))^{-1} (w+ - w + eta xi(w+)).

    Args:
        game: the game.
        step_size: eta > 0.
        iterations: of Newton's method; the first is exact where the field is affine.

    Returns:
        An UpdateRule without a state.

    Raises:
        ValueError: for an option that cannot be used.

    Source: Martinet 1970; Rockafellar 1976.
    """
    require_step_size(step_size)
    require_count('iterations', iterations)

    def step(w):
        def newton(_, ahead):
            residual = add_scaled(ahead, (-1, w), (step_size, vector_field(game, ahead)))
            move = solve(lambda v: add_scaled(v, (step_size, jacobian_product(game, ahead, v))), residual)
            return add_scaled(ahead, (-1, move))

        return project(game, jax.lax.fori_loop(0, iterations, newton, w))

    return stateless(step)


def implicit_midpoint(game: Game, step_size: Array | float, *, iterations: Array | int = 4) -> UpdateRule:
    """The symplectic step that conserves every quadratic invariant: w <- w+ where w+ = w - eta xi((w + w+) / 2).

    Newton's method on the midpoint m = w - (eta / 2) xi(m), then w+ = 2 m - w.

    Args:
        game: the game.
        step_size: eta > 0.
        iterations: of Newton's method; the first is exact where the field is affine.

    Returns:
        An UpdateRule without a state.

    Raises:
        ValueError: for an option that cannot be used.

    Source: Hairer, Lubich and Wanner 2006, section IV.2.1.
    """
    require_step_size(step_size)
    middle = proximal(Game(game.losses), step_size / 2, iterations=iterations)  # the midpoint is free

    def step(w):
        midpoint, _ = middle.step(w, ())
        return project(game, add_scaled(w, (2, add_scaled(midpoint, (-1, w)))))

    return stateless(step)


def competitive(game: Game, step_size: Array | float) -> UpdateRule:
    """Competitive gradient descent: both play the Nash equilibrium of the local bilinear game.

    w <- w - eta (I + eta M)^{-1} xi(w), where M is J without the blocks of a player with itself.

    Args:
        game: the game.
        step_size: eta > 0.

    Returns:
        An UpdateRule without a state.

    Raises:
        ValueError: for a step size that is not positive.

    Source: Schaefer and Anandkumar 2019, eq. 4.
    """
    require_step_size(step_size)

    def step(w):
        xi = vector_field(game, w)
        move = solve(lambda v: add_scaled(v, (step_size, mixed_product(game, w, v))), xi)
        return project(game, add_scaled(w, (-step_size, move)))

    return stateless(step)
