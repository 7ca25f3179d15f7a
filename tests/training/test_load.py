"""A trained generator read back: one program for every number of images, and images that do not depend on it."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training.common import small_settings
from wgan_jax.latents import LATENTS
from wgan_jax.training import load as loading
from wgan_jax.training.build import build_gan
from wgan_jax.training.checkpoint import CheckpointStore
from wgan_jax.training.compiled import compiled
from wgan_jax.training.load import CHUNK, load
from wgan_jax.training.state import init_state
from wgan_jax.types import Players

KEY = jax.random.key(5)


def _run(folder, **changes):
    """The folder of a run that has made no step."""
    settings = small_settings('wgan_gp', arch='mlp', critic_norm='none', **changes)
    gan, hyperparameters = build_gan(settings, 3)
    store = CheckpointStore(folder / 'checkpoints', keep=1)
    store.save(0, jax.tree.map(np.asarray, init_state(gan, hyperparameters, settings.seed)))
    dataset = {'shape': [10, 16, 32, 3], 'fingerprint': 'ab'}
    config = {'launcher': 'train', 'settings': dataclasses.asdict(settings), 'dataset': dataset}
    (folder / 'config.json').write_text(json.dumps(config))
    return folder


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """Two runs of one architecture that differ in much else, and one of another."""
    first, second, wider = (tmp_path_factory.mktemp(name) for name in ('first', 'second', 'wider'))
    _run(first)
    return first, _run(second, seed=7, batch_size=8, generator_lr=3e-4, steps=5, n_critic=3), _run(wider, width=6)


@pytest.fixture
def count_compilations():
    """Calls a function, and returns how many programs XLA compiled meanwhile."""
    compiled = []
    active = [False]

    def listen(event, duration, **_):
        if active[0] and event == '/jax/core/compile/backend_compile_duration':
            compiled.append(duration)

    def count(function):
        compiled.clear()
        active[0] = True
        try:
            function()
        finally:
            active[0] = False
        return len(compiled)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield count
    active[0] = False


def test_one_program_for_every_number_every_load_and_every_run_of_an_architecture(runs, count_compilations):
    # Fails if a remainder has its own shape, or if a program is kept for a network that each load makes anew.
    jax.clear_caches()
    loading._built.cache_clear()
    compiled.cache_clear()
    assert count_compilations(lambda: load(runs[0]).sample(KEY, 3)) > 0  # the counter counts
    generator = load(runs[0])
    assert count_compilations(lambda: [generator.sample(KEY, n) for n in (1, 2, CHUNK, CHUNK + 1, 150)]) == 0
    assert count_compilations(lambda: load(runs[0]).sample(KEY, 5)) == 0
    assert count_compilations(lambda: load(runs[1], ema=False).sample(KEY, 7)) == 0
    assert count_compilations(lambda: load(runs[2]).sample(KEY, 7)) > 0
    assert compiled.cache_info().currsize == 2


def test_images_do_not_depend_on_how_many_are_asked_for(runs):
    # To the bit: fails if the rows that fill a batch up get among the others, or lie in front.
    generator = load(runs[0])
    many = np.asarray(generator.sample(KEY, CHUNK + 9))
    assert many.shape == (CHUNK + 9, 16, 32, 3) and many.dtype == np.float32
    for n in (1, 2, CHUNK - 1, CHUNK, CHUNK + 1):
        np.testing.assert_array_equal(generator.sample(KEY, n), many[:n])
    latents = generator.latents(KEY, CHUNK + 9)
    np.testing.assert_array_equal(generator.latents(KEY, 3), latents[:3])
    np.testing.assert_allclose(generator.generate(latents, batch_size=10), many, rtol=0, atol=1e-6)
    other = np.asarray(generator.sample(jax.random.key(6), 3))
    assert np.abs(other - many[:3]).max() > 0.01


def test_they_are_the_network_s_own_images_of_the_documented_latents(runs):
    generator = load(runs[1])
    latent = LATENTS[generator.settings.latent](generator.settings.latent_dim)
    latents = np.stack([latent(jax.random.fold_in(KEY, i)) for i in range(3)])
    np.testing.assert_array_equal(generator.latents(KEY, 3), latents)
    expected, _ = generator.network.apply(generator.variables, latents, train=False)
    np.testing.assert_allclose(generator.generate(latents), np.clip(expected, -1, 1), rtol=0, atol=1e-6)


def test_latents_can_be_searched_by_gradient(runs):
    # Fails where generate asks for the values of what is being traced.
    generator = load(runs[0])
    latents = generator.latents(KEY, 2)
    gradient = jax.jit(jax.grad(lambda z: generator.generate(z).sum()))(latents)
    h = 1e-2
    ahead, behind = (np.float64(generator.generate(latents + s * h * jnp.sign(gradient))).sum() for s in (1, -1))
    np.testing.assert_allclose((ahead - behind) / (2 * h), jnp.abs(gradient).sum(), rtol=0.02)


def test_what_cannot_be_sampled_is_said(runs):
    generator = load(runs[0])
    for call, message in (
        (lambda: generator.sample(KEY, 0), 'n=0 must be at least 1'),
        (lambda: generator.sample(3, 4), 'key must be one JAX key such as .*, not 3'),
        (lambda: generator.sample(jax.random.split(jax.random.key(0)), 4), r'not an array \(2,\) of key'),
        (lambda: generator.sample(jnp.zeros(2), 4), r'not an array \(2,\) of float32'),
        (lambda: generator.generate(np.zeros((0, 6))), 'N at least 1'),
        (lambda: generator.generate(np.zeros((2, 5))), r'must be \(N, 6\)'),
        (lambda: generator.generate(np.zeros((2, 6)), batch_size=0), 'batch_size=0'),
        (lambda: generator.generate(np.zeros((2, 6)), batch_size=1.5), 'batch_size=1.5 must be a whole number'),
        (lambda: generator.generate(np.zeros((2, 6), complex)), 'latents must be real numbers, not complex64'),
        (lambda: generator.generate(np.full((2, 6), 'a')), r'latents must be an array \(N, 6\) of real numbers'),
        (lambda: generator.generate([[1], [2, 3]]), r'latents must be an array \(N, 6\) of real numbers'),
        (lambda: load(runs[0], ema='no'), "ema='no' must be True or False"),
        (lambda: load(runs[0], networks=Players(1, 2)), 'must be Players of two networks'),
    ):
        with pytest.raises(ValueError, match=message):
            call()
