"""Checkpoints of a run: arrays that Orbax has written, and a list of all their bytes, without which none is trusted.

Orbax restores a file with a flipped byte without complaint, and silently casts what has another type. So a checkpoint
holds a list of its files with their SHA-256 digests and of what run it is, with a digest of its own; it is made aside
and renamed when all of it is there. One that does not match its list is moved aside and the one before it is used.

They are written at once, not in the background: the state has been fetched by then, so that Orbax's threads would only
save the time of the disk, and after a failure they keep a process from ending.
"""

import contextlib
import errno
import functools
import hashlib
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from wgan_jax.data.reading import quiet
from wgan_jax.files import (
    WriteError,
    begins_with,
    file_digest,
    make_folder,
    move_aside,
    open_at_once,
    remove_tree,
    set_aside,
    writing,
)
from wgan_jax.json_files import check_shape, read_json, write_json
from wgan_jax.text import printable, reason
from wgan_jax.types import PyTree

logger = logging.getLogger(__name__)

LIST = 'files.json'
# Ours that are written, those that are removed, and those that Orbax names.
_UNFINISHED = re.compile(r'\d+\.tmp-\d+(\..*)?|\.tmp-\d+\..*|.*\.orbax-checkpoint-tmp(-\d+)?')
_PLAIN = re.compile(r'[A-Za-z0-9_ /.,:+=@~-]*')  # paths that need no link
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


class Checkpoint(NamedTuple):
    """A sound checkpoint.

    Attributes:
        step: generator updates done.
        arrays: by path names, as of ``flatten``.
        run: what run it is of, as given to ``save``; None where that was not recorded.
    """

    step: int
    arrays: dict[str, np.ndarray]
    run: Any


class UnreadableError(ValueError):
    """A checkpoint is kept from this user, which says nothing about its soundness."""


