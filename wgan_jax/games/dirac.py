"""The Dirac-GAN: the smallest GAN there is, with every stabiliser that has a closed form on it.

>>> from wgan_jax.games import flow_eigenvalues
>>> game, equilibrium = dirac_gan('wasserstein', r1=2.0), Players(0.0, 0.0)
>>> [round(float(real), 3) for real in flow_eigenvalues(game, equilibrium).real]  # twice -1, a sink
[-1.0, -1.0]
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.games.game import Game
from wgan_jax.types import Array, Players

# The function f by which each kind of GAN reads a score, in max_d E f(d(real)) + E f(-d(fake)), and whether the
# generator maximises E f(d(fake)) in place of minimising E f(-d(fake)).
KINDS = {
    'minimax': (jax.nn.log_sigmoid, False),
    'non_saturating': (jax.nn.log_sigmoid, True),
    'wasserstein': (lambda score: score, False),
}
NODES = 40  # of the Gauss-Hermite quadrature: exact for polynomials up to degree 79


def dirac_gan(
    kind: str = 'minimax',
    *,
    clip: Array | float | None = None,
    gradient_penalty: Array | float = 0.0,
    target: Array | float = 1.0,
    r1: Array | float = 0.0,
    r2: Array | float = 0.0,
    instance_noise: Array | float | None = None,
) -> Game:
    """All data at 0, one fake at theta, and the critic x -> psi x; real scores high.

    V(theta, psi) = E f(psi x) + E f(-psi y) with x ~ N(0, s^2) real, y ~ N(theta, s^2) fake and s the instance noise
    (x = 0, y = theta without it); f(t) = -log(1 + e^{-t}), or f(t) = t for 'wasserstein'. The critic minimises

        -V + gradient_penalty (|psi| - target)^2 + (r1 + r2) psi^2 / 2,

    the generator V, or -E f(psi y) if 'non_saturating'. The equilibrium is theta = psi = 0; the gradient penalty has a
    kink there, at which its gradient is taken to be 0.

    Args:
        kind: 'minimax', 'non_saturating' or 'wasserstein'.
        clip: psi is kept in [-clip, clip].
        gradient_penalty: weight of the penalty on the critic's slope, which is |psi| everywhere.
        target: the slope that penalty aims at.
        r1, r2: weights gamma of the penalties gamma / 2 E |grad f|^2 on real and on fake data.
        instance_noise: standard deviation of the noise on real and fake data alike; the expectation over it is exact
            (Gauss-Hermite quadrature).

    Returns:
        A Game of two numbers.

    Raises:
        ValueError: for an unknown kind, or a clip or a noise that is not positive.

    Source: Mescheder et al. 2018, definition 2.1 and section 4 (with real and fake scores exchanged).
    """
    if kind not in KINDS:
        raise ValueError(f'kind={kind} is unknown; there are: {", ".join(KINDS)}')
    for name, value in (('clip', clip), ('instance_noise', instance_noise)):
        if value is not None and not isinstance(value, jax.core.Tracer) and not np.all(np.asarray(value) > 0):
            raise ValueError(f'{name}={value} must be a positive number')
    f, non_saturating = KINDS[kind]

    def expectation(of, centre):
        if instance_noise is None:
            return of(centre)
        nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
        return jnp.sum(weights / weights.sum() * of(centre + instance_noise * nodes)).astype(jnp.result_type(centre))

    def generator_loss(w):
        if non_saturating:
            return -expectation(lambda y: f(w.critic * y), w.generator)
        return expectation(lambda y: f(-w.critic * y), w.generator)

    def critic_loss(w):
        real = expectation(lambda x: f(w.critic * x), jnp.zeros_like(w.generator))
        fake = expectation(lambda y: f(-w.critic * y), w.generator)
        slope = jnp.sign(w.critic) * w.critic  # |psi| with the subgradient 0 at 0, where JAX takes 1 for that of abs
        penalty = gradient_penalty * (slope - target) ** 2 + (r1 + r2) * w.critic**2 / 2
        return -real - fake + penalty

    game = Game(Players(generator_loss, critic_loss))
    if clip is None:
        return game
    return game._replace(projections=game.projections._replace(critic=lambda psi: jnp.clip(psi, -clip, clip)))


# The variants of the convergence table, by name.
VARIANTS: dict[str, dict[str, Any]] = {
    'minimax': {'kind': 'minimax'},
    'non_saturating': {'kind': 'non_saturating'},
    'wgan_clip': {'kind': 'wasserstein', 'clip': 1.0},
    'wgan_gp': {'kind': 'wasserstein', 'gradient_penalty': 0.7},
    'r1': {'kind': 'minimax', 'r1': 1.0},
    'r2': {'kind': 'minimax', 'r2': 1.0},
    'instance_noise': {'kind': 'minimax', 'instance_noise': 0.7},
}
