"""The 256 flags that come with the package; ``PROVENANCE.md`` says where from."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wgan_jax.data.fitting import View, fit, stretch
from wgan_jax.data.images import MAX_GIGABYTES, Images, allocate, check_channels, check_size, collect
from wgan_jax.text import printable

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

FOLDER = Path(__file__).parent
# A flag is cut out if pixels are more transparent than not. Rectangular ones have at most a border line that is part
# transparent, because their true size is no whole number of pixels.
_CUT_OUT_ALPHA = 128
# A tenth, drawn once, of those flags that no other one resembles: what is learnt of a flag cannot come from its twin.
TEST = (
    'ae', 'ai', 'am', 'aq', 'bi', 'bm', 'cy', 'et', 'gd', 'gh', 'io', 'jo', 'kg',
    'kw', 'mz', 'nf', 'nr', 'nz', 'sd', 'sl', 'st', 'sx', 'va', 've', 'vi', 'vu',
)  # fmt: skip
SPLITS = ('all', 'train', 'test')


def paths() -> list[Path]:
    """The picture files.

    Returns:
        256 paths, sorted by code, ``xx.png`` each.
    """
    return sorted((FOLDER / 'png').glob('*.png'), key=lambda path: path.stem)


def countries() -> dict[str, str]:
    """English names of the countries.

    Returns:
        A name for each lower-case ISO 3166-1 code, as the files are named.
    """
    table = json.loads((FOLDER / 'countries.json').read_text(encoding='utf-8'))
    return {code.lower(): name for code, name in table.items()}


def picture(image: 'Picture', height: int, width: int, channels: int = 3) -> np.ndarray:
    """A flag as uint8 (height, width, channels).

    Proportions run from 98:250 to 305:250, and a generator has one size. A rectangular flag is stretched to it: its
    bands and crosses stay what they are, and no margin has to be learned. One that is cut out keeps its proportions
    and stands in the middle of a white field, transparent with 4 channels; stretched, it would have a shape it never
    has.

    Args:
        image: ``PIL.Image`` of a flag, with or without alpha.
        height, width, channels: of the result; 1, 3 or 4 channels.

    Returns:
        uint8 (height, width, channels).

    Raises:
        ValueError: a size below 1, or another number of channels.
    """
    height, width = check_size(height, width)
    check_channels(channels)
    image = image.convert('RGBA')
    if np.asarray(image)[..., 3].min() >= _CUT_OUT_ALPHA:
        # Without the border lines that are part transparent: their colours are blends already, and paler.
        opaque = image.getchannel('A').point(lambda alpha: alpha // 255).getbbox()
        return stretch(image.crop(opaque).convert('RGB'), height, width, channels)
    return fit(image, View(height, width, str(channels), fit='pad'))


def load(
    height: int, width: int, channels: int = 3, *, split: str = 'all', max_gigabytes: float = MAX_GIGABYTES
) -> Images:
    """The flags at one size, sorted by code.

    Args:
        height, width: pixels; 2:3 is the most common proportion.
        channels: 3, 1 for grey, or 4 to keep alpha.
        split: 'all' 256; the 26 of ``TEST`` to 'test' with; or the 230 others to 'train' on.
        max_gigabytes: refuse what would take more memory than this.

    Returns:
        ``Images`` with pixels (N, height, width, channels); the names are the codes, the classes the 256 countries.

    Raises:
        ValueError: an impossible size, another number of channels, no such split, too large for memory.
    """
    from PIL import Image

    if split not in SPLITS:
        raise ValueError(f"the flags have no split '{printable(str(split), 80)}'; there are: {', '.join(SPLITS)}")
    codes = [path.stem for path in paths()]
    files = [path for path in paths() if split == 'all' or (path.stem in TEST) == (split == 'test')]
    pixels = allocate(len(files), height, width, channels, 'flags', max_gigabytes)
    for place, path in enumerate(files):
        with Image.open(path) as image:
            pixels[place] = picture(image, height, width, channels)
    names, countries_by_code = [path.stem for path in files], countries()
    return collect(pixels, names)._replace(
        labels=np.array([codes.index(name) for name in names], np.int32),
        classes=tuple(countries_by_code[code] for code in codes),
    )
