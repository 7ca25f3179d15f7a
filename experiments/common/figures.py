"""How every figure is written."""

import os
import textwrap

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from wgan_jax.files import atomic_path

LETTERS = 14.5  # of the caption in an inch
LINE = 0.19  # inches from one line of it to the next


def save(figure: Figure, path: str | os.PathLike, caption: str) -> None:
    """Writes a figure as a PNG, atomically, with its caption beneath, and closes it.

    Args:
        figure: with a constrained layout, which makes room.
        path: of the PNG.
        caption: what to see; wrapped to the width of the figure.
    """
    width, height = figure.get_size_inches()
    lines = [line for part in caption.split('\n') for line in textwrap.wrap(part, int(width * LETTERS))]
    room = (LINE * len(lines) + 0.1) / height
    figure.get_layout_engine().set(rect=(0, room, 1, 1 - room))
    figure.text(0.012, room - 0.05 / height, '\n'.join(lines), va='top', fontsize=9, color='0.25', linespacing=1.3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100, format='png')
    plt.close(figure)
