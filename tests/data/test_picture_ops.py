"""Operations on one picture against NumPy and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from wgan_jax.data import picture_ops as ops


@pytest.fixture(scope='module')
def images():
    return jax.random.uniform(jax.random.key(0), (6, 16, 24, 3), minval=-1.0)


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
    np.testing.assert_allclose(ops.turn_zoom_shift(jnp.asarray(image), angle, zoom), expected, atol=2e-5)


def test_a_positive_angle_turns_counter_clockwise():
    image = np.zeros((21, 21, 1), np.float32)
    image[10, 18] = 1.0  # right of the centre: moves up
    turned = np.asarray(ops.turn_zoom_shift(jnp.asarray(image), 0.4, 1.0))[..., 0]
    row, column = ndimage.center_of_mass(turned)
    assert row == pytest.approx(10 - 8 * np.sin(0.4), abs=0.2)
    assert column == pytest.approx(10 + 8 * np.cos(0.4), abs=0.2)


def test_zoom_above_one_enlarges():
    image = np.zeros((33, 33, 1), np.float32)
    image[12:21, 12:21] = 1.0
    assert float(jnp.sum(ops.turn_zoom_shift(jnp.asarray(image), 0.0, 1.25))) == pytest.approx(81 * 1.25**2, rel=0.05)


def test_no_corner_turns_black():
    white = jnp.ones((16, 24, 3))
    np.testing.assert_allclose(ops.turn_zoom_shift(white, 0.09, 0.9), white, atol=1e-6)


@pytest.mark.parametrize(('down', 'right'), [(0, 0), (3, -2), (-1, 4), (-16, 0), (2, 24)])
def test_translation_against_scipy(images, down, right):
    expected = ndimage.shift(np.asarray(images[0]), (down, right, 0), order=0, mode='constant', prefilter=False)
    np.testing.assert_array_equal(ops.translate(images[0], down, right), expected)


@pytest.mark.parametrize('zoom', [0.93, 1.0, 1.07])
@pytest.mark.parametrize(('down', 'right'), [(0.0, 0.0), (1.0, -2.0), (-2.4, 30.0)])
def test_zoom_and_shift_against_scipy(images, zoom, down, right):
    image = np.asarray(images[0], np.float64)
    centre = (np.array(image.shape[:2]) - 1) / 2
    offset = centre - (centre + np.array([down, right])) / zoom
    expected = np.stack(
        [
            ndimage.affine_transform(image[..., c], np.eye(2) / zoom, offset, order=1, mode='nearest')
            for c in range(image.shape[-1])
        ],
        axis=-1,
    )
    for out in (
        ops.zoom_and_shift(images[0], zoom, down, right),
        ops.turn_zoom_shift(images[0], 0.0, zoom, down, right),
    ):
        np.testing.assert_allclose(out, expected, atol=2e-5)


@pytest.mark.parametrize(('row', 'column'), [(0, 0), (8, 12), (16, 24), (3, 20)])
def test_cutout_against_slices(images, row, column):
    expected = np.array(images[0])
    expected[max(row - 4, 0) : max(row + 4, 0), max(column - 6, 0) : max(column + 6, 0)] = 0.0
    np.testing.assert_array_equal(ops.cut_out(images[0], row, column), expected)


def test_colours_against_their_formulas(images):
    x = np.asarray(images[0], np.float64)
    np.testing.assert_allclose(ops.adjust_brightness(images[0], 0.3), x + 0.3, atol=1e-6)
    grey = x.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(ops.adjust_saturation(images[0], 1.7), grey + 1.7 * (x - grey), atol=1e-6)
    np.testing.assert_allclose(ops.adjust_contrast(images[0], 0.6), x.mean() + 0.6 * (x - x.mean()), atol=1e-6)


@pytest.mark.parametrize('channels', [1, 3])
def test_grey_stays_grey_under_saturation(images, channels):
    grey = jnp.repeat(images[0][..., :1], channels, axis=-1)
    np.testing.assert_allclose(ops.adjust_saturation(grey, 2.0), grey, atol=1e-6)
