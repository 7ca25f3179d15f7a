"""Files and pictures that others made, opened with care: what is wrong with one is told in one line that names it.

What is wrong with a file is a ValueError. A failure of the machine, such as too many open files, is none: it comes
through as the OSError or MemoryError that it is, so that it is never taken for a bad picture.
"""

import contextlib
import errno
import io
import logging
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from wgan_jax import memory
from wgan_jax.data.fitting import Unsuitable, View, eight_bit
from wgan_jax.text import printable, reason

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MAX_DECODED = 2**29  # bytes of a picture in memory, at four or more for each pixel: 134 million pixels
_LARGE = 2**26  # bytes decoded, above which the free memory is looked at
_COPIES = 3  # of a picture, at most, on its way to its size
MAX_FILE = 2**30  # bytes of a picture's file
# Told apart by what is in the file, whatever its name. Not among them: formats that start other programs.
FORMATS = ('PNG', 'JPEG', 'WEBP', 'GIF', 'BMP', 'TIFF', 'DIB', 'AVIF', 'JPEG2000', 'PPM', 'ICO')
# How files of these formats begin, some after a few bytes.
_BEGINNINGS = (
    (0, b'\x89PNG\r\n'), (0, b'\xff\xd8\xff'), (8, b'WEBP'), (0, b'GIF8'), (0, b'II*\0'), (0, b'MM\0*'),
    (4, b'ftypavif'), (4, b'jP  \r\n'), (0, b'\xff\x4f\xff\x51'),
)  # fmt: skip
NAME = 300  # characters of a name that are shown
# Errors of the system that are about the file; all others are about the machine.
_OF_THE_FILE = (
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG,
    errno.ENXIO, errno.ENODEV, errno.EINVAL, errno.EOVERFLOW,  # the last two: what a damaged file says is where
)  # fmt: skip
_KINDS = (
    (stat.S_ISDIR, 'a folder'),
    (stat.S_ISFIFO, 'a pipe'),
    (stat.S_ISSOCK, 'a socket'),
    (stat.S_ISCHR, 'a device'),
    (stat.S_ISBLK, 'a device'),
)
_SILENT = logging.CRITICAL + 1
_pixel_limit, _standard_error, _one_large = threading.Lock(), threading.Lock(), threading.Lock()


class BadFile(ValueError):
    """A file that cannot be used, in one line.

    Attributes:
        why: the reason alone, without the file's name.
        lasting: whether the same file would be so another time, for another user too.
    """

    def __init__(self, before: str, why: str, *, lasting: bool = True):
        super().__init__(f'{before}: {why}')
        self.why, self.lasting = why, lasting


def of_the_machine(error: BaseException) -> bool:
    """Whether an exception tells of the machine, not of the file.

    Args:
        error: what opening, reading or decoding a file raised.

    Returns:
        True for want of memory and for the system's errors that are not about a file.
    """
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, OSError) and error.errno is not None and error.errno not in _OF_THE_FILE


class TooSmall(BadFile):
    """A picture below the size that was asked for."""


@contextlib.contextmanager
def about_path(does: str, path: str | bytes | os.PathLike) -> Iterator[None]:
    """What the system says about a path, as a ValueError.

    Args:
        does: what the block does, as in 'cannot open'.
        path: to be named.

    Yields:
        Nothing.

    Raises:
        ValueError: for what is about the path.
        OSError: for what is about the machine.
    """
    try:
        yield
    except OSError as error:
        if of_the_machine(error):
            raise
        raise BadFile(f'{does} {printable(path, NAME)}', reason(error), lasting=False) from error
    except UnicodeError as error:
        raise BadFile(f'{does} {printable(path, NAME)}', 'no file name can have all of its characters') from error
    except ValueError as error:  # a zero byte; no other is raised by the system's functions
        raise BadFile(f'{does} {printable(path, NAME)}', reason(error)) from error


