"""Matrix products that stay fast in bfloat16 on a CPU, in both directions of differentiation."""

from functools import partial

import jax
import jax.numpy as jnp

from wgan_jax.types import Array


def resolve_form(form: str | None) -> str:
    """Returns the way products are computed: the given one, or the one that suits the default backend.

    Args:
        form: 'matmul' (for CPUs), 'native' (for accelerators) or None, which chooses by ``jax.default_backend()``.

    Raises:
        ValueError: for any other name.
    """
    if form is None:
        return 'matmul' if jax.default_backend() == 'cpu' else 'native'
    if form not in ('matmul', 'native'):
        raise ValueError(f"form must be 'matmul', 'native' or None, not {form!r}.")
    return form


def einsum(spec: str, a: Array, b: Array, form: str | None = None) -> Array:
    """Computes ``jnp.einsum(spec, a, b)`` for two operands of the same dtype, accumulating in float32.

    In bfloat16 the 'matmul' form carries its own reverse rule, so it differentiates in reverse to any order but not
    in forward mode; every other case is the plain ``jnp.einsum``.

    Args:
        spec: explicit subscripts, such as 'mk,kn->mn', in which every index of an operand occurs elsewhere.
        a: first operand.
        b: second operand.
        form: see ``resolve_form``.

    Returns:
        The product, in the operands' dtype.
    """
    if a.dtype == jnp.bfloat16 and b.dtype == jnp.bfloat16 and resolve_form(form) == 'matmul':
        return _einsum16(spec, a, b)
    return jnp.einsum(spec, a, b)


# XLA:CPU uses the matrix units only for bfloat16 x bfloat16 -> float32. JAX's own rule for that product would multiply
# a float32 cotangent by a bfloat16 operand, several times slower: hence the rule below, made of the same product.
@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _einsum16(spec: str, a: Array, b: Array) -> Array:
    return jnp.einsum(spec, a, b, preferred_element_type=jnp.float32).astype(jnp.bfloat16)


def _forward(spec: str, a: Array, b: Array) -> tuple[Array, tuple[Array, Array]]:
    return _einsum16(spec, a, b), (a, b)


def _backward(spec: str, operands: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    a, b = operands
    inputs, out = spec.split('->')
    i, j = inputs.split(',')
    return _einsum16(f'{out},{j}->{i}', cotangent, b), _einsum16(f'{i},{out}->{j}', a, cotangent)


_einsum16.defvjp(_forward, _backward)
