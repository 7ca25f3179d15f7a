"""What the loss_quality launcher says of a run: its curves without noise, and how they go together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage, stats

from ..common.image_runs import is_sound
from ..common.tables import mean_and_spread

FILTER = 5  # points in the median filter
CURVES = ('estimate', 'patch_distance', 'kernel_distance', 'generator_loss', 'generator_loss_std')
# Rank correlations: of the critic's estimate with either measure of quality, and of the generator's loss with one.
PAIRS = {
    'spearman': ('estimate', 'patch_distance'),
    'spearman_features': ('estimate', 'kernel_distance'),
    'spearman_generator_loss': ('generator_loss', 'patch_distance'),
}


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
    """Rank correlations of the filtered curves, and where they begin and end, as long as the run is sound.

    A run that has blown up estimates nothing from then on, though its numbers may be finite and still go up and down
    with something: what comes after does not count.

    Args:
        arrays: 'steps' and those of ``CURVES``, (points,).
        largest: the largest value that a true estimate can have.

    Returns:
        Those of ``PAIRS``, None without one; 'reason', why there is none or why it is of a part of the run, else None;
        'valid_points', those before the first that is not sound; 'first_' and 'last_' of each of ``CURVES`` of those.
    """
    points = zip(arrays['estimate'], arrays['patch_distance'], strict=True)
    sound = np.array([is_sound(estimate, distance, largest) for estimate, distance in points])
    valid = len(sound) if sound.all() else int(np.argmin(sound))
    curves = {name: smooth(arrays[name], valid)[:valid] for name in CURVES}
    still = [name for name, y in curves.items() if valid and np.ptp(y) == 0]
    reason = None if valid == len(sound) else f'blown up by update {arrays["steps"][valid]}'
    enough = valid >= max(FILTER, len(sound) / 2)
    if enough and set(still) & {'estimate', 'patch_distance'}:
        reason = f'the {still[0].replace("_", " ")} stands still'
    return {
        **{
            name: float(stats.spearmanr(curves[a], curves[b])[0]) if enough and not {a, b} & set(still) else None
            for name, (a, b) in PAIRS.items()
        },
        'reason': reason,
        'valid_points': valid,
        **{f'first_{name}': float(y[0]) if valid else None for name, y in curves.items()},
        **{f'last_{name}': float(y[-1]) if valid else None for name, y in curves.items()},
    }


def over_seeds(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One row of several seeds': means of those that have a value, the spread of the correlations, and the reasons.

    Args:
        rows: of one run, as ``summary`` gives them.

    Returns:
        The same keys, 'valid_points' the fewest; 'NAME_std' for those of ``PAIRS``, None for less than two values;
        'seeds', the rows.
    """
    whole: dict[str, Any] = {}
    for name in rows[0]:
        values = [row[name] for row in rows if row[name] is not None]
        if name == 'reason':
            of = f' ({len(values)} of {len(rows)} seeds)' if len(rows) > 1 else ''
            whole[name] = f'{"; ".join(dict.fromkeys(values))}{of}' if values else None
        elif name == 'valid_points':
            whole[name] = min(values)
        else:
            whole[name], spread = mean_and_spread(values)
            if name in PAIRS:
                whole[f'{name}_std'] = spread
    return {**whole, 'seeds': list(rows)}
