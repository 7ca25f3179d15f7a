"""What others hand in: each fault is one line that names the place, and no more memory or time than that takes."""

import errno
import io
import os
import re
import resource
import signal
import socket
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.peak_memory import taking_less_than
from wgan_jax import data, memory
from wgan_jax.data import fitting, flags, folder, reading, tfds_images
from wgan_jax.data.fitting import View
from wgan_jax.text import listed, printable, reason

EPS = b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n'


def _refusal(function, *args, **kwargs):
    """The text of the ValueError, which is one printable line."""
    with pytest.raises(ValueError) as error:
        function(*args, **kwargs)
    text = str(error.value)
    assert text.isprintable() and len(text) < 1000, text
    return text


@pytest.fixture
def no_hang():
    """Ends the test when it waits for what never comes."""

    def late(*_):
        raise TimeoutError('still waiting')

    old = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)


def _png(path, width, height, bits=8, colour=0, extra=b'', body=b''):
    """A PNG with a right header, and with as much below it as is given."""

    def chunk(name, content):
        return struct.pack('>I', len(content)) + name + content + struct.pack('>I', zlib.crc32(name + content))

    header = chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, bits, colour, 0, 0, 0))
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + header + extra + chunk(b'IDAT', body) + chunk(b'IEND', b''))
    return path


def test_names_are_shown_on_one_line():
    assert printable('a\nb\x1b[2J\udce9\u202e\x7f\0 ü') == 'a\\nb\\x1b[2J\\udce9\\u202e\\x7f\\x00 ü'
    assert printable(b'caf\xe9') == 'caf\\udce9' and printable(Path('a/b')) == 'a/b'
    assert printable('a' * 50 + 'z' * 50, 11) == 'aaaa...zzzz'
    assert listed('abc') == 'a, b, c' and listed(range(100), 3) == '0, 1, 2 and 97 more' and listed([]) == ''
    assert reason(OSError(errno.EACCES, 'Permission denied', 'x')) == 'Permission denied'
    assert reason(KeyError('x')) == "KeyError 'x'" and reason(ZeroDivisionError()) == 'ZeroDivisionError'
    assert reason(ValueError('\nfirst line\nsecond')) == 'first line'


@pytest.mark.parametrize(
    ('name', 'says'),
    [
        ('~nosuchuser/x', 'no such folder: ~nosuchuser/x'),
        ('/no/such\nplace', r'no such folder: /no/such\\nplace'),
        ('/tmp/caf\udce9', r'no such folder: /tmp/caf\\udce9'),
        ('/tmp/\ud800', r'no such folder: /tmp/\\ud800: no file name can have all of its characters'),
        ('/tmp/a\0b', r'no such folder: /tmp/a\\x00b'),
        ('x' * 300, 'no such folder: x+: File name too long'),
        ('/dev/null', 'no such folder: /dev/null is a file'),
        ('/dev/null/x', 'no such folder: /dev/null/x'),
    ],
)
def test_folders_that_are_none(name, says):
    for function, arguments in ((data.load, (f'folder:{name}', 8, 8)), (folder.load, (name, View(8, 8)))):
        assert re.match(says, _refusal(function, *arguments))


def test_a_loop_of_links(tmp_path):
    (tmp_path / 'a').symlink_to(tmp_path / 'b')
    (tmp_path / 'b').symlink_to(tmp_path / 'a')
    assert 'no such folder' in _refusal(folder.load, tmp_path / 'a', View(8, 8))
    (tmp_path / 'c.png').symlink_to(tmp_path / 'c.png')
    (tmp_path / 'up').symlink_to(tmp_path)  # not entered
    assert 'c.png' in _refusal(folder.load, tmp_path, View(8, 8))


def test_a_link_to_nothing_is_named_and_not_left_out(tmp_path):
    Image.new('RGB', (4, 4)).save(tmp_path / 'a.png')
    (tmp_path / 'b.png').symlink_to(tmp_path / 'gone')
    assert 'b.png: No such file' in _refusal(folder.load, tmp_path, View(8, 8))


