"""Adapter from Linen modules to ``Network``, the pair of pure functions that the other packages see."""

import inspect
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from wgan_jax.networks.report import LayerReport
from wgan_jax.types import Array, Key, Network, PyTree, Variables


def from_linen(
    module: nn.Module,
    input_shape: tuple[int, ...],
    *,
    uses_batch_statistics: bool | None = None,
    reports: bool = False,
) -> Network:
    """Makes a ``Network`` of a Linen module.

    On a CPU, XLA computes the kernel gradient of Flax's own convolutions slowly inside the compiled loop; the layers of
    ``networks.layers`` are made for it.

    Args:
        module: called as ``module(x, train=..., axis_name=...)``, or without those of the two that its ``__call__``
            does not take. Its collection 'params' becomes ``Variables.params``, all others ``Variables.state``.
        input_shape: shape of one example, without the batch axis.
        uses_batch_statistics: whether it normalises over the batch; by default, whether it has a collection
            'batch_stats', as Flax's BatchNorm makes one.
        reports: whether it takes another argument, ``report``, to which its layers report.

    Returns:
        The network. Its ``apply`` raises ValueError for an input of another shape, or if labels are given.

    Raises:
        ValueError: for what is no Linen module, or no shape. Modules that draw random numbers (dropout) do not work.
    """
    if not isinstance(module, nn.Module):
        raise ValueError(f'from_linen takes a module of flax.linen, such as MyNetwork(), not {module!r}')
    if not isinstance(input_shape, Sequence) or not all(isinstance(side, int) and side > 0 for side in input_shape):
        raise ValueError(f'input_shape={input_shape} must be the sizes of one example, such as (32, 32, 3)')
    name, wanted = type(module).__name__, ', '.join(map(str, ('N', *input_shape)))
    taken = set(inspect.signature(type(module).__call__).parameters)

    def options(**given: Any) -> dict[str, Any]:
        return {option: value for option, value in given.items() if option in taken}

    @jax.jit  # the forward pass that Linen runs to find the shapes is then dead code
    def init(key: Key) -> Variables:
        state = dict(module.init(key, jnp.zeros((1, *input_shape)), **options(train=False)))
        return Variables(state.pop('params', {}), state)

    def apply(
        variables: Variables,
        x: Array,
        *,
        train: bool,
        axis_name: str | None = None,
        labels: Array | None = None,
    ) -> tuple[Array, PyTree]:
        if labels is not None:
            raise ValueError(f'{name} is unconditional: call it without labels.')
        if x.shape[1:] != tuple(input_shape):
            raise ValueError(f'{name} takes ({wanted}), not {x.shape}.')
        if axis_name is not None and uses_batch_statistics and 'axis_name' not in taken:
            raise ValueError(
                f'{name} normalises over the batch and takes no axis_name: on several devices let its '
                "__call__ take one for nn.BatchNorm(axis_name=axis_name), or train with parallel='jit'"
            )
        params, state = variables
        chosen = options(train=train, axis_name=axis_name)
        if not (train and state):
            out: Any = module.apply({'params': params, **state}, x, **chosen)
            return out, state
        both: Any = module.apply({'params': params, **state}, x, mutable=list(state), **chosen)
        return both

    if uses_batch_statistics is None:
        uses_batch_statistics = 'batch_stats' in jax.eval_shape(lambda: init(jax.random.key(0))).state
    if not reports:
        return Network(init, apply, uses_batch_statistics)

    @jax.jit  # the forward pass by which layers come to report is dead code
    def bounds(variables: Variables, clip: Array | float | None = None) -> tuple[Array, ...]:
        report = LayerReport()
        collections = {'params': variables.params, **variables.state}
        module.apply(collections, jnp.zeros((1, *input_shape)), train=False, report=report)
        return tuple(jnp.asarray(bound(clip), jnp.float32) for bound in report.bounds)

    def activations(
        variables: Variables, x: Array, *, shifts: Sequence[Array] | None = None
    ) -> tuple[Array, tuple[Array, ...]]:
        report = LayerReport(shifts)
        collections = {'params': variables.params, **variables.state}
        out, _ = module.apply(collections, x, train=True, report=report, mutable=list(variables.state))
        return out, tuple(report.activations)

    return Network(init, apply, uses_batch_statistics, bounds, activations)
