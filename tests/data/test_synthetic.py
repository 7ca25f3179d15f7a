"""Toy densities: their published scales, and files of samples."""

import jax
import numpy as np
import pytest
from scipy import stats

from wgan_jax.data import synthetic

NUM = 20_000


@pytest.fixture(scope='module')
def drawn():
    """Samples of every density, in float64."""
    return {
        name: np.asarray(synthetic.draw(make(), jax.random.key(1), NUM), np.float64)
        for name, make in synthetic.DENSITIES.items()
    }


def _around_modes(name, points):
    modes = synthetic.load(name).modes.astype(np.float64)
    offsets = points[:, None] - modes
    nearest = np.argmin((offsets**2).sum(axis=-1), axis=1)
    return nearest, offsets[np.arange(len(points)), nearest]


@pytest.mark.parametrize(
    ('name', 'num', 'std'),
    [('ring', 8, 0.02 / 1.414), ('grid', 25, 0.05 / 2.828), ('two_gaussians', 2, 0.2), ('two_gaussians_1d', 2, 0.2)],
)
def test_mixtures_have_equal_weights_and_normal_modes(drawn, name, num, std):
    density = synthetic.load(name)
    assert density.std == pytest.approx(std) and density.modes.shape == (num, density.dim)
    nearest, offsets = _around_modes(name, drawn[name])
    assert stats.chisquare(np.bincount(nearest, minlength=num)).pvalue > 1e-3
    np.testing.assert_allclose(offsets.std(axis=0), std, rtol=0.03)
    assert stats.kstest(offsets[:, 0] / std, 'norm').pvalue > 1e-3
    for mode in range(num):  # the noise does not know of the mode
        own = offsets[nearest == mode]
        assert np.all(np.abs(own.mean(axis=0)) < 4.5 * std / np.sqrt(len(own)))
    if density.dim == 2:
        assert abs(np.corrcoef(offsets.T)[0, 1]) < 0.03


def test_ring_and_grid_stand_where_published():
    ring, grid = synthetic.ring().modes, synthetic.grid().modes
    np.testing.assert_allclose(np.linalg.norm(ring, axis=1), 1.414427, rtol=1e-5)
    gaps = np.linalg.norm(ring - np.roll(ring, 1, axis=0), axis=1)
    np.testing.assert_allclose(gaps, 2 * 1.414427 * np.sin(np.pi / 8), rtol=1e-5)
    assert {(round(x, 3), round(y, 3)) for x, y in grid.tolist()} == {
        (round(2 * i / 2.828, 3), round(2 * j / 2.828, 3)) for i in range(-2, 3) for j in range(-2, 3)
    }


def test_swiss_roll_is_a_noisy_archimedean_spiral(drawn):
    points = 7.5 * drawn['swiss_roll']
    radius, angle = np.linalg.norm(points, axis=1), np.arctan2(points[:, 1], points[:, 0])
    turns = np.round((radius - angle) / (2 * np.pi))  # r = t and the angle is t modulo 2 pi
    across = radius - (angle + 2 * np.pi * turns)
    # The noise along the curve shifts the angle by 1 / t of itself, which adds a little to the spread across.
    assert 0.25 < across.std() < 0.27 and abs(across.mean()) < 0.02
    inner = radius[(radius > 1.5 * np.pi + 1) & (radius < 4.5 * np.pi - 1)]
    low, width = 1.5 * np.pi + 1, 3 * np.pi - 2
    assert stats.kstest(inner, 'uniform', args=(low, width)).pvalue > 1e-3  # t is uniform


def test_parallel_lines(drawn):
    x, y = drawn['parallel_lines'].T
    assert set(x) == {-1.0, 1.0} and abs(x.mean()) < 0.03
    assert stats.kstest(y, 'uniform').pvalue > 1e-3
    theta = np.asarray(synthetic.draw(synthetic.line(0.3), jax.random.key(0), 100))
    np.testing.assert_array_equal(theta[:, 0], np.float32(0.3))


def test_a_padded_mixture_draws_what_the_density_draws():
    densities = [synthetic.ring(), synthetic.grid()]
    stacked = synthetic.stack_mixtures(densities)
    keys = jax.random.split(jax.random.key(2), 500)
    for i, density in enumerate(densities):
        own = jax.tree.map(lambda leaf, i=i: leaf[i], stacked)
        points = jax.vmap(lambda key, own=own: synthetic.sample_mixture(own, key))(keys)
        np.testing.assert_array_equal(points, jax.vmap(density.sample)(keys))


def test_share_of_a_perfect_sampler():
    assert synthetic.perfect_quality(2) == pytest.approx(0.98889, abs=1e-5)
    for dim in (1, 2, 3):
        assert synthetic.perfect_quality(dim) == pytest.approx(stats.chi2.cdf(9, dim), abs=1e-6)


def test_samples_from_a_file_are_drawn_uniformly(tmp_path):
    points = np.arange(12).reshape(4, 3)
    np.savez(tmp_path / 'points.npz', points)
    density = synthetic.load(str(tmp_path / 'points.npz'))
    assert density.dim == 3 and density.modes is None
    drawn = np.asarray(synthetic.draw(density, jax.random.key(0), 4000))
    rows, counts = np.unique(drawn, axis=0, return_counts=True)
    np.testing.assert_array_equal(rows, points)
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize(
    ('arrays', 'complaint'),
    [
        ({'a': np.zeros(5)}, r'has shape \(5,\); samples have shape \(n, d\)'),
        ({'a': np.zeros((1, 2))}, 'n at least 2'),
        ({'a': np.zeros((3, 0))}, 'samples have shape'),
        ({'a': np.array([[0, 1], [2, np.nan], [np.inf, 0]])}, 'in 2 rows, first in row 1'),
        ({'a': np.full((3, 2), 1e300)}, r'not finite, or beyond 1e\+15, in 3 rows'),
        ({'a': np.array([['x'], ['y']])}, 'real numbers'),
        ({'a': np.zeros((3, 2)), 'b': np.zeros((3, 2))}, r"holds 2: \['a', 'b'\]"),
        ({}, 'holds 0'),
    ],
)
def test_bad_files_are_named_with_what_is_wrong(tmp_path, arrays, complaint):
    np.savez(tmp_path / 'bad.npz', **arrays)
    with pytest.raises(ValueError, match=complaint) as error:
        synthetic.load(str(tmp_path / 'bad.npz'))
    assert 'bad.npz' in str(error.value) and '\n' not in str(error.value)


def test_files_that_are_none_and_names_that_are_unknown(tmp_path):
    (tmp_path / 'torn.npz').write_bytes(b'PK\x03\x04 torn')
    for path, complaint in ((tmp_path / 'none.npz', 'is not a file'), (tmp_path / 'torn.npz', 'cannot be read')):
        with pytest.raises(ValueError, match=complaint):
            synthetic.load(str(path))
    with pytest.raises(ValueError, match='there are: ring, grid, swiss_roll'):
        synthetic.load('rign')
