"""Multi-scale structural similarity, and how alike the samples of a set are by it.

>>> import numpy as np
>>> image = np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32)
>>> round(float(ms_ssim(image, image)[0]), 5)
1.0
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.metrics.patches import halve
from wgan_jax.ranges import COUNT
from wgan_jax.types import Array, ArrayLike, Key

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, the finest first
WINDOW, STD = 11, 1.5  # pixels
_STABILISERS = (0.01**2, 0.03**2)  # for values in [0, 1]
_CHUNK = 64  # pairs compared at once


def num_scales(height: int, width: int) -> int:
    """Scales that images of a size have: at most five, as long as the window fits into the halved image.

    Five from 176 pixels of the smaller side on, two at 32x48 and 28x28, one below 22.

    Raises:
        ValueError: for images that are smaller than the window.
    """
    side = min(height, width)
    if side < WINDOW:
        raise ValueError(f'images of {height}x{width} pixels hold no window of {WINDOW}x{WINDOW}')
    return min(len(WEIGHTS), 1 + int(math.log2(side / WINDOW)))


def ms_ssim(x: ArrayLike, y: ArrayLike) -> Array:
    """Multi-scale structural similarity of pairs of images.

    MS-SSIM = l_M^w_M prod over scales j of cs_j^w_j, with, of values in [0, 1], l = mean of
    (2 mu_x mu_y + c1) / (mu_x^2 + mu_y^2 + c1) and cs = mean of
    (2 sigma_xy + c2) / (sigma_x^2 + sigma_y^2 + c2), c1 = 0.01^2, c2 = 0.03^2, moments under Gaussian windows of 11x11
    pixels and standard deviation 1.5 that lie within the image; at the coarsest scale M the mean is that of l cs. Each
    scale has half the pixels of the one before, by averaging 2x2. For small images M is as ``num_scales`` says, and the
    first M of the published weights are divided by their sum.

    Args:
        x, y: images (N, H, W, C) in [-1, 1].

    Returns:
        (N,), the mean over the channels: 1 for equal images; means below 0 count as 0.

    Raises:
        ValueError: for images of different shapes, and smaller than the window.

    Source: Wang et al. 2003, https://doi.org/10.1109/ACSSC.2003.1292216.
    """
    if np.ndim(x) != 4 or np.shape(x) != np.shape(y):
        raise ValueError(f'need pairs of images (N, H, W, C) of one shape, not {np.shape(x)} and {np.shape(y)}')
    scales = num_scales(*np.shape(x)[1:3])
    x, y = ((jnp.asarray(images, jnp.float32) + 1) / 2 for images in (x, y))
    weights = [weight / sum(WEIGHTS[:scales]) for weight in WEIGHTS[:scales]]
    product = jnp.ones((), x.dtype)
    for scale, weight in enumerate(weights):
        luminance, structure = _terms(x, y)
        last = scale == scales - 1
        mean = (luminance * structure if last else structure).mean((1, 2))
        product *= jnp.where(jnp.isnan(mean), mean, jnp.maximum(mean, 0)) ** weight
        x, y = halve(x), halve(y)
    return product.mean(-1)


def pairwise_ms_ssim(images: ArrayLike, key: Key, *, pairs: int = 500) -> float:
    """Mean MS-SSIM of random pairs of different images of a set: the larger, the less diverse.

    Args:
        images: (N, H, W, C) in [-1, 1], N >= 2; of one class in the paper.
        key: draws the pairs, each with replacement.
        pairs: how many; 100 for each class in the paper.

    Returns:
        In [0, 1]; 1 for images that are all the same. Only that of as many real images says what is right.

    Raises:
        ValueError: for less than two images, and smaller than the window.

    Source: Odena et al. 2017, https://arxiv.org/abs/1610.09585, section 4.2.
    """
    COUNT.check('pairs', pairs)
    images = np.asarray(images)
    if images.ndim != 4 or len(images) < 2:
        raise ValueError(f'need at least two images (N, H, W, C), not {images.shape}')
    num_scales(*images.shape[1:3])
    first_key, second_key = jax.random.split(key)
    first = np.asarray(jax.random.randint(first_key, (pairs,), 0, len(images)))
    second = np.asarray(jax.random.randint(second_key, (pairs,), 1, len(images)))
    second = (first + second) % len(images)
    scores = []
    for start in range(0, pairs, _CHUNK):  # the last chunk is filled up: one program for any number
        rows = np.arange(start, start + _CHUNK) % pairs
        scores.append(_compiled(images[first[rows]], images[second[rows]]))
    return float(np.concatenate(scores)[:pairs].mean())


_compiled = jax.jit(ms_ssim)


def _terms(x: Array, y: Array) -> tuple[Array, Array]:
    """Luminance, and contrast times structure, at every window."""
    mean_x, mean_y = _window(x), _window(y)
    c1, c2 = _STABILISERS
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    shared = _window(x * y) - mean_x * mean_y
    spread = _window(x * x + y * y) - mean_x**2 - mean_y**2
    return luminance, (2 * shared + c2) / (spread + c2)


def _window(images: Array) -> Array:
    """Gaussian means (N, H - 10, W - 10, C): along each axis a product with a banded matrix."""
    down, across = (jnp.asarray(_band(side)) for side in images.shape[1:3])
    return jnp.einsum('ah,nhwc,bw->nabc', down, images, across, precision='highest')


@functools.lru_cache(maxsize=32)
def _band(side: int) -> np.ndarray:
    """(side - 10, side): the window at each place."""
    weights = np.exp(-np.square(np.arange(WINDOW) - WINDOW // 2) / (2 * STD**2))
    weights /= weights.sum()
    band = np.zeros((side - WINDOW + 1, side))
    for place, row in enumerate(band):
        row[place : place + WINDOW] = weights
    return band.astype(np.float32)
