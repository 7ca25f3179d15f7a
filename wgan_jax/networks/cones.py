"""A critic that is 1-Lipschitz whatever its parameters: the upper envelope of cones.

f(x) = t log sum_k exp((h_k - |x - a_k|) / t), a smooth maximum of cones of slope 1 with apexes a_k and heights h_k. Its
gradient is a mean of unit vectors, so f is nowhere steeper than 1, and E f(real) - E f(fake) is not above their
Wasserstein-1 distance. Every 1-Lipschitz function is a limit of such maxima: f(x) = sup_a (f(a) - |x - a|), one cone
for each point (McShane 1934). Apexes and heights are learned; the temperature t falls as training goes on.

>>> network = critic((2,), num_cones=3)
>>> variables = network.init(jax.random.key(0))
>>> scores, _ = network.apply(variables, jnp.zeros((5, 2)), train=False)
>>> scores.shape, [float(bound) for bound in network.bounds(variables)]
((5,), [1.0])
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from wgan_jax.lengths import pairwise_distances
from wgan_jax.networks.network import from_linen
from wgan_jax.networks.report import LayerReport
from wgan_jax.ranges import COUNT, POSITIVE, whole
from wgan_jax.types import Array, Network, Variables

NEIGHBOURS = 16
SHARE = 0.3  # of the distance between two distributions, as a temperature to begin with
COOLING = 30.0  # from the first temperature to the last


def critic(shape: tuple[int, ...], *, num_cones: int = 512, temperature: float = SHARE, anneal: int = 0) -> Network:
    """Builds the envelope of so many cones.

    A cone learns only from points at which it is among the highest, within some temperatures. Hot, all of them do, and
    arrange themselves as in clustering by deterministic annealing; cold, the envelope is what it is to be.

    Args:
        shape: of one example, any; distances are Euclidean over all of it.
        num_cones: K.
        temperature: t to begin with, in units of distance; ``place`` finds a better one.
        anneal: passes with ``train``, of which an update makes one, over which t falls to a thirtieth, by the same
            factor in each; 0: it stays as it is.

    Returns:
        A network from (N, *shape) to (N,), of K (d + 1) parameters. Apexes begin as N(0, I), heights at 0: where
        samples are at hand, ``place`` finds better ones.

    Raises:
        ValueError: for no cones, a temperature that is not positive, or less than no passes.
    """
    COUNT.check('num_cones', num_cones)
    POSITIVE.check('temperature', temperature)
    whole(0).check('anneal', anneal)
    return from_linen(_Cones(num_cones, temperature, anneal), shape, uses_batch_statistics=False, reports=True)


def place(variables: Variables, high: Array, low: Array, *, neighbours: int = NEIGHBOURS) -> Variables:
    """Fresh cones, put where they are needed: apexes among samples, and a temperature in units of the distance.

    Apex k goes to the mean of the samples nearest to sample k, itself included. In few dimensions these are near, and
    apexes lie where samples do; in many they are all over the place, and apexes lie near the mean of all, where no cone
    hides another and each can still turn to any side. The envelope of these cones then gives a first estimate of the
    distance, a lower bound, of which the temperature is a share.

    Args:
        variables: of ``critic``.
        high: samples of the distribution on which scores are to be high, (M, *shape), M at least the number of cones.
        low: samples of the other, (L, *shape).
        neighbours: of which the mean is taken.

    Returns:
        Variables with other apexes, heights 0 and another temperature.

    Raises:
        ValueError: for fewer samples than cones, or than neighbours.

    Source: this project; clustering by deterministic annealing is Rose 1998.
    """
    apexes, cooling = variables.params['apexes'], variables.state['cooling']
    points, others = (jnp.asarray(samples).reshape(len(samples), -1) for samples in (high, low))
    COUNT.check('neighbours', neighbours)
    if points.shape[1:] != apexes.shape[1:] or others.shape[1:] != apexes.shape[1:]:
        raise ValueError(f'samples {high.shape[1:]} and {low.shape[1:]} are not of {apexes.shape[1]} dimensions')
    if len(points) < max(len(apexes), neighbours):
        raise ValueError(
            f'{len(apexes)} cones and {neighbours} neighbours need as many samples, and there are {len(points)}'
        )

    def mean_around(point: Array) -> Array:
        _, nearest = jax.lax.top_k(-jnp.sum(jnp.square(points - point), axis=1), neighbours)
        return points[nearest].mean(axis=0)

    def mean_height(x: Array) -> Array:
        return -jax.lax.map(lambda one: pairwise_distances(one[None], placed).min(), x, batch_size=1024).mean()

    placed = jax.lax.map(mean_around, points[: len(apexes)], batch_size=16).astype(apexes.dtype)
    estimate = mean_height(points) - mean_height(others)
    # Equal distributions have no unit of distance, and any temperature does for them.
    first = jnp.where(estimate > 0, SHARE * estimate, cooling['first']).astype(jnp.float32)
    params = {'apexes': placed, 'heights': jnp.zeros_like(variables.params['heights'])}
    return Variables(params, {'cooling': {'first': first, 'passes': jnp.zeros_like(cooling['passes'])}})


class _Cones(nn.Module):
    num_cones: int
    temperature: float
    anneal: int

    @nn.compact
    def __call__(self, x: Array, *, train: bool, report: LayerReport | None = None) -> Array:
        x = x.reshape(len(x), -1)
        apexes = self.param('apexes', nn.initializers.normal(1.0), (self.num_cones, x.shape[1]))
        heights = self.param('heights', nn.initializers.zeros, (self.num_cones,))
        first = self.variable('cooling', 'first', lambda: jnp.float32(self.temperature))
        passes = self.variable('cooling', 'passes', lambda: jnp.zeros((), jnp.int32))
        done = jnp.minimum(passes.value / self.anneal, 1.0) if self.anneal else 0.0
        temperature = first.value * COOLING**-done
        if train and self.anneal and not self.is_initializing():
            passes.value += 1
        if report is not None:
            report.bounds.append(lambda clip: 1.0)
        return temperature * jax.nn.logsumexp((heights - pairwise_distances(x, apexes)) / temperature, axis=1)
