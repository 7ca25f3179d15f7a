"""Images held in memory: uint8 on the way in and at rest, float32 in [-1, 1] where a network sees them.

>>> to_float(np.array([0, 255], np.uint8)).tolist()
[-1.0, 1.0]
>>> levels = np.arange(256, dtype=np.uint8)
>>> bool((to_uint8(to_float(levels)) == levels).all())
True
"""

import hashlib
import math
import operator
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import jax.numpy as jnp
import numpy as np

from wgan_jax import memory
from wgan_jax.text import printable
from wgan_jax.types import Array, ArrayLike

MAX_SIDE = 65_536  # pixels of a side
MAX_GIGABYTES = math.inf  # of a dataset, unless another limit is asked for


class UnknownDataset(ValueError):
    """No dataset of that name, as far as can be told."""


class Images(NamedTuple):
    """A dataset of equally large images.

    Attributes:
        pixels: uint8 NumPy array (N, H, W, C), values 0 to 255. Of sets that are larger than the memory it lies in a
            file (``np.memmap``), or is ``Rows`` of such a one.
        names: one name per image, or () where there are none.
        fingerprint: SHA-256, in hex, of the shape and the pixels: equal content has an equal fingerprint.
        sizes: heights and widths of the originals, (N, 2), where they are known.
        skipped: a line for each file that could not be used.
        notes: what else there is to say of it, a few words each.
        labels: int32 (N,), which of ``classes`` each image is of; None where that is not known.
        classes: their names.
        held_out: further images that are kept from training, like ``pixels``; the fingerprint is of both together.
        held_out_names, held_out_labels: theirs, or () and None.
    """

    pixels: np.ndarray
    names: tuple[str, ...]
    fingerprint: str
    sizes: np.ndarray | None = None
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    held_out: np.ndarray | None = None
    held_out_names: tuple[str, ...] = ()
    held_out_labels: np.ndarray | None = None


class Rows:
    """Some images of an array in a file, copied when they are asked for; indexed by numbers, slices or arrays of them.

    Args:
        pixels: (N, H, W, C).
        places: of the images, (n,).
    """

    def __init__(self, pixels: np.ndarray, places: np.ndarray):
        self._pixels, self._places = pixels, places
        self.dtype, self.shape = pixels.dtype, (len(places), *pixels.shape[1:])
        self.size = math.prod(self.shape)
        self.nbytes = self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.asarray(self._pixels[self._places[index]])

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


def on_disk(pixels: np.ndarray | Rows) -> bool:
    """Whether pixels lie in a file, being too many for the memory."""
    return isinstance(pixels, np.memmap | Rows)


def collect(pixels: np.ndarray | Sequence[np.ndarray], names: Sequence[str] = ()) -> Images:
    """``Images`` of an array, checked and fingerprinted.

    Args:
        pixels: uint8 (N, H, W, C), or a sequence of N arrays (H, W, C).
        names: N strings, or ().

    Returns:
        ``Images``, their pixels contiguous.

    Raises:
        ValueError: not uint8, not four axes, empty, or another number of names than images.
    """
    if not (isinstance(pixels, np.memmap) and pixels.flags.c_contiguous):
        pixels = np.ascontiguousarray(pixels)
    names = tuple(names)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.size == 0:
        raise ValueError(f'images must be uint8 (N, H, W, C) and not empty, got {pixels.dtype} {pixels.shape}')
    if names and len(names) != len(pixels):
        raise ValueError(f'{len(names)} names for {len(pixels)} images')
    digest = hashlib.sha256(repr(tuple(int(n) for n in pixels.shape)).encode())
    digest.update(pixels.data)
    return Images(pixels, names, digest.hexdigest())


def check_size(height: int, width: int) -> tuple[int, int]:
    """A size that images can have.

    Args:
        height, width: pixels.

    Returns:
        (height, width), Python's integers.

    Raises:
        ValueError: no whole numbers, below 1, or above ``MAX_SIDE``.
    """
    try:
        height, width = operator.index(height), operator.index(width)
    except TypeError:
        given = f'{printable(repr(height), 40)} and {printable(repr(width), 40)}'
        raise ValueError(f'height and width must be whole numbers of pixels, got {given}') from None
    if height < 1 or width < 1:
        raise ValueError(f'height and width must be at least 1 pixel, got {_side(height)}x{_side(width)}')
    if max(height, width) > MAX_SIDE:
        raise ValueError(f'height and width must be at most {MAX_SIDE:,} pixels, got {_side(height)}x{_side(width)}')
    return height, width


def _side(side: int) -> str:
    return str(side) if abs(side) < 10**40 else 'a number of more than 40 digits'


def check_channels(channels: int) -> None:
    """Raises ValueError for a number of channels that images cannot be read with."""
    if isinstance(channels, str) or channels not in (1, 3, 4):
        given = printable(repr(channels), 40)
        raise ValueError(f'channels must be 1 (grey), 3 (RGB) or 4 (RGB and alpha), got {given}')


