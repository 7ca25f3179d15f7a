"""Critics and how they are trained: each a value, the same for every pair.

>>> METHODS['cones'](num_cones=256).units(2)
256
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass

import jax
from jax.typing import ArrayLike

from wgan_jax.constraints import CONSTRAINTS
from wgan_jax.data import funnels
from wgan_jax.data.funnels import Funnels
from wgan_jax.data.synthetic import Density
from wgan_jax.networks import cones, mlp
from wgan_jax.ranges import BATCH, COUNT, FRACTION, POSITIVE, SIZE, whole
from wgan_jax.training.frozen import between
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.toy import TOY_PRESETS, build_toy
from wgan_jax.types import Key, Network, Players, Variables

PLACED_AMONG = 2**14  # samples of either side, among which cones are placed

_RANGES = {
    'updates': COUNT, 'critic_lr': POSITIVE, 'beta1': FRACTION, 'beta2': FRACTION, 'batch_size': BATCH, 'size': SIZE,
    'per_dim': whole(0, 64), 'depth': whole(0, 1000), 'penalty_weight': POSITIVE, 'clip': POSITIVE,
}  # fmt: skip


@dataclass(frozen=True)
class Method:
    """A critic, its constraint and its training. ``cones_of`` and ``layers_of`` make those that make sense.

    Attributes:
        updates: critic updates; the rate falls linearly to 0 over them.
        critic_lr, beta1, beta2: of Adam.
        batch_size: samples of each side.
        size, per_dim: cones, or units of a hidden layer: size, or so many for each dimension where that is more.
        depth: hidden layers of a multilayer perceptron; 0 for ``networks.cones``.
        constraint: a name in ``CONSTRAINTS``.
        activation: 'relu', 'max_min' or 'full_sort'.
        penalty_weight, clip: of the constraint.
    """

    updates: int
    critic_lr: float
    beta1: float
    beta2: float
    batch_size: int
    size: int
    per_dim: int
    depth: int = 0
    constraint: str = 'none'
    activation: str = ''
    penalty_weight: float = 10.0
    clip: float = 0.01

    def check(self, dim: int) -> None:
        """Raises ValueError, in one line, for values that there cannot be, in so many dimensions."""
        for name, allowed in _RANGES.items():
            allowed.check(name, getattr(self, name))
        if not self.depth:
            if self.units(dim) > PLACED_AMONG:
                raise ValueError(f'{self.units(dim)} cones in {dim} dimensions: {PLACED_AMONG} are the most')
        elif self.activation == 'max_min' and self.units(dim) % 2:
            raise ValueError(f'{self.units(dim)} units in {dim} dimensions: max_min sorts pairs, use an even width')

    def units(self, dim: int) -> int:
        """Cones, or units of a hidden layer."""
        return max(self.size, self.per_dim * dim)

    def network(self, dim: int) -> Network:
        """The critic of points (N, dim)."""
        if not self.depth:
            return cones.critic((dim,), num_cones=self.units(dim), anneal=self.updates)
        return mlp.critic(
            (dim,), width=self.units(dim), depth=self.depth, activation=self.activation,
            parametrization=CONSTRAINTS[self.constraint].parametrization, init='he',
        )  # fmt: skip

    def place(self, critic: Variables, source: Variables, pair: Funnels, key: Key) -> Variables:
        """The critic's variables to begin with: cones are placed among samples."""
        del source
        if self.depth:
            return critic
        points = funnels.uniform(key, PLACED_AMONG, pair.centers.shape[1])
        return cones.place(critic, funnels.transport(pair, points).point, points)

    def gan(self, dim: int) -> tuple[GAN, Hyperparameters]:
        """What ``fit_critics`` trains; its data are Funnels."""
        critic = self.network(dim)
        unused = mlp.generator((dim,), latent_dim=TOY_PRESETS['wgan_gp'].latent_dim, width=1, depth=1)
        parametrized = CONSTRAINTS[self.constraint].parametrization is not None
        settings = dataclasses.replace(
            TOY_PRESETS['wgan_gp'], arch=Players(unused, critic), objective='wasserstein',
            constraint='none' if parametrized else self.constraint, penalty_weight=self.penalty_weight, clip=self.clip,
            optimizer='adam', critic_lr=self.critic_lr, beta1=self.beta1, beta2=self.beta2, batch_size=self.batch_size,
        )  # fmt: skip
        gan, hyperparameters = build_toy(settings, Density(lambda key: jax.random.normal(key, (dim,)), dim))

        def source(nothing: ArrayLike, key: Key) -> jax.Array:
            del nothing
            return funnels.sample_source(dim, key)

        return between(gan, funnels.sample_moved, source), hyperparameters


