"""The ways to keep a critic Lipschitz, behind one interface.

A penalty on its loss, a transform of its updates, or layers whose weights cannot be anything else; ``CONSTRAINTS`` has
them by name.

>>> import jax
>>> import jax.numpy as jnp
>>> keys = jax.random.split(jax.random.key(0), 2)
>>> steep = lambda x: 3 * x[:, 0]
>>> float(CONSTRAINTS['gradient_penalty'].penalty(steep, jnp.zeros((2, 1)), jnp.ones((2, 1)), keys))  # (3 - 1)^2
4.0
>>> box = CONSTRAINTS['clip'].transform(0.25)
>>> updates, _ = box.update(jnp.array([1.0, -0.125]), box.init(None), jnp.array([0.0, 0.0]))
>>> updates.tolist()
[0.25, -0.125]
>>> CONSTRAINTS['spectral'].parametrization
'spectral'
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import optax

from wgan_jax.penalties import both_sides_penalty, dragan_penalty, gradient_penalty, r1_penalty, r2_penalty
from wgan_jax.transforms import clip_weights, into_box
from wgan_jax.types import Array, Key, PyTree


class Constraint(NamedTuple):
    """What is done to a critic besides minimising its loss.

    Attributes:
        penalty: ``penalty(critic_fn, real, fake, keys, *, axis_name=None) -> scalar``, added to the critic's loss times
            the penalty weight; None for no penalty. ``keys`` has one key per sample; ``axis_name`` names the mapped
            axis over which the batch is shared, and the penalty's mean is still that of the local samples.
        transform: ``transform(clip) -> optax.GradientTransformation``, last in the critic's optimizer chain; None for
            none.
        projection: ``projection(clip, params) -> params``: the nearest weights that the transform allows, where that
            is what it does; wanted where a GAN is shown as a game.
        parametrization: how the critic's layers make their weights of the parameters, one of
            ``networks.parametrization.PARAMETRIZATIONS``; None for the parameters themselves.
    """

    penalty: Callable[..., Array] | None = None
    transform: Callable[[Array | float], optax.GradientTransformation] | None = None
    projection: Callable[[Array | float, PyTree], PyTree] | None = None
    parametrization: str | None = None


def _of_samples(penalty: Callable[..., Array]) -> Callable[..., Array]:
    """A penalty in which no sample needs to know of another, on any device."""

    def local(critic_fn: Callable, real: Array, fake: Array, keys: Key, *, axis_name: str | None = None) -> Array:
        del axis_name
        return penalty(critic_fn, real, fake, keys)

    return local


CONSTRAINTS: dict[str, Constraint] = {
    'none': Constraint(),
    'clip': Constraint(transform=clip_weights, projection=into_box),
    'gradient_penalty': Constraint(penalty=_of_samples(gradient_penalty)),
    'one_sided_penalty': Constraint(penalty=_of_samples(functools.partial(gradient_penalty, one_sided=True))),
    'dragan': Constraint(penalty=dragan_penalty),
    'r1': Constraint(penalty=_of_samples(r1_penalty)),
    'r2': Constraint(penalty=_of_samples(r2_penalty)),
    'r1_r2': Constraint(penalty=_of_samples(both_sides_penalty)),
    'spectral': Constraint(parametrization='spectral'),
    'spectral_operator': Constraint(parametrization='spectral_operator'),
    'orthonormal': Constraint(parametrization='orthonormal'),
}
