"""Checkpoints of a run: written by Orbax, sealed with a digest, and never trusted without it.

Orbax restores a file with a flipped byte without complaint, and silently casts what has another type. So beside the
arrays lies a SHA-256 digest over the names, types, shapes and bytes of all of them, and over what run they are of; a
checkpoint that does not match its digest is moved aside and the one before it is used.

They are written at once, not in the background: the state has been fetched by then, so that Orbax's threads would only
save the time of the disk, and after a failure they keep a process from ending.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
import threading
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from wgan_jax.files import (
    WriteError,
    begins_with,
    file_digest,
    make_folder,
    move_aside,
    read_json,
    remove_leftovers,
    remove_tree,
    require,
    set_aside,
    write_json,
    writing,
)
from wgan_jax.types import PyTree

logger = logging.getLogger(__name__)

_FILES = 'files.json'  # the list of a checkpoint's files, with their sizes and digests
_PATIENCE = 10.0  # seconds that a thread has to come to its end after another has failed


def flatten(tree: PyTree) -> dict[str, np.ndarray]:
    """A tree as one dictionary from path names such as 'params/critic/score/kernel' to arrays."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator='/'): np.asarray(leaf) for path, leaf in leaves}


def unflatten(target: PyTree, arrays: dict[str, np.ndarray], what: str) -> PyTree:
    """The inverse of ``flatten`` for a known structure.

    Args:
        target: a tree of arrays or ShapeDtypeStructs with the structure wanted.
        arrays: as ``flatten`` gives them; further entries are ignored.
        what: where the arrays come from, for the error.

    Returns:
        A tree like ``target`` of the arrays.

    Raises:
        ValueError: naming the first array that is missing or differs in shape or type.
    """

    def pick(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator='/')
        if name not in arrays:
            raise ValueError(f'{what} has no {name}: it belongs to another network')
        array = arrays[name]
        if array.shape != leaf.shape or array.dtype != leaf.dtype:
            raise ValueError(
                f'{what}: {name} is {array.dtype}{list(array.shape)}, here {leaf.dtype}{list(leaf.shape)} is needed'
            )
        return array

    return jax.tree_util.tree_map_with_path(pick, target)


