"""The stride-1 3x3 convolution and its kernel gradient with 16 products where the definition has 36.

Winograd's F(2, 3) on each axis: for four neighbouring pixels d and three taps g, with

    m = ((d0 - d2) g0, (d1 + d2) (g0 + g1 + g2) / 2, (d2 - d1) (g0 - g1 + g2) / 2, (d3 - d1) g2),

    d0 g0 + d1 g1 + d2 g2 = m0 + m1 + m2,  d1 g0 + d2 g1 + d3 g2 = m1 - m2 + m3.

The kernel gradient follows by transposing this trilinear identity. Transforms add and halve, so accuracy is not lost;
larger tiles would save more products and lose digits, and take several times as long to compile.

Arrays are (C, H, W, N), as in ``winograd``.
Source: Lavin and Gray, 2015, https://arxiv.org/abs/1509.09308, section 4.1.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from wgan_jax.networks.winograd import border, product
from wgan_jax.types import Array


def same(x: Array, kernel: Array, dtype: jnp.dtype) -> Array:
    """Maps x, (C, H, W, N) with even H and W, and kernel, (3, 3, D, C), to (D, H, W, N)."""
    _, h, w, n = x.shape
    d = kernel.shape[2]
    products = [
        product('dc,cm->dm', k, tile, dtype).reshape(d, h // 2, w // 2, n)
        for k, tile in zip(_kernels(kernel), _large_tiles(x, dtype), strict=True)
    ]
    rows = [_combine(products[i : i + 4]) for i in (0, 4, 8, 12)]
    out = jnp.zeros((d, h // 2, 2, w // 2, 2, n), jnp.float32)
    for q in (0, 1):
        for p, y in enumerate(_combine([row[q] for row in rows])):
            out = jax.lax.dynamic_update_slice(out, y[:, :, None, :, None], (0, 0, p, 0, q, 0))
    return out.reshape(d, h, w, n)


def kernel_gradient(x: Array, g: Array, dtype: jnp.dtype) -> Array:
    """Maps x, (C, H, W, N) with even H and W, and g, (D, H, W, N), to (3, 3, C, D)."""
    tiles = zip(_large_tiles(x, dtype), _small_tiles(g, dtype), strict=True)
    products = [product('cm,dm->cd', large, small, dtype) for large, small in tiles]
    rows = [_taps(products[i : i + 4]) for i in (0, 4, 8, 12)]
    return jnp.stack(
        [jnp.stack(taps) for taps in zip(*(_taps(column) for column in zip(*rows, strict=True)), strict=True)]
    )


def _kernels(kernel: Array) -> list[Array]:
    """(3, 3, D, C) to 16 of (D, C): g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2 on each axis."""

    def transform(g):
        ends = (g[0] + g[2]) / 2
        return g[0], ends + g[1] / 2, ends - g[1] / 2, g[2]

    return [tap for row in transform(kernel) for tap in transform(row)]


def _large_tiles(x: Array, dtype: jnp.dtype) -> list[Array]:
    """(C, H, W, N) to 16 of (C, H/2 W/2 N): d0 - d2, d1 + d2, d2 - d1, d3 - d1 on each axis."""
    c, h, w, _ = x.shape

    def transform(b, axis, tiles):
        d = [jax.lax.slice_in_dim(b, first, first + 2 * tiles - 1, 2, axis) for first in range(4)]
        return d[0] - d[2], d[1] + d[2], d[2] - d[1], d[3] - d[1]

    rows = transform(border(x), 1, h // 2)
    return [tile.astype(dtype).reshape(c, -1) for row in rows for tile in transform(row, 2, w // 2)]


def _small_tiles(y: Array, dtype: jnp.dtype) -> list[Array]:
    """(C, H, W, N) to 16 of (C, H/2 W/2 N): y0, y0 + y1, y0 - y1, y1 on each axis."""
    c, h, w, n = y.shape

    def transform(b, axis):
        y0, y1 = (jax.lax.index_in_dim(b, i, axis, keepdims=False) for i in (0, 1))
        return y0, y0 + y1, y0 - y1, y1

    rows = transform(y.reshape(c, h // 2, 2, w // 2, 2, n), 2)
    return [tile.astype(dtype).reshape(c, -1) for row in rows for tile in transform(row, 3)]


def _combine(m: Sequence[Array]) -> tuple[Array, Array]:
    return m[0] + m[1] + m[2], m[1] - m[2] + m[3]


def _taps(m: Sequence[Array]) -> tuple[Array, Array, Array]:
    ends = (m[1] + m[2]) / 2
    return m[0] + ends, (m[1] - m[2]) / 2, ends + m[3]
