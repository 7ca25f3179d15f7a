"""How much memory there is, asked before it is taken."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import jax

SHARE = 2  # one part in so many of what is free may be used: the rest is for copies and for what runs beside
_CGROUPS = Path('/sys/fs/cgroup')
_MEMINFO = Path('/proc/meminfo')
_MEMBERSHIP = Path('/proc/self/cgroup')


class NotEnough(ValueError):
    """There is not enough memory for what is wanted; the text says for what, and what would do."""


def free_bytes() -> int:
    """Memory that this process may still take.

    Returns:
        Bytes: what the system has available, or what the process's control groups leave of their limits, if less.
    """
    return max(0, min([_available(), *_left_by_groups()]))


def require(needed_bytes: float, what: str, instead: str = 'take fewer or smaller ones') -> None:
    """Refuses what would take more than half of the free memory.

    Args:
        needed_bytes: how much it takes.
        what: takes it, as the subject of a sentence.
        instead: what would do.

    Raises:
        NotEnough: in one line, with both numbers.
    """
    free = free_bytes()
    if needed_bytes * SHARE > free:
        raise NotEnough(
            f'{what} would take {_gigabytes(needed_bytes)} GB, and {_gigabytes(free)} GB are free, half of which may '
            f'be used: {instead}'
        )


def require_on_accelerator(needed_bytes: float, what: str) -> None:
    """Refuses what would take more than all the memory of an accelerator, where that can be asked.

    Args:
        needed_bytes: on each of the devices.
        what: takes it, as the subject of a sentence.

    Raises:
        NotEnough: in one line, with both numbers.
    """
    device = jax.local_devices()[0]
    limit = (device.memory_stats() or {}).get('bytes_limit', math.inf)
    if needed_bytes > limit:
        raise NotEnough(
            f'{what} would take about {_gigabytes(needed_bytes)} GB, and JAX may take {_gigabytes(limit)} GB of '
            f'{device.device_kind}: take fewer or smaller ones'
        )


def _gigabytes(number: float) -> str:
    return f'{min(number, 10**30) / 1e9:.3g}'  # an integer may be beyond every float


def _available() -> int:
    """Of the whole machine."""
    try:
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith('MemAvailable:'):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    pages = 'SC_AVPHYS_PAGES' if 'SC_AVPHYS_PAGES' in os.sysconf_names else 'SC_PHYS_PAGES'
    return os.sysconf(pages) * os.sysconf('SC_PAGE_SIZE')


def _left_by_groups() -> Iterator[int]:
    """What each control group that the process is in leaves of its limit, of both versions."""
    try:
        memberships = _MEMBERSHIP.read_text().splitlines()
    except OSError:
        return
    for membership in memberships:
        number, _, rest = membership.partition(':')
        controllers, _, path = rest.partition(':')
        if number == '0':
            root, names = _CGROUPS, ('memory.max', 'memory.current', 'inactive_file')
        elif 'memory' in controllers.split(','):
            root = _CGROUPS / 'memory'
            names = ('memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file')
        else:
            continue
        # The limits of all groups above hold too. Inside of a container the path may be the host's: then only the
        # root is there.
        group = root / path.lstrip('/')
        for folder in (group, *group.parents):
            left = _left_by_group(folder, *names)
            if left is not None:
                yield left
            if folder == root:
                break


def _left_by_group(folder: Path, limit_name: str, used_name: str, cache_name: str) -> int | None:
    """None where there is no limit."""
    try:
        limit, used = (folder / limit_name).read_text().strip(), int((folder / used_name).read_text())
        if limit == 'max':
            return None
        cache = 0
        for line in (folder / 'memory.stat').read_text().splitlines():
            if line.startswith(cache_name + ' '):
                cache = int(line.split()[1])  # files that were read, given back when memory is asked for
        return int(limit) - used + cache
    except (OSError, ValueError, IndexError):
        return None
