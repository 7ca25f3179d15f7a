"""Rules that bend the field with its own Jacobian J: consensus optimisation and symplectic gradient adjustment."""

from wgan_jax.games.game import Game, jacobian_product, transposed_product, vector_field
from wgan_jax.games.updates.rule import (
    UpdateRule,
    add_scaled,
    project,
    require_finite,
    require_step_size,
    stateless,
)
from wgan_jax.types import Array


def consensus(game: Game, step_size: Array | float, *, gamma: Array | float = 1.0) -> UpdateRule:
    """Also descends the field's size: w <- w - eta (xi + gamma grad |xi|^2 / 2), where grad |xi|^2 / 2 = J^T xi.

    Args:
        game: the game.
        step_size: eta > 0.
        gamma: weight of the second term.

    Returns:
        An UpdateRule without a state.

    Raises:
        ValueError: for an option that cannot be used.

    Source: Mescheder et al. 2017, algorithm 2.
    """
    require_step_size(step_size)
    require_finite('gamma', gamma)

    def step(w):
        xi = vector_field(game, w)
        consent = transposed_product(game, w, xi)
        return project(game, add_scaled(w, (-step_size, add_scaled(xi, (gamma, consent)))))

    return stateless(step)


def symplectic_adjustment(game: Game, step_size: Array | float, *, gamma: Array | float = 1.0) -> UpdateRule:
    """Turns the field towards the fixed point: w <- w - eta (xi + gamma A^T xi) with A = (J - J^T) / 2.

    Args:
        game: the game.
        step_size: eta > 0.
        gamma: weight of the adjustment (the paper's lambda, without its alignment of the sign).

    Returns:
        An UpdateRule without a state.

    Raises:
        ValueError: for an option that cannot be used.

    Source: Balduzzi et al. 2018, section 3, eq. 3.
    """
    require_step_size(step_size)
    require_finite('gamma', gamma)

    def step(w):
        xi = vector_field(game, w)
        forward, transposed = jacobian_product(game, w, xi), transposed_product(game, w, xi)
        half = gamma / 2
        return project(game, add_scaled(w, (-step_size, add_scaled(xi, (half, transposed), (-half, forward)))))

    return stateless(step)
