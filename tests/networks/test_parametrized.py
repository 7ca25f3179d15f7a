"""Flax's own layers with constrained kernels, against the singular values of what they compute."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.networks import from_linen
from wgan_jax.networks.parametrization import Parametrized


def _matrix(module, shape, variables, bias=True):
    """The layer as a matrix (out, in), from its values at the unit vectors."""
    units = jnp.eye(int(np.prod(shape))).reshape(-1, *shape)
    at_zero = module.apply(variables, jnp.zeros((1, *shape)))
    return np.asarray((module.apply(variables, units) - at_zero).reshape(len(units), -1)).T


LAYERS = {
    'dense': (lambda: nn.Dense(5), (7,)),
    'conv': (lambda: nn.Conv(6, (3, 3), padding='VALID'), (3, 3, 2)),
    'general': (lambda: nn.DenseGeneral(4), (6,)),
}


@pytest.mark.parametrize('name', LAYERS)
def test_spectral_kernels_have_norm_one_whatever_their_size(name):
    make, shape = LAYERS[name]
    module = Parametrized(make())
    variables = module.init(jax.random.key(0), jnp.zeros((1, *shape)))
    for scale in (1.0, 1e-3, 50.0):
        scaled = {**variables, 'params': jax.tree.map(lambda p, scale=scale: scale * p, variables['params'])}
        assert np.linalg.norm(_matrix(module, shape, scaled), 2) == pytest.approx(1, abs=2e-3)
    plain = _matrix(make(), shape, {'params': variables['params']['layer']})
    actual = _matrix(module, shape, variables)
    np.testing.assert_allclose(actual, plain / np.linalg.norm(plain, 2), atol=2e-3)


def test_the_power_iteration_moves_in_training_only():
    module = Parametrized(nn.Dense(4))
    variables = module.init(jax.random.key(1), jnp.zeros((1, 6)))
    other = {**variables, 'params': jax.tree.map(lambda p: p[::-1], variables['params'])}
    x = jnp.ones((2, 6))
    _, still = module.apply(other, x, mutable=['spectral'])
    _, moved = module.apply(other, x, train=True, mutable=['spectral'])
    before, after = (jax.tree.leaves(v['spectral'])[0] for v in (still, moved))
    np.testing.assert_array_equal(before, jax.tree.leaves(variables['spectral'])[0])
    kernel = other['params']['layer']['kernel']
    expected = kernel @ (kernel.T @ before)
    np.testing.assert_allclose(after, expected / np.linalg.norm(expected), atol=1e-5)


def test_orthonormal_layers_keep_lengths_or_never_add_to_them():
    dense = Parametrized(nn.Dense(5), 'orthonormal')
    variables = dense.init(jax.random.key(2), jnp.zeros((1, 7)))
    np.testing.assert_allclose(np.linalg.svd(_matrix(dense, (7,), variables))[1], 1, atol=1e-4)
    for strides, shape in ((1, (5, 5, 2)), ((2, 2), (6, 6, 2))):
        conv = Parametrized(nn.Conv(8, (3, 3), strides=strides), 'orthonormal')
        variables = conv.init(jax.random.key(3), jnp.zeros((1, *shape)))
        assert 0.3 < np.linalg.norm(_matrix(conv, shape, variables), 2) <= 1 + 1e-5


class Critic(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = Parametrized(nn.Dense(16))(x.reshape(len(x), -1), train=train)
        return Parametrized(nn.Dense(1))(nn.relu(x), train=train)[:, 0]


def test_a_critic_of_such_layers_is_a_network_of_no_batch_statistics_and_lipschitz():
    network = from_linen(Critic(), (4, 4, 1))
    assert not network.uses_batch_statistics
    variables = network.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (8, 4, 4, 1))
    gradients = jax.vmap(jax.grad(lambda y: network.apply(variables, y[None], train=False)[0][0]))(x)
    assert float(jnp.sqrt(jnp.sum(gradients**2, (1, 2, 3))).max()) <= 1.001


@pytest.mark.parametrize(
    'layer, kind, message',
    [
        (nn.Dense(2), 'spectral_operator', 'must be spectral or orthonormal'),
        (nn.ConvTranspose(2, (3, 3)), 'orthonormal', 'orthonormal ConvTranspose layers are not built'),
        (nn.Conv(2, (3, 3), feature_group_count=2), 'orthonormal', 'orthonormal Conv layers are not built'),
    ],
)
def test_what_is_refused(layer, kind, message):
    with pytest.raises(ValueError, match=message):
        Parametrized(layer, kind).init(jax.random.key(0), jnp.zeros((1, 4, 4, 2)))
