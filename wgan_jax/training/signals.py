"""Ctrl-C and SIGTERM as a wish to stop, which the training loop asks for between two calls."""

import contextlib
import signal
import threading
from collections.abc import Iterator


class Interrupted(KeyboardInterrupt):
    """A run was stopped by a signal, after it had saved all that was done.

    Attributes:
        signal: which one.
    """

    def __init__(self, number: signal.Signals):
        super().__init__(f'stopped by {number.name} and saved')
        self.signal = number


@contextlib.contextmanager
def stop_signals() -> Iterator[list[signal.Signals]]:
    """In the block, SIGINT and SIGTERM only leave their name in the list; a second one acts as usual.

    Outside the main thread, where Python cannot handle signals, the list stays empty.
    """
    received: list[signal.Signals] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def note(number, frame):
        del frame
        received.append(signal.Signals(number))
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
