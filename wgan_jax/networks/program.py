"""A function of arrays of fixed shapes as a flat list of a few kinds of steps, to be run without JAX.

Every value is a row-major array of float32 and has a number. A step makes one value of others:

    view    out[i] = a[offset + sum_k strides[k] i_k] for every place i of ``shape``: transposed, repeated, cut, turned
    place   out = fill, then out[offset + sum_k strides[k] i_k] = a[i] for each (a, shape, strides, offset) of ``parts``
    map     out[i] = f(a[i], ...), f the ``function``; an input with ``strides`` is read as in a view
    reduce  out[i] = f(a[i, 0], ..., a[i, count - 1]), f one of sum, max, min
    take    out[i] = table[index[i]], rows of ``row`` numbers
    matmul  out[b, m, n] = sum_k x[b, m, k] y[b, n, k],  ``sizes`` (B, M, N, K)
    conv    out[n, d, i, j] = sum_{c, a, b} x[n, c, p(i, a), q(j, b)] kernel[d, a, b, c],
            p(i, a) = (i stride + a spacing - low) / dilation where that is whole and inside of x, else x counts as 0;
            q likewise; x and out are read and written with ``strides`` of n, c (d), height and width
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

SMALL = 1024  # numbers; constants up to this size are computed here even if they grow


class Step(NamedTuple):
    """One step of a program.

    Attributes:
        kind: one of those above.
        inputs: numbers of the values it reads.
        output: number of the value it makes.
        size: numbers in that value.
        options: what the kind needs besides, of plain numbers, strings, lists and None.
    """

    kind: str
    inputs: tuple[int, ...]
    output: int
    size: int
    options: dict[str, Any]


class Program(NamedTuple):
    """A traced function.

    Attributes:
        inputs: numbers of the values that the arguments are.
        constants: the fixed arrays by number, float32, flat.
        setup: steps that depend on no input, to be run once.
        steps: all others, to be run for every input.
        output: number of the value that the function returns.
        shape: of that value.
    """

    inputs: tuple[int, ...]
    constants: dict[int, np.ndarray]
    setup: list[Step]
    steps: list[Step]
    output: int
    shape: tuple[int, ...]


class Value(NamedTuple):
    """An array while a program is made: its number, its shape, its entries where they are known.

    Attributes:
        number: None for a known one that no step has asked for yet.
        shape: as the traced function sees it; values of equally many entries share a number.
        known: the entries, in their order, of any shape.
        kind: 'f', 'i' or 'b', of what the traced function takes the entries to be.
    """

    number: int | None
    shape: tuple[int, ...]
    known: np.ndarray | None
    kind: str


class Builder:
    """Collects the steps of a program."""

    def __init__(self) -> None:
        self.constants: dict[int, np.ndarray] = {}
        self.setup: list[Step] = []
        self.steps: list[Step] = []
        self._count = 0
        self._fixed: set[int] = set()
        self._numbers: dict[int, tuple[int, np.ndarray]] = {}

    def new(self) -> int:
        """A number that no value has."""
        self._count += 1
        return self._count - 1

    def number(self, value: Value) -> int:
        """The number of a value, which becomes a constant of the program if it is known."""
        if value.number is not None:
            return value.number
        assert value.known is not None
        key = id(value.known)
        if key not in self._numbers:
            number = self.new()
            self.constants[number] = np.ascontiguousarray(value.known, np.float32).reshape(-1)
            self._fixed.add(number)
            self._numbers[key] = number, value.known  # held, so that no other array gets its id
        return self._numbers[key][0]

    def add(self, kind: str, inputs: Sequence[Value], shape: Sequence[int], of: str = 'f', /, **options: Any) -> Value:
        """Appends a step, and returns the value it makes."""
        numbers = tuple(self.number(value) for value in inputs)
        output, fixed = self.new(), self._fixed.issuperset(numbers)
        (self.setup if fixed else self.steps).append(Step(kind, numbers, output, math.prod(shape), options))
        if fixed:
            self._fixed.add(output)
        return Value(output, tuple(shape), None, of)

    def view(self, value: Value, shape: Sequence[int], strides: Sequence[int], offset: int = 0) -> Value:
        """A view; the value itself where all its entries stay in their order."""
        shape = tuple(shape)
        own = contiguous(shape)
        plain = all(size == 1 or stride == other for size, stride, other in zip(shape, strides, own, strict=True))
        if plain and offset == 0 and math.prod(shape) == math.prod(value.shape):
            return value._replace(shape=shape)
        if value.known is not None and math.prod(shape) <= max(SMALL, value.known.size):
            return known(np.ravel(value.known)[places(shape, strides, offset)])
        return self.add('view', [value], shape, value.kind, shape=list(shape), strides=list(strides), offset=offset)

    def program(self, inputs: Sequence[int], result: Value) -> Program:
        """The program so far, without what its result does not need."""
        output = self.number(result)
        needed, kept = {output}, []
        for step in reversed([*self.setup, *self.steps]):
            if step.output in needed:
                needed.update(step.inputs)
                kept.append(step.output)
        constants = {number: array for number, array in self.constants.items() if number in needed}
        setup, steps = ([step for step in part if step.output in kept] for part in (self.setup, self.steps))
        return Program(tuple(inputs), constants, setup, steps, output, result.shape)


def contiguous(shape: Sequence[int]) -> list[int]:
    """The strides of a row-major array of a shape."""
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


def places(shape: Sequence[int], strides: Sequence[int], offset: int = 0) -> np.ndarray:
    """The index, of a flat array, of every entry of a view."""
    grid = np.indices(shape, sparse=True)
    return np.asarray(
        sum((stride * index for stride, index in zip(strides, grid, strict=True)), np.full(shape, offset))
    )


def known(array: Any) -> Value:
    """A value whose entries are known."""
    array = np.asarray(array)
    kind = 'b' if array.dtype == bool else 'i' if np.issubdtype(array.dtype, np.integer) else 'f'
    return Value(None, array.shape, array.astype(np.float32) if kind == 'f' else array, kind)
