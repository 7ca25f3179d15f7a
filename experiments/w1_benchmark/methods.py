"""Critics and how they are trained: each a value, the same for every pair.

>>> METHODS['cones'](num_cones=256).updates
5000
"""

import dataclasses
import functools
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
    'updates': COUNT, 'critic_lr': POSITIVE, 'beta1': FRACTION, 'beta2': FRACTION, 'batch_size': BATCH,
    'num_cones': whole(0, PLACED_AMONG), 'cones_per_dim': whole(0, 64), 'width': SIZE, 'width_per_dim': whole(0, 64),
    'depth': COUNT, 'penalty_weight': POSITIVE, 'clip': POSITIVE,
}  # fmt: skip


@dataclass(frozen=True)
class Method:
    """A critic, its constraint and its training.

    Attributes:
        updates: critic updates; the rate falls linearly to 0 over them.
        critic_lr, beta1, beta2: of Adam.
        batch_size: samples of each side.
        num_cones, cones_per_dim: of ``networks.cones``: num_cones, or so many for each dimension where that is more; no
            num_cones for a multilayer perceptron, which the rest describes.
        constraint: a name in ``CONSTRAINTS``.
        width, width_per_dim: units of a hidden layer: width, or so many for each dimension where that is more.
        depth: hidden layers.
        activation: 'relu' or 'max_min'.
        penalty_weight, clip: of the constraint.

    Raises:
        ValueError: in one line, for values that there cannot be.
    """

    updates: int = 8_000
    critic_lr: float = 1e-3
    beta1: float = 0.0
    beta2: float = 0.99
    batch_size: int = 1024
    num_cones: int = 0
    cones_per_dim: int = 8
    constraint: str = 'none'
    width: int = 256
    width_per_dim: int = 4
    depth: int = 3
    activation: str = 'max_min'
    penalty_weight: float = 10.0
    clip: float = 0.01

    def __post_init__(self):
        for name, allowed in _RANGES.items():
            allowed.check(name, getattr(self, name))
        if self.constraint not in CONSTRAINTS:
            raise ValueError(f'constraint={self.constraint} is unknown; there are: {", ".join(CONSTRAINTS)}')
        if not self.num_cones:
            self.network(1)  # refuses what it cannot be

    def units(self, dim: int) -> int:
        """Cones, or units of a hidden layer."""
        if self.num_cones:
            return max(self.num_cones, self.cones_per_dim * dim)
        return max(self.width, self.width_per_dim * dim)

    def network(self, dim: int) -> Network:
        """The critic of points (N, dim)."""
        if self.num_cones:
            return cones.critic((dim,), num_cones=self.units(dim), anneal=self.updates)
        return mlp.critic(
            (dim,), width=self.units(dim), depth=self.depth, activation=self.activation,
            parametrization=CONSTRAINTS[self.constraint].parametrization, init='he',
        )  # fmt: skip

    def place(self, critic: Variables, source: Variables, pair: Funnels, key: Key) -> Variables:
        """The critic's variables to begin with: cones are placed among samples."""
        del source
        if not self.num_cones:
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


# Of each constraint with free weights, and of the layers that cannot be steep, where MaxMin takes the place of ReLU.
_OURS = {
    name: functools.partial(Method, constraint=name)
    for name in CONSTRAINTS
    if name != 'spectral_operator'  # of a matrix both spectral norms are one
}
# Two hidden layers of ReLU, max(2 D, 128) wide; Adam 2e-4. The sixth, sorted orthogonal layers, is not built.
_PUBLISHED = {
    f'published_{name}': functools.partial(
        Method, constraint=name, updates=updates, critic_lr=2e-4, beta2=0.9, width=128, width_per_dim=2, depth=2,
        activation='relu', clip=0.04,
    )
    for name, updates in (
        ('clip', 5_000), ('gradient_penalty', 60_000), ('one_sided_penalty', 60_000), ('spectral', 10_000),
    )
}  # fmt: skip
METHODS: dict[str, Callable[..., Method]] = {
    'cones': functools.partial(Method, num_cones=512, updates=5_000, critic_lr=1e-2),
    **_OURS,
    **_PUBLISHED,
}
