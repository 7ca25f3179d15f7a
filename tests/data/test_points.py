"""Samples in an ``.npz``: every kind of number is read, and what is none is refused before memory is taken for it."""

import io
import struct
import warnings
import zipfile

import numpy as np
import pytest

from tests.peak_memory import taking_less_than
from wgan_jax import memory
from wgan_jax.data import synthetic

FORBIDDEN = ('pickle', 'context manager', 'unpack', 'Error', '\n')


def _refusal(path):
    with pytest.raises(ValueError) as error:
        synthetic.load(str(path))
    text = str(error.value)
    assert text.isprintable() and text.startswith('data') and path.name[:8] in text
    assert not [word for word in FORBIDDEN if word in text], text
    return text


def _header(shape, descr='<f8', fortran=False):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {'descr': descr, 'fortran_order': fortran, 'shape': shape})
    return buffer.getvalue()


def _zip(path, members, **options):
    with warnings.catch_warnings(), zipfile.ZipFile(path, 'w', **options) as archive:
        warnings.simplefilter('ignore')  # two members of one name
        for name, content in members:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize('dtype', ['<f4', '>f4', '<f8', '>f8', '<f2', '>f2', 'g', 'i1', 'u1', '<i8', '>i8', '>u2'])
@pytest.mark.parametrize('order', ['C', 'F'])
@pytest.mark.parametrize('shape', [(2, 1), (7, 3), (3, 100_001), (100_003, 3)])
def test_every_kind_of_number_is_read(tmp_path, monkeypatch, dtype, order, shape):
    monkeypatch.setattr('wgan_jax.data.points._BLOCK', 2**15)
    points = np.asarray(np.random.default_rng(0).integers(0, 100, shape).astype(dtype), order=order)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / 'a.npz', points)
        read = synthetic.load_points(tmp_path / 'a.npz')
        assert read.dtype == np.float32 and read.dtype.isnative
        np.testing.assert_array_equal(read, points.astype(np.float32))


@pytest.mark.parametrize('order', ['C', 'F'])
def test_rows_that_are_not_finite_are_counted_once(tmp_path, monkeypatch, order):
    monkeypatch.setattr('wgan_jax.data.points._BLOCK', 7)
    points = np.zeros((20, 3), order=order)
    points[11], points[5, 2], points[17, 0] = np.nan, -np.inf, 1.1e15
    np.savez(tmp_path / 'a.npz', points)
    assert _refusal(tmp_path / 'a.npz').endswith("'arr_0' is not finite, or beyond 1e+15, in 3 rows, first in row 5")


@pytest.mark.parametrize(
    ('array', 'says'),
    [
        (np.zeros(9), 'has shape (9,); samples have shape (n, d), n at least 2: save x[:, None]'),
        (np.zeros(()), 'has shape (); samples'),
        (np.zeros((0, 2)), 'has shape (0, 2); samples'),
        (np.zeros((2, 2, 2)), 'has shape (2, 2, 2); samples'),
        (np.zeros((3, 2), complex), 'has dtype complex128 (complex numbers)'),
        (np.zeros((3, 2), bool), 'has dtype bool (truth values)'),
        (np.zeros((3, 2), 'f4,f4'), '(records)'),
        (np.zeros((3, 2), np.dtype([('é', 'f4'), ('世', 'f4')])), 'records'),
        (np.zeros((3, 2), 'M8[s]'), 'has dtype datetime64[s]'),
        (np.zeros((3, 2), 'S3'), 'has dtype |S3 (texts)'),
        (np.array([[1, 'x'], [None, 2]], object), 'holds Python objects, not numbers: save it as a float array'),
    ],
)
def test_arrays_that_are_no_samples(tmp_path, array, says):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # names of fields that only newer releases read
        np.savez(tmp_path / 'a.npz', array)
    assert says in _refusal(tmp_path / 'a.npz')


def test_files_that_are_no_npz(tmp_path):
    path = tmp_path / 'a.npz'
    with open(path, 'wb') as file:
        np.save(file, np.zeros((3, 2)))
    assert 'is a single .npy array, whatever its name: save it with numpy.savez' in _refusal(path)
    for content, says in (
        (b'', 'it is empty'), (b'a,b\n1,2\n', 'it is no zip file'), (b'\x80\x04K\x01.', 'it is no zip file'),
        (b'PK\x03\x04', 'it is damaged'), (b'PK\x05\x06' + bytes(18), 'holds 0'),
    ):  # fmt: skip
        path.write_bytes(content)
        assert says in _refusal(path)
    (tmp_path / 'b.npz').mkdir()
    assert 'it is a folder' in _refusal(tmp_path / 'b.npz')
    for name in ('no\nsuch.npz', 'a\0b.npz', 'x' * 300 + '.npz', 'caf\udce9.npz'):
        with pytest.raises(ValueError) as error:
            synthetic.load(name)
        assert 'is not a file' in str(error.value) and str(error.value).isprintable()


