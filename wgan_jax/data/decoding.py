"""Many pictures of a folder, decoded in threads, or in other processes where they are so many that it pays.

Most of a small picture's time is Python's, which one thread of a process at a time can have. The processes are started
with a command of their own: what Python starts by itself would run the user's script again.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from wgan_jax.data.fitting import View, fit
from wgan_jax.data.reading import NAME, BadFile, TooSmall, quiet, read_picture
from wgan_jax.text import printable

Result = tuple[np.ndarray, int, int] | BadFile  # pixels, and height and width of the original; or what is wrong

_CORES = os.cpu_count() or 1
_THREADS = min(8, _CORES)
_PROCESSES = min(16, _CORES)
_AHEAD = 256  # pictures decoded before the first of them is taken, by threads
_MANY = 4096  # pictures, for which processes are worth their start of a second or two
_CHUNK = 64  # of which a process is asked at once
_CHUNKS_AHEAD = 4  # for each process
_START = (
    'import json, sys; header = json.loads(sys.stdin.buffer.readline()); sys.path[:] = header["path"]; '
    'from wgan_jax.data.decoding import serve; serve(header)'
)


def decode_all(root: Path, names: list[str], view: View) -> Iterator[tuple[str, Result]]:
    """(name, what came of it) of every picture, in order.

    Args:
        root: the folder.
        names: of the pictures in it.
        view: of them.

    Raises:
        OSError, MemoryError: for failures of the machine.
    """
    if len(names) >= _MANY and _PROCESSES > 1:
        return _in_processes(root, names, view)
    return _in_threads(root, names, view)


def _one(root: Path, view: View, name: str) -> Result:
    try:
        picture, height, width = read_picture(root / name, view, name=printable(name, NAME))
        return fit(picture, view), height, width
    except BadFile as error:
        return error


def _in_threads(root: Path, names: list[str], view: View) -> Iterator[tuple[str, Result]]:
    with quiet('PIL'), ThreadPoolExecutor(_THREADS) as pool:
        ahead: deque[tuple[str, Future]] = deque()
        for name in names:
            ahead.append((name, pool.submit(_one, root, view, name)))
            if len(ahead) > _AHEAD:
                name, future = ahead.popleft()
                yield name, future.result()
        yield from ((name, future.result()) for name, future in ahead)


def _in_processes(root: Path, names: list[str], view: View) -> Iterator[tuple[str, Result]]:
    """As ``_in_threads``. What a process does not deliver, for whatever reason, is decoded here."""
    chunks = deque(names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK))
    workers = [_Worker(root, view) for _ in range(_PROCESSES)]
    free = threading.local()
    lock = threading.Lock()
    idle = list(workers)

    def ask(chunk: list[str]) -> list[Result] | None:
        if not hasattr(free, 'worker'):  # one for each thread
            with lock:
                free.worker = idle.pop()
        return free.worker.decode(chunk)

    try:
        with ThreadPoolExecutor(_PROCESSES) as pool:
            ahead: deque[tuple[list[str], Future]] = deque()
            while chunks or ahead:
                while chunks and len(ahead) < _CHUNKS_AHEAD * _PROCESSES:
                    chunk = chunks.popleft()
                    ahead.append((chunk, pool.submit(ask, chunk)))
                chunk, future = ahead.popleft()
                results = future.result()
                yield from _in_threads(root, chunk, view) if results is None else zip(chunk, results, strict=True)
    finally:
        for worker in workers:
            worker.close()


class _Worker:
    """A process that decodes; ``decode`` gives None for what it could not."""

    def __init__(self, root: Path, view: View):
        self._shape = view.height, view.width, view.num_channels
        self._process: subprocess.Popen | None = None
        header = {'path': [os.path.abspath(place) for place in sys.path], 'root': os.fspath(root), 'view': view}
        with contextlib.suppress(OSError, ValueError):
            self._process = subprocess.Popen(
                [sys.executable, '-I', '-c', _START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, 'JAX_PLATFORMS': 'cpu'},
                start_new_session=True,  # signals of the terminal are not for it: it ends with its input
            )
            self._send(header)

    def _send(self, message: Any) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b'\n')
        self._process.stdin.flush()

    def decode(self, names: list[str]) -> list[Result] | None:
        """What came of some pictures; None, and from then on, where the process has failed."""
        if self._process is None or self._process.stdout is None:
            return None
        try:
            self._send(names)
            rows = json.loads(self._process.stdout.readline())
            pixels = np.empty((sum('size' in row for row in rows), *self._shape), np.uint8)
            if cast(BufferedReader, self._process.stdout).readinto(pixels.reshape(-1).data) != pixels.size:
                raise EOFError
            images = iter(pixels)
            return [_unpacked(row, images) for row in rows]
        except (OSError, ValueError, EOFError):
            self.close()
            return None

    def close(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    assert pipe is not None
                    pipe.close()
            process.wait()


def _packed(result: Result) -> dict[str, Any]:
    if isinstance(result, BadFile):
        return {'why': result.why, 'lasting': result.lasting, 'small': isinstance(result, TooSmall)}
    return {'size': result[1:]}


def _unpacked(row: dict[str, Any], images: Iterator[np.ndarray]) -> Result:
    if 'size' in row:
        height, width = row['size']
        return next(images), height, width
    kind: Callable[..., BadFile] = TooSmall if row['small'] else BadFile
    return kind('', row['why'], lasting=row['lasting'])


def serve(header: dict[str, Any]) -> None:
    """What a process does: for each line of names in its input, a line of results and the pixels."""
    root, view = Path(header['root']), View(*header['view'])
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    with quiet('PIL'):
        while line := source.readline():
            _answer([_one(root, view, name) for name in json.loads(line)], sink)


def _answer(results: list[Result], sink: BinaryIO) -> None:
    sink.write(json.dumps([_packed(result) for result in results]).encode() + b'\n')
    sink.write(b''.join(result[0].tobytes() for result in results if not isinstance(result, BadFile)))
    sink.flush()
