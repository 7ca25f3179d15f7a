"""What a number may be: one declaration of its type and bounds, from which flags, checks and tests are made."""

from typing import Any, NamedTuple

import numpy as np

INT32 = 2**31 - 1  # counters on the device are of this type
TINY, HUGE = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
_BELOW_ONE = float(np.nextafter(np.float32(1), np.float32(0)))


class Range(NamedTuple):
    """The numbers from ``lowest`` to ``highest``, both included.

    Attributes:
        type: int or float.
        lowest, highest: bounds.
        below, above: what is said of a number that is too small or too large, as in 'must be at least 1'.
    """

    type: type
    lowest: float
    highest: float
    below: str
    above: str

    @property
    def kind(self) -> str:
        """What it takes, without the bounds."""
        return 'a whole number' if self.type is int else 'a number'

    def complaint(self, value: Any) -> str | None:
        """What is wrong with a value, as 'must be at least 1'; None when it is such a number, also in float32.

        >>> whole(1).complaint(0)
        'must be at least 1'
        >>> POSITIVE.complaint(1e-300)
        'is 0 in float32: use at least 1.2e-38'
        """
        wanted: tuple[type, ...] = (int, np.integer) if self.type is int else (int, float, np.integer, np.floating)
        if isinstance(value, bool) or not isinstance(value, wanted):
            return f'must be {self.kind}'
        number: Any = value
        if number != number or number < self.lowest:
            vanishes = self.lowest <= TINY and 0 < number < TINY
            return f'is 0 in float32: use at least {TINY:.2g}' if vanishes else f'must {self.below}'
        if number > self.highest:
            return f'must {self.above}'
        if self.type is float and 0 < abs(number) < TINY:
            return f'is 0 in float32: use 0 or at least {TINY:.2g}'
        return None

    def check(self, name: str, value: Any) -> None:
        """Raises ValueError, 'name=value must ...', for what is no such number."""
        if (complaint := self.complaint(value)) is not None:
            raise ValueError(f'{name}={value} {complaint}')


def whole(lowest: int, highest: int = INT32, below: str | None = None) -> Range:
    """Whole numbers."""
    return Range(int, lowest, highest, below or f'be at least {lowest}', f'be at most {highest}')


def real(lowest: float, highest: float) -> Range:
    """Real numbers."""
    words = f'lie between {lowest:g} and {highest:g}'
    return Range(float, lowest, highest, words, words)


COUNT = whole(1)
SIZE = whole(1, 2**16)  # of a layer
BATCH = whole(1, 2**24)
SEED = Range(int, 0, 2**32 - 1, 'lie in [0, 2**32)', 'lie in [0, 2**32)')
POSITIVE = Range(float, TINY, HUGE, 'be a positive number', f'be at most {HUGE:.2g}')
NOT_NEGATIVE = Range(float, 0.0, HUGE, 'be a number >= 0', f'be at most {HUGE:.2g}')
SHARE = real(0.0, 1.0)
FRACTION = Range(float, 0.0, _BELOW_ONE, 'lie in [0, 1)', 'lie in [0, 1)')
