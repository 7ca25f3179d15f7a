"""Files that are whole or not there, what stalls, and what is in the way."""

import errno
import os
import pickle
import time
from pathlib import Path

import pytest

from wgan_jax import files
from wgan_jax.files import WriteError, atomic_path, remove_leftovers, writing


def test_a_stalled_write_is_spoken_of(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(files, 'SLOW', 0.05)
    monkeypatch.setattr(files, '_watch', files._Watch())
    with writing(tmp_path / 'slow'):
        deadline = time.monotonic() + 10
        while 'slow has been written for' not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
    assert 'is not done' in caplog.text
    caplog.clear()
    with writing(tmp_path / 'quick'):
        pass
    time.sleep(0.2)
    assert not caplog.text


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('before')
    with (
        pytest.raises(WriteError, match=f'cannot write {path}: No space left on device'),
        atomic_path(path) as temporary,
    ):
        temporary.write_text('half')
        raise OSError(28, os.strerror(28))
    assert path.read_text() == 'before' and list(tmp_path.iterdir()) == [path]
    (tmp_path / '.tmp-9.b').mkdir()
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_place_of_a_file_is_moved_aside_once_more_and_never_over_another(tmp_path, caplog):
    for number in range(3):
        (tmp_path / 'a.txt').mkdir()
        (tmp_path / 'a.txt' / str(number)).touch()
        with atomic_path(tmp_path / 'a.txt') as temporary:
            temporary.write_text(str(number))
        assert (tmp_path / 'a.txt').read_text() == str(number)
        (tmp_path / 'a.txt').unlink()
    assert sorted(path.name for path in (tmp_path / 'damaged').iterdir()) == ['a-2.txt', 'a-3.txt', 'a.txt']
    assert caplog.text.count('a folder stands where a file belongs') == 3


def test_a_write_error_can_be_sent_to_another_process():
    error = pickle.loads(pickle.dumps(WriteError('a/b', OSError(28, os.strerror(28)))))
    assert str(error) == 'cannot write a/b: No space left on device' and error.filename == 'a/b'


def test_a_copy_that_fails_leaves_nothing(tmp_path, monkeypatch):
    # Fails if a full disk leaves the beginning of a copy, which would pass for what was damaged.
    path = tmp_path / 'metrics.jsonl'
    path.write_text('some lines')

    def half(source, target):
        Path(target).write_text('some')
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(files.shutil, 'copyfile', half)
    with pytest.raises(WriteError, match='No space left'):
        files.move_aside(path, copy=True)
    assert not list((tmp_path / 'damaged').iterdir())
    monkeypatch.undo()
    assert files.move_aside(path, copy=True).read_text() == path.read_text() == 'some lines'
