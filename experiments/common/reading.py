"""Progress of the reading of a dataset."""

import sys
import time

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30.0  # of progress, where there is no terminal to draw a bar on


class Reading:
    """Says how far the reading of a dataset is, where that takes more than a second."""

    def __init__(self):
        self._bar, self._spoke, self._interactive = None, time.monotonic(), sys.stderr.isatty()

    def __call__(self, done: int, of: int) -> None:
        if self._bar is None:
            self._bar = tqdm(
                total=of, unit='picture', desc='reading', delay=1, dynamic_ncols=True, leave=False,
                disable=not self._interactive,
            )  # fmt: skip
        self._bar.update(done - self._bar.n)
        if done == of:
            self._bar.close()
        if not self._interactive and time.monotonic() - self._spoke > SECONDS_BETWEEN_LINES:
            self._spoke = time.monotonic()
            print(f'{done} of {of} pictures read', file=sys.stderr)
