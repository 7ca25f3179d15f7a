"""Latents and the great circle between them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.latents import LATENTS, great_circle


@pytest.mark.parametrize('name, mean_square', [('normal', 1.0), ('uniform', 1 / 3)])
def test_latents_have_their_distribution(name, mean_square):
    z = jax.vmap(LATENTS[name](50))(jax.random.split(jax.random.key(0), 400))
    assert z.shape == (400, 50)
    np.testing.assert_allclose(jnp.mean(z**2), mean_square, rtol=0.03)
    assert name == 'normal' or float(jnp.abs(z).max()) <= 1


def test_great_circle_keeps_the_length_and_turns_evenly():
    a, b = jnp.array([2.0, 0.0, 0.0]), jnp.array([0.0, 2.0, 0.0])
    points = great_circle(a, b, jnp.array([0.0, 1 / 3, 1.0]))
    np.testing.assert_allclose(points, 2 * np.array([[1, 0, 0], [np.sqrt(3) / 2, 0.5, 0], [0, 1, 0]]), atol=1e-6)


@pytest.mark.parametrize('factor', [3.0, -1.0])
def test_great_circle_of_parallel_latents_is_the_straight_line(factor):
    a = jnp.array([1.0, 2.0])
    np.testing.assert_allclose(great_circle(a, factor * a, jnp.array([0.5]))[0], (1 + factor) / 2 * a, atol=1e-5)
