"""A claim, the interval in which it holds, and the check of a measured number against it."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Results = Mapping[str, Any]


class Claim(NamedTuple):
    """One row of the table.

    Attributes:
        topic: what it belongs to.
        text: the claim.
        theory: what theory says of the number measured, as a person reads it.
        launcher: whose results.json holds the number: a run of ``reproduce``.
        measure: ``measure(results) -> number`` of that results.json; KeyError and TypeError mean not measured.
        lowest, highest: the claim holds when the number lies in this closed interval.
        unit: of the number, as a person reads it.
    """

    topic: str
    text: str
    theory: str
    launcher: str
    measure: Callable[[Results], float]
    lowest: float = -math.inf
    highest: float = math.inf
    unit: str = ''


def near(value: float, tolerance: float) -> dict[str, float]:
    """The interval of a claim that a number equals a value."""
    return {'lowest': value - tolerance, 'highest': value + tolerance}


def check(claims: tuple[Claim, ...], results: Mapping[str, Results]) -> list[dict[str, Any]]:
    """Measures every claim.

    Args:
        claims: the rows.
        results: the results.json of each launcher that ran.

    Returns:
        For each claim a row for claims.json: its texts, 'measured' (None where its launcher has no such number, a
        string where it is not finite), the tolerance as 'lowest' and 'highest' (None for no bound) and 'held' (None
        where not measured).
    """
    rows = []
    for claim in claims:
        try:
            measured = float(claim.measure(results[claim.launcher]))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, StopIteration):
            measured = None
        held = None if measured is None else bool(claim.lowest <= measured <= claim.highest)
        shown = measured if measured is None or math.isfinite(measured) else str(measured)
        bounds = {name: v if math.isfinite(v := getattr(claim, name)) else None for name in ('lowest', 'highest')}
        rows.append(
            {'topic': claim.topic, 'claim': claim.text, 'theory': claim.theory, 'launcher': claim.launcher,
             'measured': shown, 'unit': claim.unit, **bounds, 'held': held}
        )  # fmt: skip
    return rows
