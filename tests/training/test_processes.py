"""What processes of a run say to each other, without processes: a thread for each, and a dictionary for the service."""

import itertools
import json
import signal
import threading
import time
from types import SimpleNamespace
from typing import NamedTuple

import jax
import numpy as np
import pytest

from wgan_jax.training import processes
from wgan_jax.training.loop import NotFinite
from wgan_jax.training.process_group import Lost
from wgan_jax.training.processes import together
from wgan_jax.training.signals import Interrupted


class _Service:
    def __init__(self):
        self.told, self._changed = {}, threading.Condition()

    def key_value_set(self, key, value, allow_overwrite=False):
        with self._changed:
            assert allow_overwrite or key not in self.told
            self.told[key] = value
            self._changed.notify_all()

    def key_value_delete(self, key):
        del self.told[key]

    def key_value_dir_get(self, folder):
        return [(key, value) for key, value in self.told.items() if key.startswith(f'{folder}/')]

    def blocking_key_value_get(self, key, milliseconds):
        with self._changed:
            if not self._changed.wait_for(lambda: key in self.told, milliseconds / 1000):
                raise jax.errors.JaxRuntimeError('DEADLINE_EXCEEDED: nothing was said')
            return self.told[key]


@pytest.fixture
def meet(monkeypatch):
    """``meet(*bodies)``: what each ``body(group)`` returned or raised, as process 0, 1, ...; None does not come."""
    service, place = _Service(), threading.local()
    monkeypatch.setattr(processes, '_client', lambda: service)
    monkeypatch.setattr(processes, '_of_process_0', lambda tree: tree)
    monkeypatch.setattr(processes, '_LAST_WORDS', 1.0)
    monkeypatch.setattr(processes, 'PATIENCE', 5.0)
    monkeypatch.setattr(processes, '_meetings', itertools.repeat(0))
    monkeypatch.setattr(jax, 'process_index', lambda: place.me)

    def call(*bodies):
        monkeypatch.setattr(jax, 'process_count', lambda: len(bodies))
        ends = [None] * len(bodies)
        call.over = [threading.Event() for _ in bodies]

        def run(i):
            place.me = i
            try:
                with together() as group:
                    ends[i] = bodies[i](group)
            except BaseException as error:
                ends[i] = error
            call.over[i].set()

        threads = [threading.Thread(target=run, args=(i,)) for i, body in enumerate(bodies) if body is not None]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
        return ends

    call.service = service
    return call


class _Shapes(NamedTuple):
    ema: dict


class _Runner(SimpleNamespace):
    """Notes what it is told; a state is the list of the calls that it has had."""

    def _replace(self, **changes):
        return _Runner(**{**self.__dict__, **changes})


def _runner(fails=lambda: None):
    def run(state, count):
        fails()
        return [*state, count], None

    return _Runner(
        place=lambda state: [], run=run, of=lambda values: _runner(fails), differing=lambda state: None,
        close=lambda: None,
    )  # fmt: skip


def _leader(steps, end=lambda group: None, runner=None):
    def body(group):
        group.agree({'lr': 1.0})
        led = group.led(runner or _runner())
        state = led.place([])
        for count in steps:
            state, _ = led.run(state, count)
        end(group)
        group.shared(len(steps), {}, {'steps': 3})
        return state

    return body


def _follower(runner=None, received=(), seen=None, facts=None):
    def body(group):
        group.agree(facts or {'lr': 1.0})
        own = runner or _runner()
        if seen is not None:
            run = own.run
            own = own._replace(run=lambda state, count: (seen.append(count), run(state, count))[1])
        return group.follow(own, _Shapes(ema={}), lambda changes: own, list(received))

    return body


def test_followers_make_the_same_calls(meet):
    seen = []
    ends = meet(_leader([1, 2, 4]), _follower(seen=seen), _follower())
    assert ends == [[1, 2, 4], (3, {}, {'steps': 3}), (3, {}, {'steps': 3})] and seen == [1, 2, 4]


