"""Inception-v3 as FID uses it: the network of TensorFlow's 2015-12-05 release, in the form of its port to PyTorch.

It differs from torchvision's: 1,008 outputs, average pooling that does not count the border, and max pooling in the
last block (which the reference takes over from the release, though no paper describes it).

Source: Szegedy et al. 2015, https://arxiv.org/abs/1512.00567; https://github.com/mseitzer/pytorch-fid, inception.py.
"""

import os
from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from wgan_jax.metrics.features.network import FeatureNetwork
from wgan_jax.metrics.features.resize import resize_linear
from wgan_jax.metrics.features.weights import Published, read_weights
from wgan_jax.types import Array

PUBLISHED = Published(
    'https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth',
    '6726825d',  # which the file is named by
)
SIDE = 299  # pixels
CLASSES = 1008
EPSILON = 1e-3  # of batch normalisation
_HIGHEST = jax.lax.Precision.HIGHEST


class Convolve(Protocol):
    """A convolution with its batch normalisation and ReLU, by the name of its weights."""

    def __call__(
        self, x: Array, name: str, width: int, size: tuple[int, int] = (1, 1), stride: int = 1, border: bool = True
    ) -> Array: ...


def from_file(path: str | os.PathLike) -> FeatureNetwork:
    """The network with the weights of a file.

    Images are brought to 256 levels, as a PNG would, grey repeated, alpha over white, and to 299x299 pixels by linear
    interpolation without antialiasing (PyTorch's ``interpolate`` with align_corners=False, as in pytorch-fid; the
    original in TensorFlow places its pixels differently). Features are the 2,048 means over the last layer's pixels;
    probabilities are softmax(W features) of the last map without its bias, as in the original Inception score.

    Args:
        path: of a ``.safetensors`` file with the names of pytorch-fid, see FEATURES.md.

    Returns:
        A network called 'inception_v3', or 'inception_v3(weights …)' where the weights are not known as the published
        ones: only with the former is a Fréchet distance called FID.

    Raises:
        ValueError: in one line, for a file with anything else in it.
    """
    weights, suffix = read_weights(path, shapes(), PUBLISHED, ignored=_is_ignored)
    folded = fold(weights)
    return FeatureNetwork(f'inception_v3{suffix}', Partial(features, folded), Partial(probabilities, folded))


def features(weights: dict[str, Array], images: Array) -> Array:
    """(N, H, W, C) in [-1, 1] to (N, 2048), by folded weights."""
    return _trunk(resize_linear(images, SIDE), _by(weights)).mean((1, 2))


def probabilities(weights: dict[str, Array], images: Array) -> Array:
    """(N, H, W, C) in [-1, 1] to (N, 1008), by folded weights."""
    return head(weights, features(weights, images))


def head(weights: dict[str, Array], features: Array) -> Array:
    """Features (N, 2048) to the probabilities of the classes, (N, 1008)."""
    return jax.nn.softmax(jnp.matmul(features, weights['fc'], precision=_HIGHEST))


