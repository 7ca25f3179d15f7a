"""The metrics of a run on disk: one JSON object a line."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wgan_jax.files import atomic_path


class MetricsLog:
    """An append-only file of metrics, each step once, that never runs ahead of what is sure.

    Opening it at a step drops every line past that step, and a last line torn by a crash.

    Args:
        path: of the file, made when missing.
        step: the step that the run continues from.
    """

    def __init__(self, path: str | os.PathLike, step: int):
        path = Path(path)
        if path.exists():
            text = path.read_text()
            kept = ''.join(line + '\n' for line in _lines_up_to(text, step))
            if kept != text:
                with atomic_path(path) as temporary:
                    temporary.write_text(kept)
        self._file = open(path, 'a')

    def append(self, rows: Iterable[dict[str, Any]]) -> None:
        """Adds lines, readable by others at once."""
        for row in rows:
            self._file.write(json.dumps(row, allow_nan=False) + '\n')
        self._file.flush()

    def sync(self) -> None:
        """Returns when every line is on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def read_metrics(path: str | os.PathLike) -> list[dict[str, Any]]:
    """All whole lines of a metrics file, as dictionaries."""
    return [json.loads(line) for line in _lines_up_to(Path(path).read_text(), float('inf'))]


def _lines_up_to(text: str, step: float) -> list[str]:
    lines = []
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            break  # torn: nothing after it can be trusted
        if not isinstance(row, dict) or row.get('step', step + 1) > step:
            break
        lines.append(line)
    return lines
