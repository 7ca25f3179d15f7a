"""Samples from an ``.npz``, checked by its headers before any memory is taken for them."""

import io
import os
import warnings
import zipfile
from typing import IO, BinaryIO

import numpy as np

from wgan_jax import memory
from wgan_jax.data.reading import NAME, of_the_machine, open_file
from wgan_jax.text import listed, printable, reason

_MAGIC = b'\x93NUMPY'
_HEADER = 2**14  # bytes in which an array's header must end; NumPy's own limit is 10,000 for its text
_BLOCK = 2**18  # numbers converted at once
LARGEST = 1e15  # of a coordinate: squares of distances, and their sums over all points, stay numbers in float32
_MAX_ROWS = 2**31 - 1  # rows are drawn by 32-bit numbers
_SAVE = 'save it with numpy.savez'


class _Bad(Exception):
    """What is wrong with a file, told by the caller with the name of the file."""


def read_points(path: str | os.PathLike) -> np.ndarray:
    """The one array of shape (n, d) in an ``.npz``.

    Args:
        path: of the file.

    Returns:
        float32 (n, d).

    Raises:
        ValueError: in one line that names the file: it is not there, no ``.npz``, damaged, holds no or several arrays,
            or one that is not of shape (n, d) with n >= 2 and d >= 1, not of real numbers, not finite, or too large.
        OSError, MemoryError: for failures of the machine.
    """
    shown = f'data={printable(path, NAME)}'
    if not os.path.exists(path):  # False for names that no file can have
        raise ValueError(f'{shown} is not a file')
    try:
        file = open_file(path)
    except ValueError as error:
        raise ValueError(f'data: {error}') from None
    try:
        with file:
            return _read(file)
    except _Bad as error:
        raise ValueError(f'{shown}{error}') from None


def _read(file: BinaryIO) -> np.ndarray:
    start = file.read(len(_MAGIC))
    if start == _MAGIC:
        raise _Bad(f' is a single .npy array, whatever its name: {_SAVE}')
    if not start.startswith(b'PK'):
        raise _Bad(f' cannot be read as an .npz: it is {"no zip file" if start else "empty"}; {_SAVE}')
    try:
        with zipfile.ZipFile(file) as archive:
            member = _only_member(archive.infolist())
            with archive.open(member) as stream:
                return _array(stream, member)
    except (_Bad, MemoryError):
        raise
    except Exception as error:  # zipfile and zlib raise many kinds for damaged files
        if of_the_machine(error):
            raise
        raise _Bad(f' cannot be read as an .npz: it is damaged ({reason(error)})') from None


def _only_member(members: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    names = sorted(member.filename.removesuffix('.npy') for member in members)
    if len(members) != 1:
        same = ', of one name' if len(members) > 1 and len(set(names)) == 1 else ''
        holds = f'[{listed(map(repr, names))}]'
        raise _Bad(f' must hold one array of shape (n, d), and holds {len(members)}{same}: {holds}')
    (member,) = members
    if not member.filename.endswith('.npy'):
        raise _Bad(f' holds {printable(repr(member.filename), 80)}, which is no array: {_SAVE}')
    if member.flag_bits & 1:
        raise _Bad(f' is encrypted: {_SAVE}')
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _Bad(f' is compressed in a way that NumPy does not use: {_SAVE} or numpy.savez_compressed')
    return member


def _header(start: bytes) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """(shape, whether in Fortran's order, dtype, bytes of the header) of an array by its first bytes."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    stream = io.BytesIO(start)
    try:
        version = np.lib.format.read_magic(stream)
        if version == (3, 0):  # for names of fields that are not Latin
            raise _Bad(' holds records with named fields; samples are real numbers')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            shape, fortran, dtype = readers[version](stream)
        return shape, fortran, dtype, stream.tell()
    except _Bad:
        raise
    except Exception:  # MemoryError too: what it says of a text of a few kilobytes that is nested too deep
        # NumPy's own words are no help: among them is the advice to load what could run as a program.
        raise _Bad(" cannot be read as an .npz: the array's header is damaged") from None


def _array(stream: IO[bytes], member: zipfile.ZipInfo) -> np.ndarray:
    name = printable(repr(member.filename.removesuffix('.npy')), 80)
    start = stream.read(_HEADER)
    shape, fortran, dtype, length = _header(start)
    if dtype.hasobject:
        raise _Bad(f': {name} holds Python objects, not numbers: save it as a float array')
    if dtype.kind not in 'fiu':
        kinds = {'b': 'truth values', 'c': 'complex numbers', 'V': 'records', 'U': 'texts', 'S': 'texts'}
        kind = f' ({kinds[dtype.kind]})' if dtype.kind in kinds else ''
        raise _Bad(f': {name} has dtype {printable(dtype, 80)}{kind}; samples are real numbers')
    if len(shape) != 2 or shape[0] < 2 or shape[1] < 1:
        hint = ': save x[:, None]' if len(shape) == 1 and shape[0] > 1 else ''
        raise _Bad(f': {name} has shape {printable(shape, 80)}; samples have shape (n, d), n at least 2{hint}')
    num, dim = shape
    if num > _MAX_ROWS:
        raise _Bad(f': {name} has {printable(num, 40)} rows, and at most {_MAX_ROWS:,} can be drawn from: save fewer')
    try:
        memory.require(4 * num * dim + num, f'{name} of shape {printable(shape, 80)}', 'save fewer samples')
    except ValueError as error:
        raise _Bad(f': {error}') from None
    if member.file_size != length + num * dim * dtype.itemsize:
        raise _Bad(f' is damaged: {name} is not as long as its shape {printable(shape, 80)} says')
    flat, bad = np.empty(num * dim, np.float32), np.zeros(num, bool)
    rest = start[length:]
    for first in range(0, num * dim, _BLOCK):  # the read that reaches the end compares the checksum
        count = min(_BLOCK, num * dim - first)
        data = rest + stream.read(max(0, count * dtype.itemsize - len(rest)))
        data, rest = data[: count * dtype.itemsize], data[count * dtype.itemsize :]
        block = np.frombuffer(data, dtype)
        with np.errstate(all='ignore'):  # what is no float32 is told below
            finite = np.abs(block) <= LARGEST  # NaN compares false
            flat[first : first + len(block)] = block
        wrong = first + np.flatnonzero(~finite)
        bad[wrong % num if fortran else wrong // dim] = True
        if len(block) < count:
            raise _Bad(f' is damaged: {name} ends early')
    if bad.any():
        raise _Bad(
            f': {name} is not finite, or beyond {LARGEST:g}, in {bad.sum()} rows, first in row {int(bad.argmax())}'
        )
    return flat.reshape(dim, num).T if fortran else flat.reshape(num, dim)
