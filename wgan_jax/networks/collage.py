"""Images laid of shapes over one another: bands, boxes, wedges and discs whose places and colours the latent decides.

Edges are as sharp and fields as flat as in a drawing, and a generator takes no convolutions. The critic beside it is
DCGAN's.

Source: Porter and Duff 1984, https://doi.org/10.1145/800031.808606, for pictures laid over one another; as the
generator of a GAN: Yang et al. 2017, https://arxiv.org/abs/1703.01560; soft edges, to have a slope: Li et al. 2020,
https://doi.org/10.1145/3414685.3417871. The choice of shapes is this project's.

>>> import jax
>>> network = generator((32, 48, 3), latent_dim=16)
>>> variables = jax.eval_shape(network.init, jax.random.key(0))
>>> images, _ = jax.eval_shape(lambda v, z: network.apply(v, z, train=False), variables, jnp.zeros((5, 16)))
>>> images.shape
(5, 32, 48, 3)
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from wgan_jax.networks import dcgan
from wgan_jax.networks.architecture import Architecture
from wgan_jax.networks.conditional import check_num_classes, one_hot
from wgan_jax.networks.dcgan import critic
from wgan_jax.networks.layers import Dense, flat
from wgan_jax.networks.mlp import INITIALISERS
from wgan_jax.networks.network import from_linen
from wgan_jax.networks.products import einsum, resolve_conv_impl
from wgan_jax.networks.sizes import check_image_shape
from wgan_jax.types import Array, Network

__all__ = ['ARCHITECTURE', 'critic', 'generator']

_STYLE = 128  # units of what is made of a latent
_SHARPNESS = 16.0  # of an edge at first: nearly all of its change within a quarter of a side
_HALF = 0.3  # of a band's width at first, in half sides
_RADIUS = 0.4  # of a disc at first, in half heights
_TINY = 1e-8  # keeps the square root of a sum of squares from 0, where it has no slope
_leaky = partial(nn.leaky_relu, negative_slope=0.2)


def generator(
    image_shape: tuple[int, int, int],
    *,
    latent_dim: int = 100,
    width: int = 32,
    dtype: jnp.dtype = jnp.float32,
    conv_impl: str | None = None,
    num_classes: int = 0,
) -> Network:
    """Builds z -> style s, and from s shapes k = 1, 2, ... over a background, each of one colour.

    image(p) = sum_k w_k(p) tanh(c_k),   w_k(p) = a_k(p) prod_{j > k} (1 - a_j(p)),   a_0 = 1
    a_k(p) = sigma(v_k) sigma(16 e^g_k d_k(p)), where d is

        0.3 e^h - |n . p - o|      of a band with the normal n; a box is a product of two
        o - x - e^h |y - m|        of a wedge that comes in from the left
        0.4 e^h - |p - m|          of a disc

    p runs over the centres of pixels in [-1, 1]^2, for discs with both sides in half heights; n points down, to the
    right, and along both diagonals. From behind to the front: bands in this order, boxes, wedges, discs. Every v, c, g,
    h, o and m is an affine function of s; s is made of z / rms(z) by two layers of 128 units.

    Args:
        image_shape: (H, W, C).
        latent_dim: Z.
        width: a quarter as many bands across the height, an eighth across the width, a sixteenth of everything else, at
            least one of each.
        dtype: compute type of colours and of what they are weighed by, float32 or bfloat16; parameters, places, styles
            and images are float32.
        conv_impl: how products are computed, see ``products.resolve_conv_impl``.
        num_classes: of a conditional one, whose style is made of the label, too; 0 for none.

    Returns:
        A network from (N, Z) to (N, H, W, C); its parameters are as many for any size of images.

    Raises:
        ValueError: for what is no shape of an image.
    """
    check_image_shape(image_shape)
    check_num_classes(num_classes)
    module = _Generator(tuple(image_shape), width, dtype, resolve_conv_impl(conv_impl), num_classes)
    return from_linen(module, (latent_dim,), uses_batch_statistics=False, num_classes=num_classes)


class _Generator(nn.Module):
    image_shape: tuple[int, ...]
    width: int
    dtype: jnp.dtype
    conv_impl: str
    num_classes: int

    @nn.compact
    def __call__(self, z: Array, labels: Array | None = None, *, train: bool, axis_name: str | None = None) -> Array:
        del train, axis_name  # nothing here depends on the rest of the batch
        height, width, channels = self.image_shape
        style = self._style(z, labels)
        many, some, few = (max(1, self.width // part) for part in (4, 8, 16))
        x, y = _centres(width), _centres(height)
        # Of what lies behind everything else a whole row or column is alike, and worked out once.
        background = self._colours(style, 'background', 1)  # (N, C, 1)
        rows = self._over(style, 'down', self._bands(style, 'down', many, y), background)
        columns, through = self._laid(style, 'across', self._bands(style, 'across', some, x))
        image = columns[:, :, None] + through[:, :, None] * rows[..., None]  # (N, C, H, W)
        image = image.reshape(-1, channels, height * width)
        tall, wide = self._bands(style, 'box_down', few, y), self._bands(style, 'box_across', few, x)
        boxes = tall[..., None] * wide[:, :, None]
        x, y = (places.reshape(-1) for places in jnp.meshgrid(x, y))
        # Those that lie askew are called after their normals.
        front = [
            self._bands(style, 'falling', few, (x + y) / 2**0.5),
            self._bands(style, 'rising', few, (x - y) / 2**0.5),
            boxes.reshape(-1, few, height * width),
            self._wedges(style, few, x, y),
            self._discs(style, few, x * (width / height), y),
        ]
        image = self._over(style, 'front', jnp.concatenate(front, axis=1), image)
        return jnp.moveaxis(image.astype(jnp.float32).reshape(-1, channels, height, width), 1, -1)

    def _style(self, z: Array, labels: Array | None) -> Array:
        z = z * jax.lax.rsqrt(jnp.mean(jnp.square(z), axis=-1, keepdims=True) + _TINY)
        s = jnp.concatenate([z, one_hot(labels, self.num_classes)], axis=-1) if self.num_classes else z
        for i in range(2):
            s = _leaky(Dense(_STYLE, kernel_init=INITIALISERS['he'], conv_impl=self.conv_impl, name=f'style_{i}')(s))
        return s

    def _over(self, style: Array, name: str, shapes: Array, image: Array) -> Array:
        """Shapes (N, K, P) over an image (N, C, P)."""
        laid, through = self._laid(style, name, shapes)
        return laid + through * image

    def _laid(self, style: Array, name: str, shapes: Array) -> tuple[Array, Array]:
        """Shapes (N, K, P) over one another: what is seen of them, (N, C, P), and the share of the rest, (N, 1, P)."""
        count = shapes.shape[1]
        shown = nn.sigmoid(self._set(style, f'{name}_shown', count, 3.0))[..., None]
        opaque = (shown * shapes).astype(self.dtype)
        through, weights = jnp.ones_like(opaque[:, 0]), []
        for k in reversed(range(count)):
            weights.append(opaque[:, k] * through)
            through = through * (1 - opaque[:, k])
        colours = self._colours(style, name, count)
        return einsum('nck,nkp->ncp', colours, jnp.stack(weights[::-1], axis=1), self.conv_impl), through[:, None]

    def _colours(self, style: Array, name: str, count: int) -> Array:
        """(N, C, count)."""
        colours = jnp.tanh(self._set(style, f'{name}_colours', self.image_shape[-1] * count, 1.0))
        return colours.reshape(-1, self.image_shape[-1], count).astype(self.dtype)

    def _bands(self, style: Array, name: str, count: int, along: Array) -> Array:
        """Bands at right angles to a direction, along which pixels have the places ``along`` (P,): (N, count, P)."""
        away = jnp.abs(along - self._place(style, f'{name}_place', count, 1.0))
        return self._inside(style, name, _HALF * self._factor(style, f'{name}_size', count, 0.5) - away)

    def _wedges(self, style: Array, count: int, x: Array, y: Array) -> Array:
        away = jnp.abs(y - self._place(style, 'wedge_middle', count, 0.1))
        point = self._place(style, 'wedge_place', count, 1.0)
        return self._inside(style, 'wedge', point - x - self._factor(style, 'wedge_size', count, 0.5) * away)

    def _discs(self, style: Array, count: int, x: Array, y: Array) -> Array:
        away = x - self._place(style, 'disc_x', count, 0.5), y - self._place(style, 'disc_y', count, 0.5)
        far = jnp.sqrt(jnp.square(away[0]) + jnp.square(away[1]) + _TINY)
        return self._inside(style, 'disc', _RADIUS * self._factor(style, 'disc_size', count, 0.4) - far)

    def _inside(self, style: Array, name: str, depth: Array) -> Array:
        """1 inside, where the depth (N, count, P) is positive, 0 outside."""
        sharpness = _SHARPNESS * self._factor(style, f'{name}_sharpness', depth.shape[1], 0.2)
        return nn.sigmoid(sharpness * depth)

    def _set(self, style: Array, name: str, count: int, deviation: float) -> Array:
        """An affine function of the style, (N, count), which varies from latent to latent by about so much."""
        draw = _normal(deviation / math.sqrt(_STYLE))
        return Dense(count, kernel_init=draw, conv_impl=self.conv_impl, name=name)(style)

    def _place(self, style: Array, name: str, count: int, spread: float) -> Array:
        """Places (N, count, 1), at first spread over [-spread, spread]."""
        draw = flat(lambda key, size, shape: jax.random.uniform(key, (size,), minval=-spread, maxval=spread))
        own = self._set(style, name, count, 0.3) + self.param(f'{name}_mean', draw, (count,))
        return own[..., None]

    def _factor(self, style: Array, name: str, count: int, deviation: float) -> Array:
        """Positive numbers (N, count, 1), about 1 at first."""
        return jnp.exp(self._set(style, name, count, deviation))[..., None]


def _centres(count: int) -> Array:
    """The centres of pixels along a side, in [-1, 1]."""
    return (2 * jnp.arange(count) + 1) / count - 1


def _normal(deviation: float) -> nn.initializers.Initializer:
    return flat(lambda key, size, shape: deviation * jax.random.normal(key, (size,)))


def _build(settings, image_shape, parametrization, conv_impl, num_classes=0):
    common = {'dtype': jnp.dtype(settings.precision), 'conv_impl': conv_impl, 'num_classes': num_classes}
    _, other = dcgan.ARCHITECTURE.build(settings, image_shape, parametrization, conv_impl, num_classes)
    return generator(image_shape, latent_dim=settings.latent_dim, width=settings.width, **common), other


ARCHITECTURE = Architecture(
    _build,
    dcgan.ARCHITECTURE.check,
    reads=('doublings', 'critic_bias'),
    recorded=dcgan.ARCHITECTURE.recorded,
)
