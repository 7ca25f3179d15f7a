"""The train step: what it changes, what it must not change, and that how it is cut into calls does not matter."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.training.common import small_gan, small_pixels
from wgan_jax.data.images import gather
from wgan_jax.data.order import batch_indices
from wgan_jax.training.compiled import compiled
from wgan_jax.training.draws import Role, example_keys
from wgan_jax.training.parallel import make_runner
from wgan_jax.training.state import init_state
from wgan_jax.training.step import Metrics, critic_update, draw_batches, generator_update, train_step, train_steps
from wgan_jax.types import Variables

PIXELS = small_pixels()
MLP = {'arch': 'mlp', 'critic_norm': 'none'}  # where the networks do not matter: convolutions take longer to compile


def _equal(a, b) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in pairs)


def test_critic_update_equals_the_algorithm_written_out():
    gan, hyperparameters = small_gan('wgan_gp')
    state = init_state(gan, hyperparameters, 5)
    after, (loss, penalty, estimate, norm) = jax.jit(lambda s: critic_update(gan, hyperparameters, s, PIXELS))(state)

    @jax.jit
    def written_out(state):
        slots = np.arange(4)
        real = gather(PIXELS, batch_indices(5, 0, slots, batch_size=4, size=len(PIXELS)))
        z = jnp.stack([gan.latent(k) for k in example_keys(5, (Role.CRITIC_LATENT,), 0, slots)[0]])
        fake, _ = gan.networks.generator.apply(
            Variables(state.params.generator, state.network_state.generator), z, train=True
        )
        weights = jnp.stack([jax.random.uniform(k) for k in example_keys(5, (Role.PENALTY,), 0, slots)[0]])
        mixed = weights[:, None, None, None] * real + (1 - weights[:, None, None, None]) * fake

        def loss_fn(params):
            def score(image):  # one image at a time: the definition
                return gan.networks.critic.apply(Variables(params, {}), image[None], train=True)[0][0]

            slopes = jax.lax.map(lambda x: jnp.linalg.norm(jax.grad(score)(x)), mixed)
            scores = [jax.lax.map(score, batch) for batch in (real, fake)]
            return scores[1].mean() - scores[0].mean() + 10 * jnp.mean((slopes - 1) ** 2)

        loss, gradient = jax.value_and_grad(loss_fn)(state.params.critic)
        adam = optax.adam(1e-4, b1=0.0, b2=0.9)
        updates, _ = adam.update(gradient, adam.init(state.params.critic))
        return loss, optax.tree.norm(gradient), optax.apply_updates(state.params.critic, updates)

    expected, expected_norm, stepped = written_out(state)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(loss, -estimate + 10 * penalty, rtol=1e-5)
    np.testing.assert_allclose(norm, expected_norm, rtol=1e-4)
    for a, b in zip(jax.tree.leaves(after.params.critic), jax.tree.leaves(stepped), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)


def test_each_player_changes_only_what_is_its_own():
    gan, hyperparameters = small_gan('wgan')
    before = init_state(gan, hyperparameters, 0)
    critic, _ = jax.jit(lambda s: critic_update(gan, hyperparameters, s, PIXELS))(before)
    for name in ('params', 'network_state', 'optimizer_state'):
        assert _equal(getattr(critic, name).generator, getattr(before, name).generator), name
        assert not _equal(getattr(critic, name).critic, getattr(before, name).critic), name
    assert _equal(critic.ema, before.ema) and critic.critic_step == 1 and critic.step == 0
    generator, _ = jax.jit(lambda s: generator_update(gan, hyperparameters, s, PIXELS))(before)
    for name in ('params', 'network_state', 'optimizer_state'):
        assert _equal(getattr(generator, name).critic, getattr(before, name).critic), name
        assert not _equal(getattr(generator, name).generator, getattr(before, name).generator), name
    assert generator.critic_step == 0 and generator.step == 1


def test_critic_weights_are_in_the_box_after_every_critic_update():
    gan, hyperparameters = small_gan('wgan')
    state = init_state(gan, hyperparameters, 0)
    update = jax.jit(lambda s: critic_update(gan, hyperparameters, s, PIXELS)[0])
    for _ in range(3):
        state = update(state)
        assert all(float(jnp.abs(p).max()) <= np.float32(0.01) for p in jax.tree.leaves(state.params.critic))
    assert max(float(jnp.abs(p).max()) for p in jax.tree.leaves(state.params.generator)) > 0.02


@pytest.mark.parametrize('decay', [0.0, 0.5])
def test_moving_average_follows_params_and_batch_statistics(decay):
    gan, hyperparameters = small_gan('wgan', ema_decay=decay)
    before = init_state(gan, hyperparameters, 0)
    after, _ = jax.jit(lambda s: generator_update(gan, hyperparameters, s, PIXELS))(before)
    d = min(decay, 0.1)  # (1 + 0) / (10 + 0) at the first step
    now = Variables(after.params.generator, after.network_state.generator)
    for average, old, new in zip(*(jax.tree.leaves(t) for t in (after.ema, before.ema, now)), strict=True):
        np.testing.assert_allclose(average, d * old + (1 - d) * new, rtol=1e-6, atol=1e-8)


def test_learning_rates_decay_linearly_to_zero():
    gan, hyperparameters = small_gan('wgan_gp', decay_steps=4)
    state = init_state(gan, hyperparameters, 0)
    for step, factor in ((0, 1.0), (1, 0.75), (4, 0.0), (9, 0.0)):
        transform = gan.transforms(hyperparameters, jnp.int32(step)).generator
        updates, _ = transform.update(
            jax.tree.map(jnp.ones_like, state.params.generator), state.optimizer_state.generator
        )
        np.testing.assert_allclose(jax.tree.leaves(updates)[0], -1e-4 * factor, rtol=1e-5)


def test_what_falls_by_a_cosine_keeps_its_share_and_moves_beta2_and_the_penalty():
    # Against Loshchilov and Hutter 2017, eq. 5, written with the share of the way behind; R3GAN's schedules are so.
    gan, hyperparameters = small_gan(
        'wgan_gp', decay_steps=8, decay='cosine', final_lr=0.25, final_penalty=0.1, beta2=0.5, final_beta2=0.75
    )
    params = {'w': jnp.zeros(())}
    transforms = jax.jit(
        lambda step, state: gan.transforms(hyperparameters, step).critic.update({'w': 1.0}, state, params)
    )
    for step, behind in ((0, 0.0), (2, 0.25), (4, 0.5), (8, 1.0), (20, 1.0)):
        kept = 0.5 * (1 + np.cos(np.pi * behind))
        state = gan.transforms(hyperparameters, jnp.int32(step)).critic.init(params)
        updates, after = transforms(jnp.int32(step), state)
        np.testing.assert_allclose(updates['w'], -1e-4 * (0.25 + 0.75 * kept), rtol=1e-5)
        (nu,) = [leaf for path, leaf in jax.tree.leaves_with_path(after) if 'nu' in str(path)]
        np.testing.assert_allclose(nu, 1 - (0.75 - 0.25 * kept), rtol=1e-5)  # (1 - beta2) g^2
        np.testing.assert_allclose(gan.penalty_weight(hyperparameters, step), 10 * (0.1 + 0.9 * kept), rtol=1e-5)


def test_warm_up_trains_the_critic_a_hundred_times():
    gan, _ = small_gan('wgan', critic_warmup=True)
    steps = np.array([0, 24, 25, 499, 500, 501, 1000])
    np.testing.assert_array_equal(gan.critic_updates(steps), [100, 100, 2, 2, 100, 2, 100])
    np.testing.assert_array_equal(jax.jit(gan.critic_updates)(steps), [100, 100, 2, 2, 100, 2, 100])


@pytest.mark.parametrize('preset, options', [('wgan', {}), ('flags', MLP)])
def test_calls_of_any_length_compute_the_same_bits_without_recompiling(preset, options):
    gan, hyperparameters = small_gan(preset, **options)
    compilations = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compilations.append(name) if 'backend_compile' in name else None
    )
    runner = make_runner(gan, hyperparameters, PIXELS, mode='jit', devices=jax.devices()[:1], capacity=8)
    whole, rows = runner.run(runner.place(init_state(gan, hyperparameters, 0)), 5)
    assert compilations  # the listener hears
    state, parts = runner.place(init_state(gan, hyperparameters, 0)), []
    compilations.clear()
    for count in (1, 3, 1):
        state, part = runner.run(state, count)
        parts.append(runner.fetch(part)[:count])
    assert not compilations
    assert _equal(whole, state)
    np.testing.assert_array_equal(runner.fetch(rows)[:5], np.concatenate(parts))
    assert not runner.fetch(rows)[5:].any()


def test_metrics_are_means_over_the_step_s_critic_updates():
    gan, hyperparameters = small_gan('wgan_gp', **MLP)
    state = init_state(gan, hyperparameters, 0)
    update = jax.jit(lambda s: critic_update(gan, hyperparameters, s, PIXELS))
    middle, first = update(state)
    _, second = update(middle)
    _, metrics = jax.jit(lambda s: train_step(gan, hyperparameters, s, PIXELS))(state)
    for i, name in enumerate(('critic_loss', 'penalty', 'wasserstein', 'critic_grad_norm')):
        np.testing.assert_allclose(getattr(metrics, name), (first[i] + second[i]) / 2, rtol=1e-4, atol=1e-6)


def test_the_largest_seed_is_a_seed():
    gan, hyperparameters = small_gan('wgan')
    assert int(init_state(gan, hyperparameters, 2**32 - 1).seed) == 2**32 - 1


@pytest.mark.slow
def test_of_many_gans_only_the_last_few_keep_their_programs():
    # Fails if a program is kept for every GAN there has been: after a few hundred runs, the process would crash.
    compiled.cache_clear()
    counts = []
    for number in range(12):
        compiled(lambda own, x: own + x, number)(1.0)
        gc.collect()
        counts.append(len(jax.devices()[0].client.live_executables()))
    assert counts[0] < counts[1] and counts[-1] <= counts[7]
    gan, hyperparameters = small_gan('wgan', **MLP)
    before = len(jax.devices()[0].client.live_executables())
    init_state(gan, hyperparameters, 0)
    compiled.cache_clear()
    gc.collect()
    assert len(jax.devices()[0].client.live_executables()) < before  # nothing else keeps that of this GAN


def test_seeds_and_hyperparameters_may_be_mapped_over():
    gan, hyperparameters = small_gan('wgan', **MLP)
    hyperparameters = hyperparameters._replace(clip=jnp.array([0.01, 0.05]))
    states = jax.vmap(lambda seed: init_state(gan, hyperparameters._replace(clip=0.01), seed))(
        jnp.array([1, 2], jnp.uint32)
    )
    axes = type(hyperparameters)(**dict.fromkeys(hyperparameters._fields))._replace(clip=0)
    run = jax.jit(jax.vmap(lambda n, s: train_steps(gan, n, s, PIXELS, 2, capacity=2), in_axes=(axes, 0)))
    states, rows = run(hyperparameters, states)
    assert rows.shape == (2, 2, len(Metrics._fields)) and bool(jnp.isfinite(rows).all())
    largest = [max(float(jnp.abs(p[i]).max()) for p in jax.tree.leaves(states.params.critic)) for i in (0, 1)]
    assert largest[0] <= np.float32(0.01) < largest[1] <= np.float32(0.05)


def test_bfloat16_computes_with_float32_parameters():
    gan, hyperparameters = small_gan('wgan_gp', precision='bfloat16')
    state, rows = jax.jit(lambda s: train_steps(gan, hyperparameters, s, PIXELS, 2, capacity=2))(
        init_state(gan, hyperparameters, 0)
    )
    assert {leaf.dtype for leaf in jax.tree.leaves((state.params, state.optimizer_state, state.ema))} <= {
        jnp.dtype('float32'),
        jnp.dtype('int32'),
    }
    full, full_numbers = small_gan('wgan_gp')
    _, full_rows = jax.jit(lambda s: train_steps(full, full_numbers, s, PIXELS, 2, capacity=2))(
        init_state(full, full_numbers, 0)
    )
    np.testing.assert_allclose(rows[0], full_rows[0], rtol=0.05, atol=0.02)
    assert not _equal(rows, full_rows)


def test_instance_noise_is_on_real_and_fake_and_fades_linearly():
    # Fails if one side stays clean, both get one noise, the deviation is a variance, or the schedule is another one.
    noisy, hyperparameters = small_gan('wgan_gp', arch='mlp', instance_noise=0.5, decay_steps=4, batch_size=16)
    clean, _ = small_gan('wgan_gp', arch='mlp', decay_steps=4, batch_size=16)
    state = init_state(clean, hyperparameters, 0)
    draw = jax.jit(lambda gan, s: draw_batches(gan, s, PIXELS, 3)[:2], static_argnums=0)
    for step, deviation in ((0, 0.5), (1, 0.375), (4, 0.0), (9, 0.0)):
        now = state._replace(step=jnp.int32(step))
        real, fake = (np.asarray(a - b) for a, b in zip(draw(noisy, now), draw(clean, now), strict=True))
        np.testing.assert_allclose([real.std(), fake.std()], deviation, rtol=0.02)  # of 24,576 draws each
        if deviation:
            assert abs(np.corrcoef(real.ravel(), fake.ravel())[0, 1]) < 0.05
            assert abs(np.corrcoef(real[0].ravel(), real[1].ravel())[0, 1]) < 0.1


def test_a_spectral_critic_scores_both_batches_with_the_same_norms():
    gan, hyperparameters = small_gan('wgan_gp', constraint='spectral')
    state = init_state(gan, hyperparameters, 5)
    after, (_, _, estimate, _) = jax.jit(lambda s: critic_update(gan, hyperparameters, s, PIXELS))(state)

    @jax.jit
    def both(state):
        real, fake, *_ = draw_batches(gan, state, PIXELS, 0)
        critic = Variables(state.params.critic, state.network_state.critic)
        return gan.networks.critic.apply(critic, jnp.concatenate([real, fake]), train=True)

    scores, network_state = both(state)
    np.testing.assert_allclose(estimate, scores[:4].mean() - scores[4:].mean(), rtol=1e-4)
    for a, b in zip(jax.tree.leaves(after.network_state.critic), jax.tree.leaves(network_state), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
