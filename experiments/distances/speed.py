"""How fast the distance on the line is beside scipy's, and exact transport beside POT's, in one run and in turn."""

import time
import warnings
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import wasserstein_distance

from wgan_jax.distances import wasserstein_1d, wasserstein_exact

CLOUDS = ((2000, 2000), (2000, 1999))  # points a side
DIMENSIONS = (2, 64)
ORDERS = (1, 2)
LARGE = 5000  # points a side of the one large problem


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - began


def measure(seed: int, pairs: int, size: int = 1_000_000, batch: int = 1000) -> dict[str, float]:
    """Seconds of each side, the best of ``pairs`` runs in turn, and scipy's time over ours.

    Args:
        seed: of the float32 samples.
        pairs: runs of each side.
        size: samples a side of the single pair.
        batch: number of pairs, and of samples a side, of the batch.

    Returns:
        ``scipy``, ``plain``, ``jit`` for the single pair; ``scipy_loop``, ``plain_batch`` for the batch; the ratios
        ``plain_speedup``, ``jit_time_over_scipy``, ``batch_speedup``.
    """
    rng = np.random.default_rng(seed)
    x, y = (rng.normal(size=size).astype(np.float32) for _ in range(2))
    many_x, many_y = (rng.normal(size=(batch, batch)).astype(np.float32) for _ in range(2))
    on_device = jnp.asarray(x), jnp.asarray(y)
    compiled = jax.jit(wasserstein_1d)
    runs = {
        'scipy': lambda: wasserstein_distance(x, y),
        'plain': lambda: wasserstein_1d(x, y),
        'jit': lambda: compiled(*on_device),
        'scipy_loop': lambda: [wasserstein_distance(a, b) for a, b in zip(many_x, many_y, strict=True)],
        'plain_batch': lambda: wasserstein_1d(many_x, many_y),
    }
    for name in ('plain', 'jit', 'plain_batch'):
        runs[name]()  # compilation
    times = {name: [] for name in runs}
    for _ in range(pairs):
        for name, run in runs.items():
            times[name].append(_seconds(run))
    best = {name: min(values) for name, values in times.items()}
    return best | {
        'plain_speedup': best['scipy'] / best['plain'],
        'jit_time_over_scipy': best['jit'] / best['scipy'],
        'batch_speedup': best['scipy_loop'] / best['plain_batch'],
    }


def measure_exact(seed: int, pairs: int) -> dict[str, float]:
    """Seconds of ``wasserstein_exact`` beside ``ot.emd2``, both with the cost matrix, in turn on one cloud of normals.

    POT runs as it comes, with its limit of 100,000 iterations, at which it may end early.

    Args:
        seed: of the points.
        pairs: runs of each side.

    Returns:
        For each case, such as ``2000x1999_d64_p2``, the medians ``<case>`` and ``<case>_pot`` and ``<case>_ratio``, the
        median of the pairs' ratios; and ``5000x5000_d2_p1``, one run of ours.
    """
    import ot

    rng = np.random.default_rng(seed)
    results = {}
    for n, m in CLOUDS:
        for dimension in DIMENSIONS:
            x, y = rng.normal(size=(n, dimension)), rng.normal(size=(m, dimension)) + 0.5
            a, b = np.full(n, 1 / n), np.full(m, 1 / m)
            for p in ORDERS:
                metric = {1: 'euclidean', 2: 'sqeuclidean'}[p]

                def pot(x=x, y=y, a=a, b=b, metric=metric):
                    return ot.emd2(a, b, ot.dist(x, y, metric=metric))

                def ours(x=x, y=y, p=p):
                    return wasserstein_exact(x, y, p=p)

                with warnings.catch_warnings():
                    warnings.simplefilter('ignore')
                    times = np.array([[_seconds(ours), _seconds(pot)] for _ in range(pairs)])
                case = f'{n}x{m}_d{dimension}_p{p}'
                results[case], results[f'{case}_pot'] = np.median(times, axis=0).tolist()
                results[f'{case}_ratio'] = float(np.median(times[:, 0] / times[:, 1]))
    x, y = rng.normal(size=(LARGE, 2)), rng.normal(size=(LARGE, 2)) + 0.5
    results[f'{LARGE}x{LARGE}_d2_p1'] = _seconds(lambda: wasserstein_exact(x, y))
    return results
