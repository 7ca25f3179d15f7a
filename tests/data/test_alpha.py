"""Pictures that keep their alpha: what is read, what is written, what augmentation leaves alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import wgan_jax
from wgan_jax.data import flags, folder
from wgan_jax.data.augmentation import augmentation
from wgan_jax.data.fitting import View, fit
from wgan_jax.data.images import to_float
from wgan_jax.data.pictures import grid, on_white, save_png

RANDOM = np.random.default_rng(0)


def _picture(*pixels):
    return Image.fromarray(np.array(pixels, np.uint8))


def test_what_is_not_seen_colours_nothing():
    # Fails if colours are averaged without their alpha, or a file's hidden colours are learnt.
    red, hidden = (255, 0, 0, 255), (0, 255, 0, 0)
    image = _picture((red, hidden, hidden, hidden), (hidden,) * 4)
    pixels = fit(image, View(1, 2, '4', fit='stretch', background='#0a141e'))
    assert pixels.tolist() == [[[255, 0, 0, 64], [10, 20, 30, 0]]]
    flat = fit(image, View(1, 2, '3', fit='stretch')).astype(int)
    assert np.abs(flat - [[[255, 191, 191], [255, 255, 255]]]).max() <= 1


@pytest.mark.parametrize('mode', ['1', 'L', 'RGB', 'P', 'CMYK', 'I;16', 'LA', 'RGBA', 'PA'])
def test_every_mode_keeps_the_alpha_it_has(mode):
    image = Image.new('L', (2, 2), 255).convert('I;16') if mode == 'I;16' else Image.new('RGB', (2, 2), 'white')
    image = image if mode == 'I;16' else image.convert('P').convert('PA') if mode == 'PA' else image.convert(mode)
    if mode in ('LA', 'RGBA', 'PA'):
        image.putalpha(100)
    pixels = fit(image, View(2, 2, '4'))
    assert pixels.shape == (2, 2, 4)
    assert (pixels[..., 3] == (100 if mode in ('LA', 'RGBA', 'PA') else 255)).all()


def test_a_level_that_stands_for_nothing_is_transparent(tmp_path):
    Image.new('L', (2, 1), 7).save(tmp_path / 'grey.png', transparency=7)
    Image.fromarray(np.array([[700, 65_535]], np.uint16)).save(tmp_path / 'deep.png', transparency=700)
    Image.new('RGB', (2, 1), (1, 2, 3)).save(tmp_path / 'jpeg.jpg')
    images = folder.load(tmp_path, View(1, 2, '4'))
    alpha = dict(zip(images.names, images.pixels[..., 3].reshape(-1, 2).tolist(), strict=True))
    assert alpha == {'deep.png': [0, 255], 'grey.png': [0, 0], 'jpeg.jpg': [255, 255]}


def test_a_padded_picture_lies_on_nothing():
    pixels = fit(Image.new('RGB', (4, 2), 'blue'), View(4, 4, '4', fit='pad', background='#ffffff'))
    assert pixels[..., 3].tolist() == [[0] * 4, [255] * 4, [255] * 4, [0] * 4]
    assert (pixels[0] == [255, 255, 255, 0]).all() and (pixels[1] == [0, 0, 255, 255]).all()


def test_a_flag_that_is_cut_out_is_cut_out():
    images = flags.load(32, 48, 4)
    see_through = [name for name, one in zip(images.names, images.pixels, strict=True) if one[..., 3].min() < 255]
    assert 'np' in see_through and 'fr' not in see_through and len(see_through) < 10
    nepal = images.pixels[images.names.index('np')]
    assert (nepal[nepal[..., 3] == 0] == [255, 255, 255, 0]).all()
    flat = flags.load(32, 48).pixels[images.names.index('np')]
    assert np.abs(on_white(nepal).astype(int) - flat).max() <= 3  # two roundings


def test_sheets_and_files_have_the_alpha(tmp_path):
    # Fails if alpha is dropped on the way, or the gaps between pictures are white paper.
    pixels = RANDOM.integers(0, 256, (4, 64, 64, 4), np.uint8)
    sheet = grid(np.asarray(to_float(pixels)), 2)
    assert (sheet[2:66, 2:66] == pixels[0]).all() and (sheet[:2, :, 3] == 0).all()
    save_png(tmp_path / 'sheet.png', sheet)
    with Image.open(tmp_path / 'sheet.png') as image:
        assert image.mode == 'RGBA' and (np.asarray(image) == sheet).all()
        paper = Image.new('RGBA', image.size, 'white')
        wanted = np.asarray(Image.alpha_composite(paper, image).convert('RGB')).astype(int)
    assert np.abs(on_white(sheet) - wanted).max() <= 1
    assert (on_white(sheet[..., :3]) == sheet[..., :3]).all()


@pytest.mark.parametrize('name', ['colour', 'diff:colour'])
def test_colours_change_and_alpha_does_not(name):
    image = jnp.asarray(RANDOM.uniform(-1, 1, (2, 6, 6, 4)), jnp.float32)
    keys = jax.random.split(jax.random.key(0), 2)
    out = augmentation(name).real(keys, image)
    assert (out[..., 3] == image[..., 3]).all() and np.abs(out[..., :3] - image[..., :3]).min(-1).max() > 0.01
    # As of three channels: the saturation of a pixel is not that of its alpha.
    np.testing.assert_array_equal(out[..., :3], augmentation(name).real(keys, image[..., :3]))


def test_alpha_moves_with_the_colours():
    image = jnp.repeat(jnp.asarray(RANDOM.uniform(-1, 1, (2, 6, 6, 1)), jnp.float32), 4, axis=-1)
    out = augmentation('flip,shift,zoom').real(jax.random.split(jax.random.key(1), 2), image)
    np.testing.assert_allclose(out[..., 3], out[..., 0], atol=1e-6)


def test_a_run_on_pictures_with_alpha_makes_such(tmp_path):
    (tmp_path / 'set').mkdir()
    for i in range(6):
        Image.fromarray(RANDOM.integers(0, 256, (8, 8, 4), np.uint8)).save(tmp_path / 'set' / f'{i}.png')
    settings = wgan_jax.settings('wgan_gp', arch='mlp', width=4, image_size=8, channels=4, batch_size=2, steps=1)
    generator = wgan_jax.train(settings, tmp_path / 'run', dataset=f'folder:{tmp_path / "set"}')
    assert generator.sample(jax.random.key(0), 3).shape == (3, 8, 8, 4)
    with Image.open(tmp_path / 'run' / 'samples' / 'step_00000001.png') as image:
        assert image.mode == 'RGBA'
