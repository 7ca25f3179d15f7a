"""Training of the classifier: all data on the device, many steps in one compiled call."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from wgan_jax.data.images import gather
from wgan_jax.metrics.features.classifier import Classifier, Params, apply, init
from wgan_jax.ranges import BATCH, COUNT, POSITIVE, SEED
from wgan_jax.types import Array, Key, PyTree

STEPS = 2000
CALL = 50  # steps in a compiled call, after each of which progress is told
_SHIFT = 14  # images are shifted by up to one part in so many of their smaller side


def train_classifier(
    images: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    *,
    steps: int = STEPS,
    seed: int = 0,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    held_out: tuple[np.ndarray, np.ndarray] | None = None,
    classes: tuple[str, ...] = (),
    dataset: str = 'images',
    on_progress: Callable[[int, float], object] = lambda step, loss: None,
) -> Classifier:
    """Trains a small convolutional network by cross entropy.

    Adam with a rate that falls to 0 along half a cosine; batches are drawn with replacement, each image shifted by up
    to a 14th of the smaller side (2 pixels of 28), its edge repeated. The same seed gives the same classifier.

    Args:
        images: uint8 (N, H, W, C).
        labels: whole numbers (N,) below ``num_classes``.
        num_classes: K, at least 2.
        steps: batches.
        seed: of weights, batches and shifts.
        batch_size: images in a batch.
        learning_rate: at the start.
        held_out: further images and labels, on which its accuracy is measured.
        classes: names, K of them; '0', '1', … by default.
        dataset: its name, which goes into that of the network.
        on_progress: told after every 50 steps how many are done, and the mean loss of the last of them.

    Returns:
        The classifier, its ``accuracy`` that on the held-out images.

    Raises:
        ValueError: for no uint8 images, labels that are none, a class without an image, or numbers out of range.
        FloatingPointError: where the loss is no longer finite.
    """
    for name, value, allowed in (
        ('steps', steps, COUNT), ('seed', seed, SEED), ('batch_size', batch_size, BATCH),
        ('learning_rate', learning_rate, POSITIVE),
    ):  # fmt: skip
        allowed.check(name, value)
    classes = classes or tuple(map(str, range(num_classes)))
    if num_classes < 2 or len(classes) != num_classes:
        raise ValueError(f'need at least two classes, and a name for each, not {num_classes} and {len(classes)} names')
    labels = _check(images, labels, num_classes)
    if (empty := np.flatnonzero(np.bincount(labels, minlength=num_classes) == 0)).size:
        raise ValueError(f'of class {classes[empty[0]]} there is no image to train on: leave the class out')
    if held_out is not None:
        held_out = held_out[0], _check(*held_out, num_classes)
        if held_out[0].shape[1:] != images.shape[1:]:
            raise ValueError(f'images {images.shape[1:]} and held-out ones {held_out[0].shape[1:]} must be alike')
    height, width, channels = images.shape[1:]
    params = init(jax.random.key(seed), (height, width, channels), num_classes)
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))
    data = jax.device_put((images, labels))
    run = jax.jit(partial(_steps, optimizer, batch_size), donate_argnums=0)
    state, key = (params, optimizer.init(params)), jax.random.fold_in(jax.random.key(seed), 1)
    for start in range(0, steps, CALL):
        stop = min(start + CALL, steps)
        state, total = run(state, data, key, start, stop)
        loss = float(total) / (stop - start)
        if not np.isfinite(loss):
            raise FloatingPointError(f'the loss is {loss} by step {stop}: use a smaller learning rate')
        on_progress(stop, loss)
    made = Classifier(state[0], (height, width, channels), tuple(classes), dataset)
    if held_out is None:
        return made
    _, probabilities = made.network().classify(held_out[0], batch_size=256)
    return made._replace(accuracy=float((probabilities.argmax(axis=1) == held_out[1]).mean()))


def _check(images: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    labels = np.asarray(labels)
    if images.dtype != np.uint8 or images.ndim != 4 or not len(images):
        raise ValueError(f'images must be uint8 (N, H, W, C), at least one, not {images.dtype} {images.shape}')
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f'labels must be {len(images)} whole numbers, one for each image, not {labels.shape}')
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(f'labels must lie from 0 to {num_classes - 1}, not from {labels.min()} to {labels.max()}')
    return labels.astype(np.int32)


def _steps(
    optimizer: optax.GradientTransformation,
    batch_size: int,
    state: tuple[Params, PyTree],
    data: tuple[Array, Array],
    key: Key,
    start: Array,
    stop: Array,
) -> tuple[tuple[Params, PyTree], Array]:
    """Steps ``start`` to ``stop``; (state, sum of their losses)."""

    def loss_of(params, images, labels):
        logits, _ = apply(params, images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def step(i, carry):
        (params, moments), total = carry
        draw, shift = jax.random.split(jax.random.fold_in(key, i))
        indices = jax.random.randint(draw, (batch_size,), 0, len(data[1]))
        images = shifted(gather(data[0], indices), shift)
        loss, gradient = jax.value_and_grad(loss_of)(params, images, data[1][indices])
        updates, moments = optimizer.update(gradient, moments, params)
        return (optax.apply_updates(params, updates), moments), total + loss

    return jax.lax.fori_loop(start, stop, step, (state, jnp.zeros(())))


def shifted(images: Array, key: Key) -> Array:
    """Images (N, H, W, C), each moved by up to a 14th of the smaller side, rounded, in either direction."""
    n, height, width, channels = images.shape
    most = max(1, round(min(height, width) / _SHIFT))
    padded = jnp.pad(images, ((0, 0), (most, most), (most, most), (0, 0)), mode='edge')
    corners = jax.random.randint(key, (n, 2), 0, 2 * most + 1)

    def crop(image, corner):
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), (height, width, channels))

    return jax.vmap(crop)(padded, corners)
