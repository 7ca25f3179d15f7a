"""A game of two players: two losses, the vector field they make, and its Jacobian.

>>> def generator_loss(w):
...     return w.generator**2 / 2 + w.generator * w.critic
>>> def critic_loss(w):
...     return w.critic**2 - w.generator * w.critic
>>> game, players = Game(Players(generator_loss, critic_loss)), Players(3.0, 2.0)
>>> field = vector_field(game, players)
>>> float(field.generator), float(field.critic)
(5.0, 1.0)
>>> jacobian(game, players).tolist()
[[1.0, 1.0], [-1.0, 2.0]]
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from wgan_jax.types import Array, Players, PyTree


def _everywhere(params: PyTree) -> PyTree:
    return params


class Game(NamedTuple):
    """Two players, each of whom minimises a loss of both players' parameters by changing its own.

    Attributes:
        losses: Players of functions ``loss(players) -> scalar``, where ``players`` is Players of any pytrees of
            floating-point arrays.
        projections: Players of functions ``project(params) -> params`` onto the set a player must stay in; update
            rules apply them after each of a player's moves. By default the players may go everywhere.
    """

    losses: Players[Callable[[Players[PyTree]], Array]]
    projections: Players[Callable[[PyTree], PyTree]] = Players(_everywhere, _everywhere)


def gradient(game: Game, players: Players[PyTree], name: str) -> PyTree:
    """The gradient of one player's loss in its own parameters.

    Args:
        game: the game.
        players: where the gradient is taken.
        name: 'generator' or 'critic'.

    Returns:
        A tree like that player's parameters.
    """
    loss = getattr(game.losses, name)
    return jax.grad(lambda own: loss(players._replace(**{name: own})))(getattr(players, name))


def vector_field(game: Game, players: Players[PyTree]) -> Players[PyTree]:
    """xi(w) = (grad_g L_g, grad_d L_d): each player's gradient; w' = -xi(w) is simultaneous gradient descent's flow.

    Args:
        game: the game.
        players: the point w.

    Returns:
        Players of trees like the players' own.

    Source: Balduzzi et al. 2018, section 2.
    """
    return Players(*(gradient(game, players, name) for name in Players._fields))


def jacobian_product(game: Game, players: Players[PyTree], tangent: Players[PyTree]) -> Players[PyTree]:
    """J(w) v, the derivative of the field along v, at the cost of a few gradients.

    Args:
        game: the game.
        players: the point w.
        tangent: v, Players of trees like the players' own.

    Returns:
        Players of trees like the players' own.
    """
    return jax.jvp(lambda w: vector_field(game, w), (players,), (tangent,))[1]


def transposed_product(game: Game, players: Players[PyTree], cotangent: Players[PyTree]) -> Players[PyTree]:
    """J(w)^T v; with v = xi(w) it is the gradient of |xi|^2 / 2.

    Args:
        game: the game.
        players: the point w.
        cotangent: v, Players of trees like the players' own.

    Returns:
        Players of trees like the players' own.
    """
    return jax.vjp(lambda w: vector_field(game, w), players)[1](cotangent)[0]


def mixed_product(game: Game, players: Players[PyTree], tangent: Players[PyTree]) -> Players[PyTree]:
    """(D_gd L_g v_d, D_dg L_d v_g): J(w) v without the blocks in which a player answers to itself.

    Args:
        game: the game.
        players: the point w.
        tangent: v, Players of trees like the players' own.

    Returns:
        Players of trees like the players' own.
    """
    still = jax.tree.map(jnp.zeros_like, tangent)
    answers = [
        getattr(jacobian_product(game, players, still._replace(**{other: getattr(tangent, other)})), name)
        for name, other in zip(Players._fields, reversed(Players._fields), strict=True)
    ]
    return Players(*answers)


def jacobian(game: Game, players: Players[PyTree]) -> Array:
    """The dense Jacobian J(w) of the field.

    Args:
        game: the game.
        players: the point w, of n numbers in all.

    Returns:
        (n, n); rows and columns in the order of ``ravel_pytree(players)``: the generator's numbers, then the critic's.
    """
    return dense(lambda tangent: jacobian_product(game, players, tangent), players)


def dense(product: Callable[[PyTree], PyTree], like: PyTree) -> Array:
    """The matrix of a linear map between trees of one kind.

    Args:
        product: x -> M x on trees like ``like``.
        like: a tree of n numbers in all.

    Returns:
        M, (n, n); rows and columns in the order of ``ravel_pytree(like)``.
    """
    flat, unravel = ravel_pytree(like)
    columns = jax.vmap(lambda unit: ravel_pytree(product(unravel(unit)))[0])(jnp.eye(flat.size, dtype=flat.dtype))
    return columns.T


def potential_hamiltonian_split(game: Game, players: Players[PyTree]) -> tuple[Array, Array]:
    """J = S + A with S = (J + J^T) / 2 (potential: descends a function) and A = (J - J^T) / 2 (Hamiltonian: rotates).

    Args:
        game: the game.
        players: the point, of n numbers in all.

    Returns:
        (S, A), each (n, n).

    Source: Balduzzi et al. 2018, lemma 1.
    """
    matrix = jacobian(game, players)
    return (matrix + matrix.T) / 2, (matrix - matrix.T) / 2