class CheckpointStore:
    """The checkpoints of one run, ``<folder>/<step>/``. Nothing is made or removed before it is written to.

    Args:
        folder: made when missing.
        keep: how many of the newest to keep; None for reading only.

    Raises:
        ValueError: when the folder is none.
    """

    def __init__(self, folder: str | os.PathLike, keep: int | None = None):
        self._folder = Path(folder).absolute()  # Orbax takes no relative paths
        self._keep = keep
        self._spared: int | None = None
        if os.path.lexists(self._folder) and not os.path.isdir(self._folder):
            raise ValueError(f'{folder} is no folder that can be entered, and checkpoints belong there: move it away')
        _place_of_link(self._folder)

    def steps(self) -> list[int]:
        """Steps of all finished checkpoints, ascending; a save that was cut off is not among them."""
        if not os.path.isdir(self._folder):
            return []
        try:
            names = [entry.name for entry in self._folder.iterdir() if entry.name.isdecimal() and os.path.isdir(entry)]
        except OSError as error:
            raise ValueError(f'{self._folder} cannot be read ({reason(error)})') from None
        return sorted(int(name) for name in names if name == str(int(name)))

    def save(self, step: int, tree: PyTree, run: Any = None) -> None:
        """Writes a checkpoint, and removes those that are more than are kept; later ones are no run's, and moved aside.

        Args:
            step: generator updates done.
            tree: arrays.
            run: what run it is of, as JSON has it.

        Raises:
            WriteError: when it cannot be written; those before are whole.
        """
        place = self._folder / str(step)
        aside = place.with_name(f'{step}.tmp-{os.getpid()}')
        with writing(place):
            make_folder(self._folder)
            if os.path.lexists(place):
                set_aside(place, 'it stands where a checkpoint belongs', self._folder.parent)
            try:
                with _for_orbax(self._folder) as folder:
                    _write_arrays(place, folder / aside.name, flatten(tree))
                files = {path: path.stat().st_size for path in sorted(aside.rglob('*')) if os.path.isfile(path)}
                listed = {str(path.relative_to(aside)): [size, file_digest(path, size)] for path, size in files.items()}
                write_json(
                    aside / LIST, {'step': step, 'run': run, 'files': listed, 'sha256': _digest(step, run, listed)}
                )
                os.replace(aside, place)
            except BaseException:
                self._remove_unfinished()  # which may be what fills the disk
                raise
        for later in [other for other in self.steps() if other > step]:
            set_aside(self._folder / str(later), 'its run has not come to that step', self._folder.parent)
        self.prune()

    def spare(self, step: int | None) -> None:
        """From now on keeps the checkpoint of this step, whatever its age, and no other such; None for none."""
        self._spared = step

    def prune(self) -> None:
        """Removes the oldest checkpoints that are more than are kept, and what killed processes have left.

        Raises:
            WriteError: when it cannot.
        """
        self._remove_unfinished()
        old_ones = self.steps()[: -self._keep] if self._keep is not None else []
        for old in (step for step in old_ones if step != self._spared):
            with writing(self._folder / str(old)):
                remove_tree(self._folder / str(old))

    def _remove_unfinished(self) -> None:
        for name in os.listdir(self._folder) if os.path.isdir(self._folder) else ():
            if _UNFINISHED.fullmatch(name):
                shutil.rmtree(self._folder / name, ignore_errors=True)

    def read(self, step: int) -> Checkpoint:
        """One checkpoint.

        Raises:
            UnreadableError: when this user may not read it.
            ValueError: when it is not as it was written.
            OSError, MemoryError: when the machine fails.
        """
        import orbax.checkpoint as ocp  # takes a second to import

        folder = self._folder / str(step)
        _hush_closed_loops()
        try:
            seal = _checked_list(folder)
            items = {'state': ocp.args.StandardRestore()} | ({} if seal else {'seal': ocp.args.JsonRestore()})
            with (
                quiet('absl'),
                _orbax(ocp.CompositeOptions(multiprocessing_options=_by_itself())) as reader,
                _for_orbax(self._folder) as parent,
            ):
                found = reader.restore(parent / folder.name, args=ocp.args.Composite(**items))
            arrays = {name: np.asarray(array) for name, array in found['state'].items()}
            if seal is None:
                check_shape(found['seal'], {'sha256': str}, 'its seal')
                if digest_of_arrays(arrays) != found['seal']['sha256']:
                    raise ValueError('its bytes have changed since it was written')
        except MemoryError:
            raise
        except PermissionError as error:
            raise UnreadableError(f'{folder} cannot be read ({reason(error)}): is it yours?') from None
        except Exception as error:  # Orbax raises many kinds for what is missing, cut off or garbled
            if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.EIO):
                raise
            raise ValueError(f'{folder} cannot be read ({reason(error)})') from error
        return Checkpoint(step, arrays, seal and seal['run'])

    def newest(self) -> tuple[Checkpoint | None, dict[int, str]]:
        """The newest sound checkpoint, None when there are no checkpoints; and why newer ones are not, by their steps.

        Raises:
            ValueError: when there are checkpoints and all are damaged, or this user may not read them.
            OSError, MemoryError: when the machine fails.
        """
        damaged: dict[int, str] = {}
        for step in reversed(self.steps()):
            try:
                return self.read(step), damaged
            except UnreadableError:
                raise
            except ValueError as error:
                if not os.path.isdir(self._folder / str(step)):  # its run has removed it meanwhile, and has a newer one
                    return self.newest()
                damaged[step] = str(error)
        if damaged:
            raise ValueError(
                f'no sound checkpoint is left: {damaged[max(damaged)]}; training would begin again in another folder'
            )
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


@functools.cache
def _hush_closed_loops() -> None:
    """From now on nothing is printed of what TensorStore still has to tell an event loop that a failure has closed."""
    say = sys.unraisablehook

    def unless_closed(unraisable: Any) -> None:
        if 'Event loop is closed' not in str(unraisable.exc_value):
            say(unraisable)

    sys.unraisablehook = unless_closed


def _place_of_link(folder: Path) -> str | None:
    """Where a link to a folder is made, whose own path Orbax cannot use; None if it can.

    Raises:
        ValueError: when there is no such place.
    """
    if _PLAIN.fullmatch(str(folder)):
        return None
    with contextlib.suppress(OSError):  # no folder for temporary files at all
        for place in (tempfile.gettempdir(), '/tmp', '/var/tmp', os.path.expanduser('~')):
            if _PLAIN.fullmatch(place) and os.access(place, os.W_OK | os.X_OK):
                return place
    raise ValueError(
        f'{printable(folder, 300)} has characters in its path that Orbax cannot take, and there is no folder for a '
        'link to it: choose another folder, or name one for temporary files in TMPDIR'
    )


