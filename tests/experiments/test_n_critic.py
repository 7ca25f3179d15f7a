"""The study of critic updates: what differs between its variants, and that it runs."""

import dataclasses

import pytest

from experiments import n_critic
from tests.experiments.processes import done
from wgan_jax.training.toy import TOY_PRESETS


def test_variants_of_one_line_differ_in_critic_updates_only(monkeypatch):
    studied = {}
    monkeypatch.setattr(n_critic, 'run_study', lambda name, variants, axis: studied.update({name: variants}) or 0)
    assert n_critic.main() == 0
    variants = studied['n_critic']
    assert len(variants) == len({(v.line, v.place) for v in variants}) == 12
    for line, preset in n_critic.METHODS.items():
        own = [v for v in variants if v.line == line]
        assert [v.settings.n_critic for v in own] == [int(v.place) for v in own] == [1, 5, 25, 100]
        assert len({dataclasses.replace(v.settings, n_critic=1) for v in own}) == 1
        assert own[0].settings.objective == TOY_PRESETS[preset].objective
        assert own[0].settings.constraint == TOY_PRESETS[preset].constraint


@pytest.mark.slow
def test_it_runs(tmp_path):
    _, results = done('n_critic', tmp_path, '--steps=1', '--seeds=1')
    assert len(results['variants']) == 12 and all(row['w1']['mean'] > 0 for row in results['variants'])
