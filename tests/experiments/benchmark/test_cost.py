"""``benchmark --cost``: counts against what was read before, seconds against closed forms, the simulation beside."""

import dataclasses
import json
import math

import jax
import numpy as np
import pytest

from experiments.benchmark.chips import CHIPS, Chip
from experiments.benchmark.counts import IMAGES, Program, Update, count_updates
from experiments.benchmark.scaling import (
    Piece,
    collective_seconds,
    expected_stretch,
    simulate,
    step_pieces,
    step_seconds,
    update_seconds,
)
from tests.experiments.processes import answers_of, finish, start
from wgan_jax.training.operations import Collective
from wgan_jax.training.presets import PRESETS

# Half its operations before the first collective, three quarters before the second, all before the last.
CHIP = Chip('tpu', {'float32': 2.0}, memory=10.0, link=5.0, domain=4, outer_link=0.5, latency=3.0, source='none')
MEETINGS = (Collective('all-gather', 400, 3e9), Collective('reduce-scatter', 800, 4.5e9))
LAST = Collective('all-reduce', 6_000_000, 6e9)
UPDATE = Update({'tpu': Program(8e9, 9e7)}, 6e9, 3e9, 2e7, 1e7, (*MEETINGS, LAST))
COMPUTE_BOUND = 8e9 / 2e12
RESNET = {'arch': 'resnet', 'resnet_variant': 'good', 'critic_norm': 'layer'}


def _step(settings):
    """TFLOP on cuda and tpu, of the products by definition, and MB of a step's all-reduces."""
    updates = count_updates(settings, compile_for_cpu=False)
    times = {'critic': settings.n_critic, 'generator': 1}

    def sum_of(number):
        return sum(n * number(updates[player]) for player, n in times.items())

    sent = sum_of(lambda update: sum(c.bytes for c in update.collectives if c.kind == 'all-reduce'))
    flops = [sum_of(lambda update, p=p: update.programs[p].flops) for p in ('cuda', 'tpu')]
    assert flops[0] == pytest.approx(flops[1], rel=1e-3)
    return flops[0] / 1e12, sum_of(lambda update: update.flops) / 1e12, sent / 1e6


def test_a_step_of_wgan_costs_what_was_read_before():
    # Fails if n_critic, one of the batches or a network's width is not the preset's, or metrics travel by themselves.
    tflop, products, sent = _step(PRESETS['wgan'])
    assert tflop == pytest.approx(0.46, rel=0.01)
    assert sent == pytest.approx(70, rel=0.01)
    # The border of zeros of a 4x4 convolution with stride 2 to 4, 8, 16 and 32 pixels: taps on it count by definition.
    assert 1.1 < products / tflop < 1.2


@pytest.mark.slow
@pytest.mark.parametrize(
    'preset, changes, expected',
    # The 2.6 of sngan were of as many examples for the generator as for the critic; the published ones are twice that.
    [('wgan_gp', {}, 0.69), ('sngan', {'generator_batch_size': 0}, 2.6), ('sngan', {}, 3.24), ('wgan_gp', RESNET, 14)],
)
def test_a_step_costs_what_was_read_before(preset, changes, expected):
    tflop, products, _ = _step(dataclasses.replace(PRESETS[preset], **changes))
    assert tflop == pytest.approx(expected, rel=0.02)
    assert 1.0 < products / tflop < 1.2


@pytest.mark.slow
def test_counts_are_affine_in_the_batch_and_independent_of_the_dataset(monkeypatch):
    # What strong scaling rests on. Fails if parameters count with the batch, or the whole dataset as read.
    settings = dataclasses.replace(PRESETS['flags'], batch_size=32)
    half = count_updates(dataclasses.replace(settings, batch_size=16), compile_for_cpu=False)
    monkeypatch.setattr('experiments.benchmark.counts.IMAGES', 8 * IMAGES)
    whole = count_updates(settings, compile_for_cpu=False)
    for player, update in whole.items():
        assert update.flops - update.flops_of_batch / 2 == half[player].flops
        assert update.bytes - update.bytes_of_batch / 2 == half[player].bytes
        assert update.programs['cuda'].flops == pytest.approx(2 * half[player].programs['cuda'].flops, rel=0.02)
        assert update.programs['cuda'].bytes < 2 * half[player].programs['cuda'].bytes
        assert update.bytes < update.programs['cuda'].bytes


@pytest.mark.slow
def test_nothing_is_allocated():
    # A batch of 17 million images of 64x64 would be 800 GB.
    settings = dataclasses.replace(PRESETS['wgan'], batch_size=2**24)
    before = len(jax.live_arrays())
    count_updates(settings, compile_for_cpu=False)
    assert len(jax.live_arrays()) <= before + 64  # hyperparameters


