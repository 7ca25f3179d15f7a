"""The record that a launcher writes first: always that of the results beside it."""

import json

import pytest

from experiments.common.launcher import UsageError, begin, write_results


def _texts(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != '.written.json'}


def test_another_configuration_takes_the_place_of_the_results_before(tmp_path, caplog):
    # Fails if old results stay beside a new record, or the record of the old ones stays beside new results.
    outputs = ('*.npz', 'figure.png')
    first = begin(tmp_path, outputs, launcher='a', flags={'steps': 3})
    for name in ('results.json', 'b.npz', 'figure.png', 'mine.txt'):
        (tmp_path / name).write_text('3')
    again = begin(tmp_path, outputs, launcher='a', flags={'steps': 3})
    assert again == first and len(_texts(tmp_path)) == 5 and not caplog.text
    second = begin(tmp_path, outputs, launcher='a', flags={'steps': 4})
    left = _texts(tmp_path)
    assert set(left) == {'config.json', 'mine.txt'} and left['mine.txt'] == '3'
    assert json.loads(left['config.json']) == second and second['flags'] == {'steps': 4}
    assert 'results of another configuration are removed: results.json, b.npz, figure.png' in caplog.text


def test_files_without_a_record_are_not_replaced(tmp_path):
    (tmp_path / 'figure.png').write_text('mine')
    with pytest.raises(UsageError, match=r'has no config.json, and files that would be replaced \(figure.png\)'):
        begin(tmp_path, ('figure.png',), launcher='a')
    assert _texts(tmp_path) == {'figure.png': 'mine'}


@pytest.mark.parametrize('text', ['', '[1]', '{"launcher": 3}'])
def test_a_damaged_record_is_told_with_what_would_do(text, tmp_path):
    (tmp_path / 'config.json').write_text(text)
    with pytest.raises(ValueError, match='choose another folder, or move it away'):
        begin(tmp_path, (), launcher='a')
    assert _texts(tmp_path) == {'config.json': text}


def test_numbers_that_json_has_not_are_written_all_the_same(tmp_path):
    write_results(tmp_path, {'a': float('nan'), 'b': [1.5, float('-inf')], 'c': {'d': (float('inf'), 2, None, 'x')}})
    text = (tmp_path / 'results.json').read_text()
    assert json.loads(text) == {'a': None, 'b': [1.5, '-inf'], 'c': {'d': ['inf', 2, None, 'x']}}
    assert 'NaN' not in text and 'Inf' not in text
