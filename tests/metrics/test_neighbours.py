"""Nearest neighbours: by brute force, and points that rounding would take for others."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from wgan_jax.metrics import neighbours
from wgan_jax.metrics.neighbours import nearest_neighbours

RNG = np.random.default_rng(0)


@pytest.mark.parametrize('k', [1, 3])
@pytest.mark.parametrize('together', [2**22, 64])
def test_they_are_those_of_brute_force(k, together, monkeypatch):
    # Fails for a chunk that is left out or put elsewhere, an order by rows of the chunk, and a square root forgotten.
    monkeypatch.setattr(neighbours, '_TOGETHER', together)
    x, y = RNG.normal(size=(50, 7)), RNG.normal(size=(31, 7)) + 100
    for others, found in ((y, nearest_neighbours(x, y, k=k)), (x, nearest_neighbours(x, k=k))):
        pairs = cdist(x, others)
        if others is x:
            np.fill_diagonal(pairs, np.inf)
        np.testing.assert_array_equal(found.indices, np.argsort(pairs, axis=1)[:, :k])
        np.testing.assert_allclose(found.distances, np.sort(pairs, axis=1)[:, :k], rtol=1e-12)


def test_equal_points_are_at_distance_0_however_large_they_are():
    # Fails for |x|^2 + |y|^2 - 2 <x, y> as it comes: in float32 1 is lost beside 1e8, and in float64 1e-9 is not 0.
    x = RNG.normal(size=(40, 300)).astype(np.float32) + np.float32(1000)
    assert (nearest_neighbours(x, x).distances == 0).all()
    np.testing.assert_array_equal(nearest_neighbours(x, x).indices[:, 0], np.arange(40))
    beside = x.copy()
    beside[:, 0] += np.float32(2**-10)
    found = nearest_neighbours(x, beside)
    np.testing.assert_allclose(found.distances[:, 0], 2**-10, rtol=1e-12)
    np.testing.assert_array_equal(found.indices[:, 0], np.arange(40))


def test_twins_are_each_others_neighbours():
    x = np.concatenate([RNG.normal(size=(5, 3))] * 2)
    found = nearest_neighbours(x)
    np.testing.assert_array_equal(found.indices[:, 0], (np.arange(10) + 5) % 10)
    assert (found.distances == 0).all()


@pytest.mark.parametrize(
    'arguments, said',
    [
        (([[1.0]], None, 1), 'x has 1 rows: k=1 neighbours of each need at least 2'),
        (([[1.0]], [[1.0]], 2), 'y has 1 rows, and k=2'),
        (([[1.0]], [[1.0]], 0), 'k=0 must be at least 1'),
        (([[1.0]], [[1.0, 2.0]], 1), 'different widths, x 1 and y 2'),
        (([[1.0]], np.zeros((0, 1)), 1), 'y has 0 rows, and at least 1'),
        (([[1.0, np.nan]], [[1.0, 2.0]], 1), r'x\[0, 1\] is nan: every feature must be finite'),
        (([[1.0, 0]], [[-np.inf, 2.0]], 1), r'y\[0, 0\] is -inf'),
        ((np.zeros((2, 4, 4, 3)), [[1.0]], 1), r'x \(2, 4, 4, 3\) must be features \(n, d\)'),
    ],
)
def test_refusals(arguments, said):
    x, y, k = arguments
    with pytest.raises(ValueError, match=said):
        nearest_neighbours(x, y, k=k)
