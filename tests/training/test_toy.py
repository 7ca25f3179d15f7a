"""Toy GANs: settings and networks."""

import jax
import numpy as np
import pytest

from wgan_jax.data import synthetic
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import override
from wgan_jax.training.toy import TOY_PRESETS, build_toy


def test_every_published_preset_is_there_and_valid():
    assert set(TOY_PRESETS) == set(PRESETS) - {'flags', 'pictures'} | {'r1_ema', 'r3gan_ema'}
    for settings in TOY_PRESETS.values():
        assert override(settings, {}) == settings
    assert TOY_PRESETS['wgan_gp'].penalty_weight == 0.1 and TOY_PRESETS['wgan_gp'].beta1 == 0.5
    assert TOY_PRESETS['wgan'].clip == 0.01 and TOY_PRESETS['wgan'].n_critic == 5


@pytest.mark.parametrize('constraint', ['gradient_penalty', 'orthonormal'])
def test_networks_map_latents_to_points_and_points_to_scores(constraint):
    settings = override(TOY_PRESETS['wgan'], {'constraint': constraint, 'width': 6, 'latent_dim': 5})
    gan, hyperparameters = build_toy(settings, synthetic.two_gaussians_1d(), depth=2)
    made = [network.init(jax.random.key(0)) for network in gan.networks]
    points, _ = gan.networks.generator.apply(made[0], np.zeros((3, 5), np.float32), train=False)
    scores, _ = gan.networks.critic.apply(made[1], points, train=False)
    assert points.shape == (3, 1) and scores.shape == (3,)
    kernels = [leaf.shape for leaf in jax.tree.leaves(made[0].params) if leaf.ndim == 2]
    assert sorted(kernels) == [(5, 6), (6, 1), (6, 6)]
    assert float(hyperparameters.critic_lr) == pytest.approx(5e-5)


def test_weights_start_as_he_et_al_draw_them():
    gan, _ = build_toy(TOY_PRESETS['wgan_gp'], synthetic.ring())
    kernel = np.asarray(gan.networks.generator.init(jax.random.key(0)).params['hidden_1']['kernel'])
    assert kernel.std() == pytest.approx(np.sqrt(2 / 128), rel=0.02) and abs(kernel.mean()) < 0.003
