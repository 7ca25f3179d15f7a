"""``w1_benchmark``: what a critic is judged by, the table, cells that are kept, and what is refused."""

import inspect
import json

import jax
import numpy as np
import pytest

from experiments.common import kept
from experiments.w1_benchmark.cells import judge, surface_of, train, true_surface
from experiments.w1_benchmark.methods import METHODS
from experiments.w1_benchmark.published import DIMS, FUNNELS, best, published
from tests.experiments.processes import answers_of, done
from wgan_jax.data.funnels import draw_funnels, potential
from wgan_jax.json_files import NUMBER
from wgan_jax.types import Network, Variables

SMALL = 'cones(num_cones=16,cones_per_dim=0,batch_size=32),clip(width=8,depth=1,batch_size=32)'


class Known:
    """In place of a method: a critic that is known."""

    def __init__(self, function):
        self.function = function

    def network(self, dim):
        def apply(variables, x, *, train):
            return self.function(x), variables.state

        return Network(lambda key: Variables({}, {}), apply, bounds=lambda variables, clip: (2.0,))


def test_the_optimal_critic_gets_full_marks():
    # Fails if sides, signs or samples of the measures are mixed up.
    pair = draw_funnels(jax.random.key(0), 4, 5)
    found = judge(Known(lambda x: 3 - potential(pair, x)), Variables({}, {}), pair, 0)
    assert found['cosine'] > 0.999 and found['l2'] < 1e-3 and abs(found['w1_error']) < 1e-5
    assert found['w1'] == pytest.approx(found['w1_true']) and 0.5 < found['w1'] < 2
    assert found['bound'] == 2 and found['certified'] == found['w1'] / 2
    np.testing.assert_allclose(found['largest_gradient'], 1, rtol=1e-3)


def test_other_critics_get_what_they_deserve():
    pair = draw_funnels(jax.random.key(0), 4, 5)
    twice = judge(Known(lambda x: -2 * potential(pair, x)), Variables({}, {}), pair, 0)
    np.testing.assert_allclose([twice['cosine'], twice['l2'], twice['w1_error']], [1, 1, 1], atol=2e-3)
    turned = judge(Known(lambda x: potential(pair, x)), Variables({}, {}), pair, 0)
    np.testing.assert_allclose([turned['cosine'], turned['l2'], turned['w1_error']], [-1, 4, -2], atol=4e-3)
    flat = judge(Known(lambda x: 0 * x[:, 0]), Variables({}, {}), pair, 0)
    assert (flat['cosine'], flat['w1_error'], flat['largest_gradient']) == (0, -1, 0)
    np.testing.assert_allclose(flat['l2'], 1, rtol=1e-5)


QUICK = 'cones', 'gradient_penalty'


@pytest.mark.parametrize(
    'name', [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in METHODS]
)
def test_every_method_learns(name):
    # Fails for a constraint, rate or sign that keeps a critic from the right side.
    of_cones, others = {'num_cones': 64, 'cones_per_dim': 0}, {'width': 32, 'width_per_dim': 2, 'critic_lr': 3e-3}
    method = METHODS[name](**(of_cones if name == 'cones' else others), batch_size=128, updates=300)
    pair = draw_funnels(jax.random.key(1), 3, 2)
    variables, seconds = train(method, pair, seed=0)
    found = judge(method, variables, pair, 0)
    assert seconds > 0 and found['cosine'] > 0.03 and found['w1'] > 0
    if name != 'none':
        assert found['certified'] < 1.002 * found['w1_true']
    if method.constraint in ('spectral', 'orthonormal') or name == 'cones':
        assert found['largest_gradient'] < 1.05 and found['bound'] < 1.05


def test_the_published_protocol_is_as_wide_as_it_says():
    method = METHODS['published_gradient_penalty']()
    assert [method.units(dim) for dim in (2, 64, 128)] == [128, 128, 256]
    assert (method.depth, method.updates, method.critic_lr, method.activation) == (2, 60_000, 2e-4, 'relu')
    assert METHODS['published_clip']().clip == 0.04
    assert METHODS['published_orthonormal']().activation == 'full_sort'
    cones = METHODS['cones']()
    assert [cones.units(dim) for dim in (2, 64, 128)] == [512, 512, 1024]


