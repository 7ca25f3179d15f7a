"""The studies of critic updates and of momentum: what differs between their variants, and that they run."""

import dataclasses

import numpy as np
import pytest

from experiments import momentum, n_critic
from experiments.common.study import settings_of
from experiments.common.study_data import OnDensity, OnImages
from tests.experiments.processes import done, finish, start
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.toy import TOY_PRESETS


class _Mean:
    name = 'mean'

    def __call__(self, images):
        return np.asarray(images).mean((1, 2))


@pytest.fixture(scope='module', params=['ring', 'flags'])
def ground(request):
    if request.param == 'ring':
        return OnDensity('ring'), TOY_PRESETS
    given = {'dataset': 'flags', 'image_size': '16x16', 'width': None, 'data_dir': None}
    return OnImages(given, _Mean()), PRESETS


def _variants(module, monkeypatch):
    studied = []
    monkeypatch.setattr(module, 'run_study', lambda name, variants, axis: studied.extend(variants) or 0)
    assert module.main() == 0
    return studied


def test_variants_of_one_line_differ_in_critic_updates_only(monkeypatch, ground):
    variants = _variants(n_critic, monkeypatch)
    assert len(variants) == len({(v.line, v.place) for v in variants}) == 12
    for line, (preset, _) in n_critic.METHODS.items():
        own = [(v, settings_of(v, ground[0], {})) for v in variants if v.line == line]
        assert [s.n_critic for _, s in own] == [int(v.place) for v, _ in own] == [1, 5, 25, 100]
        assert len({dataclasses.replace(s, n_critic=1) for _, s in own}) == 1
        published = ground[1][preset]
        for name in ('objective', 'constraint', 'critic_norm', 'beta1', 'latent'):
            assert getattr(own[0][1], name) == getattr(published, name)


def test_optimizers_differ_in_momentum_only(monkeypatch, ground):
    # Fails if the penalty takes the place of clipping, or if a decay of Adam's is not the named one.
    studied = [settings_of(v, ground[0], {'steps': 7}) for v in _variants(momentum, monkeypatch)]
    assert [(s.optimizer, s.beta1) for s in studied[1:]] == [('adam', 0.0), ('adam', 0.5), ('adam', 0.9)]
    assert studied[0].optimizer == 'rmsprop' and {s.steps for s in studied} == {7}
    assert {(s.constraint, s.clip) for s in studied} == {('clip', 0.1 if ground[1] is TOY_PRESETS else 0.01)}
    assert len({dataclasses.replace(s, beta1=0.0) for s in studied[1:]}) == 1


@pytest.mark.parametrize('flag', ['image_size=32', 'features=pixels', 'data_dir=.'])
def test_flags_of_images_are_refused_for_a_density(flag):
    code, _, err = finish(start('momentum', f'--{flag}'))
    assert code == 2 and f'momentum: {flag} is for images, and dataset=ring is a density' in err


def test_runs_on_images_are_kept(tmp_path):
    # Fails if a run is trained twice, or if one of another seed is taken for it.
    options = ('--dataset=flags', '--image_size=16', '--width=1', '--steps=2', '--features=pixels')
    config, first = done('momentum', tmp_path, *options, '--seeds=1')
    runs = {path: path.stat().st_mtime_ns for path in (tmp_path / 'runs').iterdir()}
    assert len(runs) == 4 and config['dataset']['shape'] == [256, 16, 16, 3]
    _, second = done('momentum', tmp_path, *options, '--seeds=2')
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / 'runs').iterdir()}
    assert len(after) == 8 and runs.items() <= after.items()
    for one, two in zip(first['variants'], second['variants'], strict=True):
        assert one['patch_distance']['std'] == 0 < two['patch_distance']['std']
        assert one['place'] == two['place'] and one['kernel_distance'] != two['kernel_distance']
    with np.load(tmp_path / 'arrays.npz') as arrays:
        assert arrays['0_patch_distance'].shape == (2, 2) and arrays['3_metrics'].shape[:2] == (2, 2)


@pytest.mark.slow
def test_it_runs(tmp_path):
    _, results = done('n_critic', tmp_path, '--steps=1', '--seeds=1')
    assert len(results['variants']) == 12 and all(row['w1']['mean'] > 0 for row in results['variants'])
