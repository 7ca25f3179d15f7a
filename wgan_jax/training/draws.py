"""Every random draw of a run, as a function of (seed, counter, role, example)."""

import enum
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.data.feed import Feed
from wgan_jax.data.images import gather, to_float
from wgan_jax.data.order import batch_indices
from wgan_jax.types import Array, Key, PyTree


class Role(enum.IntEnum):
    """What a draw is for. The values are part of what makes a run repeatable: never renumber."""

    INIT_GENERATOR = 0
    INIT_CRITIC = 1
    CRITIC_LATENT = 2
    GENERATOR_LATENT = 3
    AUGMENT_REAL = 4
    AUGMENT_FAKE = 5
    AUGMENT_GENERATED = 6
    PENALTY = 7
    SAMPLE = 8
    REAL = 9
    NOISE_REAL = 10
    NOISE_FAKE = 11
    NOISE_GENERATED = 12
    WATCH = 13
    GENERATED_LABEL = 14
    AUGMENT_PAIRED = 15
    NOISE_PAIRED = 16


def role_key(seed: Array | int, role: Role) -> Key:
    """The key of all draws of one role in one run."""
    return jax.random.fold_in(jax.random.key(seed), int(role))


def example_keys(
    seed: Array | np.integer | int, roles: Sequence[Role], counter: Array | int, examples: Array
) -> tuple[Key, ...]:
    """Keys of several roles, one per example, the same whichever device holds the example.

    Args:
        seed: of the run, uint32.
        roles: what the keys are for; all are made in one batch, which compiles to one program instead of many.
        counter: which update draws (critic updates or generator steps, as the role's name says).
        examples: global indices of the examples in the batch, (N,).

    Returns:
        For each role its keys, (N,).
    """

    def one(role, example):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), role), counter)
        return jax.random.fold_in(key, example)

    numbers = jnp.array([int(role) for role in roles], jnp.uint32)
    keys = jax.vmap(lambda role: jax.vmap(lambda example: one(role, example))(examples))(numbers)
    return tuple(keys[i] for i in range(len(roles)))


# A draw of real examples: ``draw(data, seed, counter, examples, *, batch_size) -> (N, ...)``, float32, where ``data``
# is what the run holds on the device, ``counter`` the batch, counted from 0 over the run: one for each critic update,
# and for objectives of pairs one for each of the generator's, in the order in which they come. ``examples`` (N,) are
# the global indices of the wanted ones among the ``batch_size`` of this batch. Of a conditional run it gives (examples,
# labels (N,)).
Draw = Callable[..., Any]


def draw_images(data: Array, seed: Array, counter: Array, examples: Array, *, batch_size: int) -> Array:
    """Real examples from images held as uint8 (number of images, H, W, C): every image once an epoch, in [-1, 1]."""
    return gather(data, batch_indices(seed, counter, examples, batch_size=batch_size, size=data.shape[0]))


def draw_labelled(
    data: tuple[Array, Array], seed: Array, counter: Array, examples: Array, *, batch_size: int
) -> tuple[Array, Array]:
    """Real examples as ``draw_images`` draws them, of (images, labels (number of images,)), and their labels (N,)."""
    pixels, labels = data
    indices = batch_indices(seed, counter, examples, batch_size=batch_size, size=pixels.shape[0])
    return gather(pixels, indices), jnp.take(labels, indices, mode='clip')


def draw_from_feed(feed: Feed) -> Draw:
    """Real examples as ``draw_images`` or ``draw_labelled`` draw them, to the bit, of data that stay on the host.

    Args:
        feed: gives them. It is asked from inside of the compiled program, which waits: each critic update of an
            accelerator takes as much longer as asking and moving a batch takes.
    """
    shapes = [(leaf.shape, leaf.dtype) for leaf in feed.example]

    def draw(data: PyTree, seed: Array, counter: Array, examples: Array, *, batch_size: int) -> Any:
        del data, batch_size
        count = examples.shape[0]

        def fetch(place: Array) -> tuple[np.ndarray, ...]:
            seed, counter, first = np.asarray(place).tolist()
            return feed(seed, counter, first, count)

        results = tuple(jax.ShapeDtypeStruct((count, *shape), dtype) for shape, dtype in shapes)
        place = jnp.stack([jnp.asarray(number).astype(jnp.uint32) for number in (seed, counter, examples[0])])
        pixels, *labels = jax.pure_callback(fetch, results, place)
        return (to_float(pixels), *labels) if labels else to_float(pixels)

    return draw


