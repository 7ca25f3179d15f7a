"""Vanishing gradients: what a better and better critic leaves for a frozen generator, under four losses.

A DCGAN is trained for a while under the standard loss and its generator frozen. Fresh discriminators learn to tell its
pictures from real ones, and fresh Wasserstein critics, clipped and penalised, do the same; on the way the norm of the
gradient that each would hand to the generator is measured (Arjovsky and Bottou 2017, figures 2 and 3). --size=full has
networks of width 64, generators after 1, 10 and 25 epochs, 4,000 updates and five seeds of each discriminator. Each
part is kept as soon as it is done: the same command goes on where it was stopped.
"""

import contextlib
import sys
from typing import Any

import numpy as np

from wgan_jax import data
from wgan_jax.data.images import Images
from wgan_jax.files import atomic_path
from wgan_jax.ranges import BATCH, COUNT, SIZE, whole
from wgan_jax.training.build import build_gan
from wgan_jax.training.cost import require_memory, state_bytes
from wgan_jax.training.loop import NotFinite
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import Settings, override, record

from ..common import kept, launcher
from ..common.choices import datasets
from ..common.flagtypes import by_size, define_choice, define_number, define_numbers, define_text
from ..common.progress import progress
from ..common.tables import shown, text_table
from .figures import draw
from .measure import KEPT, PROBES, freeze, probe
from .summary import summary

SIZES: dict[str, dict[str, Any]] = {
    'quick': {
        'width': 8, 'batch_size': 32, 'iterations': 1000, 'seeds': 1, 'critic_seeds': 1,
        'generator_steps': (100, 1000, 2500),
    },
    'full': {
        'width': 64, 'batch_size': 64, 'iterations': 4000, 'seeds': 5, 'critic_seeds': 1, 'epochs': (1, 10, 25),
    },
}  # fmt: skip

SIZE_FLAG = define_choice('size', 'quick', list(SIZES), 'Budget: quick or full.')
DATASET = define_text('dataset', 'flags', f'Images: {datasets()}.')
DATA_DIR = define_text('data_dir', None, 'Where TFDS finds its prepared datasets.')
IMAGE_SIZE = define_text('image_size', '32x48', 'Image side in pixels, or HEIGHTxWIDTH.')
WIDTH = define_number('width', None, by_size('width', 'Width of the networks', SIZES), SIZE)
BATCH_SIZE = define_number('batch_size', None, by_size('batch_size', 'Images in a batch', SIZES), BATCH)
GENERATOR_STEPS = define_numbers(
    'generator_steps', None, 'Generator updates after which the generator is frozen (default: 100, 1000 and 2500 with '
    'quick).', whole(0), most=100, distinct=True,
)  # fmt: skip
EPOCHS = define_numbers(
    'epochs', None, 'The same in passes over the dataset (default: 1, 10 and 25 with full).', whole(1), most=100,
    distinct=True,
)  # fmt: skip
ITERATIONS = define_number('iterations', None, by_size('iterations', 'Updates of each fresh critic', SIZES), COUNT)
SEEDS = define_number('seeds', None, by_size('seeds', 'Seeds of each fresh discriminator', SIZES), whole(1, 1_000))
CRITIC_SEEDS = define_number(
    'critic_seeds', None, by_size('critic_seeds', 'Seeds of each fresh Wasserstein critic', SIZES), whole(1, 1_000)
)
DRAWS = define_number('draws', 4, 'Batches of latents over which a gradient norm is averaged.', BATCH)

OUTPUTS = ('vanishing_gradients.png', 'probes.npz')


