"""What the layers of one pass report about themselves, on request."""

import math
from collections.abc import Callable, Sequence
from typing import NoReturn

from wgan_jax.types import Array

# ``bound(clip) -> scalar``: a bound on the Lipschitz constant of a layer, as its weights are for clip None, or else of
# the worst weights in [-clip, clip].
Bound = Callable[[Array | float | None], Array | float]


class LayerReport:
    """Collects reports in the order in which layers act. A network called without one computes nothing for them.

    Attributes:
        bounds: one ``Bound`` for each layer that may stretch distances; the network's is at most their product.
        activations: what came out of each hidden layer, (N, ...).

    Args:
        shifts: arrays to be added to the activations, one each: derivatives with respect to them, taken at zeros, are
            derivatives with respect to the activations.
    """

    def __init__(self, shifts: Sequence[Array] | None = None):
        self.bounds: list[Bound] = []
        self.activations: list[Array] = []
        self._shifts = shifts

    def activation(self, x: Array) -> Array:
        """Notes an activation; returns it, shifted."""
        self.activations.append(x)
        return x if self._shifts is None else x + self._shifts[len(self.activations) - 1]

    def unbounded(self, why: str) -> None:
        """Notes that a layer has no Lipschitz constant."""

        def bound(clip: Array | float | None) -> NoReturn:
            raise ValueError(f'no Lipschitz bound exists: {why}')

        self.bounds.append(bound)

    def sum(self, *branches: 'LayerReport') -> None:
        """Notes a layer that adds up what its branches make of the same input."""
        self.bounds.append(lambda clip: sum(product(branch.bounds, clip) for branch in branches))


def product(bounds: Sequence[Bound], clip: Array | float | None) -> Array | float:
    """The bound of layers one after the other."""
    return math.prod(bound(clip) for bound in bounds)
