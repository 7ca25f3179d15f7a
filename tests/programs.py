"""What a compiled program for a CPU computes: the element types of the factors of its matrix products."""

import re

import jax
import jax.numpy as jnp

_INSTRUCTION = re.compile(r'(?:ROOT )?%?([\w.\-]+) = (\w+)\[')
_DOT = re.compile(r' dot\(([^)]*)\)')


def factors(text: str) -> list[tuple[str, ...]]:
    """The types of both factors of every product in ``jax.stages.Compiled.as_text()``, also inside fusions."""
    types, found = {}, []
    for line in text.splitlines():
        instruction = _INSTRUCTION.match(line.strip())
        if instruction is not None:
            types[instruction[1]] = instruction[2]
            dot = _DOT.search(line)
            if dot is not None:
                found.append(tuple(types[operand.split('%')[-1]] for operand in dot[1].split(', ')))
    return found


def keeps_bfloat16() -> bool:
    """Whether XLA computes products of bfloat16 factors here; without instructions for them a CPU widens them first."""
    a = jnp.ones((256, 256), jnp.bfloat16)
    product = jax.jit(lambda a: jnp.dot(a, a, preferred_element_type=jnp.float32))
    return ('bf16', 'bf16') in factors(product.lower(a).compile().as_text())