def digest(arrays: dict[str, np.ndarray], run: Any = None) -> str:
    """SHA-256 over names, types, shapes and bytes, independent of the dictionary's order, and over the run's record."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        total.update(f'{name}:{array.dtype.str}:{array.shape};'.encode())
        total.update(np.ascontiguousarray(array).tobytes())
    if run is not None:
        total.update(json.dumps(run, sort_keys=True).encode())
    return total.hexdigest()


class Checkpoint(NamedTuple):
    """A checkpoint that matches its digest.

    Attributes:
        step: generator updates done.
        arrays: by path names, as of ``flatten``.
        run: what run it is of, as given to ``save``; None where that was not recorded.
    """

    step: int
    arrays: dict[str, np.ndarray]
    run: Any


class Unreadable(ValueError):
    """A checkpoint is kept from this user, which says nothing about its soundness."""


def _check_files(folder: Path) -> None:
    """Raises ValueError when a file of a checkpoint is not as it was written: Orbax is not given what is damaged.

    Where the list is missing, the process ended before it was written, and the digest of the arrays must do.
    """
    if not os.path.lexists(folder / _FILES):
        return
    try:
        for name, (size, digest) in read_json(folder / _FILES, {}).items():
            if os.path.lexists(folder / name) and not os.access(folder / name, os.R_OK):
                raise Unreadable(f'its file {name} cannot be read')
            if not begins_with(folder / name, size, digest):
                raise ValueError(f'its file {name} has changed since it was written')
    except Unreadable as error:
        raise Unreadable(f'{folder}: {error}: is it yours?') from None
    except (ValueError, TypeError) as error:
        raise ValueError(f'{folder}: {error}') from None


class CheckpointStore:
    """The checkpoints of one run, ``<folder>/<step>/``.

    Args:
        folder: made when missing, unless for reading only.
        keep: how many of the newest to keep; None for reading only.
    """

    def __init__(self, folder: str | os.PathLike, keep: int | None = None):
        self._folder = Path(folder).absolute()  # Orbax takes no relative paths
        self._keep = keep
        if os.path.lexists(self._folder) and not self._folder.is_dir():
            raise ValueError(f'{folder} is a file, and checkpoints are kept in a folder of that name: move it away')
        if keep is not None:
            make_folder(self._folder)
            remove_leftovers(self._folder)
            self._remove_unfinished()  # of a process that was killed

    def steps(self) -> list[int]:
        """Steps of all finished checkpoints, ascending; a save that was cut off is not among them."""
        if not self._folder.is_dir():
            return []
        try:
            names = [entry.name for entry in self._folder.iterdir() if entry.name.isdecimal() and entry.is_dir()]
        except OSError as error:
            raise ValueError(f'{self._folder} cannot be read ({error.strerror})') from None
        return sorted(int(name) for name in names if name == str(int(name)))

    def save(self, step: int, tree: PyTree, run: Any = None) -> None:
        """Writes a checkpoint, and removes those that are more than are kept.

        Args:
            step: of which there is no checkpoint.
            tree: arrays.
            run: what run it is of, as JSON has it; sealed with the arrays.

        Raises:
            WriteError: when it cannot be written; those before are whole.
        """
        import orbax.checkpoint as ocp  # takes a second to import

        arrays, place = flatten(tree), self._folder / str(step)
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(arrays),
            seal=ocp.args.JsonSave({'sha256': digest(arrays, run), 'run': run}),
        )
        with writing(place):
            if place.exists():
                set_aside(place, 'it stands where a checkpoint belongs')
            before = set(threading.enumerate())
            try:
                # Threads that wait for folders to be made elsewhere would wait on after a failure for minutes.
                in_turn = ocp.CompositeOptions(async_options=ocp.AsyncOptions(create_directories_asynchronously=False))
                with ocp.Checkpointer(ocp.CompositeCheckpointHandler(composite_options=in_turn)) as writer:
                    writer.save(place, args=items)
            except Exception as error:
                for thread in set(threading.enumerate()) - before:  # Orbax's, that write the other parts
                    thread.join(_PATIENCE)
                self._remove_unfinished()  # which may be what fills the disk
                # What TensorStore raises for a full disk is no OSError.
                raise WriteError(place, error) from error
            files = {path: path.stat().st_size for path in place.rglob('*') if path.is_file()}
            write_json(
                place / _FILES,
                {str(path.relative_to(place)): [size, file_digest(path, size)] for path, size in files.items()},
            )
        self.prune()

    def prune(self) -> None:
        """Removes the oldest checkpoints that are more than are kept. Raises WriteError."""
        for old in self.steps()[: -self._keep] if self._keep is not None else ():
            with writing(self._folder / str(old)):
                remove_tree(self._folder / str(old))

    def _remove_unfinished(self) -> None:
        for path in self._folder.glob('*.orbax-checkpoint-tmp*'):
            shutil.rmtree(path, ignore_errors=True)

    def read(self, step: int) -> Checkpoint:
        """One checkpoint.

        Raises:
            ValueError: when it cannot be read or does not match its digest.
        """
        import orbax.checkpoint as ocp

        folder = self._folder / str(step)
        _check_files(folder)
        try:
            with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
                found = reader.restore(
                    folder,
                    args=ocp.args.Composite(state=ocp.args.StandardRestore(), seal=ocp.args.JsonRestore()),
                )
            arrays = {name: np.asarray(array) for name, array in found['state'].items()}
            seal = found['seal']
            require(seal, {'sha256': str}, f'{folder}: its seal')
            intact = digest(arrays, seal.get('run')) == seal['sha256']
        except MemoryError:
            raise  # says nothing about the checkpoint
        except PermissionError as error:
            raise Unreadable(f'{folder} cannot be read ({error.strerror})') from None
        except Exception as error:  # Orbax raises many kinds for what is missing, cut off or garbled
            if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.EIO):
                raise
            reason = str(error).strip().split('\n')[0][:120]
            raise ValueError(f'{folder} cannot be read ({type(error).__name__}: {reason})') from error
        if not intact:
            raise ValueError(f'{folder} does not match its digest: its bytes have changed since it was written')
        return Checkpoint(step, arrays, seal.get('run'))

    def newest(self) -> tuple[Checkpoint | None, dict[int, str]]:
        """The newest sound checkpoint, None when there are no checkpoints; and why newer ones are not, by their steps.

        Raises:
            ValueError: when there are checkpoints and all are damaged.
        """
        damaged: dict[int, str] = {}
        for step in reversed(self.steps()):
            try:
                return self.read(step), damaged
            except Unreadable:
                raise
            except ValueError as error:
                damaged[step] = str(error)
        if damaged:
            raise ValueError(f'no sound checkpoint is left: {damaged[max(damaged)]}; another folder would begin again')
        return None, damaged

    def set_aside(self, damaged: dict[int, str]) -> None:
        """Moves checkpoints to ``<folder>/../damaged/``, with a warning that says why."""
        for step, why in damaged.items():
            aside = move_aside(self._folder / str(step), self._folder.parent)
            logger.warning(f'damaged checkpoint: {why}; moved to {aside}')

    def choose(self, step: int | None = None) -> Checkpoint:
        """The checkpoint of a step, or the newest sound one; a warning says which damaged ones are passed over.

        Raises:
            ValueError: when there is none, none at that step, or it is damaged.
        """
        if step is None:
            found, damaged = self.newest()
            if found is None:
                raise ValueError(f'{self._folder.parent} has no checkpoint yet: let the run reach its first one')
            for why in damaged.values():
                logger.warning(f'damaged checkpoint: {why}; using step {found.step}')
            return found
        if step not in self.steps():
            raise ValueError(f'{self._folder.parent} has no checkpoint at step {step}; there are: {self.steps()}')
        return self.read(step)
