"""The contract of every network, and the normalisation layers against Flax and the whole batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from wgan_jax import networks
from wgan_jax.networks import ARCHITECTURES, dcgan, mlp
from wgan_jax.networks.normalization import BatchNorm, LayerNorm
from wgan_jax.types import Players, Variables

# The library's own convolutions compile fastest.
SMALL = {
    'mlp': {'width': 8},
    'dcgan': {'width': 4, 'conv_impl': 'native'},
    'resnet': {'width': 4},
    'r3gan': {'width': 4},
    'collage': {'width': 4},
}


def _normal(seed, shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def _count(variables):
    return sum(a.size for a in jax.tree.leaves(variables.params))


def _pair(name, image_shape, norm=None, **options):
    module = getattr(networks, name)
    options = SMALL[name] | options
    of_critic = options | ({'norm': norm} if norm else {})
    return Players(module.generator(image_shape, latent_dim=6, **options), module.critic(image_shape, **of_critic))


def _drawn(network):
    # Drawn by NumPy: compiling every network's own init would take longer than all the rest.
    random = np.random.default_rng(0)
    params, state = jax.eval_shape(network.init, jax.random.key(0))
    params = jax.tree.map(lambda a: jnp.asarray(0.1 * random.normal(size=a.shape), a.dtype), params)
    return Variables(params, jax.tree.map(lambda a: jnp.ones(a.shape, a.dtype), state))


def _play(network, x, train):
    variables = _drawn(network)
    out, state = jax.jit(lambda v, x: network.apply(v, x, train=train))(variables, x)
    return variables, out, state


def _trees_equal(a, b):
    return jax.tree.all(jax.tree.map(lambda u, v: bool(jnp.array_equal(u, v)), a, b))


def test_published_parameter_counts():
    # Fails for a spurious bias, a missing normalisation or another width.
    key, shape = jax.random.key(0), (64, 64, 3)
    networks = dcgan.generator(shape), dcgan.critic(shape), mlp.generator(shape), mlp.critic(shape)
    counts = [_count(jax.eval_shape(network.init, key)) for network in networks]
    assert counts == [3_576_704, 2_765_568, 6_880_768, 6_817_793]


def test_dcgan_initial_distributions():
    # Fails if Flax's default (fan-in scaled) initialisers slip in.
    params = dcgan.critic((16, 16, 3), width=32, conv_impl='native', num_doublings=4).init(jax.random.key(0)).params
    assert np.std(params['down_3']['kernel']) == pytest.approx(0.02, rel=0.01)
    assert np.mean(params['norm_3']['scale']) == pytest.approx(1, abs=0.01)
    assert np.std(params['norm_3']['scale']) == pytest.approx(0.02, rel=0.2)
    assert not np.any(params['norm_3']['bias'])


@pytest.mark.parametrize('shape, dtype', [((32, 48, 3), jnp.float32), ((48, 80, 1), jnp.bfloat16)])
@pytest.mark.parametrize('name', ARCHITECTURES)
def test_shapes_and_dtypes(name, shape, dtype):
    # Fails if height and width are swapped, or if bfloat16 leaks into parameters, state, gradients or outputs.
    generator, critic = _pair(name, shape, dtype=dtype)
    z = _normal(1, (5, 6))
    variables, image, state = _play(generator, z, train=True)
    assert image.shape == (5, *shape) and image.dtype == jnp.float32
    critic_variables, score, critic_state = _play(critic, image, train=True)
    assert score.shape == (5,) and score.dtype == jnp.float32
    assert jax.tree.structure(state) == jax.tree.structure(variables.state)

    def loss(params, x):
        return critic.apply(critic_variables._replace(params=params), x, train=True)[0].sum()

    gradients = jax.jit(jax.grad(loss, (0, 1)))(critic_variables.params, image)
    arrays = jax.tree.leaves((variables, state, critic_variables, critic_state, gradients))
    assert all(a.dtype == jnp.float32 for a in arrays)
    assert all(np.any(np.asarray(a)) for a in jax.tree.leaves(gradients[1]))


@pytest.mark.parametrize('norm', ['batch', 'layer', 'none'])
def test_dcgan_forms_agree(norm):
    # Fails if a flattening inside the network depends on the form: its parameters must mean the same on every platform.
    shape = (32, 48, 3)
    x = _normal(1, (4, *shape))
    scores = [_play(dcgan.critic(shape, width=8, norm=norm, conv_impl=f), x, True)[1] for f in ('matmul', 'native')]
    np.testing.assert_allclose(*scores, atol=2e-5 * np.abs(scores[0]).max())
    if norm == 'batch':
        z = _normal(2, (4, 100))
        images = [_play(dcgan.generator(shape, width=8, conv_impl=f), z, True)[1] for f in ('matmul', 'native')]
        np.testing.assert_allclose(*images, atol=2e-5)


def test_dcgan_critic_without_normalisation_may_have_biases():
    # Fails if a layer's bias is left out, added after the activation or to another axis, or if there are any where a
    # normalisation follows or where they are not asked for; without them the critic is homogeneous.
    shape = (16, 24, 2)
    critic = dcgan.critic(shape, width=4, norm='none', bias=True)
    x = _normal(1, (3, *shape))
    variables, scores, _ = _play(critic, x, train=True)
    layers = [variables.params[f'down_{i}'] for i in range(2)]
    y = x
    for layer in layers:
        y = jax.lax.conv_general_dilated(
            y, layer['kernel'], (2, 2), ((1, 1), (1, 1)), dimension_numbers=('NHWC', 'HWIO', 'NHWC')
        )
        y = nn.leaky_relu(y + layer['bias'], 0.2)
    expected = y.reshape(3, -1) @ variables.params['score']['kernel']
    np.testing.assert_allclose(scores, expected[:, 0], rtol=1e-4, atol=1e-6)
    assert sorted(layers[1]) == ['bias', 'kernel'] and sorted(variables.params['score']) == ['kernel']

    plain = dcgan.critic(shape, width=4, norm='none')
    variables, scores, _ = _play(plain, x, train=True)
    assert sorted(variables.params['down_1']) == ['kernel']
    np.testing.assert_allclose(plain.apply(variables, 3 * x, train=True)[0], 3 * scores, rtol=1e-4)
    for norm in ('batch', 'layer'):
        params = _drawn(dcgan.critic(shape, width=4, norm=norm, bias=True)).params
        assert sorted(params['down_0']) == sorted(params['down_1']) == ['kernel']


@pytest.mark.parametrize('norm', ['layer', 'none'])
def test_scores_without_batch_norm_are_per_example(norm):
    # A gradient penalty relies on this; fails if statistics run over the batch axis.
    critic = _pair('dcgan', (16, 16, 1), norm=norm).critic
    x = _normal(1, (4, 16, 16, 1))
    variables, scores, _ = _play(critic, x, True)
    score = jax.jit(lambda v: critic.apply(variables, v[None], train=True)[0][0])
    alone = [score(v) for v in x]
    np.testing.assert_allclose(scores, alone, rtol=1e-4, atol=1e-6 * np.abs(scores).max())


def test_evaluation_uses_running_statistics_and_changes_nothing():
    # Fails if train=False normalises by the batch, or updates the state.
    critic = _pair('dcgan', (16, 16, 1)).critic
    x = _normal(1, (6, 16, 16, 1))
    variables, _, state = _play(critic, x, train=True)
    assert not _trees_equal(state, variables.state)
    variables = variables._replace(state=state)
    evaluate = jax.jit(lambda x: critic.apply(variables, x, train=False))
    scores, same = evaluate(x)
    assert _trees_equal(same, state)
    np.testing.assert_allclose(scores[:2], evaluate(x[:2])[0], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize('player', ['generator', 'critic'])
def test_statistics_over_a_mapped_axis_are_the_whole_batch_s(player):
    # Fails if only means are averaged (each part's variance about its own mean), or the state is not synchronised.
    form = 'native' if player == 'generator' else 'matmul'
    network = getattr(_pair('dcgan', (16, 32, 3), conv_impl=form), player)
    shape = (6,) if player == 'generator' else (16, 32, 3)
    x = _normal(1, (8, *shape)) + jnp.arange(8.0).reshape(8, *[1] * len(shape))
    variables, whole, state = _play(network, x, train=True)
    parts = x.reshape(4, 2, *shape)

    def mapped(x):
        return network.apply(variables, x, train=True, axis_name='devices')

    out, states = jax.jit(jax.vmap(mapped, axis_name='devices'))(parts)
    np.testing.assert_allclose(out.reshape(whole.shape), whole, atol=1e-4 * np.abs(whole).max())
    for a, b in zip(jax.tree.leaves(states), jax.tree.leaves(state), strict=True):
        np.testing.assert_allclose(a, np.broadcast_to(b, a.shape), rtol=1e-4, atol=1e-6)


def test_batch_norm_is_flax_s_and_survives_a_large_mean():
    # Fails with the E[x^2] - E[x]^2 variance, with Flax's default momentum, or with the unbiased variance.
    x = 1e4 + _normal(0, (16, 4, 4, 3))
    ours, theirs = BatchNorm(), nn.BatchNorm(False, momentum=0.9, use_fast_variance=False)
    variables = jax.jit(lambda key: ours.init(key, x, train=False))(jax.random.key(1))
    y, state = jax.jit(lambda v, x: ours.apply(v, x, train=True, mutable='batch_stats'))(variables, x)
    z, reference = jax.jit(lambda v, x: theirs.apply(v, x, mutable='batch_stats'))(variables, x)
    first = BatchNorm(channel_axis=0).apply(variables, jnp.moveaxis(x, 3, 0), train=True, mutable='batch_stats')
    np.testing.assert_allclose(jnp.moveaxis(first[0], 0, 3), y, atol=1e-2)  # eager sums round differently
    np.testing.assert_allclose(y, z, atol=2e-3)  # 1e4 itself is only resolved to 1e-3
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), state, reference)
    exact = np.asarray(x, np.float64)
    np.testing.assert_allclose(state['batch_stats']['var'], 0.9 + 0.1 * exact.var((0, 1, 2)), rtol=1e-4)


def test_layer_norm_normalises_each_example():
    # Fails if statistics run per channel or over the batch, or if the scale is per pixel.
    x = 5 + 3 * _normal(0, (4, 6, 8, 3))
    variables = jax.jit(LayerNorm().init)(jax.random.key(1), x)
    scale = variables['params']['scale']
    assert scale.shape == (3,)
    y = np.asarray(jax.jit(LayerNorm().apply)(variables, x) / scale)
    first = LayerNorm(channel_axis=0).apply(variables, x.transpose(3, 1, 2, 0)).transpose(3, 1, 2, 0)
    np.testing.assert_allclose(first / scale, y, atol=1e-5)
    np.testing.assert_allclose(y.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(y.var((1, 2, 3)), 1, rtol=1e-4)


def test_refusals():
    with pytest.raises(ValueError, match=r'each at least 1, not \(50, 0, 3\)'):
        dcgan.generator((50, 0, 3))
    with pytest.raises(ValueError, match=r'\(height, width, channels\), .* not \(64, 8\)'):
        dcgan.critic((64, 8))
    with pytest.raises(ValueError, match="not 'fast'"):
        dcgan.critic((64, 64, 3), conv_impl='fast')
    with pytest.raises(ValueError, match="batch, layer, none, not 'group'"):
        dcgan.critic((64, 64, 3), norm='group')
    with pytest.raises(ValueError, match="norm='none', not 'batch'"):
        mlp.critic((8, 8, 1), norm='batch')
    _, critic = _pair('mlp', (8, 8, 1))
    variables = _drawn(critic)
    with pytest.raises(ValueError, match='without labels'):
        critic.apply(variables, jnp.ones((2, 8, 8, 1)), train=True, labels=jnp.zeros(2, int))
    with pytest.raises(ValueError, match=r'takes \(N, 8, 8, 1\), not \(2, 1, 8, 8\)'):
        critic.apply(variables, jnp.ones((2, 1, 8, 8)), train=True)
