"""The optimizers of training against their recursions, written out in NumPy."""

import jax
import numpy as np
import optax
import pytest

from wgan_jax.training.optimizers import OPTIMIZERS

RATE = 1e-3


def _rmsprop(gradients):
    """torch.optim.RMSprop with its defaults: alpha 0.99, eps 1e-8 outside the root."""
    v = 0.0
    for g in gradients:
        v = 0.99 * v + 0.01 * g**2
        yield -RATE * g / (np.sqrt(v) + 1e-8)


def _adam(gradients):
    """Kingma and Ba 2015, algorithm 1, with betas 0.5 and 0.9 and their epsilon of 1e-8."""
    m = v = 0.0
    for t, g in enumerate(gradients, 1):
        m, v = 0.5 * m + 0.5 * g, 0.9 * v + 0.1 * g**2
        yield -RATE * (m / (1 - 0.5**t)) / (np.sqrt(v / (1 - 0.9**t)) + 1e-8)


# Where epsilon stands, and how large it is, shows in gradients of its own size and of that of its root.
@pytest.mark.parametrize('name, written_out', [('rmsprop', _rmsprop), ('adam', _adam)])
@pytest.mark.parametrize('scale', [1.0, 1e-4, 1e-8])
def test_optimizer_is_the_recursion(name, written_out, scale):
    gradients = np.random.default_rng(0).normal(size=(9, 5)) * scale
    with jax.enable_x64(True):
        transform = OPTIMIZERS[name](0.5, 0.9)(RATE)
        params = np.zeros(5)
        state = transform.init(params)
        for g, expected in zip(gradients, written_out(gradients), strict=True):
            updates, state = transform.update(g, state, params)
            np.testing.assert_allclose(updates, expected, rtol=1e-12)
            params = optax.apply_updates(params, updates)
