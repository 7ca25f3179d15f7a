"""Multi-scale structural similarity, by scipy's filters, and the diversity of sets that are known."""

import jax
import numpy as np
import pytest
from scipy.ndimage import correlate1d, uniform_filter

from wgan_jax.metrics import pairwise_ms_ssim, similarity
from wgan_jax.metrics.similarity import num_scales

RNG = np.random.default_rng(0)
ms_ssim = jax.jit(similarity.ms_ssim)
WEIGHTS = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]


def smooth(n, height, width, channels=3):
    images = RNG.normal(size=(n, height, width, channels))
    return np.clip(4 * uniform_filter(images, (0, 5, 5, 0), mode='wrap'), -1, 1)


def by_scipy(x, y, scales):
    """One channel, in float64, from the centred moments."""
    window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(a):
        return correlate1d(correlate1d(a, window, axis=0), window, axis=1)[5:-5, 5:-5]

    x, y = (x + 1) * 127.5, (y + 1) * 127.5  # bytes, as published
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    value = 1.0
    for scale in range(scales):
        a, b = mean(x), mean(y)
        variances, shared = mean(x**2) - a**2 + mean(y**2) - b**2, mean(x * y) - a * b
        light, structure = (2 * a * b + c1) / (a**2 + b**2 + c1), (2 * shared + c2) / (variances + c2)
        value *= max((structure if scale < scales - 1 else light * structure).mean(), 0) ** weights[scale]
        h, w = (side // 2 * 2 for side in x.shape)
        x, y = (uniform_filter(v[:h, :w], 2, origin=-1)[::2, ::2] for v in (x, y))
    return value


@pytest.mark.parametrize('shape, scales', [((32, 48), 2), ((45, 51), 3), ((11, 15), 1)])
def test_it_is_the_published_formula(shape, scales):
    # Fails for another window, range or stabiliser (luminance is not that of values in [-1, 1]), a product in place of
    # powers, luminance at every scale, weights that do not sum to one, and a mean over channels before the powers.
    assert num_scales(*shape) == scales
    x = smooth(3, *shape)
    y = np.clip(0.7 * x + 0.3 * smooth(3, *shape) + 0.2, -1, 1)
    expected = [np.mean([by_scipy(a[..., c], b[..., c], scales) for c in range(3)]) for a, b in zip(x, y, strict=True)]
    assert 0.2 < np.mean(expected) < 0.95
    np.testing.assert_allclose(ms_ssim(x, y), expected, rtol=1e-4)


def test_the_published_size_has_all_five_scales():
    assert num_scales(28, 28) == 2 and num_scales(175, 500) == 4 and num_scales(176, 176) == 5


def test_opposites_and_equals():
    x = smooth(2, 28, 28, 1)
    np.testing.assert_allclose(ms_ssim(x, x), 1, rtol=1e-5)
    assert (np.asarray(ms_ssim(x, -x)) == 0).all()  # a negative covariance: no power of it is real
    assert np.isnan(np.asarray(ms_ssim(x, np.full_like(x, np.nan)))).all()


def test_the_fewer_different_images_the_larger():
    # Fails for pairs of an image with itself (the mean over 2 would be as of 1), and for the fill of the last chunk.
    images, key = smooth(60, 28, 28, 1), jax.random.key(0)
    two = images[:2]
    np.testing.assert_allclose(pairwise_ms_ssim(two, key, pairs=70), by_scipy(*two[..., 0], 2), rtol=1e-4)
    many = pairwise_ms_ssim(images, key, pairs=200)
    assert many < pairwise_ms_ssim(np.repeat(images[:3], 20, axis=0), key, pairs=200) - 0.1
    assert many == pairwise_ms_ssim(images, key, pairs=200)
    np.testing.assert_allclose(pairwise_ms_ssim(np.repeat(two[:1], 5, axis=0), key, pairs=3), 1, rtol=1e-5)


def test_refusals():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match='images of 10x28 pixels hold no window of 11x11'):
        ms_ssim(np.zeros((1, 10, 28, 1)), np.zeros((1, 10, 28, 1)))
    with pytest.raises(ValueError, match='of one shape'):
        ms_ssim(np.zeros((1, 28, 28, 1)), np.zeros((2, 28, 28, 1)))
    with pytest.raises(ValueError, match='at least two images'):
        pairwise_ms_ssim(np.zeros((1, 28, 28, 1)), key)
    with pytest.raises(ValueError, match='hold no window'):
        pairwise_ms_ssim(np.zeros((3, 8, 8, 1)), key)
    with pytest.raises(ValueError, match='pairs=0 must be at least 1'):
        pairwise_ms_ssim(np.zeros((3, 28, 28, 1)), key, pairs=0)
