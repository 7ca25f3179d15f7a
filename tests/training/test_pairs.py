"""Objectives of pairs: what real examples a generator's update is shown beside its own."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training.common import small_gan, small_pixels, small_settings
from wgan_jax.training.build import build_gan
from wgan_jax.training.parallel import make_runner
from wgan_jax.training.settings import override
from wgan_jax.training.state import init_state
from wgan_jax.training.step import generator_gradient, train_steps
from wgan_jax.types import Players

PIXELS = small_pixels()
MLP = {'arch': 'mlp', 'critic_norm': 'none'}
PAIRED = {'objective': 'relativistic', 'constraint': 'r1_r2', **MLP}


def _drawn(**changes):
    """The numbers of the batches that two steps draw, in order."""
    gan, hyperparameters = small_gan('dcgan', n_critic=2, **MLP, **changes)
    counters = []

    def draw(data, seed, counter, examples, *, batch_size):
        jax.debug.callback(lambda counter: counters.append(int(counter)), counter, ordered=True)
        return jnp.zeros((len(examples), 16, 32, 3))

    gan = dataclasses.replace(gan, draw=draw)
    steps = jax.jit(functools.partial(train_steps, gan, capacity=2))
    jax.block_until_ready(steps(hyperparameters, init_state(gan, hyperparameters, 3), None, 2))
    jax.effects_barrier()
    return counters


def test_every_batch_is_drawn_once_and_in_order():
    # So every image is seen once an epoch by one player or the other, and streamed data are asked for as they come.
    assert _drawn(objective='relativistic') == [0, 1, 2, 3, 4, 5]
    assert _drawn() == [0, 1, 2, 3]


def test_both_of_a_pair_are_of_one_class():
    settings = small_settings('r1', conditional=True, **PAIRED)
    gan, hyperparameters = build_gan(settings, 3, class_shares=(0.5, 0.25, 0.25))
    told = {'generator': [], 'critic': []}

    def noting(network, to):
        def apply(variables, x, **options):
            told[to].append(np.asarray(options['labels']))
            return network.apply(variables, x, **options)

        return network._replace(apply=apply)

    noted = Players(*(noting(network, to) for to, network in gan.networks._asdict().items()))
    gan = dataclasses.replace(gan, networks=noted)
    labels = np.arange(10, dtype=np.int32) % 3
    state = init_state(gan, hyperparameters, 3)
    with jax.disable_jit():
        generator_gradient(gan, state, (jnp.asarray(PIXELS), jnp.asarray(labels)), 0)
    of_real, of_fake = told['critic']
    assert len(set(of_real.tolist())) > 1
    np.testing.assert_array_equal(of_real, of_fake)
    np.testing.assert_array_equal(told['generator'], [of_real])


@pytest.mark.slow
def test_two_devices_pair_the_same_images():
    rows = []
    for mode, devices in (('jit', 1), ('pmap', 2)):
        gan, hyperparameters = small_gan('r1', **PAIRED, instance_noise=0.1, augment='flip,shift')
        runner = make_runner(gan, hyperparameters, PIXELS, mode=mode, devices=jax.devices()[:devices], capacity=2)
        _, row = runner.run(runner.place(init_state(gan, hyperparameters, 7)), 2)
        rows.append(runner.fetch(row))
    np.testing.assert_allclose(rows[1], rows[0], rtol=2e-5, atol=1e-6)


def test_a_generator_s_batch_of_another_size_has_no_pairs():
    settings = small_settings('r1', **PAIRED)
    with pytest.raises(ValueError, match='generator_batch_size=6 must be 0 or batch_size=4'):
        override(settings, {'generator_batch_size': 6})
    assert override(settings, {'generator_batch_size': 4}).generator_batch_size == 4
