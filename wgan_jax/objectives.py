"""What critic and generator minimise, as functions of scores.

A score is one real number per image, high where the critic believes the image to be real; for the objectives of the
standard GAN it is the logit of D(x), so that no probability is ever saturated:
log D = -softplus(-score) and log(1 - D) = -softplus(score).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from wgan_jax.types import Array


class Objective(NamedTuple):
    """A pair of losses on scores of shape (N,), both to be minimised, both means over the batch.

    Attributes:
        critic_loss: ``critic_loss(real_scores, fake_scores) -> scalar``.
        generator_loss: ``generator_loss(fake_scores) -> scalar``.
    """

    critic_loss: Callable[[Array, Array], Array]
    generator_loss: Callable[[Array], Array]


def wasserstein_estimate(real_scores: Array, fake_scores: Array) -> Array:
    """E f(real) - E f(fake): the Wasserstein-1 distance when f is the best 1-Lipschitz critic, K times it at most
    when f is K-Lipschitz (Arjovsky et al. 2017, eq. 2).

    Args:
        real_scores, fake_scores: scores, shape (N,).

    Returns:
        A scalar.
    """
    return jnp.mean(real_scores) - jnp.mean(fake_scores)


def _wasserstein_critic(real_scores, fake_scores):
    return -wasserstein_estimate(real_scores, fake_scores)


def _raise_scores(fake_scores):
    return -jnp.mean(fake_scores)


def _cross_entropy(real_scores, fake_scores):
    return jnp.mean(jax.nn.softplus(-real_scores)) + jnp.mean(jax.nn.softplus(fake_scores))


def _log_one_minus_d(fake_scores):
    return -jnp.mean(jax.nn.softplus(fake_scores))


def _minus_log_d(fake_scores):
    return jnp.mean(jax.nn.softplus(-fake_scores))


def _hinge_critic(real_scores, fake_scores):
    return jnp.mean(jax.nn.relu(1 - real_scores)) + jnp.mean(jax.nn.relu(1 + fake_scores))


def _least_squares_critic(real_scores, fake_scores):
    return 0.5 * jnp.mean((real_scores - 1) ** 2) + 0.5 * jnp.mean(fake_scores**2)


def _least_squares_generator(fake_scores):
    return 0.5 * jnp.mean((fake_scores - 1) ** 2)


OBJECTIVES: dict[str, Objective] = {
    # Arjovsky et al. 2017, algorithm 1: max_f E f(real) - E f(fake); the generator raises E f(fake).
    'wasserstein': Objective(_wasserstein_critic, _raise_scores),
    # Goodfellow et al. 2014, eq. 1: max_D E log D(real) + E log(1 - D(fake)), minimised over G.
    'minimax': Objective(_cross_entropy, _log_one_minus_d),
    # The same discriminator; the generator minimises -E log D(fake) (section 3 of the same paper).
    'non_saturating': Objective(_cross_entropy, _minus_log_d),
    # Lim and Ye 2017; Miyato et al. 2018, eq. 16 and 17.
    'hinge': Objective(_hinge_critic, _raise_scores),
    # Mao et al. 2017, eq. 9: targets 0 for fake, 1 for real, 1 for the generator.
    'least_squares': Objective(_least_squares_critic, _least_squares_generator),
}

# Objectives in which a score is the logit of a probability, so that its target can be smoothed.
LOGIT_OBJECTIVES = ('minimax', 'non_saturating')


def label_smoothed(name: str, smoothing: float) -> Objective:
    """An objective of the standard GAN whose target for real samples is 1 - smoothing; that for fake ones stays 0.

    critic_loss = -E[(1 - s) log D(real) + s log(1 - D(real))] - E log(1 - D(fake)), which is s E[score(real)] more than
    without smoothing. The best discriminator is then (1 - s) p_r / (p_r + p_g).

    Args:
        name: of the objective, one of ``LOGIT_OBJECTIVES``.
        smoothing: s, in [0, 1); 0.1 is usual.

    Returns:
        The objective; its generator loss is the plain one.

    Raises:
        ValueError: for another objective or a smoothing outside [0, 1).

    Source: Salimans et al. 2016, section 3.4, https://arxiv.org/abs/1606.03498.
    """
    if name not in LOGIT_OBJECTIVES:
        raise ValueError(f'label smoothing is for {" and ".join(LOGIT_OBJECTIVES)}, not for {name}')
    if not 0 <= smoothing < 1:
        raise ValueError(f'label_smoothing={smoothing} must lie in [0, 1)')
    plain = OBJECTIVES[name]

    def critic_loss(real_scores, fake_scores):
        return plain.critic_loss(real_scores, fake_scores) + smoothing * jnp.mean(real_scores)

    return plain._replace(critic_loss=critic_loss)
