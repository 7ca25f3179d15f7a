"""Commands as child processes: how many at a time, where, how they end, and what a signal does."""

import os
import signal
import sys
import threading
import time

import pytest

from experiments.common import accelerators
from experiments.common.children import Refused, run_all

PLACES = [{'PLACE': 'a'}, {'PLACE': 'b'}]


def _python(text):
    return [sys.executable, '-c', f'import os, signal, sys, time\nplace = os.environ["PLACE"]\n{text}']


def _run(tmp_path, commands, places=PLACES, received=()):
    return run_all(commands, places, tmp_path, received, lambda name: (0, 0))


def test_each_place_has_one_at_a_time_and_a_failure_stops_nobody(tmp_path, capsys):
    # Fails if two share a place, if a place stays empty, if the order is lost, or if an old line counts as the last.
    (tmp_path / '2.txt').write_text('of the call before\n')
    text = f"""
open({str(tmp_path)!r} + "/" + place, 'x')
time.sleep(0.3)
os.remove({str(tmp_path)!r} + "/" + place)
print('in', place)
"""
    commands = {str(i): _python(f'{text}sys.exit({3 * (i == 2)})') for i in range(5)}
    ended = _run(tmp_path, commands)
    assert [*sorted(ended)] == [*commands] and [ended[name].status for name in commands] == [0, 0, 3, 0, 0]
    assert {one.said for one in ended.values()} == {'in a', 'in b'}
    assert (tmp_path / '2.txt').read_text().startswith('of the call before\nin ')
    assert '2 ended with status 3 (in ' in capsys.readouterr().out


def test_a_signal_reaches_all_that_run_once_and_no_more_begin(tmp_path):
    # Fails if one is told twice, which would not let it save, if one is not told, or if a third begins.
    text = """
told = []
signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
open(BEGUN, 'w').close()
while not told:
    time.sleep(0.01)
time.sleep(0.5)
print('told', len(told), 'times')
sys.exit(143)
"""
    begun = [tmp_path / f'begun_{i}' for i in range(3)]
    commands = {str(i): _python(text.replace('BEGUN', repr(str(path)))) for i, path in enumerate(begun)}
    received = []

    def tell():
        while not all(path.exists() for path in begun[:2]):
            time.sleep(0.01)
        received.append(signal.SIGTERM)

    threading.Thread(target=tell, daemon=True).start()
    ended = _run(tmp_path, commands, received=received)
    assert {name: tuple(one) for name, one in ended.items()} == dict.fromkeys('01', (143, 'told 1 times'))
    assert not begun[2].exists()


def test_what_the_first_is_refused_for_is_that_of_all(tmp_path):
    # Fails if all the others are tried, too, or if one is left running.
    begun = tmp_path / 'begun'
    slow = _python(f'open({str(begun)!r}, "w").write(str(os.getpid())); time.sleep(60)')
    refused = f'while not os.path.exists({str(begun)!r}): time.sleep(0.01)\nprint("no such folder"); sys.exit(2)'
    commands = {'first': _python(refused), 'other': slow, 'third': slow}
    began = time.monotonic()
    with pytest.raises(Refused, match='first: no such folder'):
        _run(tmp_path, commands)
    assert time.monotonic() - began < 30 and not (tmp_path / 'third.txt').exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(begun.read_text()), 0)
    (tmp_path / 'good.txt').write_text('of the call before\n')
    ended = _run(tmp_path, {'good': _python('pass'), 'bad': commands['first']}, PLACES[:1])
    assert [tuple(one) for one in ended.values()] == [(0, 'without a word'), (2, 'no such folder')]


def test_every_accelerator_is_a_place_and_a_cpu_is_one(tmp_path, monkeypatch):
    # Fails if two runs would find the same GPU or chip, or one of them several.
    for name in ('CUDA_VISIBLE_DEVICES', 'TPU_VISIBLE_CHIPS'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('JAX_PLATFORMS', 'cpu')
    assert accelerators.each() == [{}]
    monkeypatch.setenv('JAX_PLATFORMS', 'cuda,cpu')
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '5,7')
    assert accelerators.each() == [{'CUDA_VISIBLE_DEVICES': '5'}, {'CUDA_VISIBLE_DEVICES': '7'}]
    monkeypatch.setenv('JAX_PLATFORMS', 'tpu,cpu')
    monkeypatch.setattr(
        accelerators.glob, 'glob', lambda pattern: ['/dev/accel0', '/dev/accel1'][: 'accel' in pattern and 2]
    )
    shares = accelerators.each()
    assert [share.pop('TPU_VISIBLE_CHIPS') for share in shares] == ['0', '1']
    assert shares == [{'TPU_CHIPS_PER_PROCESS_BOUNDS': '1,1,1', 'TPU_PROCESS_BOUNDS': '1,1,1'}] * 2
