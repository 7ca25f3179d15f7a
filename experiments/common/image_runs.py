"""One run on images: the losses of every step, and the quality of the samples at moments on the way."""

import dataclasses
import functools
import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.data.images import to_float
from wgan_jax.metrics.features import FeatureNetwork
from wgan_jax.metrics.kernels import kernel_distance
from wgan_jax.metrics.patches import patch_distance
from wgan_jax.objectives import OBJECTIVES
from wgan_jax.training.cost import require_memory as require
from wgan_jax.training.draws import Role, example_keys
from wgan_jax.training.frozen import fit_critic
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.pace import Pace
from wgan_jax.training.state import TrainState, init_state
from wgan_jax.training.step import Metrics, train_steps

STRIP = 6  # moments of which samples are shown
SHOWN = 4  # samples of each of them
BLOWN_UP = 10  # times the largest value that a true estimate can have
_PATCH = 7  # side of the patches that are compared
_SUBSETS = 10  # of the kernel distance
_SAMPLE_BYTES, _IMAGE_BYTES = 400_000, 120_000  # of a sample's, and a real image's, patches and their projections


class Reference(NamedTuple):
    """What samples are compared with.

    Attributes:
        images: real ones, float32 (N, H, W, C) in [-1, 1].
        network: between whose features the kernel distance is.
        features: of the images, (N, d).
    """

    images: np.ndarray
    network: FeatureNetwork
    features: np.ndarray


def reference(pixels: np.ndarray, most: int, network: FeatureNetwork) -> Reference:
    """Real images, at most so many, the same ones for every run.

    Args:
        pixels: uint8 (N, H, W, C).
        most: how many are taken, at random places.
        network: of the features.

    Raises:
        ValueError: for images that are smaller than a patch.
    """
    if min(pixels.shape[1:3]) < _PATCH:
        raise ValueError(f'image_size must be at least {_PATCH}: patches of {_PATCH}x{_PATCH} pixels are compared')
    places = np.sort(np.random.default_rng(0).permutation(len(pixels))[:most])
    images = np.asarray(to_float(np.asarray(pixels)[places]))
    return Reference(images, network, network(images))


class Budget(NamedTuple):
    """How long a run is and how often it is looked at.

    Attributes:
        steps: generator updates.
        points: moments at which quality is measured, at even distances.
        first_updates: of the critic before the first of the generator.
        samples: whose quality is measured.
    """

    steps: int
    points: int
    first_updates: int
    samples: int


def require_memory(
    gan: GAN, hyperparameters: Hyperparameters, num_images: int, budget: Budget, what: str, *, beside: float = 0
) -> None:
    """Raises ValueError when a run, its metrics, or the samples would take too much memory.

    Args:
        gan, hyperparameters: of the run.
        num_images: of the dataset.
        budget: of the run.
        what: is asked for, in words.
        beside: bytes that are held besides.
    """
    kept = 2 * 4 * len(Metrics._fields) * budget.steps + 200 * budget.points
    kept += _SAMPLE_BYTES * budget.samples + _IMAGE_BYTES * min(num_images, 4 * budget.samples)
    largest = dataclasses.replace(gan, batch_size=max(gan.batch_size, budget.samples))
    what = (
        f'training on {num_images} images with {what}, steps={budget.steps}, samples={budget.samples} at '
        f'points={budget.points}'
    )
    require(largest, hyperparameters, what, beside=kept + beside)


def is_wasserstein(gan: GAN) -> bool:
    """Whether the critic estimates W1; else the Jensen-Shannon divergence."""
    return gan.objective is OBJECTIVES['wasserstein']


def largest_estimate(gan: GAN, shape: tuple[int, ...]) -> float:
    """No W1 between images in [-1, 1] is larger than their diameter 2 sqrt(H W C), no JS divergence than log 2."""
    return 2 * math.sqrt(math.prod(shape)) if is_wasserstein(gan) else math.log(2)


def is_sound(estimate: float, distance: float, largest: float) -> bool:
    """Whether an estimate and a distance may mean something: both finite, the former not ten times too large.

    Args:
        estimate: of the critic.
        distance: of the samples.
        largest: the largest value that a true estimate can have.
    """
    return bool(np.isfinite(distance) and abs(estimate) <= BLOWN_UP * largest)  # false for NaN


class Programs(NamedTuple):
    """The compiled functions of a GAN, which serve all of its seeds."""

    steps: Callable[..., Any]
    fit: Callable[..., Any]
    samples: Callable[..., Any]


def compiled(gan: GAN, budget: Budget) -> Programs:
    """The programs of a GAN; they are compiled when they are called."""
    capacity = int(np.diff(_moments(budget)).max())
    return Programs(
        jax.jit(functools.partial(train_steps, gan, capacity=capacity), donate_argnums=1),
        jax.jit(functools.partial(fit_critic, gan), donate_argnums=1),
        jax.jit(functools.partial(_fixed_samples, gan, budget.samples)),
    )


