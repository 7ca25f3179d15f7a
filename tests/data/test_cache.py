"""Sets that were read before: found again when nothing has changed, and never read when anything has."""

import errno
import logging
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from wgan_jax import memory
from wgan_jax.data import cache, decoding, folder, reading
from wgan_jax.data.fitting import View

RANDOM = np.random.default_rng(0)
VIEW = View(4, 6)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The folder that sets are kept in, whatever time they took."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / 'kept'))
    monkeypatch.setattr(cache, '_SECONDS', 0.0)
    return tmp_path / 'kept'


@pytest.fixture
def pictures(tmp_path):
    root = tmp_path / 'set'
    root.mkdir()
    for i in range(20):
        Image.fromarray(RANDOM.integers(0, 256, (8, 12, 3), np.uint8)).save(root / f'{i:02}.png')
    (root / 'bad.png').write_bytes(b'no picture')
    (root / 'notes.txt').write_text('not one either')
    return root


def _same(a, b):
    assert (a.pixels == b.pixels).all() and (a.sizes == b.sizes).all()
    assert a._replace(pixels=None, sizes=None) == b._replace(pixels=None, sizes=None)


def _not_read(monkeypatch):
    def read(*arguments, **options):
        raise AssertionError('a picture is decoded again')

    monkeypatch.setattr(decoding, 'read_picture', read)


def test_a_set_is_read_once(place, pictures, monkeypatch):
    # Fails if a second reading decodes anything, or lacks what else is known of a set.
    first = folder.load(pictures, VIEW)
    assert first.skipped and first.notes and len(first.names) == 20
    (kept,) = place.iterdir()
    _not_read(monkeypatch)
    os.utime(kept, (1, 1))
    second = folder.load(pictures, VIEW)
    _same(second, first)
    assert second.pixels.flags.writeable and kept.stat().st_mtime > 1  # used again: the last to be removed


@pytest.mark.parametrize('change', ['content', 'added', 'gone', 'renamed', 'other file', 'view', 'code'])
def test_whatever_changes_is_read_anew(change, place, pictures, monkeypatch):
    # Fails if a set is found under what it was made of no longer.
    before, view = folder.load(pictures, VIEW), VIEW
    path = pictures / '03.png'
    if change == 'content':  # of the same length, at the same time
        state, data = path.stat(), bytearray((pictures / '04.png').read_bytes())
        path.write_bytes(bytes(data[: state.st_size]).ljust(state.st_size, b'\0'))
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    elif change == 'added':
        shutil.copy(path, pictures / '99.png')
    elif change == 'gone':
        path.unlink()
    elif change == 'renamed':
        path.rename(pictures / '50.png')
    elif change == 'other file':
        (pictures / 'more.txt').touch()
    elif change == 'view':
        view = VIEW._replace(background='#000000')
    else:
        monkeypatch.setattr(cache, '_code', lambda: ('another',))
    after = folder.load(pictures, view)
    assert len(list(place.iterdir())) == 2
    monkeypatch.delenv(cache.VARIABLE)
    _same(after, folder.load(pictures, view))
    if change in ('content', 'added', 'gone'):
        assert after.fingerprint != before.fingerprint


@pytest.mark.parametrize('damage', ['emptied', 'truncated', 'longer', 'first', 'header', 'pixel'])
def test_what_is_damaged_is_read_anew(damage, place, pictures, caplog):
    # Fails if a byte of a kept set can change unnoticed, or a damaged one ends a run.
    first = folder.load(pictures, VIEW)
    (kept,) = place.iterdir()
    data = bytearray(kept.read_bytes())
    if damage in ('first', 'header', 'pixel'):
        data[{'first': 3, 'header': 60, 'pixel': -5}[damage]] ^= 1
    data = {'emptied': b'', 'truncated': data[:-7], 'longer': data + b'x'}.get(damage, data)
    kept.write_bytes(data)
    with caplog.at_level(logging.WARNING, 'wgan_jax'):
        _same(folder.load(pictures, VIEW), first)
    said = [record.getMessage() for record in caplog.records]
    assert any(str(kept) in line and 'is read anew' in line for line in said)
    caplog.clear()
    _same(folder.load(pictures, VIEW), first)
    assert not caplog.records  # mended


def test_what_was_interrupted_is_removed(place, pictures):
    # Fails if what another process is writing is removed, or anything that is not of a cache.
    place.mkdir()
    names = [f'.tmp-1.{"a" * 64}.images', f'.tmp-2.{"b" * 64}.images', '.tmp-3.mine', 'notes.images']
    for name in names:
        (place / name).write_bytes(b'half')
        os.utime(place / name, (1, 1))
    os.utime(place / names[1])
    folder.load(pictures, VIEW)
    left = {path.name for path in place.iterdir()}
    assert left >= set(names[1:]) and names[0] not in left and len(left) == 4


