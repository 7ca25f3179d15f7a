"""Stacked MNIST: every digit once in each channel, and labels that say which three they are."""

import os
from pathlib import Path

import numpy as np
import pytest

import wgan_jax
from wgan_jax import data
from wgan_jax.data import tfds_images
from wgan_jax.data.images import collect

NUM = 250
LABELS = (np.arange(NUM) % 10).astype(np.int32)
DIGITS = np.broadcast_to(np.arange(NUM, dtype=np.uint8)[:, None, None, None], (NUM, 4, 6, 1))  # which one it is


@pytest.fixture
def asked(monkeypatch):
    calls = []

    def load(name, view, *, data_dir, on_progress):
        calls.append((name, view, data_dir))
        on_progress(NUM, NUM)
        return collect(DIGITS)._replace(labels=LABELS, classes=tuple('0123456789'))

    monkeypatch.setattr(tfds_images, 'load', load)
    return calls


def test_every_channel_is_an_order_of_its_own_and_the_label_says_which_digits(asked):
    # Fails for channels that are shuffled alike, digits that come twice, or a label of others or in another order.
    images = data.load('stacked_mnist', 4, 6, data_dir='/somewhere')
    which = images.pixels[:, 0, 0]
    assert images.pixels.shape == (NUM, 4, 6, 3) and (images.pixels == which[:, None, None]).all()
    for channel in range(3):
        assert sorted(which[:, channel]) == list(range(NUM))
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert (which[:, one] == which[:, other]).sum() < 10
    for image, label in zip(which, images.labels, strict=True):
        assert images.classes[label] == ''.join(str(LABELS[digit]) for digit in image)
    assert len(images.classes) == 1000 and images.labels.dtype == np.int32
    assert data.load('stacked_mnist', 4, 6).fingerprint == images.fingerprint
    assert wgan_jax.settings('wgan_gp', dataset='stacked_mnist', data_dir='/somewhere').data_dir == '/somewhere'
    (name, view, data_dir), _ = asked
    assert (name, view.channels, data_dir) == ('mnist:train', '1', '/somewhere')


def test_parts_of_it(asked):
    # Fails if fewer images are of others than the first, or the split is lost.
    all_of_it = data.load('stacked_mnist', 4, 6)
    some = data.load('stacked_mnist:test[:50%]', 4, 6, max_images=7, fit='pad')
    assert asked[-1][0] == 'mnist:test[:50%]' and asked[-1][1].fit == 'pad' and asked[-1][1].max_images == 0
    np.testing.assert_array_equal(some.pixels, all_of_it.pixels[:7])
    assert some.notes == (f'not taken: {NUM - 7}',) and all_of_it.notes == ()
    for channels in ('1', '4'):
        with pytest.raises(ValueError, match=f'channels={channels}: stacked_mnist has three digits'):
            data.load('stacked_mnist', 4, 6, channels=channels)


@pytest.mark.slow
def test_the_whole_set_has_all_classes():
    place = os.environ.get('WGAN_JAX_TFDS_DIR')
    if not place or not Path(place, 'mnist').is_dir():
        pytest.skip('WGAN_JAX_TFDS_DIR names no folder with MNIST')
    images = data.load('stacked_mnist', 28, 28, data_dir=place)
    assert images.pixels.shape == (60_000, 28, 28, 3)
    counts = np.bincount(images.labels, minlength=1000)
    assert counts.min() > 20 and counts.max() < 110  # 60 each, about
