"""What the game launcher computes: every rule's paths and eigenvalues, and maps over step size and option."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.games import UPDATES, Example, UpdateRule, final_state, fitted_rate, simulate, update_eigenvalues
from wgan_jax.types import Array, Players

from ..common.calls import Call

# The option that is swept in a rule's map: name, lowest, highest, and the options held beside it.
SWEEPS = {
    'consensus': ('gamma', 0.02, 4.0, {}),
    'symplectic_adjustment': ('gamma', 0.02, 4.0, {}),
    'heavy_ball': ('beta', -0.98, 0.98, {'alternating': True}),
    'lookahead': ('alpha', 0.02, 1.0, {}),
}
CHANGING = ('averaging',)  # rules whose step is another one each time, so that its eigenvalues say nothing
MAP_SIDE = 48
MAP_STEP_SIZES = (0.02, 2.0)


class Study(NamedTuple):
    """A rule on a game, for E step sizes and S starts over T steps; NumPy arrays.

    Attributes:
        rule: which.
        path: Players of (E, S, T + 1, ...).
        distance: to the equilibrium, (E, S, T + 1).
        fitted: factor per step of the first start's distance, (E,).
        eigenvalues: of one step at the equilibrium, (E, m), complex; NaN where they say nothing: without a
            derivative there, or with a step that changes with time.
        radius: the largest modulus of those, (E,).
    """

    rule: Call
    path: Players
    distance: np.ndarray
    fitted: np.ndarray
    eigenvalues: np.ndarray
    radius: np.ndarray


class Map(NamedTuple):
    """Rates over step size and one option, (options, step sizes); NumPy arrays.

    Attributes:
        option: its name.
        values: of the option.
        step_sizes: the other axis.
        rate: mean factor per step of the distance over the whole run, inf where it overflows.
        radius: the spectral radius at the equilibrium, the rate in the long run.
    """

    option: str
    values: np.ndarray
    step_sizes: np.ndarray
    rate: np.ndarray
    radius: np.ndarray


def distance(players: Players, equilibrium: Players) -> Array:
    """Euclidean distance of both players together; the entries of a player are its last axes."""
    squares = [
        jnp.sum((own - there) ** 2, axis=tuple(range(own.ndim - np.ndim(there), own.ndim)))
        for own, there in zip(players, equilibrium, strict=True)
    ]
    return jnp.sqrt(sum(squares))


def _eigenvalues(name: str, update: UpdateRule, example: Example) -> Array:
    values = update_eigenvalues(update, example.equilibrium)
    return values if example.smooth and name not in CHANGING else jnp.full_like(values, jnp.nan)


def study(rule: Call, example: Example, step_sizes: np.ndarray, starts: Players, num_steps: int) -> Study:
    """Follows a rule from every start with every step size, in one compiled program.

    Args:
        rule: a name in UPDATES with options.
        example: the game with its equilibrium.
        step_sizes: (E,).
        starts: Players of (S, ...).
        num_steps: T.

    Returns:
        A Study.
    """
    make = functools.partial(UPDATES[rule.name], example.game, **rule.options)

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None))
    def run(eta, starts):
        update = make(eta)
        path = jax.vmap(lambda start: simulate(update, start, num_steps))(starts)
        lengths = distance(path, example.equilibrium)
        values = _eigenvalues(rule.name, update, example)
        return path, lengths, fitted_rate(lengths[0]), values, jnp.max(jnp.abs(values))

    path, *rest = run(step_sizes, starts)
    return Study(rule, Players(*map(np.asarray, path)), *map(np.asarray, rest))


def sweepable(rule: Call) -> bool:
    """Whether the rule has an option to map its convergence over, and the user has not fixed it."""
    return rule.name in SWEEPS and SWEEPS[rule.name][0] not in rule.options


def sweep(rule: Call, example: Example, num_steps: int) -> Map:
    """Rates of a rule over step size and its option, in one compiled program.

    Args:
        rule: a sweepable one; its other options are kept.
        example: the game with start and equilibrium.
        num_steps: of the simulated runs.

    Returns:
        A Map.
    """
    option, low, high, held = SWEEPS[rule.name]
    values, step_sizes = np.linspace(low, high, MAP_SIDE), np.linspace(*MAP_STEP_SIZES, MAP_SIDE)

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None))
    @functools.partial(jax.vmap, in_axes=(None, 0))
    def run(value, eta):
        update = UPDATES[rule.name](example.game, eta, **{**held, **rule.options, option: value})
        end = final_state(update, example.start, num_steps, unroll=1)
        ratio = distance(end, example.equilibrium) / distance(example.start, example.equilibrium)
        return ratio ** (1 / num_steps), jnp.max(jnp.abs(_eigenvalues(rule.name, update, example)))

    rate, radius = run(values, step_sizes)
    return Map(option, values, step_sizes, np.asarray(rate), np.asarray(radius))
