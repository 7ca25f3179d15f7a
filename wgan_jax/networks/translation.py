"""What JAX's operations are as steps of a program, see ``networks.program``.

Each function takes the builder, the values an operation reads, its parameters and the shapes of its results; it appends
steps and returns the results.
"""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from wgan_jax.networks.program import Builder, Value, contiguous, known

Translation = Callable[[Builder, list[Value], dict[str, Any], list[tuple[int, ...]]], list[Value]]


def _map(function: str) -> Translation:
    def translate(builder, inputs, params, shapes):
        del params
        return [_elementwise(builder, function, inputs, shapes[0])]

    return translate


def _elementwise(builder, function, inputs, shape):
    strides = [_broadcast(value.shape, shape) for value in inputs]
    if function == 'div' and inputs[0].kind != 'f':
        raise ValueError('the operation div of whole numbers cannot be exported to a browser')
    options = {} if all(row is None for row in strides) else {'shape': list(shape), 'strides': strides}
    return builder.add('map', inputs, shape, function=function, **options)


def _broadcast(own, shape):
    """Strides by which an array of a shape is read as one of another; None where these are its own."""
    if math.prod(own) == math.prod(shape):
        return None
    own = own or (1,) * len(shape)  # a scalar
    return [0 if size == 1 else stride for size, stride in zip(own, contiguous(own), strict=True)]


def _reshape(builder, inputs, params, shapes):
    if params.get('dimensions') is not None:
        raise ValueError('the operation reshape in another order cannot be exported to a browser')
    return _squeeze(builder, inputs, params, shapes)


def _squeeze(builder, inputs, params, shapes):
    return [inputs[0]._replace(shape=shapes[0])]


def _tile(builder, inputs, params, shapes):
    # Each axis as two: the copies, and what is copied.
    value = inputs[0]
    own = contiguous(value.shape)
    apart = [size for pair in zip(params['reps'], value.shape, strict=True) for size in pair]
    strides = [stride for one in own for stride in (0, one)]
    return [builder.view(value, apart, strides)._replace(shape=shapes[0])]


def _stack(builder, inputs, params, shapes):
    axis = params['axis']
    wide = [value._replace(shape=(*value.shape[:axis], 1, *value.shape[axis:])) for value in inputs]
    return _concatenate(builder, wide, {'dimension': axis}, shapes)


def _same(builder, inputs, params, shapes):
    return list(inputs)


def _transpose(builder, inputs, params, shapes):
    strides = contiguous(inputs[0].shape)
    return [builder.view(inputs[0], shapes[0], [strides[axis] for axis in params['permutation']])]


def _broadcast_in_dim(builder, inputs, params, shapes):
    value, strides = inputs[0], [0] * len(shapes[0])
    own = contiguous(value.shape)
    for axis, target in enumerate(params['broadcast_dimensions']):
        strides[target] = own[axis] if value.shape[axis] > 1 else 0
    return [builder.view(value, shapes[0], strides)]


def _slice(builder, inputs, params, shapes):
    return [_cut(builder, inputs[0], params['start_indices'], params['strides'] or [1] * len(shapes[0]), shapes[0])]


def _cut(builder, value, starts, steps, shape):
    own = contiguous(value.shape)
    offset = sum(start * stride for start, stride in zip(starts, own, strict=True))
    return builder.view(value, shape, [step * stride for step, stride in zip(steps, own, strict=True)], offset)


def _dynamic_slice(builder, inputs, params, shapes):
    value, *starts = inputs
    if any(start.known is None for start in starts):
        raise ValueError('the operation dynamic_slice at a computed place cannot be exported to a browser')
    limits = [size - cut for size, cut in zip(value.shape, shapes[0], strict=True)]
    places = [min(max(start.known.item(), 0), limit) for start, limit in zip(starts, limits, strict=True)]
    return [_cut(builder, value, places, [1] * len(limits), shapes[0])]


def _split(builder, inputs, params, shapes):
    axis, starts = params['axis'], np.cumsum([0, *params['sizes'][:-1]])
    ones = [1] * len(shapes[0])
    return [
        _cut(builder, inputs[0], [int(start) if i == axis else 0 for i in range(len(ones))], ones, shape)
        for start, shape in zip(starts, shapes, strict=True)
    ]


