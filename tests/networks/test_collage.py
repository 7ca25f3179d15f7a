"""The generator that lays shapes: pixel by pixel written out, at other sizes, and where square roots have no slope."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.networks import collage
from wgan_jax.types import Variables

SHAPE, WIDTH, Z = (5, 8, 2), 32, 6


def _drawn(network):
    """Variables none of which is left as it begins."""
    variables = network.init(jax.random.key(0))
    random = np.random.default_rng(1)  # the same whichever tests have run before
    params = jax.tree.map(lambda a: a + 0.1 * random.normal(size=a.shape).astype(np.float32), variables.params)
    return Variables(params, variables.state)


def _images(network, variables, z, **options):
    return jax.jit(lambda z: network.apply(variables, z, train=False, **options)[0])(jnp.asarray(z, jnp.float32))


def _leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def _sigma(x):
    return 0.5 * (1 + np.tanh(x / 2))


def _pixel(params, s, x, y, aspect):
    """The colour of the pixel at (x, y), both in [-1, 1], from the style of one latent: the docstring's equations."""

    def affine(name):
        return s @ params[name]['kernel'] + params[name]['bias']

    def place(name):
        return affine(name) + params[f'{name}_mean']

    def inside(name, depth):
        return _sigma(16 * np.exp(affine(f'{name}_sharpness')) * depth)

    def bands(name, along):
        return inside(name, 0.3 * np.exp(affine(f'{name}_size')) - np.abs(along - place(f'{name}_place')))

    away = np.exp(affine('wedge_size')) * np.abs(y - place('wedge_middle'))
    far = np.hypot(x * aspect - place('disc_x'), y - place('disc_y'))
    front = [
        bands('falling', (x + y) / 2**0.5),
        bands('rising', (x - y) / 2**0.5),
        bands('box_down', y) * bands('box_across', x),
        inside('wedge', place('wedge_place') - x - away),
        inside('disc', 0.4 * np.exp(affine('disc_size')) - far),
    ]
    colour = np.tanh(affine('background_colours'))
    for name, shapes in (('down', bands('down', y)), ('across', bands('across', x)), ('front', np.concatenate(front))):
        colours = np.tanh(affine(f'{name}_colours')).reshape(SHAPE[-1], -1)
        for k, opaque in enumerate(_sigma(affine(f'{name}_shown')) * shapes):
            colour = opaque * colours[:, k] + (1 - opaque) * colour
    return colour


def test_a_pixel_is_the_function_written_out():
    # Fails if height and width are swapped or mirrored, if a latent gets another one's shapes, if what lies in front is
    # hidden by what lies behind, or for any constant.
    network = collage.generator(SHAPE, latent_dim=Z, width=WIDTH)
    variables = _drawn(network)
    z = np.random.default_rng(0).normal(size=(3, Z))
    images = np.asarray(_images(network, variables, z))
    params = jax.tree.map(lambda a: np.asarray(a, np.float64), variables.params)
    height, width, _ = SHAPE
    for n in range(3):
        s = z[n] / np.sqrt(np.mean(z[n] ** 2))
        for i in range(2):
            s = _leaky(s @ params[f'style_{i}']['kernel'] + params[f'style_{i}']['bias'])
        for row, column in np.ndindex(height, width):
            x, y = (2 * column + 1) / width - 1, (2 * row + 1) / height - 1
            expected = _pixel(params, s, x, y, width / height)
            np.testing.assert_allclose(images[n, row, column], expected, atol=3e-5)
    used = {name.removesuffix('_mean') for name in params}
    # Styles; places, sizes and edges of six kinds of bands, of wedges and of discs; colours, and what is shown.
    assert len(used) == 2 + 6 * 3 + 4 + 4 + 4 + 3


def test_a_larger_picture_is_the_same_one_with_pixels_between():
    # Fails if a parameter depends on the size, or a place on anything but itself: the middle of three is the pixel.
    small, large = (collage.generator((5 * k, 8 * k, 2), latent_dim=Z, width=WIDTH) for k in (1, 3))
    variables = _drawn(small)
    z = np.random.default_rng(0).normal(size=(2, Z))
    between = _images(large, variables, z)[:, 1::3, 1::3]
    np.testing.assert_allclose(between, _images(small, variables, z), atol=2e-5)
    np.testing.assert_allclose(_images(small, variables, 3 * z), _images(small, variables, z), atol=2e-5)


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_slopes_are_finite_at_singular_points(dtype):
    # The latent 0 has no direction; at the centre of a disc the distance to it has no slope.
    network = collage.generator((3, 3, 1), latent_dim=Z, width=WIDTH, dtype=dtype)
    params = dict(_drawn(network).params)
    for name in ('disc_x', 'disc_y'):
        params[name] = jax.tree.map(jnp.zeros_like, params[name])
        params[f'{name}_mean'] = jnp.zeros_like(params[f'{name}_mean'])

    def brightness(params, z):
        return network.apply(Variables(params, {}), z, train=True)[0].sum()

    for z in (jnp.zeros((1, Z)), jnp.ones((1, Z))):
        slopes = jax.jit(jax.grad(brightness, (0, 1)))(params, z)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))
        assert np.any(np.asarray(slopes[0]['disc_size']['kernel']))


def test_each_latent_and_class_has_a_picture_of_its_own():
    # Fails if the rest of the batch matters, or if a label is not read.
    network = collage.generator(SHAPE, latent_dim=Z, width=WIDTH, num_classes=3)
    variables = _drawn(network)
    z = np.repeat(np.random.default_rng(0).normal(size=(1, Z)), 4, axis=0)
    images = _images(network, variables, z, labels=jnp.array([0, 1, 2, 0]))
    np.testing.assert_allclose(images[0], images[3], atol=1e-6)
    assert np.abs(images[0] - images[1]).max() > 1e-3 < np.abs(images[1] - images[2]).max()
    alone = _images(network, variables, z[:1], labels=jnp.array([1]))
    np.testing.assert_allclose(alone[0], images[1], atol=1e-5)


def test_what_is_no_image_is_refused():
    with pytest.raises(ValueError, match='image_shape must be'):
        collage.generator((8, 8), latent_dim=Z)
