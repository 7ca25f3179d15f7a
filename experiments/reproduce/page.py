"""One self-contained HTML page of figures, numbers and claims."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..common import page
from ..common.page import number


class Section(NamedTuple):
    """One launcher's part of the page.

    Attributes:
        name: of the launcher.
        title: what it asks.
        caption: what to see in the figures.
        command: that makes them.
        figures: PNG and GIF files, in order.
        minutes: it took; None where it did not run to its end.
    """

    name: str
    title: str
    caption: str
    command: str
    figures: Sequence[Path]
    minutes: float | None


def write_page(path: Path, sections: Sequence[Section], claims: Sequence[Mapping[str, Any]], made: str) -> None:
    """Writes the page, atomically.

    Args:
        path: of the HTML file.
        sections: in order.
        claims: rows as of ``claims.check``.
        made: one line saying when, where and with which versions.
    """
    held = sum(row['held'] is True for row in claims)
    broken = sum(row['held'] is False for row in claims)
    missing = len(claims) - held - broken
    links = ' · '.join(f'<a href="#{section.name}">{section.name}</a>' for section in sections)
    summary = f'{held} of {len(claims)} claims held' + (f', {broken} did not' if broken else '')
    summary += f', {missing} were not measured' if missing else ''
    body = ''.join(
        _section(section, [row for row in claims if row['launcher'] == section.name]) for section in sections
    )
    page.write(
        path,
        'wgan_jax: claims reproduced',
        f'<p class="note">{html.escape(made)}</p><p><b>{summary}.</b> Each number below was measured by the command '
        f'beside it; a claim that did not hold is shown as such.</p><nav>{links}</nav>{body}',
        heading='The claims of GANs and Wasserstein GANs, reproduced',
    )


def _section(section: Section, rows: Sequence[Mapping[str, Any]]) -> str:
    took = 'did not finish' if section.minutes is None else f'{section.minutes:.1f} minutes'
    parts = [
        f'<h2 id="{section.name}">{html.escape(section.title)}</h2>',
        f'<p>{html.escape(section.caption)}</p>',
        f'<p class="note"><code>{html.escape(section.command)}</code> ({took})</p>',
    ]
    if rows:
        parts.append(page.table(('claim', 'theory', 'measured', 'holds within', ''), map(_row, rows)))
    parts += [page.figure(path) for path in section.figures]
    return ''.join(parts)


def _row(row: Mapping[str, Any]) -> list[page.Cell]:
    verdict = {True: ('held', 'held'), False: ('did not hold', 'broken'), None: ('not measured', 'missing')}
    measured = '' if row['measured'] is None else f'{number(row["measured"])} {row["unit"]}'
    numbers = [(text, 'number') for text in (measured, interval(row))]
    return [(row['claim'], ''), (row['theory'], ''), *numbers, verdict[row['held']]]


def interval(row: Mapping[str, Any]) -> str:
    """The tolerance of a claim: an interval, or a bound on one side."""
    low, high = row['lowest'], row['highest']
    if low is None:
        return '' if high is None else f'≤ {number(high)}'
    if high is None:
        return f'≥ {number(low)}'
    middle, radius = (low + high) / 2, (high - low) / 2
    return f'{number(middle)} ± {radius:.2g}' if radius < 0.05 * abs(middle) else f'{number(low)} to {number(high)}'
