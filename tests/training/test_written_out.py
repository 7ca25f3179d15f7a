"""Both players' updates against the algorithm written out, in float64, over several steps of every kind."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training import written_out
from tests.training.exact import REAL, exact_gan, exact_settings
from wgan_jax.training.state import init_state
from wgan_jax.training.step import train_steps

SEED, STEPS = 7, 3

# Together: both optimizers with and without momentum, every augmentation, latent, kind of penalty and kind of critic.
CASES = {
    'clip': ('wgan', {'constraint': 'clip'}, True),
    'gradient_penalty': ('wgan_gp', {'objective': 'hinge', 'beta1': 0.5, 'latent': 'uniform'}, False),
    'dragan': (
        'dragan', {'objective': 'minimax', 'label_smoothing': 0.125, 'augment': 'data', 'n_critic': 3,
                   'optimizer': 'adam', 'beta1': 0.0, 'beta2': 0.75}, False,
    ),
    'r1': (
        'r1', {'objective': 'least_squares', 'optimizer': 'rmsprop', 'augment': 'none', 'decay_steps': 2,
               'batch_size': 3}, False,
    ),
    'pairs': ('r1', {'objective': 'relativistic', 'constraint': 'r1_r2'}, False),
    'schedules': (  # the noise's own would be in float32
        'r1', {'optimizer': 'adam', 'beta1': 0.0, 'beta2': 0.5, 'decay': 'cosine', 'final_lr': 0.25,
               'final_penalty': 0.125, 'final_beta2': 0.75, 'instance_noise': 0.0}, False,
    ),
}  # fmt: skip


DAILY = 'clip', 'gradient_penalty', 'pairs', 'schedules'


@pytest.mark.parametrize(
    'name', [name if name in DAILY else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_steps_are_the_algorithm_written_out(name):
    # Fails for any wrong sign, role, counter, schedule, constant or order of operations: the two share none.
    preset, changes, mixes = CASES[name]
    settings = exact_settings(preset, **changes)
    with jax.enable_x64(True):
        gan, hyperparameters = exact_gan(settings, mixes=mixes)
        start = init_state(gan, hyperparameters, SEED)
        run = jax.jit(functools.partial(train_steps, gan, capacity=STEPS))
        state, rows = run(hyperparameters, start, REAL, STEPS)
        params, network_state, average, metrics = written_out.train(settings, gan.augmentation, start, STEPS, seed=SEED)
        assert rows.dtype == metrics.dtype == jnp.float64
        assert (int(state.step), int(state.critic_step)) == (STEPS, STEPS * settings.n_critic)
        np.testing.assert_allclose(rows, metrics, rtol=1e-9, atol=1e-12)
        pairs = ((state.params, params), (state.network_state, network_state), (tuple(state.ema), average))
        for ours, theirs in pairs:
            assert jax.tree.structure(ours) == jax.tree.structure(theirs)
            for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
        moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), params, start.params)
        assert min(v for tree in moved for name, v in tree.items() if name != 'bias') > 1e-3  # in many digits
