"""Constrained weights and the norms of layers, against singular values of the explicit linear maps."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.networks import dcgan, mlp
from wgan_jax.networks.norms import convolution_norm, matrix_norm
from wgan_jax.networks.parametrization import orthonormal, orthonormal_convolution
from wgan_jax.types import Variables

RANDOM = np.random.default_rng(0)


def _convolution_matrix(kernel, height, width, stride):
    """The convolution written out: one row for each output entry, one column for each input entry."""
    kh, kw, c, d = kernel.shape
    top, left = (kh - stride) // 2, (kw - stride) // 2
    rows, columns = height // stride, width // stride
    matrix = np.zeros((rows, columns, d, height, width, c))
    for i in range(rows):
        for j in range(columns):
            for a in range(kh):
                for b in range(kw):
                    y, x = stride * i + a - top, stride * j + b - left
                    if 0 <= y < height and 0 <= x < width:
                        matrix[i, j, :, y, x, :] += kernel[a, b].T
    return matrix.reshape(rows * columns * d, -1)


def _norm(matrix):
    return np.linalg.norm(np.asarray(matrix, np.float64), 2)


@pytest.mark.parametrize('shape, stride', [((4, 4, 3, 5), 2), ((3, 3, 4, 3), 1), ((1, 1, 3, 4), 1)])
def test_convolution_norm_bounds_the_explicit_map_closely(shape, stride):
    # Fails if frequencies are left out, blocks are cut wrongly, or the torus is smaller than the padded image.
    size = (13, 13) if stride == 1 else (12, 16)
    # Besides a random one, a kernel that stretches the wave of pixels up and down, which an odd torus does not have.
    wave = np.cos(np.pi * np.add.outer(np.arange(shape[0]), np.arange(shape[1])))[..., None, None] * np.ones(shape)
    for kernel in (RANDOM.normal(size=shape), wave):
        true = _norm(_convolution_matrix(kernel, *size, stride))
        assert true <= convolution_norm(jnp.asarray(kernel, jnp.float32), size, stride=stride) <= 1.08 * true


def test_the_reshaped_kernel_is_not_the_convolution():
    # Published: for random 3x3 kernels of 16 to 32 channels the true norm is about 1.7 times the reshaped one.
    kernel = jnp.asarray(RANDOM.normal(size=(3, 3, 16, 32)), jnp.float32)
    reshaped, true = _norm(kernel.reshape(-1, 32)), convolution_norm(kernel, (32, 32))
    assert 1.6 < true / reshaped < 1.8
    # sqrt(taps) times the norm of any of the four matricisations bounds it, too (Singla and Feizi 2021).
    orders = (((0, 1, 2, 3), 9 * 16), ((0, 1, 3, 2), 9 * 32), ((0, 2, 1, 3), 3 * 16), ((1, 2, 0, 3), 3 * 16))
    assert true <= 3 * min(_norm(np.transpose(kernel, axes).reshape(rows, -1)) for axes, rows in orders)


def test_matrix_norm_is_never_below_the_norm():
    matrices = RANDOM.normal(size=(20, 30, 7)).astype(np.float32)
    bounds = np.asarray(jax.jit(matrix_norm)(matrices), np.float64)
    true = np.array([_norm(m) for m in matrices])
    assert np.all(bounds >= true) and np.all(bounds <= true * (1 + 1e-5))


@pytest.mark.parametrize('shape', [(24, 24), (2, 24), (24, 1)])
def test_orthonormal_is_the_polar_factor_and_its_gradient_that_of_finite_differences(shape):
    # Fails if iterations stop early, if the scale is not safe (values above sqrt(3) diverge), or is differentiated.
    with jax.enable_x64(True):
        u, _, v = np.linalg.svd(RANDOM.normal(size=shape), full_matrices=False)
        w = 30 * u * np.linspace(1, 0.05, len(v)) @ v
        np.testing.assert_allclose(jax.jit(orthonormal)(w), u @ v, atol=1e-5)
        target, direction = RANDOM.normal(size=(2, *shape))
        loss = jax.jit(jax.value_and_grad(lambda w: jnp.vdot(orthonormal(w, iterations=25), target)))
        h = 1e-5
        expected = (loss(w + h * direction)[0] - loss(w - h * direction)[0]) / (2 * h)
        np.testing.assert_allclose(np.vdot(loss(w)[1], direction), expected, rtol=1e-6, atol=1e-9)


def test_orthonormal_never_stretches_though_values_have_not_arrived():
    u, _, v = np.linalg.svd(RANDOM.normal(size=(16, 16)))
    w = u * np.geomspace(1, 1e-6, 16) @ v
    values = np.linalg.svd(np.asarray(orthonormal(jnp.asarray(w, jnp.float32)), np.float64), compute_uv=False)
    assert values[0] <= 1 + 1e-6 and values[-1] < 0.01


@pytest.mark.parametrize('shape, stride', [((4, 4, 6, 8), 2), ((3, 3, 6, 8), 1)])
def test_orthonormal_convolution_is_1_lipschitz_as_an_explicit_map(shape, stride):
    kernel = orthonormal_convolution(jnp.asarray(RANDOM.normal(size=shape), jnp.float32), stride)
    assert 0.5 < _norm(_convolution_matrix(np.asarray(kernel, np.float64), 8, 12, stride)) <= 1 + 1e-6


def _explicit_norms(params, parametrization):
    """Of the kernels of the DCGAN on 16x16 images, for the given meaning of spectral."""
    for i in range(4):
        kernel = np.asarray(params[f'down_{i}']['kernel'], np.float64)
        matrix = _convolution_matrix(kernel, 16 >> i, 16 >> i, 2)
        yield matrix, _norm(kernel.reshape(-1, kernel.shape[3]) if parametrization == 'spectral' else matrix)
    last = np.asarray(params['score']['kernel'], np.float64).T
    yield last, _norm(last)


@pytest.mark.parametrize('parametrization', ['spectral', 'spectral_operator'])
def test_fresh_critic_is_the_one_of_explicitly_normalised_layers(parametrization):
    # Fails without a warm-up (sigma from a random vector is far too small), or if the norm is not the one it claims.
    network = dcgan.critic(
        (16, 16, 1), width=4, norm='none', parametrization=parametrization, conv_impl='native', num_doublings=4
    )
    variables = network.init(jax.random.key(1))
    x = h = RANDOM.normal(size=(3, 256))
    for i, (matrix, norm) in enumerate(_explicit_norms(variables.params, parametrization)):
        h = h @ matrix.T / norm
        h = h if i == 4 else np.maximum(h, 0.2 * h)
    run = jax.jit(lambda x: network.apply(variables, x, train=True)[0])
    np.testing.assert_allclose(run(jnp.asarray(x.reshape(3, 16, 16, 1), jnp.float32)), h[:, 0], rtol=0.02)


@pytest.mark.parametrize('parametrization', ['spectral', 'orthonormal'])
def test_no_layer_of_a_fresh_mlp_stretches(parametrization):
    network = mlp.critic((4, 4, 1), width=32, depth=2, parametrization=parametrization)
    variables = network.init(jax.random.key(1))
    bounds = np.asarray(network.bounds(variables))
    assert np.all(bounds > 0.99) and np.all(bounds < 1 + 1e-3), bounds
    assert bool(variables.state) == (parametrization == 'spectral')


def test_one_iteration_in_training_none_in_evaluation():
    # Fails if evaluation advances the vector, or if several iterations (or none) are made per pass.
    network = mlp.critic((6,), width=8, depth=1, parametrization='spectral')
    variables = network.init(jax.random.key(0))
    kernel = np.asarray(variables.params['hidden_0']['kernel'])
    start = np.eye(6, dtype=np.float32)[0]
    state = jax.tree.map(lambda v: v, variables.state)
    state['spectral']['hidden_0']['vector'] = jnp.asarray(start)
    variables = Variables(variables.params, state)
    x = jnp.ones((2, 6))
    _, evaluated = network.apply(variables, x, train=False)
    np.testing.assert_array_equal(evaluated['spectral']['hidden_0']['vector'], start)
    _, trained = network.apply(variables, x, train=True)
    expected = kernel @ kernel.T @ start
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(trained['spectral']['hidden_0']['vector'], expected, atol=1e-6)


@pytest.mark.parametrize('parametrization', ['spectral', 'spectral_operator'])
def test_norms_are_computed_in_full_precision(parametrization):
    # Fails if a GPU rounds what the weights are divided by to TF32, or if the layers' own products are slowed down. Of
    # each layer's four products three are the norm's: L v, L^T L v, and L v again.
    network = dcgan.critic((8, 8, 1), width=4, norm='none', parametrization=parametrization, conv_impl='native')
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    lowered = jax.jit(lambda v, x: network.apply(v, x, train=True)).lower(shapes, jnp.zeros((2, 8, 8, 1)))
    products = re.findall(r'stablehlo.(?:dot_general|convolution).*', lowered.as_text())
    exact = [line for line in products if 'HIGHEST' in line]
    assert (len(exact), len(products)) == (6, 8)  # one convolution, and the score


def _scaled_kernels(variables, factor):
    """The same variables with every kernel multiplied."""
    params = jax.tree.map(lambda leaf: leaf * factor if leaf.ndim > 1 else leaf, variables.params)
    return Variables(params, variables.state)


@pytest.mark.parametrize('parametrization', ['spectral', 'spectral_operator', 'orthonormal'])
def test_the_size_of_the_parameters_is_of_no_consequence(parametrization):
    # W / ||W|| is that of c W, to the bit for c a power of 2. Fails where squares of small kernels underflow, or where
    # something is added under a root: the vector of the power iteration, and with it sigma, then shrinks in training.
    network = dcgan.critic((16, 16, 1), width=4, norm='none', parametrization=parametrization, conv_impl='native')
    variables = network.init(jax.random.key(1))
    x = jnp.asarray(RANDOM.normal(size=(3, 16, 16, 1)), jnp.float32)

    @partial(jax.jit, static_argnames='train')
    def run(variables, train):
        def loss(params):
            scores, state = network.apply(Variables(params, variables.state), x, train=train)
            return jnp.sum(scores), (scores, state)

        (_, (scores, state)), slopes = jax.value_and_grad(loss, has_aux=True)(variables.params)
        return scores, state, slopes

    for train in (True, False):
        scores, state, slopes = run(variables, train)
        for exponent in (-100, -24, 40, 100):  # 8e-31 to 1.3e30
            factor = np.float32(2.0**exponent)
            own = run(_scaled_kernels(variables, factor), train)
            np.testing.assert_array_equal(own[0], scores)
            jax.tree.map(np.testing.assert_array_equal, own[1], state)
            scaled = _scaled_kernels(Variables(jax.tree.map(np.float64, own[2]), {}), factor).params  # by W: 1 / c
            jax.tree.map(np.testing.assert_array_equal, scaled, jax.tree.map(np.float64, slopes))
    # Training differs from evaluation by one iteration of a vector that has had a hundred.
    tiny = _scaled_kernels(variables, 1e-7)
    np.testing.assert_allclose(run(tiny, True)[0], run(tiny, False)[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('parametrization', ['spectral', 'spectral_operator', 'orthonormal'])
def test_kernels_of_zeros_score_zero_and_can_be_left(parametrization):
    # Fails if 0 / 0 is NaN, or if the vector of the power iteration becomes 0 and stays so.
    if parametrization == 'spectral_operator':
        network = dcgan.critic((16, 16, 1), width=4, norm='none', parametrization=parametrization, conv_impl='native')
    else:
        network = mlp.critic((16, 16, 1), width=8, depth=2, parametrization=parametrization)
    fresh = network.init(jax.random.key(1))
    x = jnp.asarray(RANDOM.normal(size=(3, 16, 16, 1)), jnp.float32)
    zero = _scaled_kernels(fresh, 0.0)

    def loss(params):
        scores, state = network.apply(Variables(params, zero.state), x, train=True)
        return jnp.sum(scores), state

    (value, state), slopes = jax.jit(jax.value_and_grad(loss, has_aux=True))(zero.params)
    assert value == 0 and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))
    evaluate = jax.jit(lambda variables: network.apply(variables, x, train=False)[0])
    np.testing.assert_allclose(evaluate(Variables(fresh.params, state)), evaluate(fresh), rtol=1e-4)


@pytest.mark.parametrize('size', [1e-30, 1e-7, 1e30])
def test_orthonormal_of_any_size_is_the_polar_factor(size):
    w = RANDOM.normal(size=(12, 5))
    u, _, v = np.linalg.svd(w, full_matrices=False)
    np.testing.assert_allclose(orthonormal(jnp.asarray(w * size, jnp.float32)), u @ v, atol=2e-6)
    np.testing.assert_array_equal(orthonormal(jnp.zeros((12, 5))), 0)


def test_unknown_weights_are_named():
    with pytest.raises(ValueError, match="one of spectral, spectral_operator, orthonormal, not 'unit'"):
        mlp.critic((2,), parametrization='unit')
