"""The residual networks of R3GAN: grouped convolutions in inverted bottlenecks, bilinear resampling, no normalisation.

Widths double towards small images, up to those of 32 pixels; images of any size, as in the other architectures. Images
keep the layout of the implementation, see ``convolution``, from the first map to the last.

Source: Huang et al. 2024, section 3, https://arxiv.org/abs/2501.05441, and its release.

>>> network = critic((64, 64, 3), width=384)
>>> variables = jax.eval_shape(network.init, jax.random.key(0))
>>> sum(leaf.size for leaf in jax.tree.leaves(variables.params))
22381440
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from wgan_jax.networks.architecture import Architecture
from wgan_jax.networks.conditional import check_num_classes, one_hot, score
from wgan_jax.networks.convolution import CHANNEL_AXIS, from_layout, same, to_layout
from wgan_jax.networks.layers import Dense, flat
from wgan_jax.networks.network import from_linen
from wgan_jax.networks.norms import clipped_norm, convolution_norm, matrix_norm
from wgan_jax.networks.products import resolve_conv_impl
from wgan_jax.networks.report import LayerReport
from wgan_jax.networks.sizes import check_image_shape, crop, doublings, pad, smallest_map
from wgan_jax.types import Array, Network

BLOCKS = 2  # residual blocks at each size
EXPANSION = 2  # of channels inside of a block
GROUP = 16  # channels of a group inside of a block, at most
_LEAST = 3  # doublings
_SLOPE = 0.2  # of the leaky ReLU
_GAIN = math.sqrt(2 / (1 + _SLOPE**2))  # that keeps the variance behind it


def generator(
    image_shape: tuple[int, int, int],
    *,
    latent_dim: int = 64,
    width: int = 384,
    dtype: jnp.dtype = jnp.float32,
    conv_impl: str | None = None,
    num_classes: int = 0,
) -> Network:
    """Builds z -> 4x4 features, scaled by z -> blocks, doubled, ... -> image; the last map is linear, not bounded.

    Args:
        image_shape: (H, W, C).
        latent_dim: Z.
        width: channels at full size; a multiple of 8 gives groups of 16 as released, another smaller ones.
        dtype: compute type, float32 or bfloat16; parameters and images are float32.
        conv_impl: see ``products.resolve_conv_impl``.
        num_classes: of a conditional one, see ``networks.conditional``; 0 for none.

    Returns:
        A network from (N, Z) to (N, H, W, C). 22,429,824 parameters at 64x64x3.

    Raises:
        ValueError: for what is no shape of an image.
    """
    check_image_shape(image_shape)
    check_num_classes(num_classes)
    module = _Generator(tuple(image_shape), width, dtype, resolve_conv_impl(conv_impl), num_classes)
    return from_linen(module, (latent_dim,), uses_batch_statistics=False, num_classes=num_classes)


def critic(
    image_shape: tuple[int, int, int],
    *,
    width: int = 384,
    norm: str = 'none',
    parametrization: str | None = None,
    dtype: jnp.dtype = jnp.float32,
    conv_impl: str | None = None,
    num_classes: int = 0,
) -> Network:
    """Builds image -> blocks, halved, ... -> 4x4 features -> score.

    Args:
        image_shape: (H, W, C).
        width: channels at full size; a multiple of 8 gives groups of 16 as released, another smaller ones.
        norm: only 'none'; the argument exists so that architectures are interchangeable.
        parametrization: only None, likewise.
        dtype: compute type, float32 or bfloat16; parameters and scores are float32.
        conv_impl, num_classes: as for the generator.

    Returns:
        A network from (N, H, W, C) to (N,). 22,381,440 parameters at 64x64x3.

    Raises:
        ValueError: for what is no shape of an image, a norm or a parametrization.
    """
    check_image_shape(image_shape)
    check_num_classes(num_classes)
    if norm != 'none':
        raise ValueError(f"the R3GAN critic has no normalisation: pass norm='none', not {norm!r}.")
    if parametrization is not None:
        raise ValueError(f'the R3GAN critic has no layers with parametrization={parametrization!r}.')
    module = _Critic(tuple(image_shape[:2]), width, dtype, resolve_conv_impl(conv_impl), num_classes)
    return from_linen(module, tuple(image_shape), uses_batch_statistics=False, reports=True, num_classes=num_classes)


def _widths(sides: Sequence[int], width: int) -> list[int]:
    """Channels of each size, from the full one to the smallest."""
    count = doublings(sides, _LEAST)
    return [width * 2 ** min(i, count - _LEAST) for i in range(count + 1)]


def _normal(gain: float, taps: int = 1) -> nn.initializers.Initializer:
    """Normal with standard deviation gain / sqrt(fan_in), of a kernel (..., C, D) with so many taps."""
    return flat(lambda key, size, shape: gain / math.sqrt(taps * shape[-2]) * jax.random.normal(key, (size,)))


def _resample(x: Array, axis: int, matrix: np.ndarray) -> Array:
    """The matrix times x along an axis."""
    product = jnp.tensordot(jnp.asarray(matrix, x.dtype), x, (1, axis), preferred_element_type=x.dtype)
    return jnp.moveaxis(product, 0, axis)


def _halving(side: int) -> np.ndarray:
    """(side/2, side): every second pixel of the image filtered by [1, 3, 3, 1] / 8 = [1, 2, 1] * [1, 1] / 8."""
    matrix = np.zeros((side // 2, side))
    for row in range(side // 2):
        for pixel, weight in zip(range(2 * row - 1, 2 * row + 3), (1, 3, 3, 1), strict=True):
            if 0 <= pixel < side:
                matrix[row, pixel] = weight / 8
    return matrix


def _halve(x: Array) -> Array:
    """Half the height and width, in either layout."""
    return _resample(_resample(x, 1, _halving(x.shape[1])), 2, _halving(x.shape[2]))


def _double(x: Array) -> Array:
    """Twice the height and width, in either layout: bilinear, four times the transpose of ``_halve``."""
    for axis in (1, 2):
        x = _resample(x, axis, 2 * _halving(2 * x.shape[axis]).T)
    return x


class _Map(nn.Module):
    """A 1x1 convolution without bias.

    Attributes:
        features: channels of the result.
        gain: see ``_normal``.
    """

    features: int
    dtype: jnp.dtype
    conv_impl: str
    gain: float = 1.0

    @nn.compact
    def __call__(self, x: Array, report: LayerReport | None = None) -> Array:
        layer = Dense(
            self.features, False, _normal(self.gain), self.dtype, self.conv_impl,
            channel_axis=CHANNEL_AXIS[self.conv_impl], name='map',
        )  # fmt: skip
        return layer(x, report=report)


class _Grouped(nn.Module):
    """A 3x3 convolution without bias within groups of at most ``GROUP`` channels."""

    dtype: jnp.dtype
    conv_impl: str
    gain: float

    @nn.compact
    def __call__(self, x: Array, report: LayerReport | None = None) -> Array:
        channels = x.shape[CHANNEL_AXIS[self.conv_impl]]
        size = math.gcd(channels, GROUP)
        groups = channels // size
        kernel = self.param('kernel', _normal(self.gain, taps=9), (3, 3, size, channels))
        if report is not None:
            sides = (x.shape[1], x.shape[2])

            def bound(clip):
                if clip is not None:
                    return clipped_norm(clip, size, size, taps=9)
                apart = jnp.moveaxis(kernel.reshape(3, 3, size, groups, size), 3, 0)
                return jnp.max(jax.vmap(lambda own: convolution_norm(own, sides))(apart))

            report.bounds.append(bound)
        return same(x, kernel, dtype=self.dtype, conv_impl=self.conv_impl, groups=groups)


class _Block(nn.Module):
    """x + map(act(grouped(act(map(x))))), act a bias and a leaky ReLU: as it begins, x itself.

    Attributes:
        features: channels of x.
        total: blocks of the network, whose number the weights begin smaller for.
    """

    features: int
    total: int
    dtype: jnp.dtype
    conv_impl: str

    @nn.compact
    def __call__(self, x: Array, report: LayerReport | None = None) -> Array:
        main = None if report is None else LayerReport()
        axis = CHANNEL_AXIS[self.conv_impl]
        gain = _GAIN * self.total**-0.25
        options: dict[str, Any] = {'dtype': self.dtype, 'conv_impl': self.conv_impl}

        def active(y, name):
            shape = [1] * 4
            shape[axis] = -1
            bias = self.param(name, nn.initializers.zeros, (y.shape[axis],)).reshape(shape)
            return nn.leaky_relu(y + bias.astype(y.dtype), _SLOPE)

        y = _Map(EXPANSION * self.features, gain=gain, name='wide', **options)(x, main)
        y = _Grouped(gain=gain, name='grouped', **options)(active(y, 'bias_0'), main)
        y = _Map(self.features, gain=0.0, name='narrow', **options)(active(y, 'bias_1'), main)
        if report is not None and main is not None:
            report.sum(main, LayerReport())  # an empty report is the identity's
        return x + y


class _Generator(nn.Module):
    image_shape: tuple[int, ...]
    width: int
    dtype: jnp.dtype
    conv_impl: str
    num_classes: int

    @nn.compact
    def __call__(self, z: Array, labels: Array | None = None, *, train: bool, axis_name: str | None = None) -> Array:
        del train, axis_name  # nothing here depends on the rest of the batch
        *sides, channels = self.image_shape
        first, *rest = reversed(_widths(sides, self.width))
        height, width = smallest_map(sides, len(rest))
        options: dict[str, Any] = {'dtype': self.dtype, 'conv_impl': self.conv_impl}
        total = BLOCKS * (1 + len(rest))
        z = jnp.concatenate([z, one_hot(labels, self.num_classes)], axis=-1) if self.num_classes else z
        grid = self.param(
            'grid', flat(lambda key, size, shape: jax.random.normal(key, (size,))), (height, width, first)
        )
        scale = Dense(first, False, _normal(1.0), self.dtype, self.conv_impl, name='start')(z)
        x = to_layout(grid.astype(scale.dtype) * scale[:, None, None], self.conv_impl)
        x = _blocks(x, 0, total, options)
        for i, features in enumerate(rest, 1):
            if features != x.shape[CHANNEL_AXIS[self.conv_impl]]:
                x = _Map(features, name=f'change_{i}', **options)(x)
            x = _blocks(_double(x), i, total, options)
        x = from_layout(_Map(channels, name='image', **options)(x), self.conv_impl)
        return crop(x, sides, len(rest)).astype(jnp.float32)


class _Critic(nn.Module):
    sides: tuple[int, ...]
    width: int
    dtype: jnp.dtype
    conv_impl: str
    num_classes: int

    @nn.compact
    def __call__(
        self,
        x: Array,
        labels: Array | None = None,
        *,
        train: bool,
        axis_name: str | None = None,
        report: LayerReport | None = None,
    ) -> Array:
        del axis_name
        first, *rest = _widths(self.sides, self.width)
        options: dict[str, Any] = {'dtype': self.dtype, 'conv_impl': self.conv_impl}
        total = BLOCKS * (1 + len(rest))
        x = to_layout(pad(x, len(rest)).astype(self.dtype), self.conv_impl)
        x = _Map(first, name='start', **options)(x, report)
        x = _blocks(x, 0, total, options, report)
        for i, features in enumerate(rest, 1):
            if report is not None:
                report.bounds.extend(_norm_of(_halving(side)) for side in x.shape[1:3])
            x = _halve(x)
            if features != x.shape[CHANNEL_AXIS[self.conv_impl]]:
                x = _Map(features, name=f'change_{i}', **options)(x, report)
            x = _blocks(x, i, total, options, report)
        x = from_layout(x, self.conv_impl).astype(jnp.float32)
        # Each channel's pixels, weighed: in float32, and so the score.
        taps = x.shape[1] * x.shape[2]
        shape = x.shape[1:]
        grid = self.param('grid', flat(lambda key, size, _: jax.random.normal(key, (size,)) / math.sqrt(taps)), shape)
        if report is not None:
            report.bounds.append(
                lambda clip: (
                    jnp.sqrt((grid**2).sum((0, 1)).max()) * (1 + 1e-6) if clip is None else clip * math.sqrt(taps)
                )
            )
        last = partial(Dense, use_bias=False, kernel_init=_normal(1.0))
        return score(last, (x * grid).sum((1, 2)), labels, self.num_classes, train=train, report=report)


def _norm_of(matrix: np.ndarray) -> Callable[[Any], Array]:
    """A bound that no weight changes."""
    return lambda clip: matrix_norm(jnp.asarray(matrix, jnp.float32))


def _blocks(x: Array, size: int, total: int, options: dict[str, Any], report: LayerReport | None = None) -> Array:
    """The residual blocks of one size, called inside of a network's ``__call__``."""
    conv_impl = options['conv_impl']
    for i in range(BLOCKS):
        x = _Block(x.shape[CHANNEL_AXIS[conv_impl]], total, name=f'block_{size}_{i}', **options)(x, report)
        if report is not None:
            x = to_layout(report.activation(from_layout(x, conv_impl)), conv_impl)
    return x


def _build(settings, image_shape, parametrization, conv_impl, num_classes=0):
    common = {'dtype': jnp.dtype(settings.precision), 'conv_impl': conv_impl, 'num_classes': num_classes}
    return (
        generator(image_shape, latent_dim=settings.latent_dim, width=settings.width, **common),
        critic(
            image_shape,
            width=settings.critic_width or settings.width,
            norm=settings.critic_norm,
            parametrization=parametrization,
            **common,
        ),
    )


def _check(settings, parametrization):
    if settings.critic_norm != 'none':
        raise ValueError(f'critic_norm={settings.critic_norm} is not built for arch=r3gan; use none')
    if parametrization is not None:
        raise ValueError(f'constraint={parametrization} is not built for arch=r3gan; use a penalty, or clip')


ARCHITECTURE = Architecture(_build, _check)
