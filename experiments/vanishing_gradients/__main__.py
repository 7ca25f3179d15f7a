"""Vanishing gradients: what a better and better critic leaves for a frozen generator, under four losses.

A DCGAN is trained for a while under the standard loss and its generator frozen. A fresh discriminator learns to tell
its pictures from real ones, and fresh Wasserstein critics, clipped and penalised, do the same; on the way the norm of
the gradient that each would hand to the generator is measured (Arjovsky and Bottou 2017, figures 2 and 3).
"""

import contextlib
import dataclasses
import functools
from typing import Any

import jax
import numpy as np
from absl import flags
from tqdm import tqdm

from wgan_jax import data
from wgan_jax.files import atomic_path
from wgan_jax.objectives import OBJECTIVES
from wgan_jax.ranges import BATCH, COUNT, SIZE, whole
from wgan_jax.training.build import build_gan
from wgan_jax.training.cost import require_memory, state_bytes
from wgan_jax.training.frozen import CriticProbe, fit_critic, fresh_critic, probe_critic
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import Settings, override
from wgan_jax.training.state import TrainState, init_state
from wgan_jax.training.step import train_steps
from wgan_jax.types import Variables

from ..common import launcher
from ..common.choices import datasets
from ..common.flagtypes import define_number, define_numbers, define_text
from ..common.tables import shown, text_table
from .figures import draw

DATASET = define_text('dataset', 'flags', f'Images: {datasets()}.')
DATA_DIR = define_text('data_dir', None, 'Where TFDS finds its prepared datasets.')
IMAGE_SIZE = define_text('image_size', '32x48', 'Image side in pixels, or HEIGHTxWIDTH.')
WIDTH = define_number('width', None, 'Width of the networks (default: 32; 8 with --fast).', SIZE)
BATCH_SIZE = define_number('batch_size', None, 'Images in a batch (default: 64; 32 with --fast).', BATCH)
GENERATOR_STEPS = define_numbers(
    'generator_steps', (100, 1000, 2500), 'Generator updates after which the generator is frozen.', whole(0), most=100,
    distinct=True,
)  # fmt: skip
ITERATIONS = define_number('iterations', None, 'Updates of each fresh critic (default: 4000; 1000 with --fast).', COUNT)
DRAWS = define_number('draws', 4, 'Batches of latents over which a gradient norm is averaged.', BATCH)
FAST = flags.DEFINE_bool('fast', False, 'Small networks and fewer iterations: minutes on a laptop.')

OUTPUTS = ('vanishing_gradients.png', 'probes.npz')
DEFAULTS = {'width': (32, 8), 'batch_size': (64, 32), 'iterations': (4000, 1000)}  # plain, --fast
CALL = 100  # updates in one compiled call at most: what an interruption loses, and how often progress shows


@dataclasses.dataclass(frozen=True)
class Probe:
    """One kind of critic: the preset it comes from, and the generator's losses differentiated through it."""

    title: str
    preset: str
    objectives: tuple[str, ...]


PROBES = {
    'standard': Probe('discriminator', 'dcgan', ('minimax', 'non_saturating')),
    'clip': Probe('critic, weights clipped', 'wgan', ('wasserstein',)),
    'gradient_penalty': Probe('critic, gradient penalty', 'wgan_gp', ('wasserstein',)),
}


def main() -> int:
    """Reads the flags, measures, draws; returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            sizes, horizons = _sizes(), sorted(GENERATOR_STEPS.value)
            settings = {name: _settings(probe.preset, sizes) for name, probe in PROBES.items()}
            images = data.load(DATASET.value, *settings['standard'].height_width, data_dir=DATA_DIR.value)
            _require_memory(settings['standard'], images.pixels.shape[-1], len(horizons))
            workdir = held.enter_context(launcher.results_folder('vanishing_gradients'))
        chosen = {'generator_steps': horizons, 'draws': DRAWS.value, 'fast': FAST.value, **sizes}
        launcher.begin(
            workdir,
            OUTPUTS,
            launcher='vanishing_gradients',
            flags=chosen,
            settings={name: dataclasses.asdict(s) for name, s in settings.items()},
            dataset={'shape': list(images.pixels.shape), 'fingerprint': images.fingerprint},
        )
        probes = _measure(settings, images.pixels, horizons, sizes['iterations'])
        arrays = _arrays(probes)
        with atomic_path(workdir / 'probes.npz') as temporary:
            np.savez(temporary, **arrays)
        results = _summary(arrays, horizons)
        draw(workdir / 'vanishing_gradients.png', arrays, horizons, PROBES)
        launcher.write_results(workdir, results)
    print(_table(results))
    print(f'Results in {workdir}/: vanishing_gradients.png, results.json, probes.npz')
    return 0


def _sizes() -> dict[str, int]:
    return {flag.name: flag.value or DEFAULTS[flag.name][FAST.value] for flag in (WIDTH, BATCH_SIZE, ITERATIONS)}


def _settings(preset: str, sizes: dict[str, int]) -> Settings:
    given = {
        'dataset': DATASET.value, 'data_dir': DATA_DIR.value, 'image_size': IMAGE_SIZE.value,
        'latent_dim': PRESETS['dcgan'].latent_dim, 'latent': PRESETS['dcgan'].latent, 'seed': launcher.seed(),
        'width': sizes['width'], 'batch_size': sizes['batch_size'],
    }  # fmt: skip
    return override(PRESETS[preset], {name: value for name, value in given.items() if value is not None})


def _require_memory(settings: Settings, channels: int, generators: int) -> None:
    """Raises ValueError when a critic and all frozen generators would take too much memory."""
    gan, hyperparameters = build_gan(settings, channels)
    what = (
        f'{generators} generators with image_size={settings.image_size}, width={settings.width}, '
        f'batch_size={settings.batch_size}'
    )
    frozen = generators * state_bytes(gan, hyperparameters)
    require_memory(gan, hyperparameters, what, beside=frozen + 8 * DRAWS.value)


def _moments(iterations: int) -> list[int]:
    """Iterations at which a critic is read: about ten in each factor of ten, and both ends."""
    return sorted(
        {0, iterations, *np.geomspace(1, iterations, 1 + 10 * len(str(iterations))).round().astype(int).tolist()}
    )


def _measure(
    settings: dict[str, Settings], pixels: jax.Array, horizons: list[int], iterations: int
) -> dict[str, list[list[tuple[int, CriticProbe]]]]:
    """For each kind of critic and each frozen generator, the probes over the critic's training."""
    channels = pixels.shape[-1]
    gan, hyperparameters = build_gan(settings['standard'], channels)
    steps = jax.jit(functools.partial(train_steps, gan, capacity=CALL), donate_argnums=1)
    state, frozen = init_state(gan, hyperparameters, launcher.seed()), []
    total = horizons[-1] + len(PROBES) * len(horizons) * iterations
    with tqdm(total=total, unit=' updates', mininterval=1) as bar:
        bar.set_description('training the generator')
        for horizon in horizons:
            while (left := horizon - int(state.step)) > 0:
                state, _ = steps(hyperparameters, state, pixels, np.int32(min(CALL, left)))
                bar.update(min(CALL, left))
            frozen.append(jax.tree.map(np.array, state))
        return {name: _probe(name, settings[name], pixels, frozen, horizons, iterations, bar) for name in PROBES}


