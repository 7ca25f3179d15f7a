"""What critic and generator minimise, as functions of scores.

A score is one real number per image, high where the critic believes the image to be real; for the objectives of the
standard GAN it is the logit of D(x), so that no probability is ever saturated:
log D = -softplus(-score) and log(1 - D) = -softplus(score).

``OBJECTIVES`` has them by name; ``help(OBJECTIVES['hinge'].critic_loss)`` shows the equation of a loss.

>>> import jax.numpy as jnp
>>> real, fake = jnp.array([3.0, 5.0]), jnp.array([1.0, 2.0])
>>> float(OBJECTIVES['wasserstein'].critic_loss(real, fake))
-2.5
>>> undecided = jnp.zeros(3)  # D = 1/2 everywhere, at the cost of log 4
>>> [round(float(OBJECTIVES[name].critic_loss(undecided, undecided)), 4) for name in ('minimax', 'hinge')]
[1.3863, 2.0]
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from wgan_jax.types import Array


class Objective(NamedTuple):
    """A pair of losses on scores of shape (N,), both to be minimised, both means over the batch.

    The equation of each stands in its own docstring.

    Attributes:
        critic_loss: ``critic_loss(real_scores, fake_scores) -> scalar``.
        generator_loss: ``generator_loss(fake_scores) -> scalar``, or ``generator_loss(fake_scores, real_scores)`` where
            ``paired``.
        paired: whether the generator's loss needs the scores of as many real examples, of which its updates then draw a
            batch of their own.
    """

    critic_loss: Callable[[Array, Array], Array]
    generator_loss: Callable[..., Array]
    paired: bool = False


def wasserstein_estimate(real_scores: Array, fake_scores: Array) -> Array:
    """The critic's estimate of the Wasserstein-1 distance: E f(real) - E f(fake).

    It is the distance when f is the best 1-Lipschitz critic, and K times it at most when f is K-Lipschitz.

    Args:
        real_scores, fake_scores: f of either batch, (N,).

    Returns:
        A scalar, in score units.

    Source: Arjovsky et al. 2017, eq. 2, https://arxiv.org/abs/1701.07875.
    """
    return jnp.mean(real_scores) - jnp.mean(fake_scores)


def wasserstein_critic_loss(real_scores: Array, fake_scores: Array) -> Array:
    """The loss of a WGAN's critic, minus its estimate of the distance.

    L = E f(fake) - E f(real)

    Args:
        real_scores, fake_scores: f of either batch, (N,).

    Returns:
        A scalar.

    Source: Arjovsky et al. 2017, algorithm 1, https://arxiv.org/abs/1701.07875.
    """
    return -wasserstein_estimate(real_scores, fake_scores)


def negative_mean_score(fake_scores: Array, real_scores: Array | None = None) -> Array:
    """The loss of a generator that raises the scores of its samples, in a WGAN and under the hinge loss.

    L = -E f(fake)

    Args:
        fake_scores: f of the generated batch, (N,).
        real_scores: not used; the argument makes losses interchangeable.

    Returns:
        A scalar.

    Source: Arjovsky et al. 2017, algorithm 1, https://arxiv.org/abs/1701.07875; Miyato et al. 2018, eq. 17.
    """
    del real_scores
    return -jnp.mean(fake_scores)


def cross_entropy_critic_loss(real_scores: Array, fake_scores: Array) -> Array:
    """The loss of the standard GAN's discriminator D = sigmoid(f), whatever its generator minimises.

    L = -E log D(real) - E log(1 - D(fake)) = E softplus(-f(real)) + E softplus(f(fake)), log 4 where D = 1/2.

    Args:
        real_scores, fake_scores: f, the logits of D, of either batch, (N,).

    Returns:
        A scalar, in nats.

    Source: Goodfellow et al. 2014, eq. 1, https://arxiv.org/abs/1406.2661.
    """
    return jnp.mean(jax.nn.softplus(-real_scores)) + jnp.mean(jax.nn.softplus(fake_scores))


def minimax_generator_loss(fake_scores: Array, real_scores: Array | None = None) -> Array:
    """The loss of the standard GAN's generator that minimises what the discriminator D = sigmoid(f) maximises.

    L = E log(1 - D(fake)) = -E softplus(f(fake)); its slope sigmoid(f) vanishes where D is sure of a fake.

    Args:
        fake_scores: f, the logits of D, of the generated batch, (N,).
        real_scores: not used; the argument makes losses interchangeable.

    Returns:
        A scalar, in nats.

    Source: Goodfellow et al. 2014, eq. 1, https://arxiv.org/abs/1406.2661.
    """
    del real_scores
    return -jnp.mean(jax.nn.softplus(fake_scores))


def non_saturating_generator_loss(fake_scores: Array, real_scores: Array | None = None) -> Array:
    """The loss of the standard GAN's generator whose slope does not vanish where D = sigmoid(f) is sure of a fake.

    L = -E log D(fake) = E softplus(-f(fake))

    Args:
        fake_scores: f, the logits of D, of the generated batch, (N,).
        real_scores: not used; the argument makes losses interchangeable.

    Returns:
        A scalar, in nats.

    Source: Goodfellow et al. 2014, section 3, https://arxiv.org/abs/1406.2661.
    """
    del real_scores
    return jnp.mean(jax.nn.softplus(-fake_scores))


def hinge_critic_loss(real_scores: Array, fake_scores: Array) -> Array:
    """The hinge loss: only real samples scored below 1 and fake ones above -1 count.

    L = E max(0, 1 - f(real)) + E max(0, 1 + f(fake))

    Args:
        real_scores, fake_scores: f of either batch, (N,).

    Returns:
        A scalar.

    Source: Lim and Ye 2017, https://arxiv.org/abs/1705.02894; Miyato et al. 2018, eq. 16.
    """
    return jnp.mean(jax.nn.relu(1 - real_scores)) + jnp.mean(jax.nn.relu(1 + fake_scores))


def least_squares_critic_loss(real_scores: Array, fake_scores: Array) -> Array:
    """The least squares of scores to their targets, 1 for real samples and 0 for fake ones.

    L = E (f(real) - 1)^2 / 2 + E f(fake)^2 / 2

    Args:
        real_scores, fake_scores: f of either batch, (N,).

    Returns:
        A scalar.

    Source: Mao et al. 2017, eq. 9, https://arxiv.org/abs/1611.04076.
    """
    return 0.5 * jnp.mean((real_scores - 1) ** 2) + 0.5 * jnp.mean(fake_scores**2)


def least_squares_generator_loss(fake_scores: Array, real_scores: Array | None = None) -> Array:
    """The least squares of the scores of generated samples to the target of real ones, 1.

    L = E (f(fake) - 1)^2 / 2

    Args:
        fake_scores: f of the generated batch, (N,).
        real_scores: not used; the argument makes losses interchangeable.

    Returns:
        A scalar.

    Source: Mao et al. 2017, eq. 9, https://arxiv.org/abs/1611.04076.
    """
    del real_scores
    return 0.5 * jnp.mean((fake_scores - 1) ** 2)


def relativistic_critic_loss(real_scores: Array, fake_scores: Array) -> Array:
    """The loss of a discriminator that tells of each pair which one is real: f(real) - f(fake) is the logit.

    L = E softplus(-(f(real_n) - f(fake_n))), log 2 where it cannot tell

    The logit does not change when all scores do by one number: a fake sample is held against the real one beside it,
    wherever that lies, and not against a border between all real and all fake ones.

    Args:
        real_scores, fake_scores: f of either batch, (N,); the n-th of one is paired with the n-th of the other.

    Returns:
        A scalar, in nats.

    Source: Jolicoeur-Martineau 2019, eq. 5, https://arxiv.org/abs/1807.00734; Huang et al. 2024 (R3GAN), eq. 2,
    https://arxiv.org/abs/2501.05441.
    """
    return jnp.mean(jax.nn.softplus(fake_scores - real_scores))


def relativistic_generator_loss(fake_scores: Array, real_scores: Array | None = None) -> Array:
    """The loss of a generator whose samples shall be taken for real rather than the real ones beside them.

    L = E softplus(-(f(fake_n) - f(real_n)))

    Args:
        fake_scores, real_scores: f of either batch, (N,); the n-th of one is paired with the n-th of the other.

    Returns:
        A scalar, in nats.

    Raises:
        ValueError: without real scores.

    Source: as ``relativistic_critic_loss``.
    """
    if real_scores is None:
        raise ValueError('the relativistic loss compares pairs: pass real_scores besides fake_scores')
    return jnp.mean(jax.nn.softplus(real_scores - fake_scores))


OBJECTIVES: dict[str, Objective] = {
    'wasserstein': Objective(wasserstein_critic_loss, negative_mean_score),
    'minimax': Objective(cross_entropy_critic_loss, minimax_generator_loss),
    'non_saturating': Objective(cross_entropy_critic_loss, non_saturating_generator_loss),
    'hinge': Objective(hinge_critic_loss, negative_mean_score),
    'least_squares': Objective(least_squares_critic_loss, least_squares_generator_loss),
    'relativistic': Objective(relativistic_critic_loss, relativistic_generator_loss, paired=True),
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

    def critic_loss(real_scores: Array, fake_scores: Array) -> Array:
        return plain.critic_loss(real_scores, fake_scores) + smoothing * jnp.mean(real_scores)

    return plain._replace(critic_loss=critic_loss)
