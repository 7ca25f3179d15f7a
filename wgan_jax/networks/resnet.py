"""Residual networks in two published forms, for images of any size.

'cifar', made for 32x32: one width throughout, the score from the mean over the last image's pixels. 'good', made for
64x64 (the "good generator" of its release): widths doubling towards small images, the score from all of their pixels.
Larger images have one more block each time that their smallest map would have a side of 8 pixels. Sides that do not
halve so often are padded in the critic and cropped in the generator.

Images keep the layout of the implementation, see ``convolution``, from the first convolution to the last.

Source: Gulrajani et al. 2017, appendices C and F, https://arxiv.org/abs/1704.00028, and its release.

>>> network = critic((32, 32, 3))
>>> variables = jax.eval_shape(network.init, jax.random.key(0))
>>> sum(leaf.size for leaf in jax.tree.leaves(variables.params))
1053825
>>> variant_for((64, 100)), variant_for((32, 100))
('good', 'cifar')
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from wgan_jax.networks.architecture import Architecture
from wgan_jax.networks.conditional import check_num_classes, score
from wgan_jax.networks.convolution import CHANNEL_AXIS, from_layout, to_layout
from wgan_jax.networks.layers import Dense, SameConv, double, flat, halve
from wgan_jax.networks.network import from_linen
from wgan_jax.networks.normalization import BatchNorm, LayerNorm
from wgan_jax.networks.parametrization import check_parametrization
from wgan_jax.networks.products import resolve_conv_impl
from wgan_jax.networks.report import LayerReport
from wgan_jax.networks.sizes import check_image_shape, crop, doublings, pad, smallest_map
from wgan_jax.types import Array, Network

NORMS = ('none', 'batch', 'layer')
VARIANTS = ('cifar', 'good')
POOLINGS = ('mean', 'sum')
_LEAST = {'cifar': 3, 'good': 4}  # doublings
_WIDEST = 8  # of the smallest map in 'good', in units of the width


def generator(
    image_shape: tuple[int, int, int],
    *,
    latent_dim: int = 128,
    width: int | None = None,
    variant: str | None = None,
    dtype: jnp.dtype = jnp.float32,
    conv_impl: str | None = None,
    num_classes: int = 0,
) -> Network:
    """Builds z -> small image -> residual blocks, each doubling height and width -> image in (-1, 1), with batch norm.

    Args:
        image_shape: (H, W, C).
        latent_dim: Z.
        width: channels after the last block; 128 by default for 'cifar', 64 for 'good'.
        variant: 'cifar' (3 blocks) or 'good' (4 blocks, 8 times the width at the beginning), more for larger images,
            see ``sizes.doublings``; by default what ``variant_for`` says.
        dtype: compute type, float32 or bfloat16; parameters, statistics and images are float32.
        conv_impl: see ``products.resolve_conv_impl``.
        num_classes: of a conditional one, see ``networks.conditional``; 0 for none.

    Returns:
        A network from (N, Z) to (N, H, W, C). 1,204,483 parameters for 'cifar' at 32x32x3 (4,276,739 with width 256),
        8,540,483 for 'good' at 64x64x3.

    Raises:
        ValueError: for what is no shape of an image, or an unknown variant.
    """
    variant = _variant(image_shape, variant)
    width = width or {'cifar': 128, 'good': 64}[variant]
    check_num_classes(num_classes)
    module = _Generator(tuple(image_shape), width, variant, dtype, resolve_conv_impl(conv_impl), num_classes)
    return from_linen(module, (latent_dim,), uses_batch_statistics=True, num_classes=num_classes)


def critic(
    image_shape: tuple[int, int, int],
    *,
    width: int | None = None,
    norm: str | None = None,
    parametrization: str | None = None,
    variant: str | None = None,
    pooling: str = 'mean',
    dtype: jnp.dtype = jnp.float32,
    conv_impl: str | None = None,
    num_classes: int = 0,
) -> Network:
    """Builds image -> residual blocks -> score.

    Args:
        image_shape: (H, W, C).
        width: channels after the first convolution; 128 by default for 'cifar', 64 for 'good'.
        norm: 'none', 'batch' or 'layer' before each ReLU; as published by default, which is none for 'cifar' and layer
            for 'good'.
        parametrization: how layers make their weights, see ``networks.parametrization``; None for free ones.
            'orthonormal' is refused.
        variant: 'cifar' (two blocks that halve, two that do not) or 'good' (four that halve), more that halve for
            larger images; as for the generator.
        pooling: of the last image in 'cifar': 'mean', or 'sum' as Miyato et al. 2018 have it.
        dtype: compute type, float32 or bfloat16; parameters, statistics and scores are float32.
        conv_impl, num_classes: as for the generator.

    Returns:
        A network from (N, H, W, C) to (N,). 1,053,825 parameters for 'cifar' at 32x32x3, 7,491,841 for 'good' at
        64x64x3.

    Raises:
        ValueError: for what is no shape of an image, unknown names, or orthonormal layers.
    """
    variant = _variant(image_shape, variant)
    width = width or {'cifar': 128, 'good': 64}[variant]
    norm = norm or {'cifar': 'none', 'good': 'layer'}[variant]
    if norm not in NORMS:
        raise ValueError(f'norm must be one of {", ".join(NORMS)}, not {norm!r}.')
    if pooling not in POOLINGS:
        raise ValueError(f'pooling must be one of {", ".join(POOLINGS)}, not {pooling!r}.')
    check_parametrization(parametrization)
    check_num_classes(num_classes)
    if parametrization == 'orthonormal':
        raise ValueError(
            'a residual block adds its two branches, so orthonormal layers would not make it 1-Lipschitz: '
            'use the mlp or the dcgan critic.'
        )
    options: dict[str, Any] = {
        'norm': norm,
        'parametrization': parametrization,
        'dtype': dtype,
        'conv_impl': resolve_conv_impl(conv_impl),
    }
    # The last two blocks of 'cifar' do not halve: one halving fewer than the generator has doublings.
    halvings = doublings(image_shape[:2], _LEAST[variant]) - (variant == 'cifar')
    module = _Critic(halvings, width, variant, pooling, num_classes, **options)
    batch = norm == 'batch'
    return from_linen(module, tuple(image_shape), uses_batch_statistics=batch, reports=True, num_classes=num_classes)


def variant_for(sides: Sequence[int]) -> str:
    """The variant of images of these sides: 'good' where all are at least 64 pixels, else 'cifar'."""
    return 'good' if min(sides) >= 64 else 'cifar'


def _variant(image_shape: tuple[int, int, int], variant: str | None) -> str:
    check_image_shape(image_shape)
    if variant is None:
        variant = variant_for(image_shape[:2])
    if variant not in VARIANTS:
        raise ValueError(f'variant must be one of {", ".join(VARIANTS)}, not {variant!r}.')
    return variant


def _widths(count: int, width: int) -> list[int]:
    return [width * min(2**i, _WIDEST) for i in range(count + 1)]


def _uniform(gain: float) -> nn.initializers.Initializer:
    """Uniform with variance gain / mean(fan_in, fan_out): 1 as Glorot and Bengio 2010, 2 before a ReLU."""

    def draw(key, size, shape):
        taps = math.prod(shape[:-2])
        limit = math.sqrt(6 * gain / (taps * (shape[-2] + shape[-1])))
        return jax.random.uniform(key, (size,), minval=-limit, maxval=limit)

    return flat(draw)


_glorot, _he = _uniform(1), _uniform(2)


class _Block(nn.Module):
    """x -> shortcut(x) + conv(relu(norm(conv(relu(norm(x)))))), halved or doubled on the way.

    Attributes:
        features: channels of the result.
        hidden: channels between the two convolutions.
        change: 'halve', 'double' or 'keep', of height and width.
        norm: 'none', 'batch' or 'layer'.
        first: the critic's first block, without norm and ReLU before the first convolution.
        first_bias: whether the first convolution has a bias.
        num_classes: of batch normalisation.
    """

    features: int
    hidden: int
    change: str
    norm: str
    dtype: jnp.dtype
    conv_impl: str
    parametrization: str | None = None
    first: bool = False
    first_bias: bool = True
    num_classes: int = 0

    @nn.compact
    def __call__(
        self,
        x: Array,
        labels: Array | None = None,
        *,
        train: bool,
        axis_name: str | None,
        report: LayerReport | None = None,
    ) -> Array:
        main, side = (None, None) if report is None else (LayerReport(), LayerReport())
        axis = CHANNEL_AXIS[self.conv_impl]
        options: dict[str, Any] = {
            'dtype': self.dtype,
            'conv_impl': self.conv_impl,
            'parametrization': self.parametrization,
        }

        def active(x, name):
            if self.norm == 'batch':
                norm = BatchNorm(axis, self.num_classes, name=name)
                x = norm(x, labels, train=train, axis_name=axis_name, report=main)
            elif self.norm == 'layer':
                x = LayerNorm(axis, name=name)(x, report=main)
            return nn.relu(x)

        def convolution(name, features, change, **rest):
            change = self.change if self.change == change else 'keep'
            return SameConv(features, kernel_init=_he, change=change, name=name, **options, **rest)

        y = x if self.first else active(x, 'norm_0')
        y = convolution('conv_0', self.hidden, 'double', use_bias=self.first_bias)(y, train=train, report=main)
        y = nn.relu(y) if self.first else active(y, 'norm_1')
        y = convolution('conv_1', self.features, 'halve')(y, train=train, report=main)
        if self.change != 'keep':
            # A 1x1 convolution commutes with repeating and averaging pixels: on the smaller image.
            x = halve(x) if self.change == 'halve' else x
            x = Dense(self.features, kernel_init=_glorot, channel_axis=axis, name='shortcut', **options)(
                x, train=train, report=side
            )
            x = double(x) if self.change == 'double' else x
        if report is not None and main is not None and side is not None:
            if self.change != 'keep':
                side.bounds.append(lambda clip: {'halve': 0.5, 'double': 2.0}[self.change])
            report.sum(main, side)
        return x + y


class _Generator(nn.Module):
    image_shape: tuple[int, ...]
    width: int
    variant: str
    dtype: jnp.dtype
    conv_impl: str
    num_classes: int

    @nn.compact
    def __call__(self, z: Array, labels: Array | None = None, *, train: bool, axis_name: str | None = None) -> Array:
        cifar = self.variant == 'cifar'
        *sides, channels = self.image_shape
        count = doublings(sides, _LEAST[self.variant])
        h, w = smallest_map(sides, count)
        widths = [self.width] * (count + 1) if cifar else _widths(count, self.width)[::-1]
        options: dict[str, Any] = {'dtype': self.dtype, 'conv_impl': self.conv_impl}
        x = Dense(h * w * widths[0], kernel_init=_glorot, name='start', **options)(z)
        x = to_layout(x.reshape(-1, h, w, widths[0]), self.conv_impl)
        for i, features in enumerate(widths[1:]):
            block = _Block(
                features, features, 'double', 'batch', first_bias=cifar, num_classes=self.num_classes, name=f'up_{i}',
                **options,
            )  # fmt: skip
            x = block(x, labels, train=train, axis_name=axis_name)
        norm = BatchNorm(CHANNEL_AXIS[self.conv_impl], self.num_classes, name='norm')
        x = nn.relu(norm(x, labels, train=train, axis_name=axis_name))
        x = SameConv(channels, kernel_init=_glorot, name='image', **options)(x)
        return jnp.tanh(crop(from_layout(x, self.conv_impl), sides, count).astype(jnp.float32))


class _Critic(nn.Module):
    halvings: int
    width: int
    variant: str
    pooling: str
    num_classes: int
    norm: str
    parametrization: str | None
    dtype: jnp.dtype
    conv_impl: str

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
        options: dict[str, Any] = {
            'norm': self.norm,
            'parametrization': self.parametrization,
            'dtype': self.dtype,
            'conv_impl': self.conv_impl,
        }
        x = to_layout(pad(x, self.halvings).astype(self.dtype), self.conv_impl)
        if self.variant == 'cifar':
            blocks = [
                _Block(self.width, self.width, change, first=i == 0, name=f'block_{i}', **options)
                for i, change in enumerate(('halve',) * self.halvings + ('keep', 'keep'))
            ]
        else:
            start = SameConv(
                self.width,
                self.dtype,
                self.conv_impl,
                kernel_init=_glorot,
                parametrization=self.parametrization,
                name='start',
            )
            x = start(x, train=train, report=report)
            widths = _widths(self.halvings, self.width)
            blocks = [
                _Block(widths[i + 1], widths[i], 'halve', first_bias=False, name=f'down_{i}', **options)
                for i in range(self.halvings)
            ]
        for block in blocks:
            x = block(x, train=train, axis_name=axis_name, report=report)
            if report is not None:
                x = to_layout(report.activation(from_layout(x, self.conv_impl)), self.conv_impl)
        x = from_layout(x, self.conv_impl).astype(jnp.float32)
        if self.variant == 'cifar':
            pixels = x.shape[1] * x.shape[2]
            x = nn.relu(x).sum((1, 2)) / (pixels if self.pooling == 'mean' else 1)
            if report is not None:
                report.bounds.append(lambda clip: pixels ** (-0.5 if self.pooling == 'mean' else 0.5))
        last = partial(Dense, kernel_init=_glorot, parametrization=self.parametrization)  # in float32, as everywhere
        return score(last, x.reshape(x.shape[0], -1), labels, self.num_classes, train=train, report=report)


def _build(settings, image_shape, parametrization, conv_impl, num_classes=0):
    common = {
        'dtype': jnp.dtype(settings.precision),
        'conv_impl': conv_impl,
        'num_classes': num_classes,
        'variant': _variant_of(settings),
    }
    # The sum over pixels goes with spectral norm (Miyato et al. 2018); without it the mean is published.
    pooling = 'mean' if parametrization is None else 'sum'
    return (
        generator(image_shape, latent_dim=settings.latent_dim, width=settings.width, **common),
        critic(
            image_shape,
            width=settings.critic_width or settings.width,
            norm=settings.critic_norm,
            parametrization=parametrization,
            pooling=pooling,
            **common,
        ),
    )


def _check(settings, parametrization):
    known = ('auto', *VARIANTS)
    if settings.resnet_variant not in known:
        raise ValueError(f'resnet_variant={settings.resnet_variant} is unknown; there are: {", ".join(known)}')
    check_parametrization(parametrization)
    if parametrization == 'orthonormal':
        raise ValueError(
            'constraint=orthonormal does not hold for arch=resnet, whose blocks add two branches: use mlp or dcgan'
        )


def _variant_of(settings):
    chosen = settings.resnet_variant
    return variant_for(settings.height_width) if chosen == 'auto' else chosen


def _recorded(settings):
    return {'resnet_variant': _variant_of(settings)}


ARCHITECTURE = Architecture(_build, _check, reads=('resnet_variant',), recorded=_recorded, recalled=_recorded)
