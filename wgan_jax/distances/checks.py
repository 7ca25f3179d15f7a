"""Looking at arrays where they enter from Python, and what an array of floats is here.

A value can be looked at only outside a transformation. Under jit, vmap or grad the values of an argument are unknown
while the function runs, so only shapes are checked there and the formula is evaluated as it stands.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.types import Array

TOTAL_TOLERANCE = 1e-5  # by which totals may differ, relatively: room for sums in float32


def is_traced(*arrays: Any) -> bool:
    """Whether a transformation (jit, vmap, grad) hides the values of any of the arrays; None hides nothing."""
    return any(isinstance(array, jax.core.Tracer) for array in arrays)


def as_floats(*arrays: Any) -> list[Array]:
    """The arrays as JAX arrays of one floating-point type, float32 or wider."""
    given = [np.asarray(array) if isinstance(array, (list, tuple)) else array for array in arrays]
    dtype = jnp.result_type(*given)
    if not jnp.issubdtype(dtype, jnp.floating):
        dtype = jnp.result_type(float)
    dtype = jnp.promote_types(dtype, jnp.float32)
    return [jnp.asarray(array, dtype) for array in given]


def check_finite(name: str, values: Any) -> None:
    """Raises ValueError where a value is NaN or infinite, naming the first."""
    values = np.asarray(values)
    finite = np.isfinite(values)
    if not finite.all():
        where = np.unravel_index(np.argmin(finite), values.shape)
        raise ValueError(f'{name}{_index(where)} is {values[where]}: every value must be finite')


def check_masses(name: str, masses: Any) -> None:
    """Raises ValueError where a mass is negative, NaN or infinite, or where all are zero."""
    masses = np.asarray(masses)
    check_finite(name, masses)
    if (masses < 0).any():
        where = np.unravel_index(np.argmin(masses), masses.shape)
        raise ValueError(f'{name}{_index(where)} is {masses[where]}: masses must not be negative')
    empty = masses.sum(axis=-1, dtype=np.float64) == 0
    if empty.any():
        where = np.unravel_index(np.argmax(empty), empty.shape)
        raise ValueError(f'{name}{_index(where)} has no mass: at least one entry must be positive')


def check_probabilities(name: str, masses: Any) -> None:
    """Raises ValueError unless the last axis holds probabilities that sum to one."""
    check_masses(name, masses)
    totals = np.asarray(masses).sum(axis=-1, dtype=np.float64)
    wrong = np.abs(totals - 1) > TOTAL_TOLERANCE
    if wrong.any():
        where = np.unravel_index(np.argmax(wrong), totals.shape)
        raise ValueError(f'{name}{_index(where)} sums to {totals[where]:.6g}, not 1: divide it by its sum')


def check_totals(p_name: str, p: Any, q_name: str, q: Any) -> None:
    """Raises ValueError unless both have the same total along the last axis, leading axes broadcast."""
    totals = np.broadcast_arrays(*(np.asarray(masses).sum(axis=-1, dtype=np.float64) for masses in (p, q)))
    wrong = np.abs(totals[0] - totals[1]) > TOTAL_TOLERANCE * np.maximum(*totals)
    if wrong.any():
        where = np.unravel_index(np.argmax(wrong), wrong.shape)
        raise ValueError(
            f'{p_name} and {q_name} have unequal totals, {totals[0][where]:.9g} and {totals[1][where]:.9g}'
            f'{" at " + _index(where) if where else ""}: mass cannot appear or vanish on the way'
        )


def check_bins(p: Array | np.ndarray, q: Array | np.ndarray) -> None:
    """Raises ValueError unless p and q have the same number of bins, at least one, and leading axes that broadcast."""
    if p.ndim == 0 or q.ndim == 0 or p.shape[-1] != q.shape[-1] or p.shape[-1] == 0:
        raise ValueError(f'p {p.shape} and q {q.shape} need the same number of bins, at least one, on their last axis')
    try:
        np.broadcast_shapes(p.shape, q.shape)
    except ValueError:
        raise ValueError(f'the leading axes of p {p.shape} and q {q.shape} do not broadcast') from None


def check_clouds(x: Any, y: Any, x_weights: Any, y_weights: Any) -> None:
    """Raises ValueError unless x (n, d) and y (m, d) are clouds with one weight a point, or None.

    Of arrays whose values can be looked at, points must be finite and weights proper masses of equal totals.
    """
    if np.ndim(x) != 2 or np.ndim(y) != 2 or np.shape(x)[1] != np.shape(y)[1] or 0 in (*np.shape(x), *np.shape(y)):
        raise ValueError(f'x {np.shape(x)} and y {np.shape(y)} must be clouds (n, d) and (m, d) with n, m, d >= 1')
    for name, cloud, weights in (('x', x, x_weights), ('y', y, y_weights)):
        n = np.shape(cloud)[0]
        if weights is not None and np.shape(weights) != (n,):
            raise ValueError(f'{name}_weights {np.shape(weights)} must have one weight a point, ({n},)')
        if not is_traced(cloud):
            check_finite(name, cloud)
        if weights is not None and not is_traced(weights):
            check_masses(f'{name}_weights', weights)
    if x_weights is not None and y_weights is not None and not is_traced(x_weights, y_weights):
        check_totals('x_weights', x_weights, 'y_weights', y_weights)


def check_order(p: Any) -> float:
    """The order p of a Wasserstein distance as a float. Raises ValueError unless it is a finite number >= 1."""
    is_number = not is_traced(p) and bool(np.isscalar(p))
    if not is_number or not 1 <= p < np.inf:
        raise ValueError(f'p={p} must be a finite Python number >= 1, not a traced one')
    return float(p)


def _index(where: tuple) -> str:
    return f'[{", ".join(str(int(i)) for i in where)}]' if where else ''
