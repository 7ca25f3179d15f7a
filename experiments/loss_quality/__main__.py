"""Does the loss mean something? The critic's estimate beside the quality of the samples, while GANs train.

Wasserstein GANs, clipped as published and with a gradient penalty, with a DCGAN and with an MLP generator, and one that
fails (its learning rates are too high); and the same as standard GANs, whose discriminator estimates the Jensen-Shannon
divergence, log 2 - loss / 2. Quality is the patch distance and the kernel distance of wgan_jax.metrics, low for good
samples; curves go through a median filter (Arjovsky et al. 2017, figures 3 and 4). --size=full has 10,000 generator
updates and three seeds. A run is kept as soon as it is done: the same command goes on where it was stopped.
"""

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from wgan_jax import data
from wgan_jax.files import atomic_path
from wgan_jax.metrics.features import feature_network
from wgan_jax.ranges import BATCH, COUNT, whole
from wgan_jax.training.gan import GAN, Hyperparameters

from ..common import kept, launcher, pictures
from ..common.choices import datasets
from ..common.flagtypes import by_size, define_choice, define_choices, define_number, define_text
from ..common.image_runs import Budget, Reference, compiled, largest_estimate, reference, require_memory, train
from ..common.progress import progress
from ..common.tables import shown, text_table
from .figures import draw
from .runs import RUNS, build, recorded, settings_of
from .summary import CURVES, FILTER, over_seeds, summary

SIZES = {
    'quick': {'width': 8, 'steps': 1_000, 'points': 50, 'seeds': 1},
    'full': {'width': 16, 'steps': 10_000, 'points': 100, 'seeds': 3},
}
OUTPUTS = ('loss_quality.png', 'curves.npz')
KEPT = 'runs'

SIZE = define_choice('size', 'quick', list(SIZES), 'Budget: quick or full.')
DATASET = define_text('dataset', 'flags', f'Images: {datasets()}.')
DATA_DIR = define_text('data_dir', None, 'Where TFDS finds its prepared datasets.')
IMAGE_SIZE = define_text('image_size', '32x48', 'Image side in pixels, or HEIGHTxWIDTH.')
WIDTH = define_number(
    'width', None, by_size('width', 'Width of the DCGAN networks; MLPs have 16 times as many units in a layer', SIZES),
    whole(1, 2**12),
)  # fmt: skip
BATCH_SIZE = define_number('batch_size', 32, 'Images in a batch.', BATCH)
STEPS = define_number('steps', None, by_size('steps', 'Generator updates of each run', SIZES), COUNT)
POINTS = define_number(
    'points', None, by_size('points', 'Moments at which quality is measured, at even distances', SIZES), whole(FILTER)
)
SEEDS = define_number('seeds', None, by_size('seeds', 'Seeds of each run, from --seed on', SIZES), whole(1, 1_000))
FIRST_UPDATES = define_number('first_updates', 100, 'Critic updates before the first generator update.', whole(0))
SAMPLES = define_number('samples', 256, 'Samples whose quality is measured.', whole(2, int(BATCH.highest)))
FEATURES = define_text(
    'features', 'random_conv', 'Whose kernel distance is the second measure: random_conv, pixels, classifier:FILE, '
    'inception_v3:FILE, dinov2_vitb14:FILE, ...',
)  # fmt: skip
ONLY = define_choices('only', None, RUNS, 'Which runs (default: all)')


