"""One critic on one pair: trained, and held to what is known of the pair."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.data import funnels
from wgan_jax.data.funnels import Funnels
from wgan_jax.lengths import length
from wgan_jax.lipschitz import upper_bound
from wgan_jax.training.frozen import fit_critics
from wgan_jax.types import Variables

from .methods import Method

SAMPLES, TOGETHER = 2**16, 2**11  # fresh ones that a critic is judged by, and how many at once
GRID = 128  # values of a surface along either side
_FRESH = 0x6A756467  # of the key for them, apart from the seed's others


def train(
    method: Method, pair: Funnels, seed: int, on_updates: Callable[[int], object] | None = None
) -> tuple[Variables, float]:
    """A trained critic, and the seconds it took, compilation apart.

    Args:
        method: which critic, and how.
        pair: the funnels.
        seed: of its weights and batches.
        on_updates: is told of updates done.
    """
    gan, hyperparameters = method.gan(pair.centers.shape[1])
    one = jax.tree.map(lambda value: np.full(1, value, np.float32), hyperparameters)
    data = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], pair)
    seeds = np.full(1, seed, np.uint32)
    found = fit_critics(
        gan, one, Variables({}, {}), data, seeds, method.updates, place=method.place, on_updates=on_updates
    )
    return jax.tree.map(lambda leaf: leaf[0], found.variables), found.seconds


def judge(method: Method, variables: Variables, pair: Funnels, seed: int) -> dict[str, Any]:
    """How near a critic is to the optimal one, on fresh samples.

    E f(P) - E f(Q) and E|x - T(x)| are means over the same x: both are what independent samples give, and what is left
    of chance in their ratio is little.

    Args:
        method, variables: the critic.
        pair: the funnels.
        seed: of the samples.

    Returns:
        'cosine' between its gradient and the optimal one at samples of P, 'l2' their squared difference, 'w1',
        'w1_true', 'w1_error' = w1 / w1_true - 1, 'largest_gradient'; 'bound' of its Lipschitz constant where its layers
        have one, else None, and 'certified' = w1 / bound, which W1 is not below; None without a bound.
    """
    network, dim = method.network(pair.centers.shape[1]), pair.centers.shape[1]

    def score(x: jax.Array) -> jax.Array:
        return network.apply(variables, x, train=False)[0]

    def look(key: jax.Array) -> tuple[jax.Array, ...]:
        x = funnels.uniform(key, TOGETHER, dim)
        moved = funnels.transport(pair, x)
        at_moved, gradient = score(moved.point), jax.grad(lambda y: score(y).sum())(moved.point)
        size = length(gradient, axis=-1)
        cosine = -jnp.sum(gradient * moved.direction, axis=1) / jnp.where(size > 0, size, 1)
        squared = jnp.sum(jnp.square(gradient + moved.direction), axis=1)
        means = cosine.mean(), squared.mean(), (at_moved - score(x)).mean(), moved.distance.mean()
        return *means, size.max()

    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), _FRESH), SAMPLES // TOGETHER)
    *means, largest = jax.jit(lambda keys: jax.lax.map(look, keys))(keys)
    cosine, l2, w1, true = (float(np.mean(np.asarray(each, np.float64))) for each in means)
    bound = float(upper_bound(network, variables)) or None  # 0 of weights that underflow
    return {
        'cosine': cosine, 'l2': l2, 'w1': w1, 'w1_true': true, 'w1_error': w1 / true - 1,
        'largest_gradient': float(largest.max()), 'bound': bound, 'certified': w1 / bound if bound else None,
    }  # fmt: skip


def surface_of(method: Method, variables: Variables) -> np.ndarray:
    """Values of a critic of two dimensions on a grid over the cube, (G, G), y first."""
    return _on_grid(lambda x: method.network(2).apply(variables, x, train=False)[0])


def true_surface(pair: Funnels) -> np.ndarray:
    """The same of the optimal critic."""
    return _on_grid(lambda x: -funnels.potential(pair, x))


def _on_grid(function: Callable[[jax.Array], jax.Array]) -> np.ndarray:
    side = np.linspace(-funnels.HALF_WIDTH, funnels.HALF_WIDTH, GRID, dtype=np.float32)
    points = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    return np.asarray(jax.jit(function)(points), np.float32).reshape(GRID, GRID)
