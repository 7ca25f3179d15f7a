"""Divergences and the earth mover's distance between probabilities on finitely many bins.

Every function takes the last axis as bins and broadcasts the axes before it. Called plainly, it raises ValueError for
masses that are negative, not finite, or do not add up; under jit, vmap and grad it cannot look at the values and
evaluates the formula as it stands.

>>> found = earth_moves(np.array([3, 1, 0]), np.array([0, 1, 3]))
>>> found.moves, found.work
([Move(source=0, target=2, mass=3.0)], 6.0)
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.distances import checks
from wgan_jax.distances.kinks import absolute, log, log_ratio
from wgan_jax.types import Array, ArrayLike


def _check_masses(p: Any, q: Any) -> None:
    for name, masses in (('p', p), ('q', q)):
        checks.check_masses(name, masses)
    checks.check_totals('p', p, 'q', q)


def _check_probabilities(p: Any, q: Any) -> None:
    for name, masses in (('p', p), ('q', q)):
        checks.check_probabilities(name, masses)


def _checked(formula: Callable[[Array, Array], Array], check: Callable[[Any, Any], None]) -> Callable[..., Array]:
    """The formula, compiled, after a look at its arguments where they can be looked at."""
    run = jax.jit(formula)

    @functools.wraps(formula)
    def checked(p: Any, q: Any) -> Array:
        p, q = checks.as_floats(p, q)
        checks.check_bins(p, q)
        if not checks.is_traced(p, q):
            check(p, q)
        return run(p, q)

    return checked


_of_masses = functools.partial(_checked, check=_check_masses)
_of_probabilities = functools.partial(_checked, check=_check_probabilities)


@_of_probabilities
def total_variation(p: Array, q: Array) -> Array:
    """Total variation: the largest difference in probability that the two give to one event.

    TV(p, q) = sup_A |p(A) - q(A)| = 1/2 sum_i |p_i - q_i|, in [0, 1].

    Args:
        p, q: probabilities, (..., K).

    Returns:
        The distance, (...).

    Raises:
        ValueError: for shapes that do not fit; in a plain call also for what is no probability vector.
    """
    return jnp.sum(absolute(p - q), axis=-1) / 2


@_of_probabilities
def kl_divergence(p: Array, q: Array) -> Array:
    """Kullback-Leibler divergence in nats.

    KL(p || q) = sum_i p_i log(p_i / q_i), with 0 log 0 = 0; infinite where q_i = 0 < p_i.

    An empty bin of p, and one in which the divergence is infinite, has the gradient 0: the derivative there is infinite
    or none, and a NaN would spoil the gradient of every other bin.

    Args:
        p, q: probabilities, (..., K).

    Returns:
        The divergence, (...).

    Raises:
        ValueError: as ``total_variation``.
    """
    both = (p > 0) & _is_positive(q)
    # Both branches of a `where` are differentiated, so the logarithms must not see a zero at all.
    safe_p, safe_q = jnp.where(both, p, 1), jnp.where(both, q, 1)
    terms = safe_p * log_ratio(safe_p, safe_q)
    return jnp.sum(jnp.where(both, terms, jnp.where(p > 0, jnp.inf, 0)), axis=-1)


def _is_positive(q: Array) -> Array:
    """q > 0, also for subnormal numbers, which XLA compares as zeros on a CPU."""
    return log(jax.lax.stop_gradient(q)) > -jnp.inf


@_of_probabilities
def js_divergence(p: Array, q: Array) -> Array:
    """Jensen-Shannon divergence in nats.

    JS(p, q) = 1/2 KL(p || m) + 1/2 KL(q || m), m = (p + q) / 2, in [0, log 2]; symmetric. Its square root is a metric.

    An empty bin has the gradient 0, as for ``kl_divergence``.

    Args:
        p, q: probabilities, (..., K).

    Returns:
        The divergence, (...), never below 0.

    Raises:
        ValueError: as ``total_variation``.
    """
    total = jnp.where(p + q > 0, p + q, 1)
    d = (p - q) / total
    near = jnp.abs(d) < 0.5
    safe_d = jnp.where(near, d, 0)
    # The same sum twice: in d nothing is lost when p and q are close, in logarithms when they are far apart.
    close = total * (safe_d * jnp.arctanh(safe_d) + jnp.log1p(-(safe_d**2)) / 2) / 2
    apart = (_entropy_term(p, total) + _entropy_term(q, total)) / 2
    return jnp.sum(jnp.where(near, close, apart), axis=-1)


def _entropy_term(p: Array, total: Array) -> Array:
    """p log(2 p / total), continued by p where p = 0, which there makes the gradient of the sum above 0."""
    safe_p = jnp.where(p > 0, p, 1)
    return jnp.where(p > 0, p * (jnp.log(2 * safe_p) - jnp.log(total)), p)


@_of_masses
def earth_mover_distance(p: Array, q: Array) -> Array:
    """Work of moving the masses p into the masses q over ordered bins one unit apart.

    W(p, q) = sum_i |s_i| with the running surplus s_i = s_{i-1} + p_i - q_i, which has to be carried from bin i to
    bin i + 1. For probabilities it is the Wasserstein-1 distance between them.

    Args:
        p, q: masses of equal totals, (..., K).

    Returns:
        The work, mass times bins, (...). Divide by the total for the distance between the normalised piles.

    Raises:
        ValueError: for shapes that do not fit; in a plain call also for negative masses and unequal totals.
    """
    return jnp.sum(absolute(jnp.cumsum(p - q, axis=-1)[..., :-1]), axis=-1)


class Move(NamedTuple):
    """A mass that goes from one bin to another.

    Attributes:
        source, target: the bins, counted from 0.
        mass: positive, in the unit of the piles.
    """

    source: int
    target: int
    mass: float


class EarthMoves(NamedTuple):
    """How one pile becomes another.

    Attributes:
        surplus: the running surplus s_i, what crosses from bin i to bin i + 1 (to the left where negative), (K,).
        work: sum |s_i| = sum of mass times |target - source| over the moves.
        moves: a best plan, from left to right; what stays in its bin is not listed.
    """

    surplus: np.ndarray
    work: float
    moves: list[Move]


def earth_moves(p: ArrayLike, q: ArrayLike) -> EarthMoves:
    """The moves of a best plan between masses over ordered bins, with the running surplus.

    What stays (min(p_i, q_i)) stays; the rest goes in order, the first excess to the first need. That is optimal, for
    over each border mass goes in one direction only.

    Args:
        p, q: masses of equal totals, (K,); values, not tracers.

    Returns:
        An ``EarthMoves``.

    Raises:
        ValueError: for negative masses, unequal totals, and arrays with more than one axis.
    """
    if np.ndim(p) != 1 or np.ndim(q) != 1:
        raise ValueError(f'p {np.shape(p)} and q {np.shape(q)} must have one axis to list their moves')
    p, q = np.asarray(p, float), np.asarray(q, float)
    checks.check_bins(p, q)
    _check_masses(p, q)
    surplus = np.cumsum(p - q)
    excess, need = np.maximum(p - q, 0), np.maximum(q - p, 0)
    smallest = 1e-12 * max(p.sum(), q.sum())  # what rounding leaves behind is no move
    moves, source, target = [], 0, 0
    while source < len(p) and target < len(q):
        mass = min(excess[source], need[target])
        if mass > smallest:
            moves.append(Move(source, target, float(mass)))
        excess[source] -= mass
        need[target] -= mass
        if excess[source] <= need[target]:
            source += 1
        else:
            target += 1
    return EarthMoves(surplus, float(np.abs(surplus[:-1]).sum()), moves)
