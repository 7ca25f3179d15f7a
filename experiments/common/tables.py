"""How every table is printed."""

import statistics
from collections.abc import Mapping, Sequence


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their cells, two spaces apart: the first begins at the left, all others end at the right.

    Args:
        header: a title for each column.
        rows: cells as they are shown.
    """
    table = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return '\n'.join(
        '  '.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in table
    )


def shown(value: float | str | None, form: str = '.4g') -> str:
    """A number in a cell; a dash where there is none, and a string, which stands for inf, as it is."""
    return '-' if value is None else value if isinstance(value, str) else f'{value:{form}}'


def mean_and_std(value: Mapping[str, float | None] | None, form: str = '.4g', std_form: str = '.2g') -> str:
    """A mean over seeds and its deviation, where there is one, in a cell; a dash without either.

    >>> mean_and_std({'mean': 1.0, 'std': 0.25}), mean_and_std({'mean': 1.0, 'std': None}), mean_and_std(None)
    ('1 ± 0.25', '1', '-')
    """
    if value is None or value['mean'] is None:
        return '-'
    mean = f'{value["mean"]:{form}}'
    return mean if value['std'] is None else f'{mean} ± {value["std"]:{std_form}}'


def over_seeds(count: int) -> str:
    """What a figure's numbers are of, as a sentence.

    >>> over_seeds(1), over_seeds(3)
    ('One seed.', 'Mean and deviation over 3 seeds.')
    """
    return 'One seed.' if count == 1 else f'Mean and deviation over {count} seeds.'


def mean_and_spread(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Mean and standard deviation (n - 1) of those that there are; None without any, and for the deviation of one.

    >>> mean_and_spread([1.0, None, 3.0])[0], mean_and_spread([1.0, None])
    (2.0, (1.0, None))
    """
    there = [value for value in values if value is not None]
    mean = statistics.fmean(there) if there else None
    return mean, statistics.stdev(there) if len(there) > 1 else None
