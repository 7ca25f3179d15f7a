"""The log of a critic's steepness: its numbers are those of the state, and a continued run's lines stand once."""

import jax
import numpy as np
import pytest

from experiments.train.lipschitz_log import LipschitzLog
from tests.experiments.processes import finish, start
from tests.training.common import small_gan, small_pixels, small_settings
from wgan_jax.data.images import collect, to_float
from wgan_jax.lipschitz import upper_bound
from wgan_jax.training.callbacks import RunInfo
from wgan_jax.training.records import read_metrics
from wgan_jax.training.state import init_state


@pytest.mark.parametrize('preset', ['wgan', 'wgan_gp'])
def test_lines_are_of_the_state_and_a_restart_drops_later_ones(preset, tmp_path, caplog):
    gan, hyperparameters = (
        small_gan(preset, arch='mlp', critic_norm='none') if preset == 'wgan_gp' else small_gan(preset)
    )
    state = init_state(gan, hyperparameters, 0)
    critic = state.critic
    doubled = state._replace(params=state.params._replace(critic=jax.tree.map(lambda p: 2 * p, critic.params)))
    samples = to_float(small_pixels(12)[::-1])

    def open_at(step):
        log = LipschitzLog()
        begun = state._replace(step=np.int32(step))
        log.start(RunInfo(tmp_path, small_settings(preset), gan, collect(small_pixels()), begun, 1))
        return log

    log = open_at(0)
    for step, now in ((5, state), (10, doubled)):
        log.sample(step, now, samples)
    log.close()
    first, second = read_metrics(tmp_path / 'lipschitz.jsonl')
    assert first['lipschitz_slope'] > 0 and first['lipschitz_gradient'] > 0
    if preset == 'wgan':
        assert first['lipschitz_upper'] is None and caplog.text.count('no Lipschitz bound exists') == 1
    else:
        assert first['lipschitz_upper'] == pytest.approx(float(upper_bound(gan.networks.critic, critic)), rel=1e-6)
        assert second['lipschitz_upper'] == pytest.approx(16 * first['lipschitz_upper'], rel=1e-5)
        assert max(first['lipschitz_slope'], first['lipschitz_gradient']) <= first['lipschitz_upper']
    open_at(5).close()
    assert read_metrics(tmp_path / 'lipschitz.jsonl') == [first]


@pytest.mark.slow
def test_train_logs_with_every_grid_of_samples_and_goes_on(tmp_path):
    flags = ['--preset=wgan_gp', '--arch=mlp', '--image_size=4', '--width=4', '--latent_dim=2', '--batch_size=4',
             '--n_critic=1', '--sample_every=2', '--log_lipschitz', f'--workdir={tmp_path}']  # fmt: skip
    for steps in (4, 6):
        code, _, err = finish(start('train', *flags, f'--steps={steps}'))
        assert code == 0, err
    rows = read_metrics(tmp_path / 'lipschitz.jsonl')
    assert [row['step'] for row in rows] == [2, 4, 6]
    for row in rows:
        assert 0 < max(row['lipschitz_slope'], row['lipschitz_gradient']) <= row['lipschitz_upper']
    assert len({row['lipschitz_upper'] for row in rows}) == 3  # of a critic that learns
