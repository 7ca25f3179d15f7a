"""A run's folder: its lock, its configuration, and which command may continue it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wgan_jax.files import read_json
from wgan_jax.training.parts import same_part
from wgan_jax.training.settings import Settings, record, resolve

# Settings in which the command that continues a run may differ from the one that began it. A dataset may move: what
# counts is its content, whose fingerprint is compared.
MAY_CHANGE = ('steps', 'dataset', 'data_dir')


@contextlib.contextmanager
def locked(workdir: str | os.PathLike) -> Iterator[Path]:
    """Holds a run's folder, made when missing, against other processes; a process that dies lets go of it.

    Raises:
        ValueError: when it cannot be made or written, or another process holds it.
    """
    workdir = Path(workdir)
    if workdir.exists() and not workdir.is_dir():
        raise ValueError(f'workdir {workdir} is a file: choose another folder')
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = open(workdir / '.lock', 'a')
    except OSError as error:
        raise ValueError(f'workdir {workdir} cannot be written ({error.strerror}): choose another folder') from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f'workdir {workdir} is in use by another process: wait for it, stop it, or choose another folder'
            ) from None
        yield workdir


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What keeps a command from continuing a run.

    Args:
        before, now: configurations of a run as ``read_run`` gives them.

    Returns:
        'name: before -> now' for each setting that differs though it may not.
    """
    lines = []
    if before['dataset']['fingerprint'] != now['dataset']['fingerprint']:
        shown = [f'{c["settings"]["dataset"]} ({c["dataset"]["fingerprint"][:8]})' for c in (before, now)]
        lines.append(f'dataset: {shown[0]} -> {shown[1]}')
    if before.get('x64', False) != now.get('x64', False):  # runs of before this was recorded had it off
        lines.append(f'jax_enable_x64: {before.get("x64", False)} -> {now.get("x64", False)}')
    old, new = before['settings'], now['settings']
    lines += [
        f'{name}: {old[name]} -> {new[name]}'
        for name in new
        if name not in MAY_CHANGE and not same_part(old[name], new[name])
    ]
    return lines


def read_run(workdir: str | os.PathLike) -> dict[str, Any]:
    """The configuration of a run. Raises ValueError when the folder holds no training run."""
    path = Path(workdir) / 'config.json'
    if not path.is_file():
        raise ValueError(f'{workdir} is not the folder of a training run: it has no config.json')
    config = read_json(path)
    launcher = config.get('launcher') if isinstance(config, dict) else None
    if launcher != 'train':
        raise ValueError(
            f'{workdir} holds the results of {launcher or "something else"}, not of train: choose another folder'
        )
    try:
        return {**config, 'settings': record(settings_of(config))}
    except (KeyError, TypeError) as error:
        raise ValueError(f'{path} is not the configuration of a training run ({error})') from None


def settings_of(config: dict[str, Any]) -> Settings:
    """The settings in a run's configuration; one that is missing, being newer than the run, has its default."""
    return resolve(Settings(**config['settings']))
