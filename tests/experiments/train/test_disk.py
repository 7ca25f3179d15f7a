"""A disk that is full in the middle of a run, and two that use one folder, as processes."""

import json
import resource
import sys

import pytest

from tests.experiments.processes import finish, start
from wgan_jax.training.checkpoint import CheckpointStore

FLAGS = ['--preset=wgan_gp', '--arch=mlp', '--image_size=4', '--width=64', '--latent_dim=2', '--batch_size=4',
         '--n_critic=1', '--checkpoint_every=2', '--sample_every=4', '--log_every=1', '--steps=4']  # fmt: skip


def outcome(workdir):
    rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
    numbers = [{k: v for k, v in row.items() if k not in ('seconds', 'images_per_second')} for row in rows]
    arrays = {name: a.tobytes() for name, a in CheckpointStore(workdir / 'checkpoints').choose().arrays.items()}
    return numbers, arrays, (workdir / 'samples' / 'step_00000004.png').read_bytes()


@pytest.mark.slow  # every day, failing writes of one process are tried one by one
@pytest.mark.skipif(sys.platform != 'linux', reason='limits of another process can be set on Linux only')
def test_a_write_that_fails_ends_with_status_1_and_one_line_and_the_command_continues(tmp_path, monkeypatch):
    straight = start('train', *FLAGS, f'--workdir={tmp_path / "straight"}')
    with monkeypatch.context() as patch:
        patch.setenv('JAX_ENABLE_COMPILATION_CACHE', 'false')  # which does not write whole files or none
        full = start('train', *FLAGS, f'--workdir={tmp_path / "full"}')
    # No file may grow past this: the arrays of a checkpoint do, and TensorStore writes them.
    resource.prlimit(full.pid, resource.RLIMIT_FSIZE, (20_000, 20_000))
    code, _, err = finish(full)
    assert code == 1, err
    (line,) = err.splitlines()
    assert line.startswith('train: stopped: cannot write') and '/checkpoints/2: ' in line and 'same command' in line
    assert finish(straight)[0] == 0
    code, _, err = finish(start('train', *FLAGS, f'--workdir={tmp_path / "full"}'))
    assert code == 0 and not err, err
    assert outcome(tmp_path / 'full') == outcome(tmp_path / 'straight')
    both = [start('sample', f'--workdir={tmp_path / "full"}', '--num=500', f'--seed={seed}') for seed in (1, 2)]
    answers = sorted(finish(process) for process in both)
    assert [code for code, _, _ in answers] in ([0, 2], [0, 0])  # the second may come when the first has ended
    if answers[1][0] == 2:
        assert answers[1][2].startswith('sample: workdir ') and 'is in use by another process' in answers[1][2]
    assert len(list((tmp_path / 'full' / 'sample' / 'images').iterdir())) == 500
