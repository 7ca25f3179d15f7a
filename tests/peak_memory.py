"""The most memory that this process takes at once, in a part of a test."""

import contextlib
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

_SELF = Path('/proc/self')


def forget() -> None:
    """Lets the peak begin anew, where the system can: elsewhere an earlier one hides those that are lower."""
    with contextlib.suppress(OSError):
        (_SELF / 'clear_refs').write_text('5')


def peak() -> int:
    """Bytes of memory, since the process began or the peak was last forgotten."""
    if (_SELF / 'status').exists():
        (line,) = (line for line in (_SELF / 'status').read_text().splitlines() if line.startswith('VmHWM'))
        return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)


@contextlib.contextmanager
def taking_less_than(limit: float) -> Iterator[None]:
    """Asserts that the block takes less memory, in bytes, on top of what was taken before."""
    forget()
    before = peak()
    yield
    taken = peak() - before
    assert taken < limit, f'{taken / 1e6:.0f} MB'
