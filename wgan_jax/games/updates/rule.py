"""What an update rule is, and the arithmetic that all of them share."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.games.game import Game
from wgan_jax.types import Array, Players, PyTree


class UpdateRule(NamedTuple):
    """A rule by which both players move, as two pure functions.

    Attributes:
        init: ``init(players) -> state``, what the rule remembers before the first step; ``()`` for most.
        step: ``step(players, state) -> (players, state)``.
    """

    init: Callable[[Players[PyTree]], PyTree]
    step: Callable[[Players[PyTree], PyTree], tuple[Players[PyTree], PyTree]]


def stateless(step: Callable[[Players[PyTree]], Players[PyTree]]) -> UpdateRule:
    """The rule of a step that depends on nothing but where the players are.

    Args:
        step: ``step(players) -> players``.

    Returns:
        An UpdateRule whose state is ``()``.
    """
    return UpdateRule(lambda players: (), lambda players, state: (step(players), state))


def add_scaled(x: PyTree, *terms: tuple[Array | float, PyTree]) -> PyTree:
    """x + c_1 y_1 + c_2 y_2 + ... over trees of one structure, each leaf in the type it has in x.

    Args:
        x: a tree of arrays.
        terms: pairs (c, y) of a scalar and a tree like x.

    Returns:
        A tree like x.
    """

    def leaf(value, *others):
        for (scale, _), other in zip(terms, others, strict=True):
            value = value + jnp.asarray(scale, value.dtype) * other
        return value

    return jax.tree.map(leaf, x, *(tree for _, tree in terms))


def project(game: Game, players: Players[PyTree]) -> Players[PyTree]:
    """Both players in their sets: the nearest ones as the game's projections have it.

    Args:
        game: the game.
        players: anywhere.

    Returns:
        Players of trees like the players' own.
    """
    return Players(*(projection(own) for projection, own in zip(game.projections, players, strict=True)))


def in_turn(players: PyTree, move: Callable[[PyTree, str], PyTree], first: str, n_critic: Array | int) -> PyTree:
    """One generator move and ``n_critic`` critic moves, each seeing the moves before it.

    Args:
        players: what ``move`` changes.
        move: ``move(players, name) -> players``.
        first: the player who begins.
        n_critic: critic moves, an integer that may be traced.

    Returns:
        What the last move returned.
    """
    for name in (first, 'generator' if first == 'critic' else 'critic'):
        if name == 'critic':
            players = jax.lax.fori_loop(0, n_critic, lambda _, moved: move(moved, 'critic'), players)
        else:
            players = move(players, name)
    return players


def require_step_size(step_size: Any) -> None:
    """Raises ValueError unless every step size is a positive number; traced ones are not looked at."""
    require('step_size', step_size, lambda x: (x > 0) & (x < math.inf), 'must be a positive number')


def require(name: str, value: Any, holds: Callable[[np.ndarray], Any], what: str) -> None:
    """Raises ValueError, naming the option, where a concrete value does not satisfy ``holds``."""
    if not isinstance(value, jax.core.Tracer) and not np.all(holds(np.asarray(value))):
        raise ValueError(f'{name}={value} {what}')


def require_finite(name: str, value: Any) -> None:
    """Raises ValueError, naming the option, for a concrete value that is not a finite number."""
    require(name, value, np.isfinite, 'must be a finite number')


def require_count(name: str, value: Any) -> None:
    """Raises ValueError, naming the option, for a concrete value that is not an integer >= 1."""
    require(name, value, lambda x: np.issubdtype(x.dtype, np.integer) & (x >= 1), 'must be an integer of at least 1')


def require_share(name: str, value: Any) -> None:
    """Raises ValueError, naming the option, for a concrete value outside [0, 1)."""
    require(name, value, lambda x: (x >= 0) & (x < 1), 'must lie in [0, 1)')


def require_player(name: str, value: str) -> None:
    """Raises ValueError, naming the option, for anything but a player's name."""
    if value not in Players._fields:
        raise ValueError(f'{name}={value} is not a player; there are: {", ".join(Players._fields)}')
