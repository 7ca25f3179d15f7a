"""Pixels in and out, and how any picture becomes one of a given size."""

import jax
import numpy as np
import pytest
from PIL import Image

from wgan_jax.data import fitting, images
from wgan_jax.data.fitting import View


def test_all_levels_survive_the_round_trip():
    levels = np.arange(256, dtype=np.uint8)
    floats = np.asarray(jax.jit(images.to_float)(levels))
    assert floats.dtype == np.float32 and floats.min() == -1.0 and floats.max() == 1.0
    np.testing.assert_allclose(floats, levels / 127.5 - 1, atol=1e-7)
    np.testing.assert_array_equal(images.to_uint8(floats), levels)


def test_beyond_the_range_is_clipped_not_wrapped():
    np.testing.assert_array_equal(images.to_uint8(np.array([-3.0, -1.001, 1.001, 3.0], np.float32)), [0, 0, 255, 255])


def test_gather_is_indexing():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 2), dtype=np.uint8)
    order = np.array([4, 0, 0, 3], np.int32)
    np.testing.assert_array_equal(images.gather(pixels, order), images.to_float(pixels[order]))


def test_fingerprint_knows_content_and_shape():
    pixels = np.zeros((2, 4, 6, 1), np.uint8)
    same = images.collect(list(pixels), ['a', 'b'])
    assert same.fingerprint == images.collect(pixels).fingerprint and len(same.fingerprint) == 64
    changed = pixels.copy()
    changed[1, 3, 5, 0] = 1
    assert images.collect(changed).fingerprint != same.fingerprint
    assert images.collect(pixels.reshape(2, 6, 4, 1)).fingerprint != same.fingerprint


@pytest.mark.parametrize(
    ('pixels', 'names'),
    [
        (np.zeros((2, 4, 4, 1), np.float32), ()),
        (np.zeros((4, 4, 1), np.uint8), ()),
        (np.zeros((0, 4, 4, 1), np.uint8), ()),
        (np.zeros((2, 4, 4, 1), np.uint8), ('a',)),
    ],
)
def test_what_is_no_image_array_is_refused(pixels, names):
    with pytest.raises(ValueError):
        images.collect(pixels, names)


def test_fit_crops_the_centre():
    wide = np.zeros((10, 40, 3), np.uint8)
    wide[:, 15:25] = (10, 20, 30)
    np.testing.assert_array_equal(fitting.fit(Image.fromarray(wide), View(5, 5))[2, 2], [10, 20, 30])
    assert len(np.unique(fitting.fit(Image.fromarray(wide), View(5, 5)).reshape(-1, 3), axis=0)) == 1
    tall = wide.transpose(1, 0, 2)
    assert len(np.unique(fitting.fit(Image.fromarray(tall), View(5, 5)).reshape(-1, 3), axis=0)) == 1


def test_shrinking_is_the_mean_over_blocks():
    pixels = np.random.default_rng(1).integers(0, 256, (12, 18, 3), dtype=np.uint8)
    expected = pixels.reshape(4, 3, 6, 3, 3).mean(axis=(1, 3))
    assert np.abs(fitting.fit(Image.fromarray(pixels), View(4, 6)) - expected).max() <= 1.0  # two roundings


def test_a_picture_of_the_right_size_is_left_alone():
    pixels = np.random.default_rng(2).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    np.testing.assert_array_equal(fitting.fit(Image.fromarray(pixels), View(7, 9)), pixels)


@pytest.mark.parametrize('size', [(1, 1), (3, 50), (50, 3)])
def test_extreme_shapes_fit(size):
    assert fitting.fit(Image.new('RGB', (2, 9), 'red'), View(*size)).shape == (*size, 3)
    np.testing.assert_array_equal(fitting.fit(Image.new('RGB', (9, 2), 'red'), View(*size))[0, 0], [255, 0, 0])


