"""Trains the runs of a sweep and evaluates them at regular moments, with fresh samples."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from wgan_jax.data import synthetic
from wgan_jax.data.synthetic import Density
from wgan_jax.distances import wasserstein_exact
from wgan_jax.metrics import mode_coverage
from wgan_jax.objectives import wasserstein_estimate
from wgan_jax.penalties import gradient_norms
from wgan_jax.training import cost
from wgan_jax.training.draws import Role, role_key
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.groups import map_runs
from wgan_jax.training.settings import Settings
from wgan_jax.training.state import TrainState
from wgan_jax.training.step import Metrics
from wgan_jax.training.sweep import Sweep, train_in_chunks
from wgan_jax.types import Array, Key, Variables

CURVE_SAMPLES = 512  # a side, for the exact distance during training
FINAL_SAMPLES = 2048  # a side, at the end
MODE_SAMPLES = 2500  # as in the published tables


class Evaluation(NamedTuple):
    """One run at one moment.

    Attributes:
        samples: of the averaged generator, (n, d).
        estimate: E f(real) - E f(fake) of the critic, on fresh samples of either side.
        gradient_norm: the largest gradient norm of the critic on those samples and between them: a lower bound of its
            Lipschitz constant.
        fake: those samples of the generator that the critic is trained against, (CURVE_SAMPLES, d).
        captured, high_quality, reverse_kl: mode coverage of the averaged generator; 0 where there are no modes.
    """

    samples: Array
    estimate: Array
    gradient_norm: Array
    fake: Array
    captured: Array
    high_quality: Array
    reverse_kl: Array


def evaluate(gan: GAN, density: Density, state: TrainState, real: Array, key: Key) -> Evaluation:
    """Looks at one run; pure.

    Args:
        gan, density: what is trained, on what.
        state: of the run.
        real: fresh real samples, (n, d).
        key: of the fresh latents.

    Returns:
        An Evaluation.
    """
    fake_key, sample_key, between_key = jax.random.split(key, 3)

    def generate(variables, key, num):
        latents = jax.vmap(gan.latent)(jax.random.split(key, num))
        return gan.networks.generator.apply(variables, latents, train=False)[0]

    def critic_fn(x):
        return gan.networks.critic.apply(state.critic, x, train=False)[0]

    fake = generate(state.generator, fake_key, len(real))
    weights = jax.random.uniform(between_key, (len(real), 1))
    points = jnp.concatenate([real, fake, weights * real + (1 - weights) * fake])
    samples = generate(state.ema, sample_key, MODE_SAMPLES)
    coverage = (jnp.int32(0), jnp.float32(0), jnp.float32(0))
    if density.modes is not None:
        coverage = mode_coverage(samples, density.modes, density.std)[:3]
    return Evaluation(
        samples,
        wasserstein_estimate(critic_fn(real), critic_fn(fake)),
        jnp.max(gradient_norms(critic_fn, points)),
        fake,
        *coverage,
    )


def require_memory(
    gan: GAN,
    hyperparameters: Hyperparameters,
    density: Density,
    settings: Settings,
    runs: int,
    num_evals: int,
    *,
    programs: int = 1,
    beside: float = 0,
) -> None:
    """Raises ValueError when runs, with all that is kept of them, would take too much memory.

    Args:
        gan, hyperparameters, density: what is trained, on what.
        settings: of every run.
        runs: trained at once.
        num_evals: evaluations besides the first.
        programs: that are trained one after the other, a History of each being kept.
        beside: bytes that are held besides.
    """
    kept = 4 * runs * (settings.steps * len(Metrics._fields) + (num_evals + 1) * MODE_SAMPLES * density.dim)
    what = (
        f'{runs} runs of {settings.steps} steps with width={settings.width}, batch_size={settings.batch_size}, seen at '
        f'{num_evals} moments,'
    )
    kept *= programs + 1  # the last is put together from its parts
    kept += programs * num_evals * cost.state_bytes(gan, hyperparameters) / 4  # critics of the first run
    cost.require_memory(gan, hyperparameters, what, runs=runs, beside=kept + beside)


class History(NamedTuple):
    """T evaluations of R runs, and the metrics of every step.

    Attributes:
        step: generator updates at each evaluation, (T,).
        samples: (T, R, MODE_SAMPLES, d).
        estimate, gradient_norm, captured, high_quality, reverse_kl: (T, R); see Evaluation.
        distance: exact W1 between fresh real samples and the generator's, CURVE_SAMPLES a side, (T, R).
        metrics: (steps, R, metrics), as of ``Metrics``.
        critics: what the critics of the first run were, one Variables an evaluation.
        seconds: training time, compilation apart; compile_seconds: that of the first call.
    """

    step: np.ndarray
    samples: np.ndarray
    estimate: np.ndarray
    gradient_norm: np.ndarray
    captured: np.ndarray
    high_quality: np.ndarray
    reverse_kl: np.ndarray
    distance: np.ndarray
    metrics: np.ndarray
    critics: list[Variables]
    seconds: float
    compile_seconds: float


@dataclasses.dataclass
class Clock:
    """Training time of a sweep in seconds: that of its first call, which is mostly compilation, and of the others."""

    compiling: float | None = None
    training: float = 0.0

    def shown_on(self, bar: tqdm) -> Callable[[int, float], None]:
        """What ``train_in_chunks`` tells of its calls is added here, and moves the bar."""

        def note(count: int, seconds: float) -> None:
            if self.compiling is None:
                self.compiling = seconds
            else:
                self.training += seconds
            bar.update(count)

        return note


def eval_steps(steps: int, num_evals: int) -> list[int]:
    """0 and ``num_evals`` about equal intervals up to ``steps``."""
    return sorted({round(steps * i / num_evals) for i in range(num_evals + 1)})


def train_runs(
    sweep: Sweep, gan: GAN, density: Density, *, steps: int, num_evals: int, seed: int, bar: tqdm
) -> tuple[TrainState, History]:
    """Trains all runs of a sweep on one density, looking at them at about equal intervals.

    Args:
        sweep: of ``gan``.
        gan, density: what is trained, on what.
        steps: generator updates.
        num_evals: how many evaluations besides the first, before any step.
        seed: of the samples looked at.
        bar: advances by the number of steps.

    Returns:
        (final states, History).
    """
    key = role_key(seed, Role.SAMPLE)
    look_at = jax.jit(
        lambda states, real, key: map_runs(lambda state: evaluate(gan, density, state, real, key), sweep.group)(states)
    )
    draw = jax.jit(lambda key: synthetic.draw(density, key, CURVE_SAMPLES))
    steps_seen, seen, critics, distances, rows, clock = [], [], [], [], [], Clock()
    for step, states, part in train_in_chunks(sweep, eval_steps(steps, num_evals), on_chunk=clock.shown_on(bar)):
        real_key, fake_key = jax.random.split(jax.random.fold_in(key, step))
        real = draw(real_key)
        steps_seen.append(step)
        seen.append(jax.tree.map(np.asarray, look_at(states, real, fake_key)))
        critics.append(jax.tree.map(lambda leaf: np.asarray(leaf[0]), states.critic))
        distances.append([_distance(real, fake) for fake in seen[-1].fake])
        if part is not None:
            rows.append(part)
    stacked = Evaluation(*(np.stack(column) for column in zip(*seen, strict=True)))
    history = History(
        step=np.array(steps_seen),
        distance=np.array(distances),
        metrics=np.concatenate(rows, axis=1).swapaxes(0, 1),
        critics=critics,
        seconds=clock.training,
        compile_seconds=clock.compiling or 0.0,
        **{name: value for name, value in stacked._asdict().items() if name != 'fake'},
    )
    return states, history


def _distance(real: Array, fake: Array) -> float:
    """Exact W1; NaN for samples of a run that has blown up."""
    return wasserstein_exact(real, fake) if np.isfinite(fake).all() else float('nan')


class Final(NamedTuple):
    """The end of R runs on larger fresh samples, FINAL_SAMPLES a side.

    Attributes:
        estimate, gradient_norm: of the critic, (R,).
        distance: exact W1 between the real samples and the generator's, (R,).
        average_distance: the same for the averaged generator, (R,).
        floor: exact W1 between two real samples of this size: what sampling alone makes of it.
    """

    estimate: np.ndarray
    gradient_norm: np.ndarray
    distance: np.ndarray
    average_distance: np.ndarray
    floor: float


def final_look(sweep: Sweep, gan: GAN, density: Density, states: TrainState, seed: int) -> Final:
    """Measures all runs at their end.

    Args:
        sweep, gan, density: as for ``train_runs``.
        states: final states.
        seed: of the samples.

    Returns:
        A Final.
    """
    keys = jax.random.split(jax.random.fold_in(role_key(seed, Role.SAMPLE), 2**31), 3)
    real, other = (synthetic.draw(density, key, FINAL_SAMPLES) for key in keys[:2])
    seen = jax.jit(
        lambda states: map_runs(lambda state: evaluate(gan, density, state, real, keys[2]), sweep.group)(states)
    )(states)
    return Final(
        estimate=np.asarray(seen.estimate),
        gradient_norm=np.asarray(seen.gradient_norm),
        distance=np.array([_distance(real, fake) for fake in np.asarray(seen.fake)]),
        average_distance=np.array([_distance(real, fake[:FINAL_SAMPLES]) for fake in np.asarray(seen.samples)]),
        floor=wasserstein_exact(real, other),
    )


def mean_std(values: np.ndarray) -> dict[str, float | None]:
    """Mean and standard deviation (n - 1) over runs, JSON's null where a run is not finite; so the deviation of one."""
    values = np.asarray(values, np.float64)
    if not np.isfinite(values).all():
        return {'mean': None, 'std': None}
    return {'mean': float(values.mean()), 'std': float(values.std(ddof=1)) if len(values) > 1 else None}


def column(history: History, name: str) -> np.ndarray:
    """One of the step metrics by its name, (steps, R)."""
    return history.metrics[:, :, Metrics._fields.index(name)]