def test_zip_files_that_numpy_does_not_write(tmp_path):
    whole = _header((2, 2)) + bytes(32)
    assert 'holds 2, of one name' in _refusal(_zip(tmp_path / 'a.npz', [('a.npy', whole)] * 2))
    many = _refusal(_zip(tmp_path / 'b.npz', [(f'{n}.npy', whole) for n in range(500)]))
    assert 'holds 500' in many and many.endswith('and 492 more]')
    assert "holds 'a\\nb.txt', which is no array" in _refusal(_zip(tmp_path / 'c.npz', [('a\nb.txt', whole)]))
    for method in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        path = _zip(tmp_path / 'd.npz', [('a.npy', whole)], compression=method)
        assert 'in a way that NumPy does not use' in _refusal(path)
    path = _zip(tmp_path / 'e.npz', [('a.npy', whole)])
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b'PK\x01\x02') + 8] |= 1
    path.write_bytes(content)
    assert 'e.npz is encrypted: save it' in _refusal(path)


@pytest.mark.parametrize(
    ('shape', 'size', 'says'),
    [
        ((10**12, 2), 0, 'has 1000000000000 rows, and at most 2,147,483,647'),
        ((2 * 10**9, 2), 0, 'of shape (2000000000, 2) would take 18 GB'),
        ((2, 10**12), 0, 'of shape (2, 1000000000000) would take 8e+03 GB'),
        ((-5, 2), 0, 'has shape (-5, 2)'),
        ((3, 2), 47, 'is not as long as its shape (3, 2) says'),
        ((3, 2), 49, 'is not as long as its shape (3, 2) says'),
    ],
)
def test_a_header_is_not_believed(tmp_path, monkeypatch, shape, size, says):
    monkeypatch.setattr(memory, 'free_bytes', lambda: 20 * 10**9)
    with taking_less_than(100e6):
        assert says in _refusal(_zip(tmp_path / 'a.npz', [('a.npy', _header(shape) + bytes(size))]))


def test_a_bomb_takes_no_memory(tmp_path, monkeypatch):
    # 200 MB of zeros in 200 kB: refused by the header, where half of what is free is less.
    monkeypatch.setattr(memory, 'free_bytes', lambda: 10**8)
    content = _header((6 * 10**6, 4)) + bytes(192 * 10**6)
    path = _zip(tmp_path / 'a.npz', [('a.npy', content)], compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10**6
    del content
    with taking_less_than(20e6):
        assert 'would take 0.102 GB, and 0.1 GB are free' in _refusal(path)
    monkeypatch.setattr(memory, 'free_bytes', lambda: 10**12)
    long = b'\x93NUMPY\x02\x00' + struct.pack('<I', 2**31) + bytes(150 * 10**6)  # a header of 2 GB
    path = _zip(tmp_path / 'b.npz', [('a.npy', long)], compression=zipfile.ZIP_DEFLATED)
    del long
    with taking_less_than(20e6):
        assert "the array's header is damaged" in _refusal(path)


@pytest.mark.parametrize(
    'text',
    [
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2",
        b'(' * 3000,
        b'-' * 9000 + b'1',
        b"__import__('os')",
        b"{'descr': 'nonsense', 'fortran_order': False, 'shape': (3, 2)}",
        b"{'descr': '<f8', 'fortran_order': 3, 'shape': (3, 2)}",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': 3}",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (" + b'9' * 5000 + b', 2)}',
        b"{'descr': ('<f8', (10**9,)), 'fortran_order': False, 'shape': (3, 2)}",
        b'\xff' * 50,
        b' ' * 12_000,
    ],
)
def test_headers_that_are_none(tmp_path, text):
    header = b'\x93NUMPY\x01\x00' + struct.pack('<H', len(text)) + text
    assert "the array's header is damaged" in _refusal(_zip(tmp_path / 'a.npz', [('a.npy', header + bytes(48))]))


@pytest.mark.parametrize('num', [3, 100_000])
@pytest.mark.parametrize('compression', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_checksum_that_does_not_hold_is_told(tmp_path, num, compression):
    content = _header((num, 2)) + np.arange(2.0 * num).tobytes()
    path = _zip(tmp_path / 'a.npz', [('a.npy', content)], compression=compression)
    changed = bytearray(path.read_bytes())
    entry = changed.index(b'PK\x01\x02')
    changed[entry + 16] ^= 1  # the checksum in the directory
    path.write_bytes(changed)
    assert 'it is damaged (Bad CRC-32' in _refusal(path)


@pytest.mark.parametrize('name', [None, 3, ['ring']])
def test_names_that_are_no_text(name):
    with pytest.raises(ValueError, match=r'is unknown; there are: ring'):
        synthetic.load(name)
