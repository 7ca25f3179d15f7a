"""Nearest distances: by brute force, and what they do not see."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from wgan_jax.metrics.duplicates import nearest_distances


def test_distances_are_those_of_brute_force():
    images = np.random.default_rng(0).uniform(-1, 1, (20, 12, 10, 3)).astype(np.float32)
    images[7] = images[3]
    vectors = images.reshape(20, -1).astype(float)
    pairs = cdist(vectors, vectors) / np.sqrt(vectors.shape[1])
    np.fill_diagonal(pairs, np.inf)
    found = nearest_distances(images)
    np.testing.assert_allclose(found, pairs.min(axis=1), atol=1e-6)
    assert found[3] == found[7] == 0


def test_grain_counts_for_nothing_and_shape_for_everything():
    # Fails without the halving, or with one that skips pixels instead of averaging them.
    grain = np.indices((64, 48)).sum(axis=0)[None, :, :, None] % 2 * 1.0
    plain = np.full((1, 64, 48, 1), 0.5)
    half = plain.copy()
    half[:, :32] = 0.0
    found = nearest_distances(np.concatenate([grain, plain, half]).astype(np.float32))
    np.testing.assert_allclose(found, [0, 0, np.sqrt(0.5 * 0.5**2)], atol=1e-6)


def test_bytes_do_not_wrap():
    levels = np.array([0, 200, 255], np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    np.testing.assert_array_equal(nearest_distances(levels), [200, 55, 55])


@pytest.mark.parametrize('shape', [(1, 4, 4, 3), (0, 4, 4, 3), (5, 4, 4)])
def test_two_images_at_least(shape):
    with pytest.raises(ValueError, match='need at least two images'):
        nearest_distances(np.zeros(shape))