def draw_labels(shares: Sequence[float], seed: Array, counter: Array | int, examples: Array) -> Array:
    """Labels of examples to be generated, each class as often as among the data.

    Args:
        shares: of the classes, in proportion.
        seed: of the run.
        counter: which generator update.
        examples: global indices of the examples in the batch, (N,).

    Returns:
        int32 (N,), each in {0..number of classes - 1}, never of a class whose share is 0.
    """
    (keys,) = example_keys(seed, (Role.GENERATED_LABEL,), counter, examples)
    return draw_shares(shares, keys)


def draw_shares(shares: Sequence[float], keys: Key) -> Array:
    """One class for each key (N,), as often as its share says: int32 (N,)."""
    ends = np.cumsum(np.asarray(shares, np.float64) / np.sum(shares)).astype(np.float32)
    ends[np.flatnonzero(shares)[-1] :] = np.inf  # whatever the sums were rounded to
    return jnp.searchsorted(ends, jax.vmap(jax.random.uniform)(keys), side='right').astype(jnp.int32)


def first_images(
    pixels: np.ndarray,
    augment: Callable[[Key, Array], Array] | None,
    seed: int,
    n: int,
    *,
    batch_size: int,
    start: int = 0,
) -> Array:
    """The first real images that a run's critic sees, as it sees them, but for instance noise.

    Of a run with an objective of pairs these are the first that its players draw, each augmented in another way.

    Args:
        pixels: the whole dataset, uint8 (number of images, H, W, C), on the host; only what is wanted is moved.
        augment: of real images, see ``Augmentation``.
        seed: of the run.
        n: how many.
        batch_size: of the run.
        start: how many come before them.

    Returns:
        (n, H, W, C) in [-1, 1].
    """
    images = to_float(pixels[first_places(len(pixels), seed, n, batch_size=batch_size, start=start)])
    if augment is None:
        return images
    counters, examples = np.divmod(start + np.arange(n), batch_size)

    def key(counter, example):
        return example_keys(seed, (Role.AUGMENT_REAL,), counter, example[None])[0][0]

    keys = jax.vmap(key)(jnp.asarray(counters), jnp.asarray(examples))
    return jnp.clip(jax.jit(augment)(keys, images), -1, 1)


def first_places(size: int, seed: int, n: int, *, batch_size: int, start: int = 0) -> np.ndarray:
    """Where in a dataset of ``size`` images those lie that a run's critic sees first, ``n`` from ``start`` on, (n,)."""
    counters, examples = np.divmod(start + np.arange(n), batch_size)
    places = [
        batch_indices(seed, counter, examples[counters == counter], batch_size=batch_size, size=size, xp=np)
        for counter in range(counters[0], counters[-1] + 1)
    ]
    return np.concatenate(places)


def draw_points(data: Array, seed: Array, counter: Array, examples: Array, *, batch_size: int) -> Array:
    """Real examples from points (number of points, d): every point once an epoch."""
    return data[batch_indices(seed, counter, examples, batch_size=batch_size, size=data.shape[0])]


def draw_from(sample: Callable[[PyTree, Key], Array]) -> Draw:
    """Real examples drawn anew from a density, ``sample(data, key)`` each; ``data`` are its parameters, if any."""

    def draw(data: PyTree, seed: Array, counter: Array, examples: Array, *, batch_size: int) -> Array:
        del batch_size
        (keys,) = example_keys(seed, (Role.REAL,), counter, examples)
        return jax.vmap(lambda key: sample(data, key))(keys)

    return draw
