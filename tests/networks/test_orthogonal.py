"""Orthogonal convolutions: as matrices on a torus, where no border takes anything away, and with zeros around."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.lipschitz import upper_bound
from wgan_jax.networks import dcgan
from wgan_jax.networks.norms import convolution_norm
from wgan_jax.networks.orthogonal import orthogonal_halving

SIDE = 8


def _matrix(random, *shape):
    """A matrix with singular values from 0.5 to 2, which the iteration brings to 1."""
    few = min(shape)
    left, right = (np.linalg.qr(random.normal(size=(side, few)))[0] for side in shape)
    return jnp.asarray(left * np.linspace(0.5, 2, few) @ right.T, jnp.float32)


def _kernel(channels, features):
    random = np.random.default_rng(0)
    shapes = (4 * channels, features), (4 * channels, 2 * channels), (4 * channels, 2 * channels)
    return np.asarray(orthogonal_halving(*(_matrix(random, *shape) for shape in shapes)))


def _on_a_torus(kernel):
    """The convolution of an image whose sides meet, written out: (H/2 W/2 D, H W C)."""
    *_, channels, features = kernel.shape
    matrix = np.zeros((SIDE // 2, SIDE // 2, features, SIDE, SIDE, channels))
    for i in range(SIDE // 2):
        for j in range(SIDE // 2):
            for p in range(4):
                for q in range(4):
                    matrix[i, j, :, (2 * i + p - 1) % SIDE, (2 * j + q - 1) % SIDE] += kernel[p, q].T
    return matrix.reshape((SIDE // 2) ** 2 * features, -1)


@pytest.mark.parametrize(('channels', 'features'), [(1, 2), (1, 6), (3, 8), (3, 12), (3, 16), (4, 8)])
def test_it_is_orthogonal_where_there_is_no_border(channels, features):
    # Fails if a projection is none, two taps are exchanged, or pixels of a block stand in another order.
    kernel = _kernel(channels, features)
    matrix = _on_a_torus(kernel)
    few = matrix @ matrix.T if features <= 4 * channels else matrix.T @ matrix
    np.testing.assert_allclose(few, np.eye(len(few)), atol=3e-6)
    assert (np.abs(kernel).max((2, 3)) > 1e-3).all()  # all sixteen taps are used


def test_zeros_around_make_nothing_longer():
    assert 0.99 < float(convolution_norm(jnp.asarray(_kernel(3, 8)), (16, 12), stride=2)) <= 1 + 1e-5


def test_without_shifts_it_is_a_matrix_on_blocks():
    # P = Q = I: the first block alone. Fails if the kernel begins elsewhere than where ``downsample`` reads.
    matrix = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 12)))[0].astype(np.float32)
    kernel = np.asarray(orthogonal_halving(jnp.asarray(matrix), jnp.eye(12), jnp.eye(12)))
    np.testing.assert_allclose(kernel[:2, :2].reshape(12, 12), matrix, atol=1e-5)
    np.testing.assert_allclose(kernel[2:], 0, atol=1e-5)
    np.testing.assert_allclose(kernel[:, 2:], 0, atol=1e-5)


@pytest.mark.parametrize('scale', [1e-6, 1.0, 1e6])
def test_what_is_not_orthonormal_yet_is_no_steeper(scale):
    # Nearly dependent columns, which the iteration does not bring to 1: P is no projection then.
    random = np.random.default_rng(0)
    columns = random.normal(size=(12, 6)) * scale
    columns[:, 1] = columns[:, 0] * (1 + 1e-6)
    kernel = orthogonal_halving(_matrix(random, 12, 8), *2 * [jnp.asarray(columns, jnp.float32)])
    assert np.linalg.norm(_on_a_torus(np.asarray(kernel)), 2) < 1 + 1e-5


@pytest.mark.slow
def test_a_dcgan_of_them_is_1_lipschitz():
    network = dcgan.critic((32, 32, 3), norm='none', width=8, parametrization='orthonormal')
    variables = jax.jit(network.init)(jax.random.key(0))
    assert 0.97 < float(jax.jit(lambda v: upper_bound(network, v))(variables)) < 1 + 1e-4
    x = jnp.asarray(np.random.default_rng(0).normal(size=(16, 32, 32, 3)), jnp.float32)
    gradient = jax.jit(jax.grad(lambda x: network.apply(variables, x, train=False)[0].sum()))(x)
    assert np.sqrt((np.asarray(gradient) ** 2).sum((1, 2, 3))).max() < 1 + 1e-5
