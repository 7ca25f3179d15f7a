"""What the loss_quality launcher says of a run: its curves without noise, and how they go together."""

from typing import Any

import numpy as np
from scipy import ndimage, stats

FILTER = 5  # points in the median filter
BLOWN_UP = 10  # times the largest value that a true estimate can have


def smooth(values: np.ndarray, valid: int) -> np.ndarray:
    """The median filter over the first ``valid`` points; NaN beyond, which a median of numbers would make anything of.

    Args:
        values: (points,).
        valid: how many of them count, 0 to points.
    """
    out = np.full(len(values), np.nan)
    if valid:
        out[:valid] = ndimage.median_filter(values[:valid], FILTER)
    return out


def summary(arrays: dict[str, np.ndarray], largest: float) -> dict[str, Any]:
    """Rank correlation of the two filtered curves, and where they begin and end, as long as the run is sound.

    A run that has blown up estimates nothing from then on, though its numbers may be finite and still go up and down
    with something: what comes after does not count.

    Args:
        arrays: 'steps', 'estimate' and 'distance', (points,).
        largest: the largest value that a true estimate can have.

    Returns:
        'spearman', None without one; 'reason', why there is none or why it is of a part of the run, else None;
        'valid_points', those before the first estimate that is not finite or ten times too large, or distance that is
        not finite; 'first_' and 'last_' 'estimate' and 'distance' of those.
    """
    sound = np.isfinite(arrays['distance']) & (np.abs(arrays['estimate']) <= BLOWN_UP * largest)  # false for NaN
    valid = len(sound) if sound.all() else int(np.argmin(sound))
    curves = {name: smooth(arrays[name], valid)[:valid] for name in ('estimate', 'distance')}
    constant = [name for name, y in curves.items() if valid and np.ptp(y) == 0]
    reason = None if valid == len(sound) else f'blown up by update {arrays["steps"][valid]}'
    if valid >= max(FILTER, len(sound) / 2) and constant:
        reason = f'the {constant[0]} stands still'
    correlates = valid >= max(FILTER, len(sound) / 2) and not constant
    return {
        'spearman': float(stats.spearmanr(curves['estimate'], curves['distance'])[0]) if correlates else None,
        'reason': reason,
        'valid_points': valid,
        **{f'first_{name}': float(y[0]) if valid else None for name, y in curves.items()},
        **{f'last_{name}': float(y[-1]) if valid else None for name, y in curves.items()},
    }
