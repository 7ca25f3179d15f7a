"""Inception-v3 and DINOv2 against PyTorch with the same random weights; resizing against PyTorch and Pillow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from wgan_jax.metrics.features import dinov2, inception, resize
from wgan_jax.metrics.features.weights import Published

torch = pytest.importorskip('torch')
from tests.metrics.features import oracle  # noqa: E402

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)
FLOATS = IMAGES / np.float32(127.5) - 1


def _random(shapes, seed=0):
    """Weights under which nothing vanishes or explodes, running variances positive, gains about one."""
    draw, weights = np.random.default_rng(seed), {}
    for name, shape in shapes.items():
        x = draw.normal(size=shape)
        if name.endswith(('.running_var', 'gamma')):
            x = draw.uniform(0.5, 1.5, shape)
        elif len(shape) > 1 and 'token' not in name and 'embed' not in name.removeprefix('patch_embed'):
            x *= np.sqrt(2 / np.prod(shape[1:]))
        elif name.endswith('.weight') and len(shape) == 1:
            x = 1 + 0.2 * x
        if 'token' in name or 'embed' in name:
            x *= 2e-3  # where the epsilon of layer normalisation counts
        weights[name] = x.astype(np.float32)
    return weights


def _state(weights):
    return {name: torch.from_numpy(x) for name, x in weights.items()}


def _nchw(images):
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def _check(found, wanted):
    error = np.abs(np.asarray(found) - wanted).max() / np.abs(wanted).max()
    assert np.isfinite(wanted).all() and wanted.std(axis=0).max() > 1e-3 * np.abs(wanted).max()  # images tell apart
    assert error < 1e-5


@pytest.mark.parametrize('side', [299, 20])
def test_linear_resizing_is_that_of_pytorch(side):
    # Fails for antialiasing, corners that are aligned, an edge that is not repeated, exchanged axes.
    wanted = oracle.resize_linear(_nchw(FLOATS), side).numpy().transpose(0, 2, 3, 1)
    found = jax.jit(resize.resize_linear, static_argnums=1)(FLOATS, side)
    np.testing.assert_allclose(found, wanted, atol=2e-5)


@pytest.mark.parametrize('height, width', [(40, 50), (300, 224), (224, 500)])
def test_cubic_resizing_is_that_of_pillow(height, width):
    # Fails without antialiasing, for a = -3/4, rows before columns, or no rounding between them.
    image = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    wanted = np.asarray(Image.fromarray(image).resize((224, 224), Image.Resampling.BICUBIC)).astype(int)
    found = jax.jit(resize.resize_cubic, static_argnums=1)(image[None] / np.float32(127.5) - 1, 224)[0]
    found = np.round(255 * np.asarray(found)).astype(int)
    assert np.abs(found - wanted).max() <= 1 and (found != wanted).mean() < 1e-3


def test_positions_are_interpolated_as_the_release_does():
    # Fails for the scale 16 / 37, antialiasing, a = -1/2, exchanged axes.
    positions = np.random.default_rng(2).normal(size=(37 * 37, 5)).astype(np.float32)
    grid = torch.from_numpy(positions).reshape(1, 37, 37, 5).permute(0, 3, 1, 2)
    wanted = torch.nn.functional.interpolate(grid, scale_factor=(16.1 / 37, 16.1 / 37), mode='bicubic')
    wanted = wanted.permute(0, 2, 3, 1).reshape(256, 5).numpy()
    np.testing.assert_allclose(dinov2.interpolate_positions(jnp.asarray(positions), 16), wanted, atol=2e-5)


def test_grey_stands_in_all_channels_and_alpha_over_white():
    # Fails where a grey picture is taken for red, or what is transparent for black.
    grey = resize.colour_levels(jnp.full((1, 2, 2, 1), -0.2))
    np.testing.assert_array_equal(grey, np.full((1, 2, 2, 3), 102))
    clear = resize.colour_levels(jnp.concatenate([jnp.full((1, 2, 2, 3), -1.0), jnp.full((1, 2, 2, 1), 0.2)], axis=-1))
    np.testing.assert_array_equal(clear, np.full((1, 2, 2, 3), 102))
    with pytest.raises(ValueError, match='need images of 1'):
        resize.colour_levels(jnp.zeros((1, 2, 2, 2)))


def _inception(divisor):
    weights = _random(inception.shapes(divisor))
    folded = inception.fold(weights)
    found = jax.jit(inception.features)(folded, FLOATS)
    with torch.no_grad():
        wanted = oracle.inception(_state(weights), oracle.resize_linear(_nchw(FLOATS), 299))
        softmax = torch.softmax(wanted @ torch.from_numpy(weights['fc.weight']).T, 1).numpy()
    _check(found, wanted.numpy())
    np.testing.assert_allclose(inception.head(folded, found), softmax, rtol=2e-3, atol=1e-7)


def test_inception_is_that_of_pytorch_when_narrow():
    # Fails for an average that counts the border, an average in the last block, epsilon 1e-5, exchanged branches, a
    # bias before the softmax.
    _inception(16)


@pytest.mark.slow
def test_inception_is_that_of_pytorch_at_its_own_size():
    _inception(1)
    # Keras counts 23,851,784 for 1,000 classes, running statistics included and gains left out.
    assert sum(map(np.prod, inception.shapes().values())) == 23_851_784 + 17_216 + 8 * (2048 + 1)


def _dinov2(release):
    weights = _random(dinov2.shapes(release))
    found = jax.jit(lambda w, x: dinov2.features(release.heads, w, x))(dinov2.prepare(weights), FLOATS)
    mean, deviation = (torch.tensor(x).reshape(1, 3, 1, 1) for x in (dinov2.MEAN, dinov2.DEVIATION))
    # By our own resizing, which has its test: where Pillow rounds a tie otherwise, features move by 1e-5.
    resized = jax.jit(resize.resize_cubic, static_argnums=1)(FLOATS, 224)
    with torch.no_grad():
        x = (_nchw(np.asarray(resized)) - mean) / deviation
        _check(found, oracle.dinov2(_state(weights), x, release.heads).numpy())


def test_dinov2_is_that_of_pytorch_when_narrow():
    # Fails for the approximate GELU, epsilon 1e-5 or bigger, a missing LayerScale, positions of another scale, heads
    # that are mixed up with channels, the mean of the tokens in place of the class's.
    _dinov2(dinov2.Release('tiny', 64, 2, 4, Published('', '')))


@pytest.mark.slow
def test_dinov2_is_that_of_pytorch_at_its_own_size():
    _dinov2(dinov2.VITB14)
    assert sum(map(np.prod, dinov2.shapes(dinov2.VITL14).values())) == 304_368_640 - 1024  # without the mask's token