def test_what_may_not_be_read(unprivileged):
    Image.new('RGB', (4, 4)).save(unprivileged / 'a.png')
    (unprivileged / 'sub').mkdir(mode=0)
    assert 'sub: Permission denied' in _refusal(folder.load, unprivileged, View(8, 8))
    (unprivileged / 'sub').rmdir()
    (unprivileged / 'a.png').chmod(0)
    assert 'a.png: Permission denied' in _refusal(folder.load, unprivileged, View(8, 8))
    (unprivileged / 'closed').mkdir(mode=0)
    assert 'closed: Permission denied' in _refusal(folder.load, unprivileged / 'closed', View(8, 8))
    assert 'closed: Permission denied' in _refusal(tfds_images._check_folder, 'mnist', unprivileged / 'closed')


def test_hidden_folders_need_not_be_readable(unprivileged):
    Image.new('RGB', (4, 4)).save(unprivileged / 'a.png')
    (unprivileged / '.trash').mkdir(mode=0)
    assert folder.load(unprivileged, View(8, 8)).names == ('a.png',)


def test_pipes_and_sockets_are_not_waited_for(tmp_path, no_hang):
    os.mkfifo(tmp_path / 'pipe.png')
    with socket.socket(socket.AF_UNIX) as end:
        place = os.getcwd()
        os.chdir(tmp_path)  # a socket's name is short
        end.bind('s.png')
        os.chdir(place)
    assert '2 of 2 pictures' in _refusal(folder.load, tmp_path, View(8, 8))
    assert 'pipe.png: it is a pipe' in _refusal(folder.read, tmp_path / 'pipe.png', View(8, 8))
    assert 's.png: it is a socket' in _refusal(folder.read, tmp_path / 's.png', View(8, 8))
    assert '/dev/zero: it is a device' in _refusal(folder.read, '/dev/zero', View(8, 8))
    assert 'it is a folder' in _refusal(folder.read, tmp_path, View(8, 8))


def test_a_file_that_vanishes_is_named(tmp_path, monkeypatch):
    Image.new('RGB', (4, 4)).save(tmp_path / 'a.png')
    found = folder.list_pictures(tmp_path)
    (tmp_path / 'a.png').unlink()
    monkeypatch.setattr(folder, 'list_pictures', lambda _: found)
    assert 'a.png: No such file' in _refusal(folder.load, tmp_path, View(8, 8))


def test_names_of_files_are_escaped(tmp_path):
    (tmp_path / 'a\n\x1b[2J.png').write_bytes(b'text')
    assert 'a\\n\\x1b[2J.png' in _refusal(folder.load, tmp_path, View(8, 8))


@pytest.mark.parametrize(
    ('content', 'says'),
    [(b'', 'it is empty'), (b'just a text', 'of a kind that is not read'), (EPS, 'of a kind that is not read')],
)
def test_files_that_are_no_pictures(tmp_path, content, says):
    # The last would start Ghostscript.
    (tmp_path / 'a.jpg').write_bytes(content)
    assert says in _refusal(folder.read, tmp_path / 'a.jpg', View(8, 8))


@pytest.mark.parametrize('kind', ['png', 'gif', 'webp', 'tiff tile', 'file'])
def test_what_is_too_large_is_refused_by_its_header(tmp_path, kind):
    path, says = tmp_path / 'bomb', 'it is 20000x20000 pixels, which takes 1.6 GB to decode'
    if kind == 'png':
        _png(path, 20_000, 20_000, body=zlib.compress(bytes(20_001) * 20_000, 1))
    elif kind == 'gif':
        frame = struct.pack('<HHHHB', 0, 0, 65_535, 65_535, 0)
        path.write_bytes(b'GIF89a' + struct.pack('<HHBBB', 65_535, 65_535, 0, 0, 0) + b',' + frame + b'\x08\1\0\0;')
        says = 'it is 65535x65535 pixels, which takes 17.2 GB'
    elif kind == 'webp':  # one of 11,500 x 11,500 takes 2.2 GB
        body = b'\x2f' + struct.pack('<I', 11_499 | 11_499 << 14) + bytes(11)
        chunk = b'VP8L' + struct.pack('<I', len(body)) + body
        path.write_bytes(b'RIFF' + struct.pack('<I', 4 + len(chunk)) + b'WEBP' + chunk)
        says = 'it is 11500x11500 pixels, which takes 1.06 GB'
    elif kind == 'tiff tile':
        shorts = {256: 8, 257: 8, 258: 8, 259: 8, 262: 1, 277: 1, 322: 40_000, 323: 40_000}
        entries = [struct.pack('<HHIHH', tag, 3, 1, value, 0) for tag, value in shorts.items()]
        entries += [struct.pack('<HHII', tag, 4, 1, value) for tag, value in ((324, 8), (325, 20))]
        end = 28
        path.write_bytes(b'II*\0' + struct.pack('<I', end) + bytes(20) + struct.pack('<H', 10) + b''.join(entries))
        with open(path, 'ab') as file:
            file.write(bytes(4))
        says = 'it is 8x8 pixels in tiles of 40000x40000, which takes 6.4 GB'
    else:
        with open(path, 'wb') as file:
            file.truncate(2**31)
        says = 'is a file of 2.15 GB'
    with taking_less_than(100e6):
        assert says in _refusal(folder.read, path, View(8, 8))


