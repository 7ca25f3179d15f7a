"""Several runs by one command: which they are, that each is as if alone, and how a sweep is stopped and continued."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.experiments.processes import ROOT, answers_of, finish, start
from tests.experiments.train.test_train import TINIER, arrays, metrics

RUNS = [*TINIER, '--sample_every=10']


def test_lists_are_every_combination_and_each_is_as_one_run_would_be():
    # Fails if a combination is left out, if one has another's value, or if seeds are not the fastest.
    one, lists, alone, config = answers_of(
        'train',
        ['--show_settings', '--preset=wgan_gp', '--penalty_weight=10', '--generator_lr=5e-4', '--seed=7'],
        ['--show_settings', '--preset=wgan_gp', '--penalty_weight=1,10', '--generator_lr=1e-3,5e-4', '--seeds=3,7'],
        ['--show_settings', '--preset=wgan', '--clip=0.01,0.1', '--seed=5'],
        ['--show_settings', '--preset=wgan', '--clip=0.1', '--seed=5'],
    )
    runs = json.loads(lists[1])
    assert [*runs] == [
        f'penalty_weight_{weight}_generator_lr_{rate}_seed_{seed}'
        for weight in (1, 10) for rate in ('0.001', '0.0005') for seed in (3, 7)
    ]  # fmt: skip
    assert runs['penalty_weight_10_generator_lr_0.0005_seed_7'] == json.loads(one[1])
    assert len({json.dumps(settings) for settings in runs.values()}) == 8
    assert json.loads(alone[1]) == {
        'clip_0.01': {**json.loads(config[1]), 'clip': 0.01},
        'clip_0.1': json.loads(config[1]),
    }


REFUSALS = [
    (['--seeds=3'], 'seeds=3 must be 2 to 1000 numbers separated by commas'),
    (['--seeds=0,0'], '--seeds=0,0: each number may stand there once'),
    (['--seeds=0,1', '--seed=2'], '--seed and --seeds: give one of them'),
    (['--seeds=0,1', '--distributed'], '--seeds: a run of several is trained by one process'),
    (['--seeds=0,1', '--coordinator=a:1'], '--seeds: a run of several is trained by one process'),
    (['--clip=0.1,0.2'], 'clip has no effect with constraint=gradient_penalty'),
    (['--width=4,0'], '--width=4,0: 0 must be at least 1'),
    (['--width=4,x'], 'width=4,x must be whole numbers separated by commas'),
    (['--width=4,'], 'width=4, must be whole numbers separated by commas'),
    (['--batch_size=4,8', '--objective=relativistic', '--generator_batch_size=8'], 'generator_batch_size=8 must be 0'),
    (['--minutes=1', '--steps=2,3'], 'steps has no effect with --minutes'),
    ([f'--width={",".join(map(str, range(1, 102)))}', '--seeds=0,1,2,3,4,5,6,7,8,9'], 'these are 1010 runs, and 1000'),
]


def test_what_goes_with_one_run_only_or_with_none_is_one_line_and_status_2(tmp_path):
    # Fails if the second of two values is looked at only when the first has been trained.
    commands = [[f'--workdir={tmp_path / "x"}', *flags] for flags, _ in REFUSALS]
    for (flags, message), (code, out, err) in zip(REFUSALS, answers_of('train', *commands), strict=True):
        assert code == 2 and message in err and len(err.strip().splitlines()) == 1 and not out, (flags, code, err)
    assert not (tmp_path / 'x').exists()


def _sweep(workdir, *flags):
    return finish(start('train', *RUNS, f'--workdir={workdir}', *flags))


@pytest.mark.slow
def test_a_sweep_is_its_runs_to_the_bit_and_goes_on(tmp_path):
    # Fails if a run of a sweep gets another seed, value or flag than alone, if the second command trains again or makes
    # other numbers, or if a run of other settings in its place is taken for one of the sweep.
    both, alone = tmp_path / 'both', tmp_path / 'alone'
    flags = ('--steps=20', '--generator_lr=1e-4,1e-3', '--critic_lr=3e-4')
    code, out, err = _sweep(both, '--seeds=3,4', *flags)
    assert code == 0 and 'warning' not in err, err
    names = [f'generator_lr_{rate}_seed_{seed}' for rate in ('0.0001', '0.001') for seed in (3, 4)]
    assert out.splitlines()[0].startswith('4 runs; ') and all(f'{name}  ' in out for name in names)
    config, results = (json.loads((both / f'{name}.json').read_text()) for name in ('config', 'results'))
    assert [*config['runs']] == names and config['launcher'] == 'sweep' and config['versions']['jax']
    assert [(run['name'], run['status'], run['steps']) for run in results['runs']] == [(n, 0, 20) for n in names]
    code, _, err = finish(
        start('train', *RUNS, f'--workdir={alone}', '--seed=4', '--generator_lr=1e-3', '--critic_lr=3e-4', '--steps=20')
    )
    assert code == 0, err
    assert metrics(both / names[3]) == metrics(alone) != metrics(both / names[2])
    for name, array in arrays(alone)[1].items():
        assert array.tobytes() == arrays(both / names[3])[1][name].tobytes(), name
    final = [run['final']['wasserstein'] for run in results['runs']]
    over = results['over_seeds']
    assert [one['chosen'] for one in over] == [{'generator_lr': 1e-4}, {'generator_lr': 1e-3}]
    assert over[1]['wasserstein']['mean'] == pytest.approx((final[2] + final[3]) / 2, rel=1e-12)
    assert over[1]['wasserstein']['std'] == pytest.approx(abs(final[2] - final[3]) / 2**0.5, rel=1e-9)
    with np.load(both / 'sweep.npz') as curves:
        assert curves['names'].tolist() == names and curves['3_step'].tolist() == list(range(1, 21))
        assert curves['3_critic_loss'].tolist() == [row['critic_loss'] for row in metrics(alone)]
        assert np.isfinite(curves['3_diversity']).nonzero()[0].tolist() == [9, 19]
    assert (both / 'sweep.png').stat().st_size > 10_000
    before = {name: (both / name / 'metrics.jsonl').stat().st_mtime_ns for name in names}
    code, out, err = _sweep(both, '--seeds=3,4', *flags)
    assert code == 0 and before == {name: (both / name / 'metrics.jsonl').stat().st_mtime_ns for name in names}, err
    assert json.loads((both / 'results.json').read_text()) == results
    code, out, err = _sweep(both, '--seeds=3,4', *flags[:2], '--critic_lr=1e-4')
    assert code == 2 and 'was made with other settings (critic_lr: 0.0003 -> 0.0001)' in err and not out
    assert json.loads((both / 'results.json').read_text()) == results
    code, _, err = finish(start('train', *RUNS, f'--workdir={both}'))
    assert code == 2 and 'holds the results of sweep, not of train: choose another folder' in err


@pytest.mark.slow
def test_one_that_fails_is_named_and_stops_nobody(tmp_path):
    # Fails if the others are not trained, if the status is 0, or if nobody can tell which it was.
    code, out, err = _sweep(tmp_path, '--steps=20', '--critic_lr=1e30,1e-3')
    assert code == 1, err
    results = json.loads((tmp_path / 'results.json').read_text())['runs']
    assert [run['status'] for run in results] == [1, 0] and 'became' in results[0]['said']
    assert 'critic_lr_1e+30  failed (1)' in out and f'critic_lr_1e+30: {results[0]["said"]}' in out
    assert results[1]['steps'] == 20 and results[0]['steps'] < 20
    # Nor does one whose folder has been damaged since, though it is the first to end.
    (tmp_path / 'critic_lr_0.001' / 'config.json').write_text('{')
    code, out, err = _sweep(tmp_path, '--steps=20', '--critic_lr=1e-3,1e-4')
    assert code == 1 and re.search(r'critic_lr_0\.001 +failed \(2\)', out), (out, err)
    results = json.loads((tmp_path / 'results.json').read_text())['runs']
    assert [(run['status'], run['steps']) for run in results] == [(2, 0), (0, 20)] and 'config.json' in results[0][
        'said'
    ]


def _wait_for(condition, process, seconds=200):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < end, finish(process)
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_stops_all_saved_and_the_same_command_goes_on(tmp_path, number):
    # Fails if a child goes on training without its parent, if it is not saved, or if the rest is not trained. Two at a
    # time: two GPUs are given, which JAX does not find here.
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'CUDA_VISIBLE_DEVICES': '0,1', 'JAX_PLATFORMS': ''}
    flags = ('--seeds=0,1,2', '--steps=1000000')
    command = [sys.executable, '-P', '-m', 'experiments.train', *RUNS, f'--workdir={tmp_path}', *flags]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _wait_for(lambda: all((tmp_path / f'seed_{i}' / 'checkpoints' / '5').exists() for i in (0, 1)), process)
    process.send_signal(number)
    code, _, err = finish(process)
    if number == signal.SIGKILL:
        assert code == -number
        logs, end = [tmp_path / 'logs' / f'seed_{i}.txt' for i in (0, 1)], time.monotonic() + 100
        while not all('which is saved' in log.read_text() for log in logs):  # they are told by the system
            assert time.monotonic() < end, [log.read_text() for log in logs]
            time.sleep(0.1)
        time.sleep(1)  # and end
    else:
        assert code == 128 + number and '0 of 3 runs are done; the same command continues' in err
    assert not (tmp_path / 'seed_2').exists() and not (tmp_path / 'results.json').exists()
    steps = []
    for i in (0, 1):
        said = (tmp_path / 'logs' / f'seed_{i}.txt').read_text()
        assert 'which is saved' in said
        steps.append(arrays(tmp_path / f'seed_{i}')[0])
        assert metrics(tmp_path / f'seed_{i}')[-1]['step'] == steps[-1]
    more = max(steps) + 3
    code, _, err = _sweep(tmp_path, flags[0], f'--steps={more}')
    assert code == 0, err
    assert [len(metrics(tmp_path / f'seed_{i}')) for i in range(3)] == [more] * 3
