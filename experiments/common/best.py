"""The checkpoint that --evaluate_every has found to be the best, spoken of where another one is used."""

import logging
from pathlib import Path

from wgan_jax.training.checkpoint import CheckpointStore
from wgan_jax.training.run_files import best_step

logger = logging.getLogger('wgan_jax.best')


def say_of_best(workdir: Path, step: int) -> None:
    """Says, where a run was evaluated and keeps a better checkpoint than the one of ``step``, which that is."""
    best = best_step(workdir, CheckpointStore(workdir / 'checkpoints').steps())
    if best is not None and best != step:
        logger.warning(f'step {step} is the newest; by --evaluate_every step {best} was the best: --step={best}')
