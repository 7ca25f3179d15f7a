"""Linen layers with weights: float32 parameters, any compute type."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from wgan_jax.networks.convolution import CHANNEL_AXIS, downsample, same, to_layout, upsample
from wgan_jax.networks.norms import clipped_norm, convolution_norm, matrix_norm
from wgan_jax.networks.orthogonal import orthogonal_halving
from wgan_jax.networks.parametrization import orthonormal, orthonormal_convolution, orthonormal_start, spectral
from wgan_jax.networks.products import einsum, written
from wgan_jax.networks.report import LayerReport
from wgan_jax.types import Array


def flat(draw: Callable) -> nn.initializers.Initializer:
    """An initialiser that draws along one axis: the same values, of which XLA:CPU compiles the draw 3 times faster.

    Args:
        draw: ``draw(key, size, shape) -> (size,)`` entries of an array of that shape.

    Returns:
        ``initialise(key, shape, dtype) -> array``.
    """

    def initialise(key, shape, dtype=jnp.float32):
        return draw(key, math.prod(shape), shape).reshape(shape).astype(dtype)

    return initialise


# As the original releases do.
conv_init = flat(lambda key, size, shape: 0.02 * jax.random.normal(key, (size,)))


class Dense(nn.Module):
    """Linear map y = x W + b, of vectors or of every pixel of images (a 1x1 convolution).

    Attributes:
        features: D.
        use_bias: whether b exists.
        kernel_init: initialiser of W.
        dtype: compute type; parameters are float32.
        conv_impl: see ``products.resolve_conv_impl``.
        parametrization: how W is made of the parameters, see ``networks.parametrization``; None for W itself.
        channel_axis: of x; the last, or 0.
    """

    features: int
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = conv_init
    dtype: jnp.dtype = jnp.float32
    conv_impl: str | None = None
    parametrization: str | None = None
    channel_axis: int = -1

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False, report: LayerReport | None = None) -> Array:
        """Maps C channels to D; see ``networks.parametrization`` for ``train``."""
        shape = (x.shape[self.channel_axis], self.features)
        kernel = _parameter(self, 'kernel', shape)
        if self.parametrization == 'orthonormal':
            kernel = orthonormal(kernel)
        elif self.parametrization is not None:
            kernel = spectral(self, lambda kernel, v: v @ kernel, kernel, shape[:1], train=train)
        if report is not None:
            report.bounds.append(
                lambda clip: matrix_norm(kernel) if clip is None or not _is_free(self) else clipped_norm(clip, *shape)
            )
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        if self.channel_axis == 0:
            y = einsum('cd,cm->dm', kernel, x.reshape(x.shape[0], -1), self.conv_impl).reshape(-1, *x.shape[1:])
        else:
            y = einsum('mc,cd->md', x.reshape(-1, x.shape[-1]), kernel, self.conv_impl).reshape(*x.shape[:-1], -1)
        return y + _bias(self, y.ndim, self.channel_axis).astype(self.dtype) if self.use_bias else y


def _bias(module: nn.Module, ndim: int, channel_axis: int) -> Array:
    shape = [1] * ndim
    shape[channel_axis] = module.features
    return module.param('bias', nn.initializers.zeros, (module.features,)).reshape(shape)


def _parameter(module: nn.Module, name: str, shape: tuple[int, ...]) -> Array:
    draw = orthonormal_start(module.kernel_init) if module.parametrization == 'orthonormal' else module.kernel_init
    return module.param(name, draw, shape)


def _is_free(module: nn.Module) -> bool:
    return module.parametrization is None  # else the box of parameters is no box of the weights


def _constrained_convolution(
    module: nn.Module,
    convolve: Callable[..., Array],
    kernel: Array,
    image_size: tuple[int, int],
    stride: int,
    train: bool,
) -> Array:
    """The kernel that ``convolve`` (``downsample`` or ``same``) applies to images of that size."""
    kh, kw, c, d = kernel.shape
    if module.parametrization == 'orthonormal':
        return orthonormal_convolution(kernel, stride)
    if module.parametrization == 'spectral':
        return spectral(module, lambda kernel, v: v @ kernel.reshape(-1, d), kernel, (kh * kw * c,), train=train)
    if module.parametrization == 'spectral_operator':

        def linear(kernel, v):
            return convolve(
                to_layout(v[None], module.conv_impl), kernel, dtype=kernel.dtype, conv_impl=module.conv_impl
            )

        return spectral(module, linear, kernel, (*image_size, c), train=train)
    return kernel


def _report_convolution(
    module: nn.Module, report: LayerReport, kernel: Array, image_size: tuple[int, int], stride: int
) -> None:
    kh, kw, c, d = kernel.shape
    report.bounds.append(
        lambda clip: (
            convolution_norm(kernel, image_size, stride=stride)
            if clip is None or not _is_free(module)
            else clipped_norm(clip, c, d, taps=kh * kw, stride=stride)
        )
    )


class Conv(nn.Module):
    """4x4 convolution that halves height and width, see ``convolution.downsample``.

    Attributes:
        features: D.
        dtype: compute type; parameters are float32.
        conv_impl: 'matmul' or 'native', which fixes the layout of the images.
        use_bias: whether the bias exists.
        parametrization: how the kernel is made of the parameters, see ``networks.parametrization``; None for the
            parameters themselves. 'orthonormal' ones are ``networks.orthogonal``'s.
    """

    features: int
    dtype: jnp.dtype
    conv_impl: str
    use_bias: bool = False
    parametrization: str | None = None
    kernel_init: nn.initializers.Initializer = conv_init

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False, report: LayerReport | None = None) -> Array:
        """Maps images of C channels, H x W, to D channels, H/2 x W/2; ``train``: see ``networks.parametrization``."""
        axis = CHANNEL_AXIS[self.conv_impl]
        channels, size = x.shape[axis], (x.shape[1], x.shape[2])
        if self.parametrization == 'orthonormal':
            half = 4 * channels, 2 * channels
            shapes = {'kernel': (4 * channels, self.features), 'vertical': half, 'horizontal': half}
            kernel = orthogonal_halving(*(_parameter(self, name, shape) for name, shape in shapes.items()))
        else:
            kernel = _parameter(self, 'kernel', (4, 4, channels, self.features))
            kernel = _constrained_convolution(self, downsample, kernel, size, 2, train)
        if report is not None:
            _report_convolution(self, report, kernel, size, 2)
        y = downsample(x, kernel, dtype=self.dtype, conv_impl=self.conv_impl)
        return y + _bias(self, 4, axis).astype(y.dtype) if self.use_bias else y


class SameConv(nn.Module):
    """3x3 convolution with a border of zeros, of the image as it is or with a change of its size.

    y[n, i, j, :] = sum_{a, b} x[n, i + a - 1, j + b - 1, :] kernel[a, b] + bias,  a, b = 0..2.

    Attributes:
        features: D.
        dtype: compute type; parameters are float32.
        conv_impl: 'matmul' or 'native', which fixes the layout of the images.
        change: 'keep'; 'halve', which takes the mean of each 2x2 pixels of y; 'double', which repeats each pixel of x
            2x2 times before. The latter two amount to a strided 4x4 convolution and to a transposed one with the kernel
            spread over 2x2 pixels, which is how 'matmul' computes them, with a quarter of the products.
        use_bias: whether the bias exists.
        kernel_init: initialiser of the kernel.
        parametrization: how the kernel is made of the parameters, see ``networks.parametrization``; None for the
            parameters themselves.
    """

    features: int
    dtype: jnp.dtype
    conv_impl: str
    change: str = 'keep'
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = conv_init
    parametrization: str | None = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False, report: LayerReport | None = None) -> Array:
        """Maps images of C channels to D channels; see ``networks.parametrization`` for ``train``."""
        axis = CHANNEL_AXIS[self.conv_impl]
        factor = 2 if self.change == 'double' else 1
        size = (factor * x.shape[1], factor * x.shape[2])
        kernel = _parameter(self, 'kernel', (3, 3, x.shape[axis], self.features))
        kernel = _constrained_convolution(self, same, kernel, size, 1, train)
        if report is not None:
            _report_convolution(self, report, kernel, size, 1)
            if self.change != 'keep':
                report.bounds.append(lambda clip: {'halve': 0.5, 'double': 2.0}[self.change])
        y = self._convolve(x, kernel)
        return y + _bias(self, 4, axis).astype(y.dtype) if self.use_bias else y

    def _convolve(self, x: Array, kernel: Array) -> Array:
        options: dict[str, Any] = {'dtype': self.dtype, 'conv_impl': self.conv_impl}
        if self.change == 'halve':
            if self.conv_impl == 'matmul':
                return downsample(x, spread(kernel) / 4, **options)
            return halve(same(x, kernel, **options))
        if self.change == 'double':
            if self.conv_impl == 'matmul':
                return upsample(x, spread(written(kernel.swapaxes(2, 3))[::-1, ::-1]), **options)
            x = double(x)
        return same(x, kernel, **options)


def halve(x: Array) -> Array:
    """The mean of each 2x2 pixels, in either layout; half as long as x at most."""
    a, h, w, b = x.shape
    return x.reshape(a, h // 2, 2, w // 2, 2, b).mean((2, 4))


def double(x: Array) -> Array:
    """Each pixel 2x2 times, in either layout; twice as long as x."""
    return x.repeat(2, 1).repeat(2, 2)


class ConvTranspose(nn.Module):
    """Bias-free convolution that doubles height and width, see ``convolution.upsample``.

    Attributes:
        features: channels D of the result.
        dtype: compute type.
        conv_impl: 'matmul' or 'native', which fixes the layout of the images.
        upsampling: 'transposed', a transposed 4x4 convolution; 'nearest', a 3x3 convolution of the image with every
            pixel repeated 2x2, which draws no checkerboard (Odena et al. 2016, "Deconvolution and checkerboard
            artifacts"). The latter is the former with the kernel spread over 2x2 pixels, and is computed so.
    """

    features: int
    dtype: jnp.dtype
    conv_impl: str
    upsampling: str = 'transposed'

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps C channels to D, in the layout of the implementation."""
        side = {'transposed': 4, 'nearest': 3}[self.upsampling]
        kernel = self.param('kernel', conv_init, (side, side, self.features, x.shape[CHANNEL_AXIS[self.conv_impl]]))
        if self.upsampling == 'nearest':
            kernel = spread(kernel)
        return upsample(x, kernel, dtype=self.dtype, conv_impl=self.conv_impl)


def spread(kernel: Array) -> Array:
    """k4[a, b] = k3[a, b] + k3[a-1, b] + k3[a, b-1] + k3[a-1, b-1]: (3, 3, D, C) to (4, 4, D, C), zero outside."""
    rows = jnp.pad(kernel, ((0, 1), (0, 0), (0, 0), (0, 0))) + jnp.pad(kernel, ((1, 0), (0, 0), (0, 0), (0, 0)))
    return jnp.pad(rows, ((0, 0), (0, 1), (0, 0), (0, 0))) + jnp.pad(rows, ((0, 0), (1, 0), (0, 0), (0, 0)))
