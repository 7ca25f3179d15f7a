"""Files of every depth: scaled by what the file declares, never by what the picture holds."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from wgan_jax.data import folder
from wgan_jax.data.fitting import View
from wgan_jax.data.listing import list_pictures

RAMP = np.array([[0, 255, 256, 4095], [30_000, 32_896, 65_000, 65_535]], np.uint16)


def _levels(path, channels=1):
    return folder.read(path, View(2, 4, str(channels)))[..., 0]


def _png(path, pixels, bits, colour, transparency=b''):
    """A PNG written by its specification: big-endian samples, no filter."""

    def chunk(name, body):
        return struct.pack('>I', len(body)) + name + body + struct.pack('>I', zlib.crc32(name + body))

    height, width = pixels.shape[:2]
    rows = b''.join(b'\0' + _packed(row, bits) for row in pixels)
    header = chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, bits, colour, 0, 0, 0))
    tail = chunk(b'tRNS', transparency) if transparency else b''
    body = chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + header + tail + body)


def _packed(row, bits):
    if bits >= 8:
        return row.astype('>u2' if bits == 16 else 'u1').tobytes()
    digits = (row[:, None] >> np.arange(bits)[::-1]) & 1
    return np.packbits(digits.astype(np.uint8).ravel()).tobytes()


def _tiff(path, pixels, bits, sample_format, *, order='<', white_is_zero=False):
    """A TIFF of one channel written by its specification."""
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    height, width = pixels.shape
    shorts = {256: width, 257: height, 258: bits, 259: 1, 262: int(not white_is_zero), 277: 1, 278: height,
              339: sample_format}  # fmt: skip
    longs = {273: 8, 279: len(data)}  # where the pixels lie
    entries = {tag: struct.pack(f'{order}HHIHH', tag, 3, 1, value, 0) for tag, value in shorts.items()}
    entries |= {tag: struct.pack(f'{order}HHII', tag, 4, 1, value) for tag, value in longs.items()}
    start = (b'II*\0' if order == '<' else b'MM\0*') + struct.pack(f'{order}I', 8 + len(data))
    directory = struct.pack(f'{order}H', len(entries)) + b''.join(entries[tag] for tag in sorted(entries)) + bytes(4)
    path.write_bytes(start + data + directory)


def test_16_bits_in_every_kind_of_file(tmp_path):
    # Fails for a guess by the largest value, which makes a dark picture bright, and where one file's depth is lost.
    expected = np.round(RAMP / 257.0)
    Image.fromarray(RAMP).save(tmp_path / 'pillow.png')
    Image.fromarray(RAMP).save(tmp_path / 'pillow.tif')
    _png(tmp_path / 'grey.png', RAMP, 16, 0)
    _tiff(tmp_path / 'little.tiff', RAMP, 16, 1)
    _tiff(tmp_path / 'big.tif', RAMP, 16, 1, order='>')
    found = [tmp_path / name for name in list_pictures(tmp_path).pictures]
    assert len(found) == 5
    for path in found:
        np.testing.assert_array_equal(_levels(path), expected, err_msg=path.name)
    _tiff(tmp_path / 'white.tif', RAMP, 16, 1, white_is_zero=True)
    np.testing.assert_array_equal(_levels(tmp_path / 'white.tif'), np.round((65_535 - RAMP.astype(float)) / 257))


@pytest.mark.parametrize('value', [0, 1, 200, 255, 256, 300, 4095, 65_535])
def test_a_constant_picture_keeps_its_level(tmp_path, value):
    Image.fromarray(np.full((2, 4), value, np.uint16)).save(tmp_path / 'a.png')
    np.testing.assert_array_equal(_levels(tmp_path / 'a.png', 3), round(value / 257))


def test_colour_and_alpha_of_16_bits(tmp_path):
    # Pillow keeps the upper 8 of 16 bits, one level below the nearest at most.
    colour = np.stack([RAMP, RAMP[::-1], 65_535 - RAMP], axis=-1)
    _png(tmp_path / 'rgb.png', colour, 16, 2)
    np.testing.assert_allclose(folder.read(tmp_path / 'rgb.png', View(2, 4)), colour / 257.0, atol=1)
    alpha = np.full_like(RAMP, 13_107)  # a fifth
    _png(tmp_path / 'rgba.png', np.dstack([colour, alpha]), 16, 6)
    np.testing.assert_allclose(
        folder.read(tmp_path / 'rgba.png', View(2, 4)), colour / 257.0 / 5 + 255 * 4 / 5, atol=1.5
    )
    _png(tmp_path / 'la.png', np.dstack([RAMP, alpha]), 16, 4)
    np.testing.assert_allclose(_levels(tmp_path / 'la.png'), RAMP / 257.0 / 5 + 255 * 4 / 5, atol=1.5)


def test_a_transparent_grey_of_16_bits_becomes_white(tmp_path):
    _png(tmp_path / 'a.png', RAMP, 16, 0, transparency=struct.pack('>H', 4095))
    expected = np.where(RAMP == 4095, 255, np.round(RAMP / 257.0))
    np.testing.assert_array_equal(_levels(tmp_path / 'a.png'), expected)


def test_32_bits_without_a_sign(tmp_path):
    _tiff(tmp_path / 'a.tif', RAMP.astype(np.uint32) * 65_537, 32, 1)  # 65,535 becomes the largest of 32 bits
    np.testing.assert_array_equal(_levels(tmp_path / 'a.tif'), np.round(RAMP / 257.0))


@pytest.mark.parametrize(
    ('pixels', 'bits', 'sample_format', 'kind'),
    [
        (RAMP.astype(np.float32) / 65_535, 32, 3, 'floating-point numbers'),
        (RAMP.astype(np.int32), 32, 2, 'signed integers'),
        ((RAMP // 4).astype(np.int16), 16, 2, 'signed integers'),
    ],
)
def test_numbers_without_a_white_are_refused_by_name(tmp_path, pixels, bits, sample_format, kind):
    _tiff(tmp_path / 'odd.tif', pixels, bits, sample_format)
    with pytest.raises(ValueError, match=rf'odd\.tif .*{kind}.* 8 or 16 bits'):
        folder.read(tmp_path / 'odd.tif', View(2, 4))


def test_the_depth_survives_the_orientation(tmp_path):
    # Stored upside down, in files whose tags alone tell the depth. Fails if a copy is turned, which forgets them.
    pixels = np.zeros((2, 4), np.uint16)
    pixels[1] = 4095
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[0x0112] = 3
    Image.fromarray(pixels).save(tmp_path / 'a.tif', tiffinfo=info)
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(pixels).save(tmp_path / 'b.png', exif=exif)
    for name in ('a.tif', 'b.png'):
        np.testing.assert_array_equal(_levels(tmp_path / name), [[16] * 4, [0] * 4])


def test_1_bit_and_palette(tmp_path):
    Image.fromarray(np.array([[0, 1, 0, 1]] * 2, bool)).save(tmp_path / 'bit.png')
    np.testing.assert_array_equal(_levels(tmp_path / 'bit.png'), [[0, 255, 0, 255]] * 2)
    image = Image.new('P', (4, 2), 1)
    image.putpalette([9, 9, 9, 0, 0, 0, 80, 80, 80])
    image.putpixel((0, 0), 2)
    image.save(tmp_path / 'palette.png', transparency=bytes([255, 51, 255]))  # entry 1 is a fifth opaque
    np.testing.assert_array_equal(_levels(tmp_path / 'palette.png'), [[80, 204, 204, 204], [204] * 4])


@pytest.mark.parametrize('bits', [1, 2, 4, 8, 16])
@pytest.mark.parametrize('kind', [0, 2])
def test_a_transparent_level_of_any_depth_shows_the_background(tmp_path, bits, kind):
    # Fails if the level that is transparent is compared with pixels of another scale.
    if kind == 2 and bits < 8:
        pytest.skip('colours have 8 bits or 16')
    clear, other, most = 2 ** (bits - 1), 0, 2**bits - 1
    pixels = np.array([[clear, other, most, clear]] * 2)
    if kind == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=-1)
    _png(tmp_path / 'a.png', pixels, bits, kind, struct.pack('>H', clear) * (kind + 1))
    red = folder.read(tmp_path / 'a.png', View(2, 4, background='#ff0000'))[0]
    seen = [[255, 0, 0] if level == clear else [round(255 * level / most)] * 3 for level in (clear, other, most, clear)]
    np.testing.assert_array_equal(red, seen)


def test_signed_integers_of_any_depth_are_refused(tmp_path):
    _tiff(tmp_path / 'a.tif', np.full((2, 4), 100, np.uint8), 8, 2)
    with pytest.raises(ValueError, match='its pixels are signed integers'):
        folder.read(tmp_path / 'a.tif', View(2, 4))
