"""What a compiled program for a CPU computes: its matrix products and the types of their factors."""

import re
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Product(NamedTuple):
    """A matrix product.

    Attributes:
        factors: element types of its two factors, as XLA names them.
        shape: of the result.
        contracted: how many products each entry sums.
    """

    factors: tuple[str, str]
    shape: tuple[int, ...]
    contracted: int


_INSTRUCTION = re.compile(r'(?:ROOT )?%?([\w.\-]+) = (\w+)\[([\d,]*)\]')
_DOT = re.compile(r' dot\(([^)]*)\).*lhs_contracting_dims=\{([\d,]*)\}')


def products(text: str) -> list[Product]:
    """The matrix products of ``jax.stages.Compiled.as_text()``, also those inside fusions."""
    types = {}
    found = []
    for line in text.splitlines():
        instruction = _INSTRUCTION.match(line.strip())
        if instruction is None:
            continue
        name, dtype, shape = instruction.groups()
        types[name] = dtype, _numbers(shape)
        dot = _DOT.search(line)
        if dot is not None:
            (left, left_shape), (right, _) = (types[factor.split('%')[-1]] for factor in dot[1].split(', '))
            contracted = 1
            for axis in _numbers(dot[2]):
                contracted *= left_shape[axis]
            found.append(Product((left, right), _numbers(shape), contracted))
    return found


def computes_in_bfloat16() -> bool:
    """Whether this machine has matrix products of bfloat16 factors; elsewhere XLA:CPU widens them first."""
    a = jnp.ones((256, 256), jnp.bfloat16)
    text = jax.jit(lambda a: jnp.dot(a, a, preferred_element_type=jnp.float32)).lower(a).compile().as_text()
    return products(text)[0].factors == ('bf16', 'bf16')


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(',') if number)
