"""Convolutions and their kernel gradients as one product each, for sizes and channels that do not suit Winograd.

``downsample``, ``upsample`` and ``kernel_gradient`` belong to the stride-2 4x4 convolution of any even sides, ``same``
and ``same_kernel_gradient`` to the stride-1 convolution of odd kernels, ``grouped`` and ``grouped_kernel_gradient`` to
the latter within groups of channels. Arrays are (C, H, W, N), as in ``winograd``.
"""

from typing import Any

import jax
import jax.numpy as jnp

from wgan_jax.networks.winograd import border, product
from wgan_jax.types import Array


def downsample(x: Array, kernel: Array, dtype: jnp.dtype) -> Array:
    """Maps x, (C, H, W, N), and kernel, (4, 4, C, D), to (D, H/2, W/2, N)."""
    c, h, w, n = x.shape
    d = kernel.shape[3]
    y = product('dk,km->dm', kernel.transpose(3, 0, 1, 2).reshape(d, 16 * c), _columns(x, dtype), dtype)
    return y.reshape(d, h // 2, w // 2, n)


def upsample(x: Array, kernel: Array, dtype: jnp.dtype) -> Array:
    """Maps x, (C, H, W, N), and kernel, (4, 4, D, C), to (D, 2H, 2W, N)."""
    c, h, w, n = x.shape
    d = kernel.shape[2]
    y = product('dk,km->dm', kernel.reshape(16 * d, c), x.reshape(c, -1), dtype)
    y = y.reshape(2, 2, 2, 2, d, h, w, n).transpose(0, 2, 4, 5, 1, 6, 3, 7)  # block, block, D, H, pixel, W, pixel, N
    blocks: Any = sum(
        jnp.pad(y[i, j], ((0, 0), (i, 1 - i), (0, 0), (j, 1 - j), (0, 0), (0, 0))) for i in (0, 1) for j in (0, 1)
    )
    return blocks.reshape(d, 2 * h + 2, 2 * w + 2, n)[:, 1:-1, 1:-1]


def kernel_gradient(x: Array, g: Array, dtype: jnp.dtype) -> Array:
    """Maps x, (C, H, W, N), and g, (D, H/2, W/2, N), to (4, 4, C, D)."""
    c, d = x.shape[0], g.shape[0]
    # As (D, 16C), held in that order by the barrier: XLA:CPU computes the other one up to three times slower.
    y = product('dm,km->dk', g.reshape(d, -1), _columns(x, dtype), dtype)
    return jax.lax.optimization_barrier(y).T.reshape(4, 4, c, d)


def _columns(x: Array, dtype: jnp.dtype) -> Array:
    """(C, H, W, N) to (16C, H/2 W/2 N): the 4x4 pixels that each output sees."""
    c, h, w, _ = x.shape
    padded = border(x.astype(dtype))
    taps = [padded[:, a : a + h : 2, b : b + w : 2] for a in range(4) for b in range(4)]
    return jnp.concatenate(taps).reshape(16 * c, -1)


def same(x: Array, kernel: Array, dtype: jnp.dtype) -> Array:
    """Maps x, (C, H, W, N), and kernel, (kh, kw, D, C) with odd sides, to (D, H, W, N)."""
    c, h, w, n = x.shape
    kh, kw, d, _ = kernel.shape
    if c <= d:
        y = product('dk,km->dm', kernel.transpose(2, 0, 1, 3).reshape(d, -1), _shifted(x, kh, kw, dtype), dtype)
        return y.reshape(d, h, w, n)
    # The products first, then their sums over shifted pixels: of the two channel counts the smaller one is moved.
    y = product('dk,km->dm', kernel.reshape(kh * kw * d, c), x.reshape(c, -1), dtype)
    y = y.reshape(kh, kw, d, h, w, n)
    down, right = kh // 2, kw // 2
    padded = jnp.pad(y, ((0, 0),) * 3 + ((down, down), (right, right), (0, 0)))
    shifted: Any = sum(padded[a, b, :, a : a + h, b : b + w] for a in range(kh) for b in range(kw))
    return shifted


def same_kernel_gradient(x: Array, g: Array, size: tuple[int, int], dtype: jnp.dtype) -> Array:
    """Maps x, (C, H, W, N), and g, (D, H, W, N), to (kh, kw, C, D), with (kh, kw) the odd size."""
    c, d = x.shape[0], g.shape[0]
    if c <= d:
        y = product('dm,km->dk', g.reshape(d, -1), _shifted(x, *size, dtype), dtype)
        return jax.lax.optimization_barrier(y).T.reshape(*size, c, d)
    y = product('cm,km->ck', x.reshape(c, -1), _shifted(g, *size, dtype), dtype)  # g's shifts are x's, backwards
    y = jax.lax.optimization_barrier(y).reshape(c, *size, d)[:, ::-1, ::-1]
    return y.transpose(1, 2, 0, 3)


def grouped(x: Array, kernel: Array, groups: int, dtype: jnp.dtype) -> Array:
    """Maps x, (C, H, W, N), and kernel, (kh, kw, D, C/groups) with odd sides, to (D, H, W, N)."""
    kh, kw, d, c = kernel.shape
    weights = kernel.reshape(kh, kw, groups, d // groups, c).transpose(2, 3, 0, 1, 4).reshape(groups, d // groups, -1)
    y = product('gdk,gkm->gdm', weights, _shifted_in_groups(x, kh, kw, groups, dtype), dtype)
    return y.reshape(d, *x.shape[1:])


def grouped_kernel_gradient(x: Array, g: Array, size: tuple[int, int], groups: int, dtype: jnp.dtype) -> Array:
    """Maps x, (C, H, W, N), and g, (D, H, W, N), to (kh, kw, C/groups, D), with (kh, kw) the odd size."""
    c, d = x.shape[0], g.shape[0]
    y = product('gdm,gkm->gdk', g.reshape(groups, d // groups, -1), _shifted_in_groups(x, *size, groups, dtype), dtype)
    y = jax.lax.optimization_barrier(y).reshape(d, *size, c // groups)
    return y.transpose(1, 2, 3, 0)


def _shifted_in_groups(x: Array, kh: int, kw: int, groups: int, dtype: jnp.dtype) -> Array:
    """(C, H, W, N) to (groups, kh kw C/groups, H W N): the kh x kw pixels around each, within each group."""
    c, h, w, n = x.shape
    down, right = kh // 2, kw // 2
    padded = jnp.pad(x.astype(dtype), ((0, 0), (down, down), (right, right), (0, 0)))
    padded = padded.reshape(groups, c // groups, *padded.shape[1:])
    taps = [padded[:, :, a : a + h, b : b + w] for a in range(kh) for b in range(kw)]
    return jnp.concatenate(taps, axis=1).reshape(groups, -1, h * w * n)


def _shifted(x: Array, kh: int, kw: int, dtype: jnp.dtype) -> Array:
    """(C, H, W, N) to (kh kw C, H W N): the kh x kw pixels around each."""
    c, h, w, _ = x.shape
    down, right = kh // 2, kw // 2
    padded = jnp.pad(x.astype(dtype), ((0, 0), (down, down), (right, right), (0, 0)))
    taps = [padded[:, a : a + h, b : b + w] for a in range(kh) for b in range(kw)]
    return jnp.concatenate(taps).reshape(kh * kw * c, -1)
