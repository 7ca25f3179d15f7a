"""Operator norms of linear layers, from above: no value here is ever below the norm it bounds."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from wgan_jax.lengths import unit
from wgan_jax.types import Array


def matrix_norm(matrix: Array) -> Array:
    """Bounds max ||W x|| / ||x|| from above, by the largest singular value and a margin for its rounding.

    A backward stable decomposition misses a singular value by at most a modest multiple of n eps ||W||; 8 n eps is
    added, which in float32 is 2.4e-4 for n = 512.

    Args:
        matrix: (..., m, n), real or complex.

    Returns:
        (...), real.
    """
    largest = jnp.linalg.svd(matrix, compute_uv=False)[..., 0]
    return largest * (1 + 8 * min(matrix.shape[-2:]) * float(jnp.finfo(matrix.dtype).eps))


def convolution_norm(kernel: Array, image_size: tuple[int, int], *, stride: int = 1) -> Array:
    """Bounds the operator norm of a convolution with zeros around the image from above.

    Filling the border with zeros, convolving on the torus of the padded size and cutting out the result is the same
    map, and neither end increases a norm. On the torus the Fourier transform leaves one C x D matrix per frequency:

        ||conv|| <= max_w ||K(w)||,  K(w) = sum_a kernel[a] exp(-i w a).

    A stride s that divides the kernel is a convolution without stride of s x s blocks of pixels.

    Args:
        kernel: (kh, kw, C, D), kh and kw multiples of the stride.
        image_size: height and width of its input, multiples of the stride, padded by (kh - s) / 2 and (kw - s) / 2
            pixels on each side.
        stride: s.

    Returns:
        A scalar.

    Source: Sedghi et al. 2019, https://arxiv.org/abs/1805.10408.
    """
    (kh, kw, c, d), s = kernel.shape, stride
    blocks = (
        kernel.reshape(kh // s, s, kw // s, s, c, d).transpose(0, 2, 1, 3, 4, 5).reshape(kh // s, kw // s, s * s * c, d)
    )
    torus = [(side + size - s) // s for side, size in zip(image_size, (kh, kw), strict=True)]
    # Of a real kernel the other half of the frequencies holds the conjugates.
    return jnp.max(matrix_norm(jnp.fft.rfft2(blocks, torus, axes=(0, 1))))


def clipped_norm(clip: Array | float, fan_in: int, fan_out: int, *, taps: int = 1, stride: int = 1) -> Array | float:
    """The largest norm of a layer whose weights lie in [-clip, clip]: clip taps / stride sqrt(fan_in fan_out).

    Args:
        clip: c.
        fan_in, fan_out: input and output units, or channels.
        taps: pixels of the kernel, 1 for a matrix.
        stride: that divides both sides of the kernel.

    Returns:
        A scalar, attained by a matrix of entries c, and by a convolution of entries c on a torus.
    """
    return clip * (taps / stride * math.sqrt(fan_in * fan_out))


def power_step(linear: Callable[[Array], Array], v: Array) -> Array:
    """One step of the power iteration, v <- L^T L v, of length 1; v itself where that is 0.

    Args:
        linear: a linear function L of an array like v.
        v: any but 0.

    Returns:
        An array like v, never 0; ||L v|| approaches the operator norm from below.
    """
    y, transpose = jax.vjp(linear, v)
    (stepped,) = transpose(y)
    return jnp.where(jnp.any(stepped != 0), unit(stepped), v)
