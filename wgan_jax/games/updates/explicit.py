"""Rules that evaluate the players' gradients and nothing else. xi is the game's vector field, eta the step size."""

from wgan_jax.games.game import Game, gradient, vector_field
from wgan_jax.games.updates.rule import (
    UpdateRule,
    add_scaled,
    in_turn,
    project,
    require_count,
    require_finite,
    require_player,
    require_step_size,
    stateless,
)
from wgan_jax.types import Array


def simultaneous(game: Game, step_size: Array | float) -> UpdateRule:
    """Both players descend at once: w <- w - eta xi(w).

    Args:
        game: the game.
        step_size: eta > 0; may be traced, as may every number among the options of all rules.

    Returns:
        An UpdateRule without a state.

    Raises:
        ValueError: for a step size that is not positive.
    """
    require_step_size(step_size)
    return stateless(lambda w: project(game, add_scaled(w, (-step_size, vector_field(game, w)))))


def alternating(
    game: Game, step_size: Array | float, *, first: str = 'critic', n_critic: Array | int = 1
) -> UpdateRule:
    """The players descend in turn, the second seeing the first one's move.

    d <- d - eta grad_d L_d(g, d), then g <- g - eta grad_g L_g(g, d).

    Args:
        game: the game.
        step_size: eta > 0.
        first: who moves first, 'critic' or 'generator'.
        n_critic: critic moves per generator move.

    Returns:
        An UpdateRule without a state.

    Raises:
        ValueError: for an option that cannot be used.
    """
    require_step_size(step_size)
    require_player('first', first)
    require_count('n_critic', n_critic)

    def move(w, name):
        own = add_scaled(getattr(w, name), (-step_size, gradient(game, w, name)))
        return w._replace(**{name: getattr(game.projections, name)(own)})

    return stateless(lambda w: in_turn(w, move, first, n_critic))


def extragradient(game: Game, step_size: Array | float) -> UpdateRule:
    """Steps with the gradient found one step ahead: w~ = w - eta xi(w), w <- w - eta xi(w~).

    Args:
        game: the game.
        step_size: eta > 0; may be traced.

    Returns:
        An UpdateRule without a state.

    Raises:
        ValueError: for a step size that is not positive.

    Source: Korpelevich 1976; Gidel et al. 2019, section 3.
    """
    require_step_size(step_size)

    def step(w):
        ahead = project(game, add_scaled(w, (-step_size, vector_field(game, w))))
        return project(game, add_scaled(w, (-step_size, vector_field(game, ahead))))

    return stateless(step)


def optimistic(game: Game, step_size: Array | float) -> UpdateRule:
    """Extrapolates from the last field: w_{t+1} = w_t - 2 eta xi(w_t) + eta xi(w_{t-1}), with xi(w_{-1}) = xi(w_0).

    So the first step is a plain one.

    Args:
        game: the game.
        step_size: eta > 0; may be traced.

    Returns:
        An UpdateRule whose state is the last field.

    Raises:
        ValueError: for a step size that is not positive.

    Source: Daskalakis et al. 2018, eq. 2.
    """
    require_step_size(step_size)

    def step(w, last):
        field = vector_field(game, w)
        return project(game, add_scaled(w, (-2 * step_size, field), (step_size, last))), field

    return UpdateRule(lambda w: vector_field(game, w), step)


def runge_kutta(game: Game, step_size: Array | float) -> UpdateRule:
    """The classical fourth-order Runge-Kutta method on the flow w' = -xi(w), with time step eta.

    k_1 = xi(w), k_2 = xi(w - eta k_1 / 2), k_3 = xi(w - eta k_2 / 2), k_4 = xi(w - eta k_3),
    w <- w - eta (k_1 + 2 k_2 + 2 k_3 + k_4) / 6. A player's set may be left during the four stages.

    Args:
        game: the game.
        step_size: eta > 0; may be traced.

    Returns:
        An UpdateRule without a state.

    Raises:
        ValueError: for a step size that is not positive.

    Source: Kutta 1901; for GANs, Qin et al. 2020.
    """
    require_step_size(step_size)

    def step(w):
        k1 = vector_field(game, w)
        k2 = vector_field(game, add_scaled(w, (-step_size / 2, k1)))
        k3 = vector_field(game, add_scaled(w, (-step_size / 2, k2)))
        k4 = vector_field(game, add_scaled(w, (-step_size, k3)))
        sixth = -step_size / 6
        return project(game, add_scaled(w, (sixth, k1), (2 * sixth, k2), (2 * sixth, k3), (sixth, k4)))

    return stateless(step)


def heavy_ball(
    game: Game,
    step_size: Array | float,
    *,
    beta: Array | float = -0.5,
    alternating: bool = False,
    first: str = 'critic',
) -> UpdateRule:
    """Momentum: w_{t+1} = w_t - eta grad + beta (w_t - w_{t-1}), with w_{-1} = w_0.

    Args:
        game: the game.
        step_size: eta > 0.
        beta: the momentum; negative values damp rotation.
        alternating: the players move in turn, each with its own momentum.
        first: who moves first when they alternate, 'critic' or 'generator'.

    Returns:
        An UpdateRule whose state is where the players were before.

    Raises:
        ValueError: for an option that cannot be used.

    Source: Polyak 1964; negative momentum in games, Gidel et al. 2019b.
    """
    require_step_size(step_size)
    require_finite('beta', beta)
    require_player('first', first)

    def pushed(now, before, slope):
        return add_scaled(now, (-step_size, slope), (beta, add_scaled(now, (-1, before))))

    def move(pair, name):
        w, before = pair
        own = pushed(getattr(w, name), getattr(before, name), gradient(game, w, name))
        own = getattr(game.projections, name)(own)
        return w._replace(**{name: own}), before._replace(**{name: getattr(w, name)})

    def step(w, before):
        if alternating:
            return in_turn((w, before), move, first, 1)
        return project(game, pushed(w, before, vector_field(game, w))), w

    return UpdateRule(lambda w: w, step)
