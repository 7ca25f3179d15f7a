"""Discriminator against critic: all trained to optimality between two Gaussians, and what each tells a generator.

The discriminator comes to D* = p_r / (p_r + p_g), the value it reaches is 2 JS - log 4, and where the Gaussians part
its gradient is gone; the critics stay close to a line in between (Arjovsky et al. 2017, figure 2).
"""

import contextlib
import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from wgan_jax.data import synthetic
from wgan_jax.distances import gaussian_js, gaussian_wasserstein
from wgan_jax.distances.optimal import optimal_critic, optimal_logit
from wgan_jax.files import atomic_path
from wgan_jax.ranges import BATCH, COUNT, real, whole
from wgan_jax.training.cost import require_memory
from wgan_jax.training.frozen import between, fit_critics
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.toy import TOY_PRESETS, build_toy
from wgan_jax.types import Array, Key, Variables

from ..common import launcher
from ..common.flagtypes import define_number, define_numbers
from ..common.tables import text_table
from .figures import draw, sigmoid

MEANS = define_numbers(
    'means', (2.0, -2.0), 'Means of the real and of the generated Gaussian.', real(-1000, 1000), least=2, most=2
)
STDS = define_numbers('stds', (1.0, 1.0), 'Their standard deviations.', real(0.001, 1000), least=2, most=2)
UPDATES = define_number('updates', 3000, 'Updates of each critic.', COUNT)
BATCH_SIZE = define_number('batch_size', 1024, 'Samples in a batch, all of them new.', BATCH)
WIDTH = define_number('width', 64, 'Units in each of the two hidden layers, an even number.', whole(2, 2**16))

KINDS = {  # name: (objective, constraint, title)
    'discriminator': ('non_saturating', 'none', 'discriminator'),
    'clip': ('wasserstein', 'clip', 'critic, weights clipped'),
    'gradient_penalty': ('wasserstein', 'gradient_penalty', 'critic, gradient penalty'),
    'orthonormal': ('wasserstein', 'orthonormal', 'critic, orthonormal layers'),
}
CRITICS = [name for name in KINDS if name != 'discriminator']
RATE, CLIP, PENALTY_WEIGHT = 3e-3, 0.1, 10.0


