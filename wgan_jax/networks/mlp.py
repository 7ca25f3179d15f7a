"""Fully connected networks with three hidden layers of ReLU, as in the original WGAN release.

Source: Arjovsky et al., 2017, https://arxiv.org/abs/1701.07875.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from wgan_jax.networks.layers import Dense, flat
from wgan_jax.networks.network import from_linen
from wgan_jax.networks.products import resolve_form
from wgan_jax.types import Array, Network


def generator(
    image_shape: tuple[int, int, int],
    *,
    latent_dim: int = 100,
    width: int = 512,
    dtype: jnp.dtype = jnp.float32,
    conv_form: str | None = None,
) -> Network:
    """Builds z -> width -> width -> width -> image; the last map is linear, so pixels are not bounded.

    Args:
        image_shape: (H, W, C), any.
        latent_dim: Z.
        width: units of each hidden layer.
        dtype: compute type, float32 or bfloat16; parameters and images are float32.
        conv_form: see ``products.resolve_form``; here it concerns the products only.

    Returns:
        A network from (N, Z) to (N, H, W, C). 6,880,768 parameters at 64x64x3.
    """
    return from_linen(_Generator(tuple(image_shape), width, dtype, resolve_form(conv_form)), (latent_dim,))


def critic(
    image_shape: tuple[int, int, int],
    *,
    width: int = 512,
    norm: str = 'none',
    dtype: jnp.dtype = jnp.float32,
    conv_form: str | None = None,
) -> Network:
    """Builds image -> width -> width -> width -> score.

    Args:
        image_shape: (H, W, C), any.
        width: units of each hidden layer.
        norm: only 'none'; the argument exists so that architectures are interchangeable.
        dtype: compute type, float32 or bfloat16; parameters and scores are float32.
        conv_form: as for the generator.

    Returns:
        A network from (N, H, W, C) to (N,). 6,817,793 parameters at 64x64x3.

    Raises:
        ValueError: for another norm.
    """
    if norm != 'none':
        raise ValueError(f"the MLP critic has no normalisation: pass norm='none', not {norm!r}.")
    return from_linen(_Critic(width, dtype, resolve_form(conv_form)), tuple(image_shape))


# PyTorch's default for a linear layer, with which the original was trained: uniform within 1 / sqrt(fan_in).
_kernel_init = flat(
    lambda key, size, shape: jax.random.uniform(key, (size,), minval=-1, maxval=1) / math.sqrt(shape[0])
)


def _hidden(x: Array, width: int, dtype: jnp.dtype, form: str) -> Array:
    for i in range(3):
        x = nn.relu(Dense(width, kernel_init=_kernel_init, dtype=dtype, form=form, name=f'hidden_{i}')(x))
    return x


class _Generator(nn.Module):
    image_shape: tuple[int, int, int]
    width: int
    dtype: jnp.dtype
    form: str

    @nn.compact
    def __call__(self, z: Array, *, train: bool, axis_name: str | None = None) -> Array:
        del train, axis_name  # nothing here depends on the rest of the batch
        x = _hidden(z, self.width, self.dtype, self.form)
        x = Dense(
            math.prod(self.image_shape), kernel_init=_kernel_init, dtype=self.dtype, form=self.form, name='image'
        )(x)
        return x.reshape(-1, *self.image_shape).astype(jnp.float32)


class _Critic(nn.Module):
    width: int
    dtype: jnp.dtype
    form: str

    @nn.compact
    def __call__(self, x: Array, *, train: bool, axis_name: str | None = None) -> Array:
        del train, axis_name
        x = _hidden(x.reshape(x.shape[0], -1), self.width, self.dtype, self.form)
        return Dense(1, kernel_init=_kernel_init, name='score')(x)[:, 0]  # in float32: rounded scores round the loss
