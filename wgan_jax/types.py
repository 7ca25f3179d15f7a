"""Names for the few structures that every package shares.

Notation for shapes: N examples in a batch, H x W pixels, C channels, Z latent dimensions.
"""

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import jax

Array = jax.Array
ArrayLike = jax.typing.ArrayLike  # a NumPy array or a number, too; no list
Key = jax.Array  # a typed PRNG key, or an array of them
PyTree = Any
T = TypeVar('T')


class Players(NamedTuple, Generic[T]):
    """Whatever comes in a pair, one for each player of the game: parameters, losses, learning rates.

    A pytree of two children, the generator's first. Annotations name what the pair is of, as ``Players[Array]`` does.

    Attributes:
        generator: the generator's.
        critic: the critic's.

    >>> import jax
    >>> jax.tree.map(lambda rate: rate / 2, Players(generator=1e-4, critic=4e-4))
    Players(generator=5e-05, critic=0.0002)
    """

    generator: T
    critic: T


class Variables(NamedTuple):
    """All arrays of a network.

    Attributes:
        params: what the optimizer changes.
        state: what the network itself changes while it is applied (batch statistics); may be empty.
    """

    params: PyTree
    state: PyTree


class Network(NamedTuple):
    """A network as two pure functions.

    Attributes:
        init: ``init(key) -> Variables``.
        apply: ``apply(variables, x, *, train, axis_name=None, labels=None) -> (out, state)``. With ``train`` the
            batch's own statistics normalise and ``state`` is the updated one; ``axis_name`` names the mapped axis over
            which those statistics are averaged, if there is one.
        uses_batch_statistics: whether what comes out for one example depends on the others of its batch.
        bounds: ``bounds(variables, clip=None) -> tuple of scalars``: for each layer an upper bound on its Lipschitz
            constant; with ``clip``, for the worst weights in [-clip, clip]. Raises ValueError where none exists. None
            for a network that does not report.
        activations: ``activations(variables, x, *, shifts=None, labels=None) -> (out, tuple)``: what comes out, in
            training, of the network and of each of its hidden layers; ``shifts``, if given, are added to the latter.
            None for a network that does not report.
        num_classes: of a network that takes ``labels`` (N,), integers below it; 0 for one that takes none.
    """

    init: Callable[..., Variables]
    apply: Callable[..., tuple[Array, PyTree]]
    uses_batch_statistics: bool = False
    bounds: Callable[..., tuple[Array, ...]] | None = None
    activations: Callable[..., tuple[Array, tuple[Array, ...]]] | None = None
    num_classes: int = 0


def given(labels: Array | None) -> dict[str, Array]:
    """Labels as a network takes them: an unconditional one need not know of any."""
    return {} if labels is None else {'labels': labels}
