"""Critics and how they are trained: each a value, the same for every pair.

>>> read_method('cones:num_cones=256').num_cones
256
>>> read_method('clip').clip
0.01
"""

import dataclasses
from dataclasses import dataclass

import jax
from jax.typing import ArrayLike

from wgan_jax.constraints import CONSTRAINTS
from wgan_jax.data import funnels
from wgan_jax.data.funnels import Funnels
from wgan_jax.data.synthetic import Density
from wgan_jax.networks import cones, mlp
from wgan_jax.ranges import COUNT, POSITIVE
from wgan_jax.text import printable
from wgan_jax.training.frozen import between
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.toy import TOY_PRESETS, build_toy
from wgan_jax.types import Key, Network, Players, Variables

PLACED_AMONG = 2**14  # samples of P, among which apexes are placed


@dataclass(frozen=True)
class Method:
    """A critic, its constraint and its training.

    Attributes:
        about: what it is.
        updates: critic updates; the rate falls linearly to 0 over them.
        critic_lr, beta1, beta2: of Adam.
        batch_size: samples of each side.
        num_cones, cones_per_dim: of ``networks.cones``: num_cones, or so many for each dimension where that is more; 0
            for a multilayer perceptron, which the rest describes.
        constraint: a name in ``CONSTRAINTS``.
        width, width_per_dim: units of a hidden layer: width, or so many for each dimension where that is more.
        depth: hidden layers.
        activation: 'relu' or 'max_min'.
        penalty_weight, clip: of the constraint.
    """

    about: str
    updates: int
    critic_lr: float
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

    def network(self, dim: int) -> Network:
        """The critic of points (N, dim)."""
        if self.num_cones:
            num_cones = max(self.num_cones, self.cones_per_dim * dim)
            return cones.critic((dim,), num_cones=num_cones, anneal=self.updates)
        return mlp.critic(
            (dim,), width=max(self.width, self.width_per_dim * dim), depth=self.depth, activation=self.activation,
            parametrization=CONSTRAINTS[self.constraint].parametrization, init='he',
        )  # fmt: skip

    def place(self, critic: Variables, source: Variables, pair: Funnels, key: Key) -> Variables:
        """The critic's variables to begin with: cones are placed among samples of P."""
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


_OURS = Method('', updates=8_000, critic_lr=1e-3)
# Two hidden layers of ReLU, max(2 D, 128) wide; Adam 2e-4 with the betas of the release.
_PUBLISHED = Method(
    '', updates=60_000, critic_lr=2e-4, beta1=0.0, beta2=0.9, width=128, width_per_dim=2, depth=2, activation='relu',
    clip=0.04,
)  # fmt: skip

METHODS: dict[str, Method] = {
    'cones': Method('upper envelope of cones, 1-Lipschitz by construction', 5_000, 1e-2, num_cones=512),
    **{
        name: dataclasses.replace(_OURS, about=f'MaxMin layers, {name}', constraint=name)
        for name in CONSTRAINTS
        if name != 'spectral_operator'  # of a matrix both spectral norms are one
    },
    **{
        f'published_{name}': dataclasses.replace(
            _PUBLISHED, about=f'the published protocol of {solver}', constraint=name, updates=updates
        )
        for name, solver, updates in (
            ('clip', 'wgan', 5_000),
            ('gradient_penalty', 'wgan-gp', 60_000),
            ('one_sided_penalty', 'wgan-lp', 60_000),
            ('spectral', 'sn-gan', 10_000),
        )
    },
}
_RANGES = {int: COUNT, float: POSITIVE}


def read_method(text: str) -> Method:
    """A method by name, with other numbers if wanted: 'cones', or 'gradient_penalty:width=128:penalty_weight=5'.

    Raises:
        ValueError: in one line, for an unknown name or number, and for values that there cannot be.
    """
    name, *changes = text.split(':')
    if name not in METHODS:
        raise ValueError(f'method {printable(name, 60)} is unknown; there are: {", ".join(METHODS)}')
    method = METHODS[name]
    numbers = {field.name: type(getattr(method, field.name)) for field in dataclasses.fields(method)}
    known = [field for field, kind in numbers.items() if kind in _RANGES]
    for change in changes:
        field, equals, value = change.partition('=')
        if field not in known or not equals:
            raise ValueError(
                f'{printable(change, 60)} in method {name}: write NAME=NUMBER with one of {", ".join(known)}'
            )
        try:
            number = numbers[field](value)
        except ValueError:
            raise ValueError(f'{field} in method {name} must be {_RANGES[numbers[field]].kind}') from None
        if (complaint := _RANGES[numbers[field]].complaint(number)) is not None:
            raise ValueError(f'{field} in method {name} {complaint}')
        method = dataclasses.replace(method, **{field: number})
    if method.activation == 'max_min' and method.width % 2:
        raise ValueError(f'width={method.width} in method {name} must be even: max_min sorts pairs')
    return method
