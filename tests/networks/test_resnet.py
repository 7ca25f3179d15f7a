"""The residual networks: published sizes, the published order of operations, and bounds of their blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.lipschitz import lower_bounds, upper_bound
from wgan_jax.networks import resnet
from wgan_jax.types import Variables

RANDOM = np.random.default_rng(0)


def _drawn(network):
    params, state = jax.eval_shape(network.init, jax.random.key(0))
    params = jax.tree.map(lambda a: jnp.asarray(0.2 * RANDOM.normal(size=a.shape), a.dtype), params)
    return Variables(params, jax.tree.map(lambda a: jnp.ones(a.shape, a.dtype), state))


def test_published_parameter_counts():
    # Fails for a spurious bias, a missing norm or another shortcut.
    networks = (
        resnet.generator((32, 32, 3)), resnet.generator((32, 32, 3), width=256), resnet.critic((32, 32, 3)),
        resnet.generator((64, 64, 3)), resnet.critic((64, 64, 3)),
    )  # fmt: skip
    shapes = [jax.eval_shape(network.init, jax.random.key(0)).params for network in networks]
    counts = [sum(a.size for a in jax.tree.leaves(params)) for params in shapes]
    assert counts == [1_204_483, 4_276_739, 1_053_825, 8_540_483, 7_491_841]


def _conv(x, layer):
    y = jax.lax.conv_general_dilated(x, layer['kernel'], (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
    return y + layer.get('bias', 0)


def _pool(x):
    return (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4


def _layer_norm(x, layer):
    mean, var = x.mean((1, 2, 3), keepdims=True), x.var((1, 2, 3), keepdims=True)
    return (x - mean) / jnp.sqrt(var + 1e-5) * layer['scale'] + layer['bias']


def _relu(x):
    return jnp.maximum(x, 0)


def _cifar(p, x):
    first = p['block_0']
    y = _pool(_conv(_relu(_conv(x, first['conv_0'])), first['conv_1']))
    x = y + _pool(x) @ first['shortcut']['kernel'] + first['shortcut']['bias']
    for i in (1, 2, 3):
        b = p[f'block_{i}']
        y = _conv(_relu(_conv(_relu(x), b['conv_0'])), b['conv_1'])
        shortcut = _pool(x @ b['shortcut']['kernel'] + b['shortcut']['bias']) if i == 1 else x
        x = shortcut + (_pool(y) if i == 1 else y)
    return (_relu(x).mean((1, 2)) @ p['score']['kernel'] + p['score']['bias'])[:, 0]


def _good(p, x):
    x = _conv(x, p['start'])
    for i in range(4):
        b = p[f'down_{i}']
        y = _conv(_relu(_layer_norm(x, b['norm_0'])), b['conv_0'])
        y = _pool(_conv(_relu(_layer_norm(y, b['norm_1'])), b['conv_1']))
        x = _pool(x @ b['shortcut']['kernel'] + b['shortcut']['bias']) + y
    return (x.reshape(len(x), -1) @ p['score']['kernel'] + p['score']['bias'])[:, 0]


@pytest.mark.parametrize('variant, published', [('cifar', _cifar), ('good', _good)])
def test_critics_are_the_published_functions(variant, published):
    # Fails for another order of norm, ReLU and convolution, a ReLU on the shortcut, or pooling at the wrong place.
    network = resnet.critic((16, 32, 3), width=4, variant=variant)
    variables = _drawn(network)
    x = jnp.asarray(RANDOM.normal(size=(3, 16, 32, 3)), jnp.float32)
    expected = jax.jit(published)(variables.params, x)
    scores = jax.jit(lambda x: network.apply(variables, x, train=True)[0])(x)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


def test_generator_is_the_published_function():
    network = resnet.generator((16, 32, 3), latent_dim=5, width=4)
    variables = _drawn(network)  # running means and variances of 1

    def published(p, z):
        def norm(x, layer):
            return _relu((x - 1) / np.sqrt(1 + 1e-5) * layer['scale'] + layer['bias'])

        x = (z @ p['start']['kernel'] + p['start']['bias']).reshape(-1, 2, 4, 4)
        for i in range(3):
            b = p[f'up_{i}']
            y = jnp.kron(norm(x, b['norm_0']), jnp.ones((1, 2, 2, 1)))
            y = _conv(norm(_conv(y, b['conv_0']), b['norm_1']), b['conv_1'])
            x = y + jnp.kron(x, jnp.ones((1, 2, 2, 1))) @ b['shortcut']['kernel'] + b['shortcut']['bias']
        return jnp.tanh(_conv(norm(x, p['norm']), p['image']))

    z = jnp.asarray(RANDOM.normal(size=(3, 5)), jnp.float32)
    images = jax.jit(lambda z: network.apply(variables, z, train=False)[0])(z)
    np.testing.assert_allclose(images, jax.jit(published)(variables.params, z), atol=1e-4)


def test_sum_is_the_mean_times_pixels_and_bounds_enclose():
    # Fails if a block counts as the product of its branches, or pooling is counted wrongly.
    shape, x = (16, 16, 2), jnp.asarray(RANDOM.normal(size=(16, 16, 16, 2)), jnp.float32)
    mean, total = (resnet.critic(shape, width=4, pooling=pooling) for pooling in ('mean', 'sum'))
    variables = _drawn(mean)
    variables.params['score']['bias'] *= 0
    scores = jax.jit(lambda x: [network.apply(variables, x, train=False)[0] for network in (mean, total)])(x)
    np.testing.assert_allclose(16 * scores[0], scores[1], rtol=1e-4, atol=1e-5)
    assert len(mean.bounds(variables)) == 6
    upper = np.array([upper_bound(network, variables) for network in (mean, total)])
    np.testing.assert_allclose(upper[1] / upper[0], 16, rtol=1e-5)
    lower = jax.jit(lambda x: lower_bounds(lambda x: mean.apply(variables, x, train=False)[0], x))(x)
    assert 0 < lower.slope <= upper[0] and 0 < lower.gradient <= upper[0]
    # One pixel, all weights at c, everything positive: each branch is then as long as its bound, to which they add up.
    bounds = np.asarray(mean.bounds(variables, 0.1))
    np.testing.assert_allclose(bounds[2], 1 + (0.1 * 9 * 4) ** 2, rtol=1e-6)


def test_refusals():
    with pytest.raises(ValueError, match='add'):
        resnet.critic((32, 32, 3), parametrization='orthonormal')
    with pytest.raises(ValueError, match=r'each at least 1, not \(0, 32, 3\)'):
        resnet.generator((0, 32, 3))
    with pytest.raises(ValueError, match=r'\(height, width, channels\), .* not \(40, 40\)'):
        resnet.critic((40, 40), variant='good')
    with pytest.raises(ValueError, match='none, batch, layer'):
        resnet.critic((32, 32, 3), norm='group')
    with pytest.raises(ValueError, match='mean, sum'):
        resnet.critic((32, 32, 3), pooling='max')
    with pytest.raises(ValueError, match='cifar, good'):
        resnet.generator((32, 32, 3), variant='lsun')
