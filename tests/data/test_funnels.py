"""Pairs of known distance: against exact transport, rays followed step by step, and the published values."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.data import funnels
from wgan_jax.data.funnels import HALF_WIDTH, Funnels, draw_funnels, pad, potential, read_funnels, transport, uniform
from wgan_jax.distances import wasserstein_exact

PUBLISHED = Path(os.environ.get('WGAN_JAX_W1_PAIRS', '/nowhere/w1_pairs.npz'))
CASES = [(1, 3), (2, 1), (2, 5), (3, 40), (12, 8), (40, 30)]


def _pair(dim, num, seed=0):
    return draw_funnels(jax.random.key(seed), dim, num)


def _potential(pair, x):
    """u in float64, by its definition."""
    centers, offsets = (np.asarray(array, np.float64) for array in pair)
    return (np.linalg.norm(np.asarray(x, np.float64)[:, None] - centers, axis=-1) + offsets).min(axis=1)


@pytest.mark.parametrize('dim, num', CASES)
def test_primal_equals_dual_sample_by_sample(dim, num):
    # Fails for any point that leaves its ray or its funnel: u falls by less than the way then.
    pair, x = _pair(dim, num), uniform(jax.random.key(1), 2000, dim)
    moved = transport(pair, x)
    np.testing.assert_allclose(_potential(pair, x) - _potential(pair, moved.point), moved.distance, atol=3e-5)
    np.testing.assert_allclose(np.linalg.norm(x - moved.point, axis=1), moved.distance, atol=3e-5)
    np.testing.assert_allclose(potential(pair, x), _potential(pair, x), atol=3e-5)
    assert np.abs(moved.point).max() <= HALF_WIDTH and float(moved.distance.mean()) > 0.01


@pytest.mark.parametrize('dim, num', [(2, 5), (12, 8)])
def test_no_plan_is_cheaper(dim, num):
    # Fails if mass crosses: then another plan between the same two clouds would cost less.
    pair, x = _pair(dim, num), uniform(jax.random.key(2), 400, dim)
    moved = transport(pair, x)
    np.testing.assert_allclose(wasserstein_exact(x, moved.point), moved.distance.mean(), rtol=1e-5)


@pytest.mark.parametrize('dim, num', [(1, 3), (2, 5), (3, 40), (12, 8)])
def test_a_point_keeps_the_eighth_power_of_its_share_of_the_ray(dim, num):
    # The end of the ray by bisection, where the nearest funnel changes or the cube ends: fails for a wrong formula of
    # it, a funnel that is overlooked, another power.
    pair, x = _pair(dim, num, 3), np.asarray(uniform(jax.random.key(4), 60, dim), np.float64)
    centers, offsets = (np.asarray(array, np.float64) for array in pair)
    moved = transport(pair, jnp.asarray(x, jnp.float32))
    for point, direction, after in zip(
        x, np.asarray(moved.direction, np.float64), np.asarray(moved.point), strict=True
    ):
        own = np.argmin(np.linalg.norm(point - centers, axis=1) + offsets)
        direction = (point - centers[own]) / np.linalg.norm(point - centers[own])

        def on_ray(r, own=own, point=point, direction=direction):
            at = point + r * direction
            values = np.linalg.norm(at - centers, axis=1) + offsets
            return values[own] <= values.min() + 1e-12 and np.abs(at).max() <= HALF_WIDTH

        low, high = 0.0, 4 * HALF_WIDTH * dim**0.5
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if on_ray(middle) else (low, middle)
        start = np.linalg.norm(point - centers[own])
        whole = start + low
        np.testing.assert_allclose(after, centers[own] + whole * (start / whole) ** 8 * direction, atol=2e-4)


def test_directions_are_the_gradient_of_the_potential_where_mass_arrives():
    pair, x = _pair(3, 5), uniform(jax.random.key(5), 300, 3)
    moved = transport(pair, x)
    far = np.linalg.norm(np.asarray(moved.point)[:, None] - pair.centers, axis=-1).min(axis=1) > 0.05
    for axis, step in enumerate(1e-5 * np.eye(3)):
        at = np.asarray(moved.point, np.float64)
        slope = (_potential(pair, at + step) - _potential(pair, at - step)) / 2e-5
        np.testing.assert_allclose(slope[far], moved.direction[far, axis], atol=3e-3)
    np.testing.assert_allclose(np.linalg.norm(moved.direction, axis=1), 1, rtol=1e-5)


def test_a_centre_stays_where_it_is():
    # Its ray has no direction.
    pair = Funnels(jnp.array([[0.5, 0.25], [-1.0, 1.0]]), jnp.array([0.1, -0.1]))
    moved = transport(pair, pair.centers)
    np.testing.assert_array_equal(moved.point, pair.centers)
    np.testing.assert_array_equal(moved.distance, 0)


def test_centres_that_do_not_count_change_nothing():
    pair, x = _pair(4, 6), uniform(jax.random.key(6), 50, 4)
    for ours, theirs in zip(transport(pad(pair, 20), x), transport(pair, x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(potential(pad(pair, 20), x), potential(pair, x), rtol=1e-6)


def test_one_sample_is_the_first_of_its_key():
    # Fails if the two sides of one key are of different points.
    pair, key = _pair(5, 4), jax.random.key(7)
    x = funnels.sample_source(5, key)
    np.testing.assert_allclose(funnels.sample_moved(pair, key), transport(pair, x[None]).point[0], rtol=1e-6)
    assert abs(float(x.max())) <= HALF_WIDTH


def test_pairs_are_drawn_by_the_law():
    pair = _pair(3, 4000)
    assert pair.centers.shape == (4000, 3) and np.abs(pair.centers).max() <= HALF_WIDTH
    np.testing.assert_allclose(np.std(pair.centers), 5 / 12**0.5, rtol=0.02)
    np.testing.assert_allclose(np.std(pair.offsets), 0.1, rtol=0.05)
    for bad in ((0, 3), (3, 0)):
        with pytest.raises(ValueError, match='must be at least 1'):
            draw_funnels(jax.random.key(0), *bad)


def _save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_pairs_are_read_back(tmp_path):
    one, two = _pair(2, 3), _pair(5, 4)
    arrays = {'centers_5_4': two.centers, 'offsets_5_4': two.offsets, 'centers_2_3': one.centers}
    found = read_funnels(_save(tmp_path / 'p.npz', offsets_2_3=one.offsets, other=np.zeros(1), **arrays))
    assert list(found) == [(2, 3), (5, 4)]
    np.testing.assert_array_equal(found[5, 4].centers, two.centers)
    np.testing.assert_array_equal(found[2, 3].offsets, one.offsets)


@pytest.mark.parametrize(
    'arrays, match',
    [
        ({'a': np.zeros(3)}, r'has no arrays centers_<D>_<N>, only a$'),
        ({'centers_2_3': np.zeros((3, 2))}, 'has centers_2_3 and no offsets_2_3'),
        ({'centers_2_3': np.zeros((2, 3)), 'offsets_2_3': np.zeros(3)}, r'centers_2_3 must be finite floats \(3, 2\)'),
        ({'centers_2_1': np.zeros((1, 2)), 'offsets_2_1': np.full(1, np.inf)}, 'offsets_2_1 must be finite floats'),
        ({'centers_2_1': np.zeros((1, 2), int), 'offsets_2_1': np.zeros(1)}, 'centers_2_1 must be finite floats'),
        ({'centers_2_1': np.full((1, 2), 2.6), 'offsets_2_1': np.zeros(1)}, 'centres outside of the cube'),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, arrays, match):
    with pytest.raises(ValueError, match=match) as raised:
        read_funnels(_save(tmp_path / 'p.npz', **arrays))
    assert str(raised.value).startswith(f'pairs={tmp_path}/p.npz') and '\n' not in str(raised.value)


def test_what_is_no_file_of_arrays_is_refused(tmp_path):
    (tmp_path / 'text').write_text('no arrays')
    for name, match in (('text', 'is no sound .npz'), ('none', 'is not a file'), ('.', 'is not a file')):
        with pytest.raises(ValueError, match=match):
            read_funnels(tmp_path / name)


@pytest.mark.skipif(not PUBLISHED.exists(), reason='WGAN_JAX_W1_PAIRS names no file of the published pairs')
@pytest.mark.parametrize('cell, w1', [((2, 4), 0.817), ((8, 16), 1.585), ((32, 64), 1.543), ((128, 256), 1.042)])
def test_published_pairs_have_the_published_distance(cell, w1):
    pair = read_funnels(PUBLISHED)[cell]
    moved = jax.lax.map(
        lambda key: transport(pair, uniform(key, 1000, cell[0])).distance.mean(),
        jax.random.split(jax.random.key(0), 100),
    )
    np.testing.assert_allclose(moved.mean(), w1, rtol=0.03)  # theirs is of 4,096 samples
