"""Fully connected networks with hidden layers of ReLU, for images as in the original WGAN release, or for vectors.

Source: Arjovsky et al., 2017, https://arxiv.org/abs/1701.07875.

>>> network = critic((2, 2, 1), width=8, depth=2)
>>> variables = jax.eval_shape(network.init, jax.random.key(0))
>>> sum(leaf.size for leaf in jax.tree.leaves(variables.params))  # (4 + 1) 8 + (8 + 1) 8 + (8 + 1)
121
>>> scores, _ = jax.eval_shape(lambda v, x: network.apply(v, x, train=False), variables, jnp.zeros((5, 2, 2, 1)))
>>> scores.shape
(5,)
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from wgan_jax.networks.activations import check_pairs, full_sort, max_min
from wgan_jax.networks.architecture import Architecture
from wgan_jax.networks.conditional import check_num_classes, one_hot, score
from wgan_jax.networks.layers import Dense, flat
from wgan_jax.networks.network import from_linen
from wgan_jax.networks.parametrization import check_parametrization
from wgan_jax.networks.products import resolve_conv_impl
from wgan_jax.networks.report import LayerReport
from wgan_jax.types import Array, Network


def generator(
    image_shape: tuple[int, ...],
    *,
    latent_dim: int = 100,
    width: int = 512,
    depth: int = 3,
    init: str = 'uniform',
    dtype: jnp.dtype = jnp.float32,
    conv_impl: str | None = None,
    num_classes: int = 0,
) -> Network:
    """Builds z -> width -> ... -> width -> image; the last map is linear, so pixels are not bounded.

    Args:
        image_shape: (H, W, C), any; (d,) for vectors.
        latent_dim: Z.
        width: units of each hidden layer.
        depth: number of hidden layers.
        init: of the weights; a name in ``INITIALISERS``.
        dtype: compute type, float32 or bfloat16; parameters and images are float32.
        conv_impl: see ``products.resolve_conv_impl``; here it concerns the products only.
        num_classes: of a conditional one, see ``networks.conditional``; 0 for none.

    Returns:
        A network from (N, Z) to (N, H, W, C). 6,880,768 parameters at 64x64x3.
    """
    check_num_classes(num_classes)
    module = _Generator(tuple(image_shape), width, depth, init, dtype, resolve_conv_impl(conv_impl), num_classes)
    return from_linen(module, (latent_dim,), uses_batch_statistics=False, num_classes=num_classes)


def critic(
    image_shape: tuple[int, ...],
    *,
    width: int = 512,
    depth: int = 3,
    init: str = 'uniform',
    norm: str = 'none',
    parametrization: str | None = None,
    activation: str | None = None,
    dtype: jnp.dtype = jnp.float32,
    conv_impl: str | None = None,
    num_classes: int = 0,
) -> Network:
    """Builds image -> width -> ... -> width -> score.

    Args:
        image_shape: (H, W, C), any; (d,) for vectors.
        width: units of each hidden layer.
        depth: number of hidden layers.
        init: of the weights; a name in ``INITIALISERS``.
        norm: only 'none'; the argument exists so that architectures are interchangeable.
        parametrization: how layers make their weights, see ``networks.parametrization``; None for free ones.
        activation: 'relu', 'full_sort', or 'max_min' for an even width; None for what the weights ask for, which is
            MaxMin for 'orthonormal' and ReLU for others.
        dtype: compute type, float32 or bfloat16; parameters and scores are float32.
        conv_impl, num_classes: as for the generator.

    Returns:
        A network from (N, H, W, C) to (N,). 6,817,793 parameters at 64x64x3.

    Raises:
        ValueError: for another norm, parametrization or activation, or an odd width where pairs are sorted.
    """
    if norm != 'none':
        raise ValueError(f"the MLP critic has no normalisation: pass norm='none', not {norm!r}.")
    activation = activation or ('max_min' if parametrization == 'orthonormal' else 'relu')
    if activation not in _ACTIVATIONS:
        raise ValueError(f'activation={activation!r} is unknown; there are: {", ".join(_ACTIVATIONS)}')
    check_parametrization(parametrization)
    if activation == 'max_min':
        check_pairs(width)
    check_num_classes(num_classes, parametrization)
    module = _Critic(width, depth, init, parametrization, activation, dtype, resolve_conv_impl(conv_impl), num_classes)
    return from_linen(module, tuple(image_shape), uses_batch_statistics=False, reports=True, num_classes=num_classes)


INITIALISERS = {
    # PyTorch's default for a linear layer, with which the original was trained: uniform within 1 / sqrt(fan_in).
    'uniform': flat(
        lambda key, size, shape: jax.random.uniform(key, (size,), minval=-1, maxval=1) / math.sqrt(shape[0])
    ),
    # He et al. 2015: normal with variance 2 / fan_in, which keeps the scale of activations from layer to layer.
    'he': flat(lambda key, size, shape: jax.random.normal(key, (size,)) * math.sqrt(2 / shape[0])),
}


_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {'relu': nn.relu, 'max_min': max_min, 'full_sort': full_sort}


class _Generator(nn.Module):
    image_shape: tuple[int, ...]
    width: int
    depth: int
    initialiser: str
    dtype: jnp.dtype
    conv_impl: str
    num_classes: int

    @nn.compact
    def __call__(self, z: Array, labels: Array | None = None, *, train: bool, axis_name: str | None = None) -> Array:
        del train, axis_name  # nothing here depends on the rest of the batch
        options: dict[str, Any] = {
            'kernel_init': INITIALISERS[self.initialiser],
            'dtype': self.dtype,
            'conv_impl': self.conv_impl,
        }
        x = jnp.concatenate([z, one_hot(labels, self.num_classes)], axis=-1) if self.num_classes else z
        for i in range(self.depth):
            x = nn.relu(Dense(self.width, **options, name=f'hidden_{i}')(x))
        x = Dense(math.prod(self.image_shape), **options, name='image')(x)
        return x.reshape(-1, *self.image_shape).astype(jnp.float32)


class _Critic(nn.Module):
    width: int
    depth: int
    initialiser: str
    parametrization: str | None
    activation: str
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
        options: dict[str, Any] = {
            'kernel_init': INITIALISERS[self.initialiser],
            'parametrization': self.parametrization,
        }
        activation = _ACTIVATIONS[self.activation]
        x = x.reshape(x.shape[0], -1)
        for i in range(self.depth):
            layer = Dense(self.width, dtype=self.dtype, conv_impl=self.conv_impl, name=f'hidden_{i}', **options)
            x = activation(layer(x, train=train, report=report))
            x = x if report is None else report.activation(x)
        # In float32: rounded scores round the loss.
        return score(partial(Dense, **options), x, labels, self.num_classes, train=train, report=report)


def _build(settings, image_shape, parametrization, conv_impl, num_classes=0):
    common = {'dtype': jnp.dtype(settings.precision), 'conv_impl': conv_impl, 'num_classes': num_classes}
    width = settings.critic_width or settings.width
    return (
        generator(image_shape, latent_dim=settings.latent_dim, width=settings.width, **common),
        critic(image_shape, width=width, norm=settings.critic_norm, parametrization=parametrization, **common),
    )


def _check(settings, parametrization):
    check_parametrization(parametrization)
    if parametrization == 'orthonormal':
        check_pairs(settings.critic_width or settings.width)
    if settings.critic_norm != 'none':
        raise ValueError(f'critic_norm={settings.critic_norm} is not built for arch=mlp; use none')


ARCHITECTURE = Architecture(_build, _check)
