"""Pictures decoded by other processes: the same as in this one, whatever becomes of them."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from wgan_jax.data import decoding, folder
from wgan_jax.data.fitting import View

RANDOM = np.random.default_rng(0)
VIEW = View(4, 6, min_side=5)


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp('set')
    for i in range(300):
        size = (4, 9) if i % 50 == 7 else (8 + i % 5, 12)  # some are too small
        name = f'{i:03}.png' if i % 3 else f'\udcff{i:03}\n.png'  # of bytes that are no text
        Image.fromarray(RANDOM.integers(0, 256, (*size, 3), np.uint8)).save(root / name, 'png')
    (root / '150.png').write_bytes(b'no picture')
    (root / '151.png').write_bytes(b'')
    return root


@pytest.fixture
def processes(monkeypatch):
    """All that were started."""
    monkeypatch.setattr(decoding, '_MANY', 1)
    monkeypatch.setattr(decoding, '_PROCESSES', 2)
    monkeypatch.setattr(decoding, '_CHUNK', 16)
    started, popen = [], subprocess.Popen

    def start(*arguments, **options):
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, 'Popen', start)
    yield started
    assert all(process.poll() is not None for process in started)  # none is left behind


def _same(found, expected):
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    np.testing.assert_array_equal(found.sizes, expected.sizes)
    assert found._replace(pixels=None, sizes=None) == expected._replace(pixels=None, sizes=None)


def test_processes_give_what_threads_give(pictures, processes, monkeypatch):
    # Fails if results are mixed up, a reason or an odd name is lost, or nothing is decoded there.
    with monkeypatch.context() as patch:
        patch.setattr(decoding, '_MANY', 10**9)
        expected = folder.load(pictures, VIEW)
    assert len(expected.skipped) == 2 and len(expected.names) == 293 and not processes
    monkeypatch.setattr(decoding, 'read_picture', lambda *arguments, **options: pytest.fail('it is decoded here'))
    _same(folder.load(pictures, VIEW), expected)
    assert len(processes) == 2


@pytest.mark.parametrize('what', ['killed', 'no such program', 'says something else'])
def test_what_they_do_not_deliver_is_decoded_here(what, pictures, processes, monkeypatch):
    # Fails if a picture is lost with its process, or a set is refused for want of one.
    with monkeypatch.context() as patch:
        patch.setattr(decoding, '_MANY', 10**9)
        expected = folder.load(pictures, VIEW)
    if what == 'no such program':
        monkeypatch.setattr(sys, 'executable', '/no/such/python')
    elif what == 'says something else':
        monkeypatch.setattr(decoding, '_START', 'print("hello")')

    here, read = [], decoding.read_picture

    def counted(path, *arguments, **options):
        here.append(path)
        return read(path, *arguments, **options)

    def on_progress(done, of):
        if what == 'killed':
            for process in processes:
                process.send_signal(signal.SIGKILL)

    monkeypatch.setattr(decoding, 'read_picture', counted)
    monkeypatch.setattr(folder, '_OFTEN', 20)
    _same(folder.load(pictures, VIEW, on_progress=on_progress), expected)
    assert len(here) == len(set(here))  # none twice
    assert 0 < len(here) < 301 if what == 'killed' else len(here) == 301


def test_none_is_left_when_reading_ends_early(pictures, processes):
    # Fails if Ctrl-C while a set is read leaves processes, or takes long.
    def stop(done, of):
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        folder.load(pictures, VIEW, on_progress=stop)
    assert time.monotonic() - began < 60 and len(processes) == 2


def test_one_ends_with_who_started_it(pictures):
    # Fails if kill -9 of a run that reads a set leaves processes that wait for ever.
    process = subprocess.Popen(
        [sys.executable, '-I', '-c', decoding._START], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdin.close()
    process.stdout.close()
    assert process.wait(60) != 0
    worker = decoding._Worker(pictures, VIEW)
    child = worker._process
    assert len(worker.decode(sorted(os.listdir(pictures))[:3])) == 3
    child.stdin.close()
    assert child.wait(60) == 0
    assert worker.decode(['001.png']) is None
