"""The published table: eleven solvers on 28 pairs, by cosine, squared error of the gradient, and error of W1.

Recomputed from the metrics beside the code of Korotin et al. 2022, https://arxiv.org/abs/2206.07767; to two digits.
"""

import csv
from importlib import resources
from typing import NamedTuple

DIMS = (2, 4, 8, 16, 32, 64, 128)
FUNNELS = (4, 16, 64, 256)


class Published(NamedTuple):
    """What a solver reaches on one pair.

    Attributes:
        solver: its name there.
        cosine: mean cosine between its gradient and the optimal one.
        l2: mean squared difference of the two.
        w1_error: relative, of the distance.
    """

    solver: str
    cosine: float
    l2: float
    w1_error: float


def published() -> dict[tuple[int, int], list[Published]]:
    """All solvers by (dimension, funnels)."""
    table: dict[tuple[int, int], list[Published]] = {}
    with resources.files(__package__).joinpath('published.csv').open(encoding='utf-8') as file:
        for row in csv.DictReader(file):
            one = Published(row['solver'], *(float(row[name]) for name in Published._fields[1:]))
            table.setdefault((int(row['dim']), int(row['funnels'])), []).append(one)
    return table


def best() -> dict[tuple[int, int], Published]:
    """The solver with the largest cosine, cell by cell; of those equal to two digits the first, as published."""
    return {cell: max(solvers, key=lambda one: one.cosine) for cell, solvers in published().items()}