def test_old_words_are_removed(meet):
    at_once = threading.Barrier(2)  # as the devices' calls are: nobody comes out of one before all are in it

    def call():
        at_once.wait(20)

    ends = meet(_leader([1] * 200, runner=_runner(call)), _follower(_runner(call)))
    assert ends == [[1] * 200, (200, {}, {'steps': 3})]
    words = [key for key in meet.service.told if '/word/' in key]
    assert len(words) == processes._KEPT


def _raises(error):
    def end(group):
        raise error

    return end


@pytest.mark.parametrize(
    'error',
    [
        ValueError('no room'),
        NotFinite('loss at step 3'),
        Interrupted(signal.SIGTERM, 3),
        Interrupted(signal.SIGHUP, 3, done=True),
    ],
)
def test_followers_end_as_process_0_does(meet, error):
    ends = meet(_leader([1], _raises(error)), _follower(), _follower())
    assert ends[0] is error
    for end in ends[1:]:
        assert type(end) is type(error) and str(end) == str(error)
        assert getattr(end, 'signal', None) == getattr(error, 'signal', None)


def test_other_errors_of_process_0_are_said_by_the_others(meet, monkeypatch):
    # Fails, too, if they wait for it to say who is lost, while it leaves: JAX would abort them.
    monkeypatch.setattr(processes, '_LAST_WORDS', 60.0)
    ends = meet(_leader([1], _raises(OSError('the disk is full'))), _follower())
    assert isinstance(ends[0], OSError) and isinstance(ends[1], Lost)
    assert str(ends[1]) == 'process 0 ended: the disk is full; the same command continues from the last checkpoint'


def test_who_is_lost_is_named_by_all_others(meet):
    # Process 2 goes without a word in the middle of a call, of which the others learn by an error of that call.
    def broken():
        time.sleep(0.1)
        raise jax.errors.JaxRuntimeError('Gloo: connection closed by peer')

    def gone(group):
        group.agree({'lr': 1.0})
        group.ended = lambda error: None

    ends = meet(_leader([1], runner=_runner(broken)), _follower(_runner(broken)), gone)
    line = 'process 2 is gone; the same command continues from the last checkpoint'
    assert [str(end) for end in ends[:2]] == [line] * 2 and all(isinstance(end, Lost) for end in ends[:2])


def test_of_several_the_one_that_says_why_it_fails_is_named(meet):
    # Fails if one that only waits for it, in a call from which it does not return, is said to be gone in its place.
    waits = threading.Event()

    def out_of_memory():
        raise MemoryError('no more is given')

    def breaks():
        assert meet.over[2].wait(20)
        raise jax.errors.JaxRuntimeError('Gloo: connection closed by peer')

    ends = meet(
        _leader([1], lambda group: waits.set(), _runner(breaks)), _follower(_runner(lambda: waits.wait(10))),
        _follower(_runner(out_of_memory)),
    )  # fmt: skip
    assert str(ends[0]) == 'process 2 ended: no more is given; the same command continues from the last checkpoint'


def test_a_failure_of_its_own_is_not_said_to_be_another_s(meet, monkeypatch):
    # Process 0 is still in its call, and says nothing. Fails, too, if it is waited for: it ends its call by ending all.
    monkeypatch.setattr(processes, '_LAST_WORDS', 60.0)

    def out_of_memory():
        raise MemoryError('no more is given')

    def slow(group):
        meet.over[1].wait(20)
        raise jax.errors.JaxRuntimeError('Gloo: connection closed by peer')

    ends = meet(_leader([1], slow), _follower(_runner(out_of_memory)))
    assert isinstance(ends[1], MemoryError)
    assert str(ends[0]) == 'process 1 ended: no more is given; the same command continues from the last checkpoint'


