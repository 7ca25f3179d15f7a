"""Joins processes, of one machine or of several, into one run: ``jax.distributed``, and a roll call before it.

The service that brings processes together ends them without a word that helps when one does not come, comes twice or
finds another one at its port. So those that are given an address meet there before: whoever is missing or too many is
named to all.
"""

import contextlib
import itertools
import os
import re
import socket
import threading
import time
from collections.abc import Callable

import jax
from jax._src import xla_bridge  # whether JAX is in use has no public name

from wgan_jax.ranges import real, whole
from wgan_jax.text import printable, reason

HEARTBEAT = whole(10, 86_400)
PATIENCE = real(1, 86_400)
_LINE = 4_096  # bytes of a message at most
_A_LOOK = 2.0  # seconds in which who has connected must say its number, and in which latecomers learn what is wrong
_CALL, _ANSWER = 'wgan_jax process', 'wgan_jax roll call:'
_IDLE = 60  # seconds of silence after which the system asks whether the other end is there
_INET = (socket.AF_INET, socket.AF_INET6)
_TOO_LITTLE, _ROOM = 16_384, 1_048_576  # bytes to send in: less than Linux begins with, and what is asked for
_on_lost: list[Callable[[str], None]] = []  # of ``join``; at most one
_lines: dict[int, socket.socket] = {}  # to whom, over which the roll was called; they break when a process is gone
_given_up: list[socket.socket] = []  # those that this process has broken itself


def join(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    heartbeat: int = 100,
    patience: float = 300,
    on_lost: Callable[[str], None] | None = None,
) -> None:
    """Makes this process one of several, whose devices train together; before JAX looks for devices.

    Args:
        coordinator: HOST:PORT at which process 0 waits for the others; only there it listens. None, with the next two,
            for what Slurm, a TPU pod, Open MPI or Kubernetes says.
        num_processes: how many there are.
        process_id: which one this is, from 0 on.
        heartbeat: seconds after which a process that shows no sign of life is given up, and with it the run.
        patience: seconds in which all have to come.
        on_lost: ``on_lost(why)``, called in a thread, where an address was given: in process 0 when another one is gone
            or has failed, and training waits for it and does not end of it by itself; in another one when process 0
            gives up, with what it says, or is gone, with ''. A moment later JAX aborts the process, so what can be said
            must be said there. Not after ``part``, with which every process has to leave.

    Raises:
        ValueError: for input that cannot be used, and where JAX has looked for devices already; where an address was
            given, in all processes for one that did not come in time, or is there twice; for an address that is not
            this machine's, in use, or not reached.
    """
    if xla_bridge.backends_are_initialized() or jax.distributed.is_initialized():
        raise ValueError('processes are joined once, and before anything else of JAX')
    HEARTBEAT.check('heartbeat', heartbeat)
    PATIENCE.check('patience', patience)
    given = {'coordinator': coordinator, 'num_processes': num_processes, 'process_id': process_id}
    missing = [name for name, value in given.items() if value is None]
    if missing and len(missing) < len(given):
        raise ValueError(f'{", ".join(missing)} must be given too, or none of {", ".join(given)}')
    jax.config.update('jax_enable_preemption_service', False)  # it would take SIGTERM, which stops a run and saves it
    if coordinator is None or num_processes is None or process_id is None:
        try:
            jax.distributed.initialize(
                initialization_timeout=int(patience), heartbeat_timeout_seconds=heartbeat,
                shutdown_timeout_seconds=heartbeat,
            )  # fmt: skip
        except RuntimeError as error:
            raise ValueError(f'the other processes were not reached: {reason(error)}') from error
        except ValueError as error:
            raise ValueError(
                f'no other processes were found ({reason(error)}): give {", ".join(given)}, or start them by Slurm, '
                'Open MPI, Kubernetes or on a TPU pod'
            ) from error
        return
    whole(1, 2**16).check('num_processes', num_processes)
    whole(0, 2**16).check('process_id', process_id)
    if process_id >= num_processes:
        raise ValueError(f'process_id={process_id} must lie between 0 and num_processes - 1 = {num_processes - 1}')
    if (match := re.fullmatch(r'(\[[^\]]+\]|[^:\[\]]+):(\d{1,5})', coordinator)) is None or not 0 < int(
        match[2]
    ) < 2**16:
        raise ValueError(f'coordinator={printable(coordinator, 100)} must be HOST:PORT, such as 192.168.0.1:8476')
    if num_processes > 1:
        _on_lost[:] = [on_lost] if on_lost else []
        if process_id:
            line = _answer_roll_call(coordinator, num_processes, process_id, patience)
            _lines[0] = line
            threading.Thread(target=_watch, args=(line,), daemon=True).start()
        else:
            _lines.update(_call_roll(coordinator, num_processes, patience))
    jax.distributed.initialize(
        coordinator, num_processes, process_id, coordinator_bind_address=coordinator,
        cluster_detection_method='deactivate', initialization_timeout=int(patience),
        heartbeat_timeout_seconds=heartbeat, shutdown_timeout_seconds=heartbeat,
    )  # fmt: skip


