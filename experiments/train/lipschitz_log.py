"""How steep the critic of a run is, while it trains: one line a sample in ``lipschitz.jsonl``."""

import logging

import jax
import jax.numpy as jnp

from wgan_jax.data.images import to_float
from wgan_jax.lipschitz import lower_bounds, upper_bound
from wgan_jax.training.callbacks import Callback, RunInfo
from wgan_jax.training.records import MetricsLog
from wgan_jax.training.state import TrainState
from wgan_jax.types import Array

from .outputs import Events

NUM_REAL = 64

logger = logging.getLogger('wgan_jax.lipschitz')


class LipschitzLog(Callback):
    """Measures the critic with every grid of samples: an upper bound, the largest gradient norm, the largest slope.

    A line has ``step``, ``lipschitz_upper`` (null where none exists, which is said once), ``lipschitz_gradient`` and
    ``lipschitz_slope``, in score units per unit of the images' distance; the latter two on the first real images, the
    fixed samples, and the points half way between. Lines past the step that a run continues from are dropped.

    Args:
        events: where the numbers go, too.
    """

    files = ('lipschitz.jsonl',)

    def __init__(self, events: Events | None = None):
        self._events, self._log = events, None

    def start(self, run: RunInfo) -> None:
        network = run.gan.networks.critic
        self._log = MetricsLog(run.workdir / 'lipschitz.jsonl', int(run.state.step))
        self._real = to_float(run.images.pixels[:NUM_REAL])
        self._upper = jax.jit(lambda variables: upper_bound(network, variables))
        self._lower = jax.jit(
            lambda variables, points: lower_bounds(lambda x: network.apply(variables, x, train=False)[0], points)
        )
        try:
            jax.eval_shape(self._upper, run.state.critic)
        except ValueError as error:
            logger.warning(f'--log_lipschitz: {error}; lipschitz_upper is null')
            self._upper = None

    def sample(self, step: int, state: TrainState, images: Array) -> None:
        num = min(len(self._real), len(images))
        between = (self._real[:num] + images[:num]) / 2
        lower = self._lower(state.critic, jnp.concatenate([self._real, images, between]))
        row = {
            'step': step,
            'lipschitz_upper': None if self._upper is None else float(self._upper(state.critic)),
            'lipschitz_gradient': float(lower.gradient),
            'lipschitz_slope': float(lower.slope),
        }
        self._log.append([row])
        if self._events is not None:
            self._events.scalars(row)

    def checkpoint(self, step: int, state: TrainState) -> None:
        self._log.sync()
        self._log.check()

    def close(self) -> None:
        if self._log is not None:
            self._log.close()
