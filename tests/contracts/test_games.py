"""What every update rule must satisfy on every game: the equilibrium stays, small steps follow the flow, one start
among many moves as it would alone, and divergence is never NaN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.games import GAMES, UPDATES, final_state, vector_field
from wgan_jax.types import Players

EXAMPLES = {name: make() for name, make in GAMES.items()}
QUICK = {'xla_backend_optimization_level': 0}  # of programs that run once
# Adaptive and adjusted rules do not step along the field alone, and the mean of one iterate is that iterate.
NOT_A_STEP_OF_THE_FLOW = ('adam', 'rmsprop', 'averaging', 'consensus', 'symplectic_adjustment')
SHARE_OF_A_STEP = {'lookahead': 5 * 0.5}  # what the default options make of one step


def _distance(a, b):
    return jnp.sqrt(sum(jnp.sum((x - y) ** 2) for x, y in zip(a, b, strict=True)))


def _size(a):
    return _distance(a, Players(*map(jnp.zeros_like, a)))


@pytest.mark.parametrize('name', GAMES)
def test_nobody_wants_to_move_at_the_equilibrium(name):
    with jax.enable_x64(True):
        example = EXAMPLES[name]
        assert _size(vector_field(example.game, example.equilibrium)) < 1e-15
        assert _size(vector_field(example.game, example.start)) > 0.01
        assert jax.tree.map(np.shape, example.start) == jax.tree.map(np.shape, example.equilibrium)


def _facts(rule, example):
    """All that is asserted of one rule on one game. One loop serves all: compiling is what takes time here."""
    game, start, equilibrium, _ = example
    start = Players(*(0.7 * own for own in start))  # inside the clipped critic's box, not on its edge

    def follow(eta, w, num_steps):
        return final_state(rule(game, eta), w, num_steps, unroll=1)

    starts = Players(*(jnp.stack([e, s, s]) for e, s in zip(equilibrium, start, strict=True)))
    ends = jax.vmap(follow)(jnp.array([0.3, 1e-6, 0.3]), starts, jnp.array([3, 1, 6]))
    stays, moved, followed = (Players(*(x[i] for x in ends)) for i in range(3))
    return {
        'stays': _distance(stays, equilibrium),
        'slope': Players(*((x - y) / 1e-6 for x, y in zip(moved, start, strict=True))),
        'field': vector_field(game, start),
        'followed': followed,
    }


# Every rule on half of the games and every game with half of the rules, the other halves among the slow tests.
HALVES = [(name, half) for name in UPDATES for half in (0, 1)]


@pytest.mark.parametrize(
    ('name', 'half'), [pytest.param(*pair, marks=pytest.mark.slow if pair[1] else ()) for pair in HALVES]
)
def test_rule_on_every_game(name, half):
    number = list(UPDATES).index(name)
    with jax.enable_x64(True):
        every = {
            game: jax.jit(lambda example=example: _facts(UPDATES[name], example), compiler_options=QUICK)()
            for i, (game, example) in enumerate(EXAMPLES.items())
            if (number + i) % 2 == half
        }
        for game, facts in every.items():
            assert facts['stays'] < 1e-14, game
            for end, start in zip(facts['followed'], EXAMPLES[game].start, strict=True):
                assert end.dtype == jnp.float64 and end.shape == start.shape and jnp.isfinite(end).all(), game
            if name not in NOT_A_STEP_OF_THE_FLOW:
                share = SHARE_OF_A_STEP.get(name, 1.0)
                flow = Players(*(-share * x for x in facts['field']))
                assert _distance(facts['slope'], flow) < 1e-4, game


@pytest.mark.parametrize('name', UPDATES)
def test_divergence_is_never_nan(name):
    def run(start):
        return {
            game: final_state(UPDATES[name](EXAMPLES[game].game, 1e3), start, 60, unroll=1)
            for game in ('bilinear', 'quadratic', 'dirac_minimax', 'dirac_wgan_gp', 'matching_pennies')
        }

    ends = jax.jit(run, compiler_options=QUICK)(Players(jnp.float32(3e37), jnp.float32(-1e37)))
    for game, end in ends.items():
        assert not any(bool(jnp.isnan(x)) for x in end), game
