"""A run's folder: its lock, its configuration, and which command may continue it."""

import contextlib
import dataclasses
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wgan_jax.files import open_at_once
from wgan_jax.json_files import check_shape, read_json
from wgan_jax.ranges import whole
from wgan_jax.text import printable, reason
from wgan_jax.training.checkpoint import LIST, Checkpoint, CheckpointStore
from wgan_jax.training.parts import same_part
from wgan_jax.training.settings import Settings, architecture_of, check_fields, record, without_unread

# Settings in which the command that continues a run may differ from the one that began it. A dataset may move: what
# counts is its content, whose fingerprint is compared.
MAY_CHANGE = ('steps', 'dataset', 'data_dir')

_SHAPE: dict[str, Any] = {'settings': dict, 'dataset': {'shape': [int], 'fingerprint': str}}


class OtherLauncher(ValueError):
    """A folder holds something else than a training run."""


@contextlib.contextmanager
def locked(workdir: str | os.PathLike) -> Iterator[Path]:
    """Holds a run's folder, made when missing, against other processes; a process that dies lets go of it.

    A call that is refused leaves nothing: a lock that is new goes when the block fails, and so do empty folders.

    Raises:
        ValueError: when it cannot be made or written, or another process holds it.
    """
    workdir = Path(workdir)
    lock = workdir / '.lock'
    made = [folder for folder in (workdir, *workdir.parents) if not os.path.lexists(folder)]
    locks_anew = not os.path.lexists(lock)
    for folder in (workdir.absolute(), *workdir.absolute().parents):
        if folder.parent.name == 'checkpoints' and os.path.isfile(folder / LIST):
            raise ValueError(f'workdir {workdir} lies in a checkpoint, {folder}: choose another folder')
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = open(lock, 'r+', opener=open_at_once)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL character
        why = reason(error)
        if os.path.lexists(lock) and os.access(workdir, os.W_OK):
            why = f'of its .lock: {"it is no file" if not os.path.isfile(lock) else why}; without that it can'
        if isinstance(error, FileExistsError | NotADirectoryError):
            dangling = os.path.islink(workdir) and not os.path.exists(workdir)
            why = 'it is a link to nothing' if dangling else 'a file stands in its way'
        raise ValueError(
            f'workdir {printable(workdir, 300)} cannot be written ({why}): choose another folder'
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f'workdir {workdir} is in use by another process: wait for it, stop it, or choose another folder'
            ) from None
        except OSError as error:
            raise ValueError(f'workdir {workdir} cannot be locked ({reason(error)}): choose another folder') from None
        state, failed = os.fstat(file.fileno()), True
        if lock_of(workdir) != (state.st_dev, state.st_ino):  # another call was refused meanwhile, and took it away
            raise ValueError(f'workdir {workdir} is being looked at by another process: try again')
        try:
            yield workdir
            failed = False
        finally:
            with contextlib.suppress(OSError):
                if lock_of(workdir) == (state.st_dev, state.st_ino):  # else it has been moved, and this is another
                    if failed and locks_anew:
                        lock.unlink()
                    for folder in made:
                        folder.rmdir()


@contextlib.contextmanager
def at_rest(workdir: str | os.PathLike) -> Iterator[None]:
    """Keeps processes from training a run while it is read; nothing is made or changed.

    Raises:
        ValueError: while a process trains it.
    """
    with contextlib.ExitStack() as held:
        file = None
        with contextlib.suppress(OSError, ValueError, TypeError):  # a copy without a lock, or no run: its reader says
            file = held.enter_context(open(Path(workdir) / '.lock', 'rb', opener=open_at_once))
        if file is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError as error:
                if isinstance(error, BlockingIOError):
                    raise ValueError(
                        f'workdir {workdir} is in use by another process: wait until it is done, or stop it'
                    ) from None
        yield


def lock_of(workdir: Path) -> tuple[int, int] | None:
    """Which file the lock of a folder is: another one in another folder of that name. None where there is none."""
    try:
        state = os.stat(workdir / '.lock')
    except OSError:
        return None
    return state.st_dev, state.st_ino


