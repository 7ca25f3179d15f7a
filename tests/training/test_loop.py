"""The loop with a toy in place of a GAN: when what is called, stopping, and numbers that go bad."""

import types
from typing import NamedTuple

import numpy as np
import pytest

from wgan_jax.training.gan import GAN
from wgan_jax.training.loop import NotFinite, Schedule, run_loop
from wgan_jax.training.parallel import Runner
from wgan_jax.training.step import Metrics

GAN_LIKE = types.SimpleNamespace(batch_size=4, n_critic=3, critic_warmup=False)
GAN_LIKE.critic_updates = lambda step: GAN.critic_updates(GAN_LIKE, step)


class State(NamedTuple):
    step: int
    weight: np.float32


def _runner(bad_at=None, capacity=16):
    """Counts steps; row i holds the number of the step it belongs to, and NaN at one step if asked."""
    calls = []

    def run(state, count):
        calls.append(count)
        rows = np.zeros((capacity, len(Metrics._fields)), np.float32)
        rows[:count] = np.arange(state['step'] + 1, state['step'] + 1 + count)[:, None]
        if bad_at is not None and state['step'] < bad_at <= state['step'] + count:
            rows[bad_at - state['step'] - 1, 2] = np.nan
        return {'step': state['step'] + count, 'weight': np.float32(1)}, rows

    runner = Runner(lambda state: {'step': int(state.step), 'weight': state.weight}, run, _thaw, capacity, 1, None)
    return runner, calls


def _thaw(x):
    return State(x['step'], x['weight']) if isinstance(x, dict) else x


class Recorder:
    def __init__(self):
        self.events, self.steps = [], []

    def metrics(self, chunk):
        self.steps += [record['step'] for record in chunk.records()]
        np.testing.assert_array_equal(chunk.rows[:, 0], self.steps[-len(chunk.rows) :])
        assert (chunk.images == 12).all()

    def sample(self, step, state):
        assert state.step == step and self.steps[-1] == step  # everything before has been handed over
        self.events.append(('sample', step))

    def checkpoint(self, step, state):
        assert state.step == step and self.steps[-1] == step
        self.events.append(('checkpoint', step))


def _train(schedule, start=0, bad_at=None, should_stop=lambda: False):
    runner, calls = _runner(bad_at)
    recorder = Recorder()
    done = run_loop(GAN_LIKE, runner, State(start, np.float32(1)), schedule, recorder, should_stop=should_stop)
    return done, recorder, calls


def test_every_step_is_reported_once_and_events_fall_on_their_multiples_and_the_end():
    done, recorder, calls = _train(Schedule(25, sample_every=10, checkpoint_every=7))
    assert done and recorder.steps == list(range(1, 26)) and sum(calls) == 25 and calls[0] == 1
    assert recorder.events == [
        ('checkpoint', 7), ('sample', 10), ('checkpoint', 14), ('sample', 20), ('checkpoint', 21),
        ('sample', 25), ('checkpoint', 25),
    ]  # fmt: skip


def test_going_on_from_the_middle_keeps_the_multiples():
    done, recorder, _ = _train(Schedule(25, sample_every=10, checkpoint_every=7), start=9)
    assert done and recorder.steps == list(range(10, 26))
    assert recorder.events[:2] == [('sample', 10), ('checkpoint', 14)]


def test_nothing_to_do():
    done, recorder, calls = _train(Schedule(5, 1, 1), start=5)
    assert done and not calls and not recorder.events


def test_a_stop_saves_what_is_done():
    asked = []

    def should_stop():
        asked.append(None)
        return len(asked) > 3

    done, recorder, calls = _train(Schedule(1000, 0, 0), should_stop=should_stop)
    assert not done and len(calls) == 3
    assert recorder.steps == list(range(1, sum(calls) + 1))
    assert recorder.events == [('checkpoint', sum(calls))]


def test_bad_numbers_stop_the_run_by_name_before_anything_is_handed_on():
    runner, _ = _runner(bad_at=11)
    recorder = Recorder()
    with pytest.raises(NotFinite, match=r'generator_loss became nan at step 11'):
        run_loop(GAN_LIKE, runner, State(0, np.float32(1)), Schedule(40, 10, 10), recorder)
    assert recorder.events == [('sample', 10), ('checkpoint', 10)]
    assert recorder.steps == list(range(1, 11))


def test_a_bad_parameter_is_not_saved():
    runner, _ = _runner()
    recorder = Recorder()
    broken = runner._replace(fetch=lambda x: State(x['step'], np.float32('nan')) if isinstance(x, dict) else x)
    with pytest.raises(NotFinite, match='weight is not finite at step 10'):
        run_loop(GAN_LIKE, broken, State(0, np.float32(1)), Schedule(40, 0, 10), recorder)
    assert not recorder.events
