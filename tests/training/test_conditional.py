"""Conditional training: every example with its own label, and a generator that makes of each class what is of it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wgan_jax
from wgan_jax.data.images import to_float
from wgan_jax.networks import mlp
from wgan_jax.training.as_game import as_game
from wgan_jax.training.build import make_gan
from wgan_jax.training.draws import draw_labelled, draw_labels
from wgan_jax.training.frozen import probe_critic
from wgan_jax.training.state import init_state
from wgan_jax.training.step import critic_update, draw_batches, generated_batch, train_steps
from wgan_jax.types import Players, Variables

LABELS = np.arange(90, dtype=np.int32) % 3
VALUES = np.array([30, 128, 230])  # of the pixels of each class
PIXELS = (VALUES[LABELS] + np.arange(90) % 7 - 3).astype(np.uint8).reshape(90, 1, 1, 1)
SHARES = (1 / 3,) * 3


@pytest.fixture(scope='module')
def gan():
    settings = wgan_jax.settings(
        'wgan_gp', image_size=1, arch='mlp', width=16, latent_dim=2, batch_size=32, n_critic=2, ema_decay=0.95,
        penalty_weight=1.0, generator_lr=0.01, critic_lr=0.01,
    )  # fmt: skip
    shape, sizes = (1, 1, 1), {'width': 16, 'depth': 2, 'init': 'he', 'num_classes': 3}
    networks = Players(mlp.generator(shape, latent_dim=2, **sizes), mlp.critic(shape, **sizes))
    gan, hyperparameters = make_gan(settings, networks, draw=draw_labelled)
    return dataclasses.replace(gan, class_shares=SHARES), hyperparameters


def test_labels_are_those_of_the_images():
    # Fails if the two are drawn by different orders, over several epochs.
    draw = jax.jit(functools.partial(draw_labelled, batch_size=16))
    for counter in range(12):
        images, labels = draw((PIXELS, LABELS), jnp.uint32(5), counter, jnp.arange(16))
        places = np.abs(np.asarray(images).reshape(-1, 1) - np.asarray(to_float(VALUES.astype(np.uint8)))).argmin(1)
        assert (places == labels).all() and labels.dtype == jnp.int32


def test_labels_to_be_generated_are_as_frequent_as_among_the_data():
    # Fails for shares that are taken as equal, a class that has none, or the last one lost to rounding.
    shares = (0.1, 0.0, 0.6, 0.3, 0.0)
    labels = np.asarray(jax.jit(functools.partial(draw_labels, shares, jnp.uint32(1), 3))(jnp.arange(20_000)))
    counts = np.bincount(labels, minlength=5)
    assert counts[1] == counts[4] == 0 and counts.sum() == 20_000
    expected = 20_000 * np.array(shares)
    assert (np.abs(counts - expected) < 4.5 * np.sqrt(expected) + 1e-9).all()
    some = draw_labels(shares, jnp.uint32(1), 3, jnp.arange(7, 12))
    assert (some == labels[7:12]).all()  # whichever device holds the example
    assert (draw_labels(shares, jnp.uint32(1), 4, jnp.arange(50)) != labels[:50]).any()


def test_real_and_fake_are_of_the_same_classes(gan):
    # Fails if the critic is asked of a fake what it is not, or the penalty goes from one class to another.
    gan, hyperparameters = gan
    state = init_state(gan, hyperparameters, 0)
    batches = jax.jit(lambda state: draw_batches(gan, state, (PIXELS, LABELS), 4))(state)
    again = jax.jit(lambda state: generated_batch(gan, state, state.params.generator, 4, batches.labels))(state)
    np.testing.assert_array_equal(batches.fake, again)
    other = jax.jit(lambda state: generated_batch(gan, state, state.params.generator, 4, (batches.labels + 1) % 3))
    assert (np.asarray(other(state)) != np.asarray(batches.fake)).all()
    assert set(np.unique(batches.labels)) == {0, 1, 2}


def test_a_critic_update_is_the_loss_written_out(gan):
    # Fails if labels are lost anywhere between the draw and the gradient.
    gan, hyperparameters = gan
    state = init_state(gan, hyperparameters, 0)
    _, (loss, penalty, estimate, _) = jax.jit(
        lambda state: critic_update(gan, hyperparameters, state, (PIXELS, LABELS))
    )(state)
    real, fake, keys, labels = draw_batches(gan, state, (PIXELS, LABELS), 0)

    def score(x, labels):
        return gan.networks.critic.apply(state.critic, x, train=True, labels=labels)[0]

    wanted = float(score(real, labels).mean() - score(fake, labels).mean())
    weights = jax.vmap(lambda key: jax.random.uniform(key))(keys)[:, None, None, None]
    between = weights * real + (1 - weights) * fake
    slopes = jax.vmap(jax.grad(lambda x, label: score(x[None], label[None])[0]))(between, labels)
    norms = jnp.abs(slopes).reshape(-1)
    np.testing.assert_allclose(estimate, wanted, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(penalty, jnp.square(norms - 1).mean(), rtol=1e-4)
    np.testing.assert_allclose(loss, -wanted + hyperparameters.penalty_weight * penalty, rtol=1e-4)


def test_every_class_comes_to_its_own(gan):
    # Fails if labels reach only one of the two players, or not the one that they are for.
    gan, hyperparameters = gan
    run = jax.jit(functools.partial(train_steps, gan, capacity=400))
    state, rows = run(hyperparameters, init_state(gan, hyperparameters, 0), (PIXELS, LABELS), 400)
    assert np.isfinite(rows).all()
    z = jax.random.normal(jax.random.key(1), (300, 2))
    images = gan.networks.generator.apply(state.ema, z, train=False, labels=jnp.arange(300) % 3)[0]
    means = np.asarray(images).reshape(100, 3).mean(0)
    np.testing.assert_allclose(means, np.asarray(to_float(VALUES.astype(np.uint8))), atol=0.15)


def test_a_conditional_gan_is_a_game_and_can_be_probed(gan):
    gan, hyperparameters = gan
    state = init_state(gan, hyperparameters, 0)
    data = jnp.asarray(PIXELS), jnp.asarray(LABELS)
    _, (loss, *_) = jax.jit(lambda state: critic_update(gan, hyperparameters, state, data))(state)
    game = as_game(gan, hyperparameters, state, data)
    np.testing.assert_allclose(game.losses.critic(state.params), loss, rtol=1e-5)
    probe = jax.jit(lambda state: probe_critic(gan, [gan.objective], state, data, draws=2))(state)
    assert np.isfinite(np.asarray(probe.gradient_norm)).all()
    assert isinstance(state.generator, Variables)
