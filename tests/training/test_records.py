"""metrics.jsonl after crashes: every step once, nothing past the checkpoint, torn lines dropped."""

import json

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


def test_a_last_line_without_its_newline_gets_one(tmp_path):
    path = tmp_path / 'metrics.jsonl'
    path.write_text(_lines(1, 2).rstrip('\n'))
    log = MetricsLog(path, step=2)
    log.append([{'step': 3}])
    log.close()
    assert [row['step'] for row in read_metrics(path)] == [1, 2, 3]


def test_starting_over_empties_the_file(tmp_path):
    path = tmp_path / 'metrics.jsonl'
    path.write_text(_lines(1, 2))
    MetricsLog(path, step=0).close()
    assert path.read_text() == ''