def part() -> None:
    """Leaves the other processes, once all are here to do so; nothing where none were joined.

    Raises:
        RuntimeError: when they have not come in time.
    """
    others = [*_lines.values(), *_given_up]
    _lines.clear()
    _given_up.clear()
    try:
        if jax.distributed.is_initialized():
            jax.distributed.shutdown()
    finally:
        for line in others:
            line.close()


def give_up(why: str) -> None:
    """Says to the other processes why this one, process 0, leaves without them."""
    for number, line in [*_lines.items()]:
        if number and _is_open(line):  # 0 is where this is not process 0, after all
            _given_up.append(_lines.pop(number))  # who is told is not gone
            with contextlib.suppress(OSError):
                line.sendall(why.encode()[:_LINE])
                line.shutdown(socket.SHUT_RDWR)


def lose(why: str) -> None:
    """``give_up``, and the end of process 0 as ``on_lost`` has it; nothing where there is none."""
    if not _on_lost:
        return
    give_up(why)
    for on_lost in _on_lost:
        on_lost(why)


def is_gone(process_id: int) -> bool:
    """Whether the line to another process has broken; to be asked in process 0.

    It breaks when that process and those that it has begun have ended. False where no address was given, and for a
    while where a whole machine or the network is gone.
    """
    line = _lines.get(process_id)
    return line is not None and not _is_open(line)


def widen() -> None:
    """Gives connections of this process that have shrunk room to send in, for the sake of those that devices sum over.

    Linux (6.18) has been seen to take Gloo's, of processes on CPUs, down to 4,608 bytes after some exchanges. What is
    sent then waits until what was sent before is acknowledged, which the other end puts off by 40 milliseconds. Which
    are Gloo's cannot be told, so all TCP connections with less than Linux begins with get it; what has got its room by
    a call keeps it. Nothing on systems that have no list of what a process has open, and while Python gives new sockets
    a time limit, which would be theirs too.
    """
    if socket.getdefaulttimeout() is not None:
        return
    with contextlib.suppress(OSError):
        for name in os.listdir('/dev/fd'):
            with contextlib.suppress(OSError):  # what is not a socket, or closed by now
                borrowed = socket.socket(fileno=int(name))
                try:
                    room = borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
                    if borrowed.type == socket.SOCK_STREAM and borrowed.family in _INET and room < _TOO_LITTLE:
                        borrowed.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
                finally:
                    borrowed.detach()


def _watch(line: socket.socket) -> None:
    """Waits until process 0 gives up, or the line to it breaks, over which nothing else is said."""
    why = b''
    with contextlib.suppress(OSError):
        why = line.recv(_LINE)
    if line in [*_lines.values()]:
        for on_lost in _on_lost:
            on_lost(printable(why.decode(errors='replace'), 500))


