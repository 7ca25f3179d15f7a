"""Does the loss mean something? The critic's estimate beside the quality of the samples, while GANs train.

Wasserstein GANs with a DCGAN and with an MLP generator and one that fails (its learning rates are too high); and the
same three as standard GANs, whose discriminator estimates the Jensen-Shannon divergence, log 2 - loss / 2. Quality is
the patch distance of wgan_jax.metrics, low for good samples; curves go through a median filter (Arjovsky et al. 2017,
figures 3 and 4).
"""

import contextlib
import dataclasses
import functools
import itertools
import math
import time
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from wgan_jax import data
from wgan_jax.data.images import to_float
from wgan_jax.files import atomic_path
from wgan_jax.metrics.patches import patch_distance
from wgan_jax.objectives import OBJECTIVES
from wgan_jax.ranges import BATCH, COUNT, whole
from wgan_jax.training.build import build_gan
from wgan_jax.training.cost import require_memory
from wgan_jax.training.draws import Role, example_keys
from wgan_jax.training.frozen import fit_critic
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.pace import Pace
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import Settings, override
from wgan_jax.training.state import TrainState, init_state
from wgan_jax.training.step import Metrics, train_steps
from wgan_jax.types import Players

from ..common import launcher, pictures
from ..common.choices import datasets
from ..common.flagtypes import define_choices, define_number, define_text
from ..common.tables import shown, text_table
from .figures import draw
from .summary import FILTER, summary

DATASET = define_text('dataset', 'flags', f'Images: {datasets()}.')
DATA_DIR = define_text('data_dir', None, 'Where TFDS finds its prepared datasets.')
IMAGE_SIZE = define_text('image_size', '32x48', 'Image side in pixels, or HEIGHTxWIDTH.')
WIDTH = define_number(
    'width', 8, 'Width of the DCGAN networks; MLPs have 16 times as many units in a layer.', whole(1, 2**12)
)
BATCH_SIZE = define_number('batch_size', 32, 'Images in a batch.', BATCH)
STEPS = define_number('steps', 1000, 'Generator updates of each run.', COUNT)
POINTS = define_number('points', 50, 'Moments at which quality is measured, at even distances.', whole(FILTER))
FIRST_UPDATES = define_number('first_updates', 100, 'Critic updates before the first generator update.', whole(0))
SAMPLES = define_number('samples', 256, 'Samples whose quality is measured.', BATCH)

OUTPUTS = ('loss_quality.png', 'curves.npz')
SAMPLE_BYTES, IMAGE_BYTES = 400_000, 120_000  # of a sample's, and a real image's, patches and their projections
STRIP = 6  # moments of which samples are shown


@dataclasses.dataclass(frozen=True)
class Run:
    """One training run: its preset, its networks, and learning rates other than the preset's, if any."""

    title: str
    preset: str
    generator: str
    critic: str
    learning_rate: float


RUNS = {
    'wgan_dcgan': Run('WGAN, DCGAN generator', 'wgan_gp', 'dcgan', 'dcgan', 5e-4),
    'wgan_mlp': Run('WGAN, MLP generator', 'wgan_gp', 'mlp', 'dcgan', 5e-4),
    'wgan_fails': Run('WGAN, MLPs, rates too high', 'wgan_gp', 'mlp', 'mlp', 0.1),
    'gan_dcgan': Run('standard GAN, DCGAN generator', 'dcgan', 'dcgan', 'dcgan', 2e-4),
    'gan_mlp': Run('standard GAN, MLP generator', 'dcgan', 'mlp', 'dcgan', 2e-4),
    'gan_fails': Run('standard GAN, MLPs, rates too high', 'dcgan', 'mlp', 'mlp', 0.1),
}

ONLY = define_choices('only', None, RUNS, 'Which runs (default: all)')


