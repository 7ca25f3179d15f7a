"""How fast the distance on the line is beside scipy's, in one run and in turn."""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import wasserstein_distance

from wgan_jax.distances import wasserstein_1d


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