def cones_of(
    *, num_cones: int = 512, cones_per_dim: int = 8, updates: int = 5_000, critic_lr: float = 1e-2, beta1: float = 0.0,
    beta2: float = 0.99, batch_size: int = 1024,
) -> Method:  # fmt: skip
    """The upper envelope of cones."""
    return Method(updates, critic_lr, beta1, beta2, batch_size, num_cones, cones_per_dim)


def layers_of(
    constraint: str, activation: str, /, *, width: int, width_per_dim: int, depth: int, updates: int, critic_lr: float,
    beta1: float, beta2: float, batch_size: int, penalty_weight: float = 10.0, clip: float = 0.01,
) -> Method:  # fmt: skip
    """A multilayer perceptron under a constraint."""
    if depth < 1:
        raise ValueError(f'depth={depth} must be at least 1')
    return Method(
        updates, critic_lr, beta1, beta2, batch_size, width, width_per_dim, depth, constraint, activation,
        penalty_weight, clip,
    )  # fmt: skip


def _layers(constraint: str, activation: str, *, clip: float, **numbers: float) -> Callable[..., Method]:
    """``layers_of`` with other numbers by default, and only those of the constraint's own numbers that it reads."""
    part = CONSTRAINTS[constraint]
    own = ({'clip': clip} if part.transform else {}) | ({'penalty_weight': 10.0} if part.penalty else {})
    made = functools.partial(layers_of, constraint, activation, **numbers, **own)
    options = [option for name, option in inspect.signature(made).parameters.items() if name in made.keywords]
    made.__signature__ = inspect.Signature(options)  # by which flags are read
    return made


# Where MaxMin takes the place of ReLU, no gradient loses length on its way.
_OURS = {
    name: _layers(
        name, 'max_min', width=256, width_per_dim=4, depth=3, updates=8_000, critic_lr=1e-3, beta1=0.0, beta2=0.99,
        batch_size=1024, clip=0.01,
    )
    for name in CONSTRAINTS
    if name != 'spectral_operator'  # of a matrix both spectral norms are one
}  # fmt: skip
# As published: two hidden layers, max(2 D, 128) wide, Adam 2e-4, so many updates; ReLU, but of orthonormal layers all
# units are sorted. Otherwise than there the rate falls to 0, weights begin as He et al. draw them (orthonormal ones at
# the nearest orthonormal matrix), and the betas are those of WGAN-GP.
_PUBLISHED = {
    f'published_{name}': _layers(
        name, 'full_sort' if name == 'orthonormal' else 'relu', width=128, width_per_dim=2, depth=2, updates=updates,
        critic_lr=2e-4, beta1=0.0, beta2=0.9, batch_size=1024, clip=0.04,
    )
    for name, updates in (
        ('clip', 5_000), ('gradient_penalty', 60_000), ('one_sided_penalty', 60_000), ('spectral', 10_000),
        ('orthonormal', 25_000),
    )
}  # fmt: skip
METHODS: dict[str, Callable[..., Method]] = {'cones': cones_of, **_OURS, **_PUBLISHED}
