"""The stride-2 4x4 convolution and its transpose, as library calls or as matrix products.

XLA:CPU computes gradients of strided convolutions tens of times slower than the same gradients written as matrix
products, so on a CPU both maps are rewritten by hand; on GPU and TPU the library's convolution is the right one.

Notation: a stride-2 4x4 convolution is a stride-1 2x2 convolution of 2x2 blocks of pixels ("space to depth").
"""

import jax
import jax.numpy as jnp

from wgan_jax.networks.products import einsum, resolve_form
from wgan_jax.types import Array


def downsample(x: Array, kernel: Array, form: str | None = None) -> Array:
    """Convolves with stride 2, kernel 4x4 and one pixel of zeros around the image, halving height and width.

    y[n, i, j, :] = sum_{a, b} x[n, 2i + a - 1, 2j + b - 1, :] kernel[a, b],  a, b = 0..3.

    Args:
        x: images, (N, H, W, C) with even H and W.
        kernel: (4, 4, C, D), of the dtype of x.
        form: 'matmul', 'native' or None, see ``products.resolve_form``.

    Returns:
        (N, H/2, W/2, D).

    Raises:
        ValueError: if the kernel is not 4x4 or a side of the image is odd.
    """
    _check(x, kernel)
    if x.shape[1] % 2 or x.shape[2] % 2:
        raise ValueError(f'downsample needs an even height and width, not {x.shape[1]}x{x.shape[2]}: pad the images.')
    if resolve_form(form) == 'native':
        return jax.lax.conv_general_dilated(
            x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=('NHWC', 'HWIO', 'NHWC')
        )
    return _down_products(x, kernel)


def upsample(x: Array, kernel: Array, form: str | None = None) -> Array:
    """Applies the transpose of ``downsample``, doubling height and width.

    y[n, 2i + a - 1, 2j + b - 1, :] += x[n, i, j, :] kernel[a, b],  a, b = 0..3, where that pixel exists.

    Args:
        x: (N, H, W, C).
        kernel: (4, 4, C, D), of the dtype of x.
        form: 'matmul', 'native' or None, see ``products.resolve_form``.

    Returns:
        (N, 2H, 2W, D).

    Raises:
        ValueError: if the kernel is not 4x4.
    """
    _check(x, kernel)
    if resolve_form(form) == 'native':
        return jax.lax.conv_general_dilated(
            x, kernel[::-1, ::-1], (1, 1), ((2, 2), (2, 2)), lhs_dilation=(2, 2),
            dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
        )  # fmt: skip
    return _up_products(x, kernel)


def _check(x: Array, kernel: Array) -> None:
    if x.ndim != 4 or kernel.shape[:2] != (4, 4) or kernel.shape[2] != x.shape[3]:
        raise ValueError(f'need x (N, H, W, C) and kernel (4, 4, C, D), not {x.shape} and {kernel.shape}.')


def _blocks(x: Array) -> Array:
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5).reshape(n, h // 2, w // 2, 4 * c)


def _pixels(x: Array) -> Array:
    n, h, w, c = x.shape
    return x.reshape(n, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * h, 2 * w, c // 4)


def _down_products(x: Array, kernel: Array) -> Array:
    c, d = kernel.shape[2:]
    blocks = _blocks(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))))
    n, h, w, _ = blocks.shape
    kernel = kernel.reshape(2, 2, 2, 2, c, d).transpose(0, 2, 1, 3, 4, 5).reshape(2, 2, 4 * c, d)
    terms = [
        einsum('mk,kn->mn', blocks[:, i : h - 1 + i, j : w - 1 + j].reshape(-1, 4 * c), kernel[i, j], 'matmul')
        for i in (0, 1)
        for j in (0, 1)
    ]
    return sum(terms).reshape(n, h - 1, w - 1, d)


def _up_products(x: Array, kernel: Array) -> Array:
    n, h, w, c = x.shape
    d = kernel.shape[-1]
    kernel = kernel.reshape(2, 2, 2, 2, c, d).transpose(0, 2, 4, 1, 3, 5).reshape(2, 2, c, 4 * d)
    x = x.reshape(-1, c)
    terms = [
        jnp.pad(
            einsum('mk,kn->mn', x, kernel[i, j], 'matmul').reshape(n, h, w, 4 * d),
            ((0, 0), (i, 1 - i), (j, 1 - j), (0, 0)),
        )
        for i in (0, 1)
        for j in (0, 1)
    ]
    return _pixels(sum(terms))[:, 1:-1, 1:-1]
