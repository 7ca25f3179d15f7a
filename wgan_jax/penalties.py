"""Penalties on the gradient of a critic function with respect to its input."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from wgan_jax.types import Array, Key


def gradient_norms(critic_fn: Callable[[Array], Array], x: Array) -> Array:
    """Per-sample gradient norm ||d f(x_n) / d x_n||, differentiable also where the gradient is exactly zero.

    The gradient of the summed scores is every sample's own gradient as long as no sample's score depends on another
    sample, which a batch-normalised critic violates.

    Args:
        critic_fn: maps a batch (N, ...) to scores (N,).
        x: the batch, (N, ...).

    Returns:
        Euclidean norms over all axes but the first, (N,), float32 or wider.
    """
    gradients = jax.grad(lambda batch: jnp.sum(critic_fn(batch)))(x)
    gradients = gradients.astype(jnp.promote_types(gradients.dtype, jnp.float32))
    squares = jnp.sum(gradients**2, axis=tuple(range(1, x.ndim)))
    # sqrt has an infinite slope at 0, which times a zero gradient is NaN: take the subgradient 0 there. Both branches
    # of a `where` are differentiated, so the root must not see the zero at all.
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), 0)


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
    num = real.shape[0]
    keys = key if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else jax.random.wrap_key_data(key)
    keys = jax.random.split(keys, num) if keys.ndim == 0 else keys
    if keys.shape != (num,):
        raise ValueError(f'key must be one key or one per sample ({num},), got {keys.shape}')
    weights = jax.vmap(lambda k: jax.random.uniform(k, dtype=real.dtype))(keys)
    weights = weights.reshape((num,) + (1,) * (real.ndim - 1))
    excess = gradient_norms(critic_fn, weights * real + (1 - weights) * fake) - target
    if one_sided:
        excess = jax.nn.relu(excess)
    return jnp.mean(excess**2)