def test_a_large_picture_is_not_decoded_where_memory_is_short(tmp_path, monkeypatch):
    _png(tmp_path / 'a.png', 5000, 5000, body=zlib.compress(bytes(5001) * 5000, 1))
    assert folder.read(tmp_path / 'a.png', View(8, 8)).max() == 0
    monkeypatch.setattr(memory, 'free_bytes', lambda: 2 * 3 * 10**8 - 1)
    assert 'decoding its 5000x5000 pixels would take 0.3 GB' in _refusal(folder.read, tmp_path / 'a.png', View(8, 8))


@pytest.mark.parametrize(
    'error',
    [struct.error('x'), IndexError(), KeyError(3), TypeError('a b'), AttributeError('x'), ZeroDivisionError(),
     OverflowError('x'), zlib.error('x'), EOFError(), RuntimeError('x'), RecursionError('x'), OSError('truncated'),
     SyntaxError('broken PNG file'), NotImplementedError('x'), AssertionError(), UnicodeDecodeError('a', b'', 0, 1, ''),
     OSError(errno.EINVAL, 'Invalid argument')],
)  # fmt: skip
def test_whatever_a_decoder_raises_names_the_file(tmp_path, monkeypatch, error):
    def load(_):
        raise error

    Image.new('RGB', (4, 4)).save(tmp_path / 'a.png')
    monkeypatch.setattr('PIL.PngImagePlugin.PngImageFile.load', load)
    assert 'a.png as an image: it is damaged (' in _refusal(folder.read, tmp_path / 'a.png', View(8, 8))


@pytest.mark.parametrize('error', [MemoryError(), OSError(errno.EIO, 'Input/output error')])
def test_a_failure_of_the_machine_is_no_bad_picture(tmp_path, monkeypatch, error):
    def load(_):
        raise error

    Image.new('RGB', (4, 4)).save(tmp_path / 'a.png')
    monkeypatch.setattr('PIL.PngImagePlugin.PngImageFile.load', load)
    with pytest.raises(type(error)) as raised:
        folder.read(tmp_path / 'a.png', View(8, 8))
    assert raised.value is error or 'a.png' in str(raised.value)


def test_too_many_open_files_are_no_bad_picture(tmp_path):
    Image.new('RGB', (4, 4)).save(tmp_path / 'a.png')
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        with pytest.raises(OSError) as error:
            folder.read(tmp_path / 'a.png', View(8, 8))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert error.value.errno == errno.EMFILE and 'a.png' in str(error.value)


