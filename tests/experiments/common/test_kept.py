"""Parts of a launcher's work that are kept: the same part has the same file, and a damaged one is made anew."""

import numpy as np
import pytest

from experiments.common import kept

SHAPE = {'share': float, 'names': [str]}


def _write(folder, **record):
    path = kept.place(folder, 'parts', 'a (b=1)', '2x4', {'seed': 0, **record})
    kept.write(path, {'share': 0.1, 'names': ['x']}, {'curve': np.array([1.5, np.nan]), 'empty': np.zeros((0, 2))})
    return path


def test_what_is_read_is_what_was_written(tmp_path):
    kept.prepare(tmp_path, 'parts')
    path = _write(tmp_path)
    result, arrays = kept.read(path, SHAPE, ['curve', 'empty'])
    assert result == {'share': 0.1, 'names': ['x']} and arrays['empty'].shape == (0, 2)
    np.testing.assert_array_equal(arrays['curve'], [1.5, np.nan])
    assert kept.read(tmp_path / 'parts' / 'none.npz', SHAPE, []) is None


def test_whatever_decides_the_numbers_tells_parts_apart(tmp_path):
    # Fails if a part of another seed is taken for this one, or if the order in which a record is written matters.
    kept.prepare(tmp_path, 'parts')
    first, other = _write(tmp_path), _write(tmp_path, seed=1)
    assert first != other and first.name.startswith('a__b=1__2x4_') and len(list((tmp_path / 'parts').iterdir())) == 2
    assert kept.place(tmp_path, 'parts', 'a (b=1)', '2x4', {'seed': 0}) == first
    orders = ({'seed': 0, 'rate': 0.5}, {'rate': 0.5, 'seed': 0})
    assert len({kept.digest_of(record) for record in orders}) == 1


@pytest.mark.parametrize('name', ['result.npy', 'curve.npy'])
def test_a_damaged_part_is_made_anew(tmp_path, name, caplog):
    kept.prepare(tmp_path, 'parts')
    path = _write(tmp_path)
    content = bytearray(path.read_bytes())
    content[content.index(name.encode()) + len(name) + 140] ^= 0xFF  # past the headers of ZIP and NumPy
    path.write_bytes(content)
    found = kept.read(path, SHAPE, ['curve', 'empty'])
    assert found is None and 'is made anew' in caplog.text
    path.write_bytes(b'')
    assert kept.read(path, SHAPE, []) is None


def test_another_part_s_file_is_not_taken_for_it(tmp_path, caplog):
    kept.prepare(tmp_path, 'parts')
    path, other = _write(tmp_path), _write(tmp_path, seed=1)
    path.write_bytes(other.read_bytes())
    assert kept.read(path, SHAPE, ['curve']) is None and 'is made anew' in caplog.text


def test_what_a_part_lacks_is_damage_too(tmp_path):
    # Fails if an older part without a number that is read today ends the launcher.
    kept.prepare(tmp_path, 'parts')
    path = _write(tmp_path)
    assert kept.read(path, {**SHAPE, 'seconds': float}, ['curve']) is None
    assert kept.read(path, SHAPE, ['other']) is None
