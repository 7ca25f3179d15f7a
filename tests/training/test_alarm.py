"""When a run is said to go wrong: each trouble by itself, not before it is time, and once."""

import logging

import pytest

import wgan_jax
from tests.training.runs import IMAGES, tiny
from wgan_jax.training.alarm import Alarm

GOOD = {
    'wasserstein': 2.0, 'generator_grad_norm': 1.0, 'duplicates': 0.3, 'diversity': 0.9, 'patch_distance': 0.1,
    'gap': 3.0,
}  # fmt: skip


def said(changes, looks=12, **settings):
    """All lines of a run with a look every 100 steps, the changed ones by a function of the step."""
    alarm, lines = Alarm(tiny(steps=4_000, **settings)), []
    for step in range(100, 100 * looks + 1, 100):
        record = {**GOOD, **changes(step)}
        alarm.add([{**record, 'step': step - back} for back in (3, 2, 1)])
        lines += alarm.look({**record, 'step': step}, 0.2)
    return lines


def test_a_good_run_is_left_in_peace_and_so_is_one_that_has_just_begun():
    assert not said(lambda step: {})
    assert not said(lambda step: {'diversity': 0.1, 'duplicates': 1.0, 'wasserstein': -1.0} if step < 500 else {})
    assert not said(lambda step: {'duplicates': 0.59, 'diversity': 0.61})
    assert not said(lambda step: dict.fromkeys(('wasserstein', 'duplicates', 'diversity', 'patch_distance')))


@pytest.mark.parametrize(
    'changes, says',
    [
        ({'diversity': 0.5}, '30% of the samples are near-duplicates (of the data 20%), and their diversity is 0.5 of'),
        ({'duplicates': 0.7}, '70% of the samples are near-duplicates'),
        ({'patch_distance': 0.7}, 'no more like the data than noise does (patch distance 0.7)'),
        ({'wasserstein': 0.0}, 'the critic is beaten: its estimate is 0 or less in most of the last 4 steps'),
        ({'gap': -2e3}, 'scores run away: those of real images and of samples differ by -2e+03'),
        ({'gap': None}, 'differ by more than all numbers'),
    ],
)
def test_each_trouble_is_said_once_at_the_second_look(changes, says):
    lines = said(lambda step: changes)
    assert len(lines) == 1 and lines[0].startswith('step 600: ') and says in lines[0]
    assert not said(lambda step: changes if step % 200 else {})  # it comes and goes


def test_a_gradient_that_vanishes_is_said():
    lines = said(lambda step: {'generator_grad_norm': 3.0 if step < 800 else 2e-3})
    assert len(lines) == 1 and 'step 900: ' in lines[0] and 'vanished (norm 0.002, at first 3)' in lines[0]
    assert not said(lambda step: {'generator_grad_norm': 3.0 if step < 800 else 4e-3})


def test_lines_without_a_norm_begin_nothing():
    assert not Alarm(tiny(), [{'step': 1}, {'step': 2, 'generator_grad_norm': None}]).look({**GOOD, 'step': 3}, 0.2)


@pytest.mark.slow
def test_a_run_warns_of_it(tmp_path, caplog):
    # A generator that does not move at all.
    settings = tiny(steps=300, generator_lr=1e-12)
    with caplog.at_level(logging.WARNING):
        wgan_jax.train(settings, tmp_path, dataset=IMAGES, sample_every=50, log_every=300, checkpoint_every=300)
    (line,) = [record.message for record in caplog.records if 'near-duplicates' in record.message]
    assert line.startswith(f'{tmp_path}: step 250: 100% of the samples')
