"""Images that are drawn: lines and discs whose places the latent decides, and a small network that colours each pixel.

A pixel's colour is a function of its place, so edges are as sharp and fields as flat as in a drawing, and a generator
takes no convolutions. The critic beside it is DCGAN's.

Source: Stanley 2007, "Compositional pattern producing networks"; that one network sets another's weights: Ha et al.
2016, https://arxiv.org/abs/1609.09106; as the generator of a GAN: Anokhin et al. 2020, https://arxiv.org/abs/2011.13775,
and Skorokhodov et al. 2020, https://arxiv.org/abs/2011.12026. The lines and discs are this project's.

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
_SHARPNESS = 4.0  # of an edge at first: three quarters of its change within half of a half side
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
    """Builds z -> style s, and from s and its place p the colour of every pixel.

    u(p) = tanh(4 e^g (n . p - o))              of lines with the normal n
    u(p) = tanh(4 e^g (0.4 e^r - |p - m|))      of discs
    h1 = a(M1 u + b1),  h2 = a(M2 h1 + b2),  image(p) = tanh(M3 h2 / sqrt(width) + b3)

    p runs over the centres of pixels in [-1, 1]^2, for discs with both sides in half heights; n points to the right,
    down, and along both diagonals; a is LeakyReLU(0.2). Every g, o, r, m, b and M3 is an affine function of s; M1 and
    M2 are matrices whose columns s scales, so that a unit can be left out, brought to a mean square of 2 / columns; s
    is made of z / rms(z) by two layers of 128 units.

    Args:
        image_shape: (H, W, C).
        latent_dim: Z.
        width: units of h1 and h2; a quarter as many lines to the right and down each, an eighth along the diagonals,
            a sixteenth as many discs, of each at least one (two along the diagonals).
        dtype: compute type of the pixels, float32 or bfloat16; parameters, places, styles and images are float32.
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
        x, y = _centres(width), _centres(height)
        style = self._style(z, labels)
        straight, diagonal, discs = (max(1, self.width // part) for part in (4, 16, 16))
        # Lines are called after their normals. What one that points across says of a pixel it says of the whole column:
        # it is worked out once for all of them.
        columns = self._lines(style, 'across', straight, x)
        rows = self._lines(style, 'down', straight, y)
        x, y = (places.reshape(-1) for places in jnp.meshgrid(x, y))
        rest = [
            self._lines(style, 'falling', diagonal, (x + y) / 2**0.5),
            self._lines(style, 'rising', diagonal, (x - y) / 2**0.5),
            self._discs(style, discs, x * (width / height), y),
        ]
        drawn = columns, rows, jnp.concatenate(rest, axis=1)
        matrix = self._matrix(style, 'first', sum(part.shape[1] for part in drawn))
        parts = jnp.split(matrix, [straight, 2 * straight], axis=2)
        columns, rows, pixels = map(self._product, parts, drawn)
        lines = (columns[:, :, None] + rows[..., None]).reshape(pixels.shape)
        hidden = _leaky(lines + pixels + self._bias(style, 'first', self.width))
        hidden = self._product(self._matrix(style, 'second', self.width), hidden)
        hidden = _leaky(hidden + self._bias(style, 'second', self.width))
        colours = self._set(style, 'colours', channels * self.width, 1.0) / math.sqrt(self.width)
        image = self._product(colours.reshape(-1, channels, self.width), hidden)
        image = jnp.tanh((image + self._bias(style, 'colours', channels)).astype(jnp.float32))
        return jnp.moveaxis(image.reshape(-1, channels, height, width), 1, -1)

    def _style(self, z: Array, labels: Array | None) -> Array:
        z = z * jax.lax.rsqrt(jnp.mean(jnp.square(z), axis=-1, keepdims=True) + _TINY)
        s = jnp.concatenate([z, one_hot(labels, self.num_classes)], axis=-1) if self.num_classes else z
        for i in range(2):
            s = _leaky(Dense(_STYLE, kernel_init=INITIALISERS['he'], conv_impl=self.conv_impl, name=f'style_{i}')(s))
        return s

    def _set(self, style: Array, name: str, count: int, deviation: float) -> Array:
        """An affine function of the style, (N, count), which varies from latent to latent by about so much."""
        draw = _normal(deviation / math.sqrt(_STYLE))
        return Dense(count, kernel_init=draw, conv_impl=self.conv_impl, name=name)(style)

    def _offset(self, style: Array, name: str, count: int, spread: float) -> Array:
        """Places (N, count, 1), at first spread over [-spread, spread]."""
        draw = flat(lambda key, size, shape: jax.random.uniform(key, (size,), minval=-spread, maxval=spread))
        own = self._set(style, name, count, 0.3) + self.param(f'{name}_mean', draw, (count,))
        return own[..., None]

    def _factor(self, style: Array, name: str, count: int) -> Array:
        """Positive numbers (N, count, 1), about 1 at first."""
        return jnp.exp(self._set(style, name, count, 0.2))[..., None]

    def _lines(self, style: Array, name: str, count: int, along: Array) -> Array:
        """Lines at right angles to a direction, along which pixels have the places ``along`` (P,): (N, count, P)."""
        sharpness = _SHARPNESS * self._factor(style, f'{name}_sharpness', count)
        return jnp.tanh(sharpness * (along - self._offset(style, f'{name}_offset', count, 1.0)))

    def _discs(self, style: Array, count: int, x: Array, y: Array) -> Array:
        """Discs among pixels at x and y, (P,) each: (N, count, P)."""
        away = x - self._offset(style, 'disc_x', count, 0.5), y - self._offset(style, 'disc_y', count, 0.5)
        far = jnp.sqrt(jnp.square(away[0]) + jnp.square(away[1]) + _TINY)
        radius, sharpness = (self._factor(style, f'disc_{what}', count) for what in ('radius', 'sharpness'))
        return jnp.tanh(_SHARPNESS * sharpness * (_RADIUS * radius - far))

    def _matrix(self, style: Array, name: str, count: int) -> Array:
        """(N, width, count): weights whose columns the style scales, of one mean square for every latent."""
        kernel = self.param(f'{name}_kernel', _normal(math.sqrt(2 / count)), (self.width, count))
        matrix = kernel * (1 + self._set(style, f'{name}_scale', count, 1.0))[:, None]
        size = jnp.mean(jnp.square(matrix), axis=(1, 2), keepdims=True)
        return matrix * jax.lax.rsqrt(size * count / 2 + _TINY)

    def _bias(self, style: Array, name: str, count: int) -> Array:
        return self._set(style, f'{name}_bias', count, 0.3)[..., None].astype(self.dtype)

    def _product(self, matrix: Array, x: Array) -> Array:
        return einsum('nlk,nkp->nlp', matrix.astype(self.dtype), x.astype(self.dtype), self.conv_impl)


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
