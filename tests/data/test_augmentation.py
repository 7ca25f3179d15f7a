"""Augmentation: what the whole promises, and what its parts do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax import settings
from wgan_jax.data import augmentation as aug
from wgan_jax.training.parts import find_part

DATA, DIFF = aug.AUGMENTATIONS['data'].real, aug.AUGMENTATIONS['diff'].fake


@pytest.fixture(scope='module')
def images():
    return jax.random.uniform(jax.random.key(0), (6, 16, 24, 3), minval=-1.0)


@pytest.fixture(scope='module')
def keys():
    return jax.random.split(jax.random.key(1), 6)


@pytest.mark.parametrize('function', [DATA, DIFF])
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
    out = np.asarray(jax.jit(DATA)(keys, extremes))
    assert out.min() == -1.0 and out.max() == 1.0


def test_flips_occur_every_second_time():
    # Four quadrants of their own brightness: which is where tells the flips apart, whatever else is done.
    n = 1000
    quadrants = np.kron(np.array([[-0.6, -0.2], [0.2, 0.6]], np.float32), np.ones((8, 8), np.float32))
    out = jax.jit(DATA)(jax.random.split(jax.random.key(5), n), jnp.tile(quadrants[None, ..., None], (n, 1, 1, 1)))
    centres = np.asarray(out)[:, [3, 3, 12, 12], [3, 12, 3, 12], 0]
    horizontal, vertical = centres[:, 0] > centres[:, 1], centres[:, 0] > centres[:, 2]
    assert abs(horizontal.mean() - 0.5) < 0.06 and abs(vertical.mean() - 0.5) < 0.06
    assert abs((horizontal & vertical).mean() - 0.25) < 0.06


def test_diff_draws_what_its_docstring_says():
    n = 4000
    out = np.asarray(jax.jit(DIFF)(jax.random.split(jax.random.key(6), n), jnp.full((n, 8, 16, 1), 0.7)))
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
        return jnp.sum(jnp.sin(2.0 * DIFF(keys[:2], x)))

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
    augment = jax.jit(DIFF)
    zero = augment(keys, jnp.zeros_like(images))
    linear = augment(keys, images) - zero
    np.testing.assert_allclose(augment(keys, -2.0 * images) - zero, -2.0 * linear, atol=2e-5)


def test_real_images_alone_are_varied_unless_both_are_asked_for():
    assert aug.AUGMENTATIONS['none'] == (None, None)
    for part in aug.AUGMENTATION_PARTS:
        assert aug.augmentation(part).fake is None
        both = aug.augmentation(f'diff:{part}')
        assert both.real is both.fake is not None


@pytest.mark.parametrize(
    ('names', 'one'),
    [
        (('flip,zoom', 'zoom,flip', ' zoom , flip '), 'flip,zoom'),
        (('diff:flip,zoom', 'diff:zoom,flip'), 'diff:flip,zoom'),
        (('colour,zoom,turn,upside_down,flip', 'data'), 'data'),
        (('diff:cutout,colour,shift', 'diff'), 'diff'),
        (('shift,cutout,colour',), 'colour,shift,cutout'),
        (('diff:flip,upside_down,turn,zoom,colour',), 'diff:flip,upside_down,turn,zoom,colour'),
    ],
)
def test_one_augmentation_has_one_name(names, one):
    assert {aug.canonical(name) for name in names} == {one}
    assert len({aug.augmentation(name) for name in names}) == 1


@pytest.mark.parametrize(
    ('name', 'says'),
    [('', 'an empty name is no part'), ('flip,', 'an empty name'), ('diff:', 'an empty name'),
     ('rotate', 'rotate is no part'), ('data,flip', 'data is no part'), ('zoom,flip,zoom', 'zoom stands there twice')],
)  # fmt: skip
def test_what_names_no_augmentation_is_refused(name, says):
    with pytest.raises(ValueError, match=f'augment={name}: {says}'):
        aug.augmentation(name)


def test_one_that_is_registered_is_found_by_its_name(monkeypatch):
    # Fails if a line in the registry is not enough, as of every other kind of part.
    mine = aug.Augmentation(None, lambda keys, images: images)
    monkeypatch.setitem(aug.AUGMENTATIONS, 'mine', mine)
    chosen = settings('wgan_gp', augment='mine')
    assert chosen.augment == 'mine' and find_part('augment', chosen.augment) is aug.augmentation('mine') is mine


def test_each_part_does_its_own_and_nothing_else():
    # A ramp from left to right and another from top to bottom, each in a channel of its own.
    n, side = 400, 16
    ramp = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    image = np.stack(np.broadcast_arrays(ramp[None, :], ramp[:, None]), axis=-1)
    images, keys = jnp.tile(image[None], (n, 1, 1, 1)), jax.random.split(jax.random.key(11), n)
    inside = np.s_[:, 4:12, 4:12]
    for form in ('', 'diff:'):
        out = {part: np.asarray(aug.augmentation(form + part).real(keys, images)) for part in aug.AUGMENTATION_PARTS}
        mirrored = {'flip': image[:, ::-1], 'upside_down': image[::-1]}
        for part, other in mirrored.items():
            changed = (out[part] == other).all(axis=(1, 2, 3))
            assert (changed | (out[part] == image).all(axis=(1, 2, 3))).all() and 0.4 < changed.mean() < 0.6
        # A zoom changes a ramp's slope, a shift its middle, and a turn gives it a slope in the other direction.
        slope = np.diff(out['zoom'][inside][..., 0], axis=2).mean(axis=(1, 2)) * (side - 1)
        assert slope.min() == pytest.approx(np.exp(-0.08), rel=3e-3) and slope.max() == pytest.approx(
            np.exp(0.08), rel=3e-3
        )
        turned = np.diff(out['turn'][inside][..., 1], axis=2).mean(axis=(1, 2)) * (side - 1)
        assert abs(turned).max() == pytest.approx(np.sin(np.radians(5)), rel=0.02) and abs(turned.mean()) < 0.01
        moved = (image - out['shift'])[inside].mean(axis=(1, 2)) * (side - 1)
        assert abs(moved).max() == pytest.approx(2, rel=0.02) and (abs(moved.mean(axis=0)) < 0.2).all()
        holes = (out['cutout'] == 0).sum(axis=(1, 2, 3)) / 2
        assert set(np.unique(holes)) <= {h * w for h in range(4, 9) for w in range(4, 9)}


def test_what_moves_real_images_repeats_their_border_and_leaves_no_black():
    keys = jax.random.split(jax.random.key(12), 50)
    white = jnp.ones((50, 8, 12, 3))
    for name in ('shift', 'zoom,shift', 'turn,zoom,shift'):
        np.testing.assert_allclose(aug.augmentation(name).real(keys, white), 1.0, atol=1e-6)
