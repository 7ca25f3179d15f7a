"""A picture of any kind as 8-bit pixels of one size: its alpha over a background, cropped, padded or stretched."""

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wgan_jax.data.images import check_channels, check_size
from wgan_jax.ranges import whole
from wgan_jax.text import printable

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

WHITE = 255
FITS = {
    'crop': 'the largest middle part of the right proportions',
    'pad': 'the whole, on a field of the background',
    'stretch': 'the whole, its proportions given up',
}
CHANNELS = ('auto', '1', '3', '4')
_STRIP = 2**22  # pixels composited at once


class View(NamedTuple):
    """How pictures are made into images.

    Attributes:
        height, width: of the images, pixels.
        channels: '1' for grey, '3' for RGB, '4' for RGB and alpha; 'auto': 1 where no picture has a colour, else 3.
        fit: what is seen of a picture of other proportions, a key of ``FITS``.
        background: '#rrggbb', what shows through where a picture is transparent, and beside it where it is padded; with
            4 channels, the colour of what is not seen at all.
        min_side: pictures with a shorter side are left out, pixels.
        max_images: so many at most are taken; 0: all.
    """

    height: int
    width: int
    channels: str = 'auto'
    fit: str = 'crop'
    background: str = '#ffffff'
    min_side: int = 0
    max_images: int = 0

    @property
    def colour(self) -> tuple[int, int, int]:
        """The background's red, green and blue, 0 to 255."""
        return parse_colour(self.background)

    @property
    def num_channels(self) -> int:
        """Channels that a picture is read with."""
        return {'1': 1, '4': 4}.get(self.channels, 3)

    @property
    def paper(self) -> tuple[int, int, int] | None:
        """The colour on which pictures are laid; None where they keep their alpha."""
        return None if self.num_channels == 4 else self.colour


def check_view(view: View) -> View:
    """The view, with Python's integers as its size and its channels by name. Raises ValueError for one that is none."""
    height, width = check_size(view.height, view.width)
    view = view._replace(height=height, width=width, channels=str(view.channels))
    for name in ('min_side', 'max_images'):
        whole(0).check(name, getattr(view, name))
    for name, known in (('channels', CHANNELS), ('fit', FITS)):
        if getattr(view, name) not in known:
            given = printable(str(getattr(view, name)), 40)
            raise ValueError(f'{name}={given} is unknown; there are: {", ".join(known)}')
    parse_colour(view.background)
    return view


def parse_colour(text: str) -> tuple[int, int, int]:
    """'#ff8000' -> (255, 128, 0). Raises ValueError for anything else."""
    if not isinstance(text, str) or not re.fullmatch('#[0-9a-fA-F]{6}', text):
        raise ValueError(f'background={printable(str(text), 40)} must be a colour such as #ffffff (red, green, blue)')
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


class Unsuitable(ValueError):
    """A whole picture that cannot be used as it is; the text says why and what would do."""


def eight_bit(image: 'Picture', background: tuple[int, int, int] | None = (WHITE, WHITE, WHITE)) -> 'Picture':
    """A picture of any mode with 8 bits a channel, its alpha composited over a background or kept.

    Deeper greys are scaled by the number of bits that the file declares, 16 where it is silent, so that a dark picture
    stays dark: 65,535 of 16 bits is white, whatever the largest value in the picture.

    Args:
        image: a ``PIL.Image``, as opened: copies and crops forget what the file declared.
        background: red, green and blue; None to keep the alpha.

    Returns:
        A ``PIL.Image`` of mode L or RGB; of mode RGBA where alpha is kept and there is any.

    Raises:
        Unsuitable: a ValueError, for signed integers and floating-point numbers, of which nothing says which value is
            white.
    """
    from PIL import Image

    _check_numbers(image)
    if image.mode in ('I', 'F') or image.mode.startswith('I;16'):
        return _eight_bit_grey(image, background)
    transparent = 'transparency' in image.info
    if image.mode in ('L', 'RGB') and not transparent:
        return image
    if image.mode == '1' and not transparent:
        return image.convert('L')
    if image.mode in ('CMYK', 'YCbCr', 'LAB', 'HSV', 'RGBX'):
        return image.convert('RGB')
    if background is None or image.width * image.height <= _STRIP:
        return _over(image, background)
    # In strips, as every step of compositing would else take a copy of the whole.
    whole = Image.new('RGB', image.size)
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        whole.paste(_over(strip, background), (0, top))
    return whole


def _over(image: 'Picture', background: tuple[int, int, int] | None) -> 'Picture':
    from PIL import Image

    if image.mode == 'La':
        image = image.convert('LA')
    image = image if image.mode == 'RGBA' else image.convert('RGBA')
    if background is None:
        return image
    paper = Image.new('RGBA', image.size, (*background, 255))
    return Image.alpha_composite(paper, image).convert('RGB')


