"""The flags: the right files, and how they look at the sizes a generator works at."""

import hashlib
import shlex
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wgan_jax.data import flags, load

# Codes whose pictures coincide: states and those who fly their flag.
SHARED = [
    {'au', 'hm'},
    {'bq', 'nl'},
    {'bv', 'no', 'sj'},
    {'fr', 'gf', 'mq'},
    {'gp', 'mf', 'pm', 're', 'yt'},  # France again, drawn with a thinner border line
    {'gb', 'gb-nir', 'sh'},
    {'um', 'us'},
]


@pytest.fixture(scope='module')
def small():
    return flags.load(32, 48)


def flag(images, code):
    return images.pixels[images.names.index(code)]


def test_the_files_are_the_ones_described():
    digest = hashlib.sha256()
    for path in flags.paths():
        digest.update(path.name.encode() + b'\0' + path.read_bytes())
    assert digest.hexdigest() == 'c220c1a1ee23f9bc0028a6bd41a3014f48c8973514f88addb0734268e4add84d'


def test_every_file_has_a_country_and_the_order_is_stable(small):
    assert len(small.names) == 256 and small.pixels.shape == (256, 32, 48, 3)
    assert list(small.names) == sorted(small.names)
    assert set(small.names) == set(flags.countries())
    assert flags.countries()['fr'] == 'France'
    assert flags.load(32, 48).fingerprint == small.fingerprint != flags.load(32, 32).fingerprint


def test_who_shares_a_flag(small):
    groups = defaultdict(set)
    for code, pixels in zip(small.names, small.pixels, strict=True):
        groups[pixels.tobytes()].add(code)
    assert sorted(map(sorted, (group for group in groups.values() if len(group) > 1))) == sorted(map(sorted, SHARED))
    # Indonesia and Monaco differ by a shade and their proportions; stretched, they nearly coincide.
    nearly = np.abs(flag(small, 'id').astype(int) - flag(small, 'mc')).mean()
    assert 0 < nearly < 2


@pytest.mark.parametrize('size', [(32, 48), (64, 96), (32, 32)])
def test_france_is_three_sharp_bands(size):
    france = flag(flags.load(*size), 'fr')
    assert np.abs(france.astype(int) - france[:1]).max() == 0  # every row alike
    colours, width = france[0].astype(int), size[1]
    blue, white, red = colours[: width // 3], colours[width // 3 + 1 : 2 * width // 3], colours[2 * width // 3 + 1 :]
    for band, expected in ((blue, (0, 33, 150)), (white, (255, 255, 255)), (red, (240, 40, 55))):
        assert np.abs(band - expected).max() < 30
        assert np.abs(band - band[len(band) // 2]).max() <= 1  # no ringing beside the edges


def test_nepal_keeps_its_shape_on_white(small):
    nepal = flag(small, 'np').astype(int)
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1), (16, 2), (16, -3)):
        np.testing.assert_array_equal(nepal[corner], [255, 255, 255])
    rows, columns = np.where(np.abs(nepal - 255).sum(axis=-1) > 60)
    proportion = (np.ptp(rows) + 1) / (np.ptp(columns) + 1)
    assert proportion == pytest.approx(305 / 250, rel=0.06)
    assert np.abs((columns.min() + columns.max()) / 2 - 23.5) <= 1.0


def test_only_nepal_is_cut_out(small):
    cut = [path.stem for path in flags.paths() if np.asarray(Image.open(path).convert('RGBA'))[..., 3].min() < 128]
    assert cut == ['np']


def test_borders_are_not_whitened(small):
    # Germany's and Austria's last rows, gold and red; Austria's is part transparent in the file.
    for code, colour in (('de', (255, 206, 0)), ('at', (237, 41, 57))):
        assert np.abs(flag(small, code)[-1].astype(int) - colour).max() < 12
    np.testing.assert_allclose(flag(small, 'jp')[0, 0], [255, 255, 255])
    assert np.abs(flag(small, 'jp')[16, 24].astype(int) - (188, 0, 45)).max() < 10


def test_grey_is_one_channel():
    assert flags.load(8, 12, 1).pixels.shape == (256, 8, 12, 1)


def test_tfds_builder_round_trip(tmp_path):
    tfds = pytest.importorskip('tensorflow_datasets', reason='tensorflow-datasets is not installed')
    pytest.importorskip('array_record', reason='array-record is not installed')

    # By the command that the refusal names.
    with pytest.raises(ValueError, match=r'national_flags.* is not prepared in .*; run: python -c ') as caught:
        load('national_flags', 32, 48, data_dir=tmp_path)
    command = shlex.split(str(caught.value).partition('; run: ')[2])
    subprocess.run([sys.executable, *command[1:]], check=True, cwd=Path(__file__).parents[2], capture_output=True)
    source = tfds.data_source('national_flags', data_dir=tmp_path, split='train')
    assert len(source) == 256
    seen = {}
    for place in range(len(source)):
        example = source[place]
        seen[example['code'].decode() if isinstance(example['code'], bytes) else example['code']] = example['image']
    for path in flags.paths():
        np.testing.assert_array_equal(seen[path.stem], np.asarray(Image.open(path).convert('RGBA')))
    assert load('national_flags', 32, 48, data_dir=tmp_path).pixels.shape == (256, 32, 48, 3)


def test_splits_are_fixed_and_share_nothing():
    # Fails if a split depends on anything, or a flag in one has a twin in the other.
    whole, train, test = (load(name, 32, 48) for name in ('flags', 'flags:train', 'flags:test'))
    assert len(train.names) == 230 and len(test.names) == 26 and set(train.names) | set(test.names) == set(whole.names)
    assert whole.classes == train.classes == test.classes
    for part in (train, test):
        for name, label, pixels in zip(part.names, part.labels, part.pixels, strict=True):
            place = whole.names.index(name)
            assert whole.labels[place] == label and (whole.pixels[place] == pixels).all()
    assert not any(group & set(test.names) for group in SHARED)
    thumbs = [part.pixels.reshape(-1, 16, 2, 24, 2, 3).mean((2, 4)).reshape(-1, 16 * 24 * 3) for part in (train, test)]
    nearest = np.sqrt(np.square(thumbs[1][:, None] - thumbs[0]).mean(-1)).min(1)
    assert nearest.min() > 0.06 * 255
    with pytest.raises(ValueError, match="the flags have no split 'dev'; there are: all, train, test"):
        load('flags:dev', 32, 48)