def _unstack(builder, inputs, params, shapes):
    axis = params['axis']
    sizes = [1] * len(shapes)
    wide = [(*shape[:axis], 1, *shape[axis:]) for shape in shapes]
    parts = _split(builder, inputs, {'axis': axis, 'sizes': sizes}, wide)
    return [part._replace(shape=shape) for part, shape in zip(parts, shapes, strict=True)]


def _rev(builder, inputs, params, shapes):
    strides, offset = contiguous(shapes[0]), 0
    for axis in params['dimensions']:
        offset += (shapes[0][axis] - 1) * strides[axis]
        strides[axis] = -strides[axis]
    return [builder.view(inputs[0], shapes[0], strides, offset)]


def _pad(builder, inputs, params, shapes):
    value, filling = inputs
    if filling.known is None:
        raise ValueError('the operation pad with a computed value cannot be exported to a browser')
    config = [tuple(map(int, one)) for one in params['padding_config']]
    kept = [  # negative padding takes pixels away
        range(max(0, -(low // (inner + 1))), min(n, (size - 1 - low) // (inner + 1) + 1))
        for n, size, (low, _, inner) in zip(value.shape, shapes[0], config, strict=True)
    ]
    part = _cut(builder, value, [rows.start for rows in kept], [1] * len(kept), [len(rows) for rows in kept])
    starts = [low + rows.start * (inner + 1) for rows, (low, _, inner) in zip(kept, config, strict=True)]
    return [_placed(builder, [part], [starts], [inner + 1 for _, _, inner in config], shapes[0], filling)]


def _concatenate(builder, inputs, params, shapes):
    axis, ones = params['dimension'], [1] * len(shapes[0])
    ends = np.cumsum([0, *(value.shape[axis] for value in inputs)])
    starts = [[int(end) if i == axis else 0 for i in range(len(ones))] for end in ends[:-1]]
    return [_placed(builder, inputs, starts, ones, shapes[0], known(np.float32(0)))]


def _placed(builder, values, starts, spacing, shape, filling):
    own = contiguous(shape)
    strides = [step * stride for step, stride in zip(spacing, own, strict=True)]
    parts = [
        {'shape': list(value.shape), 'strides': strides,
         'offset': sum(place * stride for place, stride in zip(start, own, strict=True))}
        for value, start in zip(values, starts, strict=True)
    ]  # fmt: skip
    return builder.add('place', values, shape, parts=parts, fill=float(filling.known.item()))


def _reduce(function: str) -> Translation:
    def translate(builder, inputs, params, shapes):
        value, axes = inputs[0], params['axes']
        order = [i for i in range(len(value.shape)) if i not in axes] + list(axes)
        own = contiguous(value.shape)
        value = builder.view(value, [value.shape[i] for i in order], [own[i] for i in order])
        count = math.prod(inputs[0].shape[i] for i in axes)
        return [builder.add('reduce', [value], shapes[0], function=function, count=count)]

    return translate


def _select(builder, inputs, params, shapes):
    if len(inputs) != 3:
        raise ValueError('the operation select_n of more than two cannot be exported to a browser')
    return [_elementwise(builder, 'select', inputs, shapes[0])]


def _clamp(builder, inputs, params, shapes):
    low, value, high = inputs
    raised = _elementwise(builder, 'max', [value, low], shapes[0])
    return [_elementwise(builder, 'min', [raised, high], shapes[0])]


def _integer_pow(builder, inputs, params, shapes):
    return [_elementwise(builder, 'pow', [inputs[0], known(np.float32(params['y']))], shapes[0])]


def _convert(builder, inputs, params, shapes):
    to = np.dtype(params['new_dtype'])
    if to.kind == 'b':
        return [_elementwise(builder, 'ne', [inputs[0], known(np.float32(0))], shapes[0])]
    if inputs[0].kind == 'f' and np.issubdtype(to, np.integer):
        return [_elementwise(builder, 'trunc', inputs, shapes[0])]
    return list(inputs)


def _gather(builder, inputs, params, shapes):
    table, index = inputs
    if index.known is not None:
        return [_picked(builder, table, index, params, shapes[0])]
    numbers = params['dimension_numbers']
    rows = (1, *table.shape[1:])
    ends = tuple(range(len(index.shape) - 1, len(shapes[0])))
    plain = numbers.collapsed_slice_dims, numbers.start_index_map, numbers.offset_dims, tuple(params['slice_sizes'])
    if plain != ((0,), (0,), ends, rows) or numbers.operand_batching_dims:
        raise ValueError('the operation gather, but for rows of a table, cannot be exported to a browser')
    return [builder.add('take', [table, index], shapes[0], row=math.prod(rows))]


def _picked(builder, value, index, params, shape):
    """A gather at known places, which are found by doing it with the places themselves."""
    where = np.arange(math.prod(value.shape), dtype=np.int32).reshape(value.shape)
    chosen = np.asarray(lax.gather_p.bind(jnp.asarray(where), jnp.asarray(index.known.reshape(index.shape)), **params))
    if (chosen < 0).any() or (chosen >= where.size).any():
        raise ValueError('the operation gather beyond the end of an array cannot be exported to a browser')
    return builder.add('take', [value, known(chosen)], shape, row=1)


def _dot_general(builder, inputs, params, shapes):
    (contracted, batch) = params['dimension_numbers']
    operands, frees = [], []
    for value, summed, paired in zip(inputs, contracted, batch, strict=True):
        free = [i for i in range(len(value.shape)) if i not in (*summed, *paired)]
        order, own = [*paired, *free, *summed], contiguous(value.shape)
        operands.append(builder.view(value, [value.shape[i] for i in order], [own[i] for i in order]))
        frees.append(math.prod(value.shape[i] for i in free))
    shared = math.prod(inputs[0].shape[i] for i in batch[0])
    inner = math.prod(inputs[0].shape[i] for i in contracted[0])
    return [builder.add('matmul', operands, shapes[0], sizes=[shared, *frees, inner])]


def _convolution(builder, inputs, params, shapes):
    x, kernel = inputs
    numbers = params['dimension_numbers']
    if len(x.shape) != 4 or params['batch_group_count'] != 1:
        raise ValueError('the operation conv_general_dilated, but of images, cannot be exported to a browser')
    # Features, rows, columns, channels: the order in which the sums run.
    out, channels, height, width = numbers.rhs_spec
    own = contiguous(kernel.shape)
    order = (out, height, width, channels)
    kernel = builder.view(kernel, [kernel.shape[i] for i in order], [own[i] for i in order])
    strides_of_x, strides_of_out = contiguous(x.shape), contiguous(shapes[0])
    return [
        builder.add(
            'conv', [x, kernel], shapes[0],
            size=[x.shape[i] for i in numbers.lhs_spec], out=[shapes[0][i] for i in numbers.out_spec],
            kernel=list(kernel.shape), groups=params['feature_group_count'],
            strides=[strides_of_x[i] for i in numbers.lhs_spec],
            out_strides=[strides_of_out[i] for i in numbers.out_spec],
            stride=list(params['window_strides']), low=[int(low) for low, _ in params['padding']],
            dilation=list(params['lhs_dilation']), spacing=list(params['rhs_dilation']),
        )
    ]  # fmt: skip


_ELEMENTWISE = (
    'abs', 'add', 'and', 'cos', 'div', 'eq', 'exp', 'expm1', 'floor', 'ceil', 'ge', 'gt', 'le', 'log', 'log1p',
    'logistic', 'lt', 'max', 'min', 'mul', 'ne', 'neg', 'or', 'pow', 'rsqrt', 'sign', 'sin', 'sqrt', 'square', 'sub',
    'tanh',
)  # fmt: skip

TRANSLATIONS: dict[str, Translation] = {
    **{name: _map(name) for name in _ELEMENTWISE},
    'reshape': _reshape, 'squeeze': _squeeze, 'expand_dims': _squeeze, 'tile': _tile, 'stack': _stack, 'copy': _same,
    'copy_p': _same, 'stop_gradient': _same, 'unstack': _unstack,
    'optimization_barrier': _same, 'transpose': _transpose,
    'broadcast_in_dim': _broadcast_in_dim, 'slice': _slice, 'dynamic_slice': _dynamic_slice, 'split': _split,
    'rev': _rev, 'pad': _pad, 'concatenate': _concatenate, 'reduce_sum': _reduce('sum'), 'reduce_max': _reduce('max'),
    'reduce_min': _reduce('min'), 'select_n': _select, 'clamp': _clamp, 'integer_pow': _integer_pow,
    'convert_element_type': _convert, 'gather': _gather, 'dot_general': _dot_general,
    'conv_general_dilated': _convolution,
}  # fmt: skip
