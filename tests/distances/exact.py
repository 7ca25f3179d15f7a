"""Transport and the line in exact arithmetic: slow, short, and nothing in common with what is tested.

Masses are the fractions that the floats are, costs are fixed-point integers of 90 digits after the unit.
"""

import decimal
from fractions import Fraction

import numpy as np

DIGITS = 400
ONE = 10**90


def power_cost(x, y, p, unit):
    """(|x - y| / unit)^p times ONE, as an integer, for a whole or half-whole p."""
    with decimal.localcontext() as context:
        context.prec = DIGITS
        context.Emin, context.Emax = decimal.MIN_EMIN, decimal.MAX_EMAX
        square = sum((decimal.Decimal(float(s)) - decimal.Decimal(float(t))) ** 2 for s, t in zip(x, y, strict=True))
        distance = square.sqrt() / decimal.Decimal(float(unit))
        cost = distance ** int(p) if p == int(p) else distance ** decimal.Decimal(p)
        return int(cost * ONE)


def transport(x, y, p, a=None, b=None, unit=1.0):
    """W_p / unit by augmenting along shortest paths, all in exact arithmetic."""
    n, m = len(x), len(y)
    a, b = (
        [Fraction(float(w)) for w in (np.ones(k) if weights is None else weights)] for k, weights in ((n, a), (m, b))
    )
    a, b = [w / sum(a) for w in a], [w / sum(b) for w in b]
    cost = [[power_cost(s, t, p, unit) for t in y] for s in x]
    flow = [[Fraction(0)] * m for _ in range(n)]
    left, need = list(a), list(b)
    while any(left):
        away, come = [0 if left[i] else None for i in range(n)], [None] * m
        before_x, before_y = [None] * n, [None] * m
        changed = True
        while changed:  # Bellman and Ford on the residual graph
            changed = False
            for i in range(n):
                for j in range(m):
                    if away[i] is not None and (come[j] is None or away[i] + cost[i][j] < come[j]):
                        come[j], before_y[j], changed = away[i] + cost[i][j], i, True
                    if flow[i][j] and come[j] is not None and (away[i] is None or come[j] - cost[i][j] < away[i]):
                        away[i], before_x[i], changed = come[j] - cost[i][j], j, True
        end = min((j for j in range(m) if need[j]), key=lambda j: come[j])
        path, j = [], end
        while True:
            i = before_y[j]
            path.append((i, j, 1))
            if before_x[i] is None:
                break
            j = before_x[i]
            path.append((i, j, -1))
        amount = min([left[i], need[end], *(flow[i][j] for i, j, sign in path if sign < 0)])
        for k, j, sign in path:
            flow[k][j] += sign * amount
        left[i] -= amount
        need[end] -= amount
    total = sum(flow[i][j] * cost[i][j] for i in range(n) for j in range(m)) / ONE
    with decimal.localcontext() as context:
        context.prec = 60
        context.Emin, context.Emax = decimal.MIN_EMIN, decimal.MAX_EMAX
        value = decimal.Decimal(total.numerator) / decimal.Decimal(total.denominator)
        return float(value ** (1 / decimal.Decimal(p))) if value else 0.0
