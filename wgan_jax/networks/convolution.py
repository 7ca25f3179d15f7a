"""Convolutions for every backend: 4x4 with stride 2, its transpose, and odd kernels without stride.

XLA:CPU computes the gradients that JAX derives for a convolution tens to hundreds of times slower than the same
gradients written as matrix products (in a loop, where a training runs, it takes a naive path for their dimension
numbers), so on a CPU every map is rewritten by hand; on GPU and TPU the library's convolution is the right one.
Each implementation has its own layout of images: 'native' (N, H, W, C), 'matmul' (C, H, W, N).
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from wgan_jax.networks import direct, winograd, winograd_same
from wgan_jax.networks.products import apart, written
from wgan_jax.types import Array

CHANNEL_AXIS = {'native': 3, 'matmul': 0}


def to_layout(images: Array, conv_impl: str) -> Array:
    """Maps images to the layout of an implementation.

    Args:
        images: (N, H, W, C).
        conv_impl: 'matmul' or 'native'.

    Returns:
        (C, H, W, N) for 'matmul', (N, H, W, C) for 'native'.
    """
    return images.transpose(3, 1, 2, 0) if conv_impl == 'matmul' else images


from_layout = to_layout  # exchanging the first axis with the last is its own inverse


def downsample(x: Array, kernel: Array, *, dtype: jnp.dtype, conv_impl: str) -> Array:
    """Convolves with stride 2, kernel 4x4 and one pixel of zeros around the image, halving height and width.

    y[n, i, j, :] = sum_{a, b} x[n, 2i + a - 1, 2j + b - 1, :] kernel[a, b],  a, b = 0..3.

    Args:
        x: images of even height and width, in the layout of the implementation.
        kernel: (4, 4, C, D).
        dtype: type to which the factors of each product are rounded; sums are float32.
        conv_impl: 'matmul' or 'native'.

    Returns:
        Images of D channels, in the layout of the implementation; of type dtype if native, otherwise float32.

    Raises:
        ValueError: if the kernel is not 4x4xC or a side of the image is odd.
    """
    _check(x, kernel, conv_impl)
    height, width = x.shape[1:3]
    if height % 2 or width % 2:
        raise ValueError(f'downsample needs an even height and width, not {height}x{width}: pad the images.')
    if conv_impl == 'matmul':
        return _down.bind(x.astype(jnp.float32), kernel.astype(jnp.float32), dtype=jnp.dtype(dtype))
    return jax.lax.conv_general_dilated(
        x.astype(dtype), kernel.astype(dtype), (2, 2), ((1, 1), (1, 1)), dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )


def upsample(x: Array, kernel: Array, *, dtype: jnp.dtype, conv_impl: str) -> Array:
    """Applies the transpose of ``downsample`` with the same kernel, doubling height and width.

    y[n, 2i + a - 1, 2j + b - 1, :] += kernel[a, b] x[n, i, j, :],  a, b = 0..3, where that pixel exists.

    Args:
        x: images of C channels and any sides, in the layout of the implementation.
        kernel: (4, 4, D, C).
        dtype: type to which the factors of each product are rounded; sums are float32.
        conv_impl: 'matmul' or 'native'.

    Returns:
        Images of D channels, in the layout of the implementation; of type dtype if native, otherwise float32.

    Raises:
        ValueError: if the kernel is not 4x4xDxC.
    """
    _check(x, kernel.swapaxes(2, 3), conv_impl)
    if conv_impl == 'matmul':
        return _up.bind(x.astype(jnp.float32), kernel.astype(jnp.float32), dtype=jnp.dtype(dtype))
    flipped = kernel[::-1, ::-1].astype(dtype)
    return jax.lax.conv_general_dilated(
        x.astype(dtype), flipped, (1, 1), ((2, 2), (2, 2)), (2, 2), dimension_numbers=('NHWC', 'HWOI', 'NHWC')
    )


def same(x: Array, kernel: Array, *, dtype: jnp.dtype, conv_impl: str, groups: int = 1) -> Array:
    """Convolves without stride, with zeros around the image, keeping height and width.

    y[n, i, j, :] = sum_{a, b} x[n, i + a - kh//2, j + b - kw//2, :] kernel[a, b],  a = 0..kh-1, b = 0..kw-1.

    Args:
        x: images, in the layout of the implementation.
        kernel: (kh, kw, C/groups, D), both sides odd.
        dtype, conv_impl: as for ``downsample``.
        groups: into which channels are divided: the i-th D/groups of the result are made of the i-th C/groups alone.

    Returns:
        Images of D channels, in the layout of the implementation; of type dtype if native, otherwise float32.

    Raises:
        ValueError: for a kernel of an even side or of other than C channels, or groups that do not divide them.
    """
    fits = x.ndim == kernel.ndim == 4 and groups * kernel.shape[2] == x.shape[CHANNEL_AXIS[conv_impl]]
    if not fits or kernel.shape[3] % groups:
        raise ValueError(
            f'need images of C channels and a kernel (kh, kw, C/groups, D), groups dividing both, not {x.shape}, '
            f'{kernel.shape} and {groups} groups.'
        )
    kh, kw = kernel.shape[:2]
    if not (kh % 2 and kw % 2):
        raise ValueError(f'same needs a kernel of odd sides, which has a middle, not {kh}x{kw}.')
    if conv_impl == 'matmul':
        arrays = x.astype(jnp.float32), kernel.astype(jnp.float32)
        if groups > 1:
            return _grouped.bind(*arrays, turned=False, groups=groups, dtype=jnp.dtype(dtype))
        return _same.bind(*arrays, turned=False, dtype=jnp.dtype(dtype))
    padding = (kh // 2, kh // 2), (kw // 2, kw // 2)
    return jax.lax.conv_general_dilated(
        x.astype(dtype), kernel.astype(dtype), (1, 1), padding, dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
        feature_group_count=groups,
    )  # fmt: skip


def _check(x: Array, kernel: Array, conv_impl: str) -> None:
    if x.ndim != 4 or kernel.shape[:2] != (4, 4) or kernel.shape[2] != x.shape[CHANNEL_AXIS[conv_impl]]:
        raise ValueError(f'need images of C channels and a 4x4 kernel for as many, not {x.shape} and {kernel.shape}.')


def _suits(height: int, width: int, *channels: int, least: int = 32) -> bool:
    return height % 2 == 0 and width % 2 == 0 and min(channels) >= least  # below, transforms cost more than they save


def _down_products(x: Array, kernel: Array, *, dtype: jnp.dtype) -> Array:
    suited = _suits(x.shape[1] // 2, x.shape[2] // 2, *kernel.shape[2:])
    return (winograd if suited else direct).downsample(x, kernel, dtype)


def _up_products(x: Array, kernel: Array, *, dtype: jnp.dtype) -> Array:
    # Here the sums come after the products, in float32: they weigh more beside products in bfloat16.
    suited = _suits(*x.shape[1:3], *kernel.shape[2:], least=32 if dtype == jnp.float32 else 128)
    return (winograd if suited else direct).upsample(x, kernel, dtype)


def _kernel_products(x: Array, g: Array, *, dtype: jnp.dtype) -> Array:
    if _suits(*g.shape[1:3], x.shape[0], g.shape[0]):
        return winograd.kernel_gradient(x, g, dtype)
    # Of the maps only this one gains: its g, the largest of all and used nowhere else, would end up in such a fusion.
    return apart(partial(direct.kernel_gradient, dtype=dtype), x, g)


def _same_products(x: Array, kernel: Array, *, turned: bool, dtype: jnp.dtype) -> Array:
    """``same`` with a kernel (kh, kw, C, D); turned, its transpose with a kernel (kh, kw, D, C).

    The products take the channels of their result first: the transpose's kernel lies so, the other is written anew.
    """
    suited = kernel.shape[:2] == (3, 3) and _suits(*x.shape[1:3], *kernel.shape[2:])
    kernel = kernel[::-1, ::-1] if turned else written(kernel.swapaxes(2, 3))
    return (winograd_same if suited else direct).same(x, kernel, dtype)


def _same_kernel_products(x: Array, g: Array, *, size: tuple[int, int], dtype: jnp.dtype) -> Array:
    if size == (3, 3) and _suits(*g.shape[1:3], x.shape[0], g.shape[0]):
        return winograd_same.kernel_gradient(x, g, dtype)
    return direct.same_kernel_gradient(x, g, size, dtype)


def _grouped_products(x: Array, kernel: Array, *, turned: bool, groups: int, dtype: jnp.dtype) -> Array:
    """``same`` in groups with a kernel (kh, kw, C/groups, D); turned, its transpose, from D channels to C."""
    if turned:
        kernel = _turned(kernel, groups)
    return direct.grouped(x, written(kernel.swapaxes(2, 3)), groups, dtype)


def _turned(kernel: Array, groups: int) -> Array:
    """The kernel (kh, kw, D/groups, C) of the transpose of a convolution with one of (kh, kw, C/groups, D)."""
    kh, kw, c, d = kernel.shape
    kernel = kernel[::-1, ::-1].reshape(kh, kw, c, groups, d // groups)
    return kernel.transpose(0, 1, 4, 3, 2).reshape(kh, kw, d // groups, groups * c)


def _grouped_kernel_products(x: Array, g: Array, *, size: tuple[int, int], groups: int, dtype: jnp.dtype) -> Array:
    return direct.grouped_kernel_gradient(x, g, size, groups, dtype)


def _bilinear(
    name: str,
    function: Callable[..., Array],
    shape: Callable[..., tuple[int, ...]],
    *,
    options: tuple[str, ...] = ('dtype',),
    shares_kernel: bool = True,
) -> Primitive:
    """Makes a primitive of a function of two arrays and static options, its output as shape(a.shape, b.shape) says.

    ``shares_kernel`` tells that b is a kernel, which all examples of a mapped axis may share.
    """
    primitive = Primitive(name)
    primitive.def_impl(jax.jit(function, static_argnames=options))
    primitive.def_abstract_eval(lambda a, b, *, dtype, **rest: a.update(shape=shape(a.shape, b.shape, **rest)))
    mlir.register_lowering(primitive, mlir.lower_fun(function, multiple_results=False))

    def batch(arrays, axes, **given):
        a, b = arrays
        if axes[1] is None and shares_kernel:  # the mapped axis joins the batch
            a = jnp.moveaxis(a, axes[0], 3)
            out = primitive.bind(a.reshape(*a.shape[:3], -1), b, **given)
            return out.reshape(*out.shape[:3], *a.shape[3:]), 3
        return jax.vmap(partial(function, **given), axes)(a, b), 0

    batching.primitive_batchers[primitive] = batch
    return primitive


_down = _bilinear('downsample', _down_products, lambda x, k: (k[3], x[1] // 2, x[2] // 2, x[3]))
_up = _bilinear('upsample', _up_products, lambda y, k: (k[2], 2 * y[1], 2 * y[2], y[3]))
_kernel = _bilinear('kernel_gradient', _kernel_products, lambda x, y: (4, 4, x[0], y[0]), shares_kernel=False)
_same = _bilinear(
    'same',
    _same_products,
    lambda x, k, turned: (k[2 if turned else 3], *x[1:]),
    options=('turned', 'dtype'),
)
_same_kernel = _bilinear(
    'same_kernel_gradient',
    _same_kernel_products,
    lambda x, y, size: (*size, x[0], y[0]),
    options=('size', 'dtype'),
    shares_kernel=False,
)
_grouped = _bilinear(
    'grouped',
    _grouped_products,
    lambda x, k, turned, groups: (groups * k[2] if turned else k[3], *x[1:]),
    options=('turned', 'groups', 'dtype'),
)
_grouped_kernel = _bilinear(
    'grouped_kernel_gradient',
    _grouped_kernel_products,
    lambda x, y, size, groups: (*size, x[0] // groups, y[0]),
    options=('size', 'groups', 'dtype'),
    shares_kernel=False,
)

# With <down(x, k), y> = <x, up(y, k)> = <k, kernel(x, y)> each map is linear in either argument, with a transpose that
# is again one of the three: so they differentiate to any order, in both modes, without ever differentiating the slices
# and pads inside, whose transposes XLA:CPU fuses badly.
ad.defbilinear(
    _down, lambda y, x, k, dtype: _up.bind(y, k, dtype=dtype), lambda y, x, k, dtype: _kernel.bind(x, y, dtype=dtype)
)
ad.defbilinear(
    _up, lambda x, y, k, dtype: _down.bind(x, k, dtype=dtype), lambda x, y, k, dtype: _kernel.bind(x, y, dtype=dtype)
)
ad.defbilinear(
    _kernel, lambda k, x, y, dtype: _up.bind(y, k, dtype=dtype), lambda k, x, y, dtype: _down.bind(x, k, dtype=dtype)
)


# Without stride the transpose is a convolution again, with the kernel turned by half a turn:
# <same(x, k), y> = <x, same(y, k, turned)> = <k, same_kernel(x, y)>.
def _same_transpose_image(y, x, k, *, turned, dtype):
    return _same.bind(y, k, turned=not turned, dtype=dtype)


def _same_transpose_kernel(y, x, k, *, turned, dtype):
    x, y = (y, x) if turned else (x, y)
    return _same_kernel.bind(x, y, dtype=dtype, size=k.aval.shape[:2])


ad.defbilinear(_same, _same_transpose_image, _same_transpose_kernel)
ad.defbilinear(
    _same_kernel,
    lambda k, x, y, dtype, size: _same.bind(y, k, turned=True, dtype=dtype),
    lambda k, x, y, dtype, size: _same.bind(x, k, turned=False, dtype=dtype),
)


# Groups change nothing in that.
def _grouped_transpose_image(y, x, k, *, turned, **rest):
    return _grouped.bind(y, k, turned=not turned, **rest)


def _grouped_transpose_kernel(y, x, k, *, turned, **rest):
    x, y = (y, x) if turned else (x, y)
    return _grouped_kernel.bind(x, y, size=k.aval.shape[:2], **rest)


ad.defbilinear(_grouped, _grouped_transpose_image, _grouped_transpose_kernel)
ad.defbilinear(
    _grouped_kernel,
    lambda k, x, y, size, **rest: _grouped.bind(y, k, turned=True, **rest),
    lambda k, x, y, size, **rest: _grouped.bind(x, k, turned=False, **rest),
)


def _native(function, x, kernel, *, dtype, **rest):
    x = from_layout(x, 'matmul')
    return to_layout(function(x, kernel, dtype=dtype, conv_impl='native', **rest).astype(jnp.float32), 'matmul')


def _native_same(x, kernel, *, turned, dtype):
    return _native(same, x, kernel[::-1, ::-1].swapaxes(2, 3) if turned else kernel, dtype=dtype)


def _native_grouped(x, kernel, *, turned, groups, dtype):
    return _native(same, x, _turned(kernel, groups) if turned else kernel, dtype=dtype, groups=groups)


# The same maps of the same arrays, by the library's convolution: for whoever reads what JAX has traced.
PLAIN: dict[Primitive, Callable[..., Array]] = {
    _down: partial(_native, downsample),
    _up: partial(_native, upsample),
    _same: _native_same,
    _grouped: _native_grouped,
}
