"""Checkpoints of a run: written by Orbax, sealed with a digest, and never trusted without it.

Orbax restores a file with a flipped byte without complaint, and silently casts what has another type. So beside the
arrays lies a SHA-256 digest over the names, types, shapes and bytes of all of them; a checkpoint that does not match
its digest is moved aside and the one before it is used.
"""

import errno
import hashlib
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wgan_jax.types import PyTree

logger = logging.getLogger(__name__)


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


def digest(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and bytes, independent of the dictionary's order."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        total.update(f'{name}:{array.dtype.str}:{array.shape};'.encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


class CheckpointStore:
    """The checkpoints of one run, ``<folder>/<step>/``.

    Args:
        folder: made when missing.
        keep: how many of the newest to keep; None for reading only.
        warn: called with one line when a damaged checkpoint is passed over.
    """

    def __init__(
        self, folder: str | os.PathLike, keep: int | None = None, warn: Callable[[str], None] = logger.warning
    ):
        import orbax.checkpoint as ocp  # takes a second to import

        self._ocp = ocp
        self._folder = Path(folder).absolute()  # Orbax takes no relative paths
        self._warn = warn
        self._read_only = keep is None
        self._manager: Any = None  # Orbax's, of a store that is not read only
        if keep is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._open(keep)

    def _open(self, keep: int) -> None:
        self._keep = keep
        options = self._ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        self._manager = self._ocp.CheckpointManager(self._folder, options=options)

    def steps(self) -> list[int]:
        """Steps of all finished checkpoints, ascending; a save that was cut off is not among them."""
        if not self._folder.is_dir():
            return []
        return sorted(int(entry.name) for entry in self._folder.iterdir() if entry.name.isdecimal() and entry.is_dir())

    def save(self, step: int, tree: PyTree) -> None:
        """Starts writing a checkpoint; it is complete when ``wait`` returns.

        Args:
            step: newer than every checkpoint there is.
            tree: arrays that will not change, NumPy ones for example.
        """
        arrays = flatten(tree)
        args = self._ocp.args.Composite(
            state=self._ocp.args.StandardSave(arrays), seal=self._ocp.args.JsonSave({'sha256': digest(arrays)})
        )
        if not self._manager.save(step, args=args):
            raise RuntimeError(f'{self._folder} already holds a checkpoint at or past step {step}')

    def wait(self) -> None:
        """Returns when every checkpoint is wholly on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits for what is being written, and lets go."""
        if self._manager is not None:
            self._manager.close()

    def read(self, step: int) -> dict[str, np.ndarray]:
        """The arrays of one checkpoint.

        Raises:
            ValueError: when it cannot be read or does not match its digest.
        """
        folder = self._folder / str(step)
        try:
            with self._ocp.Checkpointer(self._ocp.CompositeCheckpointHandler()) as reader:
                found = reader.restore(
                    folder,
                    args=self._ocp.args.Composite(
                        state=self._ocp.args.StandardRestore(), seal=self._ocp.args.JsonRestore()
                    ),
                )
            arrays = {name: np.asarray(array) for name, array in found['state'].items()}
            sealed = found['seal']['sha256']
        except (MemoryError, PermissionError):
            raise  # says nothing about the checkpoint
        except Exception as error:  # Orbax raises many kinds for what is missing, cut off or garbled
            if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.EIO):
                raise
            reason = str(error).strip().split('\n')[0][:120]
            raise ValueError(f'{folder} cannot be read ({type(error).__name__}: {reason})') from error
        if digest(arrays) != sealed:
            raise ValueError(f'{folder} does not match its digest: its bytes have changed since it was written')
        return arrays

    def read_newest(self) -> tuple[int, dict[str, np.ndarray]] | None:
        """The newest sound checkpoint, as (step, arrays); None when there are no checkpoints.

        Damaged ones on the way are named in a warning and, unless reading only, moved to
        ``<folder>/../damaged/<step>``.

        Raises:
            ValueError: when there are checkpoints and all are damaged; nothing is moved then.
        """
        damaged = {}
        for step in reversed(self.steps()):
            try:
                arrays = self.read(step)
            except ValueError as error:
                damaged[step] = error
                continue
            for bad, why in damaged.items():
                self._warn(f'damaged checkpoint: {why}; {self._set_aside(bad)}using step {step}')
            return step, arrays
        if damaged:
            raise ValueError(f'no sound checkpoint is left: {damaged[max(damaged)]}; another folder would begin again')
        return None

    def choose(self, step: int | None = None) -> tuple[int, dict[str, np.ndarray]]:
        """The checkpoint of a step, or the newest sound one, as (step, arrays).

        Raises:
            ValueError: when there is none, none at that step, or it is damaged.
        """
        if step is None:
            found = self.read_newest()
            if found is None:
                raise ValueError(f'{self._folder.parent} has no checkpoint yet: let the run reach its first one')
            return found
        if step not in self.steps():
            raise ValueError(f'{self._folder.parent} has no checkpoint at step {step}; there are: {self.steps()}')
        return step, self.read(step)

    def _set_aside(self, step: int) -> str:
        if self._read_only:
            return ''
        aside = self._folder.parent / 'damaged' / str(step)
        aside.parent.mkdir(exist_ok=True)
        if aside.exists():
            shutil.rmtree(aside)
        self._manager.close()
        shutil.move(self._folder / str(step), aside)
        self._open(self._keep)  # the manager remembers the steps it found when it was opened
        return f'moved to {aside}, '
