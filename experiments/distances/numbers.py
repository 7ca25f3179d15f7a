"""The numbers behind the sheets of the distances launcher: one pure function a sheet, from settings to arrays."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax import distances
from wgan_jax.types import Array, Key

SHOWN = (0.0, 5.0, 25.0, 100.0)  # separations whose densities are drawn
FARTHEST = 100.0


def sliding(key: Key, num_samples: int) -> dict[str, np.ndarray]:
    """N(0, 1) and N(delta, 1) while delta goes from 0 to 100: distances, their slopes, estimates from samples.

    Args:
        key: draws the samples.
        num_samples: a side.

    Returns:
        ``delta`` (K,), and for each of tv, kl, js, w1 the values ``<name>`` and ``<name>_log10_slope``; the estimates
        ``<name>_sampled`` at ``delta_sampled``. TV, KL and JS are estimated from histograms with bins 1/4 wide. Over
        ``delta`` also the logs of the gaps to the limits, ``js_log_gap`` and ``tv_log_gap``, and what the best
        discriminator hands to a generator, ``minimax_log_gradient`` and ``non_saturating_gradient``.
    """
    delta = np.unique(np.concatenate([[0], np.geomspace(0.01, FARTHEST, 300), np.linspace(0, FARTHEST, 201)]))
    apart = [np.float64(0), np.float64(1), delta, np.float64(1)]
    values = {
        'tv': distances.gaussian_tv(*apart),
        'kl': distances.gaussian_kl(*apart),
        'js': distances.gaussian_js(*apart),
        'w1': distances.gaussian_wasserstein(*apart),
    }
    logs = {
        'js_log_gap': distances.gaussian_js_log_gap(*apart),
        'tv_log_gap': distances.gaussian_tv_log_gap(*apart),
        'minimax_log_gradient': distances.minimax_log_gradient(*apart),
        'non_saturating_gradient': distances.non_saturating_gradient(*apart),
    }
    with np.errstate(divide='ignore'):  # the slopes of KL and JS at 0 are 0
        log_slopes = {
            'tv': -(delta**2) / 8 - np.log(2 * np.pi) / 2,
            'kl': np.log(delta),
            'js': np.asarray(logs['minimax_log_gradient']) - np.log(2),
            'w1': np.zeros_like(delta),
        }
    at = np.concatenate([[0, 0.25, 0.5], np.arange(1, 11), np.arange(15, 101, 5.0)])
    real_key, fake_key = jax.random.split(key)
    real = np.asarray(jax.random.normal(real_key, (num_samples,)))
    fake = np.asarray(jax.random.normal(fake_key, (num_samples,)))
    estimates = np.array([_estimates(real, fake + d) for d in at])
    arrays = {'delta': delta, 'delta_sampled': at, **{name: np.asarray(curve) for name, curve in logs.items()}}
    for k, name in enumerate(values):
        arrays[name] = np.asarray(values[name])
        arrays[f'{name}_log10_slope'] = log_slopes[name] / np.log(10)
        arrays[f'{name}_sampled'] = estimates[:, k]
    return arrays


def _estimates(real: np.ndarray, fake: np.ndarray) -> list[float]:
    edges = np.linspace(-10, FARTHEST + 10, 4 * int(FARTHEST + 20) + 1)
    p, q = (np.histogram(side, edges)[0] / len(side) for side in (real, fake))
    pmfs = (distances.total_variation, distances.kl_divergence, distances.js_divergence)
    return [*(float(f(p, q)) for f in pmfs), float(distances.wasserstein_1d(real, fake))]


def parallel_lines(noises: tuple[float, ...]) -> dict[str, np.ndarray]:
    """The line x = 0 against the line x = theta, bare and with Gaussian noise added to both.

    Bare, TV = 1, KL = inf, JS = log 2 and W_1 = |theta| for theta != 0, all 0 at 0. The noise makes them Gaussians
    across, and leaves W_1 as it is.

    Returns:
        ``theta`` (K,) and for each of tv, kl, js, w1 an array (1 + noises, K), the bare lines first.
    """
    theta = np.linspace(-1, 1, 401)
    off = theta != 0
    bare = {'tv': off, 'kl': np.where(off, np.inf, 0), 'js': off * np.log(2), 'w1': np.abs(theta)}
    functions = {'tv': distances.gaussian_tv, 'kl': distances.gaussian_kl, 'js': distances.gaussian_js}
    functions['w1'] = distances.gaussian_wasserstein
    std = np.array(noises)[:, None]
    return {'theta': theta} | {
        name: np.concatenate([bare[name][None].astype(float), np.asarray(f(np.float64(0), std, theta, std))])
        for name, f in functions.items()
    }


def clouds(key: Key, num_points: int) -> dict[str, np.ndarray]:
    """A ring and two blobs, the best plan between them, and the best critic around them.

    Returns:
        ``x``, ``y`` (n, 2) with ``plan`` (n, n); ``few`` (m, 2) with unequal weights ``few_weights`` and
        ``few_plan`` (n, m); the critic ``critic`` on the grid ``grid_x`` x ``grid_y``; W_1 by ``primal``, ``dual``, the
        critic's ``lipschitz`` constant on the points, and ``w2``; W_1 of the weighted problem ``few_w1``.
    """
    ring_key, noise_key, blob_key = jax.random.split(key, 3)
    angles = 2 * np.pi * np.asarray(jax.random.uniform(ring_key, (num_points,)))
    ring = 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    x = ring + 0.1 * np.asarray(jax.random.normal(noise_key, (num_points, 2)))
    side = np.where(np.arange(num_points) % 2, 1.0, -1.0)
    y = 0.35 * np.asarray(jax.random.normal(blob_key, (num_points, 2)))
    y = y + np.stack([1.2 * side + 0.6, 0.8 * side], axis=1)
    few = np.array([[-1.5, 1.4], [0.2, -0.3], [1.6, 0.9], [0.4, -1.7]])
    few_weights = np.array([0.1, 0.4, 0.2, 0.3])
    plan = distances.transport_plan(x, y)
    few_plan = distances.transport_plan(x, few, y_weights=few_weights)
    critic = distances.optimal_potential(x, y)
    grid_x, grid_y = np.linspace(-3, 3, 121), np.linspace(-3, 3, 121)
    points = np.stack(np.meshgrid(grid_x, grid_y), axis=-1).reshape(-1, 2)
    found = distances.duality_gap(critic, x, y)
    return {
        'x': x, 'y': y, 'plan': plan.plan, 'few': few, 'few_weights': few_weights, 'few_plan': few_plan.plan,
        'grid_x': grid_x, 'grid_y': grid_y, 'critic': np.asarray(critic(points)).reshape(121, 121),
        'primal': np.array(found.primal), 'dual': np.array(found.dual), 'lipschitz': np.array(found.lipschitz),
        'w2': np.array(distances.wasserstein_exact(x, y, p=2)), 'few_w1': np.array(few_plan.cost),
    }  # fmt: skip


def directions(width: float) -> dict[str, np.ndarray]:
    """KL both ways and JS both ways between N(0, 1) and N(0, s^2), over s, and the integrands at one s.

    Args:
        width: the s whose densities and integrands are given.

    Returns:
        ``s`` (K,) with ``kl``, ``kl_reversed``, ``js``, ``js_reversed``; ``x`` (M,) with the densities ``p``, ``q``
        and the integrands ``p_log_ratio`` = p log p/q and ``q_log_ratio`` = q log q/p.
    """
    s = np.geomspace(0.25, 4, 241)
    x = np.linspace(-3.2 * max(width, 1), 3.2 * max(width, 1), 801)
    p, q = (np.exp(-((x / w) ** 2) / 2) / (w * np.sqrt(2 * np.pi)) for w in (1.0, width))
    logit = np.asarray(distances.optimal_logit(x, np.float64(0), np.float64(1), np.float64(0), np.float64(width)))
    zero, one = np.float64(0), np.float64(1)
    return {
        's': s,
        'kl': np.asarray(distances.gaussian_kl(zero, one, zero, s)),
        'kl_reversed': np.asarray(distances.gaussian_kl(zero, s, zero, one)),
        'js': np.asarray(distances.gaussian_js(zero, one, zero, s)),
        'js_reversed': np.asarray(distances.gaussian_js(zero, s, zero, one)),
        'x': x, 'p': p, 'q': q, 'p_log_ratio': p * logit, 'q_log_ratio': -q * logit,
    }  # fmt: skip


def slide_home(key: Key, starts: tuple[float, ...], num_steps: int, step_size: float, batch: int) -> dict[str, Array]:
    """A generator z -> theta + z slides home to N(0, 1), or not, by gradient descent on samples.

    Each step draws a fresh batch, holds the best discriminator (in closed form) or the best critic of the two batches
    (by sorting) fixed, and follows the gradient of the generator's loss in theta.

    Args:
        key: draws the batches.
        starts: values of theta to start from.
        num_steps: of gradient descent.
        step_size: of it.
        batch: samples a step.

    Returns:
        ``minimax``, ``non_saturating`` and ``wasserstein``: theta, (starts, num_steps + 1). ``line_js`` and
        ``line_wasserstein``: the same for the generator u -> (theta, u) of a line whose data lie on x = 0, where JS is
        constant off 0, so that its gradient is exactly 0, and W_1 is |theta|.
    """

    def logit(x, theta):
        return distances.optimal_logit(x, 0.0, 1.0, jax.lax.stop_gradient(theta), 1.0)

    def line_js(theta, z, real):
        del z, real
        off = jnp.array([[1.0, 0.0], [0.0, 1.0]])
        same = jnp.array([[1.0, 0.0], [1.0, 0.0]])
        return distances.js_divergence(*jnp.where(theta == 0, same, off))

    losses = {
        'minimax': lambda theta, z, real: -jnp.mean(jax.nn.softplus(logit(theta + z, theta))),
        'non_saturating': lambda theta, z, real: jnp.mean(jax.nn.softplus(-logit(theta + z, theta))),
        'wasserstein': lambda theta, z, real: distances.wasserstein_1d(theta + z, real),
        'line_js': line_js,
        'line_wasserstein': lambda theta, z, real: distances.wasserstein_1d(theta + 0 * z, 0 * real),
    }

    def path(loss, start):
        def step(theta, index):
            z_key, real_key = jax.random.split(jax.random.fold_in(key, index))
            z, real = jax.random.normal(z_key, (batch,)), jax.random.normal(real_key, (batch,))
            theta = theta - step_size * jax.grad(loss)(theta, z, real)
            return theta, theta

        _, rest = jax.lax.scan(step, start, jnp.arange(num_steps))
        return jnp.concatenate([start[None], rest])

    run = jax.jit(lambda begin: {name: jax.vmap(functools.partial(path, loss))(begin) for name, loss in losses.items()})
    return {name: np.asarray(paths) for name, paths in run(jnp.asarray(starts, jnp.float32)).items()}
