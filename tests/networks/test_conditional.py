"""Networks that are told a class: each class its own network inside of one, written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.lipschitz import upper_bound
from wgan_jax.networks import dcgan, mlp, r3gan, resnet
from wgan_jax.types import Variables

RANDOM = np.random.default_rng(0)
K, SHAPE = 3, (16, 16, 2)
LABELS = np.array([2, 0, 1, 0])
MODULES = {
    'mlp': (mlp, {'width': 6, 'depth': 2}),
    'dcgan': (dcgan, {'width': 4}),
    'resnet': (resnet, {'width': 4}),
    'r3gan': (r3gan, {'width': 4}),
}
SLOW = [pytest.param(arch, marks=pytest.mark.slow) for arch in ('resnet', 'r3gan')]


def _pair(arch, num_classes=K, **options):
    module, sizes = MODULES[arch]
    critic = module.critic(SHAPE, norm='none', num_classes=num_classes, **sizes, **options)
    return module.generator(SHAPE, latent_dim=5, num_classes=num_classes, **sizes), critic


def _drawn(network, key=1):
    """Variables in which no two classes have the same numbers."""
    variables = jax.jit(network.init)(jax.random.key(key))
    leaves, tree = jax.tree.flatten(variables.params)
    keys = jax.random.split(jax.random.key(key), len(leaves))
    leaves = [leaf + 0.3 * jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)]
    return Variables(jax.tree.unflatten(tree, leaves), variables.state)


def _scores(network, variables, x, labels=None):
    return jax.jit(lambda x: network.apply(variables, x, train=False, labels=labels)[0])(x)


def _of_class(params, c):
    """The parameters of an unconditional generator that does for every example what class c gets."""
    if isinstance(params, dict) and set(params) == {'scale', 'bias'}:
        return {name: table[c] for name, table in params.items()}
    return {name: _of_class(inner, c) for name, inner in params.items()} if isinstance(params, dict) else params


@pytest.mark.parametrize('arch', ['dcgan', pytest.param('resnet', marks=pytest.mark.slow)])
@pytest.mark.parametrize('conv_impl', ['native', 'matmul'])
def test_a_generator_is_one_for_each_class(arch, conv_impl):
    # Fails if an example gets another one's scale, in either layout.
    module, sizes = MODULES[arch]
    made = {'latent_dim': 5, 'conv_impl': conv_impl, **sizes}
    generator, plain = module.generator(SHAPE, num_classes=K, **made), module.generator(SHAPE, **made)
    variables = _drawn(generator)
    z = jnp.asarray(RANDOM.normal(size=(4, 5)), jnp.float32)
    images = _scores(generator, variables, z, LABELS)
    for c in range(K):
        own = Variables(_of_class(variables.params, c), variables.state)
        np.testing.assert_allclose(images[c == LABELS], _scores(plain, own, z)[c == LABELS], atol=1e-4)
    assert np.abs(images - _scores(generator, variables, z, (LABELS + 1) % K)).max() > 0.01


def test_batch_statistics_are_of_the_whole_batch():
    # Fails if each class were normalised by itself: running means would be those of a class.
    generator, _ = _pair('dcgan')
    variables = _drawn(generator)
    z = RANDOM.normal(size=(4, 5)).astype(np.float32)
    _, state = jax.jit(lambda z: generator.apply(variables, z, train=True, labels=LABELS))(z)
    running, first = state['batch_stats']['norm_0'], z @ np.asarray(variables.params['up_0']['kernel'])
    channels = first.reshape(-1, running['mean'].size)  # of all examples and pixels, whatever their class
    np.testing.assert_allclose(running['mean'], 0.1 * channels.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(running['var'], 0.9 + 0.1 * channels.var(0), rtol=1e-4)


@pytest.mark.slow
def test_r3gan_is_told_beside_its_latent_vector():
    generator, plain = _pair('r3gan')[0], r3gan.generator(SHAPE, latent_dim=5 + K, width=4)
    variables = _drawn(generator)
    z = RANDOM.normal(size=(4, 5)).astype(np.float32)
    x = np.concatenate([z, np.eye(K, dtype=np.float32)[np.asarray(LABELS)]], axis=1)
    np.testing.assert_allclose(
        _scores(generator, variables, z, LABELS), _scores(plain, variables, x), rtol=1e-4, atol=1e-4
    )


def test_the_mlp_is_told_beside_its_latent_vector():
    generator, _ = _pair('mlp')
    variables = _drawn(generator)
    z = RANDOM.normal(size=(4, 5)).astype(np.float32)
    x = np.concatenate([z, np.eye(K, dtype=np.float32)[np.asarray(LABELS)]], axis=1)
    for name in ('hidden_0', 'hidden_1', 'image'):
        x = x @ variables.params[name]['kernel'] + variables.params[name]['bias']
        x = np.maximum(x, 0) if name != 'image' else x
    np.testing.assert_allclose(_scores(generator, variables, z, LABELS).reshape(4, -1), x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('arch', ['mlp', 'dcgan', *SLOW])
def test_a_critic_projects_its_features_on_the_class(arch):
    # Fails if another class is added, or the projection is not of the features that are scored.
    _, critic = _pair(arch)
    _, plain = _pair(arch, num_classes=0)
    variables = _drawn(critic)
    x = jnp.asarray(RANDOM.normal(size=(4, *SHAPE)), jnp.float32)
    scores = _scores(critic, variables, x, LABELS)
    params = dict(variables.params)
    tables = params.pop('classes')['kernel']
    score = params['score']
    for c in range(K):
        own = {**params, 'score': {**score, 'kernel': score['kernel'] + tables[:, c : c + 1]}}
        wanted = _scores(plain, Variables(own, variables.state), x)
        np.testing.assert_allclose(scores[c == LABELS], wanted[c == LABELS], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('arch', ['mlp', 'dcgan', *SLOW])
def test_bounds_hold_for_every_class(arch):
    # Fails if the projection is left out of the bound, which is then too small by half.
    _, critic = _pair(arch)
    variables = jax.jit(critic.init)(jax.random.key(3))
    variables = variables._replace(
        params={**variables.params, 'classes': {'kernel': variables.params['score']['kernel'].repeat(K, 1)}}
    )
    bound = float(upper_bound(critic, variables))
    x = jnp.asarray(RANDOM.normal(size=(4, *SHAPE)), jnp.float32)
    slope = jax.jit(jax.grad(lambda x: critic.apply(variables, x, train=False, labels=LABELS)[0].sum()))(x)
    assert 0 < np.linalg.norm(np.asarray(slope).reshape(4, -1), axis=1).max() <= bound
    assert len(critic.bounds(variables)) == len(_pair(arch, num_classes=0)[1].bounds(_drawn(_pair(arch, 0)[1])))
    _, hidden = critic.activations(variables, x, labels=LABELS)
    assert hidden


def test_refusals():
    generator, critic = _pair('mlp')
    variables, x = _drawn(critic), jnp.zeros((4, *SHAPE))
    for labels, given in ((None, 'none'), (jnp.zeros(3, int), r'labels of shape \(3,\)')):
        with pytest.raises(ValueError, match=rf'of 3 classes: call it with labels \(4,\), not {given}'):
            critic.apply(variables, x, train=True, labels=labels)
        with pytest.raises(ValueError, match='of 3 classes'):
            critic.activations(variables, x, labels=labels)
    with pytest.raises(ValueError, match='of 3 classes'):
        generator.apply(_drawn(generator), jnp.zeros((4, 5)), train=False)
    for module, _ in MODULES.values():
        with pytest.raises(ValueError, match='at least 0'):
            module.generator(SHAPE, num_classes=-1)
    with pytest.raises(ValueError, match='adds two scores'):
        dcgan.critic(SHAPE, norm='none', parametrization='orthonormal', num_classes=2)