def test_the_published_table_is_whole():
    table = published()
    assert set(table) == {(dim, num) for dim in DIMS for num in FUNNELS}
    assert {len(solvers) for solvers in table.values()} == {11}
    found = best()
    assert found[8, 64]._replace(l2=0) == ('wgan-lp', 0.83, 0, -0.06)
    assert found[2, 256][:2] == ('sort-out', 0.55) and found[128, 16].cosine == 0.92
    assert (found[2, 4].solver, found[16, 16].solver, found[16, 64].solver) == ('dot', '3p-wgan_rev', 'wgan-lp')
    means = {
        solver: np.mean([one.cosine for solvers in table.values() for one in solvers if one.solver == solver])
        for solver in ('wgan-lp', 'wgan-gp', 'sort-out')
    }
    np.testing.assert_allclose(list(means.values()), [0.77, 0.73, 0.71], atol=0.006)


def test_surfaces_lie_as_the_plane_does():
    # Fails if x and y change places.
    pair = draw_funnels(jax.random.key(2), 2, 4)
    surface = surface_of(Known(lambda x: x[:, 0] + 10 * x[:, 1]), Variables({}, {}))
    np.testing.assert_allclose([surface[0, 0], surface[0, -1], surface[-1, 0]], [-27.5, -22.5, 22.5], rtol=1e-5)
    truth, side = true_surface(pair), np.linspace(-2.5, 2.5, len(surface))
    at = np.array([[side[5], side[90]]], np.float32)
    np.testing.assert_allclose(truth[90, 5], -potential(pair, at)[0], rtol=1e-5)


@pytest.mark.parametrize(
    'name, values, match',
    [
        ('clip', {'width': 7, 'width_per_dim': 0}, '7 units in 3 dimensions: max_min sorts pairs'),
        ('clip', {'width': 8, 'width_per_dim': 3}, '9 units in 3 dimensions'),
        ('clip', {'depth': 0}, 'depth=0 must be at least 1'),
        ('spectral', {'beta1': 1.0}, 'beta1=1.0 must lie'),
        ('cones', {'updates': 0}, 'updates=0 must be at least 1'),
        ('cones', {'num_cones': 20_000}, '20000 cones in 3 dimensions: 16384 are the most'),
    ],
)
def test_methods_that_there_cannot_be(name, values, match):
    with pytest.raises(ValueError, match=match):
        METHODS[name](**values).check(3)


def test_a_method_has_only_options_that_it_reads():
    options = {name: set(inspect.signature(method).parameters) for name, method in METHODS.items()}
    assert 'clip' in options['clip'] and 'penalty_weight' not in options['clip']
    assert 'penalty_weight' in options['r1'] and 'clip' not in options['r1']
    assert not {'width', 'constraint', 'clip'} & options['cones'] and not {'num_cones'} & options['none']


def test_an_update_cools_once():
    # Fails if both passes of an update count, or that over the penalty.
    method = METHODS['cones'](num_cones=4, cones_per_dim=0, batch_size=16, updates=7)
    variables, _ = train(method, draw_funnels(jax.random.key(0), 2, 2), seed=0)
    assert int(variables.state['cooling']['passes']) == 7


@pytest.mark.slow
def test_what_is_done_is_kept_and_joined(tmp_path):
    # Fails if a cell is done twice, or one that was done with other numbers is taken for it.
    flags = [f'--methods={SMALL}', '--updates=20']
    config, first = done('w1_benchmark', tmp_path, *flags, '--cells=2x3,3x2')
    assert config['flags']['updates'] == 20 and len(config['pairs']) == 2
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / 'cells').iterdir()}
    assert len(files) == 4 == len(first['cells'])
    names = [(cell['method'].partition('(')[0], cell['dim'], cell['funnels']) for cell in first['cells']]
    assert names == [('cones', 2, 3), ('cones', 3, 2), ('clip', 2, 3), ('clip', 3, 2)]
    for cell in first['cells']:
        assert cell['w1_error'] == pytest.approx(cell['w1'] / cell['w1_true'] - 1)
        assert {'cosine', 'l2', 'bound', 'certified', 'updates', 'seconds'} <= set(cell)
    for name in ('table.png', 'surfaces.png'):
        assert (tmp_path / name).stat().st_size > 10_000
    with np.load(tmp_path / 'surfaces.npz') as arrays:
        assert sorted(name.partition('(')[0].split()[0] for name in arrays) == ['clip', 'cones', 'optimal']

    damaged = next(path for path in files if path.name.startswith('clip'))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    _, again = done('w1_benchmark', tmp_path, *flags, '--cells=2x3,3x2,4x2')
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / 'cells').iterdir()}
    assert len(after) == 6 and [after[path] == files[path] for path in files].count(False) == 1
    numbers = [{k: v for k, v in cell.items() if k != 'seconds'} for cell in again['cells'] if cell['dim'] < 4]
    assert numbers == [{k: v for k, v in cell.items() if k != 'seconds'} for cell in first['cells']]


