"""The metrics of a run on disk: one JSON object a line."""

import bisect
import json
import logging
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from wgan_jax.files import WriteError, atomic_path, move_aside, set_aside, writing
from wgan_jax.json_files import NUMBER, check_shape
from wgan_jax.text import reason

logger = logging.getLogger(__name__)


class MetricsLog:
    """An append-only file of metrics, each step once, that never runs ahead of what is sure.

    Opening it at a step drops every line past that step, and a last line torn by a crash. Any other line that is no
    record is moved aside with a copy of the file, and a warning says how many there are.

    Args:
        path: of the file, made when missing.
        step: the step that the run continues from.

    Attributes:
        last: the step of the last line that was kept; 0 for none.

    Raises:
        WriteError: when it cannot be written.
    """

    def __init__(self, path: str | os.PathLike, step: int):
        self._path = path = Path(path)
        self.last = 0
        if os.path.lexists(path):
            self._keep_up_to(step)
        with writing(path):
            self._file = open(path, 'a', encoding='utf-8')
            self._size = os.fstat(self._file.fileno()).st_size

    def _keep_up_to(self, step: int) -> None:
        path = self._path
        try:
            if not os.path.isfile(path):
                raise ValueError('something else stands where a file belongs')
            content = path.read_bytes()
        except (OSError, ValueError) as error:
            set_aside(path, reason(error))
            return
        kept, bad = _parse(content)
        if bad:
            aside = move_aside(path, copy=True)
            lines = 'line' if bad == 1 else 'lines'
            logger.warning(f'{path}: {bad} damaged {lines} left out; the file as it was is {aside}')
        kept = [(line, row) for line, row in kept if row['step'] <= step]
        self.last = kept[-1][1]['step'] if kept else 0
        text = b''.join(line + b'\n' for line, _ in kept)
        if text != content or os.stat(path).st_nlink > 1:  # a snapshot of links must not grow with this run
            with atomic_path(path) as temporary:
                temporary.write_bytes(text)

    def append(self, rows: Iterable[dict[str, Any]]) -> None:
        """Adds lines, readable by others at once. Raises WriteError."""
        with writing(self._path):
            for row in rows:
                self._size += self._file.write(json.dumps(row, allow_nan=False) + '\n')  # in ASCII
            self._file.flush()

    def sync(self) -> None:
        """Returns when every line is on the disk. Raises WriteError."""
        with writing(self._path):
            os.fsync(self._file.fileno())

    def check(self) -> None:
        """Raises WriteError when the file has been moved, removed, cut off or added to since it was opened."""
        with writing(self._path):
            own = os.fstat(self._file.fileno())
            there = os.path.exists(self._path) and os.path.samestat(own, os.stat(self._path))
        if not there or own.st_size != self._size:
            what = 'changed by somebody else' if there else 'moved or removed'
            raise WriteError(self._path, f'it was {what} while the run wrote it')

    def close(self) -> None:
        """Closes the file. Raises WriteError."""
        with writing(self._path):
            self._file.close()


def read_metrics(path: str | os.PathLike) -> list[dict[str, Any]]:
    """All records of a metrics file, as dictionaries; a line that is none is left out.

    Raises:
        ValueError: when the file cannot be read.
    """
    try:
        return [row for _, row in _parse(Path(path).read_bytes())[0]]
    except OSError as error:
        raise ValueError(f'{path} cannot be read ({reason(error)})') from None


def length_up_to(path: str | os.PathLike, step: int) -> int:
    """Bytes of a metrics file before its first record of a later step."""
    length = 0
    with open(path, 'rb') as file:
        for line in file:
            row = _record(line)
            if row is not None and row['step'] > step:
                break
            length += len(line)
    return length


def common_names(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The names that have a number in every record: of a run that went on in a newer version, those of the older."""
    return [name for name in (rows[0] if rows else ()) if all(row.get(name) is not None for row in rows)]


def _parse(content: bytes) -> tuple[list[tuple[bytes, dict[str, Any]]], int]:
    """The lines that are records, each with what it holds, and the number of damaged ones.

    A record has the keys of the one after, or at least those of the one before, as a newer version may write more; and
    steps ascend. A last line without its end may be torn; that is no damage.
    """
    *lines, last = (line.removesuffix(b'\r') for line in content.split(b'\n'))
    if _record(last) is not None:
        lines.append(last)
    records = [(line, row) for line in lines if (row := _record(line)) is not None]
    keys = [row.keys() for _, row in records]
    records = [
        record
        for i, record in enumerate(records)
        if len(records) == 1 or (i and keys[i] >= keys[i - 1]) or keys[i] in keys[i + 1 : i + 2]
    ]
    records = [records[i] for i in _ascending([row['step'] for _, row in records])]
    return records, len(lines) - len(records)


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line.decode())  # of bytes, JSON's reader takes other encodings, too
        check_shape(row, {'step': int}, '')
        for name, value in row.items():
            if value is not None:
                check_shape(value, NUMBER, name)
                if not math.isfinite(value):
                    return None
    except (ValueError, RecursionError, OverflowError):
        return None
    return row


def _ascending(values: Sequence[int]) -> list[int]:
    """Indices of a longest strictly ascending subsequence."""
    ends: list[int] = []  # index of the smallest last value of such a subsequence, by its length
    before: list[int] = []
    for i, value in enumerate(values):
        length = bisect.bisect_left(ends, value, key=values.__getitem__)
        before.append(ends[length - 1] if length else -1)
        ends[length : length + 1] = [i]
    chosen, i = [], ends[-1] if ends else -1
    while i >= 0:
        chosen.append(i)
        i = before[i]
    return chosen[::-1]
