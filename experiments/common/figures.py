"""How every figure is written."""

import os
import re
import textwrap
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, LogFormatter

from wgan_jax.files import atomic_path

# A dollar sign in a title is one: folders and files may be named so, and no formula is drawn.
plt.rcParams['text.parse_math'] = False

LETTERS = 14.5  # of a caption in an inch, about
LINE = 0.19  # inches from one line of it to the next


class _WithoutFormulas(Formatter):
    """What another formatter says, its formulas as plain text: 2·10⁻³."""

    def __init__(self, inner: Formatter):
        self._inner = inner

    def __call__(self, x: float, pos: int | None = None) -> str:
        text = re.sub(r'\$\\mathdefault\{(.*)\}\$', r'\1', self._inner(x, pos)).replace(r'\times', '·')
        return re.sub(r'\^\{(.*?)\}', lambda power: power[1].translate(_SUPERSCRIPTS), text)

    def set_locs(self, locs: Any) -> None:
        self._inner.set_locs(locs)


_SUPERSCRIPTS = str.maketrans('-+.0123456789', '⁻⁺˙⁰¹²³⁴⁵⁶⁷⁸⁹')


def save(figure: Figure, path: str | os.PathLike, caption: str) -> None:
    """Writes a figure as a PNG, atomically, with its caption beneath, and closes it.

    Args:
        figure: with a constrained layout, which makes room.
        path: of the PNG.
        caption: what to see; wrapped to the width of the figure.
    """
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if isinstance(axis.get_major_formatter(), LogFormatter):
            axis.set_major_formatter(_WithoutFormulas(axis.get_major_formatter()))
            axis.set_minor_formatter(_WithoutFormulas(axis.get_minor_formatter()))
    width, height = figure.get_size_inches()
    text = figure.text(0.012, 0, '', va='top', fontsize=9, color='0.25', linespacing=1.3)
    for letters in range(int(width * LETTERS), 0, -4):
        lines = [line for part in caption.split('\n') for line in textwrap.wrap(part, letters)]
        text.set_text('\n'.join(lines))
        if text.get_window_extent().x1 < figure.bbox.x1:
            break
    room = (LINE * len(lines) + 0.1) / height
    text.set_y(room - 0.05 / height)
    figure.get_layout_engine().set(rect=(0, room, 1, 1 - room))
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100, format='png')
    plt.close(figure)
