"""How many steps a time allows: with a clock of our own, and as part of a run."""

import dataclasses
import json
import shutil
import time
from types import SimpleNamespace

import numpy as np
import pytest

import wgan_jax
from tests.training.runs import EVERY, IMAGES, arrays, metrics, tiny
from wgan_jax.training import budget
from wgan_jax.training.build import build_gan
from wgan_jax.training.state import init_state


class _Clock:
    """A machine on which compilation takes so long, and each step so long."""

    def __init__(self, gan, compilation, step):
        self.now, self._gan, self._left, self._step, self.first = 0.0, gan, compilation, step, None
        self.capacity, self.place, self.fetch = 512, self._begin, lambda rows: rows

    def monotonic(self):
        return self.now

    def _begin(self, state):
        self.first = self.steps = int(state.step)
        return state

    def run(self, state, count):
        updates = np.broadcast_to(self._gan.critic_updates(np.arange(self.steps, self.steps + count)), count)
        self.now += self._left + updates.sum() * self._step
        self._left, self.steps = 0, self.steps + count
        return state, None


def chosen(monkeypatch, seconds, compilation, step, past=0, chores=lambda clock: (), **changes):
    """(settings, the clock) after measuring."""
    settings = tiny(**changes)
    gan, hyperparameters = build_gan(settings, 3)
    clock = _Clock(gan, compilation, step)
    monkeypatch.setattr(budget, 'time', SimpleNamespace(monotonic=clock.monotonic))
    state = init_state(gan, hyperparameters, 0)
    return budget.within(settings, gan, clock, state, seconds / 60, -past, chores(clock)), clock


def test_steps_fill_the_time(monkeypatch):
    # Fails if a second compilation is set aside where none is needed, or not where it is; or if the time for measuring
    # is counted twice or not at all.
    for noise, again in ((0.0, 0), (0.5, 40)):
        settings, clock = chosen(monkeypatch, 600, 40, 0.1, decay_steps=5, instance_noise=noise)
        assert clock.now < 40.1 + 0.05 * 600 * 1.5
        used = clock.now + again + settings.steps * 0.1
        assert 0.92 * 600 < used < 0.97 * 600
        assert settings.decay_steps == settings.steps and settings.steps % 5 == 0
    assert chosen(monkeypatch, 600, 10, 0.1, decay_steps=0)[0].decay_steps == 0


def test_what_is_done_beside_takes_of_the_time(monkeypatch):
    def chores(clock):
        def do(state):
            clock.now += 3

        return [budget.Chore(10, do), budget.Chore(100, do)]

    settings, clock = chosen(monkeypatch, 600, 10, 0.1, chores=chores)
    used = clock.now + settings.steps * 0.1 + 3 * (settings.steps / 10 + settings.steps / 100) + 6
    assert 0.92 * 600 < used < 600 and 1_150 < settings.steps < 1_300


def test_no_time_for_a_step_is_said(monkeypatch):
    says = r'minutes=0\.25: compilation and measuring took 0\.2\d and leave no time for a step: give at least 0\.4, '
    with pytest.raises(ValueError, match=says):
        chosen(monkeypatch, 15, 14, 0.1)
    for past in (0, 40):
        with pytest.raises(ValueError, match='no time for a step') as error:
            chosen(monkeypatch, past + 15, 14, 0.1, past)
        advised = float(str(error.value).partition('at least ')[2].partition(',')[0])
        assert chosen(monkeypatch, 60 * advised, 14, 0.1, past)[0].steps > 20


@pytest.mark.parametrize('n_critic', [1, 5, 120])
@pytest.mark.parametrize('warmup', [False, True])
def test_as_many_critic_updates_as_fit(n_critic, warmup):
    gan = dataclasses.replace(build_gan(tiny(), 3)[0], n_critic=n_critic, critic_warmup=warmup)
    totals = np.cumsum([gan.critic_updates(np.int64(step)) for step in range(9_000)])
    for updates in (1, n_critic, 2_600, 7_777):
        exact = max(1, int((totals <= updates).sum()))
        found = budget._steps_of_as_many_critic_updates(gan, updates)
        assert 0.95 * exact <= found <= exact


def test_the_original_s_long_updates_are_not_measured(monkeypatch):
    _, clock = chosen(monkeypatch, 600, 10, 0.1, critic_warmup=True)
    assert clock.first == 26


