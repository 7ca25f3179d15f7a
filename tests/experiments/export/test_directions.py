"""Principal directions of a generator whose own are known."""

import jax.numpy as jnp
import numpy as np
import pytest

import wgan_jax
from experiments.export.directions import principal_directions
from wgan_jax.training.load import Generator
from wgan_jax.types import Network, Variables


@pytest.mark.parametrize('latent', ['normal', 'uniform'])
def test_a_linear_generator_has_its_singular_vectors(latent):
    # x = W z explains s_k^2 / sum s^2 along its k-th right singular vector; left ones, latents that are not centred or
    # shares of the pictures that were fitted would be others.
    left, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(16, 4)))
    right, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))
    singular = np.array([4.0, 2.0, 1.0, 0.5]) / 40
    weights = jnp.asarray(left * singular @ right.T, jnp.float32)

    def apply(variables, z, *, train):
        return (z @ variables.params.T).reshape(-1, 4, 4, 1), {}

    settings = wgan_jax.settings('wgan_gp', arch='mlp', image_size='4x4', latent_dim=4, latent=latent)
    network = Network(lambda key: Variables(weights, {}), apply)
    found = principal_directions(Generator(network, Variables(weights, {}), settings, 1), 3)
    np.testing.assert_allclose(np.abs(found.axes @ right[:, :3]), np.eye(3), atol=1e-4)
    np.testing.assert_allclose(found.shares, (singular**2 / (singular**2).sum())[:3], rtol=0.2)
    assert (found.axes @ np.asarray(weights).T).sum(1).min() > 0  # brighter to the right
