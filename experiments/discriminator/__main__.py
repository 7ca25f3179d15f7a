"""Discriminator against critic: all trained to optimality between two Gaussians, and what each tells a generator.

The discriminator comes to D* = p_r / (p_r + p_g), the value it reaches is 2 JS - log 4, and where the Gaussians part
its gradient is gone; the critics stay close to a line in between (Arjovsky et al. 2017, figure 2).
"""

import contextlib
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from matplotlib import pyplot as plt
from tqdm import tqdm

from experiments.common import launcher
from wgan_jax.constraints import CONSTRAINTS
from wgan_jax.data.augmentation import AUGMENTATIONS
from wgan_jax.distances import gaussian_js, gaussian_wasserstein
from wgan_jax.distances.optimal import optimal_critic, optimal_logit
from wgan_jax.files import atomic_path, write_json
from wgan_jax.networks import mlp
from wgan_jax.objectives import OBJECTIVES
from wgan_jax.training.draws import draw_from
from wgan_jax.training.frozen import frozen_updates
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.optimizers import OPTIMIZERS
from wgan_jax.training.state import init_state
from wgan_jax.types import Network, Players, Variables

MEANS = flags.DEFINE_list('means', ['2', '-2'], 'Means of the real and of the generated Gaussian.')
STDS = flags.DEFINE_list('stds', ['1', '1'], 'Their standard deviations.')
UPDATES = flags.DEFINE_integer('updates', 3000, 'Updates of each critic.')
BATCH_SIZE = flags.DEFINE_integer('batch_size', 1024, 'Samples in a batch, all of them new.')
WIDTH = flags.DEFINE_integer('width', 64, 'Units in each of the two hidden layers.')

KINDS = {  # name: (objective, constraint, title)
    'discriminator': ('non_saturating', 'none', 'discriminator'),
    'clip': ('wasserstein', 'clip', 'critic, weights clipped'),
    'gradient_penalty': ('wasserstein', 'gradient_penalty', 'critic, gradient penalty'),
    'orthonormal': ('wasserstein', 'orthonormal', 'critic, orthonormal layers'),
}
STAGES = 20  # of falling learning rates: rate * (1 - k / STAGES)
RATE, CLIP, PENALTY_WEIGHT = 3e-3, 0.1, 10.0


