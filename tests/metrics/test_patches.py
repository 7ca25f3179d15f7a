"""Patch distances: what they see, and a closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.metrics.patches import enlarge, laplacian_patch_distance, laplacian_pyramid, patch_distance

KEY = jax.random.key(0)


def noise(seed, n=64, shape=(32, 48, 3)):
    return jax.random.normal(jax.random.key(seed), (n, *shape))


def test_a_shift_has_its_closed_form():
    # Constant images of one random colour value per image, shifted: all patches are c * ones, so that a projection is
    # c * <theta, 1>, and SW1 = shift / std * E|<theta, 1>| with 1 of length sqrt(7 * 7). Fails for own-statistics
    # normalisation (which would hide the shift) or a mean over the wrong axes.
    values = jnp.linspace(-1, 1, 50)
    real = jnp.broadcast_to(values[:, None, None, None], (50, 16, 16, 1))
    distance = patch_distance(real, real + 0.4, KEY, num_projections=4000)
    d = 49
    expected = 0.4 / np.std(values) * np.sqrt(d) * _mean_coordinate(d)
    np.testing.assert_allclose(distance, expected, rtol=0.03)


def _mean_coordinate(d):
    """E |theta_1| on the unit sphere of R^d: Gamma(d/2) / (sqrt(pi) Gamma((d+1)/2))."""
    from scipy.special import gammaln

    return np.exp(gammaln(d / 2) - gammaln((d + 1) / 2)) / np.sqrt(np.pi)


def test_it_tells_structure_from_noise_of_the_same_colours():
    # Fails if patches were compared pixel by pixel (projections of single pixels), blind to how they go together.
    smooth = jnp.repeat(jnp.repeat(noise(1, shape=(4, 6, 3)), 8, axis=1), 8, axis=2)
    shuffled = jax.random.permutation(KEY, smooth.reshape(64, -1, 3), axis=1).reshape(smooth.shape)
    same = jnp.repeat(jnp.repeat(noise(2, shape=(4, 6, 3)), 8, axis=1), 8, axis=2)
    assert patch_distance(smooth, shuffled, KEY) > 3 * patch_distance(smooth, same, KEY)


def test_a_worse_set_is_farther_and_sizes_may_differ():
    real = noise(1)
    near, far = (patch_distance(real, noise(2, 40) + s, KEY) for s in (0.1, 0.5))
    assert 0 < near < far


def test_a_constant_channel_counts_in_its_own_units():
    real = jnp.full((20, 16, 16, 1), 0.25)
    distance = patch_distance(real, real + 0.4, KEY, num_projections=4000)
    np.testing.assert_allclose(distance, 0.4 * 7 * _mean_coordinate(49), rtol=0.03)
    assert patch_distance(real, real, KEY) < 1e-5


def test_refusals():
    with pytest.raises(ValueError, match='of one shape'):
        patch_distance(noise(1), noise(1, shape=(32, 32, 3)), KEY)
    with pytest.raises(ValueError, match='hold no patch of 7x7'):
        patch_distance(noise(1, shape=(6, 9, 3)), noise(1, shape=(6, 9, 3)), KEY)


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_a_picture_that_is_not_finite_has_no_finite_distance(bad):
    # Fails if sorting or averaging drops it: a generator that has blown up would look like any other.
    real, fake = noise(1, 8, (16, 16, 1)), noise(2, 8, (16, 16, 1)).at[3].set(bad)
    assert not np.isfinite(jax.jit(lambda x, y: patch_distance(x, y, KEY, num_projections=8))(real, fake))
    with pytest.raises(ValueError, match='every value must be finite'):
        patch_distance(real, fake, KEY, num_projections=8)


@pytest.mark.parametrize('name', ['size', 'patches', 'num_projections'])
def test_numbers_below_one_are_refused(name):
    for value in (0, -1, 2.5):
        with pytest.raises(ValueError, match=f'{name}={value} must be'):
            patch_distance(noise(0), noise(1), KEY, **{name: value})


def test_no_images_are_refused():
    with pytest.raises(ValueError, match='need images of both sets, not 0 and 64'):
        patch_distance(noise(0, 0), noise(1), KEY)


def test_the_laplacian_pyramid_is_scipys():
    # Fails for another border, a filter that is not separable, pixels taken from the second on, and a missing four.
    from scipy.ndimage import correlate1d

    def blur(images):
        for axis in (1, 2):
            images = correlate1d(images, np.array([1, 4, 6, 4, 1]) / 16, axis=axis, mode='mirror')
        return images

    shape = (2, 15, 10, 2)
    images = np.random.default_rng(0).normal(size=shape)
    coarse = blur(images)[:, ::2, ::2]
    spread = np.zeros((shape[0], 2 * coarse.shape[1], 2 * coarse.shape[2], shape[3]))
    spread[:, ::2, ::2] = coarse
    fine = images - 4 * blur(spread)[:, : shape[1], : shape[2]]
    found = laplacian_pyramid(jnp.asarray(images), 2)
    np.testing.assert_allclose(found[0], fine, atol=1e-5)
    np.testing.assert_allclose(found[1], coarse, atol=1e-5)
    np.testing.assert_allclose(found[0] + enlarge(found[1], *shape[1:3]), images, atol=1e-5)


def test_the_laplacian_form_does_not_see_a_shift_or_scale_of_colours():
    # What the other form is for. Fails for statistics of the real set alone.
    real, same = noise(1, 64, (28, 28, 3)), noise(2, 64, (28, 28, 3))
    laplacian = jax.jit(lambda x, y: laplacian_patch_distance(x, y, KEY, patches=4, num_projections=32))
    np.testing.assert_allclose(laplacian(real, 0.5 * same + 0.4), laplacian(real, same), rtol=1e-3)


def test_the_laplacian_form_refuses_the_same():
    with pytest.raises(ValueError, match='hold no patch of 7x7'):
        laplacian_patch_distance(noise(1, shape=(6, 9, 3)), noise(1, shape=(6, 9, 3)), KEY)
    with pytest.raises(ValueError, match='patches=0 must be'):
        laplacian_patch_distance(noise(0), noise(1), KEY, patches=0)
