"""The distances launcher at a small size: its files, its numbers, and what it refuses."""

import json

import numpy as np
import pytest

from experiments.reproduce.checks import check
from experiments.reproduce.claims import CLAIMS
from tests.experiments.processes import finish, start

pytestmark = pytest.mark.slow
SHEETS = ('sliding', 'parallel_lines', 'piles', 'clouds', 'directions', 'slide_home')


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('distances')
    flags = ['--samples=2000', '--points=12', '--steps=250', '--p=1,0,2', '--q=0,3,0']
    code, out, err = finish(start('distances', f'--workdir={workdir}', *flags))
    assert code == 0, err
    return workdir, out, json.loads((workdir / 'results.json').read_text())


def test_writes_every_sheet_with_its_arrays(run):
    workdir, out, results = run
    assert set(results) == set(SHEETS) and str(workdir) in out
    for name in SHEETS:
        assert (workdir / f'{name}.png').stat().st_size > 10_000
        with np.load(workdir / f'{name}.npz') as arrays:
            assert arrays.files
    config = json.loads((workdir / 'config.json').read_text())
    assert config['launcher'] == 'distances' and config['flags']['samples'] == 2000 and config['flags']['seed'] == 0


def test_numbers_of_the_sliding_gaussians(run):
    rows = run[2]['sliding']
    assert rows['delta'] == [0, 5, 25, 100] and rows['w1'] == [0, 5, 25, 100]
    np.testing.assert_allclose(rows['js'][:2], [0, 0.6759425774], atol=1e-10)
    np.testing.assert_allclose(rows['tv'][:2], [0, 0.9875806693], atol=1e-10)
    np.testing.assert_allclose(rows['kl'], [0, 12.5, 312.5, 5000], rtol=1e-12)
    np.testing.assert_allclose(rows['js_log_gap'][2:], [-80.4389177, -1253.687124], rtol=1e-9)
    np.testing.assert_allclose(rows['minimax_log_gradient'][2:], [-77.9069834, -1249.774702], rtol=1e-9)
    np.testing.assert_allclose(rows['non_saturating_gradient'][1:], [4.952620383, 25, 100], rtol=1e-9)
    assert all(error < 0.15 for error in rows['largest_error_of_samples'].values())
    with np.load(run[0] / 'sliding.npz') as arrays:
        np.testing.assert_allclose(arrays['js_log10_slope'][-1], np.log10(1.697e-300 / 2) - 243, atol=1e-3)
        np.testing.assert_allclose(arrays['kl_log10_slope'][-1], 2, rtol=1e-12)


def test_numbers_of_the_other_sheets(run):
    results = run[2]
    lines = results['parallel_lines']
    assert lines['kl'][0] == 'inf' and lines['tv'][0] == 1 and lines['w1'] == [0.5, 0.5, 0.5]
    np.testing.assert_allclose(lines['js'][0], np.log(2), rtol=1e-14)
    np.testing.assert_allclose(lines['kl'][1:], [12.5, 0.25 / 0.18], rtol=1e-12)
    assert [example['work'] for example in results['piles']['examples']] == [5, 5, 3]
    assert results['piles']['examples'][0]['surplus'] == [2, 1, -2, 0]
    np.testing.assert_allclose(results['piles']['examples'][0]['normalised'], 5 / 14, rtol=1e-14)
    np.testing.assert_allclose(results['clouds']['primal'], results['clouds']['dual'], rtol=1e-12)
    assert results['clouds']['lipschitz'] < 1 + 1e-9 and results['clouds']['w2'] >= results['clouds']['primal']
    both = results['directions']
    np.testing.assert_allclose([both['kl'], both['kl_reversed']], [np.log(2) - 3 / 8, 1.5 - np.log(2)], rtol=1e-3)
    np.testing.assert_allclose(both['js'], both['js_reversed'], rtol=1e-12)


def test_every_claim_about_distances_finds_its_number(run):
    rows = [row for row in check(CLAIMS, {'distances': run[2]}) if row['launcher'] == 'distances']
    assert rows and not [row['claim'] for row in rows if row['measured'] is None]


def test_only_wasserstein_brings_everything_home(run):
    home = run[2]['slide_home']
    assert np.abs(home['wasserstein_end']).max() < 0.4 and np.abs(home['line_wasserstein_end']).max() < 0.06
    assert home['minimax_end'][-1] > 9.99 and abs(home['minimax_end'][0]) < 0.1
    assert home['line_js_end'] == home['start']  # not by one bit
