"""What a run goes on from: whether it may, and what of its folder can be trusted."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wgan_jax.data.images import Images
from wgan_jax.files import move_aside, remove_leftovers, set_aside
from wgan_jax.json_files import check_shape, read_json
from wgan_jax.text import listed
from wgan_jax.training.checkpoint import Checkpoint, CheckpointStore
from wgan_jax.training.contents import changes_of
from wgan_jax.training.folder import OtherLauncher, check_identity, differences, read_run
from wgan_jax.training.manifest import Manifest
from wgan_jax.training.records import read_metrics
from wgan_jax.training.run_files import pictures_after

logger = logging.getLogger(__name__)


def take_up(
    workdir: Path, config: dict[str, Any], images: Images, store: CheckpointStore, manifest: Manifest
) -> tuple[dict[str, Any] | None, Checkpoint | None]:
    """What there is of a run: its configuration and its newest sound checkpoint, each None where there is none.

    Once that is clear, damaged checkpoints and results of no known run are moved aside, and those checkpoints go that
    a killed process had left to remove.

    Args:
        workdir: held by ``locked``.
        config, images: of the call that wants to go on.
        store, manifest: of the folder.

    Raises:
        ValueError: when the folder holds a run with other settings, or one whose checkpoints are gone or all damaged;
            nothing is changed then.
    """
    before = _configuration(workdir, config, images)
    found, damaged = store.newest()
    if found is not None:
        check_identity(workdir, found, config)
        if before is None and found.run is None:
            raise ValueError(f'{workdir} has checkpoints, and neither a config.json nor they say of which run')
    elif _had_checkpoints(workdir, before, manifest):
        raise ValueError(
            f'{workdir} holds a run whose checkpoints are gone: put them back into its folder checkpoints, or choose '
            'another folder'
        )
    remove_leftovers(workdir)
    store.set_aside(damaged)
    store.prune()
    if found is None and before is None:
        for path in manifest.files():
            if path.parent.resolve().is_relative_to(workdir.resolve()):  # a linked folder may be shared with other runs
                set_aside(path, 'it is of no run that is known here', workdir)
    if found is not None and found.step < (manifest.newest_checkpoint() or 0):
        if not damaged:
            logger.warning(f'{workdir}: the checkpoints after step {found.step} are gone: the run goes on from there')
        _keep_what_came_later(workdir, config['settings']['steps'])
    return before, found


def _had_checkpoints(workdir: Path, before: dict[str, Any] | None, manifest: Manifest) -> bool:
    """Whether there is what a run only has after a checkpoint; of a copy, the list may have been left out."""
    if manifest.tells_of_checkpoints():
        return True
    if before is None:
        return False
    every, metrics = before['run'].get('longest_checkpoint_every'), workdir / 'metrics.jsonl'
    rows = read_metrics(metrics) if os.path.isfile(metrics) and isinstance(every, int) else []
    return os.path.isfile(workdir / 'results.json') or any(row['step'] > every for row in rows)


def _keep_what_came_later(workdir: Path, steps: int) -> None:
    """Moves aside, before it is cut off or removed, what will not come again when only so many steps are asked for."""
    results, metrics = workdir / 'results.json', workdir / 'metrics.jsonl'
    why = f'it is of more than the {steps} steps that are asked for, and the checkpoints of those are gone'
    if os.path.isfile(results) and (steps_of(results) or 0) > steps:
        set_aside(results, why, workdir)
    if os.path.isfile(metrics) and any(row['step'] > steps for row in read_metrics(metrics)):
        logger.warning(f'{metrics}: {why}; a copy is kept in {move_aside(metrics, copy=True)}')
    for path in pictures_after(workdir, steps):
        set_aside(path, why, workdir)


def _configuration(workdir: Path, config: dict[str, Any], images: Images) -> dict[str, Any] | None:
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
    if len(changed) == 1 and changed[0].startswith('dataset: ') and (what := changes_of(workdir, images)):
        changed = [f'{changed[0]}: {what}']  # else all pixels may be others
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


def longest(what: str, before: dict[str, Any] | None, now: int) -> int:
    """The longest period that 'log_every' or 'checkpoint_every' has had, by the configuration of the calls before."""
    recorded = {} if before is None else before['run']
    periods = (recorded.get(f'longest_{what}'), recorded.get(what), now)
    return max(period for period in periods if isinstance(period, int))


def say_what_is_gone(
    workdir: Path, manifest: Manifest, missing: Sequence[str], before: dict[str, Any] | None, *, trained: bool
) -> None:
    """Warns of files that a run wrote and that are there no more, their list among them.

    Args:
        workdir, manifest: of the run.
        missing: listed files that were gone before anything was moved aside.
        before: its configuration, None where that is gone.
        trained: whether it has had a checkpoint, and therefore a list.
    """
    if missing:
        logger.warning(f'{workdir}: files that the run wrote are gone: {listed(missing)}')
    newest, results, metrics = manifest.newest_checkpoint(), workdir / 'results.json', workdir / 'metrics.jsonl'
    steps = (steps_of(results) if os.path.isfile(results) else None) or 0
    if trained and newest is not None and newest < steps:
        logger.warning(
            f'{workdir}: the list of what the run wrote is of step {newest}, older than its results: have files been '
            'put back? What has changed since cannot be told'
        )
        rows = read_metrics(metrics) if os.path.isfile(metrics) else []
        last = rows[-1]['step'] if rows else 0
        if steps - last >= longest('log_every', before, 1):
            logger.warning(f'{metrics}: the lines after step {last} are lost')
    if trained and before is not None and 'jax' in before and not manifest.exists():  # runs of before 0.3 had none
        logger.warning(f'{workdir}: the list of what the run wrote is gone: whether it is damaged cannot be told')


def say_what_moves(before: dict[str, Any] | None, now: dict[str, Any]) -> None:
    """Warns when a run goes on with other devices or packages than it had: with others its last bits are others."""
    were, are = _made_with(before or {}), _made_with(now)
    moved = [f'{name} {were[name]} -> {are[name]}' for name in are if were.get(name, are[name]) != are[name]]
    if moved:
        logger.warning(f'the run goes on with {", ".join(moved)}: as well as before, but not to the same bits')


def layouts(before: dict[str, Any] | None, now: dict[str, Any], step: int) -> list[dict[str, Any]]:
    """On which devices a run has been trained: one entry each time that they were others, and from which step on.

    Args:
        before: configuration of the call before, None for none; somebody may have edited it.
        now: that of this call.
        step: from which it goes on.
    """
    kept = (before or {}).get('layouts')
    known = [one for one in kept if isinstance(one, dict)] if isinstance(kept, list) else []
    if before is not None and kept is None:  # of before they were kept
        known = [{'from_step': 0, **_layout(before)}]
    known = [one for one in known if isinstance(one.get('from_step'), int) and one['from_step'] < step]
    here = _layout(now)
    if known and {**known[-1], 'from_step': None} == {**here, 'from_step': None}:
        return known
    return [*known, {'from_step': step, **here}]


def _layout(config: dict[str, Any]) -> dict[str, Any]:
    run = config.get('run') or {}
    named = {name: run.get(name) for name in ('num_processes', 'num_devices', 'parallel')}
    return {**named, 'num_processes': named['num_processes'] or 1, 'device_kind': config.get('device_kind')}


def _made_with(config: dict[str, Any]) -> dict[str, Any]:
    """What of a configuration, which somebody may have edited, changes sums in their last bits."""
    run, versions = config.get('run'), config.get('versions')
    names = ('num_devices', 'num_processes')
    made_with = {name: run.get(name) for name in names} if isinstance(run, dict) else {}
    made_with['device_kind'] = config.get('device_kind')
    if isinstance(versions, dict):
        made_with |= {name: versions.get(name) for name in ('jax', 'jaxlib', 'flax', 'optax')}
    return {name: value for name, value in made_with.items() if isinstance(value, int | str)}


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