def open_file(path: str | os.PathLike) -> BinaryIO:
    """A regular file, opened for reading; never waits for one that is none.

    Args:
        path: of the file.

    Returns:
        The open file.

    Raises:
        ValueError: in one line, when it is not there, may not be read, or is a folder, pipe, socket or device.
        OSError: when the machine cannot open files.
    """
    with about_path('cannot open', path):
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode):
            # The flag is for a pipe that took the file's place in between: it would wait for a writer.
            descriptor = os.open(path, os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_BINARY', 0))
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISREG(mode):
                return os.fdopen(descriptor, 'rb')
            os.close(descriptor)
    kind = next((name for test, name in _KINDS if test(mode)), 'something else')
    raise BadFile(f'cannot open {printable(path, NAME)}', f'it is {kind}, not a file')


@contextlib.contextmanager
def quiet(logger: str) -> Iterator[None]:
    """Nothing is printed by a library: no Python warnings, and no records of a logger.

    Args:
        logger: its name; those below it are quiet too.

    Yields:
        Nothing.
    """
    log = logging.getLogger(logger)
    level = log.level
    if level == _SILENT:  # inside of another such block; entering it costs as much as reading a small picture
        yield
        return
    log.setLevel(_SILENT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        log.setLevel(level)


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Without what libtiff, below Python, says of every oddity in a file; one thread at a time."""
    with _standard_error:
        try:
            stderr = os.dup(2)
        except OSError:  # it is closed, as for a daemon: nothing is printed anyway
            yield
            return
        nothing = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nothing, 2)
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            os.close(nothing)


class Decoded(NamedTuple):
    """A picture of 8 bits a channel.

    Attributes:
        picture: a ``PIL.Image`` of mode L or RGB, its alpha composited over a background; of mode RGBA where the view
            keeps it.
        height, width: of what was decoded, of which the picture may be a fraction.
    """

    picture: 'Picture'
    height: int
    width: int


def decode(data: bytes, what: str, view: View | None = None, *, upright: bool = True) -> Decoded:
    """A picture of 8 bits a channel from the bytes of a file; of several in it the first.

    Args:
        data: of a picture of one of ``FORMATS``.
        what: to be named in messages, printable.
        view: what it will be made. A JPEG is decoded at that fraction of its size (1/2, 1/4, 1/8) which leaves twice
            as much, as its format allows without decoding all.
        upright: turn it as its EXIF orientation says.

    Returns:
        The picture, over the view's background, or over white; with its alpha where the view has 4 channels.

    Raises:
        BadFile: in one line, when it is no picture, damaged, of numbers without a white, or too large to decode.
        TooSmall: when it is smaller than the view wants.
        MemoryError: when the machine has not enough for a picture of this size.
    """
    from PIL import Image

    cannot = f'cannot read {what} as an image'
    if not data:
        raise BadFile(cannot, 'it is empty')
    with quiet('PIL'):
        try:
            with _open(data, what) as image:
                needed, (width, height) = _decoded_size(image), image.size
                if view is not None and min(image.size) < view.min_side:
                    raise TooSmall(cannot, f'it is {image.width}x{image.height} pixels, below {view.min_side}')
                if view is not None and image.format in ('JPEG', 'MPO'):
                    fraction = max(1, min(8, min(image.size) // (2 * max(view.height, view.width))))
                    image.draft(None, (image.width // fraction, image.height // fraction))
                    needed = 4 * image.width * image.height
                _scale_transparency(image)
                with _one_large if needed > _LARGE else contextlib.nullcontext():
                    _check_memory(image, needed)
                    with _silent_stderr() if image.format == 'TIFF' else contextlib.nullcontext():
                        image.load()
                    turn = _TURNS.get(image.getexif().get(0x0112, 1)) if upright else None
                    picture = eight_bit(image) if view is None else eight_bit(image, view.paper)
        except BadFile:
            raise
        except Unsuitable as error:
            raise BadFile(cannot, str(error), lasting=not isinstance(error, _NoRoom)) from error
        except Image.UnidentifiedImageError as error:
            raise BadFile(cannot, 'it is damaged, or of a kind that is not read') from error
        except MemoryError as error:
            raise MemoryError(f'not enough memory to read {what}') from error
        except Exception as error:  # decoders raise all kinds for damaged files
            if of_the_machine(error):
                raise
            raise BadFile(cannot, f'it is damaged ({reason(error)})') from error
    if turn is None:
        return Decoded(picture, height, width)
    if turn in _SIDEWAYS:
        height, width = width, height
    return Decoded(picture.transpose(Image.Transpose[turn]), height, width)


# What undoes each EXIF orientation.
_TURNS = {
    2: 'FLIP_LEFT_RIGHT',
    3: 'ROTATE_180',
    4: 'FLIP_TOP_BOTTOM',
    5: 'TRANSPOSE',
    6: 'ROTATE_270',
    7: 'TRANSVERSE',
    8: 'ROTATE_90',
}
_SIDEWAYS = ('TRANSPOSE', 'ROTATE_270', 'TRANSVERSE', 'ROTATE_90')


def _open(data: bytes, what: str) -> 'Picture':
    """The header, without the pixels. Pillow's own limit on their number would not say what the size is."""
    from PIL import Image

    named = ('TGA',) if what.lower().endswith('.tga') else ()  # nothing in the file says so
    with _pixel_limit:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(io.BytesIO(data), formats=(*FORMATS, *named))
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _decoded_size(image: 'Picture') -> int:
    """Bytes that decoding takes, by the header alone. Raises Unsuitable for more than ``MAX_DECODED``."""
    height, width, pixel = image.height, image.width, 4  # Pillow keeps colours in four bytes
    tags = getattr(image, 'tag_v2', {})  # a TIFF's
    if tags:
        pixel = max(pixel, -(-sum(tags.get(258, (1,))) // 8) if tags.get(277, 1) > 1 else 4)
        # A tile is decoded as a whole, whatever is seen of it.
        width, height = max(width, tags.get(322, 1)), max(height, tags.get(323, 1))
    if image.format == 'WEBP':
        pixel *= 2  # its decoder keeps two
    needed = height * width * pixel
    if needed > MAX_DECODED:
        tiles = '' if (width, height) == image.size else f' in tiles of {tags.get(322)}x{tags.get(323)}'
        raise Unsuitable(
            f'it is {image.width}x{image.height} pixels{tiles}, which takes {needed / 1e9:.3g} GB to decode, and '
            f'the limit is {MAX_DECODED / 1e9:.2g} GB: shrink it first'
        )
    return needed


def _scale_transparency(image: 'Picture') -> None:
    """Of a PNG with other than 8 bits a channel: the transparent level or colour as Pillow scales the pixels."""
    tiles = getattr(image, 'tile', ()) if image.format == 'PNG' else ()
    level, raw = image.info.get('transparency'), tiles[0][3] if tiles else None
    if isinstance(level, int) and raw in ('L;2', 'L;4'):
        image.info['transparency'] = level * (85 if raw == 'L;2' else 17)
    elif isinstance(level, tuple) and raw == 'RGB;16B':
        image.info['transparency'] = tuple(value >> 8 for value in level)


class _NoRoom(Unsuitable):
    """The machine has not enough memory now."""


def _check_memory(image: 'Picture', needed: int) -> None:
    """Raises Unsuitable for a large picture where the machine has not enough free."""
    if needed > _LARGE:
        try:
            memory.require(_COPIES * needed, f'decoding its {image.width}x{image.height} pixels', 'shrink it first')
        except ValueError as error:
            raise _NoRoom(str(error)) from error


def read_picture(path: str | os.PathLike, view: View | None = None, *, name: str = '') -> Decoded:
    """A picture file as 8 bits a channel, turned as its EXIF orientation says.

    Args:
        path: of the file.
        view: see ``decode``.
        name: by which messages name it, printable; its path by default.

    Returns:
        The picture.

    Raises:
        ValueError: in one line that names it, for a file that cannot be opened or that ``decode`` refuses.
        OSError, MemoryError: for failures of the machine.
    """
    name = name or printable(path, NAME)
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_FILE:
            limit = f'the limit for a picture is {MAX_FILE / 1e9:.2g} GB: shrink it first'
            raise BadFile(f'cannot read {name} as an image', f'it is a file of {size / 1e9:.3g} GB, and {limit}')
        data = file.read(size)
    return decode(data, name, view)


def looks_like_a_picture(path: str | os.PathLike) -> bool:
    """Whether a file begins as pictures of ``FORMATS`` do that say so in their first bytes; False for none at all."""
    try:
        with open_file(path) as file:
            first = file.read(16)
    except BadFile:
        return False
    return any(first[place : place + len(beginning)] == beginning for place, beginning in _BEGINNINGS)