@contextlib.contextmanager
def _for_orbax(folder: Path) -> Iterator[Path]:
    """A path to a folder that Orbax can use: it takes brackets for patterns, and backslashes and what is not UTF-8 not.

    With brackets it writes, without an error, what cannot be read again.
    """
    if (linked_from := _place_of_link(folder)) is None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix='wgan_jax-', dir=linked_from) as place:
        link = Path(place) / 'checkpoints'
        link.symlink_to(folder)
        yield link


def _by_itself() -> Any:
    """Orbax's options for a process that is alone with its files, though there may be others in its run."""
    import orbax.checkpoint as ocp

    me = jax.process_index()
    return ocp.options.MultiprocessingOptions(primary_host=me, active_processes={me}, barrier_sync_key_prefix=f'{me}')


def _orbax(options: Any) -> Any:
    import orbax.checkpoint as ocp

    handler = ocp.CompositeCheckpointHandler(composite_options=options)
    return ocp.Checkpointer(handler, multiprocessing_options=options.multiprocessing_options)


def _write_arrays(place: Path, folder: Path, arrays: dict[str, np.ndarray]) -> None:
    """Lets Orbax write arrays into a folder. Raises WriteError, naming the place that they are for."""
    import orbax.checkpoint as ocp

    # Threads that wait for folders to be made elsewhere would wait on after a failure for minutes.
    in_turn = ocp.AsyncOptions(create_directories_asynchronously=False)
    options = ocp.CompositeOptions(async_options=in_turn, multiprocessing_options=_by_itself())
    before = set(threading.enumerate())
    _hush_closed_loops()
    try:
        # Orbax logs whole tracebacks of what it raises.
        with quiet('absl'), _orbax(options) as writer:
            writer.save(folder, args=ocp.args.Composite(state=ocp.args.StandardSave(arrays)))
    except Exception as error:
        for thread in set(threading.enumerate()) - before:  # Orbax's, that write the other parts
            thread.join(_PATIENCE)
        if (number := re.search(r"os_error_code='(\d+)'", str(error))) is not None:  # TensorStore's are no OSError
            raise WriteError(place, OSError(int(number[1]), os.strerror(int(number[1])))) from error
        raise
    if not os.path.isfile(folder / 'state' / 'manifest.ocdbt'):  # without which nothing of it can be found again
        raise WriteError(place, 'Orbax has not put its parts together')


def _checked_list(folder: Path) -> dict[str, Any] | None:
    """The list of a checkpoint all of whose files are as they were written; None for one of version 0.2, without.

    Orbax is not given what is damaged: it may take long over it, or much memory.

    Raises:
        ValueError, PermissionError: naming the first file that is not.
    """
    if not os.path.lexists(folder / LIST) and os.path.isdir(folder / 'seal'):
        return None
    _check_access(folder / LIST)
    listed = read_json(folder / LIST, {'step': int, 'files': dict, 'sha256': str})
    if _digest(listed['step'], listed.get('run'), listed['files']) != listed['sha256']:
        raise ValueError(f'{LIST} has changed since it was written')
    if str(listed['step']) != folder.name:
        raise ValueError(f'it was made at step {listed["step"]}')
    for name, (size, digest) in listed['files'].items():
        _check_access(folder / name)
        if not begins_with(folder / name, size, digest) or os.path.getsize(folder / name) != size:
            raise ValueError(f'its file {name} has changed since it was written')
    return {'run': listed.get('run')}


def _check_access(path: Path) -> None:
    """Raises PermissionError for what this user may not read, which could be taken for damage."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), open(path, 'rb', opener=open_at_once):
        pass


def _digest(*values: Any) -> str:
    """SHA-256 of what JSON has of some values, independent of the order of keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def digest_of(tree: PyTree) -> str:
    """SHA-256, in hex, of all arrays of a tree and their names."""
    return digest_of_arrays(flatten(tree))


def digest_of_arrays(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256, in hex, over names, types, shapes and bytes; version 0.2 sealed its checkpoints with it."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        total.update(f'{name}:{array.dtype.str}:{array.shape};'.encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()
