"""Normalisation layers: statistics and parameters in float32, any compute type."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from wgan_jax.networks.conditional import rows_of
from wgan_jax.networks.layers import flat
from wgan_jax.networks.report import LayerReport
from wgan_jax.types import Array

scale_init = flat(lambda key, size, shape: 1 + 0.02 * jax.random.normal(key, (size,)))


class BatchNorm(nn.Module):
    """Batch normalisation, y = (x - mean) / sqrt(var + 1e-5) * scale + bias per channel.

    In training mean and var are those of the whole batch over all axes but that of channels (the biased variance, from
    centred values, so that mean >> std costs no digits), and the running ones become 0.9 running + 0.1 batch. Otherwise
    the running ones normalise. Same function as ``flax.linen.BatchNorm(momentum=0.9, use_fast_variance=False)``.

    Attributes:
        channel_axis: of the input.
        num_classes: of which there are a scale and a bias each, see ``networks.conditional``; 0: one for all.
        momentum: share of the running statistics that stays at each batch.
        epsilon: added to the variance.

    Source: Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167.
    """

    channel_axis: int = -1
    num_classes: int = 0
    momentum: float = 0.9
    epsilon: float = 1e-5

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
        """Normalises x.

        Args:
            x: any shape, with C entries along the channel axis.
            labels: (N,), where there are classes. Examples lie along the first axis of x, or along the last where
                channels lie along the first.
            train: whether the batch's own statistics normalise.
            axis_name: mapped axis over which those statistics are taken.
            report: to which to report.

        Returns:
            An array of the shape and dtype of x.
        """
        if report is not None:
            report.unbounded('batch normalisation divides by a deviation that the rest of the batch decides')
        scale, bias, shape = _affine(self, x, self.num_classes, labels)
        count = (x.shape[self.channel_axis],)
        running_mean = self.variable('batch_stats', 'mean', jnp.zeros, count)
        running_var = self.variable('batch_stats', 'var', jnp.ones, count)
        wide = x.astype(jnp.float32)
        if train:
            axes = tuple(i for i in range(x.ndim) if i != self.channel_axis % x.ndim)
            mean = wide.mean(axes)
            var = jnp.square(wide - mean.reshape(shape)).mean(axes)
            if axis_name is not None:
                mean, var = _of_all(mean, var, axis_name)
            if not self.is_initializing():
                running_mean.value = self.momentum * running_mean.value + (1 - self.momentum) * mean
                running_var.value = self.momentum * running_var.value + (1 - self.momentum) * var
        else:
            mean, var = running_mean.value, running_var.value
        y = (wide - mean.reshape(shape)) * (jax.lax.rsqrt(var.reshape(shape) + self.epsilon) * scale) + bias
        return y.astype(x.dtype)


class LayerNorm(nn.Module):
    """Layer normalisation with statistics over H, W, C of each example, scale and bias per channel.

    y = (x - mean) / sqrt(var + epsilon) * scale + bias

    Attributes:
        channel_axis: of the input, 0 for images (C, H, W, N), -1 for (N, H, W, C).
        epsilon: added to the variance.

    Source: Ba et al., 2016, https://arxiv.org/abs/1607.06450, in the form used by Gulrajani et al., 2017.
    """

    channel_axis: int = -1
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: Array, *, report: LayerReport | None = None) -> Array:
        """Normalises x, (N, H, W, C) or, with channel axis 0, (C, H, W, N); same shape and dtype out."""
        scale, bias, _ = _affine(self, x)
        if report is not None:
            # dy/dx = scale (I - 1/n - y y^T / n) / sqrt(var + eps), with less than a projection in the middle; the
            # bound is approached where an image is nearly constant.
            report.bounds.append(
                lambda clip: (jnp.max(jnp.abs(scale)) if clip is None else clip) / math.sqrt(self.epsilon)
            )
        axes = (0, 1, 2) if self.channel_axis == 0 else (1, 2, 3)
        wide = x.astype(jnp.float32)
        centred = wide - wide.mean(axes, keepdims=True)
        var = jnp.square(centred).mean(axes, keepdims=True)
        y = centred * jax.lax.rsqrt(var + self.epsilon) * scale + bias
        return y.astype(x.dtype)


def _of_all(mean: Array, var: Array, axis_name: str) -> tuple[Array, Array]:
    """Mean and variance of parts of equal size, one on each place of a mapped axis, as one.

    mean = avg_i m_i, var = avg_i (v_i + (m_i - mean)^2): the differences are taken after the parts have met, so that
    mean >> std costs no digits, and they meet once, where averages of means and then of squares would meet twice.

    Source: Chan et al. 1979, http://i.stanford.edu/pub/cstr/reports/cs/tr/79/773/CS-TR-79-773.pdf, equation 2.1.
    """
    means, variances = jnp.moveaxis(jax.lax.all_gather(jnp.stack([mean, var]), axis_name), 1, 0)
    mean = means.mean(0)
    return mean, (variances + jnp.square(means - mean)).mean(0)


def _affine(
    module: nn.Module, x: Array, num_classes: int = 0, labels: Array | None = None
) -> tuple[Array, Array, list[int]]:
    """Declares scale and bias, and returns them in shapes that broadcast with x; and the shape of one per channel."""
    axis, count = module.channel_axis % x.ndim, x.shape[module.channel_axis]
    shape = [1] * x.ndim
    shape[axis] = count
    size = (num_classes, count) if num_classes else (count,)
    scale, bias = module.param('scale', scale_init, size), module.param('bias', nn.initializers.zeros, size)
    if not num_classes:
        return scale.reshape(shape), bias.reshape(shape), shape
    scale, bias = (rows_of(table, labels) for table in (scale, bias))
    if axis == 0:
        scale, bias = scale.T, bias.T
    example = 0 if axis else x.ndim - 1
    wide = [x.shape[i] if i == example else side for i, side in enumerate(shape)]
    return scale.reshape(wide), bias.reshape(wide), shape
