"""Thresholds from both sides, predicted against fitted rates, and the step sizes that bisection finds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.games import (
    UPDATES,
    bilinear,
    dirac_gan,
    final_state,
    fitted_rate,
    flow_eigenvalues,
    largest_stable_step,
    matching_pennies,
    quadratic,
    simulate,
    spectral_radius,
    update_eigenvalues,
    update_jacobian,
)
from wgan_jax.types import Players

ZERO = Players(np.float64(0), np.float64(0))
GAMMAS = np.array([0.2, 0.5, 1.0, 4.0])


def _stable_steps(name, game, zero=ZERO, slack=0.0, **options):
    """The largest stable step for each value of the one option that is an array, if there is one."""
    swept = {key: value for key, value in options.items() if isinstance(value, np.ndarray)}
    fixed = {key: value for key, value in options.items() if key not in swept}

    def one(values):
        return largest_stable_step(
            lambda eta: UPDATES[name](game, eta, **fixed, **values), zero, slack=slack, iterations=50
        )

    return jax.jit(jax.vmap(one) if swept else one)(swept)


THRESHOLDS = [
    ('extragradient', {}, 1.0),
    ('optimistic', {}, 1 / np.sqrt(3)),
    ('consensus', {'gamma': GAMMAS}, 2 * GAMMAS / (1 + GAMMAS**2)),
    ('symplectic_adjustment', {'gamma': GAMMAS}, 2 * GAMMAS / (1 + GAMMAS**2)),
]


@pytest.mark.parametrize('name, options, threshold', THRESHOLDS, ids=[case[0] for case in THRESHOLDS])
def test_thresholds_of_the_bilinear_game_from_both_sides(name, options, threshold):
    np.testing.assert_allclose(_stable_steps(name, bilinear(), **options), threshold, rtol=1e-11)
    gammas, thresholds = np.atleast_1d(options.get('gamma', 0.0)), np.atleast_1d(threshold)

    @jax.jit
    @jax.vmap
    def shrinks(eta, gamma):
        update = UPDATES[name](bilinear(), eta, **({'gamma': gamma} if options else {}))
        end = final_state(update, Players(1.0, 1.0), 20_000)
        return spectral_radius(update, ZERO), jnp.hypot(*end)

    radius, distance = shrinks(0.999 * thresholds, gammas)
    assert np.all(radius < 1) and np.all(distance < 0.5)
    radius, distance = shrinks(1.001 * thresholds, gammas)
    assert np.all(radius > 1) and np.all(distance > 4)


def test_alternating_is_bounded_below_2_linear_at_2_and_diverges_above():
    np.testing.assert_allclose(_stable_steps('alternating', bilinear(), slack=1e-9), 2, rtol=1e-12)
    run = jax.jit(lambda eta, n: final_state(UPDATES['alternating'](bilinear(), eta), Players(1.0, 1.0), n))
    below = [np.hypot(*run(1.999, n)) for n in (999, 10_000)]
    assert max(below) < 100  # the ellipse's axes are as 1 to sqrt((2 + eta) / (2 - eta)) = 63
    above = np.hypot(*run(2.001, 1000))
    assert above > 1e12
    matrix = update_jacobian(UPDATES['alternating'](bilinear(), 2.0), ZERO)
    jordan = np.asarray(matrix) + np.eye(2)
    assert np.abs(jordan).max() > 1 and np.abs(jordan @ jordan).max() == 0
    lengths = np.array([np.hypot(*run(2.0, n)) for n in (1000, 2000, 3000)])
    np.testing.assert_allclose(np.diff(lengths), np.full(2, np.hypot(*(jordan @ [1, 1])) * 1000), rtol=1e-6)
    eigenvalues = np.asarray(update_eigenvalues(UPDATES['alternating'](bilinear(), 0.3), ZERO))
    angle = 2 * np.arcsin(0.15)
    np.testing.assert_allclose(np.sort_complex(eigenvalues), np.exp([-1j * angle, 1j * angle]), rtol=1e-13)


def test_extragradient_is_fastest_at_its_best_step():
    radius = jax.jit(jax.vmap(lambda eta: spectral_radius(UPDATES['extragradient'](bilinear(), eta), ZERO)))
    best = 1 / np.sqrt(2)
    left, middle, right = radius(np.array([best - 1e-3, best, best + 1e-3]))
    np.testing.assert_allclose(middle**2, 3 / 4, rtol=1e-13)
    assert left > middle < right


def test_rules_that_never_or_always_converge():
    for name in ('simultaneous', 'heavy_ball'):
        assert _stable_steps(name, bilinear(), **({'beta': 0.5} if name == 'heavy_ball' else {})) < 1e-7
    assert _stable_steps('proximal', bilinear()) == 4 == _stable_steps('competitive', bilinear())
    betas, etas = np.meshgrid(np.linspace(-0.99, 0.99, 23), np.array([0.01, 0.1, 1.0]))
    radius = jax.jit(
        jax.vmap(lambda beta, eta: spectral_radius(UPDATES['heavy_ball'](bilinear(), eta, beta=beta), ZERO))
    )
    assert np.all(radius(betas.ravel(), etas.ravel()) > 1)


def test_optimistic_modulus_and_runge_kutta_modulus():
    etas = np.array([0.05, 0.1, 0.3, 0.5])
    radius = jax.jit(jax.vmap(lambda eta: spectral_radius(UPDATES['optimistic'](bilinear(), eta), ZERO)))(etas)
    # The root is double at 1/2, where it is known to the square root of the rounding only.
    np.testing.assert_allclose(radius[:3] ** 2, (1 + np.sqrt(1 - 4 * etas[:3] ** 2)) / 2, rtol=1e-13)
    np.testing.assert_allclose(radius[3] ** 2, 0.5, rtol=1e-7)
    radius = jax.jit(jax.vmap(lambda eta: spectral_radius(UPDATES['runge_kutta'](bilinear(), eta), ZERO)))(etas)
    np.testing.assert_allclose(radius**2, 1 - etas**6 / 72 + etas**8 / 576, rtol=1e-13)


def test_quadratic_and_matrix_thresholds():
    epsilons = np.array([0.1, 0.5, 1.0, 2.0])
    found = jax.jit(
        jax.vmap(lambda eps: largest_stable_step(lambda eta: UPDATES['simultaneous'](quadratic(eps), eta), ZERO))
    )(epsilons)
    np.testing.assert_allclose(found, 2 * epsilons / (1 + epsilons**2), rtol=1e-11)
    eigenvalues = np.sort_complex(flow_eigenvalues(quadratic(0.3), ZERO))
    np.testing.assert_allclose(eigenvalues, [-0.3 - 1j, -0.3 + 1j], rtol=1e-14)
    matrix = np.array([[0.6, -0.4], [0.8, 0.3]])
    sigma = np.linalg.svd(matrix, compute_uv=False)
    zero = Players(np.zeros(2), np.zeros(2))
    for name in ('consensus', 'symplectic_adjustment'):
        found = _stable_steps(name, bilinear(matrix), zero, gamma=GAMMAS)
        expected = np.min(2 * GAMMAS / (1 + GAMMAS**2 * sigma[:, None] ** 2), axis=0)
        np.testing.assert_allclose(found, np.minimum(expected, 4), rtol=1e-11)


def _flow(**options):
    return np.sort_complex(np.asarray(flow_eigenvalues(dirac_gan(**options), ZERO)))


def test_flow_eigenvalues_of_the_dirac_gan():
    for kind, slope in (('minimax', 0.5), ('non_saturating', 0.5), ('wasserstein', 1.0)):
        np.testing.assert_allclose(_flow(kind=kind), [-1j * slope, 1j * slope], atol=1e-15)
        for gamma in (0.3, 1.7, 5.0):
            root = np.sqrt(complex(gamma**2 / 4 - slope**2))
            expected = np.sort_complex([-gamma / 2 - root, -gamma / 2 + root])
            np.testing.assert_allclose(_flow(kind=kind, r1=gamma), expected, rtol=1e-12)
            np.testing.assert_allclose(_flow(kind=kind, r2=gamma), expected, rtol=1e-12)
    for noise in (0.3, 0.7, 2.0):
        root = np.sqrt(complex(noise**4 / 16 - 0.25))
        expected = np.sort_complex([-(noise**2) / 4 - root, -(noise**2) / 4 + root])
        np.testing.assert_allclose(_flow(instance_noise=noise), expected, rtol=1e-12)
    np.testing.assert_allclose(
        np.sort_complex(np.asarray(flow_eigenvalues(matching_pennies(), ZERO))), [-0.25j, 0.25j], atol=1e-15
    )


@pytest.mark.parametrize(
    'options, name, critical',
    [({}, 'r1', 1.0), ({'kind': 'wasserstein'}, 'r1', 2.0), ({}, 'instance_noise', np.sqrt(2))],
)
def test_critical_damping_from_both_sides(options, name, critical):
    assert np.all(_flow(**options, **{name: 1.0001 * critical}).imag == 0)
    assert np.all(_flow(**options, **{name: 0.9999 * critical}).imag != 0)


def test_consensus_field_of_the_dirac_gan():
    # The step multiplier is 1 + h lambda with lambda = -gamma f'^2 +- i f'.
    h, gamma = 0.2, 0.7
    eigenvalues = np.asarray(update_eigenvalues(UPDATES['consensus'](dirac_gan(), h, gamma=gamma), ZERO))
    expected = np.array([-gamma / 4 - 0.5j, -gamma / 4 + 0.5j])
    np.testing.assert_allclose((np.sort_complex(eigenvalues) - 1) / h, expected, rtol=1e-12)


def _rates(update, start, num_steps):
    run = jax.jit(lambda: (fitted_rate(jnp.hypot(*simulate(update, start, num_steps))), spectral_radius(update, ZERO)))
    return run()


def test_fitted_rates_equal_predicted_ones():
    eta, start = 0.1, Players(1.0, 1.0)
    for name, accuracy in (
        ('extragradient', 1e-12),
        ('consensus', 1e-12),
        ('optimistic', 1e-6),
        ('simultaneous', 1e-12),
    ):
        fitted, predicted = _rates(UPDATES[name](bilinear(), eta), start, 200)
        np.testing.assert_allclose(fitted, predicted, rtol=accuracy)
    # A curved game near its equilibrium, and rates through zeros and overflow.
    fitted, predicted = _rates(UPDATES['simultaneous'](dirac_gan(r1=1.2), 0.2), Players(1.0, -1.0), 400)
    np.testing.assert_allclose(fitted, predicted, rtol=1e-3)
    broken = jnp.array([9.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.0, jnp.inf])
    np.testing.assert_allclose(fitted_rate(broken, skip=0.2), 0.5, rtol=1e-14)
    assert jnp.isnan(fitted_rate(jnp.zeros(9)))
    for wrong in (-1, 1, jnp.nan):
        with pytest.raises(ValueError, match=r'skip=.* must lie in'):
            fitted_rate(broken, skip=wrong)


def test_bisection_refuses_what_it_cannot_use():
    with pytest.raises(ValueError, match='upper=0 must be a positive number'):
        largest_stable_step(lambda eta: UPDATES['simultaneous'](bilinear(), eta), ZERO, upper=0)
