"""The studies of critic updates and of momentum: what differs between their variants, and that they run."""

import dataclasses

import numpy as np
import pytest
from tqdm import tqdm

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


@pytest.mark.slow
def test_runs_on_images_are_kept(tmp_path):
    # Fails if a run is trained twice, or if one of another seed is taken for it.
    given = {'dataset': 'flags', 'image_size': '16x16', 'width': 1, 'data_dir': None}
    flags = OnImages(given, _Mean())
    settings = flags.settings('dcgan', {'steps': 2, 'batch_size': 2})

    def runs():
        return {path: path.stat().st_mtime_ns for path in (tmp_path / 'runs').iterdir()}

    with tqdm(disable=True) as bar:
        one = flags.train(tmp_path, 'one', settings, [5], bar)
        before = runs()
        both = flags.train(tmp_path, 'one', settings, [5, 6], bar)
    assert len(before) == 1 and len(runs()) == 2 and before.items() <= runs().items()
    assert both.quality['patch_distance'].shape == (2, 2) and both.metrics.shape[:2] == (2, 2)
    for name, values in both.quality.items():
        np.testing.assert_array_equal(values[:, :1], one.quality[name])
        assert (values[:, 0] != values[:, 1]).any()


@pytest.mark.slow
@pytest.mark.parametrize('options', [(), ('--dataset=flags', '--image_size=16', '--width=1', '--features=pixels')])
def test_optimizers_are_compared(tmp_path, options):
    config, results = done('momentum', tmp_path, '--steps=2', '--seeds=1', *options)
    quality = 'patch_distance' if options else 'w1'
    assert len(results['variants']) == len(config['variants']) == 4
    assert all(row[quality]['mean'] > 0 and row['critic_loss_std']['mean'] >= 0 for row in results['variants'])


@pytest.mark.slow
def test_it_runs(tmp_path):
    _, results = done('n_critic', tmp_path, '--steps=1', '--seeds=1')
    assert len(results['variants']) == 12 and all(row['w1']['mean'] > 0 for row in results['variants'])