def main() -> int:
    """Reads the flags, trains, draws; returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            mean_real, mean_fake, std_real, std_fake = *MEANS.value, *STDS.value
            gaussians = (mean_real, std_real, mean_fake, std_fake)
            if WIDTH.value % 2:
                raise ValueError(f'width={WIDTH.value} must be even: orthonormal layers sort pairs')
            require_memory(
                *_build('orthonormal'), f'critics with width={WIDTH.value}, batch_size={BATCH_SIZE.value}'
            )  # the largest
            workdir = held.enter_context(launcher.results_folder('discriminator'))
        chosen = launcher.values_of(MEANS, STDS, UPDATES, BATCH_SIZE, WIDTH)
        launcher.begin(workdir, ('discriminator.png', 'curves.npz'), launcher='discriminator', flags=chosen)
        low, high = _region(gaussians, mass=1 - 1e-9)
        x = np.linspace(low, high, 2001)
        arrays = {'x': x, 'optimal_logit': np.asarray(optimal_logit(x, *gaussians))}
        arrays['optimal_critic'] = np.asarray(optimal_critic(x, *gaussians))
        arrays['real_density'], arrays['fake_density'] = (
            np.exp(-(((x - m) / s) ** 2) / 2) / (s * math.sqrt(2 * math.pi))
            for m, s in ((mean_real, std_real), (mean_fake, std_fake))
        )
        with tqdm(total=len(KINDS) * UPDATES.value, unit=' updates') as bar:
            for name in KINDS:
                bar.set_description(KINDS[name][2])
                arrays[f'{name}_scores'], arrays[f'{name}_slope'] = _train(name, gaussians, x, bar)
        results = _summary(arrays, gaussians)
        with atomic_path(workdir / 'curves.npz') as temporary:
            np.savez(temporary, **arrays)
        titles = {name: title for name, (_, _, title) in KINDS.items()}
        draw(workdir / 'discriminator.png', arrays, results, titles)
        launcher.write_results(workdir, results)
    print(
        f'D is within {results["largest_error_of_d"]:.4f} of D* where 99.9 % of the mass lies; JS estimated '
        f'{results["js_estimate"]:.5f}, true {results["js"]:.5f} ({100 * results["js_relative_error"]:.2f} %)'
    )
    header = (f'W1 = {results["w1"]:.3f}', 'estimate / largest slope', 'largest / smallest slope between the means')
    keys = ('estimate_over_slope', 'slope_ratio_between_means')
    print(text_table(header, [[titles[name], *(f'{results[name][key]:.3f}' for key in keys)] for name in CRITICS]))
    print(f'Results in {workdir}/: discriminator.png, results.json, curves.npz')
    return 0


def _region(gaussians: tuple[float, ...], mass: float) -> tuple[float, float]:
    """The interval that holds this share of (p_r + p_g) / 2, the rest evenly on both sides."""
    from scipy import optimize, stats

    mean_real, std_real, mean_fake, std_fake = gaussians
    tail = (1 - mass) / 2
    far = 40 * max(std_real, std_fake) + abs(mean_real - mean_fake)

    def excess(x, side):
        return (stats.norm.cdf(side * x, side * mean_real, std_real)
                + stats.norm.cdf(side * x, side * mean_fake, std_fake)) / 2 - tail  # fmt: skip

    middle = (mean_real + mean_fake) / 2
    return tuple(optimize.brentq(excess, middle - far, middle + far, args=(side,)) for side in (1, -1))


def _gaussian(parameters: tuple[Array, Array], key: Key) -> Array:
    mean, std = parameters
    return mean + std * jax.random.normal(key, (1,))


def _build(name: str) -> tuple[GAN, Hyperparameters]:
    objective, constraint, _ = KINDS[name]
    settings = dataclasses.replace(
        TOY_PRESETS['wgan_gp'], objective=objective, constraint=constraint, optimizer='adam', beta1=0.0, beta2=0.99,
        critic_lr=RATE, clip=CLIP, penalty_weight=PENALTY_WEIGHT, width=WIDTH.value, batch_size=BATCH_SIZE.value,
    )  # fmt: skip
    return build_toy(settings, synthetic.two_gaussians_1d(), depth=2)


def _train(name: str, gaussians: tuple[float, ...], x: np.ndarray, bar: tqdm) -> tuple[np.ndarray, np.ndarray]:
    """A critic's scores and their slopes at x, after training between the fixed Gaussians."""
    gan, hyperparameters = _build(name)
    gan = between(gan, _gaussian, _gaussian)
    mean_real, std_real, mean_fake, std_fake = np.array(gaussians, np.float32)[:, None]  # each of one critic
    one = jax.tree.map(lambda leaf: leaf[None], hyperparameters)
    fake, seeds = Variables((mean_fake, std_fake), {}), np.array([launcher.seed()], np.uint32)
    critics = fit_critics(gan, one, fake, (mean_real, std_real), seeds, UPDATES.value, on_updates=bar.update)
    variables = jax.tree.map(lambda leaf: leaf[0], critics.variables)

    def score(point):
        return gan.networks.critic.apply(variables, point[None, None], train=False)[0][0]

    scores, slopes = jax.jit(jax.vmap(jax.value_and_grad(score)))(jnp.asarray(x, jnp.float32))
    return np.asarray(scores, np.float64), np.asarray(slopes, np.float64)


def _summary(arrays: dict[str, np.ndarray], gaussians: tuple[float, ...]) -> dict[str, Any]:
    """The numbers of the figure. Expectations are integrals over the grid, not samples."""
    x, real, fake = arrays['x'], arrays['real_density'], arrays['fake_density']
    low, high = _region(gaussians, mass=0.999)
    inside = (x >= low) & (x <= high)
    logit = arrays['discriminator_scores']
    error = np.abs(sigmoid(logit) - sigmoid(arrays['optimal_logit']))[inside].max()
    value = np.trapezoid(-real * np.logaddexp(0, -logit) - fake * np.logaddexp(0, logit), x)
    js, w1 = float(gaussian_js(*gaussians)), float(gaussian_wasserstein(*gaussians))
    results = {
        'largest_error_of_d': float(error), 'value': float(value), 'optimal_value': 2 * js - math.log(4),
        'js': js, 'js_estimate': float((value + math.log(4)) / 2), 'w1': w1,
    }  # fmt: skip
    results['js_relative_error'] = abs(results['js_estimate'] / js - 1) if js else abs(results['js_estimate'])
    means = sorted((gaussians[0], gaussians[2]))
    between = (x >= means[0]) & (x <= means[1])
    for name in CRITICS:
        slope = np.abs(arrays[f'{name}_slope'])
        steepest, least = (slope[between].max(), slope[between].min()) if between.any() else (1.0, 1.0)
        estimate = np.trapezoid((real - fake) * arrays[f'{name}_scores'], x)
        results[name] = {
            'estimate': float(estimate),
            'largest_slope': float(slope[inside].max()),
            'estimate_over_slope': float(estimate / largest) if (largest := slope[inside].max()) else math.nan,
            'slope_ratio_between_means': float(steepest / least) if least else math.inf,
        }
    return results


if __name__ == '__main__':
    launcher.run(main)
