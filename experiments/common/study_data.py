"""What a study trains on: a density, whose W1 is exact, or images, with the patch distance in its place."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from wgan_jax import data
from wgan_jax.data import synthetic
from wgan_jax.metrics.features import FeatureNetwork
from wgan_jax.training.build import build_gan
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import Settings, override, record
from wgan_jax.training.step import Metrics
from wgan_jax.training.sweep import combinations, make_sweep
from wgan_jax.training.toy import TOY_PRESETS, build_toy

from . import kept, toy_run
from .image_runs import Budget, compiled, reference, require_memory, train

MOMENTS = 20  # at which the quality is measured
KEPT = 'runs'
_SAMPLES = 256  # whose quality is measured, on images


class Outcome(NamedTuple):
    """What training showed, at T moments of R seeds.

    Attributes:
        step: generator updates at each moment, (T,).
        quality: by name, how far the samples are from the data, (T, R); a study judges by the first.
        captured: share of modes at the end, (R,); None where there are none.
        metrics: of every step, (steps, R, fields of Metrics).
    """

    step: np.ndarray
    quality: dict[str, np.ndarray]
    captured: np.ndarray | None
    metrics: np.ndarray


class OnDensity:
    """Multilayer perceptrons on a density: all seeds in one program, exact W1.

    Args:
        name: of the density.
    """

    label = 'exact W1 of generated samples to data'

    def __init__(self, name: str):
        self._density = synthetic.load(name)
        self._common = {'dataset': name, 'width': 64, 'batch_size': 64, 'generator_lr': 5e-4, 'critic_lr': 5e-4}
        self.title = 'Ring of eight Gaussians' if name == 'ring' else name.replace('_', ' ')
        self.recorded = {'dataset': name}

    def settings(self, preset: str, changes: Mapping[str, Any]) -> Settings:
        """A toy preset at the size of these studies, and its changes."""
        return dataclasses.replace(TOY_PRESETS[preset], **self._common | changes)

    def require_memory(self, settings: Sequence[Settings], seeds: Sequence[int]) -> None:
        """Raises ValueError when the study would take too much memory; all variants are of one size."""
        toy_run.require_memory(
            *build_toy(settings[0], self._density), self._density, settings[0], len(seeds), MOMENTS,
            programs=len(settings),
        )  # fmt: skip

    def train(self, workdir: Path, name: str, settings: Settings, seeds: Sequence[int], bar: tqdm) -> Outcome:
        """Trains a variant; nothing is kept, as it takes seconds."""
        del workdir, name
        gan, hyperparameters = build_toy(settings, self._density)
        sweep = make_sweep(gan, combinations(seeds, hyperparameters))
        _, history = toy_run.train_runs(
            sweep, gan, self._density, steps=settings.steps, num_evals=MOMENTS, seed=seeds[0], bar=bar
        )
        return Outcome(history.step, {'w1': history.distance}, history.captured[-1], history.metrics)


class OnImages:
    """DCGANs on images: patch distance, and kernel distance between features. Each run is kept as soon as it is done.

    Args:
        changes: of settings, as the flags say: dataset, data_dir, image_size, width; None where they do not.
        network: of the features.
    """

    label = 'patch distance of samples to the data'

    def __init__(self, changes: Mapping[str, Any], network: FeatureNetwork):
        given = {'image_size': '32x32', 'width': 8, 'batch_size': 32}
        self._common = given | {name: value for name, value in changes.items() if value is not None}
        height, width = self.settings('wgan', {}).height_width
        self._images = data.load(self._common['dataset'], height, width, data_dir=changes['data_dir'])
        self._real = reference(self._images.pixels, 4 * _SAMPLES, network)
        self.title = f'{self._common["dataset"]} at {height}x{width}'
        digest = hashlib.sha256(self._real.features.tobytes()).hexdigest()[:12]  # a network trained anew has its name
        self.recorded = {
            'dataset': {'shape': list(self._images.pixels.shape), 'fingerprint': self._images.fingerprint},
            'features': {'name': network.name, 'digest': digest},
        }

    def settings(self, preset: str, changes: Mapping[str, Any]) -> Settings:
        """A preset at the size of these studies, and its changes."""
        return override(PRESETS[preset], {**self._common, **changes})

    def require_memory(self, settings: Sequence[Settings], seeds: Sequence[int]) -> None:
        """Raises ValueError when the study would take too much memory; all variants are of one size."""
        one = settings[0]
        gan, hyperparameters = build_gan(one, self._images.pixels.shape[-1])
        what = f'image_size={one.image_size}, width={one.width}, batch_size={one.batch_size}'
        metrics = 4 * len(Metrics._fields) * one.steps * len(seeds) * len(settings)
        require_memory(gan, hyperparameters, len(self._images.pixels), self._budget(one), what, beside=metrics)

    def train(self, workdir: Path, name: str, settings: Settings, seeds: Sequence[int], bar: tqdm) -> Outcome:
        """Trains a variant, but for the seeds of which there is a file."""
        gan, hyperparameters = build_gan(settings, self._images.pixels.shape[-1])
        budget = self._budget(settings)
        programs = compiled(gan, budget)
        fields = ('steps', 'patch_distance', 'kernel_distance', 'metrics')
        runs = []
        kept.prepare(workdir, KEPT)
        for seed in seeds:
            before, decides = bar.n, {**record(settings), 'data_dir': None}
            part = {**self.recorded, 'settings': decides, 'budget': budget, 'seed': seed}
            path = kept.place(workdir, KEPT, name, str(seed), part)
            done = kept.read(path, {}, fields)
            if done is None:
                curves = train(
                    gan, hyperparameters, programs, self._images.pixels, self._real, budget, seed, bar.update
                )
                done = {}, {field: curves[field] for field in fields}
                kept.write(path, *done)
            bar.update(before + budget.steps - bar.n)
            runs.append(done[1])
        quality = {name: np.stack([run[name] for run in runs], axis=1) for name in fields[1:3]}
        return Outcome(runs[0]['steps'], quality, None, np.stack([run['metrics'] for run in runs], axis=1))

    def _budget(self, settings: Settings) -> Budget:
        return Budget(settings.steps, min(MOMENTS, settings.steps), 0, _SAMPLES)
