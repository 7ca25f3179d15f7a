"""Which files of a folder are pictures, each once, and what a folder with bad ones among them gives."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image, features

import wgan_jax
from tests.training.runs import EVERY, tiny
from wgan_jax import data
from wgan_jax.data import fitting, folder, reading
from wgan_jax.data.fitting import View
from wgan_jax.data.listing import SUFFIXES, list_pictures
from wgan_jax.training.callbacks import Callback

pytestmark = pytest.mark.usefixtures('compiled_once')


def picture(path, level=9, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (8, 6), (level, 0, 0)).save(path, **options)


def test_every_suffix_and_what_has_none_is_read(tmp_path):
    # Fails if a suffix is listed that nothing reads, or a file without one is known by its name alone.
    have = {'.avif': features.check('avif'), '.jp2': features.check('jpg_2000')}
    have |= dict.fromkeys(('.j2k', '.jpx'), have['.jp2'])
    formats = {'.apng': 'PNG', '.jpe': 'JPEG', '.jpx': 'JPEG2000', '.pbm': 'PPM', '.pgm': 'PPM', '.pnm': 'PPM'}
    for suffix in SUFFIXES:
        if have.get(suffix, True):
            picture(tmp_path / f'a{suffix}', format=formats.get(suffix))
    shutil.copy(tmp_path / 'a.png', tmp_path / 'none')
    (tmp_path / 'LICENSE').write_text('BMW and GIF are no pictures')
    (tmp_path / 'UPPER.PNG').symlink_to(tmp_path / 'gone')
    loaded = folder.load(tmp_path, View(6, 8))
    assert set(loaded.names) == {path.name for path in tmp_path.iterdir()} - {'LICENSE', 'UPPER.PNG'}
    assert len(loaded.names) >= 19 and abs(loaded.pixels.astype(int) - [9, 0, 0]).max() <= 6
    assert loaded.skipped == ('UPPER.PNG: No such file or directory',)
    assert loaded.notes[0] == 'no pictures by their names: 1 without a suffix'


def test_of_several_pages_or_frames_the_first(tmp_path):
    others = [Image.new('RGB', (8, 6), (0, 0, 200))]
    for name in ('a.tiff', 'a.png', 'a.webp'):
        picture(tmp_path / name, 200, save_all=True, append_images=others)
    assert (folder.load(tmp_path, View(6, 8)).pixels[:, 3, 4] > [150, -1, -1]).all()


def test_links_count_once(tmp_path):
    root = tmp_path / 'set'
    picture(root / 'a.png')
    picture(root / 'sub' / 'b.png')
    picture(root / '.store' / 'c.png')
    picture(tmp_path / 'elsewhere' / 'd.png')
    (root / 'again').symlink_to(root / 'sub')  # and walked through by itself
    (root / 'visible').symlink_to(root / '.store')
    (root / 'up').symlink_to(root)
    (root / '0.png').symlink_to(root / 'a.png')
    for name in ('y.png', 'z.png'):
        (root / name).symlink_to(tmp_path / 'elsewhere' / 'd.png')
    assert list_pictures(root).pictures == ['a.png', 'sub/b.png', 'visible/c.png', 'y.png']
    (root / 'out').symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(ValueError, match=r'set/out is a link to .*elsewhere, outside of the folder: copy'):
        list_pictures(root)


@pytest.mark.slow
def test_runs_in_the_folder_are_no_part_of_the_set(tmp_path):
    # Fails if the same command finds another set, as soon as it has written its pictures.
    for i in range(20):
        picture(tmp_path / f'{i:02d}.png', 9 * i)
    options = {'dataset': str(tmp_path), 'image_size': 6}
    for steps in (4, 8):
        run = wgan_jax.train(tiny(steps=steps, **options), tmp_path / 'runs' / 'mine', **{**EVERY, 'sample_every': 2})
        assert run.step == steps
    loaded = folder.load(tmp_path, View(6, 6))
    assert len(loaded.names) == 20 and loaded.notes == ('folders of runs, left out: 1',)
    assert len(folder.load(tmp_path / 'runs' / 'mine', View(6, 6)).names) == 4  # which was asked for


def test_a_path_needs_no_word_before_it(tmp_path, monkeypatch):
    picture(tmp_path / 'here' / 'sub' / 'a.png')
    monkeypatch.chdir(tmp_path)
    for name in (tmp_path, './here', 'here', 'here/sub', '.'):
        assert len(data.load(str(name), 4, 4).names) == 1
    for name in ('/no/such', './no', '~nobody_of_that_name/x'):
        with pytest.raises(ValueError, match='no such folder'):
            data.load(name, 4, 4)


@pytest.fixture
def mixed(tmp_path):
    """Thirty pictures, of which three cannot be used and two are equal to the last pixel, and two other files."""
    for i in range(26):
        picture(tmp_path / 'set' / f'{i:02d}.png', 5 * i)
    picture(tmp_path / 'set' / '26.bmp', 25)
    whole = (tmp_path / 'set' / '01.png').read_bytes()
    (tmp_path / 'set' / '07b.png').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'set' / '07c.jpg').write_text('a text')
    (tmp_path / 'set' / 'z.gif').touch()
    for name in ('a.txt', 'b.mp4'):
        (tmp_path / 'set' / name).touch()
    return tmp_path / 'set'


def test_bad_pictures_are_left_out_and_told(mixed):
    told = []
    loaded = folder.load(mixed, View(6, 8), on_progress=lambda *at: told.append(at))
    assert loaded.names == (*(f'{i:02d}.png' for i in range(26)), '26.bmp')
    np.testing.assert_array_equal(loaded.pixels[:, 3, 4, 0], [*range(0, 130, 5), 25])
    assert [line.partition(':')[0] for line in loaded.skipped] == ['07b.png', '07c.jpg', 'z.gif']
    assert loaded.notes == ('no pictures by their names: 1 .mp4, 1 .txt', 'equal to an earlier one: 1')
    assert told[-1] == (30, 30)
    (mixed / 'one_more.png').touch()
    with pytest.raises(
        ValueError, match=r'4 of 31 pictures below .* cannot be used \(07b.png: .*and 1 more\): repair or'
    ):
        folder.load(mixed, View(6, 8))


def test_a_run_lists_what_was_left_out(mixed, tmp_path, caplog):
    class Told(Callback):
        told = ()

        def loading(self, done, of):
            self.told += ((done, of),)

    run, options, listener = tmp_path / 'run', {'dataset': str(mixed), 'image_size': 6}, Told()
    wgan_jax.train(tiny(steps=4, **options), run, callbacks=[listener], **EVERY)
    assert listener.told[-1] == (30, 30)
    assert [line.partition(':')[0] for line in (run / 'skipped.txt').read_text().splitlines()] == [
        '07b.png', '07c.jpg', 'z.gif',
    ]  # fmt: skip
    assert caplog.text.count('pictures that cannot be used are left out, 3: 07b.png: ') == 1
    for name in ('07b.png', '07c.jpg', 'z.gif'):
        (mixed / name).unlink()
    wgan_jax.train(tiny(steps=8, **options), run, **EVERY)
    assert not (run / 'skipped.txt').exists()


def test_a_set_without_colours_has_one_channel_unless_more_are_asked_for(tmp_path):
    for i in range(3):
        Image.new('RGB', (8, 6), (9 * i,) * 3).save(tmp_path / f'{i}.png')
    assert folder.load(tmp_path, View(6, 8)).pixels[:, 0, 0].tolist() == [[0], [9], [18]]
    assert folder.load(tmp_path, View(6, 8, '3')).pixels.shape == (3, 6, 8, 3)
    Image.new('RGB', (8, 6), (9, 9, 10)).save(tmp_path / '3.png')
    assert folder.load(tmp_path, View(6, 8)).pixels.shape == (4, 6, 8, 3)
    assert folder.load(tmp_path, View(6, 8, '1')).pixels.shape == (4, 6, 8, 1)


def test_small_ones_are_left_out_large_ones_kept_and_enlarged_ones_counted(tmp_path):
    for side in range(2, 22):
        Image.new('L', (side, 40), side).save(tmp_path / f'{side:02d}.png')
    loaded = folder.load(tmp_path, View(16, 16, min_side=10))
    assert loaded.pixels[:, 0, 0, 0].tolist() == list(range(10, 22)) and not loaded.skipped
    assert loaded.notes == ('with a side below 10 pixels: 8', 'enlarged: 6')
    with pytest.raises(ValueError, match=r'no image below .* has sides of at least min_side=30 pixels'):
        folder.load(tmp_path, View(16, 16, min_side=30))


def test_of_many_pictures_the_same_few_are_taken_whatever_others_come(tmp_path):
    for i in range(40):
        Image.new('L', (4, 4), i).save(tmp_path / f'{i:02d}.png')
    few, more = (folder.load(tmp_path, View(4, 4, max_images=n)) for n in (10, 20))
    assert len(few.names) == 10 and set(few.names) < set(more.names) and few.names == tuple(sorted(few.names))
    assert few.notes == ('not taken: 30',) and few.names != tuple(f'{i:02d}.png' for i in range(10))
    np.testing.assert_array_equal(few.pixels[:, 0, 0, 0], [int(name[:2]) for name in few.names])
    assert len(folder.load(tmp_path, View(4, 4, max_images=99)).names) == 40


@pytest.mark.parametrize('orientation', [1, 6])
def test_a_jpeg_decoded_at_a_fraction_is_the_picture(tmp_path, orientation):
    # Fails if it is decoded at so small a size that it has to be enlarged, or turned before its size is looked at.
    y, x = np.mgrid[:600, :900] / 100
    pixels = np.stack([np.sin(x) * 100, np.cos(y) * 100, x * 20 - 90], axis=-1) + 128
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / 'a.jpg', quality=95, exif=exif)
    for size in ((30, 30), (60, 90), (100, 20), (700, 500)):
        small = folder.read(tmp_path / 'a.jpg', View(*size))
        whole, *original = reading.read_picture(tmp_path / 'a.jpg', View(*size))
        assert original == ([600, 900] if orientation == 1 else [900, 600])
        whole = reading.read_picture(tmp_path / 'a.jpg').picture
        assert abs(small.astype(int) - fitting.fit(whole, View(*size)).astype(int)).max() <= 6


def test_of_a_million_files_none_is_opened_or_looked_at(tmp_path, monkeypatch):
    # Fails if listing takes a call of the system for each file: on a network that is a thousand a second.
    for i in range(50):
        (tmp_path / f'{i}.png').touch()
    calls = []
    for name in ('stat', 'lstat', 'open'):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, real=real, **k: (calls.append(a[0]), real(*a, **k))[1])
    assert len(list_pictures(tmp_path).pictures) == 50 and len(calls) < 10
