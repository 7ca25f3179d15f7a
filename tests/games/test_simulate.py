"""Paths: the classic run, the flow, the table of the Dirac-GAN, divergence, and everything that is vmapped."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.games import UPDATES, bilinear, dirac_gan, final_state, matching_pennies, simulate
from wgan_jax.types import Players

ONES = Players(1.0, 1.0)


def test_the_classic_run():
    path = simulate(UPDATES['simultaneous'](bilinear(), 0.1), ONES, 100)
    g, d = np.asarray(path.generator), np.asarray(path.critic)
    assert g.shape == d.shape == (101,) and g[0] == d[0] == 1
    np.testing.assert_allclose((d[-1], g[-1]), (-2.257353911673798, -0.5603400541582387), rtol=1e-13)
    np.testing.assert_allclose(d**2 + g**2, 2 * 1.01 ** np.arange(101), rtol=1e-13)
    np.testing.assert_allclose(d[-1] ** 2 + g[-1] ** 2, 5.40962765884, rtol=1e-12)
    products = (g * d)[:100]  # recorded before each update
    np.testing.assert_allclose(products[[0, 1, 99]], [1, 0.99, 1.69630774004], rtol=1e-11)
    assert np.argmax(np.abs(products)) == 95
    np.testing.assert_allclose(np.abs(products[95]), 2.5636946976, rtol=1e-10)
    turned = -np.unwrap(np.angle(d + 1j * g))
    np.testing.assert_allclose(2 * np.pi * 100 / (turned[-1] - turned[0]), 63.0407, rtol=0, atol=5e-5)


def test_float32_is_right_to_five_digits():
    with jax.enable_x64(False):
        for name, end in (
            ('simultaneous', (-0.5603400541582387, -2.257353911673798)),
            ('optimistic', None),
            ('implicit_midpoint', None),
        ):
            path = simulate(UPDATES[name](bilinear(), 0.1), ONES, 100)
            assert path.generator.dtype == jnp.float32
            w = np.array([path.generator[-1], path.critic[-1]])
            if end is None:
                radius = {'optimistic': 0.8599852788, 'implicit_midpoint': np.sqrt(2)}[name]
                np.testing.assert_allclose(np.hypot(*w), radius, rtol=1e-5)
            else:
                np.testing.assert_allclose(w, end, rtol=1e-5)


def test_runge_kutta_follows_the_flow():
    eta = 0.01
    path = simulate(UPDATES['runge_kutta'](bilinear(), eta), ONES, 300)
    w = np.asarray(path.critic) + 1j * np.asarray(path.generator)
    time = eta * np.arange(301)
    np.testing.assert_allclose(w, (1 + 1j) * np.exp(-1j * time), rtol=0, atol=1e-9)
    np.testing.assert_allclose(path.generator * path.critic, np.cos(2 * time), rtol=0, atol=1e-9)
    path = simulate(UPDATES['runge_kutta'](matching_pennies(), 0.05), Players(1.0, -0.5), 1000)
    conserved = np.cosh(path.generator) + np.cosh(path.critic)
    np.testing.assert_allclose(conserved, np.full(1001, conserved[0]), rtol=1e-8)


CONSENSUS = {'gamma': 1.0}
FIRST = {'first': 'generator'}
DIRAC_TABLE = [
    # game, rule, its options, radius from (1, -1), radius from (1, 1)
    ({}, 'simultaneous', {}, '3.097', '3.353'),
    ({}, 'alternating', FIRST, '1.421', None),
    ({'kind': 'non_saturating'}, 'simultaneous', {}, '0.640', '0.640'),
    ({'kind': 'non_saturating'}, 'alternating', FIRST, '0.284', None),
    ({'kind': 'wasserstein', 'clip': 1.0}, 'simultaneous', {}, '1.002', '1.170'),
    ({'kind': 'wasserstein', 'clip': 1.0}, 'alternating', FIRST, '1.024', None),
    ({'kind': 'wasserstein', 'gradient_penalty': 0.35}, 'simultaneous', {}, '1.80', None),
    ({'kind': 'wasserstein', 'gradient_penalty': 0.35}, 'alternating', FIRST, '1.22', None),
    ({'kind': 'wasserstein', 'gradient_penalty': 0.7}, 'simultaneous', {}, '1.848', None),
    ({'kind': 'wasserstein', 'gradient_penalty': 0.7}, 'alternating', FIRST, '1.461', None),
    ({'r1': 0.3}, 'simultaneous', {}, '2.6e-6', '4.78e-6'),
    ({'r1': 1.0}, 'simultaneous', {}, '9.5e-22', '8.47e-21'),
    ({'instance_noise': 0.7}, 'simultaneous', {}, '5.7e-5', '9.53e-5'),
    ({}, 'consensus', CONSENSUS, '2.6e-10', '1.45e-10'),
]


@pytest.mark.parametrize('game, name, options, radius, other', DIRAC_TABLE)
def test_dirac_table(game, name, options, radius, other):
    run = jax.jit(jax.vmap(lambda w: final_state(UPDATES[name](dirac_gan(**game), 0.2, **options), w, 500, unroll=1)))
    found = np.hypot(*run(Players(jnp.array([1.0, 1.0]), jnp.array([-1.0, 1.0]))))
    for expected, value in zip((radius, other), found, strict=True):
        if expected is not None:
            digits = len(expected.partition('e')[0].replace('.', '').lstrip('0'))
            assert f'{value:.{digits}g}' == f'{float(expected):.{digits}g}'


def test_clipped_critic_stays_in_its_box_whatever_the_rule():
    game = dirac_gan('wasserstein', clip=0.3)
    for name in ('simultaneous', 'alternating', 'extragradient', 'heavy_ball', 'adam'):
        path = simulate(UPDATES[name](game, 0.5), Players(1.0, -0.2), 50)
        assert np.abs(path.critic).max() == 0.3 and np.abs(path.generator).max() > 0.3


def test_clipping_comes_before_the_generator_moves():
    # Critic first: psi = -0.2 - 0.5 * 1 lands at -0.3, and the generator descends -psi theta from there.
    path = simulate(UPDATES['alternating'](dirac_gan('wasserstein', clip=0.3), 0.5), Players(1.0, -0.2), 1)
    np.testing.assert_allclose([path.critic[1], path.generator[1]], [-0.3, 1 - 0.5 * 0.3], rtol=1e-14)


def test_starts_step_sizes_options_and_step_counts_are_vmapped():
    etas, gammas = np.array([0.1, 0.3]), np.array([0.5, 1.0, 2.0])
    starts = Players(np.array([1.0, -0.3, 2.0, 0.1]), np.array([0.2, 0.4, -1.0, 3.0]))

    def end(eta, gamma, start, n):
        return final_state(UPDATES['consensus'](bilinear(), eta, gamma=gamma), start, n)

    run = jax.jit(
        jax.vmap(jax.vmap(jax.vmap(end, (None, None, 0, None)), (None, 0, None, None)), (0, None, None, None))
    )
    for n in (1, 3, 4, 9):
        found = run(etas, gammas, starts, n)
        m = 1 - etas[:, None, None] * gammas[:, None] - 1j * etas[:, None, None]
        w = m**n * (starts.critic + 1j * starts.generator)
        np.testing.assert_allclose(found.generator, w.imag, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(found.critic, w.real, rtol=1e-11, atol=1e-12)
    assert run._cache_size() == 1  # the number of steps is a run-time value


def test_final_state_is_the_end_of_the_path():
    for n in (1, 4, 7):
        for name in ('optimistic', 'averaging'):
            update = UPDATES[name](dirac_gan(), 0.3)
            path, end = simulate(update, ONES, n), final_state(update, ONES, n)
            np.testing.assert_allclose(end, (path.generator[-1], path.critic[-1]), rtol=1e-13)


def test_divergence_is_infinite_and_never_nan():
    with jax.enable_x64(False):
        run = jax.jit(jax.vmap(lambda eta: simulate(UPDATES['simultaneous'](bilinear(), eta), ONES, 400)))
        path = run(np.array([0.1, 10.0], np.float32))
    w = np.stack(path)
    assert not np.isnan(w).any()
    assert np.isfinite(w[:, 0]).all()  # a neighbour's divergence changes nothing
    assert np.isinf(w[:, 1, -1]).all()
    overflow = np.argmax(np.isinf(w[:, 1]).any(axis=0))
    assert 20 < overflow < 60 and np.isinf(w[:, 1, overflow + 3 :]).all()  # sqrt(101)^n passes 3e38 at n = 38


def test_players_are_trees_and_integers_are_taken_for_numbers():
    start = Players({'a': np.ones(2)}, {'a': np.zeros(2)})
    game = bilinear()._replace(
        losses=Players(
            lambda w: jnp.sum(w.generator['a'] * w.critic['a']), lambda w: -jnp.sum(w.generator['a'] * w.critic['a'])
        )
    )
    path = simulate(UPDATES['heavy_ball'](game, 0.1), start, 3)
    assert path.generator['a'].shape == (4, 2)
    assert simulate(UPDATES['simultaneous'](bilinear(), 0.1), Players(1, 2), 1).critic[1] == 2.1


def test_memory_does_not_grow_with_the_number_of_steps():
    starts = Players(*(jax.ShapeDtypeStruct((1000,), jnp.float32) for _ in range(2)))

    def bytes_needed(n):
        run = jax.jit(jax.vmap(lambda w: final_state(UPDATES['simultaneous'](bilinear(), 0.1), w, n)))
        memory = run.lower(starts).compile().memory_analysis()
        return memory.temp_size_in_bytes + memory.output_size_in_bytes

    assert bytes_needed(100) == bytes_needed(100_000) < 5 * 8 * 1000


@pytest.mark.parametrize(
    'call, message',
    [
        (lambda u: simulate(u, ONES, 0), 'num_steps=0 must be an integer of at least 1'),
        (lambda u: final_state(u, ONES, -3), 'num_steps=-3 must be an integer of at least 1'),
        (lambda u: simulate(u, jnp.ones(2), 5), r'start must be Players\(generator, critic\)'),
    ],
)
def test_what_cannot_be_simulated_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(UPDATES['simultaneous'](bilinear(), 0.1))
