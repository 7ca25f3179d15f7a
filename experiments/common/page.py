"""Self-contained HTML pages, which work from a disk without a network."""

import base64
import html
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from wgan_jax.files import atomic_path

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; color: #222;
  overflow-wrap: anywhere; }
h1 { margin-bottom: 0; } h2 { margin-top: 3rem; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; width: 100%; font-size: 14px; } .wide { overflow-x: auto; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #e4e4e4; vertical-align: top; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; } td { overflow-wrap: normal; }
.held { color: #14692e; } .broken { color: #a8201a; font-weight: bold; } .missing { color: #777; }
img { max-width: 100%; border: 1px solid #eee; } img.pixels { image-rendering: pixelated; }
code { background: #f4f4f4; padding: .1rem .3rem; } nav { font-size: 14px; } .note { color: #555; }
"""

Cell = tuple[str, str]  # what stands in it, and its class in the style sheet


def write(path: str | os.PathLike, title: str, body: str, heading: str | None = None) -> None:
    """Writes a page, atomically.

    Args:
        path: of the HTML file.
        title: of the window.
        body: HTML.
        heading: above it; by default the title.
    """
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f'<h1>{html.escape(heading or title)}</h1>{body}</body></html>'
    )
    with atomic_path(path) as temporary:
        Path(temporary).write_text(text, encoding='utf-8')


def table(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """A table, which can be moved sideways where it is too wide."""
    names = ''.join(f'<th>{html.escape(name)}</th>' for name in head)
    lines = ''.join(f'<tr>{"".join(map(_cell, row))}</tr>' for row in rows)
    return f'<div class="wide"><table><tr>{names}</tr>{lines}</table></div>'


def _cell(cell: Cell) -> str:
    text, style = cell
    named = f' class="{style}"' if style else ''
    return f'<td{named}>{html.escape(text)}</td>'


def figure(path: Path) -> str:
    """A PNG or GIF file, inside of the page."""
    return _image(path.read_bytes(), 'gif' if path.suffix == '.gif' else 'png', path.stem)


def picture(pixels: np.ndarray, what: str) -> str:
    """A picture of uint8 (height, width, 3 or 4), inside of the page, its pixels as squares."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format='png')
    return _image(data.getvalue(), 'png', what, ' class="pixels"')


def _image(data: bytes, kind: str, what: str, style: str = '') -> str:
    source = f'data:image/{kind};base64,{base64.b64encode(data).decode()}'
    return f'<p><img{style} alt="{html.escape(what)}" src="{source}"></p>'


def number(value: float | str) -> str:
    """A number as a person reads it, with ten digits at most; a string, which stands for inf or nan, as it is."""
    if isinstance(value, str):
        return value
    return f'{value:.10g}' if 1e-3 <= abs(value) < 1e7 else f'{value:.3g}'
