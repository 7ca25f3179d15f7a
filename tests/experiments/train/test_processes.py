"""Several processes as one run: the same bits as one process, and nobody left behind whatever happens to one."""

import json
import os
import resource
import signal
import socket
import sys
import time

import numpy as np
import pytest

from tests.experiments.processes import finish, start
from wgan_jax.training.step import Metrics

TINY = ('--width=2', '--image_size=16', '--batch_size=8', '--sample_every=1000', '--log_every=1')


_started = []


@pytest.fixture(autouse=True)
def _nobody_is_left():
    """Kills what a test that failed has left, processes that are stopped too."""
    yield
    for process in _started:
        process.kill()
        process.wait()
    _started.clear()


def _start(count, devices, *flags, last=()):
    """Processes, of which the last one gets further flags."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
    common = (f'--coordinator=127.0.0.1:{port}', f'--num_processes={count}', f'--devices={devices}', '--heartbeat=10')
    processes = [
        start('train', *common, f'--process_id={i}', *TINY, *flags, *(last if i == count - 1 else ()))
        for i in range(count)
    ]
    _started.extend(processes)
    return processes


def _together(count, devices, *flags):
    """(exit status, stdout, stderr) of each process."""
    return [finish(process) for process in _start(count, devices, *flags)]


def _alone(devices, *flags):
    code, _, err = finish(start('train', f'--devices={devices}', *TINY, *flags))
    assert code == 0, err


def _metrics(workdir):
    rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
    return [{name: row[name] for name in ('step', *Metrics._fields)} for row in rows]


def _wait_for(path, seconds=240):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f'{path} has not come'
        time.sleep(0.1)


def test_two_processes_train_as_one_and_are_continued_by_one(tmp_path):
    # Fails if a process draws another's examples, if averages are of its own devices only, if processes disagree about
    # how many steps a call has, or if a checkpoint is of one of them only. A sum of two has one order: the same bits.
    _alone(2, '--steps=6', f'--workdir={tmp_path / "one"}')
    answers = _together(2, 1, '--steps=3', f'--workdir={tmp_path / "two"}')
    assert [code for code, _, _ in answers] == [0, 0], answers
    assert 'process 1 of 2: done, 3 steps' in answers[1][1] and 'Done in' not in answers[1][1]
    config = json.loads((tmp_path / 'two' / 'config.json').read_text())
    assert config['run']['num_processes'] == 2 and config['run']['num_devices'] == 2
    _alone(2, '--steps=6', f'--workdir={tmp_path / "two"}')
    config = json.loads((tmp_path / 'two' / 'config.json').read_text())
    assert [(one['from_step'], one['num_processes']) for one in config['layouts']] == [(0, 2), (3, 1)]
    assert _metrics(tmp_path / 'two') == _metrics(tmp_path / 'one') and len(_metrics(tmp_path / 'one')) == 6


def test_processes_started_differently_are_refused_by_all(tmp_path):
    # Fails if one of them begins, or if it is left waiting for the other.
    processes = _start(2, 1, '--steps=3', f'--workdir={tmp_path / "run"}', last=['--critic_lr=0.25'])
    answers = [finish(process) for process in processes]
    line = 'train: process 1 was not started as process 0 was: critic_lr: 0.25 instead of 0.001'
    assert [(code, err.strip().splitlines()[-1]) for code, _, err in answers] == [(2, line)] * 2
    assert not (tmp_path / 'run').exists()


@pytest.mark.slow
@pytest.mark.parametrize('count, devices', [(2, 2), pytest.param(4, 1, marks=pytest.mark.long)])
@pytest.mark.parametrize('options', [(), ('--data_path=stream',), ('--preset=r3gan', '--arch=dcgan', '--latent_dim=4')])
def test_more_layouts_train_as_one(tmp_path, count, devices, options):
    # Sums of four have more than one order: the first step agrees to rounding.
    _alone(4, '--steps=2', f'--workdir={tmp_path / "one"}', *options)
    answers = _together(count, devices, '--steps=2', f'--workdir={tmp_path / "many"}', *options)
    assert [code for code, _, _ in answers] == [0] * count, answers
    for one, many in zip(_metrics(tmp_path / 'one'), _metrics(tmp_path / 'many'), strict=True):
        for name, value in one.items():
            if isinstance(value, float):
                np.testing.assert_allclose(many[name], value, rtol=2e-3, atol=1e-5)


@pytest.mark.slow
def test_a_signal_to_both_stops_both_once(tmp_path):
    # Fails if the signal of another process makes the first one of this process the second, which does not wait. Which
    # of the two process 0 learns of first is left open here; the tests of what processes say have the other one's.
    processes = _start(2, 1, '--steps=4000', f'--workdir={tmp_path / "run"}', '--checkpoint_every=5')
    _wait_for(tmp_path / 'run' / 'checkpoints' / '5')
    for process in reversed(processes):
        process.terminate()
        time.sleep(0.1)
    answers = [finish(process) for process in processes]
    assert [code for code, _, _ in answers] == [143] * 2 and all('which is saved' in err for _, _, err in answers), (
        answers
    )


@pytest.mark.slow
def test_steps_for_a_time_are_those_of_process_0(tmp_path):
    # Fails if a process trains with the decay of noise that it would have chosen itself.
    answers = _together(2, 1, '--minutes=2', f'--workdir={tmp_path / "run"}', '--instance_noise=0.1')
    assert [code for code, _, _ in answers] == [0, 0], answers
    steps = json.loads((tmp_path / 'run' / 'config.json').read_text())['settings']['steps']
    assert f'process 1 of 2: done, {steps} steps' in answers[1][1]
    assert [row['step'] for row in _metrics(tmp_path / 'run')] == list(range(1, steps + 1))


@pytest.mark.slow
@pytest.mark.parametrize('victim', [0, 1])
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_to_one_ends_all_and_the_run_goes_on(tmp_path, victim, number):
    # Fails if the others wait for ever, if a stop is not saved, or if what follows differs from a run without one.
    flags = (f'--workdir={tmp_path / "run"}', '--checkpoint_every=5', '--decay_steps=400')
    processes = _start(2, 1, '--steps=400', *flags)
    _wait_for(tmp_path / 'run' / 'checkpoints' / '5')
    began = time.monotonic()
    os.kill(processes[victim].pid, number)
    answers = [finish(process) for process in processes]
    assert time.monotonic() - began < 60
    if number == signal.SIGKILL:
        assert all(code != 0 for code, _, _ in answers)
        code, _, err = answers[1 - victim]
        if code == -signal.SIGABRT and not victim:  # JAX may be the first to find out that process 0 is gone
            assert 'Terminating process because the JAX distributed service' in err
        else:
            assert f'process {victim} is gone; the same command' in err and code == 1, answers
    else:
        assert [code for code, _, _ in answers] == [128 + number] * 2, answers
        assert all('which is saved' in err for _, _, err in answers)
    steps = 5 + max(int(path.name) for path in (tmp_path / 'run' / 'checkpoints').iterdir() if path.name.isdecimal())
    answers = _together(2, 1, f'--steps={steps}', *flags)
    assert [code for code, _, _ in answers] == [0, 0], answers
    _alone(2, f'--steps={steps}', *flags[1:], f'--workdir={tmp_path / "one"}')
    assert _metrics(tmp_path / 'run') == _metrics(tmp_path / 'one')


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='only there a process is given limits from outside')
def test_what_fails_in_process_0_is_said_by_all(tmp_path):
    # Fails if process 0 waits for the others to leave together, which they do not: JAX aborts it, silent.
    processes = _start(2, 1, '--steps=1000000', '--checkpoint_every=5', f'--workdir={tmp_path / "run"}')
    _wait_for(tmp_path / 'run' / 'checkpoints' / '5')
    resource.prlimit(processes[0].pid, resource.RLIMIT_FSIZE, (1_000, resource.RLIM_INFINITY))
    answers = [finish(process) for process in processes]
    assert [code for code, _, _ in answers] == [1, 1], answers
    assert 'train: stopped: cannot write' in answers[0][2] and 'File too large' in answers[0][2], answers
    assert 'train: stopped: process 0 ended: cannot write' in answers[1][2], answers


@pytest.mark.slow
def test_of_three_only_the_lost_one_is_called_gone(tmp_path):
    # Fails if one that waits for the lost one, and therefore cannot answer, is named as well.
    flags = ('--batch_size=9', '--steps=1000000', '--checkpoint_every=5')
    processes = _start(3, 1, *flags, f'--workdir={tmp_path / "run"}')
    _wait_for(tmp_path / 'run' / 'checkpoints' / '5')
    processes[2].kill()
    answers = [finish(process) for process in processes]
    assert all(code for code, _, _ in answers), answers
    assert 'process 2 is gone; the same command' in answers[0][2], answers
    assert not any(f'process {i} is gone' in err for i in (0, 1) for _, _, err in answers), answers


@pytest.mark.slow
def test_process_0_does_not_wait_for_one_that_is_gone(tmp_path):
    # Fails if it learns of the loss by its neighbours in a sum over all devices only, which give nothing here.
    processes = _start(4, 1, '--steps=1000000', '--checkpoint_every=5', f'--workdir={tmp_path / "run"}')
    _wait_for(tmp_path / 'run' / 'checkpoints' / '5')
    for i in (1, 3):
        os.kill(processes[i].pid, signal.SIGSTOP)
    processes[2].kill()
    code, _, err = finish(processes[0])
    assert (code, err.strip().splitlines()[-1]) == (
        1, 'train: stopped: process 2 is gone; the same command continues from the last checkpoint'
    ), err  # fmt: skip
    for i in (1, 3):
        os.kill(processes[i].pid, signal.SIGCONT)
        assert finish(processes[i])[0] != 0


@pytest.mark.long
def test_twenty_losses_at_any_moment_leave_no_trace(tmp_path):
    # Fails if a process that is killed while it starts, saves or trains leaves what the next start does not mend, or
    # another one waiting for ever. Moments are spread over the seconds that a start and some checkpoints take.
    flags = ('--checkpoint_every=2', '--keep_checkpoints=2', '--decay_steps=400')
    folder, reached = tmp_path / 'run' / 'checkpoints', 0

    def kill_after(seconds, victim):
        processes = _start(2, 1, '--steps=1000000', '--join_timeout=30', *flags, f'--workdir={tmp_path / "run"}')
        time.sleep(seconds)
        processes[victim].kill()
        killed = time.monotonic()
        answers = [finish(process) for process in processes]
        assert time.monotonic() - killed < 60 + start_up and all(code for code, _, _ in answers), answers

    processes = _start(2, 1, '--steps=1000000', *flags, f'--workdir={tmp_path / "run"}')
    began = time.monotonic()
    _wait_for(folder / '2')
    start_up = time.monotonic() - began
    for process in processes:
        process.kill()
        finish(process)
    for i, moment in enumerate(np.random.default_rng(0).permutation(20)):
        kill_after(1.6 * start_up * moment / 20, i % 2)
        steps = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]
        assert max(steps) >= reached
        reached = max(steps)
    steps = reached + 3
    answers = _together(2, 1, f'--steps={steps}', *flags, f'--workdir={tmp_path / "run"}')
    assert [code for code, _, _ in answers] == [0, 0], answers
    _alone(2, f'--steps={steps}', '--decay_steps=400', f'--workdir={tmp_path / "one"}')
    assert _metrics(tmp_path / 'run') == _metrics(tmp_path / 'one')