@pytest.mark.parametrize('where', ['full', 'a file in its place'])
def test_what_cannot_be_kept_is_said_and_used(where, place, pictures, monkeypatch, caplog):
    if where == 'full':

        def full(*arguments):
            raise OSError(errno.ENOSPC, 'No space left on device')

        monkeypatch.setattr(cache, '_beginning', full)
    else:
        place.write_text('a file')
    with caplog.at_level(logging.WARNING, 'wgan_jax'):
        assert len(folder.load(pictures, VIEW).pixels) == 20
    (line,) = [record.getMessage() for record in caplog.records]
    assert 'is not kept for another time: ' in line and str(place) in line
    assert not place.is_dir() or not list(place.iterdir())


def test_the_oldest_make_room(place, pictures, monkeypatch):
    for side in (4, 5, 6):
        folder.load(pictures, View(side, side))
    sizes = sorted((path.stat().st_mtime_ns, path.stat().st_size, path) for path in place.iterdir())
    small = 20 * 3
    monkeypatch.setattr(cache, '_MOST', sum(size for _, size, _ in sizes) - sizes[1][1] + small)
    os.utime(sizes[0][2])  # the first was used last
    folder.load(pictures, View(1, 1))
    left = set(place.iterdir())
    assert sizes[0][2] in left and sizes[1][2] not in left and sizes[2][2] in left and len(left) == 3


def test_what_was_left_out_for_now_is_read_another_time(place, pictures, monkeypatch):
    # Fails if a picture that could not be read once is missing for good.
    def read(path, *arguments, **options):
        if path.name == '03.png':
            raise reading.BadFile('cannot open it', 'not now', lasting=False)
        return reading.read_picture(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(decoding, 'read_picture', read)
        assert len(folder.load(pictures, VIEW).pixels) == 19
    assert len(folder.load(pictures, VIEW).pixels) == 20


def test_reasons_that_may_pass(pictures, monkeypatch):
    reasons = {}
    for name in ('bad.png', 'not there.png', '03.png'):
        with monkeypatch.context() as patch:
            patch.setattr(reading, '_LARGE', 8 * 12 * 3)
            patch.setattr(memory, 'free_bytes', lambda: 500)
            with pytest.raises(reading.BadFile) as caught:
                reading.read_picture(pictures / name)
        reasons[name] = caught.value.lasting
    assert reasons == {'bad.png': True, 'not there.png': False, '03.png': False}


def test_what_may_not_be_touched_is_used(place, pictures, monkeypatch, caplog):
    # Fails if a sound set is thrown away because the time of its use cannot be written.
    first = folder.load(pictures, VIEW)
    _not_read(monkeypatch)

    def denied(*arguments):
        raise PermissionError(errno.EPERM, 'Operation not permitted')

    monkeypatch.setattr(cache.os, 'utime', denied)
    _same(folder.load(pictures, VIEW), first)
    assert not caplog.records and len(list(place.iterdir())) == 1


def test_without_a_folder_nothing_is_kept(pictures, monkeypatch):
    monkeypatch.setattr(cache, '_SECONDS', 0.0)
    for text in (None, ''):
        monkeypatch.delenv(cache.VARIABLE, raising=False) if text is None else monkeypatch.setenv(cache.VARIABLE, text)
        monkeypatch.setattr(cache, '_write', None)
        assert len(folder.load(pictures, VIEW).pixels) == 20


@pytest.mark.parametrize('text', ['~nobody-of-that-name/x', 'relative/../place'])
def test_odd_names_of_folders(text, pictures, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(cache.VARIABLE, text)
    monkeypatch.setattr(cache, '_SECONDS', 0.0)
    for _ in range(2):
        assert len(folder.load(pictures, VIEW).pixels) == 20


def test_what_is_read_at_once_is_not_kept(place, pictures, monkeypatch):
    monkeypatch.setattr(cache, '_SECONDS', 100.0)
    folder.load(pictures, VIEW)
    assert not place.exists()


def test_too_large_for_memory_is_said_of_kept_sets_too(place, pictures):
    folder.load(pictures, VIEW)
    with pytest.raises(ValueError, match=r'would take .* GB, the limit is 1e-06 GB'):
        folder.load(pictures, VIEW, max_gigabytes=1e-6)