def transparent_palette():
    image = Image.new('P', (4, 4), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.info['transparency'] = 0
    return image


@pytest.mark.parametrize(
    ('image', 'expected'),
    [
        (Image.new('RGBA', (4, 4), (255, 0, 0, 0)), (255, 255, 255)),
        (Image.new('RGBA', (4, 4), (255, 0, 0, 255)), (255, 0, 0)),
        (Image.new('RGBA', (4, 4), (0, 0, 0, 51)), (204, 204, 204)),
        (Image.new('LA', (4, 4), (0, 0)), (255, 255, 255)),
        (Image.new('1', (4, 4), 1), (255, 255, 255)),
        (Image.new('CMYK', (4, 4), (0, 255, 255, 0)), (255, 0, 0)),
        (Image.fromarray(np.full((4, 4), 0x8080, np.uint16)), (128, 128, 128)),
        (Image.fromarray(np.full((4, 4), 65535, np.int32)), (255, 255, 255)),
        (Image.fromarray(np.full((4, 4), 255, np.int32)), (1, 1, 1)),
        (Image.frombytes('I;16B', (4, 4), np.full((4, 4), 0x8080, '>u2').tobytes()), (128, 128, 128)),
        (Image.new('PA', (4, 4), (0, 0)), (255, 255, 255)),
        (Image.new('La', (4, 4), (0, 51)), (204, 204, 204)),
        (Image.new('RGBa', (4, 4), (0, 0, 0, 51)), (204, 204, 204)),
        (Image.new('RGBX', (4, 4), (255, 0, 0, 0)), (255, 0, 0)),
        (Image.new('YCbCr', (4, 4), (100, 128, 128)), (100, 100, 100)),
        (Image.new('HSV', (4, 4), (0, 255, 255)), (255, 0, 0)),
        (transparent_palette(), (255, 255, 255)),
    ],
)
def test_every_mode_comes_out_right(image, expected):
    np.testing.assert_allclose(fitting.fit(image, View(4, 4))[1, 1], expected, atol=1)


@pytest.mark.parametrize('mode', ['1', 'L', 'RGB'])
def test_a_transparent_colour_becomes_white(mode):
    image = Image.new(mode, (4, 4), 0)
    image.info['transparency'] = (0, 0, 0) if mode == 'RGB' else 0
    np.testing.assert_array_equal(fitting.fit(image, View(2, 2)), 255)


def test_grey_is_one_channel():
    assert fitting.fit(Image.new('RGB', (4, 4), (255, 255, 255)), View(2, 2, '1')).tolist() == [[[255]] * 2] * 2


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        ({'height': 0}, 'at least 1 pixel'),
        ({'width': 2.5}, 'whole numbers'),
        ({'channels': '2'}, 'channels=2 is unknown; there are: auto, 1, 3, 4'),
        ({'fit': 'zoom'}, 'fit=zoom is unknown; there are: crop, pad, stretch'),
        ({'background': 'white'}, 'background=white must be a colour such as #ffffff'),
        ({'background': '#ffff'}, 'must be a colour'),
        ({'background': None}, 'must be a colour'),
        ({'min_side': -1}, r'min_side=-1 must be at least 0'),
        ({'min_side': '3'}, 'min_side=3 must be a whole number'),
        ({'max_images': 2.5}, 'max_images=2.5 must be a whole number'),
    ],
)
def test_impossible_views_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        fitting.check_view(View(4, 4)._replace(**change))


def test_whole_pictures_are_padded_or_stretched():
    pixels = np.random.default_rng(3).integers(0, 256, (8, 4, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    padded = fitting.fit(image, View(8, 10, fit='pad', background='#0a1432'))
    np.testing.assert_array_equal(padded[:, 3:7], pixels)
    assert (np.delete(padded, range(3, 7), axis=1) == (10, 20, 50)).all()
    stretched = fitting.fit(image, View(4, 4, fit='stretch'))
    assert np.abs(stretched - pixels.reshape(4, 2, 4, 3).mean(axis=1)).max() <= 1.0
    grey = fitting.fit(image, View(8, 10, '1', fit='pad', background='#ff0000'))
    assert grey.shape == (8, 10, 1) and grey[0, 0, 0] == 76  # 0.299 of 255


@pytest.mark.parametrize(
    ('size', 'fit', 'larger'),
    [((4, 9), 'crop', True), ((4, 9), 'stretch', True), ((4, 9), 'pad', False), ((4, 7), 'pad', True),
     ((8, 8), 'crop', False), ((8, 8), 'pad', False)],
)  # fmt: skip
def test_enlarging_is_told(size, fit, larger):
    assert fitting.is_enlarged(*size, View(8, 8, fit=fit)) == larger


def test_what_shows_through_is_the_background():
    clear = Image.new('RGBA', (3, 3), (200, 0, 0, 0))
    np.testing.assert_array_equal(fitting.fit(clear, View(2, 2, background='#102030'))[0, 0], (16, 32, 48))
    deep = Image.fromarray(np.full((3, 3), 5, np.uint16))
    deep.info['transparency'] = 5
    np.testing.assert_array_equal(fitting.fit(deep, View(2, 2, background='#404040')), 64)
    np.testing.assert_array_equal(fitting.fit(deep, View(2, 2, background='#ff0000'))[0, 0], (255, 0, 0))


def test_duplicates_are_found_with_what_they_are_of():
    pixels = np.random.default_rng(4).integers(0, 256, (9, 4, 4, 3), dtype=np.uint8)
    pixels[5], pixels[7], pixels[8] = pixels[2], pixels[2], pixels[3]
    pixels[8, 3, 3, 2] ^= 1
    assert images.find_duplicates(pixels) == [(5, 2), (7, 2)]


def test_what_is_held_out_is_decided_by_each_image_alone():
    pixels = np.random.default_rng(0).integers(0, 256, (400, 3, 2, 1), np.uint8)
    pixels[300:] = pixels[:100]  # twins
    whole = images.collect(pixels, [str(i) for i in range(400)])
    parts = {share: images.hold_out(whole, share) for share in (0.1, 0.3)}
    held = {share: {image.tobytes() for image in part.held_out} for share, part in parts.items()}
    assert 20 < len(parts[0.1].held_out) < 62 and 85 < len(parts[0.3].held_out) < 155
    assert held[0.1] < held[0.3] and held[0.1] == {
        image.tobytes() for image in images.hold_out(images.collect(pixels[::-1]), 0.1).held_out
    }
    for share, part in parts.items():
        assert not held[share] & {image.tobytes() for image in part.pixels}  # no twin on the other side
        assert len(part.pixels) + len(part.held_out) == 400 and part.fingerprint == whole.fingerprint
        assert np.array_equal(pixels[[int(name) for name in part.names]], part.pixels)
    assert images.hold_out(whole, 0) is whole
    one = images.hold_out(images.collect(pixels[:1]), 0.999999)
    assert len(one.pixels) == 1 and len(one.held_out) == 0
    with pytest.raises(ValueError, match='held out already: pass all of them'):
        images.hold_out(parts[0.1], 0.1)
