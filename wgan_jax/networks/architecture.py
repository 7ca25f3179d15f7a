"""What a run's settings need to know of a kind of network: a new one is a module that fills this in."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from wgan_jax.types import Network


def _nothing(settings: Any) -> Mapping[str, Any]:
    del settings
    return {}


class Architecture(NamedTuple):
    """A generator and a critic as settings describe them.

    ``settings`` is a ``wgan_jax.training.settings.Settings``; ``parametrization`` how the critic's layers make their
    weights, None for free ones, see ``networks.parametrization``.

    Attributes:
        build: ``build(settings, image_shape, parametrization, conv_impl) -> (generator, critic)``, two ``Network``, for
            images (H, W, C). For a conditional run it is given ``num_classes`` besides.
        check: ``check(settings, parametrization)`` raises ValueError, in one line that names a setting, for what it
            cannot build.
        reads: the settings that not all architectures read and this one does.
        recorded: ``recorded(settings) -> {name: value}`` of what a run's record says, its size being known, for
            settings that stand for others, such as 'auto'.
        recalled: the same for what a record did not say before it had ``recorded``.
    """

    build: Callable[..., tuple[Network, Network]]
    check: Callable[..., None]
    reads: tuple[str, ...] = ()
    recorded: Callable[[Any], Mapping[str, Any]] = _nothing
    recalled: Callable[[Any], Mapping[str, Any]] = _nothing
