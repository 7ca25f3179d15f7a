"""What a run goes on from: whether it may, and what of its folder can be trusted."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wgan_jax.files import matching, move_aside, remove_leftovers, set_aside
from wgan_jax.json_files import check_shape, read_json
from wgan_jax.text import listed
from wgan_jax.training.checkpoint import Checkpoint, CheckpointStore
from wgan_jax.training.folder import OtherLauncher, check_identity, differences, read_run
from wgan_jax.training.manifest import Manifest

logger = logging.getLogger(__name__)


def take_up(
    workdir: Path, config: dict[str, Any], store: CheckpointStore, manifest: Manifest
) -> tuple[dict[str, Any] | None, Checkpoint | None]:
    """What there is of a run: its configuration and its newest sound checkpoint, each None where there is none.

    Once that is clear, damaged checkpoints and results of no known run are moved aside, and those checkpoints go that
    a killed process had left to remove.

    Args:
        workdir: held by ``locked``.
        config: of the call that wants to go on.
        store, manifest: of the folder.

    Raises:
        ValueError: when the folder holds a run with other settings, or one whose checkpoints are gone or all damaged;
            nothing is changed then.
    """
    before = _configuration(workdir, config)
    found, damaged = store.newest()
    if found is not None:
        check_identity(workdir, found, config)
        if before is None and found.run is None:
            raise ValueError(f'{workdir} has checkpoints, and neither a config.json nor they say of which run')
    elif manifest.tells_of_checkpoints():
        raise ValueError(
            f'{workdir} holds a run whose checkpoints are gone: put them back into its folder checkpoints, or choose '
            'another folder'
        )
    remove_leftovers(workdir)
    store.set_aside(damaged)
    store.prune()
    if found is None and before is None:
        for path in (*matching(workdir, 'results.json'), *matching(workdir, 'samples/step_*.png')):
            set_aside(path, 'it is of no run that is known here', workdir)
    return before, found


def _configuration(workdir: Path, config: dict[str, Any]) -> dict[str, Any] | None:
    path = workdir / 'config.json'
    if not os.path.lexists(path):
        return None
    try:
        before = read_run(workdir)
        check_shape(before, {'run': {'log_every': int}}, str(path))
    except OtherLauncher:
        raise
    except ValueError as error:
        if not os.path.isfile(path) or not os.access(path, os.R_OK):
            raise
        raise ValueError(
            f'{error}: delete the file, and the command that the run was begun with continues it'
        ) from None
    changed = differences(before, config)
    if changed:
        raise ValueError(
            f'{workdir} holds a run with other settings ({"; ".join(changed)}): '
            'choose another folder, or give the same settings to continue it'
        )
    return before


def steps_of(results: Path) -> int | None:
    """Of how many steps a ``results.json`` is; None where there is none, or one that cannot be read, which is said."""
    if not os.path.exists(results):
        return None
    try:
        return read_json(results, {'steps': int})['steps']
    except ValueError as error:
        set_aside(results, str(error))
        return None


def longest_log_every(before: dict[str, Any] | None) -> int:
    """The longest period that lines of metrics can have, by the configuration of the calls before."""
    periods = () if before is None else (before['run'].get('longest_log_every'), before['run']['log_every'])
    return max((period for period in periods if isinstance(period, int)), default=0)


def say_what_is_gone(workdir: Path, manifest: Manifest, before: dict[str, Any] | None, *, trained: bool) -> None:
    """Warns of files that a run wrote and that are there no more, their list among them.

    Args:
        workdir, manifest: of the run.
        before: its configuration, None where that is gone.
        trained: whether it has had a checkpoint, and therefore a list.
    """
    if missing := manifest.missing():
        logger.warning(f'{workdir}: files that the run wrote are gone: {listed(missing)}')
    if trained and before is not None and 'jax' in before and not manifest.exists():  # runs of before 0.3 had none
        logger.warning(f'{workdir}: the list of what the run wrote is gone: whether it is damaged cannot be told')


def mend(workdir: Path, changed: Sequence[Path]) -> None:
    """Moves files aside that are not as the run wrote them; what of them can be made again, will be."""
    for path in changed:
        why = 'has changed since the run wrote it'
        if path.name == 'config.json' and os.path.isfile(path):
            logger.warning(f'{path}: {why}; written anew')
        elif path.name == 'metrics.jsonl' and os.path.isfile(path):
            aside = move_aside(path, copy=True)
            logger.warning(
                f'{path}: {why}; results are made of whatever of it is a record, and the file as it was is {aside}'
            )
        elif os.path.lexists(path):
            set_aside(path, why, workdir)
