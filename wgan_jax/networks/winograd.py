"""The stride-2 4x4 convolution, its transpose and its kernel gradient with 9 products where the definition has 16.

On 2x2 blocks of pixels the convolution has a 2x2 kernel and stride 1, to which Winograd's F(2, 2) applies on each
axis: for blocks d0, d1, d2 and taps g0, g1, with m = ((d0 - d1) g0, d1 (g0 + g1), (d1 - d2) g1),

    d0 g0 + d1 g1 = m0 + m1,  d1 g0 + d2 g1 = m1 - m2.

The other two maps follow by transposing this trilinear identity. Transforms only add, so accuracy is not lost.

Arrays are (C, H, W, N): every product is then of row-major matrices, and every shift moves whole rows of N values.
Source: Winograd, Arithmetic Complexity of Computations, 1980; Lavin and Gray, 2015, https://arxiv.org/abs/1509.09308.
"""

import jax
import jax.numpy as jnp

from wgan_jax.networks.products import written
from wgan_jax.types import Array


def product(spec: str, a: Array, b: Array, dtype: jnp.dtype) -> Array:
    """Returns the einsum of a and b, both rounded to dtype, in float32."""
    return jnp.einsum(spec, a.astype(dtype), b.astype(dtype), preferred_element_type=jnp.float32)


def border(x: Array) -> Array:
    """Puts one pixel of zeros around the images: (C, H, W, N) to (C, H+2, W+2, N)."""
    c, h, w, n = x.shape
    return jax.lax.dynamic_update_slice(jnp.zeros((c, h + 2, w + 2, n), x.dtype), x, (0, 1, 1, 0))


