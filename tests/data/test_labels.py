"""Of which class an image is: by folders, by TFDS, by country; through holding out and through the cache."""

import numpy as np
import pytest
from PIL import Image

from wgan_jax.data import cache, flags, folder
from wgan_jax.data.fitting import View
from wgan_jax.data.images import hold_out

VIEW = View(2, 2)


def _write(root, *names):
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new('L', (2, 2), 10 * i).save(root / name)


def _named(images):
    return [images.classes[label] for label in images.labels]


def test_folders_are_classes(tmp_path):
    # Fails if a label belongs to another picture, or deeper folders are classes of their own.
    _write(tmp_path, 'b/1.png', 'a/x/2.png', 'b/y/0.png', 'a/3.png', 'c d/4.png')
    images = folder.load(tmp_path, VIEW)
    assert images.classes == ('a', 'b', 'c d') and images.labels.dtype == np.int32
    assert _named(images) == ['a', 'a', 'b', 'b', 'c d']
    assert [name.split('/')[0] for name in images.names] == _named(images)


@pytest.mark.parametrize('names', [('1.png', '2.png'), ('a/1.png', '2.png'), ('a/1.png', 'a/b/2.png')])
def test_without_folders_for_all_there_are_no_classes(names, tmp_path):
    _write(tmp_path, *names)
    images = folder.load(tmp_path, VIEW)
    assert images.labels is None and images.classes == ()


def test_what_cannot_be_read_takes_no_label_with_it(tmp_path):
    _write(tmp_path, *(f'{"ab"[i % 2]}/{i:02}.png' for i in range(20)))
    (tmp_path / 'a' / '04.png').write_bytes(b'')
    images = folder.load(tmp_path, VIEW)
    assert len(images.labels) == 19 and images.skipped
    assert [name[0] for name in images.names] == _named(images)


def test_labels_go_with_their_images(tmp_path, monkeypatch):
    # Fails if what is held out, or was kept from another time, has labels of other images.
    _write(tmp_path / 'set', *(f'{i % 3}/{i:02}.png' for i in range(24)))
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / 'kept'))
    monkeypatch.setattr(cache, '_SECONDS', 0.0)
    first, again = (folder.load(tmp_path / 'set', VIEW) for _ in range(2))
    assert list((tmp_path / 'kept').iterdir())
    assert (again.labels == first.labels).all() and again.labels.dtype == np.int32 and again.classes == first.classes
    images = hold_out(again, 0.4)
    assert 0 < len(images.held_out_labels) == len(images.held_out) < 24
    for names, labels in ((images.names, images.labels), (images.held_out_names, images.held_out_labels)):
        assert [int(name[0]) for name in names] == labels.tolist()


def test_every_flag_is_of_its_country():
    images = flags.load(2, 3)
    assert len(images.classes) == 256 and images.labels.tolist() == list(range(256))
    assert images.classes[images.labels[images.names.index('np')]] == 'Nepal'