def main() -> int:
    """Reads the flags, measures, draws; returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            sizes = {flag.name: flag.value or SIZES[SIZE_FLAG.value][flag.name]
                     for flag in (WIDTH, BATCH_SIZE, ITERATIONS, SEEDS, CRITIC_SEEDS)}  # fmt: skip
            seeds = {name: _seeds(sizes[probe.seeds]) for name, probe in PROBES.items()}
            settings = {name: _settings(probe.preset, sizes) for name, probe in PROBES.items()}
            images = data.load(DATASET.value, *settings['standard'].height_width, data_dir=DATA_DIR.value)
            horizons = _horizons(len(images.pixels), sizes['batch_size'])
            _require_memory(settings['standard'], images.pixels.shape[-1], len(horizons))
            workdir = held.enter_context(launcher.results_folder('vanishing_gradients'))
        launcher.require_ours(workdir, OUTPUTS)
        kept.prepare(workdir, KEPT)
        try:
            arrays = _measure(workdir, settings, images, horizons, seeds, sizes['iterations'])
        except NotFinite as error:
            print(f'vanishing_gradients: stopped: {error}', file=sys.stderr)
            return 1
        # From here on: until there are new results, the old ones stay.
        launcher.begin(
            workdir,
            OUTPUTS,
            launcher='vanishing_gradients',
            flags={**launcher.values_of(DRAWS), 'generator_steps': horizons, **sizes},
            settings={name: record(s) for name, s in settings.items()},
            dataset={'shape': list(images.pixels.shape), 'fingerprint': images.fingerprint},
        )
        with atomic_path(workdir / 'probes.npz') as temporary:
            np.savez(temporary, **arrays)
        results = summary(arrays, horizons)
        draw(workdir / 'vanishing_gradients.png', arrays, horizons, PROBES)
        launcher.write_results(workdir, results)
    print(_table(results))
    print(f'Results in {workdir}/: vanishing_gradients.png, results.json, probes.npz')
    return 0


def _horizons(num_images: int, batch_size: int) -> list[int]:
    """Generator updates, rising. Raises ValueError where they are given in two ways, or epochs of less than one."""
    if GENERATOR_STEPS.value is not None and EPOCHS.value is not None:
        raise ValueError('generator_steps and epochs say the same: give one of them')
    chosen = SIZES[SIZE_FLAG.value]
    steps = GENERATOR_STEPS.value or (None if EPOCHS.value else chosen.get('generator_steps'))
    if steps is not None:
        return sorted(steps)
    if num_images < batch_size:
        raise ValueError(f'batch_size={batch_size}: an epoch of {num_images} images is less than one update')
    return sorted({epochs * num_images // batch_size for epochs in EPOCHS.value or chosen['epochs']})


def _seeds(count: int) -> list[int]:
    return [(seed + 1) % 2**32 for seed in launcher.seeds(count)]  # the first is the generator's


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
    workdir: Any, settings: dict[str, Settings], images: Images, horizons: list[int], seeds: dict[str, list[int]],
    iterations: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Arrays named KIND_FIELD, (generators, seeds, moments[, objectives]), and the moments."""
    moments = _moments(iterations)
    arrays = {'iterations': np.array(moments)}
    total = horizons[-1] + sum(map(len, seeds.values())) * len(horizons) * iterations
    with progress(total, 'updates') as bar:
        bar.set_description('training the generator')
        with launcher.usage_errors():  # what a run's folder may refuse
            generators = freeze(workdir, settings['standard'], images, horizons, lambda step: bar.update(step - bar.n))
        for name in PROBES:
            bar.set_description(PROBES[name].title)
            found = probe(
                workdir, name, settings[name], images, generators, seeds[name], moments, DRAWS.value,
                record(settings['standard']), bar.update,
            )  # fmt: skip
            arrays |= {f'{name}_{field}': values for field, values in found.items()}
    return arrays


def _table(results: dict[str, Any]) -> str:
    columns = {
        'accuracy': ('final_accuracy', '.3f'), '1 after': ('iterations_to_accuracy_1', '.0f'),
        'minimax falls by': ('minimax_gradient_fall', '.1f'),
        '-log D rises by': ('non_saturating_gradient_rise', '.1f'),
        'its spread by': ('non_saturating_deviation_rise', '.1f'),
        'clip varies by': ('clip_gradient_span', '.1f'), 'penalty varies by': ('gradient_penalty_gradient_span', '.1f'),
    }  # fmt: skip

    def cell(row, key, form):
        spread = row[f'{key}_std']
        return shown(row[key], form) + ('' if spread is None else f' ± {spread:{form}}')

    rows = [
        [name.replace('_', ' '), *(cell(row, key, form) for key, form in columns.values())]
        for name, row in results.items()
    ]
    return text_table(['gradients in orders of magnitude', *columns], rows)


if __name__ == '__main__':
    launcher.run(main)
