"""How a training is cut into compiled calls: each of about two seconds, whatever a step costs."""

import math

SECONDS_PER_CALL = 2.0


class Pace:
    """Chooses how many steps the next call takes, from how long the last one took.

    Args:
        capacity: the most steps of one call.
    """

    def __init__(self, capacity: int):
        self._capacity, self._size, self._compiled = capacity, 1, False

    def next(self, remaining: int) -> int:
        """Steps of the next call, of so many that remain: one at first, then at most twice as many as before."""
        return min(self._size, remaining, self._capacity)

    def took(self, count: int, seconds: float) -> None:
        """Notes what a call of ``count`` steps took. The first one is mostly compilation and says nothing."""
        if self._compiled:
            self._size = max(1, min(math.ceil(SECONDS_PER_CALL * count / max(seconds, 1e-9)), 2 * count))
        self._compiled = True
