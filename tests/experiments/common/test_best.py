"""A better checkpoint that is kept is spoken of, once there is one."""

import json
import logging

from experiments.common.best import say_of_best
from tests.export.untrained import untrained

MLP = {'arch': 'mlp', 'critic_norm': 'none'}


def _evaluated(workdir, **evaluations):
    rows = [{'step': int(step[1:]), 'evaluation': value} for step, value in evaluations.items()]
    (workdir / 'metrics.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))


def test_a_better_checkpoint_is_named(tmp_path, caplog, monkeypatch):
    # Fails if a higher distance is taken for the better one, or if a step is named that is no longer kept.
    monkeypatch.setattr(logging.getLogger('wgan_jax'), 'propagate', True)
    for step in (5, 9):
        untrained(tmp_path, step=step, **MLP)
    say_of_best(tmp_path, 9)  # of a run without metrics
    _evaluated(tmp_path, s5=0.2, s9=0.1)
    say_of_best(tmp_path, 9)
    _evaluated(tmp_path, s3=0.05, s9=0.1)
    say_of_best(tmp_path, 9)
    assert not caplog.records
    _evaluated(tmp_path, s5=0.1, s9=0.2)
    say_of_best(tmp_path, 9)
    (record,) = caplog.records
    assert record.getMessage() == 'step 9 is the newest; by --evaluate_every step 5 was the best: --step=5'
