"""A batch size of the generator's own: what it draws, what it leaves alone, and how devices share it."""

import jax
import numpy as np
import pytest

from tests.training.common import small_gan, small_pixels
from wgan_jax.training.draws import Role
from wgan_jax.training.parallel import make_runner
from wgan_jax.training.state import init_state
from wgan_jax.training.step import critic_update, generator_gradient
from wgan_jax.types import Variables

PIXELS = small_pixels()
MLP = {'arch': 'mlp', 'critic_norm': 'none'}  # in which no example knows of another


def test_the_gradient_is_the_mean_over_so_many_latents():
    gan, hyperparameters = small_gan('wgan_gp', generator_batch_size=6, **MLP)
    state = init_state(gan, hyperparameters, 3)
    (loss, _), gradient = jax.jit(lambda s: generator_gradient(gan, s, PIXELS, 5))(state)

    def score(params, example):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(3), Role.GENERATOR_LATENT), 5)
        z = jax.random.normal(jax.random.fold_in(key, example), (6,))
        image, _ = gan.networks.generator.apply(Variables(params, {}), z[None], train=True)
        return -gan.networks.critic.apply(Variables(state.params.critic, {}), image, train=True)[0][0]

    alone = jax.jit(jax.value_and_grad(score))
    each = [alone(state.params.generator, example) for example in range(6)]
    mean = jax.tree.map(lambda *leaves: sum(leaves) / 6, *each)
    np.testing.assert_allclose(loss, mean[0], rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7), gradient, mean[1])


def test_the_critic_s_update_does_not_change():
    updated = []
    for own in (0, 6):
        gan, hyperparameters = small_gan('wgan_gp', generator_batch_size=own, **MLP)
        updated.append(
            jax.jit(lambda s, g=gan, n=hyperparameters: critic_update(g, n, s, PIXELS))(
                init_state(gan, hyperparameters, 3)
            )
        )
    first, second = map(jax.tree.leaves, updated)
    assert len(first) == len(second) > 0
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.slow
def test_two_devices_share_both_batches():
    rows, counts = [], []
    for mode, devices in (('jit', 1), ('pmap', 2)):
        gan, hyperparameters = small_gan('wgan_gp', generator_batch_size=6, **MLP)
        runner = make_runner(gan, hyperparameters, PIXELS, mode=mode, devices=jax.devices()[:devices], capacity=1)
        _, row = runner.run(runner.place(init_state(gan, hyperparameters, 7)), 1)
        rows.append(runner.fetch(row)[0])
        counts.append(runner.num_devices)
    assert counts == [1, 2]
    np.testing.assert_allclose(rows[1], rows[0], rtol=1e-5)


def test_devices_that_cannot_share_both_batches():
    two = jax.devices()[:2]
    gan, hyperparameters = small_gan('wgan', generator_batch_size=7)
    for mode in ('auto', 'pmap'):
        with pytest.raises(
            ValueError, match='generator_batch_size=7 cannot be shared evenly by 2 devices: 6 or 8 would do'
        ):
            make_runner(gan, hyperparameters, PIXELS, mode=mode, devices=two)
