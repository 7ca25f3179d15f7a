"""Adapter from Linen modules to ``Network``, the pair of pure functions that the other packages see."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from wgan_jax.networks.report import LayerReport
from wgan_jax.types import Array, Key, Network, PyTree, Variables


def from_linen(
    module: nn.Module, input_shape: tuple[int, ...], *, uses_batch_statistics: bool = False, reports: bool = False
) -> Network:
    """Makes a ``Network`` of a module called as ``module(x, train=..., axis_name=...)``.

    Args:
        module: its collection 'params' becomes ``Variables.params``, all others ``Variables.state``.
        input_shape: shape of one example, without the batch axis.
        uses_batch_statistics: whether it normalises over the batch.
        reports: whether it takes another argument, ``report``, to which its layers report.

    Returns:
        The network. Its ``apply`` raises ValueError for an input of another shape, or if labels are given.
    """

    @jax.jit  # the forward pass that Linen runs to find the shapes is then dead code
    def init(key: Key) -> Variables:
        state = dict(module.init(key, jnp.zeros((1, *input_shape)), train=False))
        return Variables(state.pop('params'), state)

    def apply(
        variables: Variables,
        x: Array,
        *,
        train: bool,
        axis_name: str | None = None,
        labels: Array | None = None,
    ) -> tuple[Array, PyTree]:
        if labels is not None:
            raise ValueError(f'{type(module).__name__} is unconditional: call it without labels.')
        if x.shape[1:] != tuple(input_shape):
            raise ValueError(f'{type(module).__name__} takes (N, {str(tuple(input_shape))[1:-1]}), not {x.shape}.')
        params, state = variables
        if not (train and state):
            return module.apply({'params': params, **state}, x, train=train, axis_name=axis_name), state
        return module.apply({'params': params, **state}, x, train=True, axis_name=axis_name, mutable=list(state))

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