def shapes(divisor: int = 1) -> dict[str, tuple[int, ...]]:
    """What the file must hold, by the names of pytorch-fid.

    Args:
        divisor: of the number of channels of every layer, for a smaller network.
    """
    found: dict[str, tuple[int, ...]] = {}

    def note(x, name, width, size=(1, 1), stride=1, border=True):
        found[f'{name}.conv.weight'] = (width // divisor, x.shape[-1], *size)
        found.update({f'{name}.bn.{what}': (width // divisor,) for what in _NORM})
        kernel = jnp.zeros((*size, x.shape[-1], width // divisor))
        return _convolution(x, kernel, stride, border)

    x = jax.eval_shape(lambda x: _trunk(x, note), jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.float32))
    return found | {'fc.weight': (CLASSES, x.shape[-1]), 'fc.bias': (CLASSES,)}


_NORM = ('weight', 'bias', 'running_mean', 'running_var')


def _is_ignored(name: str) -> bool:
    return name.endswith('.num_batches_tracked')


def fold(weights: dict[str, np.ndarray]) -> dict[str, Array]:
    """Weights with the batch normalisation taken into the kernels and biases: y = relu(k * x + b).

    k = w g / sqrt(v + 1e-3), b = h - m g / sqrt(v + 1e-3), with gain g, offset h, running mean m and variance v.

    Args:
        weights: by the names of pytorch-fid.

    Returns:
        NAME.kernel (kh, kw, C, D) and NAME.bias (D,) of every convolution, and 'fc' (2048, 1008).
    """
    folded = {'fc': jnp.asarray(weights['fc.weight'].T)}
    for key in weights:
        name, _, kind = key.rpartition('.conv.')
        if kind == 'weight':
            gain, offset, mean, variance = (weights[f'{name}.bn.{what}'].astype(np.float64) for what in _NORM)
            gain = gain / np.sqrt(variance + EPSILON)
            kernel = weights[key].transpose(2, 3, 1, 0) * gain
            folded[f'{name}.kernel'] = jnp.asarray(kernel, jnp.float32)
            folded[f'{name}.bias'] = jnp.asarray(offset - mean * gain, jnp.float32)
    return folded


def _by(weights: dict[str, Array]) -> Convolve:
    def convolve(x, name, width, size=(1, 1), stride=1, border=True):
        del width, size  # which the kernel has
        return jax.nn.relu(_convolution(x, weights[f'{name}.kernel'], stride, border) + weights[f'{name}.bias'])

    return convolve


def _convolution(x: Array, kernel: Array, stride: int, border: bool) -> Array:
    """Odd kernels, with a border of zeros that keeps the size where there is no stride, or without."""
    padding = [(side // 2 * border,) * 2 for side in kernel.shape[:2]]
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=('NHWC', 'HWIO', 'NHWC'), precision=_HIGHEST
    )


def _max_pool(x: Array, stride: int, border: int) -> Array:
    padding = ((0, 0), (border, border), (border, border), (0, 0))
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, stride, stride, 1), padding)


def _average_pool(x: Array) -> Array:
    """Means over 3x3 pixels, at the border over those that there are."""

    def total(x):
        return jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 3, 3, 1), (1, 1, 1, 1), 'SAME')

    return total(x) / total(jnp.ones((1, *x.shape[1:3], 1), x.dtype))


def _trunk(x: Array, conv: Convolve) -> Array:
    """Images (N, 299, 299, 3) in [-1, 1] to (N, 8, 8, 2048)."""
    x = conv(x, 'Conv2d_1a_3x3', 32, (3, 3), 2, border=False)
    x = conv(x, 'Conv2d_2a_3x3', 32, (3, 3), border=False)
    x = conv(x, 'Conv2d_2b_3x3', 64, (3, 3))
    x = _max_pool(x, 2, 0)
    x = conv(x, 'Conv2d_3b_1x1', 80)
    x = conv(x, 'Conv2d_4a_3x3', 192, (3, 3), border=False)
    x = _max_pool(x, 2, 0)
    for name, pooled in (('Mixed_5b', 32), ('Mixed_5c', 64), ('Mixed_5d', 64)):
        x = _block_a(x, name, pooled, conv)
    x = _block_b(x, 'Mixed_6a', conv)
    for name, inner in (('Mixed_6b', 128), ('Mixed_6c', 160), ('Mixed_6d', 160), ('Mixed_6e', 192)):
        x = _block_c(x, name, inner, conv)
    x = _block_d(x, 'Mixed_7a', conv)
    x = _block_e(x, 'Mixed_7b', _average_pool, conv)
    return _block_e(x, 'Mixed_7c', lambda x: _max_pool(x, 1, 1), conv)


def _joined(*branches: Array) -> Array:
    return jnp.concatenate(branches, axis=-1)


def _block_a(x: Array, name: str, pooled: int, conv: Convolve) -> Array:
    five = conv(conv(x, f'{name}.branch5x5_1', 48), f'{name}.branch5x5_2', 64, (5, 5))
    three = conv(conv(x, f'{name}.branch3x3dbl_1', 64), f'{name}.branch3x3dbl_2', 96, (3, 3))
    three = conv(three, f'{name}.branch3x3dbl_3', 96, (3, 3))
    pool = conv(_average_pool(x), f'{name}.branch_pool', pooled)
    return _joined(conv(x, f'{name}.branch1x1', 64), five, three, pool)


def _block_b(x: Array, name: str, conv: Convolve) -> Array:
    three = conv(conv(x, f'{name}.branch3x3dbl_1', 64), f'{name}.branch3x3dbl_2', 96, (3, 3))
    three = conv(three, f'{name}.branch3x3dbl_3', 96, (3, 3), 2, border=False)
    return _joined(conv(x, f'{name}.branch3x3', 384, (3, 3), 2, border=False), three, _max_pool(x, 2, 0))


def _block_c(x: Array, name: str, inner: int, conv: Convolve) -> Array:
    seven = conv(conv(x, f'{name}.branch7x7_1', inner), f'{name}.branch7x7_2', inner, (1, 7))
    seven = conv(seven, f'{name}.branch7x7_3', 192, (7, 1))
    double = conv(x, f'{name}.branch7x7dbl_1', inner)
    for step, (width, size) in enumerate(((inner, (7, 1)), (inner, (1, 7)), (inner, (7, 1)), (192, (1, 7))), 2):
        double = conv(double, f'{name}.branch7x7dbl_{step}', width, size)
    pool = conv(_average_pool(x), f'{name}.branch_pool', 192)
    return _joined(conv(x, f'{name}.branch1x1', 192), seven, double, pool)


def _block_d(x: Array, name: str, conv: Convolve) -> Array:
    three = conv(conv(x, f'{name}.branch3x3_1', 192), f'{name}.branch3x3_2', 320, (3, 3), 2, border=False)
    seven = conv(conv(x, f'{name}.branch7x7x3_1', 192), f'{name}.branch7x7x3_2', 192, (1, 7))
    seven = conv(seven, f'{name}.branch7x7x3_3', 192, (7, 1))
    seven = conv(seven, f'{name}.branch7x7x3_4', 192, (3, 3), 2, border=False)
    return _joined(three, seven, _max_pool(x, 2, 0))


def _block_e(x: Array, name: str, pool: Callable[[Array], Array], conv: Convolve) -> Array:
    def crossed(x, stem, one, other):
        return conv(x, f'{name}.{stem}{one}', 384, (1, 3)), conv(x, f'{name}.{stem}{other}', 384, (3, 1))

    three = conv(x, f'{name}.branch3x3_1', 384)
    double = conv(conv(x, f'{name}.branch3x3dbl_1', 448), f'{name}.branch3x3dbl_2', 384, (3, 3))
    return _joined(
        conv(x, f'{name}.branch1x1', 320), *crossed(three, 'branch3x3_', '2a', '2b'),
        *crossed(double, 'branch3x3dbl_', '3a', '3b'), conv(pool(x), f'{name}.branch_pool', 192),
    )  # fmt: skip
