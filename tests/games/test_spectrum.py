"""Arnoldi and Lanczos on products against dense eigenvalues."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.games import Game, jacobian, leading_spectrum, quadratic
from wgan_jax.types import Players


def _game(n, m):
    """A game whose Jacobian is a given random matrix with eigenvalues of separate sizes, plus a curved term."""
    rng = np.random.default_rng(0)
    blocks = [rng.normal(size=shape) / 5 for shape in ((n, n), (n, m), (m, m), (m, n))]
    scales = np.diag(1.25 ** -np.arange(n))

    def generator_loss(w):
        own = w.generator @ (blocks[0] @ scales @ w.generator) / 2 + jnp.sum(jnp.cos(w.generator[:3]))
        return own + 3 * w.generator @ (scales @ (blocks[1] @ w.critic))

    def critic_loss(w):
        return w.critic @ (blocks[2] @ w.critic) / 20 - 2 * w.critic @ (blocks[3] @ (scales @ w.generator))

    point = Players(jnp.asarray(rng.normal(size=n)), jnp.asarray(rng.normal(size=m)))
    return Game(Players(generator_loss, critic_loss)), point


def test_products_find_what_the_dense_matrix_has():
    game, point = _game(60, 50)
    found = leading_spectrum(game, point, count=6, dense_limit=64)
    matrix = np.asarray(jax.jit(lambda w: jacobian(game, w))(point))
    symmetric, antisymmetric = (matrix + matrix.T) / 2, (matrix - matrix.T) / 2
    expected = np.linalg.eigvals(matrix)
    expected = expected[np.argsort(-np.abs(expected))]
    assert len(found.jacobian) >= 5 and found.products < 3000
    for value in found.jacobian:
        assert np.abs(expected - value).min() < 1e-7
    np.testing.assert_allclose(np.abs(found.jacobian[:5]), np.abs(expected[:5]), rtol=1e-7)
    assert np.iscomplex(found.jacobian).any()
    ends = np.linalg.eigvalsh(symmetric)
    np.testing.assert_allclose(found.potential, [*ends[:3], *ends[-3:]], rtol=1e-7)
    frequencies = np.linalg.svd(antisymmetric, compute_uv=False)[::2]
    np.testing.assert_allclose(found.hamiltonian, frequencies[:3], rtol=1e-7)


def test_small_games_are_taken_apart_exactly():
    found = leading_spectrum(quadratic(0.3), Players(jnp.asarray(0.0), jnp.asarray(0.0)))
    np.testing.assert_allclose(np.sort_complex(found.jacobian), [0.3 - 1j, 0.3 + 1j], rtol=1e-14)
    np.testing.assert_allclose(found.potential, [0.3, 0.3], rtol=1e-14)
    np.testing.assert_allclose(found.hamiltonian, [1], rtol=1e-14)


def test_a_count_below_one_is_refused():
    with pytest.raises(ValueError, match='count=0 must be at least 1'):
        leading_spectrum(quadratic(0.3), Players(jnp.asarray(0.0), jnp.asarray(0.0)), count=0)
