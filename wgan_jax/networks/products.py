"""Matrix products that stay fast in bfloat16 on a CPU, in both directions of differentiation."""

import string
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from wgan_jax.types import Array


def resolve_conv_impl(conv_impl: str | None) -> str:
    """Returns the way products are computed: the given one, or the one that suits the default backend.

    Args:
        conv_impl: 'matmul' (for CPUs), 'native' (for accelerators) or None, which chooses by ``jax.default_backend()``.

    Raises:
        ValueError: for any other name.
    """
    if conv_impl is None:
        return 'matmul' if jax.default_backend() == 'cpu' else 'native'
    if conv_impl not in ('matmul', 'native'):
        raise ValueError(f"conv_impl must be 'matmul', 'native' or None, not {conv_impl!r}.")
    return conv_impl


def einsum(spec: str, a: Array, b: Array, conv_impl: str | None = None) -> Array:
    """Computes ``jnp.einsum(spec, a, b)`` for two operands of the same dtype, accumulating in float32.

    In bfloat16 'matmul' is a bilinear map whose derivatives, in both modes and to any order, are the same kind
    of product; every other case is the plain ``jnp.einsum``.

    Args:
        spec: explicit subscripts, such as 'mk,kn->mn', in which every index of an operand occurs elsewhere.
        a: first operand.
        b: second operand.
        conv_impl: see ``resolve_conv_impl``.

    Returns:
        The product, in the operands' dtype.
    """
    if a.dtype == jnp.bfloat16 and b.dtype == jnp.bfloat16 and resolve_conv_impl(conv_impl) == 'matmul':
        return _einsum16.bind(a, b, spec=spec)
    return jnp.einsum(spec, a, b)


def apart(function: Callable, *arguments: Array) -> Array:
    """Returns ``function(*arguments)``, of which XLA fuses nothing with what comes before and after.

    Into a fusion whose result is a matrix made of images (..., H, W, N), XLA:CPU puts the sums before it, too, and then
    computes the place of every number by divisions: for 64 images of 32x32x64 in bfloat16 that takes 16 ms, and 6 ms
    where the images are written first. It also keeps apart what is better computed in one pass: to be used by measure.
    """
    with set_xla_metadata(inlineable='false'):
        return jax.jit(function)(*arguments)


def written(x: Array) -> Array:
    """Returns x, written out in the order of its axes before anything reads it.

    XLA:CPU hands a transposition on to all that read it. A product in bfloat16 whose first factor arrives transposed is
    then computed in float32, at half the rate; and each of the sixteen transforms of a 3x3 kernel goes through it
    against its grain: with 512 x 512 channels a convolution of sixteen 4x4 images takes ten times as long.
    """
    return apart(_itself, x)


def _itself(x: Array) -> Array:
    return x


def _product16(a: Array, b: Array, *, spec: str) -> Array:
    # The first factor is the one whose own axes come first in the result, and its contracted axes are its last: XLA:CPU
    # would get there by a transposition, and then compute in float32.
    i, j, out = spec.replace('->', ',').split(',')
    if out and out[-1] not in j:
        a, i, b, j = b, j, a, i
    rows, contracted = ([name for name in i if (name in out) == kept] for kept in (True, False))
    if contracted and rows + contracted != list(i):
        a = written(a.transpose([i.index(name) for name in rows + contracted]))
        i = ''.join(rows + contracted)
    return jnp.einsum(f'{i},{j}->{out}', a, b, preferred_element_type=jnp.float32).astype(jnp.bfloat16)


def _shape(a: Any, b: Any, *, spec: str) -> Any:
    inputs, out = spec.split('->')
    sizes = dict(zip(inputs.replace(',', ''), a.shape + b.shape, strict=True))
    return a.update(shape=tuple(sizes[index] for index in out))


def _batch(arrays: Sequence[Any], axes: Sequence[int | None], *, spec: str) -> tuple[Any, int]:
    a, b = (x if axis is None else jnp.moveaxis(x, axis, 0) for x, axis in zip(arrays, axes, strict=True))
    new = next(letter for letter in string.ascii_letters if letter not in spec)
    inputs, out = spec.split('->')
    i, j = (names if axis is None else new + names for names, axis in zip(inputs.split(','), axes, strict=True))
    return _einsum16.bind(a, b, spec=f'{i},{j}->{new}{out}'), 0


def _transpose_a(cotangent: Any, a: Any, b: Any, *, spec: str) -> Any:
    i, j, out = spec.replace('->', ',').split(',')
    return _einsum16.bind(cotangent, b, spec=f'{out},{j}->{i}')


def _transpose_b(cotangent: Any, a: Any, b: Any, *, spec: str) -> Any:
    i, j, out = spec.replace('->', ',').split(',')
    return _einsum16.bind(a, cotangent, spec=f'{i},{out}->{j}')


# XLA:CPU uses the matrix units only for bfloat16 x bfloat16 -> float32. JAX's own rule for that product would multiply
# a float32 cotangent by a bfloat16 operand, several times slower: hence a bilinear primitive, of which each transpose
# is again such a product.
_einsum16 = Primitive('einsum16')
_einsum16.def_impl(jax.jit(_product16, static_argnames='spec'))
_einsum16.def_abstract_eval(_shape)
mlir.register_lowering(_einsum16, mlir.lower_fun(_product16, multiple_results=False))
batching.primitive_batchers[_einsum16] = _batch
ad.defbilinear(_einsum16, _transpose_a, _transpose_b)


def _plain16(a: Array, b: Array, *, spec: str) -> Array:
    return jnp.einsum(spec, a, b)


PLAIN: dict[Primitive, Callable[..., Array]] = {_einsum16: _plain16}  # as in ``convolution``
