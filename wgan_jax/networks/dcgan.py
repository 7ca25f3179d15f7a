"""The DCGAN networks, for images of any size.

As few convolutions, but at least one, as leave the smallest map a shorter side of at most 7 pixels: four at 64, as
published, three at 32, five at 128. With four at 32, which leave 2x2, a standard GAN collapsed on MNIST that reached
all digits with three. Sides that do not halve so often are padded in the critic and cropped in the generator.

Source: Radford et al., 2015, https://arxiv.org/abs/1511.06434, in the form released with Arjovsky et al., 2017.

>>> import jax
>>> network = generator((32, 48, 3), latent_dim=16, width=8)
>>> variables = jax.eval_shape(network.init, jax.random.key(0))
>>> images, _ = jax.eval_shape(lambda v, z: network.apply(v, z, train=False), variables, jnp.zeros((5, 16)))
>>> images.shape
(5, 32, 48, 3)
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from wgan_jax.networks.activations import check_pairs, max_min
from wgan_jax.networks.architecture import Architecture
from wgan_jax.networks.conditional import check_num_classes, score
from wgan_jax.networks.convolution import CHANNEL_AXIS, from_layout, to_layout
from wgan_jax.networks.layers import Conv, ConvTranspose, Dense
from wgan_jax.networks.network import from_linen
from wgan_jax.networks.normalization import BatchNorm, LayerNorm
from wgan_jax.networks.parametrization import check_parametrization
from wgan_jax.networks.products import resolve_conv_impl
from wgan_jax.networks.report import LayerReport
from wgan_jax.networks.sizes import check_image_shape, crop, doublings, pad, smallest_map
from wgan_jax.types import Array, Network

UPSAMPLINGS = ('transposed', 'nearest')
NORMS = ('batch', 'layer', 'none')
_LEAST = 1  # convolutions
_PUBLISHED = 4  # at 64 pixels; once the least at any size, which older runs have
_WIDEST = 8  # of the smallest map, in units of the width


def generator(
    image_shape: tuple[int, int, int],
    *,
    latent_dim: int = 100,
    width: int = 64,
    upsampling: str = 'transposed',
    dtype: jnp.dtype = jnp.float32,
    conv_impl: str | None = None,
    num_classes: int = 0,
    num_doublings: int | None = None,
) -> Network:
    """Builds z -> H/2^n x W/2^n x min(2^(n-1), 8) width -> ... -> H/2 x W/2 x width -> image in (-1, 1).

    With batch norm and ReLU; n is ``num_doublings``.

    Args:
        image_shape: (H, W, C).
        latent_dim: Z.
        width: channels before the last layer.
        upsampling: 'transposed' or 'nearest', see ``layers.ConvTranspose``.
        dtype: compute type, float32 or bfloat16; parameters, statistics and images are float32.
        conv_impl: see ``products.resolve_conv_impl``.
        num_classes: of a conditional one, see ``networks.conditional``; 0 for none.
        num_doublings: of the sides, from the smallest map to the image; None for the fewest that leave the former's
            shorter side at most 7 pixels, see ``sizes.doublings``.

    Returns:
        A network from (N, Z) to (N, H, W, C). The first transposed convolution, of a 1x1 image, is the linear map that
        it amounts to. 3,576,704 parameters at 64x64x3.

    Raises:
        ValueError: for what is no shape of an image, an unknown upsampling, or more doublings than it has room for.
    """
    check_image_shape(image_shape)
    if upsampling not in UPSAMPLINGS:
        raise ValueError(f'upsampling must be one of {", ".join(UPSAMPLINGS)}, not {upsampling!r}.')
    check_num_classes(num_classes)
    count = _count(image_shape[:2], num_doublings)
    module = _Generator(tuple(image_shape), count, width, upsampling, dtype, resolve_conv_impl(conv_impl), num_classes)
    return from_linen(module, (latent_dim,), uses_batch_statistics=True, num_classes=num_classes)


def critic(
    image_shape: tuple[int, int, int],
    *,
    width: int = 64,
    norm: str = 'batch',
    bias: bool = False,
    parametrization: str | None = None,
    dtype: jnp.dtype = jnp.float32,
    conv_impl: str | None = None,
    num_classes: int = 0,
    num_doublings: int | None = None,
) -> Network:
    """Builds image -> H/2 x W/2 x width -> ... -> H/2^n x W/2^n x min(2^(n-1), 8) width -> score.

    With norm and LeakyReLU(0.2); n is ``num_doublings``.

    Args:
        image_shape: (H, W, C).
        width: channels after the first layer.
        norm: 'batch', 'layer' or 'none', from the second layer on. A gradient penalty wants one of the latter two:
            batch norm makes a score depend on the other images of its batch.
        bias: whether the convolutions have one where norm is 'none'. Without, f(a x) = a f(x) for every a > 0, and
            grey, which is 0, has the score 0: a hinge loss, which wants -1 for it, is never content.
        parametrization: how layers make their weights, see ``networks.parametrization``; None for free ones. With
            'orthonormal' MaxMin takes the place of LeakyReLU, and the width must be even.
        dtype: compute type, float32 or bfloat16; parameters, statistics and scores are float32.
        conv_impl: see ``products.resolve_conv_impl``.
        num_classes, num_doublings: as for the generator.

    Returns:
        A network from (N, H, W, C) to (N,). 2,765,568 parameters at 64x64x3 with batch norm.

    Raises:
        ValueError: for what is no shape of an image, an unknown norm or parametrization, an odd width where pairs are
            sorted, or more halvings than it has room for.
    """
    check_image_shape(image_shape)
    if norm not in NORMS:
        raise ValueError(f'norm must be one of {", ".join(NORMS)}, not {norm!r}.')
    _check_parametrization(parametrization, width)
    check_num_classes(num_classes, parametrization)
    count = _count(image_shape[:2], num_doublings)
    bias = bias and norm == 'none'
    module = _Critic(count, width, norm, bias, parametrization, dtype, resolve_conv_impl(conv_impl), num_classes)
    batch = norm == 'batch'
    return from_linen(module, tuple(image_shape), uses_batch_statistics=batch, reports=True, num_classes=num_classes)


def _count(sides: Sequence[int], asked: int | None) -> int:
    """Doublings of the sides: as many as asked for, or as the size wants."""
    count, most = asked or doublings(sides, _LEAST), max(_PUBLISHED, max(sides).bit_length() - 1)
    if count > most:
        raise ValueError(f'{count} doublings make more than {sides[0]}x{sides[1]} pixels of one: use at most {most}')
    return count


def _widths(count: int, width: int) -> list[int]:
    return [width * min(2**i, _WIDEST) for i in range(count)]


class _Generator(nn.Module):
    image_shape: tuple[int, ...]
    count: int
    width: int
    upsampling: str
    dtype: jnp.dtype
    conv_impl: str
    num_classes: int

    @nn.compact
    def __call__(self, z: Array, labels: Array | None = None, *, train: bool, axis_name: str | None = None) -> Array:
        *sides, channels = self.image_shape
        h, w = smallest_map(sides, self.count)
        top, *widths = reversed(_widths(self.count, self.width))
        x = Dense(h * w * top, use_bias=False, dtype=self.dtype, conv_impl=self.conv_impl, name='up_0')(z)
        x = to_layout(x.reshape(-1, h, w, top), self.conv_impl)
        for i, features in enumerate((*widths, channels)):
            norm = BatchNorm(CHANNEL_AXIS[self.conv_impl], self.num_classes, name=f'norm_{i}')
            x = nn.relu(norm(x, labels, train=train, axis_name=axis_name))
            x = ConvTranspose(features, self.dtype, self.conv_impl, self.upsampling, name=f'up_{i + 1}')(x)
        return jnp.tanh(crop(from_layout(x, self.conv_impl), sides, self.count).astype(jnp.float32))


class _Critic(nn.Module):
    count: int
    width: int
    norm: str
    bias: bool
    parametrization: str | None
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
        x = to_layout(pad(x, self.count), self.conv_impl)
        axis = CHANNEL_AXIS[self.conv_impl]
        for i, features in enumerate(_widths(self.count, self.width)):
            conv = Conv(features, self.dtype, self.conv_impl, self.bias, self.parametrization, name=f'down_{i}')
            x = conv(x, train=train, report=report)
            if i > 0 and self.norm == 'batch':
                x = BatchNorm(axis, name=f'norm_{i}')(x, train=train, axis_name=axis_name, report=report)
            elif i > 0 and self.norm == 'layer':
                x = LayerNorm(axis, name=f'norm_{i}')(x, report=report)
            x = max_min(x, axis) if self.parametrization == 'orthonormal' else nn.leaky_relu(x, 0.2)
            if report is not None:
                x = to_layout(report.activation(from_layout(x, self.conv_impl)), self.conv_impl)
        x = from_layout(x, self.conv_impl)
        # In float32: rounded scores would round the loss.
        options: dict[str, Any] = {'use_bias': False, 'parametrization': self.parametrization}
        last = partial(Dense, **options)
        return score(last, x.reshape(x.shape[0], -1), labels, self.num_classes, train=train, report=report)


def _build(settings, image_shape, parametrization, conv_impl, num_classes=0):
    common = {
        'dtype': jnp.dtype(settings.precision), 'conv_impl': conv_impl, 'num_classes': num_classes,
        'num_doublings': settings.doublings or None,
    }  # fmt: skip
    of_critic = {
        'width': settings.critic_width or settings.width, 'norm': settings.critic_norm, 'bias': settings.critic_bias,
        'parametrization': parametrization,
    }  # fmt: skip
    return (
        generator(
            image_shape,
            latent_dim=settings.latent_dim,
            width=settings.width,
            upsampling=settings.upsampling,
            **common,
        ),
        critic(image_shape, **of_critic, **common),
    )


def _check_parametrization(parametrization, width):
    check_parametrization(parametrization)
    if parametrization == 'orthonormal':
        check_pairs(width)


def _check(settings, parametrization):
    if settings.upsampling not in UPSAMPLINGS:
        raise ValueError(f'upsampling={settings.upsampling} is unknown; there are: {", ".join(UPSAMPLINGS)}')
    _check_parametrization(parametrization, settings.critic_width or settings.width)
    try:
        _count(settings.height_width, settings.doublings)
    except ValueError as error:
        raise ValueError(f'doublings={settings.doublings}: {error}') from None


def _recorded(settings, least=_LEAST):
    return {
        'doublings': settings.doublings or doublings(settings.height_width, least),
        'critic_bias': settings.critic_bias and settings.critic_norm == 'none',  # elsewhere it is not read
    }


# Records that say 0 doublings, or nothing, are of when four were the least.
_recalled = partial(_recorded, least=_PUBLISHED)


ARCHITECTURE = Architecture(
    _build,
    _check,
    reads=('upsampling', 'doublings', 'critic_bias'),
    recorded=_recorded,
    recalled=_recalled,
)
