"""The benchmark at a toy size: its results have the agreed names, and its count of operations is right."""

import json
import re

import jax
import pytest

from experiments.benchmark.cases import CASES, build_case, case_data, case_settings, round_products
from experiments.benchmark.report import add_shares_of_best_rate
from tests.experiments.processes import finish, start
from wgan_jax.training.state import init_state
from wgan_jax.training.step import critic_update


@pytest.mark.slow
def test_results_have_the_agreed_names(tmp_path):
    assert set(CASES) == {'clip', 'gp', 'resnet_gp', 'resnet_good_gp', 'sngan', 'mlp_gp', 'toy_gp'}
    flags = ['--pairs=1', '--batch_size=2', '--width=2', '--cases=gp_bfloat16']  # the one that uses every part
    code, out, err = finish(start('benchmark', f'--workdir={tmp_path}', *flags))
    assert code == 0, err
    results = json.loads((tmp_path / 'results.json').read_text())
    assert set(results) == {'gp_bfloat16'}
    for case in results.values():
        assert all(
            case[name] > 0 for name in ('seconds_per_round', 'compile_seconds', 'images_per_second', 'matmul_share')
        )
    assert 's/round' in out and (tmp_path / 'benchmark.png').exists() and (tmp_path / 'times.npz').exists()
    code, _, err = finish(start('train', f'--workdir={tmp_path}'))
    assert code == 2 and 'holds the results of benchmark' in err


def test_products_of_a_round_by_hand():
    # Batch 1, width 1: output pixels 1024, 256, 64, 16 of 16 taps; channels 3-1-2-4-8.
    layers = [2 * 16 * n for n in (1024 * 3, 256 * 2, 64 * 8, 16 * 32)]
    critic, generator = sum(layers), sum(layers) + 2 * 100 * 16 * 8
    update = generator + 2 * (3 * critic - layers[0])
    last = 3 * generator - 2 * 100 * 16 * 8 + 2 * critic
    score = 2 * 16 * 8  # of the last 4x4 pixels; in the penalty its slope's slope is a constant: one product fewer
    expected = {
        'clip': 5 * (update + 2 * 3 * score) + last + 2 * score,
        'gp': 5 * (update + 4 * critic + 9 * score) + last + 2 * score,
    }
    assert {case: round_products(case, case_settings(case, 'float32', 1, 1)) for case in expected} == expected


def test_shares_are_of_the_best_rate_in_the_same_precision():
    # Fails if a case keeps the rate of its own moment, or takes the other precision's.
    rates = {'gp_float32': 100.0, 'clip_float32': 200.0, 'gp_bfloat16': 300.0}
    results = {
        name: {'gflop_of_products': 600.0, 'seconds_per_round': 4.0, 'matmul_gflop_per_second': rate}
        for name, rate in rates.items()
    }
    add_shares_of_best_rate(results)
    shares = {name: result['matmul_share'] for name, result in results.items()}
    assert shares == {'gp_float32': 0.75, 'clip_float32': 0.75, 'gp_bfloat16': 0.5}


@pytest.mark.slow
@pytest.mark.parametrize('case', CASES)
def test_a_case_in_bfloat16_computes_in_it(case):
    # Fails for a case that ignores its precision. The score's layer, of one channel, is float32, as are the products of
    # a matrix and a vector in spectral norms.
    settings = case_settings(case, 'bfloat16', None, None)
    gan, hyperparameters = build_case(case, settings, conv_impl='matmul')
    state = jax.eval_shape(lambda: init_state(gan, hyperparameters, 0))
    update = jax.jit(lambda state: critic_update(gan, hyperparameters, state, case_data(case, settings)))
    pattern = r'stablehlo.dot_general.*: \(tensor<([^>]*)>, tensor<([^>]*)>\) -> tensor<([^>]*)>'
    found = re.findall(pattern, update.lower(state).as_text())
    wide = [types for types in found if all(type.count('x') == 2 and '1' not in type.split('x') for type in types)]
    assert len(wide) > 10
    assert {a[-4:] for a, _, _ in wide} == {b[-4:] for _, b, _ in wide} == {'bf16'}
