"""What the claims about vanishing gradients are about, read from the probes of fresh critics."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..common.tables import mean_and_spread


def summary(arrays: dict[str, np.ndarray], horizons: Sequence[int]) -> dict[str, dict[str, Any]]:
    """For each frozen generator, means over the seeds of the discriminators and of the critics.

    Falls, rises and spans are in orders of magnitude (log10): of the discriminator's gradients from the first probe to
    the last, of the critics' between the largest and the smallest after the first tenth of their training, in which
    their weights grow from their initial size.

    Args:
        arrays: 'iterations', (moments,), and KIND_FIELD of (generators, seeds, moments[, objectives]).
        horizons: updates of each generator.

    Returns:
        For 'after_HORIZON_steps' a row of means over the seeds that have a value, NAME_std their spread (None for less
        than two), and 'seeds', by name the value of each.
    """
    return {f'after_{horizon}_steps': _row(arrays, i) for i, horizon in enumerate(horizons)}


def _row(arrays: dict[str, np.ndarray], i: int) -> dict[str, Any]:
    values: dict[str, list[Any]] = {}
    for seed in range(arrays['standard_loss'].shape[1]):
        for name, value in _discriminator(arrays, i, seed).items():
            values.setdefault(name, []).append(value)
    trained = arrays['iterations'] >= arrays['iterations'][-1] / 10
    for name in ('clip', 'gradient_penalty'):
        norms = arrays[f'{name}_gradient_norm'][i][:, trained, 0]
        values[f'{name}_gradient_span'] = np.log10(norms.max(1) / norms.min(1)).tolist()
    row: dict[str, Any] = {}
    for name, over in values.items():
        row[name], row[f'{name}_std'] = mean_and_spread(over)
    return {**row, 'seeds': values}


def _discriminator(arrays: dict[str, np.ndarray], i: int, seed: int) -> dict[str, float | int | None]:
    iterations = arrays['iterations']
    accuracy = arrays['standard_accuracy'][i, seed]
    norms, deviations = (
        np.maximum(arrays[f'standard_gradient_{what}'][i, seed], np.finfo(np.float32).tiny)  # an underflow is a fall
        for what in ('norm', 'std')
    )
    perfect = np.flatnonzero(accuracy == 1)
    return {
        'final_accuracy': float(accuracy[-1]),
        'iterations_to_accuracy_1': int(iterations[perfect[0]]) if len(perfect) else None,
        'final_discriminator_loss': float(arrays['standard_loss'][i, seed, -1]),
        'minimax_gradient_fall': float(np.log10(norms[0, 0] / norms[-1, 0])),
        'minimax_gradient_fall_from_largest': float(np.log10(norms[:, 0].max() / norms[-1, 0])),
        'non_saturating_gradient_rise': float(np.log10(norms[-1, 1] / norms[0, 1])),
        'non_saturating_deviation_rise': float(np.log10(deviations[-1, 1] / deviations[0, 1])),
    }
