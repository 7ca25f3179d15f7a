"""A rule followed through time: the whole path, or the end of it alone.

Both functions take one start; ``jax.vmap`` makes them run over many, over step sizes and over any traced option:

    jax.vmap(lambda eta: final_state(UPDATES['simultaneous'](game, eta), start, 100))(jnp.array([0.01, 0.1]))
"""

from typing import Any

import jax
import jax.numpy as jnp

from wgan_jax.games.updates.rule import UpdateRule, require_count
from wgan_jax.types import Array, Players, PyTree


def _as_arrays(players: Players[PyTree]) -> Players[PyTree]:
    """Numbers as floating-point arrays whose type does not depend on what they meet."""
    if not isinstance(players, tuple) or len(players) != len(Players._fields):
        raise ValueError(f'start must be Players(generator, critic), got {type(players).__name__}')
    return Players(*jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(x, float)), tuple(players)))


def _hold_infinities(before: Players[PyTree], after: Players[PyTree]) -> Players[PyTree]:
    """Infinity with the sign of the number before in place of NaN, which inf - inf and 0 * inf make."""
    return jax.tree.map(lambda x, y: jnp.where(jnp.isnan(y), jnp.copysign(jnp.inf, x), y), before, after)


def guarded_step(update: UpdateRule, pair: tuple[Players[PyTree], Any]) -> tuple[Players[PyTree], Any]:
    """One step of (players, state) after which no player's number is NaN.

    Args:
        update: a rule on a game.
        pair: the players, and the rule's state.

    Returns:
        The next pair; in place of a NaN stands infinity with the sign of the number before.
    """
    players, state = update.step(*pair)
    return _hold_infinities(pair[0], players), state


def simulate(update: UpdateRule, start: Players[PyTree], num_steps: int) -> Players[PyTree]:
    """The path of both players.

    A path that leaves the range of its floating-point type goes on as inf or -inf and never as NaN: a number that an
    undefined difference or product would follow becomes infinite with the sign it had.

    Args:
        update: a rule on a game.
        start: Players of numbers or trees of arrays.
        num_steps: at least 1; not traced, for it is part of the shape.

    Returns:
        Players of trees like the start's, whose leaves have a leading axis of num_steps + 1 entries, the start first.

    Raises:
        ValueError: for fewer than one step, or a start that is not Players.
    """
    require_count('num_steps', num_steps)
    players = _as_arrays(start)

    def body(state, _):
        state = guarded_step(update, state)
        return state, state[0]

    _, path = jax.lax.scan(body, (players, update.init(players)), length=num_steps)
    return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), players, path)


def final_state(
    update: UpdateRule, start: Players[PyTree], num_steps: Array | int, *, unroll: int = 4
) -> Players[PyTree]:
    """Both players after the last step; no path is kept, so the memory does not grow with the number of steps.

    Args:
        update: a rule on a game.
        start: Players of numbers or trees of arrays.
        num_steps: at least 1; may be traced.
        unroll: steps compiled into one turn of the loop. With many starts of a small game a turn is one pass over the
            memory that holds them, so four steps a turn are nearly four times as fast; with large players 1 compiles
            sooner.

    Returns:
        Players of trees like the start's. Divergence is reported as by ``simulate``.

    Raises:
        ValueError: for fewer than one step, or a start that is not Players.
    """
    require_count('num_steps', num_steps)
    require_count('unroll', unroll)
    players = _as_arrays(start)

    def turn(_, state):
        for _ in range(unroll):
            state = guarded_step(update, state)
        return state

    state = (players, update.init(players))
    state = jax.lax.fori_loop(0, num_steps // unroll, turn, state)
    state = jax.lax.fori_loop(0, num_steps % unroll, lambda _, state: guarded_step(update, state), state)
    return state[0]