def main() -> int:
    """Reads the flags, trains all runs, draws; returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            if POINTS.value > STEPS.value:
                raise ValueError(f'points={POINTS.value} must lie between {FILTER} and steps={STEPS.value}')
            names = ONLY.value or list(RUNS)
            height, width = _settings(RUNS['wgan_dcgan'], 'dcgan').height_width
            images = data.load(DATASET.value, height, width, data_dir=DATA_DIR.value)
            gans = {name: _build(RUNS[name], images.pixels.shape[-1]) for name in names}
            different = {(RUNS[name].generator, RUNS[name].critic): gans[name] for name in names}
            _require_memory(different.values(), len(images.pixels))
            workdir = held.enter_context(launcher.results_folder('loss_quality'))
        chosen = launcher.values_of(DATASET, IMAGE_SIZE, WIDTH, BATCH_SIZE, STEPS, POINTS, FIRST_UPDATES, SAMPLES, ONLY)
        launcher.begin(
            workdir,
            OUTPUTS,
            launcher='loss_quality',
            flags=chosen,
            runs={name: dataclasses.asdict(RUNS[name]) for name in names},
            dataset={'shape': list(images.pixels.shape), 'fingerprint': images.fingerprint},
        )
        arrays, results = {}, {}
        with tqdm(total=len(names) * STEPS.value, unit=' steps', mininterval=1) as bar:
            for name in names:
                bar.set_description(RUNS[name].title)
                arrays[name] = _train(*gans[name], images.pixels, bar)
                results[name] = summary(arrays[name], _largest_estimate(gans[name][0], images.pixels.shape[1:]))
        with atomic_path(workdir / 'curves.npz') as temporary:
            np.savez(
                temporary, **{f'{name}_{key}': value for name, one in arrays.items() for key, value in one.items()}
            )
        strips = {name: pictures.grid(one['samples'][:, :4].swapaxes(0, 1).reshape(-1, *images.pixels.shape[1:]), STRIP)
                  for name, one in arrays.items()}  # fmt: skip
        draw(workdir / 'loss_quality.png', arrays, results, {name: RUNS[name].title for name in names}, strips)
        launcher.write_results(workdir, results)
    print(_table(results))
    print(f'Results in {workdir}/: loss_quality.png, results.json, curves.npz')
    return 0


def _table(results: dict[str, dict[str, Any]]) -> str:
    columns = {
        'rank correlation': ('spearman', '+.2f'),
        'distance, first': ('first_distance', '.2f'), 'distance, last': ('last_distance', '.2f'),
        'estimate, first': ('first_estimate', '.3g'), 'estimate, last': ('last_estimate', '.3g'),
    }  # fmt: skip
    rows = [
        [RUNS[name].title, *(shown(row[key], form) for key, form in columns.values()), shown(row['reason'])]
        for name, row in results.items()
    ]
    return text_table(['', *columns, 'note'], rows)


def _settings(run: Run, architecture: str) -> Settings:
    given = {
        'dataset': DATASET.value, 'data_dir': DATA_DIR.value, 'image_size': IMAGE_SIZE.value, 'arch': architecture,
        'width': WIDTH.value * (16 if architecture == 'mlp' else 1), 'batch_size': BATCH_SIZE.value,
        'generator_lr': run.learning_rate, 'critic_lr': run.learning_rate, 'seed': launcher.seed(),
        'critic_norm': 'none' if architecture == 'mlp' else PRESETS[run.preset].critic_norm,
    }  # fmt: skip
    return override(PRESETS[run.preset], {name: value for name, value in given.items() if value is not None})


def _build(run: Run, channels: int) -> tuple[GAN, Hyperparameters]:
    """The GAN of a run, whose two networks may be of different architectures."""
    (gan, hyperparameters), (other, _) = (
        build_gan(_settings(run, arch), channels) for arch in (run.critic, run.generator)
    )
    return dataclasses.replace(gan, networks=Players(other.networks.generator, gan.networks.critic)), hyperparameters


def _require_memory(gans: Iterable[tuple[GAN, Hyperparameters]], num_images: int) -> None:
    """Raises ValueError when a run, its metrics between two moments, or the samples would take too much memory."""
    kept = 2 * 4 * len(Metrics._fields) * -(-STEPS.value // POINTS.value) + 200 * POINTS.value
    kept += SAMPLE_BYTES * SAMPLES.value + IMAGE_BYTES * num_images
    what = (
        f'training on {num_images} images with image_size={IMAGE_SIZE.value}, width={WIDTH.value}, '
        f'batch_size={BATCH_SIZE.value}, steps={STEPS.value}, samples={SAMPLES.value} at points={POINTS.value}'
    )
    for gan, hyperparameters in gans:
        most = dataclasses.replace(gan, batch_size=max(gan.batch_size, SAMPLES.value))
        require_memory(most, hyperparameters, what, beside=kept)


def _calls(pace: Pace, count: int) -> Iterator[int]:
    """The sizes of the calls that make ``count`` steps, each as large as the one before suggests by its time."""
    done = 0
    while done < count:
        size, began = pace.next(count - done), time.monotonic()
        yield size
        pace.took(size, time.monotonic() - began)
        done += size


def _train(gan: GAN, hyperparameters: Hyperparameters, pixels: jax.Array, bar: tqdm) -> dict[str, np.ndarray]:
    """Trains one run; its steps, estimates, distances and samples at the moments of measurement.

    A run whose numbers stop being finite stays where it broke: its estimate and distance are NaN from there on.
    """
    eval_steps = np.unique(np.linspace(0, STEPS.value, POINTS.value + 1).round().astype(int))
    capacity = int(np.diff(eval_steps).max())
    steps = jax.jit(functools.partial(train_steps, gan, capacity=capacity), donate_argnums=1)
    fit = jax.jit(functools.partial(fit_critic, gan), donate_argnums=1)
    judge = jax.jit(functools.partial(_judge, gan))
    shown = {int(eval_steps[i]) for i in np.linspace(1, len(eval_steps) - 1, STRIP).round().astype(int)}
    state = init_state(gan, hyperparameters, launcher.seed())
    with tqdm(total=FIRST_UPDATES.value, desc='critic first', unit=' updates', delay=5, leave=False) as first:
        for size in _calls(Pace(10**6), FIRST_UPDATES.value):
            state = jax.block_until_ready(fit(hyperparameters, state, pixels, np.int32(size)))
            first.update(size)
    estimates, distances, samples = [], [], []
    pace = Pace(capacity)
    for begin, end in itertools.pairwise(eval_steps):
        parts = []
        for size in _calls(pace, int(end - begin)):
            state, rows = steps(hyperparameters, state, pixels, np.int32(size))
            parts.append(np.asarray(rows)[:size])
            bar.update(size)
        estimates.append(_estimate(gan, np.concatenate(parts)))
        distance, images = judge(state, pixels)
        distances.append(float(distance))
        if end in shown:
            samples.append(np.asarray(images[:4]))
    return {
        'steps': eval_steps[1:], 'estimate': np.array(estimates), 'distance': np.array(distances),
        'samples': np.stack(samples),
    }  # fmt: skip


def _estimate(gan: GAN, rows: np.ndarray) -> float:
    """Mean over the steps of the Wasserstein estimate, or of that of the JS divergence."""
    metrics = Metrics(*rows.T)
    if gan.objective is OBJECTIVES['wasserstein']:
        return float(np.mean(metrics.wasserstein))
    return float(math.log(2) - np.mean(metrics.critic_loss) / 2)


def _judge(gan: GAN, state: TrainState, pixels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The patch distance of fixed samples of the generator itself, not of its average, and the samples."""
    (keys,) = example_keys(state.seed, (Role.SAMPLE,), 0, jnp.arange(SAMPLES.value))
    images, _ = gan.networks.generator.apply(state.generator, jax.vmap(gan.latent)(keys), train=True)
    images = jnp.clip(images.astype(jnp.float32), -1, 1)
    return patch_distance(to_float(pixels), images, jax.random.key(0)), images


def _largest_estimate(gan: GAN, shape: tuple[int, ...]) -> float:
    """No W1 between images in [-1, 1] is larger than their diameter 2 sqrt(H W C), no JS divergence than log 2."""
    return 2 * math.sqrt(math.prod(shape)) if gan.objective is OBJECTIVES['wasserstein'] else math.log(2)


if __name__ == '__main__':
    launcher.run(main)
