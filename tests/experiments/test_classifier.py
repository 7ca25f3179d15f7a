"""The classifier launcher: a run on folders of pictures, the parts of a set, and what it refuses."""

import numpy as np
import pytest
from PIL import Image

from experiments.classifier import sets
from tests.experiments.processes import done
from wgan_jax.data.images import collect
from wgan_jax.metrics.features import feature_network


def _write(folder, n):
    """Grey pictures, those of one class darker than those of the other."""
    draw = np.random.default_rng(0)
    for name, mean in (('dark', 60), ('light', 180)):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            pixels = np.clip(draw.normal(mean, 20, (6, 6)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f'{i:03d}.png')


@pytest.mark.slow
def test_it_trains_on_folders_and_writes_a_network(tmp_path):
    # Fails if a class gets another's name, held-out pictures are trained on, or the file is of another run.
    _write(tmp_path / 'set', 60)
    flags = (f'--dataset={tmp_path}/set', '--image_size=6', '--steps=30', '--seed=3')
    config, results = done('classifier', tmp_path / 'out', *flags)
    assert results['accuracy'] > 0.9 and results['shape'] == [6, 6, 1] and config['flags']['steps'] == 30
    assert 0 < results['tested_on'] < 30 and results['trained_on'] + results['tested_on'] == 120
    for name in ('dark', 'light'):
        assert results['classes'][name]['trained_on'] + results['classes'][name]['tested_on'] == 60
    with np.load(tmp_path / 'out' / 'confusion.npz') as arrays:
        counts = arrays['counts']
        assert arrays['classes'].tolist() == ['dark', 'light'] and counts.sum() == results['tested_on']
    assert np.trace(counts) / counts.sum() == results['accuracy']
    assert (tmp_path / 'out' / 'confusion.png').stat().st_size > 5000
    network = feature_network(f'classifier:{tmp_path}/out/classifier.safetensors')
    assert network.name == 'classifier(set)' and network.classes == ('dark', 'light')
    _, probabilities = network.classify(np.stack([np.full((6, 6, 1), x, np.uint8) for x in (60, 180)]))
    assert probabilities.argmax(axis=1).tolist() == [0, 1]


def _labelled(*counts):
    draw = np.random.default_rng(1)
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    pixels = draw.integers(0, 256, (len(labels), 4, 4, 1), dtype=np.uint8)
    pixels[:, 0, 0, 0] = labels
    return collect(pixels)._replace(labels=labels, classes=tuple(map(str, range(len(counts)))))


def test_a_tenth_is_kept_apart_and_no_class_is_lost():
    # Fails if a class of one picture is not trained on, a picture is in both parts, or labels come apart.
    train, test = sets.split(_labelled(*[1] * 40, 300, 300), 'set')
    assert (
        set(train.labels) == set(range(42))
        and 30 < len(test.labels) < 90
        and len(train.labels) + len(test.labels) == 640
    )
    for part in (train, test):
        np.testing.assert_array_equal(part.pixels[:, 0, 0, 0], part.labels)
    assert not {x.tobytes() for x in train.pixels} & {x.tobytes() for x in test.pixels}


@pytest.mark.parametrize(
    'images, message',
    [
        (_labelled(3, 0, 2), '^dataset=set: no picture is of the classes 1$'),
        (_labelled(3), '^dataset=set has no labels of two classes or more: put'),
        (_labelled(3, 2)._replace(labels=None, classes=()), '^dataset=set has no labels of two classes or more: put'),
    ],
)
def test_sets_without_labels_or_pictures_of_a_class_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        sets.check_classes(images, 'set')
