"""Every rule on the bilinear game against its closed form. There the field of w = d + i g is i w."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from wgan_jax.games import (
    UPDATES,
    bilinear,
    dirac_gan,
    matching_pennies,
    optax_update,
    quadratic,
    simulate,
    update_jacobian,
    vector_field,
)
from wgan_jax.games.updates.implicit import solve
from wgan_jax.types import Players

STEPS = np.array([0.03, 0.1, 0.5, 0.9, 1.7])
ZERO = Players(np.zeros(()), np.zeros(()))

# One step is w <- m(eta sigma) w along each pair of singular directions of gT A d.
MULTIPLIERS = [
    ('simultaneous', {}, lambda x: 1 - 1j * x),
    ('extragradient', {}, lambda x: 1 - x**2 - 1j * x),
    ('proximal', {}, lambda x: 1 / (1 + 1j * x)),
    ('competitive', {}, lambda x: 1 / (1 + 1j * x)),
    ('implicit_midpoint', {}, lambda x: (1 - 0.5j * x) / (1 + 0.5j * x)),
    ('runge_kutta', {}, lambda x: 1 - 1j * x - x**2 / 2 + 1j * x**3 / 6 + x**4 / 24),
    ('lookahead', {'k': 5, 'alpha': 0.3}, lambda x: 1 - 0.3 + 0.3 * (1 - 1j * x) ** 5),
]


def _complex(players):
    return np.asarray(players.critic) + 1j * np.asarray(players.generator)


def _paths(name, options, num_steps=12, game=None, start=None):
    """Complex paths (number of step sizes, num_steps + 1, ...)."""
    game = bilinear() if game is None else game
    start = Players(jnp.asarray(0.8), jnp.asarray(-1.1)) if start is None else start
    run = jax.jit(jax.vmap(lambda eta: simulate(UPDATES[name](game, eta, **options), start, num_steps)))
    return run(STEPS)


@pytest.mark.parametrize('name, options, multiplier', MULTIPLIERS, ids=[case[0] for case in MULTIPLIERS])
def test_multiplier_on_every_pair_of_singular_directions(name, options, multiplier):
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(3, 2)) / 2
    left, sigma, right = np.linalg.svd(matrix)
    start = Players(jnp.asarray(rng.normal(size=3)), jnp.asarray(rng.normal(size=2)))
    path = _paths(name, options, game=bilinear(matrix), start=start)
    generator, critic = path.generator @ left, path.critic @ right.T
    np.testing.assert_allclose(generator[..., 2], np.full_like(generator[..., 2], generator[0, 0, 2]), rtol=1e-12)
    w = _complex(Players(generator[..., :2], critic))
    powers = multiplier(STEPS[:, None, None] * sigma) ** np.arange(13)[:, None]
    np.testing.assert_allclose(w, powers * w[:, :1], rtol=1e-12, atol=1e-12 * np.abs(w).max())


@pytest.mark.parametrize('name', ['consensus', 'symplectic_adjustment'])
def test_multiplier_of_the_adjusted_rules(name):
    gammas, sigmas = np.array([0.2, 1.0, 3.0]), np.array([0.5, 1.0, 2.0])

    @jax.jit
    @jax.vmap
    def path(eta, gamma, sigma):
        start = Players(jnp.array([0.8]), jnp.array([-1.1]))
        return simulate(UPDATES[name](bilinear(sigma[None, None]), eta, gamma=gamma), start, 12)

    eta, gamma, sigma = (x.ravel() for x in np.meshgrid(STEPS, gammas, sigmas))
    w = _complex(path(eta, gamma, sigma))[..., 0]
    powers = (1 - eta * sigma**2 * gamma - 1j * eta * sigma)[:, None] ** np.arange(13)
    np.testing.assert_allclose(w / powers / w[:, :1], np.ones_like(w), rtol=1e-12)


def test_moduli_at_a_tenth():
    moduli = {
        'extragradient': 0.9950376877,
        'optimistic': 0.9949361530,
        'proximal': 0.9950371902,
        'consensus': 0.9055385138,
    }
    for name, modulus in moduli.items():
        matrix = update_jacobian(UPDATES[name](bilinear(), 0.1), ZERO)
        np.testing.assert_allclose(np.abs(np.linalg.eigvals(matrix)).max(), modulus, rtol=0, atol=5e-11)


def _characteristic(name, options):
    """Coefficients of det(x I - M) for every step size, M the Jacobian of one step in players and memory."""
    run = jax.jit(jax.vmap(lambda eta: update_jacobian(UPDATES[name](bilinear(), eta, **options), ZERO)))
    return [np.poly(matrix) for matrix in np.asarray(run(STEPS))]


def _both_conjugates(coefficients):
    return np.polymul(coefficients, np.conj(coefficients)).real


COMPANIONS = [
    ('alternating', {}, lambda h: [1, h**2 - 2, 1]),
    ('alternating', {'first': 'generator'}, lambda h: [1, h**2 - 2, 1]),
    ('optimistic', {}, lambda h: _both_conjugates([1, -(1 - 2j * h), -1j * h])),
    ('heavy_ball', {'beta': 0.4}, lambda h: _both_conjugates([1, -(1.4 - 1j * h), 0.4])),
    *(
        ('heavy_ball', {'beta': beta, 'alternating': True, 'first': first},
         lambda h, beta=beta: np.polyadd(np.poly([1, 1, beta, beta]), [h**2, 0, 0, 0]))
        for beta in (-0.5, 0.3) for first in ('critic', 'generator')
    ),
]  # fmt: skip


@pytest.mark.parametrize('name, options, polynomial', COMPANIONS)
def test_characteristic_polynomial_of_the_companion_map(name, options, polynomial):
    for eta, coefficients in zip(STEPS, _characteristic(name, options), strict=True):
        np.testing.assert_allclose(coefficients, polynomial(eta), rtol=1e-12, atol=1e-12)


def test_negative_momentum_radius():
    matrix = update_jacobian(UPDATES['heavy_ball'](bilinear(), 0.1, beta=-0.5, alternating=True), ZERO)
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(matrix)).max(), 0.9985177891, rtol=0, atol=5e-11)


def test_optimistic_path_is_its_recurrence_and_starts_with_a_plain_step():
    w = _complex(_paths('optimistic', {}))
    expected = [w[:, 0], w[:, 0] * (1 - 1j * STEPS)]
    for _ in range(11):
        expected.append(expected[-1] * (1 - 2j * STEPS) + 1j * STEPS * expected[-2])
    np.testing.assert_allclose(w, np.stack(expected, axis=1), rtol=1e-12)
    end = simulate(UPDATES['optimistic'](bilinear(), 0.1), Players(1.0, 1.0), 100)
    np.testing.assert_allclose(np.hypot(end.generator[-1], end.critic[-1]), 0.8599852788, rtol=0, atol=5e-11)


@pytest.mark.parametrize('name, options', [('alternating', {}), ('heavy_ball', {'beta': -0.7, 'alternating': True})])
@pytest.mark.parametrize('first', ['critic', 'generator'])
def test_players_in_turn_see_the_move_before(name, options, first):
    path = _paths(name, {**options, 'first': first})
    beta = options.get('beta', 0.0)
    for row, eta in enumerate(STEPS):
        g, d = path.generator[row, 0], path.critic[row, 0]
        g_before, d_before = g, d
        for t in range(1, 13):
            for player in (first, 'generator' if first == 'critic' else 'critic'):
                if player == 'critic':
                    d, d_before = d + eta * g + beta * (d - d_before), d
                else:
                    g, g_before = g - eta * d + beta * (g - g_before), g
            np.testing.assert_allclose((path.generator[row, t], path.critic[row, t]), (g, d), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize('first', ['critic', 'generator'])
def test_n_critic_moves_of_the_critic(first):
    path = _paths('alternating', {'first': first, 'n_critic': 3}, num_steps=1)
    g, d = path.generator[:, 0], path.critic[:, 0]
    if first == 'critic':
        d = d + 3 * STEPS * g
        g = g - STEPS * d
    else:
        g = g - STEPS * d
        d = d + 3 * STEPS * g
    np.testing.assert_allclose(path.generator[:, 1], g, rtol=1e-13)
    np.testing.assert_allclose(path.critic[:, 1], d, rtol=1e-13)


@pytest.mark.parametrize('first, sign', [('critic', 1), ('generator', -1)])
def test_alternating_conserves_its_ellipse(first, sign):
    path = _paths('alternating', {'first': first}, num_steps=1000)
    g, d = np.asarray(path.generator), np.asarray(path.critic)
    ellipse = d**2 + sign * STEPS[:, None] * d * g + g**2
    np.testing.assert_allclose(ellipse / ellipse[:, :1], np.ones_like(ellipse), rtol=1e-12)


def test_implicit_midpoint_conserves_the_norm():
    w = np.abs(_complex(_paths('implicit_midpoint', {}, num_steps=1000)))
    np.testing.assert_allclose(w / w[:, :1], np.ones_like(w), rtol=1e-12)


def test_average_of_simultaneous_iterates_is_exact():
    mean, w = _complex(_paths('averaging', {}, 40)), _complex(_paths('simultaneous', {}, 40))
    n = np.arange(1, 41)
    np.testing.assert_allclose(mean[:, 1:], (w[:, :1] - w[:, 1:]) / (1j * STEPS[:, None] * n), rtol=1e-11, atol=1e-12)
    np.testing.assert_array_equal(mean[:, 0], w[:, 0])


def test_averaging_and_lookahead_take_any_inner_rule():
    inner = UPDATES['extragradient']
    w = _complex(_paths('averaging', {'inner': inner}, 6))
    m = 1 - STEPS**2 - 1j * STEPS
    np.testing.assert_allclose(w[:, -1] / w[:, 0], np.mean(m[:, None] ** np.arange(6), axis=1), rtol=1e-12)
    w = _complex(_paths('lookahead', {'inner': inner, 'k': 3, 'alpha': 0.6}, 2))
    np.testing.assert_allclose(w[:, -1] / w[:, 0], (0.4 + 0.6 * m**3) ** 2, rtol=1e-12)


def test_implicit_rules_solve_their_equations_on_curved_games():
    eta, w = 0.4, Players(jnp.asarray(1.1), jnp.asarray(-0.6))

    def residuals(game):
        ahead, _ = UPDATES['proximal'](game, eta).step(w, ())
        beyond, _ = UPDATES['implicit_midpoint'](game, eta).step(w, ())
        middle = Players(*((a + b) / 2 for a, b in zip(w, beyond, strict=True)))
        return [
            jnp.stack(
                [end - start + eta * slope for end, start, slope in zip(after, w, vector_field(game, at), strict=True)]
            )
            for after, at in ((ahead, ahead), (beyond, middle))
        ]

    for game in (dirac_gan('minimax', r1=0.3), matching_pennies()):
        np.testing.assert_allclose(jax.jit(lambda game=game: residuals(game))(), np.zeros((2, 2)), atol=1e-14)


def test_competitive_step_leaves_out_the_own_blocks():
    # On the quadratic game xi = (e g + d, e d - g); the mixed blocks are those of the bilinear game.
    g, d, eps, eta = 0.7, -0.4, 0.9, 0.3
    path = simulate(UPDATES['competitive'](quadratic(eps), eta), Players(g, d), 1)
    move = np.linalg.solve([[1, eta], [-eta, 1]], [eps * g + d, eps * d - g])
    np.testing.assert_allclose([path.generator[1], path.critic[1]], np.array([g, d]) - eta * move, rtol=1e-13)


def test_adjusted_rules_differ_where_there_is_a_potential():
    # J = [[e, 1], [-1, e]]: J^T xi = (e^2 + 1) w, A^T xi = w + e (-d, g).
    g, d, eps, eta, gamma = 0.7, -0.4, 0.9, 0.3, 0.8
    xi = np.array([eps * g + d, eps * d - g])
    consent, adjusted = (eps**2 + 1) * np.array([g, d]), np.array([g - eps * d, d + eps * g])
    for name, bend in (('consensus', consent), ('symplectic_adjustment', adjusted)):
        path = simulate(UPDATES[name](quadratic(eps), eta, gamma=gamma), Players(g, d), 1)
        expected = np.array([g, d]) - eta * (xi + gamma * bend)
        np.testing.assert_allclose([path.generator[1], path.critic[1]], expected, rtol=1e-13)


def test_gmres_and_the_dense_solution_agree():
    rng = np.random.default_rng(0)
    matrix = jnp.asarray(np.eye(40) + rng.normal(size=(40, 40)) / 10)
    right = Players(jnp.asarray(rng.normal(size=(5, 4))), {'w': jnp.asarray(rng.normal(size=20))})
    flat, unravel = jax.flatten_util.ravel_pytree(right)

    def product(x):
        return unravel(matrix @ jax.flatten_util.ravel_pytree(x)[0])

    for limit, accuracy in ((40, 1e-12), (39, 1e-7)):
        x = jax.jit(lambda b, n=limit: jax.flatten_util.ravel_pytree(solve(product, b, dense_limit=n))[0])(right)
        np.testing.assert_allclose(matrix @ x, flat, rtol=accuracy, atol=accuracy)


def test_optax_rules_are_optax():
    w, eta = Players(1.3, -0.7), 0.2
    for alternating, name in ((False, 'simultaneous'), (True, 'alternating')):
        sgd = optax_update(bilinear(), Players(optax.sgd(eta), optax.sgd(eta)), alternating=alternating)
        for ours, theirs in zip(simulate(UPDATES[name](bilinear(), eta), w, 9), simulate(sgd, w, 9), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-14)
    sgd = optax_update(
        bilinear(), Players(optax.sgd(eta), optax.sgd(2 * eta)), alternating=True, first='generator', n_critic=2
    )
    path = simulate(sgd, w, 1)
    g = 1.3 + eta * 0.7
    np.testing.assert_allclose([path.generator[1], path.critic[1]], [g, -0.7 + 4 * eta * g], rtol=1e-14)
    path = simulate(UPDATES['adam'](bilinear(), 0.1, beta1=0.3, beta2=0.8), w, 6)
    optimizer = optax.adam(0.1, b1=0.3, b2=0.8)
    params, state = w, optimizer.init(w)  # one optimizer over both: every entry has its own moments
    for t in range(6):
        np.testing.assert_allclose([path.generator[t], path.critic[t]], params, rtol=1e-12)
        updates, state = optimizer.update(Players(params.critic, -params.generator), state, params)
        params = optax.apply_updates(params, updates)


@pytest.mark.parametrize('scale', [1.0, 1e-4, 1e-8])  # epsilon is 1e-8: inside the root it would rule from 1e-4 on
@pytest.mark.parametrize('options, decay', [({}, 0.99), ({'decay': 0.7}, 0.7)])
def test_rmsprop_is_that_of_training(scale, options, decay):
    eta = 0.1 * scale
    with jax.enable_x64(True):
        w = np.array([1.3, -0.7]) * scale
        path = simulate(UPDATES['rmsprop'](bilinear(), eta, **options), Players(*w), 6)
        v = np.zeros(2)
        for t in range(7):
            np.testing.assert_allclose([path.generator[t], path.critic[t]], w, rtol=1e-12)
            slope = np.array([w[1], -w[0]])
            v = decay * v + (1 - decay) * slope**2
            w = w - eta * slope / (np.sqrt(v) + 1e-8)


BAD_OPTIONS = [
    ('simultaneous', 0.0, {}, 'step_size=0.0 must be a positive number'),
    ('runge_kutta', -0.1, {}, 'step_size=-0.1 must be a positive number'),
    ('adam', float('nan'), {}, 'step_size=nan must be a positive number'),
    ('averaging', -1, {}, 'step_size=-1 must be a positive number'),
    ('alternating', 0.1, {'first': 'd'}, 'first=d is not a player; there are: generator, critic'),
    ('alternating', 0.1, {'n_critic': 0}, 'n_critic=0 must be an integer of at least 1'),
    ('heavy_ball', 0.1, {'beta': float('inf')}, 'beta=inf must be a finite number'),
    ('lookahead', 0.1, {'k': 2.5}, 'k=2.5 must be an integer'),
    ('lookahead', 0.1, {'alpha': 1.5}, 'alpha=1.5 must lie in'),
    ('proximal', 0.1, {'iterations': 0}, 'iterations=0 must be an integer'),
    ('adam', 0.1, {'beta1': 1}, r'beta1=1 must lie in \[0, 1\)'),
    ('adam', 0.1, {'beta2': float('nan')}, r'beta2=nan must lie in \[0, 1\)'),
    ('rmsprop', 0.1, {'decay': -1}, r'decay=-1 must lie in \[0, 1\)'),
]


@pytest.mark.parametrize('name, step_size, options, message', BAD_OPTIONS)
def test_options_that_cannot_be_used_are_named(name, step_size, options, message):
    with pytest.raises(ValueError, match=message):
        UPDATES[name](bilinear(), step_size, **options)