def train(
    gan: GAN,
    hyperparameters: Hyperparameters,
    programs: Programs,
    pixels: jax.Array,
    real: Reference,
    budget: Budget,
    seed: int,
    on_steps: Callable[[int], Any],
) -> dict[str, np.ndarray]:
    """Trains one run, and ends it where its numbers stop meaning anything: they are NaN from there on.

    Args:
        gan, hyperparameters: of the run.
        programs: as ``compiled`` gives them.
        pixels: uint8 (N, H, W, C), on the device.
        real: what samples are compared with.
        budget: how long.
        seed: of the networks and all draws.
        on_steps: told how many steps are done.

    Returns:
        'steps', (points,), and for the time since the moment before: 'estimate', the mean of W1's or JS's,
        'generator_loss' and 'generator_loss_std', mean and deviation; at the moment: 'patch_distance',
        'kernel_distance', (points,); of every step 'metrics', (steps, fields of Metrics); 'samples', float (moments,
        SHOWN, H, W, C) at up to STRIP of them, 0 where there are none.
    """
    moments = _moments(budget)
    shown = {int(moments[i]) for i in np.linspace(1, len(moments) - 1, STRIP).round().astype(int)}
    state = init_state(gan, hyperparameters, seed)
    for size in _calls(Pace(10**6), budget.first_updates):
        state = jax.block_until_ready(programs.fit(hyperparameters, state, pixels, np.int32(size)))
    rows: list[tuple[float, ...]] = []
    seen = np.full((budget.steps, len(Metrics._fields)), np.nan, np.float32)
    samples = np.zeros((len(shown), min(SHOWN, budget.samples), *pixels.shape[1:]), np.float32)
    pace, largest, sound, strip = Pace(int(np.diff(moments).max())), largest_estimate(gan, pixels.shape[1:]), True, 0
    places = jax.random.key(0)  # the same patches and lines at every moment
    for begin, end in itertools.pairwise(moments):
        if not sound:
            rows.append((math.nan,) * 5)
            on_steps(int(end - begin))
            continue
        done = int(begin)
        for size in _calls(pace, int(end - begin)):
            state, metrics = programs.steps(hyperparameters, state, pixels, np.int32(size))
            seen[done : done + size] = np.asarray(metrics)[:size]
            done += size
            on_steps(size)
        losses = Metrics(*seen[begin:end].astype(np.float64).T)
        images = np.asarray(programs.samples(state))
        distance = float(
            patch_distance(real.images, images, places, size=_PATCH)
        )  # not compiled: a CPU sorts faster so
        estimate = _estimate(gan, losses)
        sound = is_sound(estimate, distance, largest)
        between = _between(real, images) if sound else math.nan
        rows.append((estimate, losses.generator_loss.mean(), losses.generator_loss.std(), distance, between))
        if end in shown:
            samples[strip] = images[:SHOWN]
            strip += 1
    names = ('estimate', 'generator_loss', 'generator_loss_std', 'patch_distance', 'kernel_distance')
    curves = dict(zip(names, np.array(rows).T, strict=True))
    return {'steps': moments[1:], **curves, 'metrics': seen, 'samples': samples}


def _moments(budget: Budget) -> np.ndarray:
    return np.unique(np.linspace(0, budget.steps, budget.points + 1).round().astype(int))


def _calls(pace: Pace, count: int) -> Iterator[int]:
    """The sizes of the calls that make ``count`` steps, each as large as the one before suggests by its time."""
    done = 0
    while done < count:
        size, began = pace.next(count - done), time.monotonic()
        yield size
        pace.took(size, time.monotonic() - began)
        done += size


def _estimate(gan: GAN, losses: Metrics) -> float:
    """Mean over the steps of the Wasserstein estimate, or of that of the JS divergence."""
    if is_wasserstein(gan):
        return float(losses.wasserstein.mean())
    return float(math.log(2) - losses.critic_loss.mean() / 2)


def _fixed_samples(gan: GAN, num: int, state: TrainState) -> jax.Array:
    """Samples of the generator itself, not of its average, in [-1, 1]; every time of the same latents."""
    (keys,) = example_keys(state.seed, (Role.SAMPLE,), 0, jnp.arange(num))
    images, _ = gan.networks.generator.apply(state.generator, jax.vmap(gan.latent)(keys), train=True)
    return jnp.clip(images.astype(jnp.float32), -1, 1)


def _between(real: Reference, images: np.ndarray) -> float:
    return kernel_distance(real.features, real.network(images), subsets=_SUBSETS, subset_size=len(images))
