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
    num_classes: int = 0,
) -> Network:
    """Makes a ``Network`` of a Linen module.

    On a CPU, XLA computes the kernel gradient of Flax's own convolutions slowly inside the compiled loop; the layers of
    ``networks.layers`` are made for it.

    Args:
        module: called as ``module(x, train=..., axis_name=...)``, or without those of the two that its ``__call__``
            does not take; a conditional one as ``module(x, labels, ...)``. Its collection 'params' becomes
            ``Variables.params``, all others ``Variables.state``.
        input_shape: shape of one example, without the batch axis.
        uses_batch_statistics: whether it normalises over the batch; by default, whether it has a collection
            'batch_stats', as Flax's BatchNorm makes one.
        reports: whether it takes another argument, ``report``, to which its layers report.
        num_classes: of which the examples are, if it takes another argument, ``labels`` (N,); 0 where it takes none.

    Returns:
        The network. Its ``apply`` raises ValueError for an input or labels of another shape, for labels that an
        unconditional network is given, and for those that a conditional one is not.

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

    def check_labels(x: Array, labels: Array | None) -> None:
        if labels is not None and not num_classes:
            raise ValueError(f'{name} is unconditional: call it without labels.')
        if num_classes and (labels is None or labels.shape != x.shape[:1]):
            given = 'none' if labels is None else f'labels of shape {labels.shape}'
            raise ValueError(f'{name} is of {num_classes} classes: call it with labels {x.shape[:1]}, not {given}.')

    def example() -> tuple[Array, ...]:  # made where it is used: making a network touches no device
        x = jnp.zeros((1, *input_shape))
        return (x, jnp.zeros(1, jnp.int32)) if num_classes else (x,)

    @jax.jit  # the forward pass that Linen runs to find the shapes is then dead code
    def init(key: Key) -> Variables:
        state = dict(module.init(key, *example(), **options(train=False)))
        return Variables(state.pop('params', {}), state)

    def apply(
        variables: Variables,
        x: Array,
        *,
        train: bool,
        axis_name: str | None = None,
        labels: Array | None = None,
    ) -> tuple[Array, PyTree]:
        check_labels(x, labels)
        if x.shape[1:] != tuple(input_shape):
            raise ValueError(f'{name} takes ({wanted}), not {x.shape}.')
        if axis_name is not None and uses_batch_statistics and 'axis_name' not in taken:
            raise ValueError(
                f'{name} normalises over the batch and takes no axis_name: on several devices let its '
                "__call__ take one for nn.BatchNorm(axis_name=axis_name), or train with parallel='jit'"
            )
        params, state = variables
        chosen = options(train=train, axis_name=axis_name)
        given = (x, labels) if num_classes else (x,)
        if not (train and state):
            out: Any = module.apply({'params': params, **state}, *given, **chosen)
            return out, state
        both: Any = module.apply({'params': params, **state}, *given, mutable=list(state), **chosen)
        return both

    if uses_batch_statistics is None:
        uses_batch_statistics = 'batch_stats' in jax.eval_shape(lambda: init(jax.random.key(0))).state
    if not reports:
        return Network(init, apply, uses_batch_statistics, num_classes=num_classes)

    @jax.jit  # the forward pass by which layers come to report is dead code
    def bounds(variables: Variables, clip: Array | float | None = None) -> tuple[Array, ...]:
        report = LayerReport()
        collections = {'params': variables.params, **variables.state}
        module.apply(collections, *example(), train=False, report=report)
        return tuple(jnp.asarray(bound(clip), jnp.float32) for bound in report.bounds)

    def activations(
        variables: Variables, x: Array, *, shifts: Sequence[Array] | None = None, labels: Array | None = None
    ) -> tuple[Array, tuple[Array, ...]]:
        check_labels(x, labels)
        report = LayerReport(shifts)
        collections = {'params': variables.params, **variables.state}
        given = (x, labels) if num_classes else (x,)
        out, _ = module.apply(collections, *given, train=True, report=report, mutable=list(variables.state))
        return out, tuple(report.activations)

    return Network(init, apply, uses_batch_statistics, bounds, activations, num_classes)