def test_numbers_that_decide_are_in_the_name(tmp_path):
    record, shape = {'seed': 0, 'cell': (2, 3)}, {'w1': NUMBER, 'w1_true': NUMBER}
    one, other = (kept.place(tmp_path, 'cells', 'a(b=1)/..', '2x3', {**record, 'seed': seed}) for seed in (0, 1))
    assert one != other and one.parent == tmp_path / 'cells' and one.name.startswith('a_b=1_')
    assert kept.read(one, shape, ['surface']) is None
    kept.prepare(tmp_path, 'cells')
    whole = dict.fromkeys(shape, 1.5)
    kept.write(one, whole, {'surface': np.ones((2, 2), np.float32)})
    result, arrays = kept.read(one, shape, ['surface'])
    assert result == whole and arrays['surface'].sum() == 4
    assert kept.read(one, shape, ['surface', 'other']) is None  # of another version
    kept.write(one, {'w1': 1.5}, {'surface': np.zeros(0)})
    assert kept.read(one, shape, ['surface']) is None


def test_published_pairs_are_read(tmp_path):
    pair = draw_funnels(jax.random.key(3), 2, 2)
    np.savez(tmp_path / 'p.npz', centers_2_2=pair.centers, offsets_2_2=pair.offsets)
    flags = [f'--pairs={tmp_path}/p.npz', '--methods=cones(num_cones=8,cones_per_dim=0,batch_size=16)', '--updates=2']
    _, results = done('w1_benchmark', tmp_path / 'out', *flags, '--cells=2x2')
    truth = judge(Known(lambda x: -potential(pair, x)), Variables({}, {}), pair, 0)
    assert results['cells'][0]['w1_true'] == pytest.approx(truth['w1_true'], rel=1e-6)
    assert results['means'] and json.dumps(results)


CASES = [
    (['--methods=con'], 'methods=con is unknown; there are: cones, none, clip'),
    (['--methods=cones(width)'], 'cannot be read: write name or name(option=value)'),
    (['--methods=cones(cones=3)'], 'cones is not an option of cones; there are: '),
    (['--methods=clip(width=9)'], 'methods=clip(width=9): 9 units in 2 dimensions: max_min sorts pairs'),
    (['--methods=cones(clip=1)'], 'clip is not an option of cones; there are: num_cones'),
    (['--methods=cones(updates=9)', '--updates=3'], 'updates=3 has no effect on methods=cones(updates=9)'),
    (['--cells=2049x4'], 'methods=cones: 16392 cones in 2049 dimensions: 16384 are the most'),
    (['--cells=99999x99999', '--methods=none(width_per_dim=0)'], 'would take'),
    (['--methods=clip(clip=-1)'], 'methods=clip(clip=-1): clip=-1 must be a positive number'),
    (['--methods=clip(batch_size=1000000)', '--cells=128x256'], 'would take'),
    (['--cells=8-64'], 'cells: 8-64 is no DIMENSIONxFUNNELS, such as 8x64'),
    (['--cells=0x4'], 'cells: 0x4 is no DIMENSIONxFUNNELS'),
    (['--pairs=/nowhere.npz'], 'pairs=/nowhere.npz is not a file'),
    (['--updates=0'], 'updates=0 must be at least 1'),
]


def test_what_cannot_be_is_refused_in_one_line(tmp_path):
    pair = draw_funnels(jax.random.key(3), 2, 2)
    np.savez(tmp_path / 'p.npz', centers_2_2=pair.centers, offsets_2_2=pair.offsets)
    cases = [*CASES, ([f'--pairs={tmp_path}/p.npz', '--cells=2x2,2x3'], 'has no 2x3; there are: 2x2')]
    commands = [[*flags, f'--workdir={tmp_path}/out'] for flags, _ in cases]
    for (flags, says), (code, _, err) in zip(cases, answers_of('w1_benchmark', *commands), strict=True):
        assert code == 2 and says in err and len(err.splitlines()) == 1, (flags, err)
    assert not (tmp_path / 'out').exists()
