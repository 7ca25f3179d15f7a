"""Training steps written out in plain JAX, as the papers print them: what the library's are compared with.

Nothing of the library's steps, objectives, penalties, optimizers, roles or schedules is used. Networks are those of
``exact``; the augmentation, which has tests of its own, comes with the GAN.
"""

import functools
import math

import jax
import jax.numpy as jnp

from tests.training.exact import IMAGE, LATENT, REAL, draw_real, generate, score
from wgan_jax.types import Players


def softplus(x):
    return jnp.logaddexp(x, 0.0)


def _probability_losses(real, fake, smoothing):
    real_target = (1 - smoothing) * softplus(-real) + smoothing * softplus(real)
    return real_target.mean() + softplus(fake).mean()


# (critic's, generator's), D = sigmoid(score)
LOSSES = {
    'wasserstein': (lambda r, f, s: f.mean() - r.mean(), lambda f: -f.mean()),
    'minimax': (_probability_losses, lambda f: jnp.log(1 - jax.nn.sigmoid(f)).mean()),
    'non_saturating': (_probability_losses, lambda f: -jnp.log(jax.nn.sigmoid(f)).mean()),
    'hinge': (lambda r, f, s: jnp.maximum(0, 1 - r).mean() + jnp.maximum(0, 1 + f).mean(), lambda f: -f.mean()),
    'least_squares': (lambda r, f, s: 0.5 * ((r - 1) ** 2).mean() + 0.5 * (f**2).mean(),
                      lambda f: 0.5 * ((f - 1) ** 2).mean()),
    'relativistic': (lambda r, f, s: -jnp.log(jax.nn.sigmoid(r - f)).mean(),
                     lambda f, r: -jnp.log(jax.nn.sigmoid(f - r)).mean()),
}  # fmt: skip


def keys(seed, role, counter, number):
    """One key per example of a batch."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), role), counter)
    return [jax.random.fold_in(key, example) for example in range(number)]


def each(function, seed, role, counter, number):
    """``function(key)`` of every example."""
    return jax.vmap(function)(jnp.stack(keys(seed, role, counter, number)))


def penalty(name, squares_at, real, fake, seed, counter):
    """``squares_at(points)``: the square of the critic's gradient norm at each."""
    number = len(real)
    if name == 'gradient_penalty':
        share = each(jax.random.uniform, seed, 7, counter, number).reshape(-1, 1, 1, 1)
        return ((jnp.sqrt(squares_at(share * real + (1 - share) * fake)) - 1) ** 2).mean()
    if name == 'dragan':

        def noise(key):
            length, entries = jax.random.split(key)
            return jax.random.uniform(length) * jax.random.uniform(entries, IMAGE)

        points = real + 0.5 * real.std() * each(noise, seed, 7, counter, number)
        return ((jnp.sqrt(squares_at(points)) - 1) ** 2).mean()
    if name == 'r1':
        return 0.5 * squares_at(real).mean()
    if name == 'r1_r2':
        return 0.5 * squares_at(real).mean() + 0.5 * squares_at(fake).mean()
    return jnp.zeros(())


def descend(settings, params, gradient, memory, rate, left):
    """One update of RMSProp or Adam; ``memory`` is (m, v, updates done)."""
    m, v, count = memory
    rate = rate * (left + (1 - left) * settings.final_lr)
    if settings.optimizer == 'rmsprop':
        v = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g**2, v, gradient)
        params = jax.tree.map(lambda p, g, v: p - rate * g / (jnp.sqrt(v) + 1e-8), params, gradient, v)
        return params, (m, v, count)
    beta1, beta2, count = settings.beta1, settings.beta2, count + 1
    if settings.final_beta2:
        beta2 = left * beta2 + (1 - left) * settings.final_beta2
    m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, m, gradient)
    v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g**2, v, gradient)

    def step(p, m, v):
        return p - rate * (m / (1 - beta1**count)) / (jnp.sqrt(v / (1 - beta2**count)) + 1e-8)

    return jax.tree.map(step, params, m, v), (m, v, count)


def norm(tree):
    return jnp.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(tree)))


def as_seen(settings, augment, images, roles, counter, left, seed):
    """Images as the critic is shown them; ``roles`` of the augmentation and of the noise."""
    if augment is not None:
        images = augment(jnp.stack(keys(seed, roles[0], counter, len(images))), images)
    noise = each(lambda key: jax.random.normal(key, IMAGE), seed, roles[1], counter, len(images))
    return images + settings.instance_noise * left * noise