def test_decoders_print_nothing(tmp_path, capfd):
    buffer = io.BytesIO()
    Image.fromarray(np.arange(4096, dtype=np.uint8).reshape(64, 64)).save(buffer, 'TIFF', compression='tiff_deflate')
    whole = bytearray(buffer.getvalue())
    with Image.open(buffer) as image:
        start = image.tag_v2[273][0]
    whole[start + 20 : start + 40] = bytes(20)  # libtiff says of it what it thinks
    (tmp_path / 'a.tif').write_bytes(whole)
    _png(tmp_path / 'b.png', 9000, 11_000)  # more than Pillow warns of
    buffer = io.BytesIO()
    Image.new('RGB', (4, 4)).save(buffer, 'JPEG', exif=b'Exif\0\0II*\0\x08\0\0\0\x09\0\x12\1\3\0')
    (tmp_path / 'c.jpg').write_bytes(buffer.getvalue())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        for name in ('a.tif', 'b.png', 'c.jpg'):
            try:
                folder.read(tmp_path / name, View(8, 8))
            except ValueError:
                assert name != 'c.jpg'
    assert not caught and capfd.readouterr() == ('', '')
    assert Image.MAX_IMAGE_PIXELS  # as it was


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('form', ['TIFF', 'PNG', 'JPEG', 'WEBP'])
def test_every_orientation_of_every_kind_of_file(tmp_path, form, orientation):
    # Pillow scrambles an uncompressed TIFF on its side that it opens by name.
    seen = np.zeros((16, 16), np.uint8)
    seen[:8, :8], seen[:8, 8:] = 90, 250
    undo = {
        1: lambda x: x, 2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud, 5: np.transpose,
        6: np.rot90, 7: lambda x: np.rot90(x, 2).T, 8: lambda x: np.rot90(x, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.repeat(undo[orientation](seen), 2, axis=1 if orientation < 5 else 0)  # wide as it is seen
    options = {'lossless': True} if form == 'WEBP' else {}
    Image.fromarray(stored).save(tmp_path / 'a', form, exif=exif, **options)
    read = folder.read(tmp_path / 'a', View(16, 32, '1'))[..., 0]
    np.testing.assert_allclose(read.astype(int), np.repeat(seen, 2, axis=1), atol=6 if form == 'JPEG' else 0)


@pytest.mark.parametrize('mode', ['P', 'PA', 'LA', 'RGBA', 'L', 'RGB', '1', 'I;16', 'I'])
def test_strips_are_the_whole(mode, monkeypatch):
    base = np.random.default_rng(0).integers(0, 256, (23, 17, 4), dtype=np.uint8)
    deep = {'I;16': np.uint16, 'I': np.int32}
    if mode in deep:
        image = Image.fromarray(base[..., 0].astype(deep[mode]) * 257)
        image.info['transparency'] = int(base[3, 3, 0]) * 257
    else:
        image = Image.fromarray(base).convert('P' if mode == 'PA' else mode).convert(mode)
        transparent = {'P': bytes(range(0, 256, 2)), 'L': 7, 'RGB': tuple(base[0, 0, :3].tolist()), '1': 0}
        if mode in transparent:
            image.info['transparency'] = transparent[mode]
    whole = np.asarray(fitting.eight_bit(image))
    monkeypatch.setattr(fitting, '_STRIP', 40)
    np.testing.assert_array_equal(fitting.eight_bit(image), whole)


@pytest.mark.parametrize(
    ('size', 'says'),
    [
        ((0, 8), 'at least 1 pixel, got 0x8'),
        ((8, -3), 'at least 1 pixel, got 8x-3'),
        ((10**20, 3), 'at most 65,536 pixels, got 100000000000000000000x3'),
        ((10**5000, 3), 'at most 65,536 pixels, got a number of more than 40 digits'),
        ((8.0, 8), 'whole numbers of pixels, got 8.0 and 8'),
        (('8', 8), "whole numbers of pixels, got '8' and 8"),
        ((None, 8), 'whole numbers'),
        ((float('nan'), 8), 'whole numbers'),
    ],
)
def test_sizes_that_no_picture_has(tmp_path, size, says):
    Image.new('RGB', (4, 4)).save(tmp_path / 'a.png')
    for function, arguments in (
        (data.load, ('flags', *size)), (data.load, (f'folder:{tmp_path}', *size)), (data.load, ('mnist', *size)),
        (flags.load, size), (folder.load, (tmp_path, View(*size))), (folder.read, (tmp_path / 'a.png', View(*size))),
        (tfds_images.load, ('mnist', View(*size))),
        (fitting.stretch, (Image.new('L', (4, 4)), *size)), (flags.picture, (Image.new('L', (4, 4)), *size)),
    ):  # fmt: skip
        assert says in _refusal(function, *arguments)


def test_sizes_of_numpy_are_sizes():
    assert flags.load(np.int64(4), np.uint8(6)).pixels.shape == (256, 4, 6, 3)


@pytest.mark.parametrize('channels', [0, 2, 10**20, 'x', None, 1.5])
def test_channels_that_are_none(tmp_path, channels):
    Image.new('RGB', (4, 4)).save(tmp_path / 'a.png')
    assert 'channels must be 1 (grey), 3 (RGB) or 4 (RGB and alpha)' in _refusal(flags.load, 8, 8, channels)
    for function, first in ((folder.load, tmp_path), (folder.read, tmp_path / 'a.png')):
        assert 'there are: auto, 1, 3, 4' in _refusal(function, first, View(8, 8, channels))


def test_no_dataset_is_larger_than_memory(tmp_path, monkeypatch):
    with taking_less_than(100e6):
        text = _refusal(data.load, 'flags', 16_384, 16_384)
    assert text.startswith('flags: 256 images of 16384x16384x3 would take 206 GB, and ')
    monkeypatch.setattr(memory, 'free_bytes', lambda: 5 * 10**9)
    Image.new('RGB', (4, 4)).save(tmp_path / 'a.png')
    free = 'GB, and 5 GB are free, half of which may be used: use a smaller image size or fewer images'
    with taking_less_than(100e6):
        assert f'256 images of 2000x2000x3 would take 3.07 {free}' in _refusal(flags.load, 2000, 2000)
        assert f'1 images of 40000x40000x3 would take 4.8 {free}' in _refusal(
            folder.load, tmp_path, View(40_000, 40_000)
        )


@pytest.mark.parametrize('name', [None, 3, b'flags', Path('x'), ['flags']])
def test_names_that_are_no_text(name):
    assert 'named by a string' in _refusal(data.load, name, 8, 8)


def test_free_memory_is_the_least_of_all_limits(tmp_path, monkeypatch):
    for name in ('_MEMINFO', '_MEMBERSHIP'):
        monkeypatch.setattr(memory, name, tmp_path / name)
    monkeypatch.setattr(memory, '_CGROUPS', tmp_path)
    (tmp_path / '_MEMINFO').write_text('MemTotal: 9 kB\nMemAvailable:    4000 kB\n')
    assert memory.free_bytes() == 4_096_000
    inner = tmp_path / 'outer' / 'inner'
    inner.mkdir(parents=True)
    (tmp_path / '_MEMBERSHIP').write_text('4:cpu,memory:/deep\n0::/outer/inner\n')

    def limit(place, most, used, cache, names=('memory.max', 'memory.current', 'inactive_file')):
        (place / names[0]).write_text(f'{most}\n')
        (place / names[1]).write_text(f'{used}\n')
        (place / 'memory.stat').write_text(f'active_file 5\n{names[2]} {cache}\n')

    limit(inner, 'max', 70, 0)
    assert memory.free_bytes() == 4_096_000
    limit(inner, 3_000_000, 1_000_000, 500)
    assert memory.free_bytes() == 2_000_500
    limit(inner.parent, 2_000_000, 1_000_000, 0)  # holds for what is inside
    assert memory.free_bytes() == 1_000_000
    first = tmp_path / 'memory'
    first.mkdir()  # version 1, where the path inside of a container is the host's
    limit(first, 900, 100, 7, ('memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file'))
    assert memory.free_bytes() == 807
    limit(inner, 10, 20, 0)
    assert memory.free_bytes() == 0
    (tmp_path / '_MEMINFO').unlink()
    (tmp_path / '_MEMBERSHIP').unlink()
    assert 2**20 < memory.free_bytes() <= os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')


def test_what_takes_more_than_half_is_refused(monkeypatch):
    monkeypatch.setattr(memory, 'free_bytes', lambda: 4 * 10**9)
    memory.require(2 * 10**9, 'this')
    text = _refusal(memory.require, 2 * 10**9 + 1, 'this')
    assert text == 'this would take 2 GB, and 4 GB are free, half of which may be used: take fewer or smaller ones'
    assert '1e+21 GB' in _refusal(memory.require, 10**400, 'this')


def test_no_part_is_told_of_a_picture_by_the_way(tmp_path):
    # decode() is what TFDS's pictures go through: they keep the orientation that they are stored in.
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.new('RGB', (6, 4)).save(buffer, 'PNG', exif=exif)
    assert reading.decode(buffer.getvalue(), 'x').picture.size == (4, 6)
    assert reading.decode(buffer.getvalue(), 'x', upright=False).picture.size == (6, 4)
