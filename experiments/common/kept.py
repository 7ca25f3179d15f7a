"""Parts of a launcher's work that are done, one file each, so that none is done twice."""

import hashlib
import json
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import wgan_jax
from wgan_jax.environment import environment
from wgan_jax.files import atomic_path, remove_leftovers, set_aside
from wgan_jax.json_files import check_shape

logger = logging.getLogger('wgan_jax.kept')

_RESULT, _PART = 'result', 'part'


def prepare(workdir: Path, folder: str) -> None:
    """Makes the folder of the parts, and clears it of what a killed process left behind."""
    path = workdir / folder
    if path.is_file():
        set_aside(path, 'a file stands where a folder belongs')
    path.mkdir(exist_ok=True)
    remove_leftovers(path)


def digest_of(record: Mapping[str, Any]) -> str:
    """Of all that decides the numbers of a part, and of the versions, the commit and the devices it is made with."""
    whole = {**record, 'wgan_jax': wgan_jax.__version__, **environment()}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:12]


def place(workdir: Path, folder: str, name: str, label: str, record: Mapping[str, Any]) -> Path:
    """The file of a part; whatever decides its numbers is in the file's name.

    Args:
        workdir: of the launcher.
        folder: of the parts, in it.
        name: of the part, made fit for a file's name.
        label: what else is to be read in the name.
        record: all that decides the numbers; where they are made is added.
    """
    digest = digest_of(record)
    plain = re.sub(r'[^a-zA-Z0-9_.=-]', '_', name)[:60]
    return workdir / folder / f'{plain}_{label}_{digest}.npz'


def read(
    path: Path, shape: Mapping[str, Any], names: Iterable[str]
) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """What was found for a part, and its arrays; None where it is not done, or its file is damaged or another's.

    Args:
        path: of the file.
        shape: of the result, as ``json_files.check_shape`` takes it.
        names: of the arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:  # a member that has changed fails its checksum
            if str(arrays[_PART]) != path.stem:
                raise ValueError('it is another part')
            result = json.loads(str(arrays[_RESULT]))
            check_shape(result, dict(shape), str(path))
            return result, {name: arrays[name] for name in names}
    except FileNotFoundError:
        return None
    except (OSError, MemoryError):  # of the machine: the file may be sound
        raise
    except Exception as error:  # whatever zip files raise
        logger.warning(f'{path} cannot be read ({type(error).__name__}) and is made anew')
        return None


def write(path: Path, result: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Keeps a part.

    Args:
        path: of the file.
        result: numbers and names.
        arrays: by name, none of them 'result' or 'part'.
    """
    with atomic_path(path) as temporary:
        own = {_PART: np.array(path.stem), _RESULT: np.array(json.dumps(result))}
        np.savez(temporary, **own, **arrays)
