"""Critics trained to optimality between two known distributions, neither of which learns.

Both sides are mixtures of Gaussians held as arrays (a cloud of points is a mixture of standard deviation 0), so that
one compiled program trains the critics of one constraint on every pair.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from wgan_jax.data import synthetic
from wgan_jax.data.synthetic import Density
from wgan_jax.lipschitz import lower_bounds, upper_bound
from wgan_jax.objectives import wasserstein_estimate
from wgan_jax.training.frozen import between, fit_critics
from wgan_jax.training.settings import Settings
from wgan_jax.training.toy import build_toy
from wgan_jax.types import Array, Network, Variables


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
        settings: of a toy run; of the generator's and of the schedule nothing is looked at: rates fall to zero over the
            updates.
        pairs: of distributions of one dimension.
        updates: critic updates.
        depth: hidden layers of the critic.
        bar: advances by updates.
        clips: values of the clip; ``settings.clip`` alone by default.

    Returns:
        Critics, pairs slowest.
    """
    gan, hyperparameters = build_toy(settings, pairs[0].real, depth=depth)
    real, fake = (synthetic.stack_mixtures([getattr(pair, side) for pair in pairs]) for side in Pair._fields)
    clips = np.array(clips or [settings.clip], np.float32)
    real, fake = jax.tree.map(lambda leaf: np.repeat(leaf, len(clips), axis=0), (real, fake))
    num = len(pairs) * len(clips)
    stacked = jax.tree.map(lambda value: np.full(num, value, np.float32), hyperparameters)
    critics = fit_critics(
        between(gan, synthetic.sample_mixture, synthetic.sample_mixture),
        stacked._replace(clip=np.tile(clips, len(pairs))),
        Variables(fake, {}),
        real,
        np.full(num, settings.seed, np.uint32),
        updates,
        on_updates=bar.update,
    )
    return Critics(gan.networks.critic, critics.variables, critics.seconds / updates / num)


def one_of(critics: Critics, index: int) -> Variables:
    """The variables of one run."""
    return jax.tree.map(lambda leaf: leaf[index], critics.variables)


def measured(
    network: Network, variables: Variables, real: np.ndarray, fake: np.ndarray, w1: float
) -> dict[str, float | None]:
    """What a critic says of two samples of known distance, and how steep it is: numbers, or None where not finite.

    Args:
        network, variables: the critic.
        real, fake: as many points of each side, (N, ...).
        w1: the exact distance.
    """
    score = jax.jit(lambda variables, points: network.apply(variables, points, train=False)[0])
    estimate = float(wasserstein_estimate(score(variables, real), score(variables, fake)))
    upper = float(jax.jit(lambda variables: upper_bound(network, variables))(variables))
    points = jnp.concatenate([real, fake, 0.5 * (real + fake)])
    lower = lower_bounds(lambda points: score(variables, points), points)
    finite = bool(np.isfinite([estimate, upper]).all()) and upper > 0
    return {
        'estimate': estimate if finite else None,
        'estimate_over_w1': estimate / w1 if finite else None,
        'upper_bound': upper if finite else None,
        'estimate_over_upper_bound_over_w1': estimate / upper / w1 if finite else None,
        'largest_gradient': float(lower.gradient) if finite else None,
        'largest_slope': float(lower.slope) if finite else None,
    }


def scorer(critics: Critics, index: int) -> Callable[[Array], Array]:
    """One critic as a function of points (N, d) to scores (N,)."""
    variables = one_of(critics, index)
    return lambda points: critics.network.apply(variables, points, train=False)[0]
