"""``--log_to=wandb``: a run's metrics and samples on Weights & Biases, for whoever has its package installed."""

import importlib
import logging
import os
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from wgan_jax.json_files import read_json, write_json
from wgan_jax.text import reason
from wgan_jax.training.callbacks import Callback, Record, RunInfo
from wgan_jax.training.settings import record
from wgan_jax.training.state import TrainState
from wgan_jax.training.watch import Looks
from wgan_jax.types import Array

from ..common import pictures

_ID = 'wandb.json'

logger = logging.getLogger('wgan_jax.train')


class WandbLog(Callback):
    """The metrics that the run logs, and every grid of samples; a run that is continued goes on in the same one there.

    Which one that is lies in ``wandb.json`` in the run's folder. What was logged past the checkpoint that a run
    continues from is there already, in the same numbers, and not logged again. Project, account and whether anything
    leaves the machine are wandb's own matter: WANDB_PROJECT (by default wgan_jax), WANDB_ENTITY, WANDB_MODE=offline.

    Args:
        log_every: steps between the metrics that are logged.

    Raises:
        ValueError: when wandb is not installed.
    """

    files = (_ID,)

    def __init__(self, log_every: int):
        try:
            self._wandb = importlib.import_module('wandb')
            self._wandb.init  # noqa: B018  a folder of that name, in which wandb keeps its runs, is no package
        except (ImportError, AttributeError):
            raise ValueError('log_to=wandb: wandb is not installed: pip install wandb, or leave it out') from None
        self._log_every, self._run, self._done = log_every, None, False

    def start(self, run: RunInfo) -> None:
        path = run.workdir / _ID
        known = None
        if int(run.state.step) and os.path.exists(path):
            try:
                known = read_json(path, {'id': str})['id']
            except ValueError as error:
                logger.warning(f'{error}: the run begins anew on wandb')
        name = known or secrets.token_hex(4)
        try:
            self._run = self._wandb.init(
                id=name,
                resume='allow',
                project=os.environ.get('WANDB_PROJECT', 'wgan_jax'),
                name=run.workdir.name,
                dir=str(run.workdir),
                config=record(run.settings),
            )
        except Exception as error:  # wandb raises many kinds: of no account, no network
            raise ValueError(
                f'log_to=wandb: wandb cannot begin ({reason(error)}): log in (wandb login), set WANDB_MODE=offline, or '
                'leave it out'
            ) from error
        if known is None:
            write_json(path, {'id': name})

    def metrics(self, records: Sequence[Record]) -> None:
        for row in records:
            if row['step'] % self._log_every == 0 or any(row[name] is not None for name in Looks._fields):
                self._log(row['step'], {name: value for name, value in row.items() if value is not None})

    def sample(self, step: int, state: TrainState, images: Array) -> None:
        self._log(step, {'samples': self._wandb.Image(pictures.on_white(pictures.grid(images)))})

    def finish(self, results: Mapping[str, Any]) -> None:
        self._run.summary.update(results['final'])
        self._done = True

    def close(self) -> None:
        if self._run is not None:
            self._run.finish(exit_code=0 if self._done else 1)

    def _log(self, step: int, values: dict[str, Any]) -> None:
        if step >= self._run.step:  # wandb takes no step a second time
            self._run.log(values, step=step)
