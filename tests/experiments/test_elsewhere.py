"""Where a launcher runs when not here: processes as one run, and what Slurm and a TPU pod are told, with stand-ins."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.common import elsewhere
from experiments.common.elsewhere import Place, job_script, read_flags

ROOT = Path(__file__).resolve().parents[2]
TINY = ('--width=2', '--image_size=16', '--batch_size=8', '--sample_every=1000', '--log_every=1')


def _begin(*arguments, **environment):
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu', **environment}
    command = [sys.executable, '-P', '-m', 'experiments', *arguments]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _call(*arguments, **environment):
    process = _begin(*arguments, **environment)
    out, err = process.communicate(timeout=400)
    return process.returncode, out, err


def _stand_in(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f'#!/bin/bash\n{text}\n')
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--local_processes=0'], "--local_processes='0' cannot be used"),
        (['--local_processes'], '--local_processes takes a value'),
        (['--slurm=yes'], '--slurm takes no value'),
        (['--slurm', '--slurm'], '--slurm is given twice'),
        (['--slurm', '--tpu=a', '--zone=b'], '--slurm and --tpu are two places'),
        (['--local_processes=2', '--nodes=2'], '--nodes has no effect without --slurm'),
        (['--zone=b'], '--zone has no effect without --tpu'),
        (['--tpu=a'], '--tpu takes --zone'),
        (['--slurm', '--time=1h;rm'], "--time='1h;rm' cannot be used"),
        (['--slurm', '--partition=a\n#SBATCH'], '--partition='),
    ],
)
def test_places_that_cannot_be_are_refused(arguments, message):
    # Fails, too, for a value that would become a line of its own in a job.
    assert all(map(elsewhere.is_flag, arguments)) and not elsewhere.is_flag('--seed=1')
    with pytest.raises(ValueError) as refusal:
        read_flags(arguments)
    assert message in str(refusal.value) and '\n' not in str(refusal.value)


def test_what_does_not_go_together_is_one_line_and_status_2(tmp_path):
    for arguments, message in (
        (['--local_processes=2', 'toy'], 'toy runs in one process: only train goes with --local_processes'),
        (['--slurm', 'train', '--num_processes=3'], '--num_processes has no effect with --slurm, which chooses it'),
        (['--slurm', 'train'], 'there is no sbatch here: --dry_run prints what would run'),
        (['--tpu=a', '--zone=b'], 'there is no gcloud here'),
    ):
        code, out, err = _call(*arguments, PATH=str(tmp_path))
        assert (code, out) == (2, '') and err.startswith('launch.sh: ') and message in err and err.count('\n') == 1


def test_a_dry_run_prints_the_commands_and_runs_nothing(tmp_path):
    workdir = tmp_path / 'my run'
    code, out, _ = _call('--dry_run', 'toy', f'--workdir={workdir}')
    assert code == 0 and shlex.split(out)[1:] == ['-P', '-m', 'experiments.toy', f'--workdir={workdir}']
    code, out, _ = _call('--dry_run', '--local_processes=3', f'--workdir={workdir}')
    commands = [shlex.split(line) for line in out.splitlines()]
    assert code == 0 and [command[-1] for command in commands] == [f'--process_id={i}' for i in range(3)]
    assert len({tuple(command[:-1]) for command in commands}) == 1 and not workdir.exists()
    assert commands[0][3:5] == ['experiments.train', f'--workdir={workdir}'] and '--num_processes=3' in commands[0]


def test_gpus_are_shared_out(tmp_path, monkeypatch):
    # Fails if two processes get the same GPU, or if a number that they cannot share is rounded down.
    monkeypatch.setenv('JAX_PLATFORMS', 'cuda,cpu')
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    _stand_in(tmp_path / 'bin', 'nvidia-smi', 'for i in 0 1 2 3; do echo "GPU $i: a card"; done')
    monkeypatch.setenv('PATH', f'{tmp_path / "bin"}:{os.environ["PATH"]}')
    assert [share['CUDA_VISIBLE_DEVICES'] for share in elsewhere._gpus(2)] == ['0,1', '2,3']
    with pytest.raises(ValueError, match='--local_processes=3 cannot share 4 GPUs evenly'):
        elsewhere._gpus(3)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '5,7')
    assert [share['CUDA_VISIBLE_DEVICES'] for share in elsewhere._gpus(2)] == ['5', '7']
    monkeypatch.setenv('JAX_PLATFORMS', 'cpu')
    assert elsewhere._gpus(2) == [{}, {}]


@pytest.mark.parametrize('status, again', [(0, False), (1, False), (143, True)])
def test_a_job_starts_one_process_a_node_and_comes_again_when_its_time_is_over(tmp_path, monkeypatch, status, again):
    # Fails for a flag that is split at its space, an address that differs between nodes, or a job that is queued again
    # though it is done, or has failed.
    seen, bin_folder = tmp_path / 'seen', tmp_path / 'bin'
    _stand_in(bin_folder, 'train', f'printf "%s\\n" "$@" >> {seen}.$SLURM_NODEID; exit {status}')
    _stand_in(bin_folder, 'srun', 'shift; SLURM_NODEID=0 "$@"; SLURM_NODEID=1 "$@"')
    _stand_in(bin_folder, 'scontrol', f'[[ $1 = show ]] && printf "n1\\nn2\\n" || echo "$@" > {tmp_path}/queued')
    monkeypatch.setattr(elsewhere, '_said', lambda: [str(bin_folder / 'train')])
    given = read_flags(['--slurm', '--nodes=2', '--gpus_per_node=8', '--time=1-00:00:00', '--account=us'])
    script = job_script(Place(given, 'train', ['--dataset=folder:/my pictures', '--preset=wgan']))
    asked = [line.partition('--')[2] for line in script.splitlines() if line.startswith('#SBATCH')]
    wanted = {'nodes=2', 'ntasks-per-node=1', 'gpus-per-node=8', 'time=1-00:00:00', 'account=us', 'requeue'}
    assert wanted <= set(asked) and 'signal=TERM@120' in asked
    env = {**os.environ, 'PATH': f'{bin_folder}:{os.environ["PATH"]}', 'SLURM_JOB_ID': '41', 'SLURM_NNODES': '2'}
    done = subprocess.run(['bash'], input=script, env={**env, 'SLURM_JOB_NODELIST': 'n[1-2]'}, text=True, check=False)
    for node in (0, 1):
        flags = Path(f'{seen}.{node}').read_text().splitlines()
        assert flags[:3] == ['train', '--dataset=folder:/my pictures', '--preset=wgan']
        assert flags[3:] == ['--coordinator=n1:20041', '--num_processes=2', f'--process_id={node}']
    assert (tmp_path / 'queued').exists() == again and done.returncode == (0 if again else status)


def test_a_job_is_handed_in_without_what_this_machine_runs_on(tmp_path):
    # Fails if a login node without GPUs tells the nodes to train on their CPUs.
    _stand_in(tmp_path / 'bin', 'sbatch', f'cat > {tmp_path}/job; echo "platforms: $JAX_PLATFORMS."; exit 7')
    code, out, _ = _call('--slurm', 'train', PATH=f'{tmp_path / "bin"}:{os.environ["PATH"]}', JAX_PLATFORMS='cpu')
    assert (code, out) == (7, 'platforms: .\n')
    job = (tmp_path / 'job').read_text()
    assert f'{ROOT}/launch.sh train' in job and job.startswith('#!/bin/bash\n')


def test_every_worker_of_a_pod_is_told_the_same(tmp_path):
    _stand_in(tmp_path / 'bin', 'gcloud', 'printf "%s\\n" "$@"')
    path = f'{tmp_path / "bin"}:{os.environ["PATH"]}'
    code, out, _ = _call('--tpu=pod', '--zone=z-1', 'train', '--dataset=folder:/my pictures', PATH=path)
    assert code == 0 and '--worker=all\n' in out and '--zone=z-1\n' in out
    (command,) = (line for line in out.splitlines() if line.startswith('--command='))
    there = command.removeprefix('--command=').partition(' && ')
    assert there[0] == f'cd {shlex.quote(ROOT.name)}'
    assert shlex.split(there[2]) == ['./launch.sh', 'train', '--distributed', '--dataset=folder:/my pictures']


@pytest.mark.slow
def test_processes_of_this_machine_train_as_one_and_stop_together(tmp_path):
    # Fails if they do not meet, if Ctrl-C reaches one of them twice, which would lose what it has not saved, or if the
    # status is not theirs.
    flags = ('train', *TINY, f'--workdir={tmp_path}', '--devices=1')
    code, out, err = _call('--local_processes=2', *flags, '--steps=3')
    assert code == 0 and 'process 1 of 2: done, 3 steps' in out, err
    assert json.loads((tmp_path / 'config.json').read_text())['run']['num_processes'] == 2
    process = _begin('--local_processes=2', *flags, '--steps=1000000')
    while len((tmp_path / 'metrics.jsonl').read_text().splitlines()) < 6:
        assert process.poll() is None
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130 and 'which is saved' in err, err
    code, out, err = _call('--local_processes=2', *flags, '--steps=3', '--num_devices=x')
    assert code == 2 and err.count('is not a flag') + err.count('Unknown') >= 1


def test_launch_sh_knows_the_same_flags():
    script = (ROOT / 'launch.sh').read_text()
    (known,) = re.findall(r'=~ \^--\(([\w|]+)\)\(=\|\$\) ]]', script)
    assert set(known.split('|')) == set(elsewhere._FLAGS)
    assert all(f'--{name}' in script and f'--{name}' in elsewhere.USAGE for name in elsewhere._FLAGS)