def identity(config: dict[str, Any]) -> dict[str, Any]:
    """What of a configuration says which run it is: what a checkpoint is sealed with."""
    recorded = {name: config[name] for name in ('jax',) if name in config}  # not before 0.3
    if minutes := config['run'].get('minutes'):
        recorded['minutes'] = minutes  # by which the steps were chosen
    return {name: config.get(name, False) for name in ('settings', 'dataset', 'x64')} | recorded


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What keeps a command from continuing a run.

    Args:
        before, now: configurations of a run as ``read_run`` gives them, or their identities.

    Returns:
        'name: before -> now' for each setting that differs though it may not.
    """
    lines = []
    if before['dataset']['fingerprint'] != now['dataset']['fingerprint']:
        shown = [f'{c["settings"]["dataset"]} ({c["dataset"]["fingerprint"][:8]})' for c in (before, now)]
        lines.append(f'dataset: {shown[0]} -> {shown[1]}')
    if before.get('x64', False) != now.get('x64', False):  # runs of before this was recorded had it off
        lines.append(f'jax_enable_x64: {before.get("x64", False)} -> {now.get("x64", False)}')
    was, is_now = (c.get('jax', {}) for c in ((before, now) if 'jax' in before else (now, now)))
    lines += [
        f'{name}: {was.get(name, "as by default")} -> {is_now.get(name, "as by default")}'
        for name in sorted({*was, *is_now})
        if was.get(name) != is_now.get(name)
    ]
    old, new = before['settings'], now['settings']
    lines += [
        f'{name}: {old[name]} -> {new[name]}'
        for name in new
        if name not in MAY_CHANGE and not same_part(old[name], new[name])
    ]
    return lines


def check_identity(workdir: str | os.PathLike, found: Checkpoint, config: dict[str, Any]) -> None:
    """Raises ValueError when a checkpoint was made under other settings than a configuration has, with both.

    Checkpoints of before this was recorded pass.
    """
    if found.run is None:
        return
    before = completed(found.run, f'the record in checkpoint {found.step} of {workdir}')
    changed = differences(before, config)
    changed += [
        f'{name} of the dataset: others'
        for name in ('classes', 'class_counts')
        if before['dataset'].get(name) != config['dataset'].get(name)
    ]
    if changed:
        raise ValueError(
            f'checkpoint {found.step} of {workdir} was made with other settings ({"; ".join(changed)}): choose another '
            'folder, or give the same settings'
        )


def checkpoint_of(workdir: str | os.PathLike, config: dict[str, Any], step: int | None = None) -> Checkpoint:
    """A checkpoint of the run that a folder's ``config.json`` describes; the newest sound one by default.

    Raises:
        ValueError: when there is none, or it is of another run.
    """
    if step is not None:
        whole(0).check('step', step)
    found = CheckpointStore(Path(workdir) / 'checkpoints').choose(step)
    check_identity(workdir, found, config)
    return found


def read_run(workdir: str | os.PathLike) -> dict[str, Any]:
    """The configuration of a run. Raises ValueError when the folder holds no training run, or a damaged one."""
    path, shown = Path(workdir) / 'config.json', printable(workdir, 300) or "''"
    try:
        os.lstat(path)
    except NotADirectoryError:
        raise ValueError(f'{shown} is a file, not the folder of a training run') from None
    except (FileNotFoundError, ValueError):  # ValueError: a path with a NUL character
        raise ValueError(f'{shown} is not the folder of a training run: it has no config.json') from None
    except OSError as error:
        raise ValueError(f'{path} cannot be read ({reason(error)})') from None
    config = read_json(path)
    launcher = config.get('launcher') if isinstance(config, dict) else None
    if launcher != 'train':
        raise OtherLauncher(
            f'{workdir} holds the results of {launcher or "something else"}, not of train: choose another folder'
        )
    return completed(config, str(path))


def completed(config: Any, where: str) -> dict[str, Any]:
    """A configuration, or its identity, as it was read, with all settings that there are today.

    Raises:
        ValueError: naming ``where``, when it is none.
    """
    check_shape({'jax': {}, **config} if isinstance(config, dict) else config, {**_SHAPE, 'jax': dict}, where)
    if len(config['dataset']['shape']) != 4:
        raise ValueError(f'{where}: dataset: shape must be 4 numbers, N, H, W and C')
    try:
        return {**config, 'settings': record(settings_of(config))}
    except ValueError as error:
        raise ValueError(f'{where} is not the configuration of a training run ({error})') from None


def settings_of(config: dict[str, Any]) -> Settings:
    """The settings in a run's configuration; one that is missing, being newer than the run, has its default.

    Raises:
        ValueError: for a setting that there is not, or a value that it cannot have.
    """
    try:
        settings = Settings(**config['settings'])
    except TypeError:
        known = {field.name for field in dataclasses.fields(Settings)}
        raise ValueError(f'{min(config["settings"].keys() - known)} is no setting') from None
    check_fields(settings)
    settings = without_unread(settings)
    architecture = architecture_of(settings)
    return dataclasses.replace(settings, **architecture.recalled(settings)) if architecture else settings
