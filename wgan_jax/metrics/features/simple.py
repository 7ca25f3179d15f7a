"""Features that need no weights from anywhere: pixels, and a network of random convolutions."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from wgan_jax.metrics.duplicates import coarse
from wgan_jax.metrics.features.network import FeatureNetwork
from wgan_jax.types import Array

WIDTHS = (32, 64, 128)  # channels of the random layers: 448 features
SLOPE = 0.2  # of the rectifier below zero


def pixels() -> FeatureNetwork:
    """The pixels of images that are halved until their smaller side is at most 16, see ``metrics.duplicates``."""
    return FeatureNetwork('pixels', Partial(_pixels))


def _pixels(images: Array) -> Array:
    return coarse(images).reshape(len(images), -1)


def random_conv() -> FeatureNetwork:
    """Means and deviations of the channels of a convolutional network with fixed random weights.

    x_l = leaky(conv3x3 of stride 2 (x_(l-1))), l = 1, 2, 3, of 32, 64 and 128 channels without bias; the features are,
    of each layer and channel, the mean over the pixels and the standard deviation, 2 * (32 + 64 + 128) = 448 in all.
    Weights are uniform, of variance 2 / ((1 + 0.2^2) 9 C) (He et al. 2015), the same on every machine, see
    ``random_kernel``. They know of no class and no object: texture, colour, contrast and sharpness are what they see.

    Takes images of any size and number of channels.

    Source: after Naeem et al. 2020, https://arxiv.org/abs/2002.09797, section 4, whose random embedding is a VGG.
    """
    return FeatureNetwork('random_conv', Partial(_random_conv))


def _random_conv(images: Array) -> Array:
    features, x = [], images
    for layer, width in enumerate(WIDTHS):
        kernel = jnp.asarray(random_kernel(layer, x.shape[-1], width))
        x = jax.lax.conv_general_dilated(
            x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
            precision=jax.lax.Precision.HIGHEST,
        )  # fmt: skip
        x = jax.nn.leaky_relu(x, SLOPE)
        features += [x.mean((1, 2)), x.std((1, 2))]
    return jnp.concatenate(features, axis=1)


def random_kernel(layer: int, channels: int, width: int) -> np.ndarray:
    """The kernel of a random layer.

    Drawn from the raw 64 bits of NumPy's PCG64 seeded by (layer, channels), of which NumPy promises that they never
    change (NEP 19); what its distributions, and JAX's, make of bits may change with a version.

    Args:
        layer: from 0 on.
        channels, width: before and after.

    Returns:
        (3, 3, channels, width) float32, uniform of mean 0 and variance 2 / ((1 + 0.2^2) 9 channels).
    """
    bits = np.random.PCG64(np.random.SeedSequence((layer, channels))).random_raw(9 * channels * width)
    uniform = (bits >> np.uint64(11)) * 2.0**-53
    limit = math.sqrt(3 * 2 / ((1 + SLOPE**2) * 9 * channels))
    return (limit * (2 * uniform - 1)).reshape(3, 3, channels, width).astype(np.float32)