def downsample(x: Array, kernel: Array, dtype: jnp.dtype) -> Array:
    """Maps x, (C, H, W, N) with H and W multiples of 4, and kernel, (4, 4, C, D), to (D, H/2, W/2, N)."""
    c, h, w, n = x.shape
    d = kernel.shape[3]
    kernels = [k.transpose(2, 0, 1, 3).reshape(d, 4 * c) for k in _kernels(written(kernel.swapaxes(2, 3)))]
    products = [
        product('dk,km->dm', k, tile, dtype).reshape(d, h // 4, w // 4, n)
        for k, tile in zip(kernels, _large_tiles(x, dtype), strict=True)
    ]
    rows = [_combine(products[i : i + 3]) for i in (0, 3, 6)]
    out = jnp.zeros((d, h // 4, 2, w // 4, 2, n), jnp.float32)
    for q in (0, 1):
        for p, y in enumerate(_combine([row[q] for row in rows])):
            out = jax.lax.dynamic_update_slice(out, y[:, :, None, :, None], (0, 0, p, 0, q, 0))
    return out.reshape(d, h // 2, w // 2, n)


def upsample(x: Array, kernel: Array, dtype: jnp.dtype) -> Array:
    """Maps x, (C, H, W, N) with even H and W, and kernel, (4, 4, D, C), to (D, 2H, 2W, N)."""
    c, h, w, n = x.shape
    d = kernel.shape[2]
    products = [
        product('dk,km->dm', k.reshape(4 * d, c), tile, dtype).reshape(2, 2, d, h // 2, w // 2, n)
        for k, tile in zip(_kernels(kernel), _small_tiles(x, dtype), strict=True)
    ]
    columns = [_scatter(products[i : i + 3], 4) for i in (0, 3, 6)]
    out = jnp.zeros((d, h // 2 + 1, 2, 2, w // 2 + 1, 2, 2, n), jnp.float32)  # tile, block, pixel along each axis
    for j in (0, 1):
        for i, blocks in enumerate(_scatter([column[j] for column in columns], 3)):
            blocks = blocks.transpose(2, 3, 0, 4, 1, 5)[:, :, None, :, :, None]
            out = jax.lax.dynamic_update_slice(out, blocks, (0, 0, i, 0, 0, j, 0, 0))
    return out.reshape(d, 2 * h + 4, 2 * w + 4, n)[:, 1 : 2 * h + 1, 1 : 2 * w + 1]


def kernel_gradient(x: Array, g: Array, dtype: jnp.dtype) -> Array:
    """Maps x, (C, H, W, N) with H and W multiples of 4, and g, (D, H/2, W/2, N), to (4, 4, C, D)."""
    c, d = x.shape[0], g.shape[0]
    tiles = zip(_large_tiles(x, dtype), _small_tiles(g, dtype), strict=True)
    products = [product('km,dm->kd', large, small, dtype) for large, small in tiles]
    rows = [jnp.stack([m[0] + m[1], m[1] + m[2]]) for m in (products[:3], products[3:6], products[6:])]
    taps = jnp.stack([rows[0] + rows[1], rows[1] + rows[2]])
    return taps.reshape(2, 2, 2, 2, c, d).transpose(0, 2, 1, 3, 4, 5).reshape(4, 4, c, d)


def _kernels(kernel: Array) -> list[Array]:
    """(4, 4, D, C) to 9 of (2, 2, D, C): g0, g0 + g1, g1 on each axis."""
    d, c = kernel.shape[2:]
    k = kernel.reshape(2, 2, 2, 2, d, c).transpose(0, 2, 1, 3, 4, 5)
    return [tap for row in (k[0], k[0] + k[1], k[1]) for tap in (row[0], row[0] + row[1], row[1])]


def _large_tiles(x: Array, dtype: jnp.dtype) -> list[Array]:
    """(C, H, W, N) to 9 of (4C, H/4 W/4 N): d0 - d1, d1, d1 - d2 on each axis."""
    c, h, w, _ = x.shape
    padded = border(x)

    def transform(b, pixel, axis, tiles):
        d = [jax.lax.slice_in_dim(b, first, first + 4 * tiles - 3, 4, axis) for first in (pixel, pixel + 2, pixel + 4)]
        return d[0] - d[1], d[1], d[1] - d[2]

    # Pixel by pixel of a block, and put together at the end: XLA:CPU then adds whole rows of N values, which takes half
    # the time of one sum over all blocks, transposed.
    rows = [transform(padded, p, 1, h // 4) for p in (0, 1)]
    tiles = []
    for row in zip(*rows, strict=True):
        columns = [transform(pixels, q, 2, w // 4) for pixels in row for q in (0, 1)]
        tiles += [jnp.concatenate([t.astype(dtype) for t in pixels]) for pixels in zip(*columns, strict=True)]
    return [tile.reshape(4 * c, -1) for tile in tiles]


def _small_tiles(y: Array, dtype: jnp.dtype) -> list[Array]:
    """(C, H, W, N) to 9 of (C, H/2 W/2 N): y0, y0 + y1, -y1 on each axis."""
    c, h, w, n = y.shape

    def transform(b, axis):
        y0, y1 = (jax.lax.index_in_dim(b, i, axis, keepdims=False) for i in (0, 1))
        return y0, y0 + y1, -y1

    rows = transform(y.reshape(c, h // 2, 2, w // 2, 2, n), 2)
    return [tile.astype(dtype).reshape(c, -1) for row in rows for tile in transform(row, 3)]


def _combine(m: list[Array]) -> tuple[Array, Array]:
    return m[0] + m[1], m[1] - m[2]


def _scatter(m: list[Array], axis: int) -> tuple[Array, Array]:
    """Adds tiles into blocks: block 2t gets d0 of tile t and d2 of tile t - 1, block 2t + 1 gets d1 of tile t."""

    def pad(v, before, after):
        return jnp.pad(v, [(before, after) if i == axis else (0, 0) for i in range(v.ndim)])

    return pad(m[0], 0, 1) - pad(m[2], 1, 0), m[1] + m[2] - m[0]
