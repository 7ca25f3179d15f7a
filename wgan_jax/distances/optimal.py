"""What the best discriminator and the best critic do between two Gaussians, and what they hand to a generator.

The generator is a Gaussian whose mean moves. A slope is the derivative of its loss in that mean with the discriminator
or critic held fixed at its optimum, as in training: only the expectation over the generator's samples is
differentiated. All functions work under jit, vmap and grad, and raise ValueError in a plain call for standard
deviations that are not positive.

>>> real, fake = (1.0, 1.0), (-1.0, 1.0)  # means and standard deviations
>>> float(optimal_logit(0.5, *real, *fake)), float(optimal_critic(0.5, *real, *fake))
(1.0, 0.5)
>>> float(wasserstein_gradient(*real, -100.0, 1.0)), float(minimax_gradient(*real, -100.0, 1.0))
(-1.0, -0.0)
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from wgan_jax.distances.gaussians import FLAT, compiled, gaussian_js, parameters
from wgan_jax.distances.kinks import absolute, log_ratio
from wgan_jax.distances.quadrature import log_densities, nodes, standardise
from wgan_jax.distances.quadrature import log_ratio as densities_log_ratio
from wgan_jax.types import Array, ArrayLike


def optimal_logit(
    x: ArrayLike, mean_real: ArrayLike, std_real: ArrayLike, mean_fake: ArrayLike, std_fake: ArrayLike
) -> Array:
    """Logit of the best discriminator D* = p_r / (p_r + p_g): log p_r(x) - log p_g(x).

    For equal widths it is the line (mean_r - mean_g) (x - (mean_r + mean_g) / 2) / std^2.

    Args:
        x: where, any shape that broadcasts with the others.
        mean_real, std_real, mean_fake, std_fake: of the two Gaussians.

    Returns:
        The logit; D* is its sigmoid.

    Raises:
        ValueError: in a plain call, for parameters that are not finite or a standard deviation <= 0.

    Source: Goodfellow et al. 2014, proposition 1.
    """
    mean_real, std_real, mean_fake, std_fake = parameters(mean_real, std_real, mean_fake, std_fake)
    real, fake = (x - mean_real) / std_real, (x - mean_fake) / std_fake
    apart = _apart(x, mean_real, std_real, mean_fake, std_fake)
    return apart * (fake + real) / 2 - log_ratio(std_real, std_fake)


def _apart(x, mean_real, std_real, mean_fake, std_fake):
    """(x - mean_fake) / std_fake - (x - mean_real) / std_real, written so that close Gaussians do not cancel."""
    return (x - mean_real) / std_real * ((std_real - std_fake) / std_fake) + (mean_real - mean_fake) / std_fake


def optimal_critic(
    x: ArrayLike, mean_real: ArrayLike, std_real: ArrayLike, mean_fake: ArrayLike, std_fake: ArrayLike
) -> Array:
    """The best 1-Lipschitz critic on the line, 0 in the middle between the means.

    f'(x) = sign(F_g(x) - F_r(x)) with the distribution functions F: the mass crosses x towards the real side. For two
    Gaussians the sign changes once at most, where both have the same quantile, so f is a line or a bent one.

    Args:
        x, mean_real, std_real, mean_fake, std_fake: as for ``optimal_logit``.

    Returns:
        f(x), high on the real side, in the unit of x. E_r f - E_g f = W_1.

    Raises:
        ValueError: as ``optimal_logit``.
    """
    mean_real, std_real, mean_fake, std_fake = parameters(mean_real, std_real, mean_fake, std_fake)
    middle = (mean_real + mean_fake) / 2
    # Slope of the difference of quantiles, whose sign is that of F_g - F_r.
    slope = (std_real - std_fake) / std_fake / std_real
    there, here = (_apart(z, mean_real, std_real, mean_fake, std_fake) for z in (x, middle))
    same_side = there * here >= 0
    bent = (jnp.abs(there) - jnp.abs(here)) / jnp.where(same_side, 1, slope)
    side = jnp.where(here != 0, jnp.sign(here), jnp.sign(there))
    return jnp.where(same_side, side * (x - middle), bent)


def optimal_value(mean_real: ArrayLike, std_real: ArrayLike, mean_fake: ArrayLike, std_fake: ArrayLike) -> Array:
    """What the best discriminator reaches, E_r log D* + E_g log(1 - D*) = 2 JS - log 4.

    Args:
        mean_real, std_real, mean_fake, std_fake: of the two Gaussians.

    Returns:
        The value, -log 4 for equal distributions and at most 0.

    Raises:
        ValueError: as ``optimal_logit``.

    Source: Goodfellow et al. 2014, theorem 1.
    """
    return 2 * gaussian_js(mean_real, std_real, mean_fake, std_fake) - jnp.log(4.0)


@compiled
def minimax_gradient(mean_real: Array, std_real: Array, mean_fake: Array, std_fake: Array) -> Array:
    """Derivative of E_g log(1 - D*) in mean_fake with D* fixed, - E_g D*(x) l'(x) with its logit l.

    For equal widths its size is 2 dJS/d delta, which vanishes as the Gaussians part.

    Args:
        mean_real, std_real, mean_fake, std_fake: of the two Gaussians, (...).

    Returns:
        The slope, (...): positive where a larger mean_fake raises the loss.

    Raises:
        ValueError: as ``optimal_logit``.
    """
    sign, log_size = _slope(mean_real, std_real, mean_fake, std_fake, jax.nn.log_sigmoid)
    return sign * jnp.exp(log_size)


@compiled
def minimax_log_gradient(mean_real: Array, std_real: Array, mean_fake: Array, std_fake: Array) -> Array:
    """Logarithm of the size of ``minimax_gradient``, also where that underflows.

    Args:
        mean_real, std_real, mean_fake, std_fake: of the two Gaussians, (...).

    Returns:
        log |E_g D*(x) l'(x)|, (...); -inf for a slope of 0.

    Raises:
        ValueError: as ``optimal_logit``.
    """
    return _slope(mean_real, std_real, mean_fake, std_fake, jax.nn.log_sigmoid)[1]


@compiled
def non_saturating_gradient(mean_real: Array, std_real: Array, mean_fake: Array, std_fake: Array) -> Array:
    """Derivative of -E_g log D* in mean_fake with D* fixed, - E_g (1 - D*(x)) l'(x) with its logit l.

    For equal widths its size is dKL/d delta - 2 dJS/d delta, which grows as the Gaussians part.

    Args:
        mean_real, std_real, mean_fake, std_fake: of the two Gaussians, (...).

    Returns:
        The slope, (...).

    Raises:
        ValueError: as ``optimal_logit``.
    """
    sign, log_size = _slope(mean_real, std_real, mean_fake, std_fake, lambda logit: jax.nn.log_sigmoid(-logit))
    return sign * jnp.exp(log_size)


def _slope(mean_real, std_real, mean_fake, std_fake, log_weight):
    """Sign and log of the size of -E_g w(l(x)) l'(x)."""
    real_is_narrow, unit, sign, m, s, t = standardise(mean_real, std_real, mean_fake, std_fake)
    z, weights = nodes(m, s, t)
    narrow, wide = log_densities(z, m, s)
    logit = densities_log_ratio(z, m, s, t)
    real_is_narrow, m, s, t = (array[..., None] for array in (real_is_narrow, m, s, t))
    log_fake, logit = jnp.where(real_is_narrow, wide, narrow), jnp.where(real_is_narrow, logit, -logit)
    slope = -(z * (t / s) * ((s + 1) / s) + m / s / s)  # of the log-ratio of the narrow density to the wide one
    logit_slope = jnp.where(real_is_narrow, slope, -slope)
    log_size, side = logsumexp(log_fake + log_weight(logit), b=-(weights / s) * logit_slope, axis=-1, return_sign=True)
    return side * sign, log_size + jnp.log(s[..., 0]) - jnp.log(unit)


@compiled
def wasserstein_gradient(mean_real: Array, std_real: Array, mean_fake: Array, std_fake: Array) -> Array:
    """Derivative of -E_g f in mean_fake with the best critic f fixed, - E_g sign(F_g - F_r): dW_1/d mean_fake.

    For equal widths it is the sign of mean_fake - mean_real, however far apart they are.

    Args:
        mean_real, std_real, mean_fake, std_fake: of the two Gaussians, (...).

    Returns:
        The slope in [-1, 1], (...).

    Raises:
        ValueError: as ``optimal_logit``.
    """
    delta, s = mean_fake - mean_real, absolute(std_real - std_fake)
    bent = (s > 0) & (jnp.abs(delta) < FLAT * s)
    t = jnp.where(bent, delta, 0) / jnp.where(bent, s, 1)
    return jnp.where(bent, jax.scipy.special.erf(t / jnp.sqrt(2.0)), jnp.sign(delta))
