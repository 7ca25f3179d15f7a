"""Critics trained to optimality between two known distributions, neither of which learns.

Both sides are mixtures of Gaussians held as arrays (a cloud of points is a mixture of standard deviation 0), so that
one compiled program trains the critics of one constraint on every pair.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from experiments.common.toy_run import Clock, train_in_chunks
from wgan_jax.data import synthetic
from wgan_jax.data.synthetic import Density, Mixture
from wgan_jax.training.draws import draw_from
from wgan_jax.training.gan import Hyperparameters
from wgan_jax.training.settings import Settings
from wgan_jax.training.sweep import Runs, make_sweep
from wgan_jax.training.toy import build_toy
from wgan_jax.types import Array, Key, Network, Players, Variables

ROUND = 10  # critic updates between two steps of the learning-rate schedule


class Pair(NamedTuple):
    """Two distributions, real and fake, as densities with modes."""

    real: Density
    fake: Density


def translated() -> Pair:
    """The grid and its translation by (0.6, 0.8): W1 = 1 exactly, whatever the cloud."""
    grid = synthetic.grid()
    return Pair(grid, synthetic.mixture(grid.modes + np.array([0.6, 0.8]), grid.std))


def gaussians() -> Pair:
    """N(0, 0.5^2 I) and N((2, 0), 0.5^2 I): W1 = 2 exactly."""
    return Pair(synthetic.mixture(np.zeros((1, 2)), 0.5), synthetic.mixture(np.array([[2.0, 0.0]]), 0.5))


def rotated() -> Pair:
    """The ring and its rotation by half the angle between two modes, 22.5 degrees."""
    ring, angle = synthetic.ring(), math.pi / 8
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return Pair(ring, synthetic.mixture(ring.modes @ turn.T, ring.std))


def noisy(name: str, num: int = 20_000) -> Pair:
    """Samples of a density, and the same samples with unit Gaussian noise: the setting of the published surfaces."""
    points = np.asarray(synthetic.draw(synthetic.load(name), jax.random.key(0), num))
    return Pair(synthetic.mixture(points, 0.0), synthetic.mixture(points, 1.0))


def _generator(dim: int, most: int) -> Network:
    """A generator without parameters: its state is the mixture, its latent says which mode and where in it."""

    def init(key: Key) -> Variables:
        del key
        return Variables({}, Mixture(jnp.zeros((most, dim)), jnp.float32(1), jnp.float32(0)))

    def apply(variables: Variables, z: Array, *, train: bool, axis_name=None, labels=None) -> tuple[Array, Mixture]:
        del train, axis_name, labels
        mixture = variables.state
        chosen = jnp.minimum(z[:, 0] * mixture.num, mixture.num - 1)  # z may round up to 1
        return mixture.modes[chosen.astype(jnp.int32)] + mixture.std * z[:, 1:], mixture

    return Network(init, apply)


class Critics(NamedTuple):
    """Trained critics of R runs.

    Attributes:
        network: that all share.
        variables: leaves (R, ...).
        seconds_per_update: of one critic, compilation apart.
    """

    network: Network
    variables: Variables
    seconds_per_update: float


def train_critics(
    settings: Settings, pairs: Sequence[Pair], *, updates: int, depth: int, bar: tqdm, clips: Sequence[float] = ()
) -> Critics:
    """Trains one critic on every pair, or for one pair at every clip, in one compiled program.

    Args:
        settings: of a toy run; its n_critic and decay are not looked at: rates fall to zero over the updates.
        pairs: of distributions of one dimension.
        updates: critic updates, a multiple of ROUND.
        depth: hidden layers of the critic.
        bar: advances by updates.
        clips: values of the clip; ``settings.clip`` alone by default.

    Returns:
        Critics, pairs slowest.
    """
    rounds = updates // ROUND
    settings = dataclasses.replace(settings, n_critic=ROUND, decay_steps=rounds)
    dim = pairs[0].real.dim
    gan, hyperparameters = build_toy(settings, pairs[0].real, depth=depth)
    real, fake = (synthetic.stack_mixtures([getattr(pair, side) for pair in pairs]) for side in Pair._fields)
    clips = np.array(clips or [settings.clip], np.float32)
    each = len(clips)
    real, fake = jax.tree.map(lambda leaf: np.repeat(leaf, each, axis=0), (real, fake))
    generator = _generator(dim, fake.modes.shape[1])
    gan = dataclasses.replace(
        gan,
        networks=Players(generator, gan.networks.critic),
        latent=lambda key: jnp.append(
            jax.random.uniform(jax.random.fold_in(key, 0), (1,)), jax.random.normal(jax.random.fold_in(key, 1), (dim,))
        ),
        draw=draw_from(synthetic.sample_mixture),
    )
    num = len(pairs) * each
    constant = jax.tree.map(lambda value: np.full(num, value, np.float32), hyperparameters)
    hyperparameters: Hyperparameters = constant._replace(clip=np.tile(clips, len(pairs)))
    sweep = make_sweep(gan, Runs(np.full(num, settings.seed, np.uint32), hyperparameters, real))
    fake = fake._replace(num=fake.num.astype(np.float32))  # a moving average is taken of all state
    start = sweep.init()
    start = start._replace(
        network_state=start.network_state._replace(generator=fake), ema=start.ema._replace(state=fake)
    )
    clock = Clock()
    for _, states, _ in train_in_chunks(sweep, [rounds], bar, clock, start=jax.device_put(start), weight=ROUND):
        variables = Variables(states.params.critic, states.network_state.critic)
    return Critics(gan.networks.critic, variables, clock.training / max(1, rounds - 1) / ROUND / num)


def one_of(critics: Critics, index: int) -> Variables:
    """The variables of one run."""
    return jax.tree.map(lambda leaf: leaf[index], critics.variables)


def scorer(critics: Critics, index: int):
    """One critic as a function of points (N, d) to scores (N,)."""
    variables = one_of(critics, index)
    return lambda points: critics.network.apply(variables, points, train=False)[0]
