"""A generator's folder, as ``wgan_jax.export`` writes it for others: what it must hold, and how it is read."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from wgan_jax.files import open_at_once
from wgan_jax.json_files import check_shape, read_json
from wgan_jax.text import reason
from wgan_jax.training.checkpoint import digest_of_arrays
from wgan_jax.training.folder import completed

LAUNCHER = 'export'  # as which config.json names whoever wrote it
WEIGHTS = 'generator.safetensors'


def read_exported(folder: str | os.PathLike) -> dict[str, Any] | None:
    """What ``config.json`` of an exported generator says; None for a folder of something else.

    Raises:
        ValueError: when it is damaged.
    """
    path = Path(folder) / 'config.json'
    config = read_json(path)
    if not isinstance(config, dict) or config.get('launcher') != LAUNCHER:
        return None
    check_shape(config, {'step': int, 'ema': bool, 'sha256': str}, str(path))
    return completed(config, str(path))


def weights_of(
    folder: str | os.PathLike, config: dict[str, Any], step: int | None = None, ema: bool = True
) -> dict[str, np.ndarray]:
    """The arrays of an exported generator by path names, 'params/…' and 'state/…'.

    Args:
        folder: of the generator.
        config: as ``read_exported`` gives it.
        step, ema: that are wanted; None and True stand for what there is.

    Raises:
        ValueError: when others are wanted than it holds, or they are not as they were written.
    """
    if step not in (None, config['step']):
        raise ValueError(f'{folder} holds the generator of step {config["step"]} alone, not of step {step}')
    if config['ema'] and not ema:
        raise ValueError(f'{folder} holds the moving average alone: ema=False has no effect')
    path = Path(folder) / WEIGHTS
    try:
        with open(path, 'rb', opener=open_at_once) as file:
            arrays = safetensors.numpy.load(file.read())
    except (OSError, safetensors.SafetensorError) as error:
        raise ValueError(f'{path} cannot be read ({reason(error)})') from None
    if digest_of_arrays(arrays) != config['sha256']:
        raise ValueError(f'{path} is not what config.json was written for: its digest differs')
    return arrays
