"""Wasserstein distances between samples that need no search: on the line, where sorting is optimal, and sliced.

>>> x = np.array([5.0, 0.0, 1.0])
>>> float(wasserstein_1d(x, x + 2)), float(wasserstein_1d(x, x + 2, p=3))
(2.0, 2.0)
>>> float(wasserstein_1d(np.array([0.0, 4.0]), np.array([1.0]), x_weights=np.array([0.75, 0.25])))
1.5
>>> cloud = np.eye(2)
>>> distance = sliced_wasserstein(cloud, cloud + 1, jax.random.key(0), num_projections=10_000)
>>> round(float(distance), 1)  # |(1, 1)| / sqrt(2)
1.0
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax import memory
from wgan_jax.distances import checks
from wgan_jax.distances.kinks import absolute, out_of_the_subnormal
from wgan_jax.distances.sorting import sort
from wgan_jax.ranges import whole
from wgan_jax.types import Array, ArrayLike, Key

SLIVER = 16  # roundings of a level that two ways of adding up to it may be apart


def wasserstein_1d(
    x: ArrayLike, y: ArrayLike, *, p: float = 1, x_weights: ArrayLike | None = None, y_weights: ArrayLike | None = None
) -> Array:
    """Wasserstein distance W_p between samples on the line, exact.

    W_p = (integral over u in [0, 1] of |F_x^-1(u) - F_y^-1(u)|^p)^(1/p) with the quantile functions F^-1: without
    weights and for equal sizes (1/n sum_i |x_(i) - y_(i)|^p)^(1/p) with the samples sorted.

    A plain call on arrays of the CPU sorts with NumPy, which is many times faster than XLA's sort there. A call under
    a transformation, or on arrays of an accelerator, is traced and compiled. Both give the same to rounding.

    Args:
        x, y: samples, (..., n) and (..., m); leading axes broadcast.
        p: the order, a finite Python number >= 1.
        x_weights, y_weights: masses of the samples, (..., n) and (..., m), not negative, of equal totals; only their
            proportions count. None for equal masses.

    Returns:
        The distance in the unit of the samples, (...).

    Raises:
        ValueError: for shapes that do not fit, an empty sample, p < 1; in a plain call also for values that are not
            finite and weights that are negative or have unequal totals. A traced call does not look at values.

    Source: Villani, Topics in Optimal Transportation, 2003, theorem 2.18.
    """
    p = checks.check_order(p)
    given = [array for array in (x, y, x_weights, y_weights) if array is not None]
    _check_shapes(x, y, x_weights, y_weights)
    if checks.is_traced(*given):
        return _compiled(p, x, y, x_weights, y_weights)
    _check_values(x_weights, y_weights)
    if any(isinstance(array, jax.Array) and array.devices() != _cpu(array) for array in given):
        for name, array in (('x', x), ('y', y)):
            if not jnp.isfinite(array).all():
                checks.check_finite(name, array)
        return _compiled(p, x, y, x_weights, y_weights)
    return _with_numpy(p, x, y, x_weights, y_weights)


def sliced_wasserstein(x: ArrayLike, y: ArrayLike, key: Key, *, num_projections: int, p: float = 2) -> Array:
    """Sliced Wasserstein distance: W_p between the projections on random lines, averaged over the lines.

    SW_p = (mean over theta of W_p(<theta, x>, <theta, y>)^p)^(1/p), theta uniform on the unit sphere. For a
    translation by v in R^d, SW_2 = |v| / sqrt(d).

    Args:
        x, y: point clouds, (n, d) and (m, d).
        key: draws the directions.
        num_projections: how many lines, >= 1.
        p: the order, a finite Python number >= 1.

    Returns:
        The distance in the unit of the points, a scalar.

    Raises:
        ValueError: for clouds that are empty, of different dimensions or not of two axes, for num_projections < 1 or
            too many for memory, and as ``wasserstein_1d``.

    Source: Bonneel et al. 2015, definition 6.
    """
    p = checks.check_order(p)
    checks.check_clouds(x, y, None, None)
    whole(1).check('num_projections', num_projections)
    points = np.shape(x)[0] + np.shape(y)[0] + 2 * np.shape(x)[1]
    memory.require(8 * num_projections * points, f'num_projections={num_projections}', 'use fewer')
    distances = wasserstein_1d(*_projections(key, *checks.as_floats(x, y), num_projections), p=p)
    return _mean_over_lines(distances, p)


@functools.partial(jax.jit, static_argnums=3)
def _projections(key: Key, x: Array, y: Array, num: int) -> tuple[Array, Array]:
    directions = jax.random.normal(key, (num, x.shape[1]), x.dtype)
    directions /= jnp.linalg.norm(directions, axis=1, keepdims=True)
    project = functools.partial(jnp.matmul, directions, precision='highest')
    return project(x.T), project(y.T)


@functools.partial(jax.jit, static_argnums=1)
def _mean_over_lines(distances: Array, p: float) -> Array:
    return _power_mean(jnp, distances, 1 / len(distances), p)


def _cpu(array: jax.Array) -> set:
    return {device for device in array.devices() if device.platform == 'cpu'}


def _check_shapes(x: Any, y: Any, x_weights: Any, y_weights: Any) -> None:
    for name, array in (('x', x), ('y', y)):
        if np.ndim(array) == 0 or np.shape(array)[-1] == 0:
            raise ValueError(f'{name} {np.shape(array)} must have at least one sample on its last axis')
    for name, array, weights in (('x', x, x_weights), ('y', y, y_weights)):
        if weights is not None and (np.ndim(weights) == 0 or np.shape(weights)[-1] != np.shape(array)[-1]):
            raise ValueError(f'{name}_weights {np.shape(weights)} must have one weight a sample of {np.shape(array)}')
    leading = [np.shape(array)[:-1] for array in (x, y, x_weights, y_weights) if array is not None]
    try:
        np.broadcast_shapes(*leading)
    except ValueError:
        raise ValueError(f'the leading axes {leading} of the samples and weights do not broadcast') from None


def _check_values(x_weights: Any, y_weights: Any) -> None:
    for name, weights in (('x_weights', x_weights), ('y_weights', y_weights)):
        if weights is not None:
            checks.check_masses(name, weights)
    if x_weights is not None and y_weights is not None:
        checks.check_totals('x_weights', x_weights, 'y_weights', y_weights)


def _with_numpy(p: float, *arrays: Any) -> Array:
    """The distance by NumPy, in the type that JAX would give it."""
    given = [np.asarray(array) for array in arrays if array is not None]
    dtype = checks.as_floats(*(np.empty(0, array.dtype) for array in given))[0].dtype
    distance = distance_on_the_line(p, *arrays)
    if not np.isfinite(distance).all():  # cheaper to see here than in the samples
        for name, array in zip('xy', given, strict=False):
            checks.check_finite(name, array)
    return jnp.asarray(distance, dtype)


def distance_on_the_line(p: float, x: Any, y: Any, x_weights: Any, y_weights: Any) -> np.ndarray:
    """``wasserstein_1d`` by NumPy with sums in float64, unchecked, with all its arguments."""
    arrays = [None if a is None else np.asarray(a) for a in (x, y, x_weights, y_weights)]
    arrays = [a if a is None or a.dtype == np.float32 else a.astype(np.float64) for a in arrays]
    return _distance(np, lambda a: np.sort(a, axis=-1), p, *arrays)


def _distance_of(p: float, *arrays: Any) -> Array:
    floats = iter(checks.as_floats(*(array for array in arrays if array is not None)))
    return _distance(jnp, sort, p, *(None if array is None else next(floats) for array in arrays))


_compiled = jax.jit(_distance_of, static_argnums=0)


def _distance(xp: Any, sort_last: Any, p: float, x: Any, y: Any, x_weights: Any, y_weights: Any) -> Any:
    """W_p with the functions of ``xp``, NumPy or its double in JAX."""
    gap = np.abs if xp is np else absolute
    if x_weights is None and y_weights is None:
        x_sorted, y_sorted = sort_last(x), sort_last(y)
        if x.shape[-1] == y.shape[-1]:
            return _power_mean(xp, gap(x_sorted - y_sorted), 1 / x.shape[-1], p)
        at_x, at_y, widths = _common_quantiles(x.shape[-1], y.shape[-1])
        return _power_mean(xp, gap(x_sorted[..., at_x] - y_sorted[..., at_y]), widths.astype(x.dtype), p)
    x_sorted, x_masses, x_levels = _quantile_levels(xp, x, x_weights)
    y_sorted, y_masses, y_levels = _quantile_levels(xp, y, y_weights)
    y_levels = _rescale(y_levels, x_levels)
    leading = np.broadcast_shapes(x_levels[0].shape[:-1], y_levels[0].shape[:-1])
    high, low = (
        xp.concatenate([xp.broadcast_to(a, (*leading, a.shape[-1])) for a in pair], axis=-1)
        for pair in zip(x_levels, y_levels, strict=True)
    )
    order = xp.lexsort((low, high), axis=-1)
    high, low = (xp.take_along_axis(a, order, axis=-1) for a in (high, low))
    widths = sum(xp.diff(a, axis=-1, prepend=xp.zeros_like(a[..., :1])) for a in (high, low))
    # Up to a level, as many quantiles of x are used up as levels of x lie before it.
    from_x = order < x.shape[-1]
    at_x = xp.minimum(xp.cumsum(from_x, axis=-1) - from_x, x.shape[-1] - 1)
    at_y = xp.minimum(xp.cumsum(~from_x, axis=-1) - ~from_x, y.shape[-1] - 1)

    def at(values, places):
        leading = np.broadcast_shapes(values.shape[:-1], places.shape[:-1])
        values, places = (xp.broadcast_to(a, (*leading, a.shape[-1])) for a in (values, places))
        return xp.take_along_axis(values, places, axis=-1)

    # A sliver is a width that the rounding of the masses explains, and no small mass.
    epsilon = max(float(np.finfo(w.dtype).eps) for w in (x_weights, y_weights) if w is not None)
    masses = xp.minimum(at(x_masses, at_x), at(y_masses, at_y))
    sliver = (widths < SLIVER * epsilon * high) & (widths < masses / 64)
    widths = xp.where((widths > 0) & ~sliver, widths, 0)
    return _power_mean(xp, gap(at(x_sorted, at_x) - at(y_sorted, at_y)), widths, p)


def _quantile_levels(xp: Any, x: Any, weights: Any) -> tuple[Any, Any, tuple[Any, Any]]:
    """The samples in order, their shares of the mass, and the share up to each, as a float and what it lacks."""
    if weights is None:
        weights = xp.ones(x.shape[-1:], x.dtype)
    leading = np.broadcast_shapes(x.shape[:-1], weights.shape[:-1])
    x, weights = (xp.broadcast_to(a, (*leading, a.shape[-1])) for a in (x, weights))
    order = xp.argsort(x, axis=-1)
    weights = xp.take_along_axis(weights, order, axis=-1)
    if xp is jnp:
        weights = out_of_the_subnormal(weights)
    dtype = _accumulator(xp, x)
    masses = weights.astype(dtype)
    masses = masses / xp.max(masses, axis=-1, keepdims=True)
    masses = masses / xp.sum(masses, axis=-1, keepdims=True)
    levels = xp.cumsum(masses, axis=-1, dtype=dtype)
    before = xp.concatenate([xp.zeros_like(levels[..., :1]), levels[..., :-1]], axis=-1)
    step, rounded = _two_sum(before, masses)
    lacks = xp.cumsum((step - levels) + rounded, axis=-1, dtype=dtype)
    return xp.take_along_axis(x, order, axis=-1), masses, _two_sum(levels, lacks)


def _two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """a + b as a float and the error of that addition, which is a float too (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _rescale(levels: tuple[Any, Any], to: tuple[Any, Any]) -> tuple[Any, Any]:
    """Levels that end where others end; the ends are about 1 and differ by rounding."""
    (high, low), (end, rest) = levels, (part[..., -1:] for part in to)
    more = (end - high[..., -1:]) + (rest - low[..., -1:])
    return _two_sum(high + 0 * more, low + high * more)


@functools.lru_cache(maxsize=32)
def _common_quantiles(n: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pieces of [0, 1] on which the quantile functions of n and of m equal masses are both constant.

    Reckoned in integers, multiples of 1 / (n m), so that no sliver comes from rounding.

    Returns:
        For each piece the index of the sorted x, of the sorted y, and its width.
    """
    ends = np.union1d(np.arange(1, n + 1, dtype=np.int64) * m, np.arange(1, m + 1, dtype=np.int64) * n)
    widths = np.diff(ends, prepend=0) / (n * m)
    return ((ends - 1) // m).astype(np.int32), ((ends - 1) // n).astype(np.int32), widths


def _power_mean(xp: Any, values: Any, weights: Any, p: float) -> Any:
    """(sum_i weights_i values_i^p)^(1/p) over the last axis for values >= 0; its gradient at all zeros is 0."""
    dtype = _accumulator(xp, values)
    if p == 1:
        return xp.sum(values * weights, axis=-1, dtype=dtype)
    largest = xp.max(values, axis=-1, keepdims=True)
    if xp is jnp:
        largest = jax.lax.stop_gradient(largest)  # a scale that keeps powers from overflowing, and cancels
    largest = xp.where(largest > 0, largest, 1)
    total = xp.sum((values / largest) ** p * weights, axis=-1, dtype=dtype)
    positive = total > 0
    root = xp.where(positive, total, 1) ** (1 / p)
    return largest[..., 0] * xp.where(positive, root, 0)


def _accumulator(xp: Any, values: Any) -> Any:
    return np.float64 if xp is np else values.dtype