def _eight_bit_grey(image: 'Picture', background: tuple[int, int, int] | None) -> 'Picture':
    """Mode L of one channel of more than 8 bits; Pillow's own conversion cuts off at 255."""
    from PIL import Image

    tags = getattr(image, 'tag_v2', {})  # a TIFF's; what Pillow takes from other files has 16 bits
    bits = tags.get(258, (16,))[0]
    stored = np.asarray(image)
    levels = np.empty(stored.shape, np.uint8)
    rows = max(1, _STRIP // max(1, image.width))
    for top in range(0, len(stored), rows):  # floating-point numbers of the whole would take many times its memory
        strip = stored[top : top + rows]
        # Pillow keeps 32 bits without a sign in integers that have one.
        values = (strip.view(np.uint32) if bits == 32 else strip).astype(np.float64) / (2.0**bits - 1)
        if tags.get(262) == 0:  # white is zero
            values = 1 - values
        levels[top : top + rows] = np.clip(np.round(values * WHITE), 0, WHITE)
    grey = Image.fromarray(levels)
    if 'transparency' not in image.info:
        return grey
    seen = Image.fromarray(np.where(stored == image.info['transparency'], np.uint8(0), np.uint8(WHITE)))
    if background is None:
        return Image.merge('RGBA', (grey, grey, grey, seen))
    return Image.composite(grey.convert('RGB'), Image.new('RGB', grey.size, background), seen)


def _check_numbers(image: 'Picture') -> None:
    """Raises Unsuitable for a picture of which nothing says which number is white."""
    signed = getattr(image, 'tag_v2', {}).get(339, (1,))[0] == 2
    if image.mode == 'F' or signed:
        kind = 'floating-point numbers' if image.mode == 'F' else 'signed integers'
        raise Unsuitable(f'its pixels are {kind}, and nothing says which value is white: save it with 8 or 16 bits')


def _grey(colour: tuple[int, int, int]) -> int:
    """The level of grey that a colour is seen as."""
    from PIL import Image

    return int(np.asarray(Image.new('RGB', (1, 1), colour).convert('L'))[0, 0])


def _channels(image: 'Picture', channels: int) -> 'Picture':
    """Mode L for one channel, RGB for three, RGBA for four."""
    check_channels(channels)
    mode = {1: 'L', 3: 'RGB', 4: 'RGBA'}[channels]
    return image if image.mode == mode else image.convert(mode)


def stretch(image: 'Picture', height: int, width: int, channels: int = 3) -> np.ndarray:
    """Any picture as uint8 (height, width, channels), its aspect ratio given up; alpha over white, or kept.

    Area averaging (``BOX``) when it shrinks, so that edges stay as sharp as the pixels allow, with no ringing beside
    them; Lanczos when a side grows. Where alpha is kept, pixels count by their alpha: what is not seen colours nothing.

    Args:
        image: a ``PIL.Image`` of any mode that ``eight_bit`` takes.
        height, width: pixels of the result.
        channels: 1 (grey), 3 (RGB) or 4 (RGB and alpha).

    Returns:
        uint8 (height, width, channels).

    Raises:
        ValueError: a size below 1, another number of channels, or a mode that ``eight_bit`` does not take.
    """
    from PIL import Image

    height, width = check_size(height, width)
    image = _channels(eight_bit(image, None if channels == 4 else (WHITE, WHITE, WHITE)), channels)
    shrinks = width <= image.width and height <= image.height
    image = image.resize((width, height), Image.Resampling.BOX if shrinks else Image.Resampling.LANCZOS)
    return np.array(image, np.uint8).reshape(height, width, channels)


def fit(image: 'Picture', view: View) -> np.ndarray:
    """Any picture as a view of it is.

    Args:
        image: a ``PIL.Image`` of any mode that ``eight_bit`` takes (palette, alpha, 16 bits too).
        view: size, channels and proportions.

    Returns:
        uint8 (height, width, channels), 3 channels where the view leaves them open.

    Raises:
        ValueError: a mode that ``eight_bit`` does not take.
    """
    pixels = _fitted(eight_bit(image, view.paper), view)
    if view.num_channels == 4:  # whatever colour a file has where nothing is seen, there is one to learn
        pixels[pixels[..., 3] == 0, :3] = view.colour
    return pixels


def _fitted(image: 'Picture', view: View) -> np.ndarray:
    height, width, channels = view.height, view.width, view.num_channels
    if view.fit == 'stretch':
        return stretch(image, height, width, channels)
    if view.fit == 'pad':
        return pad(image, height, width, channels, view.colour)
    # The largest box of the wanted aspect ratio; at least one pixel wide and high.
    box_width = max(1, min(image.width, round(image.height * width / height)))
    box_height = max(1, min(image.height, round(image.width * height / width)))
    left, top = (image.width - box_width) // 2, (image.height - box_height) // 2
    if (box_width, box_height) != image.size:  # a crop is a copy
        image = image.crop((left, top, left + box_width, top + box_height))
    return stretch(image, height, width, channels)


def pad(
    image: 'Picture', height: int, width: int, channels: int, background: tuple[int, int, int] = (WHITE, WHITE, WHITE)
) -> np.ndarray:
    """The whole of a picture, as large as it fits, in the middle of a field: uint8 (height, width, channels).

    With 4 channels the field is transparent.
    """
    scale = min(height / image.height, width / image.width)
    inner_height, inner_width = max(1, round(image.height * scale)), max(1, round(image.width * scale))
    inner = stretch(image, inner_height, inner_width, channels)
    field = np.empty((height, width, channels), np.uint8)
    field[:] = {1: (_grey(background),), 3: background, 4: (*background, 0)}[channels]
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    field[top : top + inner_height, left : left + inner_width] = inner
    return field


def is_enlarged(height: int, width: int, view: View) -> bool:
    """Whether a view has more pixels than what is seen of a picture of this size."""
    sides = height < view.height, width < view.width
    return all(sides) if view.fit == 'pad' else any(sides)
