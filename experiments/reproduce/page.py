"""One self-contained HTML page of figures, numbers and claims, which works from a disk without a network."""

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wgan_jax.files import atomic_path

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { margin-bottom: 0; } h2 { margin-top: 3rem; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #e4e4e4; vertical-align: top; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.held { color: #14692e; } .broken { color: #a8201a; font-weight: bold; } .missing { color: #777; }
img { max-width: 100%; border: 1px solid #eee; } code { background: #f4f4f4; padding: .1rem .3rem; }
nav { font-size: 14px; } .note { color: #555; }
"""


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
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>wgan_jax: claims reproduced</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        '<h1>The claims of GANs and Wasserstein GANs, reproduced</h1>'
        f'<p class="note">{html.escape(made)}</p><p><b>{summary}.</b> Each number below was measured by the command '
        f'beside it; a claim that did not hold is shown as such.</p><nav>{links}</nav>{body}</body></html>'
    )
    with atomic_path(path) as temporary:
        Path(temporary).write_text(text, encoding='utf-8')


def _section(section: Section, rows: Sequence[Mapping[str, Any]]) -> str:
    took = 'did not finish' if section.minutes is None else f'{section.minutes:.1f} minutes'
    parts = [
        f'<h2 id="{section.name}">{html.escape(section.title)}</h2>',
        f'<p>{html.escape(section.caption)}</p>',
        f'<p class="note"><code>{html.escape(section.command)}</code> ({took})</p>',
    ]
    if rows:
        head = ''.join(f'<th>{name}</th>' for name in ('claim', 'theory', 'measured', 'holds within', ''))
        parts.append(f'<table><tr>{head}</tr>{"".join(map(_row, rows))}</table>')
    parts += [_figure(path) for path in section.figures]
    return ''.join(parts)


def _row(row: Mapping[str, Any]) -> str:
    verdict = {True: ('held', 'held'), False: ('broken', 'did not hold'), None: ('missing', 'not measured')}
    style, word = verdict[row['held']]
    measured = '' if row['measured'] is None else f'{number(row["measured"])} {row["unit"]}'
    cells = (row['claim'], row['theory'])
    return (
        '<tr>' + ''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)
        + f'<td class="number">{html.escape(measured)}</td><td class="number">{html.escape(interval(row))}</td>'
        f'<td class="{style}">{word}</td></tr>'
    )  # fmt: skip


def number(value: float | str) -> str:
    """A number as a person reads it, with ten digits at most; a string, which stands for inf or nan, as it is."""
    if isinstance(value, str):
        return value
    return f'{value:.10g}' if 1e-3 <= abs(value) < 1e7 else f'{value:.3g}'


def interval(row: Mapping[str, Any]) -> str:
    """The tolerance of a claim: an interval, or a bound on one side."""
    low, high = row['lowest'], row['highest']
    if low is None:
        return '' if high is None else f'≤ {number(high)}'
    if high is None:
        return f'≥ {number(low)}'
    middle, radius = (low + high) / 2, (high - low) / 2
    return f'{number(middle)} ± {radius:.2g}' if radius < 0.05 * abs(middle) else f'{number(low)} to {number(high)}'


def _figure(path: Path) -> str:
    kind = 'gif' if path.suffix == '.gif' else 'png'
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<p><img alt="{html.escape(path.stem)}" src="data:image/{kind};base64,{data}"></p>'
