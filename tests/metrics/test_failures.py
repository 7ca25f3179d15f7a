"""One table: which failure each metric catches, and that all pass two halves of one set; METRICS.md says the same."""

import functools
import inspect
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from wgan_jax import metrics
from wgan_jax.metrics.duplicates import NEAR
from wgan_jax.metrics.patches import halve

DOCUMENT = Path(metrics.__file__).with_name('METRICS.md')
NUM, SIDE, CLASSES = 300, 28, 5
COLOURS = 0.6 * np.array([[1, 1, 1], [-1, -1, -1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
KEY = jax.random.key(0)


def pictures(draw, labels):
    """A band, a column, a disc, a cross or a diagonal, anywhere, in a random colour on the ground of its class."""
    down, across = np.mgrid[:SIDE, :SIDE] / SIDE
    images = np.empty((len(labels), SIDE, SIDE, 3), np.float32)
    for image, label in zip(images, labels, strict=True):
        ground, ink = COLOURS[label] + draw.uniform(-0.4, 0.4, 3), draw.uniform(-1, 1, 3)
        a, b = draw.uniform(0.25, 0.75, 2)
        width = draw.uniform(0.1, 0.25)
        rows, columns = np.abs(down - a), np.abs(across - b)
        shapes = (
            rows < width,
            columns < width,
            rows**2 + columns**2 < 2 * width**2,
            np.minimum(rows, columns) < width / 2,
            np.abs(down - across + a - b) < width,
        )
        image[:] = np.where(shapes[label][..., None], ink, ground)
    return images


def features(images):
    """Raw pixels, halved."""
    return np.asarray(halve(images)).reshape(len(images), -1)


@pytest.fixture(scope='module')
def measured():
    """For each set of samples, every metric's number."""
    draw = np.random.default_rng(0)
    train_labels = draw.integers(0, CLASSES, NUM)
    train, half = pictures(draw, train_labels), pictures(draw, draw.integers(0, CLASSES, NUM))
    held_out = features(pictures(draw, draw.integers(0, CLASSES, NUM)))
    board = (np.indices((SIDE, SIDE)).sum(0) % 2 * 2 - 1)[:, :, None]
    grain = draw.normal(size=half.shape)
    sets = {
        'two halves': half,
        'shifted': half + np.array([0.5, 0, 0]),
        'collapsed': half[draw.integers(0, 4, NUM)] + 0.02 * grain,
        'memorised': train[draw.permutation(NUM)] + 0.01 * grain,
        'noise': half + 0.8 * grain,
        'blurred': gaussian_filter(half, (0, 2, 2, 0)),
        'checkerboard': half + 0.2 * board,
        'one class missing': pictures(draw, draw.choice([0, 1, 3, 4], NUM)),
    }
    x = features(train)
    by_patches, by_laplacian = (
        jax.jit(functools.partial(function, patches=4, num_projections=32))
        for function in (metrics.patch_distance, metrics.laplacian_patch_distance)
    )
    nearest = jax.jit(metrics.nearest_distances)
    typical = np.median(nearest(train))

    def measure(images):
        images = np.clip(images, -1, 1).astype(np.float32)
        y = features(images)
        copies = metrics.memorisation(y, x, held_out)
        labels = train_labels[copies.nearest]  # a classifier: that of the nearest training image
        scores = metrics.neighbour_scores(x, y, 5)
        return {
            'precision_recall.precision': scores.precision,
            'precision_recall.recall': scores.recall,
            'density_coverage.density': scores.density,
            'density_coverage.coverage': scores.coverage,
            'nearest_neighbour_accuracy': scores.accuracy,
            'frechet_distance': metrics.frechet_distance(x, y),
            'kernel_distance': metrics.kernel_distance(x, y),
            'maximum_mean_discrepancy': metrics.maximum_mean_discrepancy(x, y),
            'different_bins': metrics.different_bins(x, y, bins=20).js_divergence,
            'memorisation': copies.statistic,
            'support_size': metrics.support_size(x, y).high,
            'nearest_distances': (np.asarray(nearest(images)) < NEAR * typical).mean(),
            'pairwise_ms_ssim': metrics.pairwise_ms_ssim(images, KEY, pairs=64),
            'patch_distance': float(by_patches(train, images, KEY)),
            'laplacian_patch_distance': float(by_laplacian(train, images, KEY)),
            'inception_score': metrics.inception_score(np.eye(CLASSES)[labels]),
            'class_coverage': metrics.class_coverage(labels, CLASSES).kl,
            'missing_classes': metrics.missing_classes(np.bincount(labels, minlength=CLASSES), [60] * CLASSES),
        }

    return {name: measure(images) for name, images in sets.items()}


# Within these limits a set passes. Two halves of other draws lie well within.
LIMITS = {
    'precision_recall.precision': (0.7, 1),
    'precision_recall.recall': (0.85, 1),
    'density_coverage.density': (0.77, np.inf),
    'density_coverage.coverage': (0.9, 1),
    'nearest_neighbour_accuracy': (0.35, 0.65),
    'frechet_distance': (0, 23),
    'kernel_distance': (-0.03, 0.03),
    'maximum_mean_discrepancy': (-0.004, 0.004),
    'different_bins': (0, 0.055),
    'memorisation': (0, 0.8),
    'support_size': (1000, np.inf),
    'nearest_distances': (0, 0.3),
    'pairwise_ms_ssim': (0, 0.2),
    'patch_distance': (0, 0.12),
    'laplacian_patch_distance': (0, 0.08),
    'inception_score': (4.6, 5),
    'class_coverage': (0, 0.1),
    'missing_classes': (0, 0),
}


def rows():
    """The cells of every row of the document, by its first one."""
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith('| `')]
    cells = [[cell.strip() for cell in line.strip('|').split(' | ')] for line in lines]
    return {first.strip(' `'): rest for first, *rest in cells}


@pytest.mark.parametrize('metric', LIMITS)
def test_each_metric_catches_what_the_document_says(metric, measured):
    # Fails for a metric that sees nothing, or whose direction is the wrong one.
    low, high = LIMITS[metric]
    caught = {name for name, values in measured.items() if not low <= values[metric] <= high}
    assert 'two halves' not in caught
    assert caught == set(rows()[metric][2].split(', ')), {name: values[metric] for name, values in measured.items()}


def test_every_failure_is_caught_and_all_metrics_are_tried(measured):
    caught = {name for metric in LIMITS for name in rows()[metric][2].split(', ')}
    assert caught >= set(measured) - {'two halves'}
    tried = {name for name, cells in rows().items() if len(cells) == 5 and cells[2] != '-'}
    assert set(LIMITS) == tried  # mode coverage is of points, not of pictures


def test_the_document_lists_what_there_is():
    functions = {name for name in metrics.__all__ if inspect.isfunction(getattr(metrics, name))}
    assert {name.partition('.')[0] for name in rows()} == functions
    for name, cells in rows().items():
        assert all(cells), name
        if len(cells) == 5:
            assert re.search(r'\d{4}|this project', cells[-1]), name
