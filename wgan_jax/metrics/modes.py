"""Mode coverage: how many modes of a known mixture samples reach, and how well.

>>> modes = jnp.array([[0.0, 0.0], [10.0, 0.0]])
>>> fair, collapsed = mode_coverage(modes, modes, 0.1), mode_coverage(0 * modes, modes, 0.1)
>>> int(fair.captured), float(fair.reverse_kl)
(2, 0.0)
>>> int(collapsed.captured), round(float(collapsed.reverse_kl), 4), collapsed.counts.tolist()  # log 2
(1, 0.6931, [2, 0])
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.types import Array, ArrayLike


class ModeCoverage(NamedTuple):
    """Mode coverage of one batch of samples.

    Attributes:
        captured: modes with at least one high-quality sample.
        high_quality: share of the samples that are of high quality, in [0, 1].
        reverse_kl: KL(p || q) in nats, p the histogram of all samples over their nearest modes, q uniform over the
            modes; 0 where samples are spread evenly, log M where all go to one of M modes, or none is finite.
        counts: high-quality samples by mode, (M,), integers.
    """

    captured: Array
    high_quality: Array
    reverse_kl: Array
    counts: Array


def mode_coverage(samples: ArrayLike, modes: ArrayLike, std: ArrayLike, *, radius: float = 3.0) -> ModeCoverage:
    """Modes captured, share of high quality, and reverse KL of samples of a mixture with equal weights.

    A sample is of high quality when it lies within ``radius`` standard deviations of its nearest mode; a mode is
    captured when a high-quality sample is nearest to it; KL(p || q) = sum_k p_k log(M p_k), 0 log 0 = 0.

    Args:
        samples: (N, d); one that is not finite is of low quality, and counts into the fullest mode of the histogram,
            which makes the reverse KL the largest that any mode for it could.
        modes: centres, (M, d).
        std: standard deviation of every mode, in the unit of the samples.
        radius: in standard deviations.

    Returns:
        A ModeCoverage; pure, so that ``vmap`` takes many batches at once. The published tables draw N = 2,500.

    Raises:
        ValueError: if samples and modes are not two matrices of one dimension d, one of them is empty, or ``std`` or
            ``radius`` is not positive.

    Source: Srivastava et al. 2017 (VEEGAN); Lin et al. 2018 (PacGAN), section 4.
    """
    samples, modes = jnp.asarray(samples), jnp.asarray(modes)
    if samples.ndim != 2 or modes.ndim != 2 or samples.shape[1] != modes.shape[1]:
        raise ValueError(f'samples {samples.shape} and modes {modes.shape} must be (N, d) and (M, d) with one d')
    if 0 in samples.shape or 0 in modes.shape:
        raise ValueError(f'there must be samples and modes, not {samples.shape} and {modes.shape}')
    for name, value in (('std', std), ('radius', radius)):
        if not isinstance(value, jax.core.Tracer) and not (np.isfinite(value) & (np.asarray(value) > 0)).all():
            raise ValueError(f'{name}={value} must be positive and finite')
    num_modes = modes.shape[0]
    # Over the farthest mode to find the nearest, and in standard deviations to judge it: no square that counts can then
    # overflow or vanish.
    differences = samples[:, None] - modes
    farthest = jnp.abs(differences).max(axis=(1, 2))
    finite = jnp.isfinite(farthest)
    scale = jnp.where(finite & (farthest > 0), farthest, 1)[:, None, None]
    squares = jnp.sum((differences / scale) ** 2, axis=-1)
    nearest = jax.nn.one_hot(jnp.argmin(jnp.where(finite[:, None], squares, 0), axis=1), num_modes, dtype=jnp.int32)
    nearest = nearest * finite[:, None]
    good = jnp.min(jnp.sum((differences / std) ** 2, axis=-1), axis=1) <= radius**2  # false for NaN
    counts = jnp.sum(nearest * good[:, None], axis=0)
    histogram = jnp.sum(nearest, axis=0)
    lost = jnp.sum(~finite) * jax.nn.one_hot(jnp.argmax(histogram), num_modes, dtype=jnp.int32)
    p = (histogram + lost) / len(samples)
    reverse_kl = jnp.sum(jnp.where(p > 0, p * jnp.log(jnp.where(p > 0, p, 1) * num_modes), 0))
    return ModeCoverage(jnp.sum(counts > 0), jnp.mean(good.astype(jnp.float32)), reverse_kl, counts)
