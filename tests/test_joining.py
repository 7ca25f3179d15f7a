"""The roll call before several processes become one run: who is missing, too many or of another run is named to all."""

import contextlib
import os
import socket
import threading
import time

import jax
import pytest

from wgan_jax import joining
from wgan_jax.joining import _answer_roll_call, _call_roll, join


@pytest.fixture
def port():
    with socket.create_server(('127.0.0.1', 0)) as server:
        number = server.getsockname()[1]
    return number


def _meet(port, others, count=3, patience=3.0):
    """What each of the others, and process 0, was told; None where all was well."""
    told = {}

    def note(name, function, *arguments):
        told[name] = None
        try:
            function(f'127.0.0.1:{port}', *arguments)
        except ValueError as error:
            told[name] = str(error)

    threads = [
        threading.Thread(target=note, args=(i, _answer_roll_call, of, number, patience))
        for i, (number, of) in enumerate(others, 1)
    ]
    threads.append(threading.Thread(target=note, args=(0, _call_roll, count, patience)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    return told


def test_all_are_there(port):
    assert _meet(port, [(1, 3), (2, 3)]) == {0: None, 1: None, 2: None}
    assert _meet(port, [(2, 3), (1, 3)]) == {0: None, 1: None, 2: None}  # at the same address again


@pytest.mark.parametrize(
    'others, message',
    [
        ([(1, 3)], 'process 2 has not come to coordinator=127.0.0.1:{port} in 1 seconds'),
        ([(1, 3), (1, 3)], 'process_id=1 was given to two processes'),
        ([(1, 3), (2, 4)], 'process 2 has num_processes=4, and process 0 has 3'),
    ],
)
def test_what_is_wrong_is_told_to_all(port, others, message):
    # Fails if only process 0 learns it, and the others wait for ever or are ended by somebody else.
    told = _meet(port, others, patience=1.0)
    assert set(told.values()) == {message.format(port=port)} and len(told) == len(others) + 1


def test_who_was_killed_may_come_again(port):
    # Fails if the connection of a process that is gone counts as that process, or ends the roll call as the last one.
    killed = threading.Event()

    def die():
        for _ in range(100):
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(('127.0.0.1', port)) as line:
                line.sendall(b'wgan_jax process 1 of 3\n')
                break
            time.sleep(0.05)
        killed.set()

    first = threading.Thread(target=die)
    first.start()
    told = {}

    def call():
        _call_roll(f'127.0.0.1:{port}', 3, 10.0)
        told[0] = 'all are here'

    def come(number):
        _answer_roll_call(f'127.0.0.1:{port}', 3, number, 10.0)
        told[number] = 'all are here'

    threads = [threading.Thread(target=call)]
    threads[0].start()
    assert killed.wait(10)
    for number in (2, 1):
        threads.append(threading.Thread(target=come, args=(number,)))
        threads[-1].start()
        time.sleep(0.3)
    for thread in [first, *threads]:
        thread.join(20)
    assert told == dict.fromkeys(range(3), 'all are here')


def test_whose_line_breaks_is_gone(port, monkeypatch):
    # Fails if another process is named than the one that is gone.
    ends = {}

    def come(number):
        ends[number] = _answer_roll_call(f'127.0.0.1:{port}', 3, number, 5.0)

    threads = [threading.Thread(target=come, args=(number,)) for number in (2, 1)]
    for thread in threads:
        thread.start()
    monkeypatch.setattr(joining, '_lines', _call_roll(f'127.0.0.1:{port}', 3, 5.0))
    for thread in threads:
        thread.join(10)
    assert not joining.is_gone(1) and not joining.is_gone(2) and not joining.is_gone(7)
    ends[2].close()
    time.sleep(0.1)
    assert joining.is_gone(2) and not joining.is_gone(1)
    joining.give_up('enough')
    assert ends[1].recv(100) == b'enough'


def test_strangers_are_passed_over(port):
    def strange():
        for text in (b'GET / HTTP/1.1\r\n\r\n', b'', b'\xff\xfe', b'1 of 2\n'):
            for _ in range(50):
                with contextlib.suppress(ConnectionRefusedError), socket.create_connection(('127.0.0.1', port)) as line:
                    line.sendall(text)
                    break

    stranger = threading.Timer(0.2, strange)
    stranger.start()
    friend = threading.Timer(0.6, lambda: _answer_roll_call(f'127.0.0.1:{port}', 2, 1, 5.0))
    friend.start()
    _call_roll(f'127.0.0.1:{port}', 2, 5.0)
    friend.join(10)
    assert not friend.is_alive()


@pytest.mark.parametrize('answer', [b'\n', b'HTTP/1.1 400 Bad Request\r\n', b'\xff\xfe\x1b[2J'])
def test_answers_of_strangers_are_not_believed(port, answer):
    # Fails if whatever listens there is taken for process 0, or its words for an error of the run.
    with socket.create_server(('127.0.0.1', port)) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    with server.accept()[0] as connection:
                        connection.recv(100)
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(ValueError, match=r'not reached in 1 seconds \(something else listens there\)'):
            _answer_roll_call(f'127.0.0.1:{port}', 2, 1, 1.0)
        server.shutdown(socket.SHUT_RDWR)


def test_nobody_is_there(port):
    with pytest.raises(ValueError, match=f'coordinator=127.0.0.1:{port} was not reached in 1 seconds'):
        _answer_roll_call(f'127.0.0.1:{port}', 2, 1, 1.0)


def test_an_address_in_use_or_of_nobody(port):
    with (
        socket.create_server(('127.0.0.1', port)),
        pytest.raises(ValueError, match=f'process 0 cannot listen at coordinator=127.0.0.1:{port}: Address already'),
    ):
        _call_roll(f'127.0.0.1:{port}', 2, 1.0)
    with pytest.raises(ValueError, match=r'process 0 cannot listen at coordinator=192\.0\.2\.1:'):  # of no machine
        _call_roll(f'192.0.2.1:{port}', 2, 1.0)


@pytest.mark.parametrize(
    'arguments, message',
    [
        ({'coordinator': 'a:1', 'num_processes': 2}, 'process_id must be given too'),
        ({'coordinator': 'a:1', 'num_processes': 2, 'process_id': 2}, 'process_id=2 must lie between 0 and'),
        ({'coordinator': 'a', 'num_processes': 2, 'process_id': 0}, 'coordinator=a must be HOST:PORT'),
        ({'coordinator': 'a:70000', 'num_processes': 2, 'process_id': 0}, 'coordinator=a:70000 must be HOST:PORT'),
        ({'coordinator': 'a:1', 'num_processes': 2, 'process_id': 0, 'heartbeat': 1}, 'heartbeat'),
        ({'patience': 0}, 'patience'),
        ({'coordinator': 'a:1', 'num_processes': 2, 'process_id': True}, 'process_id'),
    ],
)
def test_input_that_cannot_be_used(arguments, message, monkeypatch):
    monkeypatch.setattr(joining.xla_bridge, 'backends_are_initialized', lambda: False)
    with pytest.raises(ValueError, match=message):
        join(**arguments)


def test_joined_too_late():
    jax.devices()
    with pytest.raises(ValueError, match='once, and before anything else of JAX'):
        join('127.0.0.1:1', 2, 0)


@pytest.mark.parametrize('end', ['goes', 'gives up', 'parts'])
def test_who_follows_learns_that_process_0_is_gone_unless_they_have_parted(port, monkeypatch, end):
    # Fails if lines are closed after the roll call, if nobody listens, or if the end of a run counts as a loss.
    lines, lost = {}, []
    monkeypatch.setattr(joining, '_lines', {})
    monkeypatch.setattr(joining, '_on_lost', [lost.append])
    leader = threading.Thread(target=lambda: lines.update(leader=_call_roll(f'127.0.0.1:{port}', 2, 5.0)))
    leader.start()
    line = _answer_roll_call(f'127.0.0.1:{port}', 2, 1, 5.0)
    leader.join(5)
    joining._lines[0] = line
    watch = threading.Thread(target=joining._watch, args=(line,))
    watch.start()
    watch.join(0.3)
    assert watch.is_alive() and not lost
    if end == 'parts':
        joining.part()
    if end == 'gives up':
        monkeypatch.setattr(joining, '_lines', {**lines['leader'], 0: line})
        joining.give_up('process 2 is gone')
    for own in lines['leader'].values():
        own.close()
    watch.join(5)
    assert not watch.is_alive() and lost == {'gives up': ['process 2 is gone'], 'goes': [''], 'parts': []}[end]


def test_who_is_told_that_process_0_gives_up_is_not_gone(port, monkeypatch):
    lines = {}
    monkeypatch.setattr(joining, '_lines', {})
    monkeypatch.setattr(joining, '_given_up', [])
    leader = threading.Thread(target=lambda: lines.update(_call_roll(f'127.0.0.1:{port}', 3, 5.0)))
    leader.start()
    answers = {}
    others = [
        threading.Thread(target=lambda i=i: answers.update({i: _answer_roll_call(f'127.0.0.1:{port}', 3, i, 5.0)}))
        for i in (1, 2)
    ]
    for thread in others:
        thread.start()
    for thread in (*others, leader):
        thread.join(5)
    joining._lines.update(lines)
    answers[2].close()
    joining.give_up('process 2 is gone')
    assert answers[1].recv(100) == b'process 2 is gone'
    assert [joining.is_gone(i) for i in (1, 2)] == [False, True]
    joining.part()
    answers[1].close()
    assert all(line.fileno() == -1 for line in lines.values())


def test_connections_that_have_shrunk_get_room_and_nothing_else_changes():
    # Fails if others' are set, which then grow no more; if what it looks at is closed, or something is left open.
    before = set(os.listdir('/dev/fd'))
    with socket.create_server(('127.0.0.1', 0)) as server:
        shrunk, other = (socket.create_connection(server.getsockname()) for _ in range(2))
        with shrunk, other, open(__file__) as file:
            shrunk.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            sizes = [one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) for one in (shrunk, other)]
            joining.widen()
            after = [one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) for one in (shrunk, other)]
            assert after[0] >= 100_000 > 10 * sizes[0] and after[1] == sizes[1]
            assert file.readline() and shrunk.send(b'x') == 1
    assert len(set(os.listdir('/dev/fd')) - before) <= 1  # that of the list itself