def main() -> int:
    """Reads the flags, trains, draws; returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            for flag in (UPDATES, BATCH_SIZE, WIDTH):
                if flag.value < 1:
                    raise ValueError(f'{flag.name}={flag.value} must be at least 1')
            gaussians = _gaussians()
            seed = launcher.seed()
            workdir = held.enter_context(launcher.results_folder('discriminator'))
        mean_real, std_real, mean_fake, std_fake = gaussians
        own = (MEANS, STDS, UPDATES, BATCH_SIZE, WIDTH)
        write_json(
            workdir / 'config.json',
            {'launcher': 'discriminator', 'flags': {f.name: f.value for f in own} | {'seed': seed},
             **launcher.environment()},
        )  # fmt: skip
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
                arrays[f'{name}_scores'], arrays[f'{name}_slope'] = _train(name, gaussians, x, seed, bar)
        results = _summary(arrays, gaussians)
        with atomic_path(workdir / 'curves.npz') as temporary:
            np.savez(temporary, **arrays)
        _figure(workdir / 'discriminator.png', arrays, results)
        write_json(workdir / 'results.json', results)
    print(
        f'D is within {results["largest_error_of_d"]:.4f} of D* where 99.9 % of the mass lies; JS estimated '
        f'{results["js_estimate"]:.5f}, true {results["js"]:.5f} ({100 * results["js_relative_error"]:.2f} %)'
    )
    for name in list(KINDS)[1:]:
        row = results[name]
        print(
            f'{KINDS[name][2]}: estimate / largest slope {row["estimate_over_slope"]:.3f} of W1 = {results["w1"]:.3f}; '
            f'slope between the means varies by a factor {row["slope_ratio_between_means"]:.2f}'
        )
    print(f'Results in {workdir}/: discriminator.png, results.json, curves.npz')
    return 0


def _gaussians() -> tuple[float, float, float, float]:
    try:
        (mean_real, mean_fake), (std_real, std_fake) = ([float(text) for text in flag.value] for flag in (MEANS, STDS))
    except ValueError:
        raise ValueError('means and stds must each be two numbers, such as --means=2,-2 --stds=1,1') from None
    numbers = (mean_real, std_real, mean_fake, std_fake)
    if not all(map(math.isfinite, numbers)) or std_real <= 0 or std_fake <= 0:
        raise ValueError(f'stds={",".join(STDS.value)} must be positive, and all means finite')
    return numbers


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


def _gaussian_generator(mean: float, std: float) -> Network:
    """z -> mean + std z, with nothing to train but its mean."""

    def init(key):
        del key
        return Variables({'mean': jnp.float32(mean)}, {})

    def apply(variables, z, *, train, axis_name=None, labels=None):
        del train, axis_name, labels
        return variables.params['mean'] + std * z, variables.state

    return Network(init, apply)


def _train(name: str, gaussians: tuple[float, ...], x: np.ndarray, seed: int, bar: tqdm):
    """A critic's scores and their slopes at x, after training against the fixed Gaussian."""
    mean_real, std_real, mean_fake, std_fake = gaussians
    objective, constraint, _ = KINDS[name]
    parametrization = CONSTRAINTS[constraint].parametrization
    critic = mlp.critic((1,), width=WIDTH.value, depth=2, init='he', parametrization=parametrization)
    optimizer = OPTIMIZERS['adam'](0.0, 0.99)
    gan = GAN(
        networks=Players(_gaussian_generator(mean_fake, std_fake), critic),
        objective=OBJECTIVES[objective],
        constraint=CONSTRAINTS[constraint],
        optimizers=Players(optimizer, optimizer),
        augmentation=AUGMENTATIONS['none'],
        latent=lambda key: jax.random.normal(key, (1,)),
        batch_size=BATCH_SIZE.value,
        n_critic=1,
        draw=draw_from(lambda _, key: mean_real + std_real * jax.random.normal(key, (1,))),
    )
    hyperparameters = Hyperparameters(Players(0.0, jnp.float32(RATE)), jnp.float32(CLIP), jnp.float32(PENALTY_WEIGHT))
    update = jax.jit(functools.partial(frozen_updates, gan), donate_argnums=1)
    state = init_state(gan, hyperparameters, seed)
    for stage in range(STAGES):
        rate = Players(jnp.float32(0), jnp.float32(RATE * (1 - stage / STAGES)))
        count = UPDATES.value * (stage + 1) // STAGES - UPDATES.value * stage // STAGES
        state = update(hyperparameters._replace(learning_rate=rate), state, None, np.int32(count))
        bar.update(count)
    variables = Variables(state.params.critic, state.network_state.critic)

    def score(point):
        return critic.apply(variables, point[None, None], train=False)[0][0]

    scores, slopes = jax.jit(jax.vmap(jax.value_and_grad(score)))(jnp.asarray(x, jnp.float32))
    return np.asarray(scores, np.float64), np.asarray(slopes, np.float64)


def _summary(arrays: dict[str, np.ndarray], gaussians: tuple[float, ...]) -> dict[str, Any]:
    """The numbers of the figure. Expectations are integrals over the grid, not samples."""
    x, real, fake = arrays['x'], arrays['real_density'], arrays['fake_density']
    low, high = _region(gaussians, mass=0.999)
    inside = (x >= low) & (x <= high)
    logit = arrays['discriminator_scores']
    error = np.abs(_sigmoid(logit) - _sigmoid(arrays['optimal_logit']))[inside].max()
    value = np.trapezoid(-real * np.logaddexp(0, -logit) - fake * np.logaddexp(0, logit), x)
    js, w1 = float(gaussian_js(*gaussians)), float(gaussian_wasserstein(*gaussians))
    results = {
        'largest_error_of_d': float(error), 'value': float(value), 'optimal_value': 2 * js - math.log(4),
        'js': js, 'js_estimate': float((value + math.log(4)) / 2), 'w1': w1,
    }  # fmt: skip
    results['js_relative_error'] = abs(results['js_estimate'] / js - 1) if js else abs(results['js_estimate'])
    means = sorted((gaussians[0], gaussians[2]))
    between = (x >= means[0]) & (x <= means[1])
    for name in list(KINDS)[1:]:
        slope = np.abs(arrays[f'{name}_slope'])
        estimate = np.trapezoid((real - fake) * arrays[f'{name}_scores'], x)
        results[name] = {
            'estimate': float(estimate),
            'largest_slope': float(slope[inside].max()),
            'estimate_over_slope': float(estimate / slope[inside].max()),
            'slope_ratio_between_means': float(slope[between].max() / slope[between].min()) if between.any() else 1.0,
        }
    return results


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -x))


