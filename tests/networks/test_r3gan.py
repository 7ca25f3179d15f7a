"""R3GAN's networks against the same maps in PyTorch, and what its layers promise."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.lipschitz import upper_bound
from wgan_jax.networks import r3gan
from wgan_jax.networks.convolution import same
from wgan_jax.types import Variables

try:
    import torch
    from torch.nn import functional
except ModuleNotFoundError:
    torch = None


def _drawn(network, seed=0):
    """Variables whose every entry matters: the last map of each block begins at 0."""
    variables = network.init(jax.random.key(seed))
    leaves, structure = jax.tree.flatten(variables.params)
    keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
    leaves = [leaf + 0.1 * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    return Variables(jax.tree.unflatten(structure, leaves), variables.state)


def _tensor(array):
    return torch.from_numpy(np.asarray(array).copy())


def _pointwise(x, layer):
    return functional.conv2d(x, _tensor(layer['map']['kernel']).T[:, :, None, None])


def _block(x, p):
    def active(y, bias):
        return functional.leaky_relu(y + _tensor(bias)[None, :, None, None], 0.2)

    kernel = _tensor(p['grouped']['kernel']).permute(3, 2, 0, 1)
    y = active(_pointwise(x, p['wide']), p['bias_0'])
    y = functional.conv2d(y, kernel, padding=1, groups=kernel.shape[0] // kernel.shape[1])
    return x + _pointwise(active(y, p['bias_1']), p['narrow'])


def _filter(channels):
    """[1, 2, 1] and then [1, 1] in both directions, of sum 1, for each channel."""
    line = torch.tensor(np.convolve([1, 2, 1], [1, 1]), dtype=torch.float32)
    return (torch.outer(line, line) / 64).repeat(channels, 1, 1, 1)


def _sizes(params):
    return range(1 + max(int(name.split('_')[1]) for name in params if name.startswith('block')))


def _generate(p, z):
    grid = _tensor(p['grid']).permute(2, 0, 1)
    x = grid * (z @ _tensor(p['start']['kernel']))[:, :, None, None]
    for size in _sizes(p):
        x = _pointwise(x, p[f'change_{size}']) if f'change_{size}' in p else x
        if size:
            x = functional.conv_transpose2d(x, 4 * _filter(x.shape[1]), stride=2, padding=1, groups=x.shape[1])
        for i in range(2):
            x = _block(x, p[f'block_{size}_{i}'])
    return _pointwise(x, p['image'])


def _score(p, x):
    x = _pointwise(x, p['start'])
    for size in _sizes(p):
        if size:
            x = functional.conv2d(x, _filter(x.shape[1]), stride=2, padding=1, groups=x.shape[1])
        x = _pointwise(x, p[f'change_{size}']) if f'change_{size}' in p else x
        for i in range(2):
            x = _block(x, p[f'block_{size}_{i}'])
    return ((x * _tensor(p['grid']).permute(2, 0, 1)).sum((2, 3)) @ _tensor(p['score']['kernel']))[:, 0]


@pytest.mark.skipif(torch is None, reason='torch is not installed')
@pytest.mark.parametrize('conv_impl', ['matmul', 'native'])
@pytest.mark.parametrize('shape, width', [((32, 40, 3), 12), ((64, 64, 1), 8)])
def test_both_are_what_the_paper_describes(shape, width, conv_impl):
    # Several groups, a width that does not double and one that does; fails for any wrong tap, gain or order.
    generator = r3gan.generator(shape, latent_dim=5, width=width, conv_impl=conv_impl)
    critic = r3gan.critic(shape, width=width, conv_impl=conv_impl)
    z = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    ours = _drawn(generator)
    images, _ = jax.jit(lambda v, z: generator.apply(v, z, train=True))(ours, z)
    assert images.shape == (2, *shape)
    expected = _generate(ours.params, torch.from_numpy(z))
    images = images.transpose(0, 3, 1, 2)
    np.testing.assert_allclose(images, expected.numpy(), rtol=0, atol=1e-5 * float(expected.abs().max()))
    ours = _drawn(critic)
    scores, _ = jax.jit(lambda v, x: critic.apply(v, x, train=True))(ours, expected.numpy().transpose(0, 2, 3, 1))
    expected = _score(ours.params, expected).numpy()
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
def test_weights_begin_as_the_release_draws_them():
    # With sqrt(2 / 1.04) (5 sizes of 2 blocks)^(-1/4) / sqrt(fan_in) inside of blocks, the last map of each at 0.
    shape, width = (64, 64, 3), 128
    p = r3gan.critic(shape, width=width).init(jax.random.key(0)).params
    gain = np.sqrt(2 / 1.04) * 10**-0.25
    for leaf, std in (
        (p['block_1_0']['wide']['map']['kernel'], gain / np.sqrt(256)),
        (p['block_1_0']['grouped']['kernel'], gain / np.sqrt(9 * 16)),
        (p['change_1']['map']['kernel'], 1 / np.sqrt(128)),
        (p['grid'], 1 / 4),
        (p['score']['kernel'], 1 / 16),
    ):
        np.testing.assert_allclose(leaf.std(), std, rtol=4 / np.sqrt(2 * leaf.size))
    assert not any(np.any(p[f'block_0_{i}']['narrow']['map']['kernel']) for i in range(2))
    grid = r3gan.generator(shape, width=width).init(jax.random.key(0)).params['grid']
    np.testing.assert_allclose(grid.std(), 1, rtol=0.05)


def test_doubling_is_bilinear_and_four_times_the_transpose_of_halving():
    up, down = 2 * r3gan._halving(8).T, r3gan._halving(8)
    np.testing.assert_array_equal(up @ np.arange(4.0), [-0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 2.25])  # 0 outside
    np.testing.assert_array_equal(down.sum(1), [7 / 8, 1, 1, 7 / 8])


@pytest.mark.slow
def test_bounds_are_those_of_the_layers():
    # Each layer's against the largest singular value of its matrix, written out; fails for another reshape of groups, a
    # halving left out or a grid that is bounded by its sum, and if a bound cannot be computed in a compiled program.
    shape, width = (8, 16, 2), 12
    critic = r3gan.critic(shape, width=width, conv_impl='native')
    variables = _drawn(critic)
    p, x = variables.params, np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    bound = float(upper_bound(critic, variables))
    slopes = jax.jit(jax.grad(lambda x: critic.apply(variables, x, train=True)[0].sum()))(x)
    assert 0 < np.linalg.norm(np.asarray(slopes).reshape(3, -1), axis=1).max() <= bound
    found = iter(np.asarray(critic.bounds(variables)).tolist())

    def check(norm, slack=1e-3):
        assert norm <= next(found) <= norm * (1 + slack)

    def norm(kernel):
        return np.linalg.norm(np.asarray(kernel), 2)

    check(norm(p['start']['map']['kernel']))
    for size in _sizes(p):
        sides = shape[0] // 2**size, shape[1] // 2**size
        for side in sides if size else ():
            check(norm(r3gan._halving(2 * side)))
        for i in range(2):
            block = p[f'block_{size}_{i}']

            def grouped(x, kernel=block['grouped']['kernel']):
                return same(x[None], kernel, dtype=jnp.float32, conv_impl='native', groups=24 // 8)[0].ravel()

            if size == 0:  # too large to be written out
                next(found)
                continue
            matrix = np.asarray(jax.jit(jax.jacobian(grouped))(jnp.zeros((*sides, 24)))).reshape(
                -1, math.prod(sides) * 24
            )
            ends = norm(block['wide']['map']['kernel']), norm(block['narrow']['map']['kernel'])
            check(1 + ends[0] * norm(matrix) * ends[1], slack=2)  # that of a convolution is of a larger, circular image
    check(np.sqrt((np.asarray(p['grid']) ** 2).sum((0, 1)).max()))
    check(norm(p['score']['kernel']))
    assert next(found, None) is None
    clipped = Variables(jax.tree.map(lambda w: jnp.sign(w + 1e-9) * 0.25, p), {})
    worst = float(upper_bound(critic, clipped, clip=0.25))
    assert float(upper_bound(critic, clipped)) <= worst * (1 + 1e-4) and np.isfinite(worst)


def test_refusals():
    with pytest.raises(ValueError, match="pass norm='none', not 'batch'"):
        r3gan.critic((32, 32, 3), norm='batch')
    with pytest.raises(ValueError, match="no layers with parametrization='spectral'"):
        r3gan.critic((32, 32, 3), parametrization='spectral')
