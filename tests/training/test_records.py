"""metrics.jsonl after crashes: every step once, nothing past the checkpoint, torn lines dropped."""

import json
import os

import pytest

from wgan_jax.training.records import MetricsLog, read_metrics


def _lines(*steps):
    return ''.join(json.dumps({'step': s, 'loss': s / 7}) + '\n' for s in steps)


def test_opening_drops_what_lies_past_the_checkpoint_and_a_torn_line(tmp_path):
    path = tmp_path / 'metrics.jsonl'
    path.write_text(_lines(1, 2, 3, 4) + '{"step": 5, "lo')
    log = MetricsLog(path, step=3)
    log.append([{'step': 4, 'loss': 0.5}])
    log.sync()
    log.close()
    assert path.read_text() == _lines(1, 2, 3) + '{"step": 4, "loss": 0.5}\n'


def test_a_complete_file_is_not_rewritten(tmp_path):
    path = tmp_path / 'metrics.jsonl'
    path.write_text(_lines(1, 2))
    inode = path.stat().st_ino
    MetricsLog(path, step=2).close()
    assert path.stat().st_ino == inode and [row['step'] for row in read_metrics(path)] == [1, 2]


def test_a_snapshot_of_links_does_not_grow(tmp_path):
    path = tmp_path / 'metrics.jsonl'
    path.write_text(_lines(1, 2))
    os.link(path, tmp_path / 'snapshot')
    log = MetricsLog(path, step=2)
    log.append([{'step': 3, 'loss': 0.5}])
    log.close()
    assert [row['step'] for row in read_metrics(path)] == [1, 2, 3]
    assert (tmp_path / 'snapshot').read_text() == _lines(1, 2)


def test_a_last_line_without_its_newline_gets_one(tmp_path):
    path = tmp_path / 'metrics.jsonl'
    path.write_text(_lines(1, 2).rstrip('\n'))
    log = MetricsLog(path, step=2)
    log.append([{'step': 3, 'loss': 1}])
    log.close()
    assert [row['step'] for row in read_metrics(path)] == [1, 2, 3]


def test_starting_over_empties_the_file(tmp_path):
    path = tmp_path / 'metrics.jsonl'
    path.write_text(_lines(1, 2))
    MetricsLog(path, step=0).close()
    assert path.read_text() == ''


DAMAGED = {
    'torn in the middle': lambda lines: [*lines[:2], lines[2][:9], *lines[3:]],
    'not UTF-8': lambda lines: [*lines[:2], b'{"step": 3, "loss": "\xff"}', *lines[3:]],
    'a key is missing': lambda lines: [*lines[:2], b'{"step": 3}', *lines[3:]],
    'a step of letters': lambda lines: [*lines[:2], lines[2].replace(b'3', b'"3"', 1), *lines[3:]],
    'a step too large': lambda lines: [*lines[:2], lines[2].replace(b'3', b'93', 1), *lines[3:]],
    'not finite': lambda lines: [*lines[:2], b'{"step": 3, "loss": NaN}', *lines[3:]],
    'in UTF-16': lambda lines: [*lines[:2], lines[2].decode().encode('utf-16'), *lines[3:]],
    'with a byte order mark': lambda lines: [*lines[:2], b'\xef\xbb\xbf' + lines[2], *lines[3:]],
    'nested': lambda lines: [*lines[:2], b'[' * 10_000, *lines[3:]],
    'twice': lambda lines: [*lines[:4], lines[3], *lines[4:]],
}


@pytest.mark.parametrize('damage', DAMAGED)
def test_one_damaged_line_costs_one_line_and_is_kept_aside(damage, tmp_path, caplog):
    path, lines = tmp_path / 'metrics.jsonl', _lines(1, 2, 3, 4, 5, 6).encode().splitlines()
    content = b'\n'.join(DAMAGED[damage](lines)) + b'\n'
    path.write_bytes(content)
    log = MetricsLog(path, step=5)
    log.close()
    steps = [1, 2, 3, 4, 5] if damage == 'twice' else [1, 2, 4, 5]
    assert log.last == 5 and path.read_text() == _lines(*steps)
    assert [row['step'] for row in read_metrics(path)] == steps
    assert 'metrics.jsonl: 1 damaged line left out' in caplog.text
    assert (tmp_path / 'damaged' / 'metrics.jsonl').read_bytes() == content


def test_a_newer_version_may_write_more_even_in_one_line_only(tmp_path, caplog):
    path = tmp_path / 'metrics.jsonl'
    rows = [{'step': step, 'loss': 1.0} for step in (1, 2)] + [{'step': 3, 'loss': 1.0, 'diversity': None}]
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    MetricsLog(path, 3).close()
    assert read_metrics(path) == rows and not caplog.records


def test_line_ends_of_another_system_are_no_damage(tmp_path, caplog):
    path = tmp_path / 'metrics.jsonl'
    path.write_bytes(_lines(1, 2, 3).replace('\n', '\r\n').encode())
    MetricsLog(path, step=3).close()
    assert path.read_bytes() == _lines(1, 2, 3).encode() and not caplog.text


def test_a_folder_in_its_place_is_moved(tmp_path, caplog):
    (tmp_path / 'metrics.jsonl').mkdir()
    MetricsLog(tmp_path / 'metrics.jsonl', step=0).close()
    assert (tmp_path / 'metrics.jsonl').is_file() and 'something else stands where a file belongs' in caplog.text