def _keep_alive(line: socket.socket) -> None:
    """Lets the system ask now and then whether the other end is there, which says nothing for days."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, 'TCP_KEEPIDLE'):
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE)


def _host_and_port(coordinator: str) -> tuple[str, int]:
    host, _, port = coordinator.rpartition(':')
    return host.strip('[]'), int(port)


def _call_roll(coordinator: str, count: int, patience: float) -> dict[int, socket.socket]:
    """Waits until all others have connected, and tells them whether all is well. Raises ValueError where it is not.

    Returns:
        The lines to them by their number, open.
    """
    end, problem = time.monotonic() + patience, ''
    there: dict[int, socket.socket] = {}
    wrong_ones = itertools.count(1)
    try:
        place = _host_and_port(coordinator)
        family = socket.getaddrinfo(*place, type=socket.SOCK_STREAM)[0][0]
        server = socket.create_server(place, family=family, backlog=count)
    except (OSError, UnicodeError) as error:
        raise ValueError(f'process 0 cannot listen at coordinator={coordinator}: {reason(error)}') from error
    with server, contextlib.ExitStack() as held:
        while len(there) < count - 1 and time.monotonic() < end:
            server.settimeout(max(end - time.monotonic(), 0.01))
            said = None
            with contextlib.suppress(OSError):  # nobody, or somebody who has gone
                connection = server.accept()[0]
                connection.settimeout(_A_LOOK)
                with contextlib.suppress(OSError):
                    text = connection.recv(_LINE).decode('ascii', 'replace')
                    said = re.fullmatch(rf'{_CALL} (\d{{1,6}}) of (\d{{1,6}})\n', text)
                if said is None:  # somebody else
                    connection.close()
            if said is None:
                continue
            held.enter_context(connection)
            number, wrong = int(said[1]), ''
            if int(said[2]) != count:
                wrong = f'process {number} has num_processes={said[2]}, and process 0 has {count}'
            elif number in there and _is_open(there[number]):
                wrong = f'process_id={number} was given to two processes'
            if wrong and not problem:
                problem, end = wrong, min(end, time.monotonic() + _A_LOOK)
            there[-next(wrong_ones) if wrong and number in there else number] = connection
            if len(there) >= count - 1:  # who has gone meanwhile may still come again
                there = {i: other for i, other in there.items() if _is_open(other)}
        if not problem and len(there) < count - 1:
            missing = [str(i) for i in range(1, count) if i not in there]
            which = f'process {missing[0]} has' if len(missing) == 1 else f'processes {", ".join(missing)} have'
            problem = f'{which} not come to coordinator={coordinator} in {patience:g} seconds'
        for connection in there.values():
            with contextlib.suppress(OSError):
                connection.sendall(f'{_ANSWER} {problem or "all are here"}\n'.encode())
        if problem:
            raise ValueError(problem)
        held.pop_all()
    for connection in there.values():
        connection.setblocking(True)
        _keep_alive(connection)
    return there


def _is_open(connection: socket.socket) -> bool:
    """Whether the other end, which has nothing more to say, is still there."""
    try:
        connection.setblocking(False)
        return connection.recv(1, socket.MSG_PEEK) != b''
    except BlockingIOError:
        return True
    except OSError:
        return False


def _answer_roll_call(coordinator: str, count: int, number: int, patience: float) -> socket.socket:
    """Says to process 0 that this one is there. Raises ValueError with what it answers, unless all is well.

    Returns:
        The line to it, open.
    """
    end = time.monotonic() + patience
    while True:
        with contextlib.ExitStack() as held:
            try:
                left = max(end - time.monotonic(), 0.01)
                connection = held.enter_context(socket.create_connection(_host_and_port(coordinator), timeout=left))
                connection.sendall(f'{_CALL} {number} of {count}\n'.encode())
                connection.settimeout(patience + 2 * _A_LOOK)
                with connection.makefile(encoding='utf-8', errors='replace') as file:
                    answer = file.readline(_LINE)
            except (OSError, UnicodeError) as error:
                answer, why = '', reason(error)
            else:
                why = 'something else listens there'
            if answer == f'{_ANSWER} all are here\n':
                held.pop_all()
                connection.settimeout(None)
                _keep_alive(connection)
                return connection
        if answer.startswith(_ANSWER):
            raise ValueError(printable(answer.removeprefix(_ANSWER).strip(), 500))
        if time.monotonic() > end:
            raise ValueError(f'coordinator={coordinator} was not reached in {patience:g} seconds ({why})')
        time.sleep(0.2)