def test_the_roofline():
    # Fails if the slower of the two is not taken, if bytes before fusion are, or units are mixed up.
    assert update_seconds(UPDATE, CHIP, 'float32') == pytest.approx(COMPUTE_BOUND)
    assert update_seconds(UPDATE, CHIP, 'float32', fused=False) == pytest.approx(9e7 / 1e10)
    assert update_seconds(UPDATE, CHIP._replace(memory=1), 'float32') == pytest.approx(2e7 / 1e9)
    # Of a quarter of the batch: 3 + 3 / 4 of 6, and 1 + 1 / 4 of 2.
    assert update_seconds(UPDATE, CHIP, 'float32', 0.25) == pytest.approx(COMPUTE_BOUND * 3.75 / 6)
    assert update_seconds(UPDATE, CHIP._replace(memory=1), 'float32', 0.25) == pytest.approx(1.25e7 / 1e9)


@pytest.mark.parametrize('n, link, depth', [(2, 5e9, 1), (4, 5e9, 2), (8, 2e9, 3), (6, 2e9, 3)])
def test_a_ring_passes_its_parts_round(n, link, depth):
    # Counted by passing: parts of V / n go round n - 1 times to be summed, n - 1 times to be handed out. Fails for a
    # wrong factor, if a node's links to others count once for all its chips, or a tree's depth is that of n + 1.
    passing = sum(LAST.bytes / n / link for _ in range(2 * (n - 1)))
    assert collective_seconds(LAST, CHIP, n) == pytest.approx(passing + 2 * depth * 3e-6, rel=1e-12)
    for each in MEETINGS:
        passing = sum(each.bytes / link for _ in range(n - 1))
        assert collective_seconds(each, CHIP, n) == pytest.approx(passing + depth * 3e-6, rel=1e-12)
    assert collective_seconds(LAST, CHIP, 1) == 0


def test_a_step_is_its_updates_in_the_loop_s_order():
    generator = UPDATE._replace(flops=4e9, collectives=(LAST._replace(flops_before=1e9),))
    pieces = step_pieces({'critic': UPDATE, 'generator': generator}, 2, CHIP, 'float32', 4)
    waits = [collective_seconds(each, CHIP, 4) for each in UPDATE.collectives]
    critic = [(0.5, waits[0]), (0.25, waits[1]), (0.25, waits[2]), (0.0, None)]
    shares = [*critic, *critic, (0.25, waits[2]), (0.75, None)]
    assert [piece.collective for piece in pieces] == [wait for _, wait in shares]
    np.testing.assert_allclose(
        [piece.compute for piece in pieces], [COMPUTE_BOUND * share for share, _ in shares], atol=1e-15
    )
    assert step_seconds(pieces) == pytest.approx(3 * COMPUTE_BOUND + 2 * sum(waits) + waits[2])


PIECES = [Piece(3e-3, 1e-3), Piece(1e-3, 2e-4), Piece(2e-3, 5e-4)]


def _simulated(steps=1, devices=512, **options):
    given = {'slow': 0, 'slowdown': 1.0, 'jitter': 0.0, 'seed': 0, **options}
    return simulate(PIECES, devices=devices, steps=steps, **given)


def test_without_noise_the_simulation_is_the_formula():
    # Fails if a chip leaves a collective before the last has come, or a collective is waited for twice.
    one = step_seconds(PIECES)
    np.testing.assert_allclose(_simulated(7), one * np.arange(1, 8), rtol=1e-12)
    slow = _simulated(3, slow=1, slowdown=1.5)
    np.testing.assert_allclose(slow, step_seconds(PIECES, 1.5) * np.arange(1, 4), rtol=1e-12)
    assert expected_stretch(512, 1, 1.5, 0.0) == 1.5 and expected_stretch(512, 0, 1.5, 0.0) == 1.0


