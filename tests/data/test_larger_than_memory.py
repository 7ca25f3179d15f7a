"""Sets that do not fit into memory: in a file, with the same images; refused where there is no room for that either."""

import errno
import os
import types

import numpy as np
import pytest
from PIL import Image

from wgan_jax import memory
from wgan_jax.data import cache, folder
from wgan_jax.data.fitting import View
from wgan_jax.data.images import Rows, allocate, first_channel, hold_out, on_disk

RANDOM = np.random.default_rng(0)
VIEW = View(4, 6)


@pytest.fixture
def pictures(tmp_path):
    for name in ('colour', 'grey'):
        (tmp_path / name).mkdir()
        for i in range(30):
            pixels = RANDOM.integers(0, 256, (8, 12, 3), np.uint8)
            Image.fromarray(pixels if name == 'colour' else pixels[..., 0]).save(tmp_path / name / f'{i:02}.png')
    (tmp_path / 'colour' / 'bad.png').write_bytes(b'no picture')
    return tmp_path


@pytest.fixture
def little_memory(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise memory.NotEnough('a set would take more than there is: use fewer images')

    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / 'kept'))
    monkeypatch.setattr(cache, 'allocate', refuse)
    return tmp_path / 'kept'


@pytest.mark.parametrize('name', ['colour', 'grey'])
@pytest.mark.parametrize('kept', [True, False])
def test_the_images_are_the_same(name, kept, pictures, little_memory, monkeypatch):
    # Fails if a file of pixels is read at a wrong place, is of more channels than it says, or is decoded twice.
    monkeypatch.setattr(cache, '_SECONDS', 0.0 if kept else 1e9)
    found = folder.load(pictures / name, VIEW)
    again = folder.load(pictures / name, VIEW)
    names = [path.name for path in little_memory.iterdir()]
    assert len(names) == kept and all(cache._OURS.fullmatch(left) for left in names)  # no file of pixels is left
    monkeypatch.undo()
    expected = folder.load(pictures / name, VIEW)
    assert expected.pixels.shape == (30, 4, 6, 1 if name == 'grey' else 3) and not on_disk(expected.pixels)
    for images in (found, again):
        assert on_disk(images.pixels) and images.pixels.flags.writeable == (not kept)
        np.testing.assert_array_equal(images.pixels, expected.pixels)
        assert images._replace(pixels=None, sizes=None) == expected._replace(pixels=None, sizes=None)
        ours, theirs = hold_out(images, 0.3), hold_out(expected, 0.3)
        for mine, wanted in ((ours.pixels, theirs.pixels), (ours.held_out, theirs.held_out)):
            assert isinstance(mine, Rows) and mine.shape == wanted.shape and mine.nbytes == wanted.nbytes
            np.testing.assert_array_equal(mine, wanted)
            np.testing.assert_array_equal(mine[2], wanted[2])
            np.testing.assert_array_equal(mine[1:4], wanted[1:4])
            np.testing.assert_array_equal(mine[np.array([3, 0, 3])], wanted[[3, 0, 3]])
            np.testing.assert_array_equal(np.stack(list(mine)), wanted)


def test_a_file_that_was_kept_is_checked_there_too(pictures, little_memory, monkeypatch, caplog):
    # Fails if what lies in a file is taken without a look.
    monkeypatch.setattr(cache, '_SECONDS', 0.0)
    expected = np.array(folder.load(pictures / 'colour', VIEW).pixels)
    (path,) = little_memory.iterdir()
    for damage in (lambda data: data[:-1], lambda data: data[:-9] + b'x' + data[-8:], lambda data: data + b'x'):
        caplog.clear()
        path.write_bytes(damage(path.read_bytes()))
        np.testing.assert_array_equal(folder.load(pictures / 'colour', VIEW).pixels, expected)
        assert 'its pixels are not those that were written' in caplog.text


def test_no_room_is_said_in_a_line(pictures, little_memory, monkeypatch):
    # Fails if a full disk ends in a signal, or the variable that would help is not named.
    more = 'a set would take more than there is: use fewer images'
    with monkeypatch.context() as patch:
        patch.setenv(cache.VARIABLE, '')
        with pytest.raises(ValueError, match=f'^{more}, or name a folder for sets on a large disk by WGAN_JAX_CACHE'):
            folder.load(pictures / 'colour', VIEW)
    with monkeypatch.context() as patch:
        patch.setattr('shutil.disk_usage', lambda path: types.SimpleNamespace(free=100))
        with pytest.raises(ValueError, match=f'^{more}; nor has the disk of .* room for it twice: 1e-07 GB$'):
            folder.load(pictures / 'colour', VIEW)

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, 'posix_fallocate', full)
    with pytest.raises(ValueError, match=rf'^{more}; nor can it lie in .* \(No space left on device\)$'):
        folder.load(pictures / 'colour', VIEW)
    assert list(little_memory.iterdir()) == []


def test_large_sets_and_small_ones_leave_each_other(pictures, little_memory, monkeypatch, caplog):
    # Fails if a set that is larger than all together may be removes the others, or is removed by the next.
    monkeypatch.setattr(cache, '_SECONDS', 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(cache, 'allocate', allocate)
        folder.load(pictures / 'grey', VIEW)
    monkeypatch.setattr(cache, '_MOST', 1500.0)  # the grey set's 720 bytes and a header
    folder.load(pictures / 'colour', VIEW)
    assert len(list(little_memory.iterdir())) == 2
    with monkeypatch.context() as patch:
        patch.setattr(cache, 'allocate', allocate)
        folder.load(pictures / 'grey', View(4, 5))
    (large,) = (path for path in little_memory.iterdir() if path.stat().st_size > 2160)
    with monkeypatch.context() as patch:  # another large one takes its place where the disk has no room for two
        patch.setattr('shutil.disk_usage', lambda path: types.SimpleNamespace(free=10**5 if large.exists() else 10**9))
        patch.setattr(cache, '_MOST', 2000.0)  # more than the small ones have
        with pytest.raises(ValueError, match='nor has the disk'):  # nor for it alone
            cache.room(10**6, 4, 6, 3, 'a set')
        assert large.exists()
        cache.room(700, 4, 6, 3, 'a set')
        assert not large.exists()
    # The first looks at the disk are before its room is taken, the last when the set is to be kept.
    frees = iter((10**9, 10**9, 100))
    monkeypatch.setattr('shutil.disk_usage', lambda path: types.SimpleNamespace(free=next(frees)))
    assert on_disk(folder.load(pictures / 'colour', View(4, 4)).pixels)
    assert 'what has been read is not kept for another time: No space left on device' in caplog.text


@pytest.mark.parametrize('channels', [1, 3, 4])
def test_a_channel_is_moved_together_in_place(channels):
    # Fails if a part is written over before it is read.
    pixels = RANDOM.integers(0, 256, (700, 300, 400, channels), np.uint8)  # of more than one part
    expected = pixels[..., :1].copy()
    found = first_channel(pixels)
    np.testing.assert_array_equal(found, expected)
    assert np.shares_memory(found, pixels)
