"""What a traced function computes and sends, counted equation by equation.

Nothing is compiled, so that the counts belong to the function and to no backend: a product has the operations that its
definition asks for, whatever algorithm a compiler takes.
"""

import math
from typing import Any, NamedTuple

from jax.extend.core import Jaxpr, Literal, jaxprs_in_params

_COLLECTIVES = {'psum': 'all-reduce', 'all_gather': 'all-gather', 'reduce_scatter': 'reduce-scatter'}


class Collective(NamedTuple):
    """One meeting of all devices.

    Attributes:
        kind: 'all-reduce', 'all-gather' or 'reduce-scatter'.
        bytes: of one device's part: what it adds to the sum, what it gives to be gathered, what it keeps of what is
            scattered.
        flops_before: operations of the products before it, in the order in which the function was written.
    """

    kind: str
    bytes: int
    flops_before: float


class Operations(NamedTuple):
    """Counts of a jaxpr.

    Attributes:
        flops: of its matrix products and convolutions: 2 for each multiplication that the definition asks for, by the
            zeros around an image too, but not by those between the pixels of a transposed convolution.
        bytes: of the products' factors and results, each moved once for each product.
        collectives: in their order.
    """

    flops: float
    bytes: int
    collectives: tuple[Collective, ...]


def operations(jaxpr: Jaxpr) -> Operations:
    """Counts the products and collectives of a jaxpr and of all within it.

    The body of a scan counts once for each of its steps, but its collectives once; that of a loop of unknown length
    counts once, and so does each branch of a condition. All-reduces of which none needs the result of another count as
    one, which is what XLA makes of them.

    Args:
        jaxpr: of a function, traced with an axis of size 1 (``make_jaxpr(f, axis_env=[(name, 1)])``) where it has
            collectives, so that their bytes are those of one device.

    Returns:
        Operations.
    """
    found: list[tuple[int, Collective]] = []
    flops, size, _ = _count(jaxpr, 0, 0.0, found)
    last: dict[int, int] = {}
    for place, (stage, each) in enumerate(found):
        if each.kind == 'all-reduce':
            last[stage] = place
    collectives = []
    for place, (stage, each) in enumerate(found):
        if each.kind != 'all-reduce':
            collectives.append(each)
        elif last[stage] == place:
            together = sum(one.bytes for s, one in found if s == stage and one.kind == 'all-reduce')
            collectives.append(each._replace(bytes=together))
    return Operations(flops, size, tuple(collectives))


def _count(jaxpr: Jaxpr, entering: int, before: float, found: list[tuple[int, Collective]]) -> tuple[float, int, int]:
    """Flops and bytes of a jaxpr, and how many all-reduces stand one behind the other up to its end.

    Each collective goes into ``found``, with the number of all-reduces that it waits for.
    """
    flops, size, leaving = 0.0, 0, entering
    waited: dict[Any, int] = {}
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        stage = max([entering, *(waited.get(v, entering) for v in equation.invars if not isinstance(v, Literal))])
        if name in _COLLECTIVES:
            moved = sum(_bytes(variable) for variable in equation.invars)
            found.append((stage, Collective(_COLLECTIVES[name], moved, before + flops)))
            stage += name == 'psum'
        elif name in ('dot_general', 'conv_general_dilated'):
            flops += _product(equation)
            size += sum(_bytes(variable) for variable in (*equation.invars, *equation.outvars))
        times = params.get('length', 1) if name == 'scan' else 1
        for inner in jaxprs_in_params(params):
            of_inner, size_of_inner, stage_of_inner = _count(inner, stage, before + flops, found)
            flops, size, stage = flops + times * of_inner, size + times * size_of_inner, max(stage, stage_of_inner)
        waited |= dict.fromkeys(equation.outvars, stage)
        leaving = max(leaving, stage)
    return flops, size, leaving


def _product(equation: Any) -> float:
    out = math.prod(equation.outvars[0].aval.shape)
    if equation.primitive.name == 'dot_general':
        (contracted, _), _ = equation.params['dimension_numbers']
        return 2 * out * math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
    kernel, numbers = equation.invars[1].aval.shape, equation.params['dimension_numbers']
    taps = math.prod(kernel[axis] for axis in numbers.rhs_spec[1:])
    return 2 * out * taps / math.prod(equation.params['lhs_dilation'])


def _bytes(variable: Any) -> int:
    return math.prod(variable.aval.shape) * variable.aval.dtype.itemsize
