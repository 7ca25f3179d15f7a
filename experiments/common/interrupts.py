"""Signals: how a launcher ends when it is told to, from its first import on.

Python looks at signals only between two of its own instructions, and an exception that a handler raises can get lost in
a callback or meet an interpreter whose threads are compiling. So a thread waits for the signal itself and ends the
process there and then: like kill -9, which every file survives, but with a line and a status. Only training takes its
signals itself, and saves first; the second one ends it, too.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_PR_SET_PDEATHSIG = 1
_SAME = 1.0  # seconds in which SIGTERM again is the same wish, as for ``wgan_jax.training.signals``
_children: set[subprocess.Popen] = set()
_libc = ctypes.CDLL(None)  # before a fork, after which nothing should be loaded


def end_at_signals(name: str) -> None:
    """From here on, SIGINT, SIGTERM and SIGHUP end the process with status 128 + their number, and one line.

    SIGHUP stays ignored where it was when the process began, as under nohup.

    Args:
        name: of the launcher, for the line.
    """
    receiving, sending = os.pipe()
    os.set_blocking(sending, False)

    once = threading.Lock()

    def end(number: int, frame: object = None) -> None:
        del frame
        if not once.acquire(blocking=False):
            return
        for child in list(_children):
            child.send_signal(number)
        with contextlib.suppress(OSError):
            os.write(2, f'\n{name}: interrupted by {signal.Signals(number).name}\n'.encode())
        os._exit(128 + number)

    def wait() -> None:
        received, first = 0, 0.0
        while True:
            for number in os.read(receiving, 1):
                if received and number == signal.SIGTERM and time.monotonic() - first < _SAME:
                    continue
                if number in SIGNALS:
                    received, first = received + 1, first or time.monotonic()
                    if signal.getsignal(number) is end or received > 1:
                        end(number)
                        continue  # the handler was first, and is ending the process
                    text = f'\n{name}: {signal.Signals(number).name}: saving, then stopping; once more stops at once\n'
                    with contextlib.suppress(OSError):
                        os.write(2, text.encode())

    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)
    signal.set_wakeup_fd(sending, warn_on_full_buffer=False)
    threading.Thread(target=wait, name='signals', daemon=True).start()


def end_with_parent() -> None:
    """In a child, before it becomes another program: Linux sends it SIGTERM when its parent ends, by kill -9 too."""
    if sys.platform == 'linux':
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextlib.contextmanager
def ends_with_us(child: subprocess.Popen) -> Iterator[subprocess.Popen]:
    """In the block, a signal that ends this process is passed on to a child."""
    _children.add(child)
    try:
        yield child
    finally:
        _children.discard(child)


def start_child(command: Sequence[str], variables: Mapping[str, str], **streams: Any) -> subprocess.Popen:
    """Starts a process that ends with this one, in a group of its own: Ctrl-C does not reach it.

    A second signal would not let it save: it gets the one that this process sends it, once.

    Args:
        command: what to run.
        variables: of its environment, besides those of this process.
        streams: ``stdout`` and ``stderr``, as of ``subprocess.Popen``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of JAX and Python, of threads: the child becomes another program at once
        return subprocess.Popen(
            command, env={**os.environ, **variables}, stdin=subprocess.DEVNULL, process_group=0,
            preexec_fn=end_with_parent, **streams,
        )  # fmt: skip


def status_of(child: subprocess.Popen) -> int:
    """The exit status of a process, once it has ended; 128 + n where signal n has ended it."""
    status = child.wait()
    return 128 - status if status < 0 else status
