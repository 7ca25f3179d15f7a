"""How steep a critic is: a bound that no pair of points exceeds, and the steepest place that was found.

f is K-Lipschitz if |f(x) - f(y)| <= K ||x - y|| for all x, y. Then E f(real) - E f(fake) <= K W1(real, fake) on any two
samples, so a critic's estimate divided by an upper bound of its K never exceeds the distance.

>>> import jax
>>> from wgan_jax.networks import mlp
>>> critic = mlp.critic((9,), width=4, depth=1)
>>> variables = critic.init(jax.random.key(0))
>>> float(upper_bound(critic, variables, clip=0.5))  # 0.5 sqrt(9 * 4) times 0.5 sqrt(4 * 1)
3.0
>>> found = lower_bounds(lambda x: 2 * jnp.abs(x[:, 0]), jnp.array([[-1.0], [1.0], [3.0]]))
>>> float(found.gradient), float(found.slope)
(2.0, 2.0)
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from wgan_jax.lengths import length
from wgan_jax.penalties import gradient_norms
from wgan_jax.ranges import COUNT
from wgan_jax.types import Array, Network, Variables


def upper_bound(network: Network, variables: Variables, *, clip: Array | float | None = None) -> Array:
    """An upper bound on a critic's Lipschitz constant: the product of its layers' own.

    K <= prod_l K_l, each K_l at least the operator norm of layer l; activations and biases add nothing, and a residual
    block counts as the sum of its branches. It is a bound on the network as ``apply(..., train=False)`` computes it in
    float32, and far above the best one for deep networks.

    Args:
        network: a critic whose layers report, as all in ``wgan_jax.networks`` do.
        variables: its arrays.
        clip: None for the weights as they are; c for the worst weights in [-c, c], where the layers' norms are known in
            closed form: c sqrt(fan_in fan_out) for a matrix, c taps / stride sqrt(fan_in fan_out) for a convolution.

    Returns:
        A scalar, in score units per input unit.

    Raises:
        ValueError: if the network does not report, or no bound exists because a layer normalises over the batch.
    """
    if network.bounds is None:
        raise ValueError('this network does not report bounds of its layers')
    return jnp.asarray(math.prod(network.bounds(variables, clip)))


class LowerBounds(NamedTuple):
    """What a critic's Lipschitz constant is at least.

    Attributes:
        gradient: largest gradient norm at the points.
        slope: largest |f(x) - f(y)| / ||x - y|| over pairs of points.
    """

    gradient: Array
    slope: Array


def lower_bounds(critic_fn: Callable[[Array], Array], points: Array, *, shifts: int = 64) -> LowerBounds:
    """Lower bounds on a critic's Lipschitz constant, sampled.

    Args:
        critic_fn: maps a batch (N, ...) to scores (N,).
        points: (N, ...), N at least 2; real ones, generated ones and such in between are where a critic is steep.
        shifts: pairs are points n and n + k of the batch, for k = 1 ... min(shifts, N // 2); N // 2 makes all pairs.

    Returns:
        LowerBounds. Pairs of equal points count as slope 0.

    Raises:
        ValueError: for fewer than two points, or no pairs.
    """
    COUNT.check('shifts', shifts)
    if len(points) < 2:
        raise ValueError(f'points: {len(points)} make no pair; give at least 2')
    scores = critic_fn(points)
    flat = points.reshape(len(points), -1)

    def steepest(k):
        # Differences first: a distance from inner products would lose its digits for close pairs, where slopes count.
        distance = length(flat - jnp.roll(flat, k, 0), axis=1)
        rise = jnp.abs(scores - jnp.roll(scores, k))
        return jnp.max(jnp.where(distance == 0, 0, rise / jnp.where(distance == 0, 1, distance)))

    slopes = jax.lax.map(steepest, jnp.arange(1, min(shifts, len(points) // 2) + 1))
    return LowerBounds(jnp.max(gradient_norms(critic_fn, points)), jnp.max(slopes))


def layer_gradients(
    network: Network, variables: Variables, x: Array, loss: Callable[[Array], Array] = jnp.sum
) -> Array:
    """How much of a gradient is left in each hidden layer: ||d loss / d a_l||, the norm over the whole batch.

    Args:
        network: a critic whose layers report.
        variables: its arrays.
        x: a batch, (N, ...).
        loss: of the scores (N,), a scalar.

    Returns:
        (hidden layers,), from the first to the last.

    Raises:
        ValueError: if the network does not report.

    Source: the quantity of Gulrajani et al. 2017, figure 1 (b).
    """
    activations = network.activations
    if activations is None:
        raise ValueError('this network does not report activations')
    _, shapes = jax.eval_shape(lambda: activations(variables, x))
    zeros = tuple(jnp.zeros(shape.shape, shape.dtype) for shape in shapes)
    gradients = jax.grad(lambda shifts: loss(activations(variables, x, shifts=shifts)[0]))(zeros)
    return jnp.stack([length(gradient.astype(jnp.float32)) for gradient in gradients])
