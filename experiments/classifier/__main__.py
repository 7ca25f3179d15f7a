"""Train a small classifier on any labelled set of pictures, for scores that need no download.

A tenth of the pictures, chosen by their content, is kept from training and tells the accuracy, or --test_dataset does.
The file classifier.safetensors is what a feature network 'classifier:FILE' is made of, for images of the same size.
"""

import contextlib
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from tqdm import tqdm

import wgan_jax
from wgan_jax.data import is_path
from wgan_jax.data.images import Images
from wgan_jax.files import atomic_path
from wgan_jax.metrics.features import classifier
from wgan_jax.metrics.features.training import STEPS as DEFAULT_STEPS
from wgan_jax.metrics.features.training import train_classifier
from wgan_jax.ranges import COUNT
from wgan_jax.text import printable
from wgan_jax.training.dataset import with_images
from wgan_jax.training.settings import Settings

from ..common import launcher
from ..common.figures import save
from ..common.flagtypes import define_number, define_text
from ..common.reading import Reading
from ..common.setting_flags import define_settings, given
from . import sets

SETTINGS = define_settings(('dataset', 'data_dir', 'image_size', 'channels', 'fit'))
DEFAULTS = {'dataset': 'mnist', 'image_size': '32'}
TEST_DATASET = define_text(
    'test_dataset', None, 'Pictures to measure the accuracy on, such as mnist:test (default: a tenth of --dataset).'
)
STEPS = define_number('steps', DEFAULT_STEPS, 'Batches of 128 pictures to train on.', COUNT)

OUTPUTS = ('classifier.safetensors', 'confusion.png', 'confusion.npz')
WRITTEN = 20  # classes of which the counts are written into the figure
NAMED = 60  # classes that have room for their names beside it


def main() -> int:
    """Reads the flags, trains, and returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            # Multilayer perceptrons, which take images of every size: no network of these settings is made.
            chosen = wgan_jax.settings('wgan_gp', arch='mlp', **(DEFAULTS | given(SETTINGS)), seed=launcher.seed())
            train, test = _images(chosen)
            workdir = held.enter_context(launcher.results_folder('classifier'))
        flags = {name: getattr(chosen, name) for name in SETTINGS} | launcher.values_of(TEST_DATASET, STEPS)
        launcher.begin(
            workdir, OUTPUTS, launcher='classifier', flags=flags, fingerprint=train.fingerprint,
            test_fingerprint=test.fingerprint,
        )  # fmt: skip
        began = time.perf_counter()
        try:
            made = _train(chosen, train, test)
        except FloatingPointError as error:
            print(f'classifier: stopped: {error}', file=sys.stderr)
            return 1
        seconds = time.perf_counter() - began
        classifier.save(workdir / 'classifier.safetensors', made)
        counts = _confusion(made, test)
        with atomic_path(workdir / 'confusion.npz') as temporary:
            np.savez(temporary, counts=counts, classes=np.array(made.classes))
        _draw(workdir / 'confusion.png', made, counts)
        launcher.write_results(workdir, _numbers(made, train, counts) | {'steps': STEPS.value, 'seconds': seconds})
    print(f'{made.accuracy:.2%} of {counts.sum()} held-out pictures of {len(made.classes)} classes are told right')
    print(f'Results in {workdir}/: classifier.safetensors, confusion.png, confusion.npz, results.json')
    return 0


def _images(chosen: Settings) -> tuple[Images, Images]:
    """What to train on, and what to test on."""
    _, images = with_images(chosen, on_progress=Reading())
    train = sets.check_classes(images, chosen.dataset)
    if TEST_DATASET.value is None:
        return sets.split(train, chosen.dataset)
    _, images = with_images(chosen, TEST_DATASET.value, on_progress=Reading())
    test = sets.labelled(images, TEST_DATASET.value)
    if (test.classes, test.pixels.shape[1:]) != (train.classes, train.pixels.shape[1:]):
        what = 'classes' if test.classes != train.classes else 'channels'
        raise ValueError(
            f'test_dataset={sets.shown(TEST_DATASET.value)} has other {what} than {sets.shown(chosen.dataset)}'
        )
    return train, test


def _train(chosen: Settings, train: Images, test: Images) -> classifier.Classifier:
    # The name stands in scores, which are handed on; the place of a folder is nobody's business there.
    kind, _, path = chosen.dataset.partition(':')
    path = path if kind == 'folder' else chosen.dataset if is_path(chosen.dataset) else None
    name = chosen.dataset if path is None else Path(path).resolve().name
    with tqdm(total=STEPS.value, unit=' steps', desc='training', delay=2, leave=False) as bar:

        def show(step: int, loss: float) -> None:
            bar.set_postfix(loss=f'{loss:.4f}', refresh=False)
            bar.update(step - bar.n)

        return train_classifier(
            train.pixels, train.labels, len(train.classes), steps=STEPS.value, seed=launcher.seed(),
            held_out=(test.pixels, test.labels), classes=train.classes, dataset=name, on_progress=show,
        )  # fmt: skip


def _confusion(made: classifier.Classifier, test: Images) -> np.ndarray:
    """How often a picture of each class, by row, was taken for each, by column."""
    _, probabilities = made.network().classify(test.pixels, batch_size=256)
    counts = np.zeros((len(made.classes),) * 2, int)
    np.add.at(counts, (test.labels, probabilities.argmax(axis=1)), 1)
    return counts


def _numbers(made: classifier.Classifier, train: Images, counts: np.ndarray) -> dict[str, Any]:
    tested, right = counts.sum(axis=1), np.diag(counts)
    per_class = {
        name: {'trained_on': int(n), 'tested_on': int(m), 'right': int(r)}
        for name, n, m, r in zip(made.classes, np.bincount(train.labels), tested, right, strict=True)
    }
    return {
        'accuracy': made.accuracy, 'shape': list(made.shape), 'trained_on': len(train.pixels),
        'tested_on': int(counts.sum()), 'classes': per_class,
    }  # fmt: skip


def _draw(path: Path, made: classifier.Classifier, counts: np.ndarray) -> None:
    k = len(made.classes)
    side = min(12.0, 4 + 0.4 * k)
    figure, axes = plt.subplots(figsize=(side + 1, side), layout='constrained')
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    shown = axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    figure.colorbar(shown, ax=axes, label='share of the class')
    axes.set(xlabel='taken for', ylabel='class', title=f'{made.accuracy:.2%} of {counts.sum()} held-out pictures')
    if k <= NAMED:
        names = [printable(name, 18) for name in made.classes]
        axes.set_xticks(range(k), names, rotation=90 if max(map(len, names)) > 3 else 0)
        axes.set_yticks(range(k), names)
    if k <= WRITTEN:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = 'white' if shares[row, column] > 0.5 else 'black'
                axes.text(column, row, str(count), ha='center', va='center', fontsize=8, color=colour)
    save(
        figure, path,
        'What the classifier takes held-out pictures of each class for; those told right lie on the diagonal. Pictures '
        'that it confuses here, it will confuse among samples, too.',
    )  # fmt: skip


if __name__ == '__main__':
    launcher.run(main)