@pytest.mark.parametrize('ends', ['goes', 'fails', 'goes while it writes'])
def test_process_0_is_ended_where_it_waits_for_one_that_does_not_come(meet, monkeypatch, ends):
    # Fails if it waits until JAX aborts it, or if it is ended while it writes, after which it ends by itself. The other
    # one goes without a word, or says why it fails.
    left, stopped, lost = threading.Event(), threading.Event(), []
    monkeypatch.setattr(processes, '_NOTICE', 0.2)
    monkeypatch.setattr(processes, 'is_gone', lambda i: left.is_set() and ends != 'fails')
    monkeypatch.setattr(processes, 'lose', lambda why: (lost.append(why), stopped.set()))

    def wait():
        assert stopped.wait(20)
        raise jax.errors.JaxRuntimeError('Gloo: connection closed by peer')

    def lead(group):
        group.agree({'lr': 1.0})
        if ends == 'goes while it writes':
            left.wait(20)
            time.sleep(2)  # more than it takes to notice
        else:
            group.led(_runner(wait)).run([], 1)

    def leaves(group):
        group.agree({'lr': 1.0})
        left.set()
        if ends == 'fails':
            raise MemoryError('no more is given')
        group.ended = lambda error: None

    meet(lead, leaves)
    again = '; the same command continues from the last checkpoint'
    why = {'goes': ['process 1 is gone'], 'fails': ['process 1 ended: no more is given'], 'goes while it writes': []}
    assert lost == [f'{line}{again}' for line in why[ends]]


@pytest.mark.parametrize('begun', [True, False])
def test_who_is_gone_is_not_waited_for(meet, monkeypatch, begun):
    # Fails if process 0 waits as long as it would for one that is slow: longer than this test does.
    monkeypatch.setattr(processes, 'PATIENCE', 60.0)
    monkeypatch.setattr(processes, 'is_gone', lambda i: i == 2)

    def gone(group):
        if begun:
            group.agree({'lr': 1.0})
        group.ended = lambda error: None

    ends = meet(_leader([]), _follower(), gone)
    lines = {True: 'process 2 is gone; the same command continues from the last checkpoint', False: 'process 2 is gone'}
    assert str(ends[0]) == lines[begun]


def test_what_differs_is_named_by_all(meet):
    ends = meet(_leader([1]), _follower(), _follower(facts={'lr': 0.5, 'more': 1}))
    line = 'process 2 was not started as process 0 was: lr: 0.5 instead of 1.0; more: 1 instead of None'
    assert [str(end) for end in ends] == [line] * 3 and all(type(end) is ValueError for end in ends)


def test_input_that_one_refuses_is_refused_by_all(meet):
    ends = meet(_leader([1]), _follower(), _raises(ValueError('no such folder')))
    assert [str(end) for end in ends] == ['process 2: no such folder'] * 2 + ['no such folder']


def test_who_does_not_come_is_named(meet):
    ends = meet(_leader([1]), _follower(), None)
    assert [str(end) for end in ends[:2]] == ['process 2 has not come within 5 seconds'] * 2


def test_a_signal_to_a_follower_is_not_a_signal_to_process_0(meet):
    # Fails if it is put among those of process 0, whose own first one would then be the second, which does not wait.
    own = []

    def end(group):
        while (number := group.wish_to_stop(own)) is None:
            time.sleep(0.01)
        assert number == signal.SIGTERM and own == []
        raise Interrupted(number, 1)

    ends = meet(_leader([1], end), _follower(received=[signal.SIGTERM]))
    assert [end.signal for end in ends] == [signal.SIGTERM] * 2
    assert json.loads(next(value for key, value in meet.service.told.items() if '/stop/' in key)) == [15]


def test_hyperparameters_have_the_same_types_everywhere(meet):
    # Fails if a follower's are Python's numbers, which are promoted otherwise: its program would be another one.
    kinds = []

    def noting():
        return _runner()._replace(of=lambda values: kinds.append([np.asarray(v).dtype for v in values]) or noting())

    def lead(group):
        group.agree({'lr': 1.0})
        group.led(noting()).of([np.float32(0.1)] * 7)
        group.shared(0, {}, {})

    meet(lead, _follower(noting()))
    assert kinds == [[np.float32] * 7] * 2
