"""Penalties on the gradient of a critic function with respect to its input.

>>> w = jnp.array([3.0, 4.0])
>>> real, fake = jnp.zeros((2, 2)), jnp.ones((2, 2))
>>> critic_fn = lambda x: x @ w  # |w| = 5 everywhere
>>> float(gradient_penalty(critic_fn, real, fake, jax.random.key(0)))  # (5 - 1)^2
16.0
>>> float(gradient_penalty(critic_fn, real, fake, jax.random.key(0), target=6, one_sided=True))
0.0
>>> float(r1_penalty(critic_fn, real, fake, jax.random.key(0)))  # 5^2 / 2
12.5
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from wgan_jax.lengths import length
from wgan_jax.types import Array, Key


def gradient_norms(critic_fn: Callable[[Array], Array], x: Array) -> Array:
    """Per-sample gradient norm ||d f(x_n) / d x_n||, differentiable also where the gradient is exactly zero.

    The gradient of the summed scores is every sample's own gradient as long as no sample's score depends on another
    sample, which a batch-normalised critic violates.

    Args:
        critic_fn: maps a batch (N, ...) to scores (N,).
        x: the batch, (N, ...).

    Returns:
        Euclidean norms over all axes but the first, (N,), float32 or wider; NaN where a gradient is.
    """
    return length(_gradients(critic_fn, x), tuple(range(1, x.ndim)))


def gradient_penalty(
    critic_fn: Callable[[Array], Array],
    real: Array,
    fake: Array,
    key: Key,
    *,
    target: float = 1.0,
    one_sided: bool = False,
) -> Array:
    """Penalty that pulls the critic's gradient norm to ``target`` between real and fake samples.

    mean_n (||grad f(x_n)|| - target)^2 with x_n = e_n real_n + (1 - e_n) fake_n and one e_n ~ U[0, 1] per sample;
    one-sided, max(0, ||grad f(x_n)|| - target)^2.

    Args:
        critic_fn: maps a batch (N, ...) to scores (N,).
        real, fake: samples, both (N, ...).
        key: one key, or one per sample, shape (N,).
        target: the gradient norm aimed at, in score units per input unit.
        one_sided: penalise only norms above the target.

    Returns:
        The unweighted mean over the samples, a scalar.

    Raises:
        ValueError: if real and fake differ in shape, or there are neither one nor N keys.

    Source: Gulrajani et al. 2017, eq. 3 and algorithm 1; one-sided: Petzka et al. 2018, eq. 8 (WGAN-LP).
    """
    if real.shape != fake.shape:
        raise ValueError(f'real {real.shape} and fake {fake.shape} must have one shape to be interpolated')
    weights = jax.vmap(lambda k: jax.random.uniform(k, dtype=real.dtype))(_keys_per_sample(key, len(real)))
    weights = weights.reshape((len(real),) + (1,) * (real.ndim - 1))
    return _distance_from(target, critic_fn, weights * real + (1 - weights) * fake, one_sided)


def dragan_penalty(
    critic_fn: Callable[[Array], Array],
    real: Array,
    fake: Array,
    key: Key,
    *,
    target: float = 1.0,
    axis_name: str | None = None,
) -> Array:
    """Penalty that pulls the critic's gradient norm to ``target`` around the real samples.

    mean_n (||grad f(x_n)|| - target)^2 with x_n = real_n + a_n std(real) u_n / 2, one a_n ~ U[0, 1] per sample, one
    u_n ~ U[0, 1] per entry, and one standard deviation for the whole batch.

    Args:
        critic_fn: maps a batch (N, ...) to scores (N,).
        real: samples (N, ...).
        fake: not used; the argument makes penalties interchangeable.
        key: one key, or one per sample, shape (N,).
        target: the gradient norm aimed at, in score units per input unit.
        axis_name: of the mapped axis over which the batch is shared, if any.

    Returns:
        The unweighted mean over the samples, a scalar.

    Raises:
        ValueError: if there are neither one nor N keys.

    Source: Kodali et al. 2017, section 2.3 and the released code, https://arxiv.org/abs/1705.07215.
    """
    del fake
    average = (lambda v: v) if axis_name is None else (lambda v: jax.lax.pmean(v, axis_name))
    centred = real - average(jnp.mean(real))
    deviation = jnp.sqrt(average(jnp.mean(centred**2)))

    def direction(k):
        length_key, entries_key = jax.random.split(k)
        length = jax.random.uniform(length_key, dtype=real.dtype)
        return length * jax.random.uniform(entries_key, real.shape[1:], real.dtype)

    directions = jax.vmap(direction)(_keys_per_sample(key, len(real)))
    return _distance_from(target, critic_fn, real + 0.5 * deviation * directions, one_sided=False)


def r1_penalty(critic_fn: Callable[[Array], Array], real: Array, fake: Array, key: Key) -> Array:
    """Half the mean squared gradient norm at the real samples, so that its weight is the published gamma.

    mean_n ||grad f(real_n)||^2 / 2

    Args:
        critic_fn: maps a batch (N, ...) to scores (N,).
        real: samples (N, ...).
        fake, key: not used; the arguments make penalties interchangeable.

    Returns:
        The mean over the samples, a scalar; the half is in it, gamma is not.

    Source: Mescheder et al. 2018, eq. 9, https://arxiv.org/abs/1801.04406.
    """
    del fake, key
    return _half_mean_square(critic_fn, real)


def r2_penalty(critic_fn: Callable[[Array], Array], real: Array, fake: Array, key: Key) -> Array:
    """Half the mean squared gradient norm at the fake samples: ``r1_penalty`` on the other side.

    mean_n ||grad f(fake_n)||^2 / 2

    Args:
        critic_fn: maps a batch (N, ...) to scores (N,).
        fake: samples (N, ...).
        real, key: not used; the arguments make penalties interchangeable.

    Returns:
        The mean over the samples, a scalar; the half is in it, gamma is not.

    Source: Mescheder et al. 2018, eq. 10, https://arxiv.org/abs/1801.04406.
    """
    del real, key
    return _half_mean_square(critic_fn, fake)


def both_sides_penalty(critic_fn: Callable[[Array], Array], real: Array, fake: Array, key: Key) -> Array:
    """Half the mean squared gradient norm at the real samples and half that at the fake ones, R1 + R2.

    mean_n ||grad f(real_n)||^2 / 2 + mean_n ||grad f(fake_n)||^2 / 2

    Args:
        critic_fn: maps a batch (N, ...) to scores (N,).
        real, fake: samples, both (N, ...).
        key: not used; the argument makes penalties interchangeable.

    Returns:
        The sum of both means, a scalar; the halves are in it, gamma is not.

    Source: Roth et al. 2017, https://arxiv.org/abs/1705.09367; Huang et al. 2024 (R3GAN), section 2.2,
    https://arxiv.org/abs/2501.05441.
    """
    del key
    return _half_mean_square(critic_fn, real) + _half_mean_square(critic_fn, fake)


def _keys_per_sample(key, num):
    keys = key if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else jax.random.wrap_key_data(key)
    keys = jax.random.split(keys, num) if keys.ndim == 0 else keys
    if keys.shape != (num,):
        raise ValueError(f'key must be one key or one per sample ({num},), got {keys.shape}')
    return keys


def _distance_from(target, critic_fn, x, one_sided):
    excess = gradient_norms(critic_fn, x) - target
    return jnp.mean((jax.nn.relu(excess) if one_sided else excess) ** 2)


def _half_mean_square(critic_fn, x):
    return 0.5 * jnp.mean(jnp.sum(_gradients(critic_fn, x) ** 2, axis=tuple(range(1, x.ndim))))


def _gradients(critic_fn, x):
    gradients = jax.grad(lambda batch: jnp.sum(critic_fn(batch)))(x)
    return gradients.astype(jnp.promote_types(gradients.dtype, jnp.float32))
