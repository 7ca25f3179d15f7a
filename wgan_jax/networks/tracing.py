"""Programs, see ``networks.program``, of functions that JAX can trace.

The function is traced by JAX, and what JAX recorded is translated: a network of any layers comes out as it computes,
nothing is found by the names of parameters. What depends on no input is computed here, once; only what would grow by
that (a small array repeated, a kernel spread over more pixels) is left to ``setup``, so that a program is no larger
than its weights.

>>> program = trace(lambda x: jnp.tanh(jnp.array([[1.0, 2.0], [3.0, 4.0]]) @ x), jnp.zeros(2))
>>> [step.kind for step in program.steps], program.shape
(['matmul', 'map'], (2,))
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

from wgan_jax.networks import convolution, products
from wgan_jax.networks.program import SMALL, Builder, Program, Value, known
from wgan_jax.networks.translation import TRANSLATIONS


def trace(function: Callable[..., Any], *arguments: Any) -> Program:
    """Makes a program of a function.

    Args:
        function: of arrays of these shapes and types, traceable by JAX; returns one array. All floats count as float32,
            whatever types it casts to.
        arguments: examples; only their shapes and types matter.

    Returns:
        The program.

    Raises:
        ValueError: for an operation that no step stands for, which it names.
    """
    traced = jax.make_jaxpr(function)(*arguments)
    if len(traced.out_avals) != 1:
        raise ValueError(f'a program has one result, and this function {len(traced.out_avals)}')
    builder = Builder()
    inputs = [Value(builder.new(), aval.shape, None, _kind(aval)) for aval in traced.in_avals]
    (result,) = _inline(builder, traced.jaxpr, [known(array) for array in traced.consts], inputs)
    return builder.program([builder.number(value) for value in inputs], result)


def _kind(aval: Any) -> str:
    if jnp.issubdtype(aval.dtype, jnp.floating):
        return 'f'
    if aval.dtype != bool and not jnp.issubdtype(aval.dtype, jnp.integer):
        raise ValueError(f'no step of a program computes with {aval.dtype}')
    return 'b' if aval.dtype == bool else 'i'


def _inline(builder, jaxpr, constants, arguments):
    """The results of a traced function, whose steps are appended."""
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *arguments], strict=True))
    for equation in jaxpr.eqns:
        inputs = [known(v.val) if isinstance(v, Literal) else values[v] for v in equation.invars]
        values.update(zip(equation.outvars, _translate(builder, equation, inputs), strict=True))
    return [known(v.val) if isinstance(v, Literal) else values[v] for v in jaxpr.outvars]


_PLAIN = {**convolution.PLAIN, **products.PLAIN}
_CALLS = (
    'jit', 'pjit', 'closed_call', 'core_call', 'custom_jvp_call', 'custom_vjp_call', 'custom_vjp_call_jaxpr',
    'checkpoint', 'remat', 'remat2',
)  # fmt: skip


def _translate(builder, equation, inputs):
    primitive, params = equation.primitive, equation.params
    if primitive in _PLAIN:  # a map of ours that hides how it is computed
        shapes = [jax.ShapeDtypeStruct(value.shape, jnp.float32) for value in inputs]
        traced = jax.make_jaxpr(lambda *arrays: _PLAIN[primitive](*arrays, **params))(*shapes)
        return _inline(builder, traced.jaxpr, [known(array) for array in traced.consts], inputs)
    if primitive.name in _CALLS:
        called = next(params[name] for name in ('jaxpr', 'call_jaxpr', 'fun_jaxpr') if name in params)
        inner = getattr(called, 'jaxpr', called)  # of a closed one
        return _inline(builder, inner, [known(array) for array in getattr(called, 'consts', ())], inputs)
    if primitive.name == 'convert_element_type' and {inputs[0].kind, _kind(equation.outvars[0].aval)} == {'f'}:
        return inputs  # all floats are float32
    sizes = [math.prod(variable.aval.shape) for variable in equation.outvars]
    room = max(SMALL, sum(math.prod(value.shape) for value in inputs))
    if all(value.known is not None for value in inputs) and (not inputs or sum(sizes) <= room):
        out = primitive.bind(*(jnp.asarray(value.known.reshape(value.shape)) for value in inputs), **params)
        return [known(array) for array in (out if primitive.multiple_results else [out])]
    if primitive.name not in TRANSLATIONS:
        raise ValueError(
            f'the operation {primitive.name} cannot be exported to a browser; these can: '
            f'{", ".join(sorted(TRANSLATIONS))}'
        )
    kinds = [_kind(variable.aval) for variable in equation.outvars]
    out = TRANSLATIONS[primitive.name](builder, inputs, params, [v.aval.shape for v in equation.outvars])
    return [value._replace(kind=kind) for value, kind in zip(out, kinds, strict=True)]
