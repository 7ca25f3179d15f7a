"""Datasets by name: folders, TFDS without TensorFlow, and messages a user can act on."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wgan_jax import data
from wgan_jax.data import cache, folder, tfds_images
from wgan_jax.data.fitting import View

TFDS_DIR = Path(os.environ.get('WGAN_JAX_TFDS_DIR', Path(__file__).parents[3] / 'shared' / 'tfds'))


@pytest.fixture
def pictures(tmp_path):
    (tmp_path / 'sub').mkdir()
    (tmp_path / '.hidden').mkdir()
    Image.new('RGB', (30, 20), (255, 0, 0)).save(tmp_path / 'b.PNG')
    Image.new('RGB', (20, 30), (0, 255, 0)).save(tmp_path / 'sub' / 'a.bmp')
    Image.new('L', (8, 8), 77).save(tmp_path / 'a.jpeg')
    Image.new('RGB', (9, 9), (0, 0, 255)).save(
        tmp_path / 'c.gif', save_all=True, append_images=[Image.new('RGB', (9, 9), (255, 255, 0))]
    )
    Image.new('RGBA', (6, 6), (9, 9, 9, 0)).save(tmp_path / 'd.webp', lossless=True)
    Image.new('RGB', (5, 5)).save(tmp_path / '.hidden' / 'x.png')
    (tmp_path / 'notes.txt').write_text('not a picture')
    return tmp_path


def test_a_folder_of_all_kinds(pictures):
    loaded = data.load(f'folder:{pictures}', 8, 12)
    assert loaded.names == ('a.jpeg', 'b.PNG', 'c.gif', 'd.webp', 'sub/a.bmp')
    assert loaded.pixels.shape == (5, 8, 12, 3) and loaded.pixels.dtype == np.uint8
    expected = [(77, 77, 77), (255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 255, 0)]
    np.testing.assert_allclose(loaded.pixels[:, 4, 6], expected, atol=2)


def test_exif_orientation_is_followed(tmp_path):
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # stored upside down
    Image.fromarray(pixels).save(tmp_path / 'a.png', exif=exif)
    assert folder.load(tmp_path, View(16, 16)).pixels[0, 12, 8, 0] == 255


def test_an_unreadable_file_is_named(pictures):
    (pictures / 'broken.png').write_bytes(b'\x89PNG nothing')
    with pytest.raises(ValueError, match=r'broken.png'):
        data.load(f'folder:{pictures}', 8, 8)


def test_a_truncated_file_is_named(pictures):
    whole = (pictures / 'b.PNG').read_bytes()
    (pictures / 'b.PNG').write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r'b.PNG'):
        data.load(f'folder:{pictures}', 8, 8)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('folder:/no/such/place', 'no such folder'),
        ('folder:', 'folder:PATH'),
        ('flags:blue', "the flags have no split 'blue'"),
    ],
)
def test_names_that_cannot_be_loaded(name, message):
    with pytest.raises(ValueError, match=message):
        data.load(name, 8, 8)


def test_an_empty_folder_and_an_impossible_size(tmp_path):
    with pytest.raises(ValueError, match='no images'):
        data.load(f'folder:{tmp_path}', 8, 8)
    with pytest.raises(ValueError, match='at least 1'):
        data.load('flags', 0, 8)


def test_too_much_for_memory_is_refused_before_it_is_read(pictures):
    with pytest.raises(ValueError, match='GB'):
        folder.load(pictures, View(64, 64), max_gigabytes=1e-6)


def test_what_a_view_has_in_vain_is_refused():
    with pytest.raises(ValueError, match='fit=pad has no effect with dataset=flags'):
        data.load('flags', 8, 12, fit='pad')
    assert data.load('flags', 8, 12, channels=1).pixels.shape == (256, 8, 12, 1)


def test_flags_by_name():
    assert data.load('flags', 8, 12).pixels.shape == (256, 8, 12, 3)


def test_importing_the_room_is_light():
    code = "import sys, wgan_jax.data\nprint([m for m in ('PIL', 'tensorflow_datasets') if m in sys.modules])"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, '-c', code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'


def test_without_tfds_the_message_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, 'tensorflow_datasets', None)
    with pytest.raises(ValueError, match=r"not installed.*'flags', 'folder:PATH', 'stacked_mnist'"):
        data.load('mnist', 8, 8)


@pytest.fixture
def tfds():
    module = pytest.importorskip('tensorflow_datasets', reason='tensorflow-datasets is not installed')
    pytest.importorskip('array_record', reason='array-record is not installed')
    return module


@pytest.fixture
def mnist_dir(tfds):
    if not (TFDS_DIR / 'mnist').is_dir():
        pytest.skip(f'no prepared MNIST in {TFDS_DIR}: set WGAN_JAX_TFDS_DIR')
    return TFDS_DIR


def test_unknown_and_unprepared_datasets(tfds, tmp_path):
    with pytest.raises(
        ValueError, match="unknown dataset 'no_such_thing'; known are 'flags', 'folder:PATH', 'stacked_mnist'"
    ):
        data.load('no_such_thing', 8, 8, data_dir=tmp_path)
    with pytest.raises(ValueError, match='tfds build mnist --file_format=array_record --data_dir='):
        data.load('mnist', 8, 8, data_dir=tmp_path)
    with pytest.raises(ValueError, match='no image feature'):
        data.load('imdb_reviews', 8, 8, data_dir=tmp_path)


def test_mnist_at_its_own_size_is_untouched(tfds, mnist_dir):
    loaded = tfds_images.load('mnist:train[:100]', View(28, 28), data_dir=mnist_dir)
    assert loaded.pixels.shape == (100, 28, 28, 1)
    source = tfds.builder('mnist', data_dir=mnist_dir).as_data_source(split='train[:100]')
    for place in (0, 1, 57, 99):
        np.testing.assert_array_equal(loaded.pixels[place], source[place]['image'])


@pytest.mark.parametrize(
    ('name', 'first', 'num'),
    [('mnist:test[:5]', 'test[:5]', 5), ('mnist/3.0.1:test[50%:51%]', 'test[50%:51%]', 100),
     ('mnist:3.0.1:train[-3:]+test[:2]', 'train[-3:]+test[:2]', 5)],
)  # fmt: skip
def test_splits_by_name(tfds, mnist_dir, name, first, num):
    loaded = data.load(name, 28, 28, data_dir=mnist_dir)
    source = tfds.builder('mnist', data_dir=mnist_dir).as_data_source(split=first)
    np.testing.assert_array_equal(loaded.pixels, np.stack([source[i]['image'] for i in range(num)]))


def test_a_view_of_mnist(mnist_dir):
    seen = tfds_images.load('mnist:test', View(32, 28, '3', fit='pad', max_images=7), data_dir=mnist_dir)
    assert seen.pixels.shape == (7, 32, 28, 3) and (seen.pixels[:, [0, 1, 30, 31]] == 255).all()
    assert seen.notes == ('not taken: 9993',)
    with pytest.raises(ValueError, match='sides of at least min_side=29 pixels'):
        tfds_images.load('mnist:test[:9]', View(28, 28, min_side=29), data_dir=mnist_dir)


def test_mnist_enlarged(mnist_dir):
    small, large = (tfds_images.load('mnist:train[:20]', View(n, n), data_dir=mnist_dir) for n in (28, 32))
    assert large.pixels.shape == (20, 32, 32, 1)
    assert large.fingerprint != small.fingerprint
    np.testing.assert_allclose(large.pixels.mean(axis=(1, 2, 3)), small.pixels.mean(axis=(1, 2, 3)), rtol=0.06)


def test_mnist_limits(mnist_dir):
    with pytest.raises(ValueError, match=r'15.7 GB'):
        tfds_images.load('mnist', View(512, 512), data_dir=mnist_dir)
    with pytest.raises(ValueError, match='it has train, test'):
        tfds_images.load('mnist:nope', View(28, 28), data_dir=mnist_dir)


def test_a_split_is_read_once(tmp_path, mnist_dir, monkeypatch):
    # Fails if a second reading decodes anything, or another part of the set is found in its place.
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    monkeypatch.setattr(cache, '_SECONDS', 0.0)
    first = tfds_images.load('mnist:test[:50]', View(8, 8), data_dir=mnist_dir)
    with monkeypatch.context() as patch:
        patch.setattr(tfds_images, 'decode', None)
        again = tfds_images.load('mnist:test[:50]', View(8, 8), data_dir=mnist_dir)
    assert (again.pixels == first.pixels).all() and again.fingerprint == first.fingerprint
    other = tfds_images.load('mnist:test[50:100]', View(8, 8), data_dir=mnist_dir)
    assert (other.pixels != first.pixels).any()


def test_labels_of_a_split(tfds, mnist_dir):
    loaded = tfds_images.load('mnist:train[:30]', View(8, 8), data_dir=mnist_dir)
    source = tfds.builder('mnist', data_dir=mnist_dir).as_data_source(split='train[:30]')
    assert loaded.classes == tuple('0123456789') and loaded.labels.dtype == np.int32
    assert loaded.labels.tolist() == [int(source[i]['label']) for i in range(30)]
