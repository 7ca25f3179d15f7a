"""The games: small ones that show what GAN training does, each an example with a start and an equilibrium by its name.

A new one is a function that returns a Game, and a line in GAMES.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from wgan_jax.games.dirac import VARIANTS, dirac_gan
from wgan_jax.games.game import Game
from wgan_jax.types import Array, ArrayLike, Players, PyTree


def bilinear(matrix: ArrayLike | None = None) -> Game:
    """The g.d game: the generator minimises sum(g d), the critic -sum(g d); with a matrix, g^T A d and -g^T A d.

    The field is (d, -g), or (A d, -A^T g): the flow circles the equilibrium 0 for ever.

    Args:
        matrix: A, (n, m), for a generator (n,) and a critic (m,). Without it both are of one shape, any.

    Returns:
        A Game.

    Raises:
        ValueError: for a matrix that is not one.
    """
    if matrix is None:
        return _zero_sum(lambda w: jnp.sum(w.generator * w.critic))
    if jnp.ndim(matrix) != 2:
        raise ValueError(f'matrix must have two axes, got the shape {jnp.shape(matrix)}')
    return _zero_sum(lambda w: w.generator @ (jnp.asarray(matrix, w.critic.dtype) @ w.critic))


def quadratic(epsilon: Array | float) -> Game:
    """The generator minimises epsilon g^2 / 2 + g d, the critic epsilon d^2 / 2 - g d (sums over their entries).

    A potential of strength epsilon on top of the rotation: the Jacobian's eigenvalues are epsilon +- i.

    Args:
        epsilon: strength of the potential; the equilibrium 0 attracts the flow where it is positive.

    Returns:
        A Game of players of one shape, any.
    """

    def generator_loss(w):
        return jnp.sum(epsilon * w.generator**2 / 2 + w.generator * w.critic)

    def critic_loss(w):
        return jnp.sum(epsilon * w.critic**2 / 2 - w.generator * w.critic)

    return Game(Players(generator_loss, critic_loss))


def gaussian_mean_wgan(mean: ArrayLike) -> Game:
    """A WGAN that learns the mean of N(mean, I): generator x = g + z, critic f(x) = d . x, expectations exact.

    The critic minimises E f(fake) - E f(real) = d . (g - mean), the generator -E f(fake) = -d . g.

    Args:
        mean: (n,); both players are (n,). The equilibrium is g = mean, d = 0.

    Returns:
        A Game.

    Source: Daskalakis et al. 2018, section 2.
    """

    def generator_loss(w):
        return -jnp.sum(w.critic * w.generator)

    def critic_loss(w):
        return jnp.sum(w.critic * (w.generator - jnp.asarray(mean, w.generator.dtype)))

    return Game(Players(generator_loss, critic_loss))


def matching_pennies() -> Game:
    """Each shows heads with the probability sigmoid of its number; the critic wins where the pennies match.

    The generator minimises (2 p - 1)(2 q - 1) = tanh(g / 2) tanh(d / 2), the critic its negative. The flow conserves
    cosh g + cosh d; the equilibrium is p = q = 1/2.

    Returns:
        A Game of two numbers (sums over the entries, if there are more).
    """
    return _zero_sum(lambda w: jnp.sum(jnp.tanh(w.generator / 2) * jnp.tanh(w.critic / 2)))


def _zero_sum(loss: Callable[[Players[PyTree]], Array]) -> Game:
    return Game(Players(loss, lambda w: -loss(w)))


class Example(NamedTuple):
    """A game with a place to begin and the place where it would end.

    Attributes:
        game: the game.
        start: Players of NumPy arrays.
        equilibrium: Players of NumPy arrays of the same shapes, where no player wants to move.
        smooth: whether the field has a Jacobian at the equilibrium.
    """

    game: Game
    start: Players[PyTree]
    equilibrium: Players[PyTree]
    smooth: bool = True


def _numbers(generator: float, critic: float) -> Players[PyTree]:
    return Players(np.float64(generator), np.float64(critic))


def _bilinear_matrix() -> Example:
    # Singular values 1 and 1/2: the second pair of numbers circles half as fast.
    matrix = np.array([[0.6, -0.4], [0.8, 0.3]])
    return Example(bilinear(matrix), Players(np.ones(2), np.ones(2)), Players(np.zeros(2), np.zeros(2)))


def _gaussian_mean() -> Example:
    mean = np.array([2.0, -1.0])
    return Example(gaussian_mean_wgan(mean), Players(np.zeros(2), np.zeros(2)), Players(mean, np.zeros(2)))


def _dirac(**options: Any) -> Example:
    return Example(dirac_gan(**options), _numbers(1, -1), _numbers(0, 0), not options.get('gradient_penalty'))


# What reads the options' names finds them.
_dirac.__signature__ = inspect.signature(dirac_gan)  # type: ignore[attr-defined]


GAMES: dict[str, Callable[..., Example]] = {
    'bilinear': lambda: Example(bilinear(), _numbers(1, 1), _numbers(0, 0)),
    'bilinear_matrix': _bilinear_matrix,
    'quadratic': lambda epsilon=0.5: Example(quadratic(epsilon), _numbers(1, 1), _numbers(0, 0)),
    'gaussian_mean_wgan': _gaussian_mean,
    'matching_pennies': lambda: Example(matching_pennies(), _numbers(1, 1), _numbers(0, 0)),
    **{f'dirac_{name}': functools.partial(_dirac, **options) for name, options in VARIANTS.items()},
}
