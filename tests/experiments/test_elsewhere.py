"""Where a launcher runs when not here: processes as one run, and what Slurm and a TPU pod are told, with stand-ins."""

import functools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from experiments.common import elsewhere
from experiments.common.elsewhere import Place, job_script, read_flags

ROOT = Path(__file__).resolve().parents[2]
TINY = ('--width=2', '--image_size=16', '--batch_size=8', '--sample_every=1000', '--log_every=1')


def _begin(*arguments, options=None, **environment):
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu', **environment}
    command = [sys.executable, '-P', '-m', 'experiments', *arguments]
    pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True}
    return subprocess.Popen(command, env=env, **pipes, **(options or {}))


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
        (['--local_processes=0'], '--local_processes takes a number from 1 to 9999, after a =, and not 0'),
        (['--local_processes'], '--local_processes takes a number from 1 to 9999, after a =, and not nothing'),
        (['--slurm=yes'], '--slurm takes no value'),
        (['--slurm', '--slurm'], '--slurm is given twice'),
        (['--slurm', '--tpu=a', '--zone=b'], '--slurm and --tpu are two places'),
        (['--local_processes=2', '--nodes=2'], '--nodes has no effect without --slurm'),
        (['--zone=b'], '--zone has no effect without --tpu'),
        (['--tpu=a'], '--tpu takes --zone'),
        (['--slurm', '--time=1h;rm'], '--time takes HH:MM:SS, or D-HH:MM:SS, after a =, and not 1h;rm'),
        (['--slurm', '--partition=a\n#SBATCH'], '--partition takes a name'),
        (['--slurm', '--time=00:09:59'], '--time=00:09:59 is too short: give at least 10 minutes'),
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
        (['--slurm', '--dry_run', 'train', '--clip=-1'], 'clip=-1'),
        (['--slurm', 'train', '--seeds=0,1'], '--seeds: a run of several is trained by one process'),
        (['train', '--dry_run'], '--dry_run says where to run: it stands before the name of the launcher'),
        (['--tpu=a', '--zone=b'], 'there is no gcloud here'),
    ):
        code, out, err = _call(*arguments, PATH=str(tmp_path))
        assert (code, out) == (2, '') and len(err.splitlines()) == 1 and message in err, (arguments, err)


def test_a_dry_run_prints_the_commands_and_runs_nothing(tmp_path):
    workdir = tmp_path / 'my run'
    code, out, _ = _call('--dry_run', 'toy', f'--workdir={workdir}')
    assert code == 0 and shlex.split(out)[-4:] == ['-P', '-m', 'experiments.toy', f'--workdir={workdir}']
    assert subprocess.run(f'{out.strip()} --seed=x', shell=True, capture_output=True, check=False).returncode == 2
    code, out, _ = _call('--dry_run', '--local_processes=3', f'--workdir={workdir}')
    commands = [shlex.split(line) for line in out.splitlines()]
    assert code == 0 and [command[-1] for command in commands] == [f'--process_id={i}' for i in range(3)]
    assert len({tuple(command[:-1]) for command in commands}) == 1 and not workdir.exists()
    assert commands[0][-5:-3] == ['experiments.train', f'--workdir={workdir}'] and '--num_processes=3' in commands[0]


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
    monkeypatch.delenv('JAX_PLATFORMS')  # whatever there is
    assert [share['CUDA_VISIBLE_DEVICES'] for share in elsewhere._gpus(2)] == ['5', '7']
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES')
    monkeypatch.setenv('PATH', str(tmp_path))
    assert elsewhere._gpus(2) == [{}, {}]
    monkeypatch.setenv('JAX_PLATFORMS', 'gpu')
    with pytest.raises(ValueError, match='--local_processes=2 cannot share 0 GPUs evenly'):
        elsewhere._gpus(2)


@pytest.mark.parametrize('status, again', [(0, False), (1, False), (143, True)])
def test_a_job_starts_one_process_a_node_and_comes_again_when_its_time_is_over(tmp_path, monkeypatch, status, again):
    # Fails for a flag that is split at its space, an address that differs between nodes, or a job that is queued again
    # though it is done, or has failed.
    seen, bin_folder = tmp_path / 'seen', tmp_path / 'bin'
    _stand_in(bin_folder, 'train', f'printf "%s\\n" "$@" >> {seen}.$SLURM_NODEID; exit {status}')
    _stand_in(bin_folder, 'srun', 'shift; SLURM_NODEID=0 "$@"; SLURM_NODEID=1 "$@"')
    _stand_in(bin_folder, 'scontrol', f'[[ $1 = show ]] && printf "n1\\nn2\\n" || echo "$@" > {tmp_path}/queued')
    monkeypatch.setattr(elsewhere, '_entry', lambda: [str(bin_folder / 'train')])
    given = read_flags(['--slurm', '--nodes=2', '--gpus_per_node=8', '--time=1-00:00:00', '--account=us'])
    script = job_script(Place(given, 'train', ['--dataset=folder:/my pictures', '--preset=wgan']))
    asked = [line.partition('--')[2] for line in script.splitlines() if line.startswith('#SBATCH')]
    wanted = {
        'nodes=2',
        'ntasks-per-node=1',
        'cpus-per-task=64',
        'gpus-per-node=8',
        'time=1-00:00:00',
        'account=us',
        'requeue',
    }
    assert wanted <= set(asked) and 'signal=TERM@120' in asked and 'SRUN_CPUS_PER_TASK=64\n' in script
    env = {**os.environ, 'PATH': f'{bin_folder}:{os.environ["PATH"]}', 'SLURM_JOB_ID': '41', 'SLURM_NNODES': '2'}
    env['SLURM_JOB_NODELIST'] = 'n[1-2]'
    done = subprocess.run(['bash'], input=script, env=env, text=True, check=False)
    for node in (0, 1):
        flags = Path(f'{seen}.{node}').read_text().splitlines()
        assert flags[:3] == ['train', '--dataset=folder:/my pictures', '--preset=wgan']
        assert flags[3:] == ['--coordinator=n1:10041', '--num_processes=2', f'--process_id={node}']
    assert (tmp_path / 'queued').exists() == again and done.returncode == (0 if again else status)
    (tmp_path / 'queued').unlink(missing_ok=True)
    done = subprocess.run(['bash'], input=script, env={**env, 'SLURM_RESTART_COUNT': '100'}, text=True, check=False)
    assert done.returncode == status and not (tmp_path / 'queued').exists()


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


