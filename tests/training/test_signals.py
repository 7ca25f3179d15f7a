"""The first signal is a wish, any further one acts as before."""

import signal

import pytest

from wgan_jax.training import signals
from wgan_jax.training.signals import stop_signals


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_second_signal_does_what_it_did_before(number, monkeypatch):
    monkeypatch.setattr(signals, '_SAME', 0.0)
    seen = []
    before = signal.signal(number, lambda n, frame: seen.append(n))
    try:
        with stop_signals() as received:
            signal.raise_signal(signal.SIGTERM)  # whatever kind came first
            assert received == [signal.SIGTERM] and not seen
            signal.raise_signal(number)
            assert seen == [number]
        signal.raise_signal(number)
        assert seen == [number, number]
    finally:
        signal.signal(number, before)


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_signals() as received:
            signal.raise_signal(signal.SIGHUP)
        assert not received
    finally:
        signal.signal(signal.SIGHUP, before)


def test_sigterm_again_at_once_is_the_same_wish():
    # Fails if a child whose parent is killed is told by each of the parent's threads, and cannot save.
    seen = []
    before = signal.signal(signal.SIGTERM, lambda n, frame: seen.append(n))
    try:
        with stop_signals() as received:
            for _ in range(3):
                signal.raise_signal(signal.SIGTERM)
            assert received == [signal.SIGTERM] and not seen
    finally:
        signal.signal(signal.SIGTERM, before)
