"""Damaged files of every kind that is read: a ValueError of one line or an array of the right kind, nothing else.

``WGAN_JAX_FUZZ=10000`` tries that many mutations of each kind, and not a few hundred. They are the same every time, and
tried in a process of their own: a decoder that crashes, or takes too much memory or time, ends that one, and the test
says on which mutation. ``WGAN_JAX_FUZZ_KEEP=FOLDER`` keeps the files that fail.
"""

import io
import json
import os
import random
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests import peak_memory
from tests.mutations import mutate

ROOT = Path(__file__).parents[2]
KINDS = (
    'png', 'png16', 'png_palette', 'png_alpha', 'jpeg', 'webp', 'gif', 'bmp', 'tiff', 'tiff_packed', 'ico', 'tga',
    'others', 'npz', 'npy',
)  # fmt: skip
NUM = int(os.environ.get('WGAN_JAX_FUZZ', '200'))
# A whole picture of the seeds takes kilobytes. The limit on decoded sizes is lowered below, so that pictures within it
# are quick; what is above the limit on memory, then, was not refused before it was taken.
MAX_DECODED = 2**25
MAX_MEMORY = 2**28
MAX_SECONDS = 5.0


def _pixels(shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def _seeds(kind):
    """Small whole files of a kind."""
    from PIL import Image, PngImagePlugin, features

    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, 'somebody'
    grey, colour = Image.fromarray(_pixels((7, 9))), Image.fromarray(_pixels((21, 18, 3)))
    alpha = Image.fromarray(_pixels((7, 9, 4)))
    text = PngImagePlugin.PngInfo()
    text.add_text('a', 'b' * 50, zip=True)
    text.add_itxt('c', 'd', 'en', 'e', zip=True)
    deep = Image.fromarray(_pixels((7, 9), np.uint16))
    palette = colour.quantize(7)
    moving = {'save_all': True, 'append_images': [colour.transpose(Image.Transpose.FLIP_LEFT_RIGHT)], 'duration': 9}
    saved = {
        'png': [(grey, 'PNG', {}), (colour, 'PNG', {'pnginfo': text, 'exif': exif, 'dpi': (9, 9)})],
        'png16': [(deep, 'PNG', {}), (deep, 'PNG', {'transparency': 5})],
        'png_palette': [(palette, 'PNG', {'transparency': b'\0\x40\xff'}), (palette, 'PNG', {'transparency': 3})],
        'png_alpha': [(alpha, 'PNG', {'exif': exif, 'icc_profile': bytes(200)}), (alpha.convert('LA'), 'PNG', {}),
                      (colour, 'PNG', moving)],
        'jpeg': [(colour, 'JPEG', {'exif': exif, 'icc_profile': bytes(200), 'comment': b'x'}), (grey, 'JPEG', {}),
                 (colour, 'JPEG', {'progressive': True}), (colour.convert('CMYK'), 'JPEG', {}),
                 (colour, 'MPO', moving), (colour.resize((80, 50)), 'JPEG', {'exif': exif}),
                 (colour.resize((80, 50)), 'JPEG', {'progressive': True})],
        'webp': [(alpha, 'WEBP', {'exif': exif}), (alpha, 'WEBP', {'lossless': True}), (colour, 'WEBP', moving)],
        'gif': [(palette, 'GIF', {'transparency': 2}), (palette, 'GIF', {'interlace': 0, 'comment': b'x' * 300}),
                (colour, 'GIF', moving)],
        'bmp': [(colour, 'BMP', {}), (palette, 'BMP', {}), (grey.convert('1'), 'BMP', {}), (alpha, 'BMP', {}),
                (colour, 'DIB', {})],
        'tiff': [(colour, 'TIFF', {'exif': exif}), (deep, 'TIFF', {}), (palette, 'TIFF', {}), (alpha, 'TIFF', {}),
                 (colour, 'TIFF', {'save_all': True, 'append_images': [grey]})],
        'tiff_packed': [(colour, 'TIFF', {'compression': c}) for c in ('tiff_lzw', 'tiff_adobe_deflate', 'packbits')]
        + [(colour, 'TIFF', {'compression': 'jpeg'}), (grey.convert('1'), 'TIFF', {'compression': 'group4'}),
           (deep, 'TIFF', {'compression': 'tiff_lzw'})],
        'ico': [(alpha.resize((32, 32)), 'ICO', {}), (colour, 'ICO', {'bitmap_format': 'bmp'}),
                (alpha, 'ICO', {'bitmap_format': 'bmp', 'sizes': [(7, 7), (16, 16)]})],
        'tga': [(colour, 'TGA', {}), (alpha, 'TGA', {'compression': 'tga_rle'}), (palette, 'TGA', {}),
                (grey, 'TGA', {'orientation': 1})],
        'others': [(colour, 'PPM', {})]
        + [(colour, 'AVIF', {})] * features.check('avif')
        + [(colour, 'JPEG2000', {})] * features.check('jpg_2000'),
    }  # fmt: skip
    seeds = []
    for image, form, options in saved.get(kind, []):
        buffer = io.BytesIO()
        image.save(buffer, form, **options)
        seeds.append(buffer.getvalue())
    if kind in ('npz', 'npy'):
        points = np.random.default_rng(0).normal(size=(5, 3))
        arrays = points, np.asfortranarray(points).astype('>f4'), (9 * points).astype(np.int16), points.astype(bool)
        for array in arrays:
            buffer = io.BytesIO()
            (np.savez if kind == 'npz' else np.save)(buffer, array)
            seeds.append(buffer.getvalue())
            buffer = io.BytesIO()
            np.savez_compressed(buffer, array)
            seeds += [buffer.getvalue()] * (kind == 'npz')
    return seeds


def _mutate_chunks(data, draw):
    """A PNG with chunks repeated, left out, moved or changed, and the checksums right: what is in them is looked at."""
    start, chunks = 8, []
    while start + 12 <= len(data):
        (length,) = struct.unpack_from('>I', data, start)
        chunks.append([data[start + 4 : start + 8], bytearray(data[start + 8 : start + 8 + length])])
        start += 12 + length
    for _ in range(draw.choice((1, 1, 2, 4))):
        place = draw.randrange(len(chunks))
        change, (name, body) = draw.randrange(5), chunks[place]
        if change == 0:
            chunks.insert(draw.randrange(len(chunks) + 1), [name, bytearray(body)])
        elif change == 1 and len(chunks) > 1:
            del chunks[place]
        elif change == 2:
            chunks.insert(draw.randrange(len(chunks)), chunks.pop(place))
        elif body:
            body[draw.randrange(len(body))] = draw.randrange(256)
            if change == 4:
                del body[draw.randrange(len(body)) :]
    result = data[:8]
    for name, body in chunks:
        result += struct.pack('>I', len(body)) + name + body + struct.pack('>I', zlib.crc32(name + body))
    return result


def _zipped(data):
    """An array's bytes, damaged or not, in a whole zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        archive.writestr('a.npy', data)
    return buffer.getvalue()


def _read(kind, path, seeds):
    """Reads one file, and checks what was read."""
    from wgan_jax.data import folder, synthetic
    from wgan_jax.data.fitting import View

    if kind not in ('npz', 'npy'):
        pixels = folder.read(path, View(4, 6, '3'))
        assert pixels.shape == (4, 6, 3) and pixels.dtype == np.uint8
        return
    points = synthetic.load_points(path)
    assert points.dtype == np.float32 and points.ndim == 2 and np.isfinite(points).all()
    if kind == 'npz':  # its checksums hold: what is read is what was written, whole
        known = []
        for seed in seeds:
            with np.load(io.BytesIO(seed)) as arrays:
                known += [array.astype(np.float32) for array in arrays.values()]
        assert any(np.array_equal(points, array) for array in known)
    else:
        with np.load(path) as arrays:
            (array,) = arrays.values()
        np.testing.assert_array_equal(points, array.astype(np.float32))


def _try_all(folder, num):
    """In the process of its own: every kind's outcomes, a line of JSON each, and where it is, in a file."""
    from wgan_jax.data import reading

    reading.MAX_DECODED = MAX_DECODED
    keep = os.environ.get('WGAN_JAX_FUZZ_KEEP')
    every = {kind: _seeds(kind) for kind in KINDS}
    others = [seed for seeds in every.values() for seed in seeds]
    suffixes = {'npz': 'npz', 'npy': 'npz', 'tga': 'tga'}
    for kind in KINDS:
        draw, outcomes, failures = random.Random(kind), Counter(), []
        slowest, path = 0.0, folder / f'{kind}.{suffixes.get(kind, "png")}'
        (folder / 'where').write_text(kind)
        for seed in every[kind]:  # they are whole
            path.write_bytes(_zipped(seed) if kind == 'npy' else seed)
            try:
                _read(kind, path, every[kind])
            except ValueError as error:
                assert 'truth values' in str(error), error
        peak_memory.forget()
        before = peak_memory.peak()
        for number in range(num):
            seed = draw.choice(every[kind])
            chunks = kind.startswith('png') and draw.random() < 0.5
            data = _mutate_chunks(seed, draw) if chunks else mutate(seed, others, draw)
            path.write_bytes(_zipped(data) if kind == 'npy' else data)
            start, outcome = time.perf_counter(), 'read'
            try:
                _read(kind, path, every[kind])
            except ValueError as error:
                outcome, text = 'refused', str(error)
                if '\n' in text or path.name not in text or 'pickle' in text or not text.isprintable():
                    failures.append(f'{number}: {text!r}')
            except BaseException as error:
                outcome = 'other'
                failures.append(f'{number}: {type(error).__name__} {error}')
            seconds = time.perf_counter() - start
            slowest = max(slowest, seconds)
            if seconds > MAX_SECONDS:
                failures.append(f'{number}: {seconds:.1f} s')
            if keep and failures and failures[-1].startswith(f'{number}:'):
                Path(keep, f'{kind}_{number}').write_bytes(path.read_bytes())
            outcomes[outcome] += 1
        taken = peak_memory.peak() - before
        result = {'kind': kind, **outcomes, 'slowest': round(slowest, 3), 'taken_mb': taken >> 20, 'failures': failures}
        print(json.dumps(result), flush=True)


@pytest.fixture(scope='module')
def outcomes(tmp_path_factory):
    folder = tmp_path_factory.mktemp('fuzz')
    command = [sys.executable, '-P', '-X', 'faulthandler', __file__, str(folder), str(NUM)]
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu'}
    limit = 60 + NUM * len(KINDS) / 20
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit)
    where = (folder / 'where').read_text() if (folder / 'where').exists() else 'none'
    assert done.returncode == 0, f'ended with {done.returncode} at kind {where}: {done.stderr[-2000:]}'
    results = {result['kind']: result for result in map(json.loads, done.stdout.splitlines())}
    for result in results.values():
        print({name: value for name, value in result.items() if name != 'failures'})
    return results, done.stderr


@pytest.mark.parametrize('kind', KINDS)
def test_a_damaged_file_is_refused_in_one_line_or_read(outcomes, kind):
    result = outcomes[0][kind]
    assert not result['failures'], (len(result['failures']), result['failures'][:5])
    assert result['read'] + result['refused'] == NUM
    assert result['read'] and result['refused']  # both are tried
    assert result['taken_mb'] <= MAX_MEMORY >> 20


def test_nothing_is_printed(outcomes):
    assert outcomes[1] == ''


if __name__ == '__main__':
    _try_all(Path(sys.argv[1]), int(sys.argv[2]))
