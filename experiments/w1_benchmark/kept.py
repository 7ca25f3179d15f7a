"""Cells that are done, one file each, so that none is done twice."""

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wgan_jax.files import atomic_path, remove_leftovers, set_aside
from wgan_jax.json_files import NUMBER, check_shape

_SHAPE = dict.fromkeys(('cosine', 'l2', 'w1', 'w1_true', 'w1_error', 'seconds'), NUMBER)

logger = logging.getLogger('wgan_jax.w1_benchmark')


def prepare(workdir: Path) -> None:
    """Makes the folder of the cells, and clears it of what a killed process left behind."""
    folder = workdir / 'cells'
    if folder.is_file():
        set_aside(folder, 'a file stands where a folder belongs')
    folder.mkdir(exist_ok=True)
    remove_leftovers(folder)


def place(workdir: Path, name: str, cell: tuple[int, int], record: Mapping[str, Any]) -> Path:
    """The file of a cell; whatever decides its numbers is in the file's name.

    Args:
        workdir: of the launcher.
        name: of the method.
        cell: dimension and funnels.
        record: all that decides the numbers.
    """
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:12]
    plain = re.sub(r'[^a-zA-Z0-9_.=-]', '_', name)[:60]
    return workdir / 'cells' / f'{plain}_{cell[0]}x{cell[1]}_{digest}.npz'


def read(path: Path) -> tuple[dict[str, Any], np.ndarray] | None:
    """What was found for a cell, and its value surface; None where it is not done, or its file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:  # a member that has changed fails its checksum
            result = json.loads(str(arrays['result']))
            check_shape(result, _SHAPE, str(path))
            return result, arrays['surface']
    except FileNotFoundError:
        return None
    except (OSError, MemoryError):  # of the machine: the file may be sound
        raise
    except Exception as error:  # whatever zip files raise
        logger.warning(f'{path} cannot be read ({type(error).__name__}) and is made anew')
        return None


def write(path: Path, result: Mapping[str, Any], surface: np.ndarray) -> None:
    """Keeps a cell.

    Args:
        path: of the file.
        result: numbers and names.
        surface: values of a critic of two dimensions, empty for others.
    """
    with atomic_path(path) as temporary:
        np.savez(temporary, result=np.array(json.dumps(result)), surface=surface)