@pytest.fixture
def started():
    """Starts ``python -m experiments`` in a session of its own, as a terminal's shell does, and ends what is left.

    SIGINT is ignored there at first, as in what a script starts in the background.
    """
    processes = []

    def start(*arguments):
        ignored = functools.partial(signal.signal, signal.SIGINT, signal.SIG_IGN)
        processes.append(_begin(*arguments, options={'start_new_session': True, 'preexec_fn': ignored}))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


@pytest.mark.slow
def test_processes_of_this_machine_train_as_one_and_stop_together(tmp_path, started):
    # Fails if they do not meet, if Ctrl-C, which goes to the whole group of the terminal, reaches one of them twice,
    # which would lose what it has not saved, if it is ignored by who passes it on, or if the status is not theirs.
    flags = ('--local_processes=2', 'train', *TINY, f'--workdir={tmp_path}', '--devices=1')
    code, out, err = _call(*flags, '--steps=3')
    assert code == 0 and 'process 1 of 2: done, 3 steps' in out, err
    assert json.loads((tmp_path / 'config.json').read_text())['run']['num_processes'] == 2
    process, end = started(*flags, '--steps=1000000'), time.monotonic() + 240
    while len((tmp_path / 'metrics.jsonl').read_text().splitlines()) < 6:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130 and 'which is saved' in err, err


@pytest.fixture
def run_locally(monkeypatch):
    """``run_locally(*codes)``: the status of a run of two processes that do these instead, lines of Python."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def run(*codes):
        commands = [[sys.executable, '-c', f'import os, signal, time; {code}'] for code in codes]
        monkeypatch.setattr(elsewhere.subprocess, 'Popen', _scripted(commands))
        monkeypatch.setattr(elsewhere, '_require_usable', lambda place: None)
        return elsewhere.run(Place({'local_processes': '2'}, 'train', []))

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize('handler', ['SIG_DFL', 'SIG_IGN'])
def test_a_process_that_fails_leaves_none_behind(monkeypatch, run_locally, handler):
    # Fails if the other one is waited for as long as it waits itself.
    monkeypatch.setattr(elsewhere, '_SOON', 0.5)
    monkeypatch.setattr(elsewhere, '_LEFT_BEHIND', 3.0)
    began = time.monotonic()
    assert run_locally('raise SystemExit(7)', f'signal.signal(15, signal.{handler}); time.sleep(300)') == 7
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    'codes, status, said',
    [
        (('os.kill(os.getpid(), 9)', 'os._exit(1)'), 1, True),
        (('os._exit(1)', 'os.kill(os.getpid(), 9)'), 1, True),
        (('os._exit(1)', 'os.abort()'), 1, True),
        (('os.kill(os.getpid(), 9)', 'os.kill(os.getpid(), 15)'), 1, True),
        (('os._exit(2)', 'os._exit(2)'), 2, False),
        (('os._exit(143)', 'os._exit(143)'), 143, False),
    ],
)
def test_the_status_does_not_depend_on_which_process_was_lost(capsys, run_locally, codes, status, said):
    # Fails, too, if a command that all have refused is said to go on.
    assert run_locally(*codes) == status
    assert ('the same command goes on' in capsys.readouterr().err) == said


def test_a_second_signal_ends_all_at_once_with_its_status(capsys, run_locally):
    def press():
        for _ in range(2):
            time.sleep(1)
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    assert run_locally(*['signal.signal(2, signal.SIG_IGN); time.sleep(300)'] * 2) == 130
    thread.join()
    assert 'interrupted by SIGINT' in capsys.readouterr().err


def _scripted(commands):
    """``subprocess.Popen`` that starts these, one after the other, whatever it is asked for."""
    popen, left = subprocess.Popen, list(commands)
    return lambda command, **options: popen(left.pop(0), **options)


def test_launch_sh_knows_the_same_flags():
    script = (ROOT / 'launch.sh').read_text()
    (known,) = re.findall(r"of_places='\^--\(([\w|]+)\)'", script)
    assert set(known.split('|')) == set(elsewhere._FLAGS)
    assert all(f'--{name}' in script and f'--{name}' in elsewhere.USAGE for name in elsewhere._FLAGS)