def latents(settings, seed, role, counter):
    """Those of a batch, (N, Z)."""

    def one(key):
        if settings.latent == 'normal':
            return jax.random.normal(key, (LATENT,))
        return 2 * jax.random.uniform(key, (LATENT,)) - 1

    return each(one, seed, role, counter, settings.batch_size)


def critic_step(s, augmentation, seed, theta, theta_state, w, w_state, memory, counter, t, left):
    """One critic update: (w, its state, memory, what is reported)."""
    critic_loss, _ = LOSSES[s.objective]
    drawn = counter + t if s.objective == 'relativistic' else counter  # batches before this one
    real = each(lambda key: draw_real(REAL, key), seed, 9, drawn, s.batch_size)
    real = as_seen(s, augmentation.real, real, (4, 10), counter, left, seed)
    fake = generate(theta, theta_state, latents(s, seed, 2, counter))[0]
    fake = as_seen(s, augmentation.fake, fake, (5, 11), counter, left, seed)

    def loss(w):
        def squares_at(points):
            return (jax.vmap(jax.grad(lambda x: score(w, w_state, x[None])[0][0]))(points) ** 2).sum((1, 2, 3))

        of_real, after = score(w, w_state, real)
        of_fake, after = score(w, after, fake)
        paid = penalty(s.constraint, squares_at, real, fake, seed, counter)
        weight = s.penalty_weight * (left + (1 - left) * s.final_penalty)
        total = critic_loss(of_real, of_fake, s.label_smoothing) + weight * paid
        return total, (after, paid, of_real.mean() - of_fake.mean())

    (value, (w_state, paid, estimate)), slope = jax.value_and_grad(loss, has_aux=True)(w)
    w, memory = descend(s, w, slope, memory, s.critic_lr, left)
    if s.constraint == 'clip':
        w = jax.tree.map(lambda p: jnp.clip(p, -s.clip, s.clip), w)
    return w, w_state, memory, jnp.stack([value, paid, estimate, norm(slope)])


def generator_step(s, augmentation, seed, theta, theta_state, w, w_state, memory, counter, t, left):
    """One generator update: (theta, its state, memory, what is reported)."""
    _, generator_loss = LOSSES[s.objective]
    beside = ()
    if s.objective == 'relativistic':
        real = each(lambda key: draw_real(REAL, key), seed, 9, counter + t, s.batch_size)
        real = as_seen(s, augmentation.real, real, (15, 16), t, left, seed)
        beside = (score(w, w_state, real)[0],)

    def loss(theta):
        fake, after = generate(theta, theta_state, latents(s, seed, 3, t))
        fake = as_seen(s, augmentation.fake, fake, (6, 12), t, left, seed)
        return generator_loss(score(w, w_state, fake)[0], *beside), after

    (value, theta_state), slope = jax.value_and_grad(loss, has_aux=True)(theta)
    theta, memory = descend(s, theta, slope, memory, s.generator_lr, left)
    return theta, theta_state, memory, jnp.stack([value, norm(slope)])


def train(s, augmentation, start, steps, *, seed):
    """Trains from ``start``, a TrainState as initialised.

    Returns:
        (params, network state, average of the generator's params and state, metrics (steps, 6)).
    """
    train_critic = jax.jit(functools.partial(critic_step, s, augmentation, seed))
    train_generator = jax.jit(functools.partial(generator_step, s, augmentation, seed))
    (theta, w), (theta_state, w_state) = start.params, start.network_state
    average = (theta, theta_state)
    of_theta, of_w = ((jax.tree.map(jnp.zeros_like, p), jax.tree.map(jnp.zeros_like, p), 0) for p in (theta, w))
    counter, rows = 0, []
    for t in range(steps):
        left = max(0.0, 1 - t / s.decay_steps)
        if s.decay == 'cosine':
            left = (1 + math.cos(math.pi * min(1.0, t / s.decay_steps))) / 2
        reported = []
        for _ in range(s.n_critic):
            w, w_state, of_w, row = train_critic(theta, theta_state, w, w_state, of_w, counter, t, left)
            reported.append(row)
            counter += 1
        theta, theta_state, of_theta, own = train_generator(theta, theta_state, w, w_state, of_theta, counter, t, left)
        keep = min(s.ema_decay, (1 + t) / (10 + t))
        average = jax.tree.map(lambda a, b, keep=keep: keep * a + (1 - keep) * b, average, (theta, theta_state))
        loss, paid, estimate, size = sum(reported) / s.n_critic
        rows.append(jnp.stack([loss, paid, own[0], estimate, size, own[1]]))
    return Players(theta, w), Players(theta_state, w_state), average, jnp.stack(rows)
