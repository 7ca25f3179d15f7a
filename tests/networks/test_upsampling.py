"""Upsampling by repeated pixels, computed as a transposed convolution, against its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.networks import dcgan
from wgan_jax.networks.convolution import from_layout, to_layout, upsample
from wgan_jax.networks.layers import spread


@pytest.mark.parametrize('conv_impl', ['native', 'matmul'])
def test_spread_kernel_equals_repeating_pixels_and_convolving(conv_impl):
    x = jax.random.normal(jax.random.key(0), (2, 3, 4, 5))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 6, 5))
    repeated = x.repeat(2, axis=1).repeat(2, axis=2)
    # A transposed convolution has its taps the other way round.
    expected = jax.lax.conv_general_dilated(
        repeated, kernel[::-1, ::-1], (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWOI', 'NHWC')
    )
    out = upsample(to_layout(x, conv_impl), spread(kernel), dtype=jnp.float32, conv_impl=conv_impl)
    actual = from_layout(out, conv_impl)
    np.testing.assert_allclose(actual, expected, atol=2e-5)


def test_nearest_generator_has_smaller_kernels_and_no_checkerboard():
    network = dcgan.generator((32, 48, 3), latent_dim=4, width=4, upsampling='nearest', conv_impl='native')
    variables = network.init(jax.random.key(0))
    assert variables.params['up_1']['kernel'].shape == (3, 3, 8, 16)
    # Constant input: a transposed convolution with random taps alternates between even and odd pixels, this does not.
    flat = jnp.ones((1, 6, 6, 2))
    out = upsample(
        flat, spread(jax.random.normal(jax.random.key(1), (3, 3, 1, 2))), dtype=jnp.float32, conv_impl='native'
    )
    np.testing.assert_allclose(out[0, 2:-2, 2:-2, 0], out[0, 5, 5, 0], rtol=1e-5)
    with pytest.raises(ValueError, match='upsampling must be one of transposed, nearest'):
        dcgan.generator((32, 48, 3), upsampling='bilinear')