def test_those_that_were_measured_are_counted(monkeypatch):
    # A step of 100 critic updates takes 100 times as long: whether one falls into what is measured changes nothing.
    fast, clock = chosen(monkeypatch, 600, 10, 0.01, critic_warmup=True)
    assert clock.steps > 500
    settings = tiny(critic_warmup=True)
    gan = build_gan(settings, 3)[0]
    used = sum(gan.critic_updates(np.int64(step)) for step in range(fast.steps)) * 0.01
    assert 0.8 * 600 < used + clock.now + 10 < 600


@pytest.fixture
def twelve(monkeypatch):
    """Every time allows twelve steps; how often it was asked."""
    asked = []

    def within(settings, gan, runner, state, minutes, since, chores):
        asked.append((minutes, time.monotonic() - since, [chore.every for chore in chores]))
        return dataclasses.replace(settings, steps=12, decay_steps=12)

    monkeypatch.setattr(budget, 'within', within)
    return asked


def run(workdir, minutes, **options):
    return wgan_jax.train(tiny(steps=999, decay_steps=7), workdir, dataset=IMAGES, minutes=minutes, **EVERY, **options)


@pytest.mark.slow
def test_they_are_the_run_s_from_then_on(tmp_path, twelve):
    straight = wgan_jax.train(tiny(steps=12, decay_steps=12), tmp_path / 'straight', dataset=IMAGES, **EVERY)
    workdir = tmp_path / 'timed'
    run(workdir, 3, should_stop=(workdir / 'checkpoints' / '4').exists)
    config = json.loads((workdir / 'config.json').read_text())
    assert config['settings']['steps'] == config['settings']['decay_steps'] == 12 and config['run']['minutes'] == 3
    shutil.copytree(workdir, tmp_path / 'without')
    (tmp_path / 'without' / 'config.json').unlink()
    for folder in (workdir, tmp_path / 'without'):
        assert run(folder, 3).step == straight.step == 12
        assert metrics(folder) == metrics(tmp_path / 'straight')
        for name, array in arrays(tmp_path / 'straight')[1].items():
            assert arrays(folder)[1][name].tobytes() == array.tobytes()
    assert len(twelve) == 1 and twelve[0][0] == 3 and 0 < twelve[0][1] < 10 and twelve[0][2] == [8, 4]
    assert not list(workdir.glob('.tmp-*'))


@pytest.mark.slow
def test_another_time_is_refused_and_no_time_where_none_was_asked(tmp_path, twelve):
    run(tmp_path / 'timed', 3)
    with pytest.raises(ValueError, match=r'minutes=4: .* a run of 12 steps, which minutes=3 chose'):
        run(tmp_path / 'timed', 4)
    wgan_jax.train(tiny(steps=16, decay_steps=12), tmp_path / 'timed', dataset=IMAGES, **EVERY)
    with pytest.raises(ValueError, match=r'a run of 16 steps, which no minutes chose'):
        run(tmp_path / 'timed', 3)
    wgan_jax.train(tiny(), tmp_path / 'plain', dataset=IMAGES, **EVERY)
    with pytest.raises(ValueError, match=r'a run of 12 steps, which no minutes chose: .* or leave minutes out'):
        run(tmp_path / 'plain', 3)
    config = json.loads((tmp_path / 'plain' / 'config.json').read_text())
    (tmp_path / 'plain' / 'config.json').unlink()
    with pytest.raises(ValueError, match=r'which no minutes chose'):
        run(tmp_path / 'plain', 3)  # as its checkpoint says
    for run_of_before in ({'log_every': 1}, {'log_every': 1, 'minutes': 'ten'}, 3):  # of an older version, or damaged
        (tmp_path / 'plain' / 'config.json').write_text(json.dumps({**config, 'run': run_of_before}))
        with pytest.raises(ValueError, match=r'which no minutes chose'):
            run(tmp_path / 'plain', 3)
    for wrong in (0, -1, np.nan, 'ten'):
        with pytest.raises(ValueError, match='minutes='):
            run(tmp_path / 'new', wrong)
    assert not (tmp_path / 'new').exists()


def test_what_cannot_be_measured_leaves_nothing(tmp_path, monkeypatch):
    def within(*arguments):
        assert (tmp_path / 'run' / '.lock').exists()
        raise ValueError('minutes: too few')

    monkeypatch.setattr(budget, 'within', within)
    with pytest.raises(ValueError, match='too few'):
        run(tmp_path / 'run', 1)
    assert not (tmp_path / 'run').exists()
