"""Ctrl-C, SIGTERM and SIGHUP as a wish to stop, which the training loop asks for between two calls."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SAME = 1.0  # seconds in which SIGTERM again is the same wish: Linux may send it for every thread of a lost parent


class Interrupted(KeyboardInterrupt):
    """A run was stopped by a signal, after it had saved all that was done.

    Attributes:
        signal: which one.
        step: how many steps are done and saved.
        done: whether it came when all was done.
    """

    def __init__(self, number: signal.Signals, step: int, *, done: bool = False):
        when = f'at step {step}, which is saved' if step else 'before the first step'
        super().__init__(f'{number.name} came when all was done' if done else f'stopped by {number.name} {when}')
        self.signal, self.step, self.done = number, step, done


@contextlib.contextmanager
def stop_signals() -> Iterator[list[signal.Signals]]:
    """In the block, the first signal only leaves its name in the list; any further one acts as before.

    SIGTERM that comes again within a second is the first one still.

    SIGHUP stays ignored where it is, as under nohup. Outside the main thread, where Python cannot handle
    signals, the list stays empty.
    """
    received: list[signal.Signals] = []
    first = 0.0
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def note(number, frame):
        nonlocal first
        del frame
        if received and number == signal.SIGTERM and time.monotonic() - first < _SAME:
            return
        if received:
            signal.signal(number, before[number])
            signal.raise_signal(number)
        received.append(signal.Signals(number))
        first = time.monotonic()

    found = {number: signal.getsignal(number) for number in _SIGNALS}
    # A handler that was not installed by Python cannot be put back by it.
    before: dict[int, Any] = {n: signal.SIG_DFL if handler is None else handler for n, handler in found.items()}
    taken = [number for number in _SIGNALS if number != signal.SIGHUP or before[number] is not signal.SIG_IGN]
    for number in taken:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number in taken:
            signal.signal(number, before[number])