def allocate(
    num: int, height: int, width: int, channels: int, what: str, max_gigabytes: float = MAX_GIGABYTES
) -> np.ndarray:
    """Room for the pixels of a dataset, if there is: the one place where every loader asks.

    Args:
        num: of images.
        height, width, channels: of each.
        what: the dataset as messages name it.
        max_gigabytes: refuse what would take more memory than this.

    Returns:
        uint8 (num, height, width, channels), not filled.

    Raises:
        ValueError: no images, an impossible size, or more than the limit.
        NotEnough: more than the machine has.
    """
    height, width = check_size(height, width)
    check_channels(channels)
    if num < 1:
        raise ValueError(f'{what} holds no images')
    needed = num * height * width * channels
    images = f'{what}: {num} images of {height}x{width}x{channels}'
    instead = 'use a smaller image size or fewer images'
    if needed > max_gigabytes * 1e9:
        gigabytes = f'{min(needed, 10**30) / 1e9:.3g}'
        raise ValueError(f'{images} would take {gigabytes} GB, the limit is {max_gigabytes:g} GB: {instead}')
    memory.require(needed, images, instead)
    return np.empty((num, height, width, channels), np.uint8)


def hold_out(images: Images, share: float) -> Images:
    """The dataset with a share of its images kept from training.

    Which these are is decided by each image's own content: CRC-32(pixels) < share * 2^32. So it is the same whatever
    the order, and whatever else is in the set; images that are equal stay together, and all with a smaller share are
    among those with a larger one.

    Args:
        images: all of them.
        share: of the images, about, in [0, 1). Where none would be left to train on, none is held out.

    Raises:
        ValueError: for images of which some are held out already.
    """
    if images.held_out is not None:
        raise ValueError('of these images some are held out already: pass all of them')
    if not share:
        return images
    held = np.array([zlib.crc32(np.ascontiguousarray(image).data) < share * 2**32 for image in images.pixels])
    held &= not held.all()
    kept, held = np.flatnonzero(~held), np.flatnonzero(held)

    def names(places):
        return tuple(images.names[i] for i in places) if images.names else ()

    def rows(column, places):
        return None if column is None else column[places]

    def pixels(places):
        return cast(np.ndarray, Rows(images.pixels, places)) if on_disk(images.pixels) else images.pixels[places]

    return images._replace(
        pixels=pixels(kept),
        names=names(kept),
        sizes=rows(images.sizes, kept),
        labels=rows(images.labels, kept),
        held_out=pixels(held),
        held_out_names=names(held),
        held_out_labels=rows(images.labels, held),
    )


def find_duplicates(pixels: np.ndarray) -> list[tuple[int, int]]:
    """(place, place of an earlier one) of every image that is an earlier one to the last pixel."""
    firsts: dict[int, list[int]] = {}
    found = []
    for place, image in enumerate(pixels):
        known = firsts.setdefault(zlib.crc32(np.ascontiguousarray(image).data), [])
        same = next((other for other in known if np.array_equal(image, pixels[other])), None)
        if same is None:
            known.append(place)
        else:
            found.append((place, same))
    return found


def is_grey(pixels: np.ndarray) -> bool:
    """Whether no pixel of uint8 (N, H, W, C) has a colour; looked at a part at a time."""
    parts = np.array_split(pixels, max(1, pixels.size >> 26))
    return all((part == part[..., :1]).all() for part in parts)


def first_channel(pixels: np.ndarray) -> np.ndarray:
    """The first channel, (N, H, W, 1), moved together in place of all: what was in the array is lost.

    Args:
        pixels: uint8 (N, H, W, C), contiguous.
    """
    num, height, width, _ = pixels.shape
    flat, each = pixels.reshape(-1), height * width
    together = max(1, 2**26 // each)
    for start in range(0, num, together):  # what is written to has been read already
        part = pixels[start : start + together, ..., 0].copy()
        flat[start * each : start * each + part.size] = part.reshape(-1)
    return flat[: num * each].reshape(num, height, width, 1)


def to_float(pixels: ArrayLike) -> Array:
    """What a network sees of stored pixels: ``x / 127.5 - 1``.

    Args:
        pixels: uint8, any shape, of NumPy or JAX.

    Returns:
        float32 in [-1, 1], of that shape, 255 exactly 1.
    """
    # Subtracted first: a compiler that multiplies by 1 / 127.5 would else make 255 a little more than 1.
    return (jnp.asarray(pixels).astype(jnp.float32) - 127.5) / 127.5


def to_uint8(images: ArrayLike) -> Array:
    """The pixels nearest to a network's images; inverts ``to_float`` exactly.

    Args:
        images: floats, any shape; beyond [-1, 1] they count as the nearer end.

    Returns:
        uint8, of that shape.
    """
    return jnp.clip(jnp.round((jnp.asarray(images) + 1.0) * 127.5), 0, 255).astype(jnp.uint8)


def gather(pixels: ArrayLike, indices: ArrayLike) -> Array:
    """A batch of floats from a dataset that lies on the device as uint8.

    A quarter of the memory of float32, and only the batch is converted.

    Args:
        pixels: uint8 (N, H, W, C).
        indices: int32 (n,), each in {0..N-1}; not checked, as they may be traced.

    Returns:
        float32 (n, H, W, C) in [-1, 1].
    """
    return to_float(jnp.take(jnp.asarray(pixels), indices, axis=0, mode='clip'))
