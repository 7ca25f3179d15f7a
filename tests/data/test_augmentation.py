"""Augmentation piece by piece against NumPy and scipy, and what the whole promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from wgan_jax.data import augmentation as aug


@pytest.fixture(scope='module')
def images():
    return jax.random.uniform(jax.random.key(0), (6, 16, 24, 3), minval=-1.0)


@pytest.fixture(scope='module')
def keys():
    return jax.random.split(jax.random.key(1), 6)


def smooth(height=24, width=36):
    """One channel of low frequencies, which interpolation treats well."""
    y, x = np.mgrid[:height, :width]
    return np.stack([np.sin(x / 6 + 0.3) * np.cos(y / 5), x / width - y / height], axis=-1).astype(np.float32)


@pytest.mark.parametrize(
    ('angle', 'zoom'), [(0.0, 1.0), (0.08, 1.0), (-0.08, 1.0), (0.0, 1.1), (0.0, 0.9), (0.05, 1.05)]
)
def test_rotation_and_zoom_against_scipy(angle, zoom):
    image = smooth()
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, sin], [-sin, cos]]) / zoom
    centre = (np.array(image.shape[:2]) - 1) / 2
    expected = np.stack(
        [
            ndimage.affine_transform(image[..., c], matrix, centre - matrix @ centre, order=1, mode='nearest')
            for c in range(image.shape[-1])
        ],
        axis=-1,
    )
    np.testing.assert_allclose(aug.rotate_and_zoom(jnp.asarray(image), angle, zoom), expected, atol=2e-5)


def test_a_positive_angle_turns_counter_clockwise():
    image = np.zeros((21, 21, 1), np.float32)
    image[10, 18] = 1.0  # right of the centre: moves up
    turned = np.asarray(aug.rotate_and_zoom(jnp.asarray(image), 0.4, 1.0))[..., 0]
    row, column = ndimage.center_of_mass(turned)
    assert row == pytest.approx(10 - 8 * np.sin(0.4), abs=0.2)
    assert column == pytest.approx(10 + 8 * np.cos(0.4), abs=0.2)


def test_zoom_above_one_enlarges():
    image = np.zeros((33, 33, 1), np.float32)
    image[12:21, 12:21] = 1.0
    assert float(jnp.sum(aug.rotate_and_zoom(jnp.asarray(image), 0.0, 1.25))) == pytest.approx(81 * 1.25**2, rel=0.05)


def test_no_corner_turns_black():
    white = jnp.ones((16, 24, 3))
    np.testing.assert_allclose(aug.rotate_and_zoom(white, 0.09, 0.9), white, atol=1e-6)


@pytest.mark.parametrize(('down', 'right'), [(0, 0), (3, -2), (-1, 4), (-16, 0), (2, 24)])
def test_translation_against_scipy(images, down, right):
    expected = ndimage.shift(np.asarray(images[0]), (down, right, 0), order=0, mode='constant', prefilter=False)
    np.testing.assert_array_equal(aug.translate(images[0], down, right), expected)


@pytest.mark.parametrize(('row', 'column'), [(0, 0), (8, 12), (16, 24), (3, 20)])
def test_cutout_against_slices(images, row, column):
    expected = np.array(images[0])
    expected[max(row - 4, 0) : max(row + 4, 0), max(column - 6, 0) : max(column + 6, 0)] = 0.0
    np.testing.assert_array_equal(aug.cut_out(images[0], row, column), expected)


def test_colours_against_their_formulas(images):
    x = np.asarray(images[0], np.float64)
    np.testing.assert_allclose(aug.adjust_brightness(images[0], 0.3), x + 0.3, atol=1e-6)
    grey = x.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(aug.adjust_saturation(images[0], 1.7), grey + 1.7 * (x - grey), atol=1e-6)
    np.testing.assert_allclose(aug.adjust_contrast(images[0], 0.6), x.mean() + 0.6 * (x - x.mean()), atol=1e-6)


@pytest.mark.parametrize('channels', [1, 3])
def test_grey_stays_grey_under_saturation(images, channels):
    grey = jnp.repeat(images[0][..., :1], channels, axis=-1)
    np.testing.assert_allclose(aug.adjust_saturation(grey, 2.0), grey, atol=1e-6)


@pytest.mark.parametrize('function', [aug.augment_data, aug.augment_diff])
@pytest.mark.parametrize('shape', [(16, 24, 3), (5, 7, 2)])
def test_an_example_depends_on_its_own_key_alone(function, shape, keys):
    images = jax.random.uniform(jax.random.key(2), (6, *shape), minval=-1.0)
    function = jax.jit(function)
    whole = function(keys, images)
    assert whole.shape == images.shape and whole.dtype == images.dtype
    np.testing.assert_allclose(function(keys[3:4], images[3:4])[0], whole[3], atol=1e-6)
    np.testing.assert_array_equal(function(keys, images), whole)
    other = function(keys.at[3].set(jax.random.key(9)), images)
    assert np.max(np.abs(other[3] - whole[3])) > 0.01
    np.testing.assert_allclose(np.delete(other, 3, 0), np.delete(whole, 3, 0), atol=1e-6)


def test_data_stays_in_range_and_uses_it():
    keys = jax.random.split(jax.random.key(3), 200)
    extremes = jnp.tile(jnp.sign(jax.random.normal(jax.random.key(4), (1, 8, 8, 3))), (200, 1, 1, 1))
    out = np.asarray(jax.jit(aug.augment_data)(keys, extremes))
    assert out.min() == -1.0 and out.max() == 1.0


def test_flips_occur_every_second_time():
    # Four quadrants of their own brightness: which is where tells the flips apart, whatever else is done.
    n = 1000
    quadrants = np.kron(np.array([[-0.6, -0.2], [0.2, 0.6]], np.float32), np.ones((8, 8), np.float32))
    out = jax.jit(aug.augment_data)(
        jax.random.split(jax.random.key(5), n), jnp.tile(quadrants[None, ..., None], (n, 1, 1, 1))
    )
    centres = np.asarray(out)[:, [3, 3, 12, 12], [3, 12, 3, 12], 0]
    horizontal, vertical = centres[:, 0] > centres[:, 1], centres[:, 0] > centres[:, 2]
    assert abs(horizontal.mean() - 0.5) < 0.06 and abs(vertical.mean() - 0.5) < 0.06
    assert abs((horizontal & vertical).mean() - 0.25) < 0.06


def test_diff_draws_what_its_docstring_says():
    n = 4000
    out = np.asarray(jax.jit(aug.augment_diff)(jax.random.split(jax.random.key(6), n), jnp.full((n, 8, 16, 1), 0.7)))
    # One grey level: only brightness moves it; what is not a hole or moved in has that level.
    levels = out.max(axis=(1, 2, 3))
    assert levels.min() > 0.2 - 1e-6 and levels.max() < 1.2 + 1e-6 and abs(levels.mean() - 0.7) < 0.03
    assert abs(levels.std() - 1 / np.sqrt(12)) < 0.02
    visible = out[..., 0] > 0.1
    # Exact expectations: shifts -1..1 of 8 rows and -2..2 of 16 columns; hole centres 0..8 and 0..16, sides 4 and 8.
    expected = np.zeros((8, 16))
    for dy in (-1, 0, 1):
        for dx in range(-2, 3):
            seen = np.zeros((8, 16))
            seen[max(dy, 0) : 8 + min(dy, 0), max(dx, 0) : 16 + min(dx, 0)] = 1 / 15
            expected += seen
    hole_rows = np.array([np.mean([c - 2 <= i < c + 2 for c in range(9)]) for i in range(8)])
    hole_columns = np.array([np.mean([c - 4 <= j < c + 4 for c in range(17)]) for j in range(16)])
    expected *= 1 - np.outer(hole_rows, hole_columns)
    assert np.abs(visible.mean(axis=0) - expected).max() < 0.035


def test_gradient_of_diff_is_the_finite_difference_and_so_is_its_curvature(keys):
    images = jax.random.uniform(jax.random.key(7), (2, 8, 12, 3), minval=-1.0)

    def score(x):
        return jnp.sum(jnp.sin(2.0 * aug.augment_diff(keys[:2], x)))

    def penalty(x):  # differentiated in reverse over reverse, as a gradient penalty is
        value, gradient = jax.value_and_grad(score)(x)
        return jnp.sum(gradient**2), (value, gradient)

    evaluate = jax.jit(jax.value_and_grad(penalty, has_aux=True))
    (_, (_, first)), second = evaluate(images)
    for gradient, read in ((first, lambda out: out[0][1][0]), (second, lambda out: out[0][0])):
        norm = jnp.linalg.norm(gradient)
        assert np.isfinite(norm) and norm > 1.0
        step = 0.05 * gradient / norm
        difference = (read(evaluate(images + step)) - read(evaluate(images - step))) / 0.1
        np.testing.assert_allclose(norm, difference, rtol=2e-3)


def test_diff_is_affine_in_the_image(images, keys):
    augment = jax.jit(aug.augment_diff)
    zero = augment(keys, jnp.zeros_like(images))
    linear = augment(keys, images) - zero
    np.testing.assert_allclose(augment(keys, -2.0 * images) - zero, -2.0 * linear, atol=2e-5)


def test_registry():
    assert aug.AUGMENTATIONS['none'] == (None, None)
    assert aug.AUGMENTATIONS['data'].fake is None and aug.AUGMENTATIONS['data'].real is aug.augment_data
    assert aug.AUGMENTATIONS['diff'].real is aug.AUGMENTATIONS['diff'].fake is aug.augment_diff