def main() -> int:
    """Reads the flags, trains all runs, draws; returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            sizes = {flag.name: flag.value or SIZES[SIZE.value][flag.name]
                     for flag in (WIDTH, STEPS, POINTS, SEEDS)}  # fmt: skip
            budget = Budget(sizes['steps'], sizes['points'], FIRST_UPDATES.value, SAMPLES.value)
            if budget.points > budget.steps:
                raise ValueError(f'points={budget.points} must lie between {FILTER} and steps={budget.steps}')
            seeds, network = launcher.seeds(sizes['seeds']), feature_network(FEATURES.value)
            given = {
                'dataset': DATASET.value, 'data_dir': DATA_DIR.value, 'image_size': IMAGE_SIZE.value,
                'width': sizes['width'], 'batch_size': BATCH_SIZE.value,
            }  # fmt: skip
            names = ONLY.value or list(RUNS)
            height, width = settings_of(RUNS[names[0]], 'dcgan', given).height_width
            images = data.load(DATASET.value, height, width, data_dir=DATA_DIR.value)
            gans = {name: build(RUNS[name], images.pixels.shape[-1], given) for name in names}
            sizing = f'image_size={IMAGE_SIZE.value}, width={sizes["width"]}, batch_size={BATCH_SIZE.value}'
            for built in gans.values():
                require_memory(*built, len(images.pixels), budget, sizing)
            real = reference(images.pixels, 4 * budget.samples, network)
            workdir = held.enter_context(launcher.results_folder('loss_quality'))
        launcher.require_ours(workdir, OUTPUTS)
        kept.prepare(workdir, KEPT)
        # Of the network by what it makes of the images: a classifier that was trained anew has the same name.
        features = {'name': network.name, 'digest': hashlib.sha256(real.features.tobytes()).hexdigest()[:12]}
        record = {'budget': budget, 'features': features, 'dataset': images.fingerprint}
        arrays = {}
        with progress(len(names) * len(seeds) * budget.steps, 'steps') as bar:
            for name in names:
                bar.set_description(RUNS[name].title)
                own = {**record, 'settings': recorded(RUNS[name], given)}
                arrays[name] = _runs(workdir, name, gans[name], images.pixels, real, budget, seeds, own, bar)
        results = _results(gans, arrays, images.pixels.shape[1:])
        # From here on: until there are new results, the old ones stay.
        launcher.begin(
            workdir, OUTPUTS, launcher='loss_quality',
            flags={**launcher.values_of(DATASET, IMAGE_SIZE, BATCH_SIZE, FIRST_UPDATES, SAMPLES, ONLY), **sizes},
            features=features, runs={name: dataclasses.asdict(RUNS[name]) for name in names},
            dataset={'shape': list(images.pixels.shape), 'fingerprint': images.fingerprint},
        )  # fmt: skip
        _write(workdir, arrays, results)
    print(_table(results))
    print(f'Results in {workdir}/: loss_quality.png, results.json, curves.npz')
    return 0


def _runs(
    workdir: Path, name: str, built: tuple[GAN, Hyperparameters], pixels: jax.Array, real: Reference, budget: Budget,
    seeds: Iterable[int], record: dict[str, Any], bar: tqdm,
) -> list[dict[str, np.ndarray]]:  # fmt: skip
    """The curves of a run's seeds; of those that were done before, from their files."""
    programs, found = compiled(built[0], budget), []
    for seed in seeds:
        path, before = kept.place(workdir, KEPT, name, str(seed), {**record, 'seed': seed}), bar.n
        done = kept.read(path, {}, ['steps', *CURVES, 'samples'])
        if done is None:
            curves = train(*built, programs, pixels, real, budget, seed, bar.update)
            done = {}, {name: curves[name] for name in ('steps', *CURVES, 'samples')}
            kept.write(path, *done)
        bar.update(before + budget.steps - bar.n)
        found.append(done[1])
    return found


def _results(
    gans: dict[str, tuple[GAN, Hyperparameters]], arrays: dict[str, list[dict[str, np.ndarray]]], shape: tuple[int, ...]
) -> dict[str, dict[str, Any]]:
    return {
        name: over_seeds([summary(one, largest_estimate(gans[name][0], shape)) for one in runs])
        for name, runs in arrays.items()
    }


def _write(workdir: Path, arrays: dict[str, list[dict[str, np.ndarray]]], results: dict[str, dict[str, Any]]) -> None:
    stacked = {
        f'{name}_{key}': runs[0][key] if key == 'steps' else np.stack([one[key] for one in runs])
        for name, runs in arrays.items() for key in runs[0]
    }  # fmt: skip
    with atomic_path(workdir / 'curves.npz') as temporary:
        np.savez(temporary, **stacked)
    strips = {}
    for name, runs in arrays.items():
        samples = runs[0]['samples']  # in time, side by side
        strips[name] = pictures.grid(samples.swapaxes(0, 1).reshape(-1, *samples.shape[2:]), len(samples))
    draw(workdir / 'loss_quality.png', arrays, results, {name: RUNS[name].title for name in arrays}, strips)
    launcher.write_results(workdir, results)


def _table(results: dict[str, dict[str, Any]]) -> str:
    def correlation(row, name):
        spread = row[f'{name}_std']
        return shown(row[name], '+.2f') + ('' if spread is None else f' ± {spread:.2f}')

    ways = {'estimate': '.3g', 'patch_distance': '.2f', 'generator_loss': '.3g'}
    rows = [
        [
            RUNS[name].title,
            correlation(row, 'spearman'),
            correlation(row, 'spearman_features'),
            *(f'{shown(row[f"first_{key}"], form)} to {shown(row[f"last_{key}"], form)}' for key, form in ways.items()),
            shown(row['reason']),
        ]
        for name, row in results.items()
    ]
    columns = ['rank correlation', 'by features', 'estimate', 'patch distance', "generator's loss", 'note']
    return text_table(['', *columns], rows)


if __name__ == '__main__':
    launcher.run(main)