def _figure(path, arrays: dict[str, np.ndarray], results: dict[str, Any]) -> None:
    x, logit = arrays['x'], arrays['discriminator_scores']
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 5), layout='constrained')
    for axis in (left, middle):
        densities = axis.twinx() if axis is middle else axis
        densities.fill_between(x, arrays['real_density'], color='tab:blue', alpha=0.2, lw=0, label='real density')
        densities.fill_between(x, arrays['fake_density'], color='tab:red', alpha=0.2, lw=0, label='generated density')
        if axis is middle:
            densities.set_ylim(0, 1)
            densities.set_yticks([])
    left.plot(x, _sigmoid(logit), color='black', lw=2.5, label='D, learned')
    left.plot(x, _sigmoid(arrays['optimal_logit']), color='tab:orange', ls='--', label='D* = p_r / (p_r + p_g)')
    left.set(
        title=f'The discriminator saturates\nlargest error {results["largest_error_of_d"]:.4f}; JS '
        f'{results["js_estimate"]:.4f} (true {results["js"]:.4f})',
        xlabel='x', ylabel='D(x), probability of being real',
    )  # fmt: skip
    colours = dict(zip(KINDS, ('black', 'tab:green', 'tab:purple', 'tab:brown'), strict=True))
    centre = np.argmin(np.abs(arrays['optimal_critic']))
    middle.plot(x, arrays['optimal_critic'], color='tab:orange', ls='--', label='best 1-Lipschitz critic')
    for name in list(KINDS)[1:]:
        scores = (arrays[f'{name}_scores'] - arrays[f'{name}_scores'][centre]) / results[name]['largest_slope']
        middle.plot(x, scores, color=colours[name], label=f'{KINDS[name][2]}, / its largest slope')
    middle.set(
        title=f'Critics stay close to a line\nW1 = {results["w1"]:.3f}; estimates '
        + ', '.join(f'{results[name]["estimate_over_slope"]:.3f}' for name in list(KINDS)[1:]),
        xlabel='x', ylabel='f(x), in units of x',
    )  # fmt: skip
    slope, probability = arrays['discriminator_slope'], _sigmoid(logit)
    tiny = 1e-12
    right.plot(x, np.abs(probability * slope) + tiny, color='black', label='minimax, |d log(1 - D) / dx|')
    right.plot(x, np.abs((1 - probability) * slope) + tiny, color='black', ls=':', label='-log D, |d log D / dx|')
    for name in list(KINDS)[1:]:
        right.plot(x, np.abs(arrays[f'{name}_slope']) / results[name]['largest_slope'] + tiny, color=colours[name],
                   label=KINDS[name][2])  # fmt: skip
    right.set(yscale='log', ylim=(1e-6, 20), xlabel='x, where a generated sample lies', ylabel='size of the gradient',
              title='What a sample at x is told')  # fmt: skip
    for axis in (left, middle, right):
        axis.legend(fontsize=8, loc='best')
    figure.supxlabel(
        'Where the generator is (red), the minimax gradient is nearly gone although D is right; every critic still has '
        'a slope that points to the real samples.', fontsize=9,
    )  # fmt: skip
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=90, format='png')
    plt.close(figure)


if __name__ == '__main__':
    launcher.run(main)
