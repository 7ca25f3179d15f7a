"""How steep the critic of a run is, while it trains: one line a sample in ``lipschitz.jsonl``."""

import logging
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.data.images import to_float
from wgan_jax.lipschitz import lower_bounds, upper_bound
from wgan_jax.training.records import MetricsLog
from wgan_jax.training.state import TrainState
from wgan_jax.types import Array, Network, Variables

NUM_REAL = 64

logger = logging.getLogger('wgan_jax.lipschitz')


class LipschitzLog:
    """Measures a critic and notes it: an upper bound, the largest gradient norm and the largest slope found.

    A line has ``step``, ``lipschitz_upper`` (null where none exists, which is said once), ``lipschitz_gradient`` and
    ``lipschitz_slope``, in score units per unit of the images' distance; the latter two on the first real images, the
    fixed samples, and the points half way between.

    Args:
        workdir: of the run.
        network: the critic.
        variables: of the critic, arrays or their shapes.
        pixels: the dataset, uint8, (N, H, W, C).
        step: that the run continues from; later lines are dropped.
    """

    def __init__(self, workdir: Path, network: Network, variables: Variables, pixels: np.ndarray, step: int):
        self._log = MetricsLog(workdir / 'lipschitz.jsonl', step)
        self._real = to_float(pixels[:NUM_REAL])
        self._upper = jax.jit(lambda variables: upper_bound(network, variables))
        self._lower = jax.jit(
            lambda variables, points: lower_bounds(lambda x: network.apply(variables, x, train=False)[0], points)
        )
        try:
            jax.eval_shape(self._upper, variables)
        except ValueError as error:
            logger.warning(f'--log_lipschitz: {error}; lipschitz_upper is null')
            self._upper = None

    def append(self, step: int, state: TrainState, samples: Array) -> dict[str, float | int | None]:
        """Measures the critic of a state; returns the line.

        Args:
            step: generator updates done.
            state: of the run.
            samples: generated images in [-1, 1], (M, H, W, C).
        """
        variables = Variables(state.params.critic, state.network_state.critic)
        num = min(len(self._real), len(samples))
        between = (self._real[:num] + samples[:num]) / 2
        lower = self._lower(variables, jnp.concatenate([self._real, samples, between]))
        row = {
            'step': step,
            'lipschitz_upper': None if self._upper is None else float(self._upper(variables)),
            'lipschitz_gradient': float(lower.gradient),
            'lipschitz_slope': float(lower.slope),
        }
        self._log.append([row])
        return row

    def sync(self) -> None:
        """Returns when every line is on the disk."""
        self._log.sync()

    def close(self) -> None:
        """Closes the file."""
        self._log.close()
