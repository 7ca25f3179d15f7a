"""How far a long launcher is."""

import sys

from tqdm import tqdm

_WATCHED, _LOGGED = 1.0, 60.0  # seconds between looks, on a terminal and in a file


def progress(total: int, unit: str) -> tqdm:
    """A bar of so many steps; in a file, or a pipe, now and then, for who comes to look at it."""
    return tqdm(total=total, unit=f' {unit}', mininterval=_WATCHED if sys.stderr.isatty() else _LOGGED)
