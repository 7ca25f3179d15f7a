"""The train step: n_critic critic updates, one generator update; and many steps inside one compiled call.

All functions are pure and run under jit, vmap (over seeds and hyperparameters) and pmap. Under pmap, ``axis_name``
names the mapped axis: each device then works on its share of the batch, and losses, gradients and batch statistics
are averaged over the axis.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from wgan_jax.lengths import tree_length
from wgan_jax.objectives import wasserstein_estimate
from wgan_jax.training.draws import Role, draw_labels, example_keys
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.state import TrainState
from wgan_jax.types import Array, PyTree, Variables, given


class Metrics(NamedTuple):
    """What one step reports; the critic's are means over the step's critic updates.

    Attributes:
        critic_loss: the critic's whole loss, weighted penalty included.
        penalty: the penalty before weighting; 0 without one.
        generator_loss: before the generator's update.
        wasserstein: E f(real) - E f(fake), before each critic update.
        critic_grad_norm, generator_grad_norm: Euclidean norms of the whole gradient.
    """

    critic_loss: Array
    penalty: Array
    generator_loss: Array
    wasserstein: Array
    critic_grad_norm: Array
    generator_grad_norm: Array


class Batches(NamedTuple):
    """What one critic update sees, N examples each.

    Attributes:
        real, fake: (N, H, W, C).
        penalty_keys: one for each example.
        labels: of the real examples and of the fake ones, (N,); None where networks are unconditional. So a penalty
            between the two is taken within one class.
    """

    real: Array
    fake: Array
    penalty_keys: Array
    labels: Array | None


def train_step(
    gan: GAN, hyperparameters: Hyperparameters, state: TrainState, data: PyTree, *, axis_name: str | None = None
) -> tuple[TrainState, Metrics]:
    """One step: ``gan.critic_updates(step)`` critic updates, then one generator update.

        for each critic update:                                          (Arjovsky et al. 2017, algorithm 1)
            x ~ data, fake = g_theta(z), z ~ latent
            w <- w - critic_lr * direction(grad_w [loss(f_w(x), f_w(fake)) + weight * penalty(f_w, x, fake)])
            w <- clip(w), if the constraint clips
        z ~ latent                                                       (and x ~ data, where the loss is of pairs)
        theta <- theta - generator_lr * direction(grad_theta loss(f_w(g_theta(z))))
        average <- decay * average + (1 - decay) * theta

    f_w is the critic, g_theta the generator, ``direction`` the optimizer's (RMSProp, Adam).

    Args:
        gan, hyperparameters: what is trained, and its hyperparameters.
        state: before the step.
        data: the whole dataset, as ``gan.draw`` takes it.
        axis_name: of the mapped axis, if any.

    Returns:
        The state after the step and its Metrics.
    """
    num_updates = gan.critic_updates(state.step)

    def body(_, carry):
        state, sums = carry
        state, reported = critic_update(gan, hyperparameters, state, data, axis_name=axis_name)
        return state, jax.tree.map(jnp.add, sums, reported)

    zeros = (jnp.zeros(()),) * 4
    state, sums = jax.lax.fori_loop(0, num_updates, body, (state, zeros))
    critic_loss, penalty, estimate, critic_grad_norm = (total / num_updates for total in sums)
    state, (generator_loss, generator_grad_norm) = generator_update(
        gan, hyperparameters, state, data, axis_name=axis_name
    )
    return state, Metrics(critic_loss, penalty, generator_loss, estimate, critic_grad_norm, generator_grad_norm)


def critic_update(
    gan: GAN, hyperparameters: Hyperparameters, state: TrainState, data: PyTree, *, axis_name: str | None = None
) -> tuple[TrainState, tuple[Array, Array, Array, Array]]:
    """One critic update on a fresh real batch against a fixed generator.

    loss(w) = objective(f_w(real), f_w(fake)) + penalty_weight * penalty(f_w, real, fake)

    Args:
        gan, hyperparameters: what is trained, and its hyperparameters.
        state: before the update.
        data: the whole dataset, as ``gan.draw`` takes it.
        axis_name: of the mapped axis, if any.

    Returns:
        The state after the update, and (loss, penalty, wasserstein estimate, gradient norm).

    Source: Arjovsky et al. 2017, algorithm 1, lines 3-7; Gulrajani et al. 2017, algorithm 1, lines 3-9.
    """
    counter = state.critic_step
    real, fake, penalty_keys, labels = draw_batches(gan, state, data, counter, axis_name=axis_name)

    def loss_fn(params):
        real_scores, fake_scores, network_state = _score_pair(
            gan, params, state.network_state.critic, real, fake, labels, axis_name
        )
        loss = gan.objective.critic_loss(real_scores, fake_scores)
        penalty = jnp.zeros(())
        if gan.constraint.penalty is not None:
            penalty = gan.constraint.penalty(
                lambda images: _scores(gan, params, state.network_state.critic, images, labels, axis_name)[0],
                real,
                fake,
                penalty_keys,
                axis_name=axis_name,
            )
            loss = loss + gan.penalty_weight(hyperparameters, state.step) * penalty
        return loss, (network_state, penalty, wasserstein_estimate(real_scores, fake_scores))

    (loss, (network_state, penalty, estimate)), gradients = jax.value_and_grad(loss_fn, has_aux=True)(
        state.params.critic
    )
    loss, penalty, estimate, gradients = _average((loss, penalty, estimate, gradients), axis_name)
    transform = gan.transforms(hyperparameters, state.step).critic
    updates, optimizer_state = transform.update(gradients, state.optimizer_state.critic, state.params.critic)
    state = state._replace(
        critic_step=counter + 1,
        params=state.params._replace(critic=optax.apply_updates(state.params.critic, updates)),
        network_state=state.network_state._replace(critic=network_state),
        optimizer_state=state.optimizer_state._replace(critic=optimizer_state),
    )
    return state, (loss, penalty, estimate, tree_length(gradients))


def generator_update(
    gan: GAN, hyperparameters: Hyperparameters, state: TrainState, data: PyTree, *, axis_name: str | None = None
) -> tuple[TrainState, tuple[Array, Array]]:
    """One generator update against a fixed critic, and of the generator's moving average.

    loss(theta) = objective(f(g_theta(z))); average <- d * average + (1 - d) * theta with d = min(decay, (1+t)/(10+t)),
    which lets a short run's average forget its initial values.

    Args:
        gan, hyperparameters: what is trained, and its hyperparameters.
        state: before the update.
        data: the whole dataset, as ``gan.draw`` takes it; read where the objective is ``paired``.
        axis_name: of the mapped axis, if any.

    Returns:
        The state after the update, and (loss, gradient norm).

    Source: Arjovsky et al. 2017, algorithm 1, lines 9-11.
    """
    (loss, network_state), gradients = generator_gradient(gan, state, data, state.step, axis_name=axis_name)
    transform = gan.transforms(hyperparameters, state.step).generator
    updates, optimizer_state = transform.update(gradients, state.optimizer_state.generator, state.params.generator)
    params = optax.apply_updates(state.params.generator, updates)
    decay = jnp.minimum(gan.ema_decay, (1.0 + state.step) / (10.0 + state.step))
    state = state._replace(
        step=state.step + 1,
        params=state.params._replace(generator=params),
        network_state=state.network_state._replace(generator=network_state),
        optimizer_state=state.optimizer_state._replace(generator=optimizer_state),
        ema=jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, state.ema, Variables(params, network_state)),
    )
    return state, (loss, tree_length(gradients))


def generator_gradient(
    gan: GAN, state: TrainState, data: PyTree, counter: Array | int, *, axis_name: str | None = None
) -> tuple[tuple[Array, PyTree], PyTree]:
    """What the critic of ``state`` hands to its generator: the gradient of the generator's loss on one batch.

    loss(theta) = objective(f(g_theta(z))), or objective(f(g_theta(z)), f(x)) of pairs, both of one class

    Args:
        gan: what is trained.
        state: both players.
        data: the whole dataset, as ``gan.draw`` takes it; read where the objective is ``paired``.
        counter: which batch of latents; the generator's update t draws batch t. Real examples of pairs are the batch
            after as many as the critic's updates so far and ``counter`` have drawn.
        axis_name: of the mapped axis, if any.

    Returns:
        (loss, the generator's network state after the batch), and the gradient with respect to its parameters.
    """
    examples = _local_examples(gan.batch_sizes.generator, axis_name)
    latent_keys, augment_keys = example_keys(
        state.seed, (Role.GENERATOR_LATENT, Role.AUGMENT_GENERATED), counter, examples
    )

    if gan.objective.paired:
        (paired_keys,) = example_keys(state.seed, (Role.AUGMENT_PAIRED,), counter, examples)
        real, labels = _draw_real(gan, state, data, state.critic_step, counter, examples)
        real = _augment(gan.augmentation.real, paired_keys, real)
        real = _with_noise(gan, state, Role.NOISE_PAIRED, counter, examples, real)
        real_scores, _ = _scores(gan, state.params.critic, state.network_state.critic, real, labels, axis_name)
    else:
        labels = draw_labels(gan.class_shares, state.seed, counter, examples) if gan.class_shares else None

    def loss_fn(params):
        fake, network_state = _generate(gan, state, params, latent_keys, labels, axis_name)
        fake = _augment(gan.augmentation.fake, augment_keys, fake)
        fake = _with_noise(gan, state, Role.NOISE_GENERATED, counter, examples, fake)
        scores, _ = _scores(gan, state.params.critic, state.network_state.critic, fake, labels, axis_name)
        scores = (scores, real_scores) if gan.objective.paired else (scores,)
        return gan.objective.generator_loss(*scores), network_state

    (loss, network_state), gradients = jax.value_and_grad(loss_fn, has_aux=True)(state.params.generator)
    loss, gradients = _average((loss, gradients), axis_name)
    return (loss, network_state), gradients


def draw_batches(
    gan: GAN, state: TrainState, data: PyTree, counter: Array | int, *, axis_name: str | None = None
) -> Batches:
    """What critic update ``counter`` sees: a real and a generated batch, augmented and noisy, both of the same classes.

    Args:
        gan: what is trained.
        state: its generator makes the fake batch.
        data: the whole dataset, as ``gan.draw`` takes it.
        counter: critic updates done before.
        axis_name: of the mapped axis, if any.

    Returns:
        Batches of N examples each.
    """
    examples = _local_examples(gan.batch_sizes.critic, axis_name)
    real_keys, penalty_keys = example_keys(state.seed, (Role.AUGMENT_REAL, Role.PENALTY), counter, examples)
    real, labels = _draw_real(gan, state, data, counter, state.step, examples)
    real = _augment(gan.augmentation.real, real_keys, real)
    real = _with_noise(gan, state, Role.NOISE_REAL, counter, examples, real)
    fake = generated_batch(gan, state, state.params.generator, counter, labels, axis_name=axis_name)
    return Batches(real, fake, penalty_keys, labels)


def generated_batch(
    gan: GAN,
    state: TrainState,
    params: PyTree,
    counter: Array | int,
    labels: Array | None = None,
    *,
    axis_name: str | None = None,
) -> Array:
    """The fake batch (N, ...) of critic update ``counter``, augmented and noisy, of a generator with these parameters.

    Args:
        gan: what is trained.
        state: gives the seed, the generator's network state and what is left of the noise.
        params: of the generator.
        counter: critic updates done before.
        labels: of the examples, (N,), where the generator is conditional.
        axis_name: of the mapped axis, if any.
    """
    examples = _local_examples(gan.batch_sizes.critic, axis_name)
    latent_keys, augment_keys = example_keys(state.seed, (Role.CRITIC_LATENT, Role.AUGMENT_FAKE), counter, examples)
    fake, _ = _generate(gan, state, params, latent_keys, labels, axis_name)
    fake = _augment(gan.augmentation.fake, augment_keys, fake)
    return _with_noise(gan, state, Role.NOISE_FAKE, counter, examples, fake)


def _generate(gan, state, params, keys, labels, axis_name):
    variables = Variables(params, state.network_state.generator)
    fake, network_state = gan.networks.generator.apply(
        variables, jax.vmap(gan.latent)(keys), train=True, axis_name=axis_name, **given(labels)
    )
    return fake.astype(jnp.promote_types(fake.dtype, jnp.float32)), network_state


def _scores(gan, params, network_state, images, labels, axis_name):
    variables = Variables(params, network_state)
    return gan.networks.critic.apply(variables, images, train=True, axis_name=axis_name, **given(labels))


def _score_pair(gan, params, network_state, real, fake, labels, axis_name):
    """Scores of both batches by one critic. Batch statistics are taken of each alone, the real one first.

    Two passes also where no example knows of another: on a CPU they are 5 % faster than one over both, whose
    intermediate values outgrow the cache.
    """
    real_scores, after_real = _scores(gan, params, network_state, real, labels, axis_name)
    if gan.networks.critic.uses_batch_statistics:
        network_state = after_real  # otherwise spectral layers would divide the two by different norms
    fake_scores, network_state = _scores(gan, params, network_state, fake, labels, axis_name)
    return real_scores, fake_scores, network_state


def _draw_real(gan, state, data, critic_updates, generator_updates, examples):
    """Real examples, and their labels or None: the batch after as many as these numbers of updates have drawn."""
    counter = critic_updates
    if gan.objective.paired:  # otherwise the generator's draw none
        counter = jnp.uint32(critic_updates) + jnp.uint32(generator_updates)
    drawn = gan.draw(data, state.seed, counter, examples, batch_size=gan.batch_size)
    return drawn if gan.class_shares else (drawn, None)


def _augment(augment, keys, images):
    return images if augment is None else augment(keys, images)


def _with_noise(gan, state, role, counter, examples, batch):
    """The batch as the critic sees it, with instance noise, one key per example."""
    if not gan.instance_noise:
        return batch
    (keys,) = example_keys(state.seed, (role,), counter, examples)
    noise = jax.vmap(lambda key: jax.random.normal(key, batch.shape[1:]))(keys)
    return batch + gan.noise(state.step) * noise


def _local_examples(batch_size: int, axis_name: str | None) -> Array:
    """Global indices of this device's examples in a batch of so many over all devices."""
    if axis_name is None:
        return jnp.arange(batch_size)
    local = batch_size // jax.lax.axis_size(axis_name)
    return jax.lax.axis_index(axis_name) * local + jnp.arange(local)


def _average(tree: PyTree, axis_name: str | None) -> PyTree:
    """The one place where a player's loss, metrics and gradients meet those of the other devices.

    As one vector: of a tree, processes on CPUs would send each leaf by itself and wait for the answer. That costs two
    copies of the gradients.
    """
    if axis_name is None:
        return tree
    vector, unravel = ravel_pytree(tree)
    return unravel(jax.lax.pmean(vector, axis_name))


def train_steps(
    gan: GAN,
    hyperparameters: Hyperparameters,
    state: TrainState,
    data: PyTree,
    num_steps: Array | int,
    *,
    capacity: int,
    axis_name: str | None = None,
) -> tuple[TrainState, Array]:
    """Many steps in one call, whose number is a run-time value: any number up to ``capacity`` is one program.

    Args:
        gan, hyperparameters: what is trained, and its hyperparameters.
        state: before the steps.
        data: the whole dataset, as ``gan.draw`` takes it.
        num_steps: how many steps, at most ``capacity``.
        capacity: rows of the metrics buffer.
        axis_name: of the mapped axis, if any.

    Returns:
        The state after the steps, and their metrics (capacity, number of metrics), rows past ``num_steps`` zero.
    """

    def body(i, carry):
        state, rows = carry
        state, metrics = train_step(gan, hyperparameters, state, data, axis_name=axis_name)
        return state, rows.at[i].set(jnp.stack(metrics))

    rows = jnp.zeros((capacity, len(Metrics._fields)))
    return jax.lax.fori_loop(0, num_steps, body, (state, rows))