@pytest.mark.parametrize('n', [1, 2, 8, 512, 4096])
def test_the_slowest_of_equal_chips_is_the_harmonic_number(n):
    # E max of n exponential draws is 1 + 1/2 + ... + 1/n (Renyi 1953).
    harmonic = sum(1 / k for k in range(1, n + 1))
    assert expected_stretch(n, 0, 1.0, 0.3) == pytest.approx(1 + 0.3 * harmonic, rel=1e-7)
    # Slow ones of the same speed change nothing, and all slow ones stretch everything.
    assert expected_stretch(n, n // 2, 1.0, 0.3) == pytest.approx(1 + 0.3 * harmonic, rel=1e-7)
    assert expected_stretch(n, n, 2.0, 0.3) == pytest.approx(2 * (1 + 0.3 * harmonic), rel=1e-7)


def test_the_slower_of_a_slow_chip_and_another():
    # X = 1 + a E, Y = s (1 + a E'): E max = s (1 + a) + E max(X - Y, 0), and P(X > Y) = e^(-(s - 1) / a) / (1 + s).
    a, s = 0.7, 1.6
    assert expected_stretch(2, 1, s, a) == pytest.approx(s * (1 + a) + a * math.exp(-(s - 1) / a) / (1 + s), rel=1e-8)


@pytest.mark.parametrize('slow, slowdown', [(0, 1.0), (5, 1.2)])
def test_with_noise_the_simulation_is_the_expectation(slow, slowdown):
    # Four standard errors, of steps that are independent. Fails if noise is drawn once for a step, or all chips share
    # it: the mean of the first is the same, its deviation is not.
    steps, jitter = 400, 0.1
    ends = _simulated(steps, slow=slow, slowdown=slowdown, jitter=jitter)
    seconds = np.diff(ends, prepend=0)
    expected = step_seconds(PIECES, expected_stretch(512, slow, slowdown, jitter))
    assert abs(seconds.mean() - expected) < 4 * seconds.std() / math.sqrt(steps)
    if not slow:  # the variance of the maximum is jitter^2 sum 1 / k^2, of each piece by itself
        variance = jitter**2 * sum(1 / k**2 for k in range(1, 513)) * sum(piece.compute**2 for piece in PIECES)
        assert seconds.var() == pytest.approx(variance, rel=0.35)
    np.testing.assert_array_equal(ends, _simulated(steps, slow=slow, slowdown=slowdown, jitter=jitter))
    assert ends[-1] != _simulated(steps, slow=slow, slowdown=slowdown, jitter=jitter, seed=1)[-1]


def test_chips_are_as_their_makers_say():
    # Rates whose ratios are known: the same chip with other memory, TF32 at half of bfloat16's rate.
    assert CHIPS['h100']._replace(memory=4800, source='') == CHIPS['h200']._replace(source='')
    for chip in CHIPS.values():
        assert chip.source and chip.tflops['bfloat16'] == chip.tflops['float32'] * (1 + (chip.platform == 'cuda'))


@pytest.mark.slow
def test_the_table(tmp_path):
    flags = ['--presets=wgan,wgan_gp', '--width=8', '--batch_size=16', '--scales=4,512', '--chips=h200,v5e']
    code, out, err = finish(start('benchmark', '--cost', f'--workdir={tmp_path}', *flags, '--simulated_steps=3'))
    assert code == 0, err
    results = json.loads((tmp_path / 'results.json').read_text())
    assert list(results) == ['wgan', 'wgan_gp'] and 'GFLOP cpu' in out and 'wgan step (5 + 1)' in out
    config = json.loads((tmp_path / 'config.json').read_text())
    assert (
        config['launcher'] == 'benchmark_cost'
        and config['chips']['h200']['memory'] == 4800
        and config['flags']['jitter'] == 0.02
    )
    wgan = results['wgan']
    assert set(wgan['critic']['programs']) == {'cpu', 'cuda', 'tpu'}
    assert wgan['critic']['collectives']['all-reduce']['number'] == 1
    for chip in wgan['chips'].values():
        assert 0 < chip['ideal_seconds'] < chip['unfused_seconds'] and chip['strong_efficiency'][1] is None
        assert 1 > chip['weak_efficiency'][0] > chip['weak_efficiency'][1] > chip['straggling_efficiency'] > 0
        assert chip['simulated_efficiency'] == pytest.approx(chip['straggling_efficiency'], rel=0.05)
    arrays = np.load(tmp_path / 'cost.npz')
    assert arrays['weak_efficiency'].shape == (2, 2, 2) and arrays['simulated_seconds'].shape == (2, 2, 3)
    assert (tmp_path / 'cost.png').exists()


def test_what_has_no_effect_is_refused():
    cases = [
        (['--cost', '--pairs=3'], 'pairs has no effect with --cost'),
        (['--cost', '--cases=gp'], 'cases has no effect with --cost'),
        (['--jitter=0.1'], 'jitter has no effect without --cost'),
        (['--presets=wgan', '--nocost'], 'presets has no effect without --cost'),
        (['--cost', '--tflops=100'], 'tflops is that of one chip: name it, as in --chips=h100'),
        (['--cost', '--chips=v4', '--outer_link=9'], 'outer_link has no effect on up to 4096 devices of v4'),
        (['--cost', '--chips=h100', '--link=500', '--scales=16,64'], 'link=500 has no effect on over 8 devices'),
        (['--cost', '--stragglers=0.01', '--scales=8'], 'stragglers=0.01 is none of 8 devices: use 0 or at least'),
        (['--cost', '--stragglers=0', '--slowdown=2'], 'slowdown has no effect without stragglers'),
        (['--cost', '--presets=wgan,dc'], 'dc is unknown; there are: flags, '),
        (['--cost', '--scales=1'], '1 must be at least 2'),
        (['--cost', '--slowdown=0.5'], 'slowdown=0.5 must be a number >= 1'),
    ]  # fmt: skip
    given = answers_of('benchmark', *(flags for flags, _ in cases))
    for (flags, says), (code, _, err) in zip(cases, given, strict=True):
        assert code == 2 and says in err and err.count('\n') == 1, (flags, err)