def _probe(
    name: str, settings: Settings, pixels: jax.Array, frozen: list[TrainState], horizons: list[int],
    iterations: int, bar: tqdm,
) -> list[list[tuple[int, CriticProbe]]]:  # fmt: skip
    gan, hyperparameters = build_gan(settings, pixels.shape[-1])
    objectives = [OBJECTIVES[objective] for objective in PROBES[name].objectives]
    update = jax.jit(functools.partial(fit_critic, gan), donate_argnums=1)
    read = jax.jit(functools.partial(probe_critic, gan, objectives, draws=DRAWS.value))
    series = []
    for horizon, generator in zip(horizons, frozen, strict=True):
        bar.set_description(f'{PROBES[name].title} against generator {horizon}')
        seed = (launcher.seed() + 1) % 2**32
        variables = Variables(generator.params.generator, generator.network_state.generator)
        state, probes = fresh_critic(gan, hyperparameters, variables, seed, step=generator.step), []
        for moment in _moments(iterations):
            while (left := moment - int(state.critic_step)) > 0:
                state = update(hyperparameters, state, pixels, np.int32(min(CALL, left)))
                bar.update(min(CALL, left))
            probes.append((moment, jax.device_get(read(state, pixels))))
        series.append(probes)
    return series


def _arrays(probes: dict[str, list[list[tuple[int, CriticProbe]]]]) -> dict[str, np.ndarray]:
    """Arrays named KIND_FIELD, (generators, moments[, objectives]), and the moments."""
    arrays = {'iterations': np.array([moment for moment, _ in next(iter(probes.values()))[0]])}
    for name, series in probes.items():
        for field in CriticProbe._fields:
            arrays[f'{name}_{field}'] = np.array([[getattr(r, field) for _, r in one] for one in series])
    return arrays


def _summary(arrays: dict[str, np.ndarray], horizons: list[int]) -> dict[str, Any]:
    """What the claims are about, for each frozen generator.

    Falls and spans are in orders of magnitude (log10): of the discriminator's gradients from the first probe to the
    last, of the critics' between the largest and the smallest after the first tenth of their training, in which their
    weights grow from their initial size.
    """
    iterations = arrays['iterations']
    trained = iterations >= iterations[-1] / 10
    results = {}
    for i, horizon in enumerate(horizons):
        accuracy = arrays['standard_accuracy'][i]
        norms = np.maximum(arrays['standard_gradient_norm'][i], np.finfo(np.float32).tiny)  # an underflow is a fall
        perfect = np.flatnonzero(accuracy == 1)
        row = {
            'final_accuracy': float(accuracy[-1]),
            'iterations_to_accuracy_1': int(iterations[perfect[0]]) if len(perfect) else None,
            'final_discriminator_loss': float(arrays['standard_loss'][i, -1]),
            'minimax_gradient_fall': float(np.log10(norms[0, 0] / norms[-1, 0])),
            'minimax_gradient_fall_from_largest': float(np.log10(norms[:, 0].max() / norms[-1, 0])),
            'non_saturating_gradient_rise': float(np.log10(norms[-1, 1] / norms[0, 1])),
        }
        for name in ('clip', 'gradient_penalty'):
            critic = arrays[f'{name}_gradient_norm'][i, trained, 0]
            row[f'{name}_gradient_span'] = float(np.log10(critic.max() / critic.min()))
        results[f'after_{horizon}_steps'] = row
    return results


def _table(results: dict[str, Any]) -> str:
    columns = {
        'accuracy': ('final_accuracy', '.3f'), '1 after': ('iterations_to_accuracy_1', 'd'),
        'minimax falls by': ('minimax_gradient_fall', '.1f'),
        '-log D rises by': ('non_saturating_gradient_rise', '.1f'),
        'clip varies by': ('clip_gradient_span', '.1f'), 'penalty varies by': ('gradient_penalty_gradient_span', '.1f'),
    }  # fmt: skip
    rows = [
        [name.replace('_', ' '), *(shown(row[key], form) for key, form in columns.values())]
        for name, row in results.items()
    ]
    return text_table(['gradients in orders of magnitude', *columns], rows)


if __name__ == '__main__':
    launcher.run(main)
