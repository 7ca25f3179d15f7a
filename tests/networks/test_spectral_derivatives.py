"""Derivatives through layers divided by their norm, against finite differences of the explicitly divided map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate2d

from wgan_jax.networks import layers

SIDE = 6  # of the images


def _dense(x, kernel):
    return x @ kernel


def _convolution(stride):
    def apply(x, kernel):
        channels, features = kernel.shape[2:]
        margins = [((side - stride) // 2,) * 2 for side in kernel.shape[:2]]
        padded = np.pad(x, ((0, 0), *margins, (0, 0)))
        out = [
            [sum(correlate2d(image[..., c], kernel[:, :, c, d], 'valid') for c in range(channels))
             for d in range(features)]
            for image in padded
        ]  # fmt: skip
        return np.moveaxis(np.array(out), 1, -1)[:, ::stride, ::stride]

    return apply


# layer, shape of one example, the same map in NumPy
LAYERS = {
    'dense': (lambda **options: layers.Dense(3, **options), (5,), _dense),
    'strided': (
        lambda **options: layers.Conv(3, conv_impl='native', **options), (SIDE, SIDE, 2), _convolution(2),
    ),
    'same': (
        lambda **options: layers.SameConv(3, conv_impl='native', **options), (SIDE, SIDE, 2), _convolution(1),
    ),
}  # fmt: skip


def _matrix(apply, kernel, shape, parametrization):
    """The matrix whose largest singular value divides the kernel; rows are inputs."""
    if parametrization == 'spectral':
        return kernel.reshape(-1, kernel.shape[-1])
    return apply(np.eye(np.prod(shape)).reshape(-1, *shape), kernel).reshape(np.prod(shape), -1)


@pytest.mark.parametrize('parametrization', ['spectral', 'spectral_operator'])
@pytest.mark.parametrize('name', LAYERS)
def test_gradient_is_that_of_the_kernel_over_its_norm(name, parametrization):
    # d(W / s) = dW / s - W ds / s^2. Fails without the second term (a stop_gradient around the norm), for another norm,
    # or if the layer's own kernel is cut off. At the singular vector itself the norm does not depend on the vector to
    # first order, so that the vector's standing still is no difference.
    make, shape, apply = LAYERS[name]
    random = np.random.default_rng(0)
    x = random.normal(size=(2, *shape))
    variables = make(dtype=jnp.float32, parametrization=parametrization).init(jax.random.key(0), jnp.float32(x))
    with jax.enable_x64(True):
        layer = make(dtype=jnp.float64, parametrization=parametrization)
        variables = jax.tree.map(lambda a: a.astype(jnp.float64), variables)
        kernel = random.normal(size=variables['params']['kernel'].shape)
        left, values, _ = np.linalg.svd(_matrix(apply, kernel, shape, parametrization))
        assert values[1] < 0.999 * values[0]
        vector = variables['spectral']['vector']
        state = {'spectral': {'vector': left[:, 0].reshape(vector.shape)}}
        target, direction = random.normal(size=layer.apply(variables, x).shape), random.normal(size=kernel.shape)

        def explicit(kernel):
            norm = np.linalg.norm(_matrix(apply, kernel, shape, parametrization), 2)
            return np.vdot(apply(x, kernel / norm), target)

        for train in (True, False):

            def loss(kernel, train=train):
                params = {**variables['params'], 'kernel': kernel}
                out, _ = layer.apply({'params': params, **state}, x, train=train, mutable=['spectral'])
                return jnp.vdot(out, target)

            value, slope = jax.jit(jax.value_and_grad(loss))(kernel)
            h = 1e-5
            expected = (explicit(kernel + h * direction) - explicit(kernel - h * direction)) / (2 * h)
            np.testing.assert_allclose(value, explicit(kernel), rtol=1e-10)
            np.testing.assert_allclose(np.vdot(slope, direction), expected, rtol=1e-7)
