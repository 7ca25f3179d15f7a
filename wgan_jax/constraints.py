"""The ways to keep a critic Lipschitz, behind one interface: a penalty on its loss, a transform of its updates."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import optax

from wgan_jax.penalties import gradient_penalty
from wgan_jax.transforms import clip_weights
from wgan_jax.types import Array, Key


class Constraint(NamedTuple):
    """What is done to a critic besides minimising its loss.

    Attributes:
        penalty: ``penalty(critic_fn, real, fake, keys) -> scalar``, added to the critic's loss times the penalty
            weight; None for no penalty. ``keys`` has one key per sample.
        transform: ``transform(clip) -> optax.GradientTransformation``, last in the critic's optimizer chain; None for
            none.
    """

    penalty: Callable[[Callable[[Array], Array], Array, Array, Key], Array] | None = None
    transform: Callable[[Array], optax.GradientTransformation] | None = None


CONSTRAINTS: dict[str, Constraint] = {
    'none': Constraint(),
    'clip': Constraint(transform=clip_weights),
    'gradient_penalty': Constraint(penalty=gradient_penalty),
    'one_sided_penalty': Constraint(penalty=functools.partial(gradient_penalty, one_sided=True)),
}
