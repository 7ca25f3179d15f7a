"""Rules made of others: lookahead, averaging, and any optax optimizer for each player."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from wgan_jax import transforms
from wgan_jax.games.game import Game, gradient, vector_field
from wgan_jax.games.updates.explicit import simultaneous
from wgan_jax.games.updates.rule import (
    UpdateRule,
    add_scaled,
    in_turn,
    require,
    require_count,
    require_player,
    require_share,
    require_step_size,
)
from wgan_jax.types import Array, Players

Inner = Callable[[Game, Array | float], UpdateRule]


def lookahead(
    game: Game,
    step_size: Array | float,
    *,
    k: Array | int = 5,
    alpha: Array | float = 0.5,
    inner: Inner = simultaneous,
) -> UpdateRule:
    """One outer step: k inner steps w -> w_k, then back: w <- w + alpha (w_k - w), both players together.

    Args:
        game: the game.
        step_size: eta > 0 of the inner rule.
        k: inner steps per outer step.
        alpha: the share of the way that is kept, in (0, 1].
        inner: makes the inner rule, whose state goes on from one outer step to the next.

    Returns:
        An UpdateRule; its state is the inner rule's.

    Raises:
        ValueError: for an option that cannot be used.

    Source: Zhang et al. 2019; lookahead-minmax, Chavdarova et al. 2021, algorithm 1.
    """
    require_count('k', k)
    require('alpha', alpha, lambda x: (x > 0) & (x <= 1), 'must lie in (0, 1]')
    rule = inner(game, step_size)

    def step(w, state):
        ahead, state = jax.lax.fori_loop(0, k, lambda _, pair: rule.step(*pair), (w, state))
        return add_scaled(w, (alpha, add_scaled(ahead, (-1, w)))), state

    return UpdateRule(rule.init, step)


def averaging(game: Game, step_size: Array | float, *, inner: Inner = simultaneous) -> UpdateRule:
    """The mean of another rule's iterates: after n steps the players are (w_0 + ... + w_{n-1}) / n.

    Args:
        game: the game.
        step_size: eta > 0 of the inner rule.
        inner: makes the rule whose iterates w_t are averaged; they are in the state, with that rule's own and n.

    Returns:
        An UpdateRule; its state is (w, the inner rule's state, n).

    Raises:
        ValueError: for a step size that is not positive.

    Source: Bruck 1977; for GANs, Gidel et al. 2019, eq. 10.
    """
    rule = inner(game, step_size)

    def step(mean, state):
        w, inner_state, n = state
        mean = jax.tree.map(lambda m, x: m + (x - m) / (n + 1), mean, w)
        return mean, (*rule.step(w, inner_state), n + 1)

    return UpdateRule(lambda w: (w, rule.init(w), jnp.zeros((), jnp.int32)), step)


def optax_update(
    game: Game,
    optimizers: Players[optax.GradientTransformation],
    *,
    alternating: bool = False,
    first: str = 'critic',
    n_critic: Array | int = 1,
) -> UpdateRule:
    """Each player moves by an optax optimizer of its own.

    Args:
        game: the game.
        optimizers: Players of ``optax.GradientTransformation``.
        alternating: the players move in turn, rather than at once.
        first: who moves first when they alternate, 'critic' or 'generator'.
        n_critic: critic moves per generator move when they alternate.

    Returns:
        An UpdateRule; its state is Players of the optimizers' states.

    Raises:
        ValueError: for an option that cannot be used.
    """
    require_player('first', first)
    require_count('n_critic', n_critic)

    def moved(w, state, own_gradient, name):
        own, optimizer = getattr(w, name), getattr(optimizers, name)
        updates, own_state = optimizer.update(own_gradient, getattr(state, name), own)
        return getattr(game.projections, name)(optax.apply_updates(own, updates)), own_state

    def move(pair, name):
        w, state = pair
        own, own_state = moved(w, state, gradient(game, w, name), name)
        return w._replace(**{name: own}), state._replace(**{name: own_state})

    def step(w, state):
        if alternating:
            return in_turn((w, state), move, first, n_critic)
        gradients = vector_field(game, w)
        pairs = (moved(w, state, getattr(gradients, name), name) for name in Players._fields)
        return tuple(Players(*halves) for halves in zip(*pairs, strict=True))

    return UpdateRule(lambda w: Players(*(o.init(own) for o, own in zip(optimizers, w, strict=True))), step)


def adam(
    game: Game, step_size: Array | float, *, beta1: float = 0.9, beta2: float = 0.999, alternating: bool = False
) -> UpdateRule:
    """Adam for both players.

    m <- beta1 m + (1 - beta1) g, v <- beta2 v + (1 - beta2) g^2,
    w <- w - eta m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + 1e-8) after t steps, from m = v = 0.

    Args:
        game: the game.
        step_size: eta > 0.
        beta1: decay of the mean of gradients.
        beta2: decay of the mean of squared gradients.
        alternating: the players move in turn, the critic first, rather than at once.

    Returns:
        An UpdateRule; its state is Players of optax states.

    Raises:
        ValueError: for a step size that is not positive, and decays outside [0, 1).

    Source: Kingma and Ba 2015, algorithm 1.
    """
    require_step_size(step_size)
    for name, value in (('beta1', beta1), ('beta2', beta2)):
        require_share(name, value)
    optimizer = optax.adam(step_size, b1=beta1, b2=beta2)
    return optax_update(game, Players(optimizer, optimizer), alternating=alternating)


def rmsprop(game: Game, step_size: Array | float, *, decay: float = 0.99, alternating: bool = False) -> UpdateRule:
    """RMSProp for both players, that of training: see ``transforms.rmsprop`` for its equation.

    Args:
        game: the game.
        step_size: eta > 0.
        decay: of the mean of squared gradients.
        alternating: the players move in turn, the critic first, rather than at once.

    Returns:
        An UpdateRule; its state is Players of optax states.

    Raises:
        ValueError: for a step size that is not positive, and a decay outside [0, 1).

    Source: Hinton 2012.
    """
    require_step_size(step_size)
    require_share('decay', decay)
    optimizer = transforms.rmsprop(step_size, decay=decay)
    return optax_update(game, Players(optimizer, optimizer), alternating=alternating)
