"""The stride-2 4x4 convolution and its transpose, as library calls or as matrix products.

XLA:CPU computes gradients of strided convolutions tens of times slower than the same gradients written as matrix
products, so on a CPU both maps are rewritten by hand; on GPU and TPU the library's convolution is the right one.
Each form has its own layout of images: 'native' (N, H, W, C), 'matmul' (C, H, W, N).
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from wgan_jax.networks import direct, winograd
from wgan_jax.types import Array

CHANNEL_AXIS = {'native': 3, 'matmul': 0}


def to_layout(images: Array, form: str) -> Array:
    """Maps (N, H, W, C) to the layout of a form, 'matmul' or 'native'."""
    return images.transpose(3, 1, 2, 0) if form == 'matmul' else images


from_layout = to_layout  # exchanging the first axis with the last is its own inverse


def downsample(x: Array, kernel: Array, *, dtype: jnp.dtype, form: str) -> Array:
    """Convolves with stride 2, kernel 4x4 and one pixel of zeros around the image, halving height and width.

    y[n, i, j, :] = sum_{a, b} x[n, 2i + a - 1, 2j + b - 1, :] kernel[a, b],  a, b = 0..3.

    Args:
        x: images of even height and width, in the layout of the form.
        kernel: (4, 4, C, D).
        dtype: type to which the factors of each product are rounded; sums are float32.
        form: 'matmul' or 'native'.

    Returns:
        Images of D channels, in the layout of the form; of type dtype if native, otherwise float32.

    Raises:
        ValueError: if the kernel is not 4x4xC or a side of the image is odd.
    """
    _check(x, kernel, form)
    height, width = x.shape[1:3]
    if height % 2 or width % 2:
        raise ValueError(f'downsample needs an even height and width, not {height}x{width}: pad the images.')
    if form == 'matmul':
        return _down.bind(x.astype(jnp.float32), kernel.astype(jnp.float32), dtype=jnp.dtype(dtype))
    return jax.lax.conv_general_dilated(
        x.astype(dtype), kernel.astype(dtype), (2, 2), ((1, 1), (1, 1)), dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )


def upsample(x: Array, kernel: Array, *, dtype: jnp.dtype, form: str) -> Array:
    """Applies the transpose of ``downsample`` with the same kernel, doubling height and width.

    y[n, 2i + a - 1, 2j + b - 1, :] += kernel[a, b] x[n, i, j, :],  a, b = 0..3, where that pixel exists.

    Args, returned value and errors are those of ``downsample``, except that the kernel is (4, 4, D, C) and that x may
    have odd sides.
    """
    _check(x, kernel.swapaxes(2, 3), form)
    if form == 'matmul':
        return _up.bind(x.astype(jnp.float32), kernel.astype(jnp.float32), dtype=jnp.dtype(dtype))
    flipped = kernel[::-1, ::-1].astype(dtype)
    return jax.lax.conv_general_dilated(
        x.astype(dtype), flipped, (1, 1), ((2, 2), (2, 2)), (2, 2), dimension_numbers=('NHWC', 'HWOI', 'NHWC')
    )


def _check(x: Array, kernel: Array, form: str) -> None:
    if x.ndim != 4 or kernel.shape[:2] != (4, 4) or kernel.shape[2] != x.shape[CHANNEL_AXIS[form]]:
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
    suited = _suits(*g.shape[1:3], x.shape[0], g.shape[0])
    return (winograd if suited else direct).kernel_gradient(x, g, dtype)


def _bilinear(name: str, function, shape) -> Primitive:
    """Makes a primitive of a function of two arrays, whose output has the shape shape(a, b)."""
    primitive = Primitive(name)
    primitive.def_impl(jax.jit(function, static_argnames='dtype'))
    primitive.def_abstract_eval(lambda a, b, *, dtype: a.update(shape=shape(a.shape, b.shape)))
    mlir.register_lowering(primitive, mlir.lower_fun(function, multiple_results=False))

    def batch(arrays, axes, *, dtype):
        a, b = arrays
        if axes[1] is None and primitive is not _kernel:  # one kernel for all: the mapped axis joins the batch
            a = jnp.moveaxis(a, axes[0], 3)
            out = primitive.bind(a.reshape(*a.shape[:3], -1), b, dtype=dtype)
            return out.reshape(*out.shape[:3], *a.shape[3:]), 3
        return jax.vmap(partial(function, dtype=dtype), axes)(a, b), 0

    batching.primitive_batchers[primitive] = batch
    return primitive


_down = _bilinear('downsample', _down_products, lambda x, k: (k[3], x[1] // 2, x[2] // 2, x[3]))
_up = _bilinear('upsample', _up_products, lambda y, k: (k[2], 2 * y[1], 2 * y[2], y[3]))
_kernel = _bilinear('kernel_gradient', _kernel_products, lambda x, y: (4, 4, x[0], y[0]))

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
