"""Launchers: one folder or file a question. Each parses flags, calls the library, and writes figures and results.json.

What JAX and matplotlib read from the environment when they are imported is set here: this runs before any launcher.
"""

import importlib
import importlib.metadata
import os
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from .common.interrupts import end_at_signals

_CLONE = Path(__file__).resolve().parent.parent


def _prepare_environment() -> None:
    jaxlib = importlib.metadata.version('jaxlib')
    of_clone = [_CLONE / '.jax_cache'] if os.path.exists(_CLONE / 'launch.sh') else []
    caches = [cache for cache in (*of_clone, _user_cache() / 'wgan_jax') if _can_be_written(cache)]
    if caches:
        os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(caches[0] / f'jaxlib-{jaxlib}'))
    os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.5')
    os.environ['MPLBACKEND'] = 'Agg'  # figures are written, never shown
    if not _can_be_written(Path(os.path.expanduser('~/.config/matplotlib'))):  # where it would keep its list of fonts
        os.environ.setdefault('MPLCONFIGDIR', str((caches[0] if caches else _temporary_files()) / 'matplotlib'))
    if any(arg.lstrip('-').startswith('devices') for arg in sys.argv[1:]):
        # With fewer threads than virtual devices, collective operations wait for each other for ever.
        os.environ.setdefault('NPROC', '16')


def _hold_standard_streams() -> None:
    """Where the caller closed one, a file of ours would get its number, and what is said would be written into it."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def _user_cache() -> Path:
    return Path(os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'))


def _temporary_files() -> Path:
    try:
        return Path(tempfile.gettempdir()) / f'wgan_jax-{os.getuid()}'
    except FileNotFoundError:
        _refuse('no folder for temporary files can be written, and Matplotlib needs one: name one in MPLCONFIGDIR')


def _refuse(text: str) -> NoReturn:
    print(f'{_name()}: {text}', file=sys.stderr, flush=True)
    os._exit(2)


def _name() -> str:
    """Of the launcher that is about to be run as a module; empty where none is."""
    given = sys.orig_argv
    name = given[given.index('-m') + 1].rpartition('.')[2] if sys.argv[0] == '-m' and '-m' in given else ''
    return '' if name == 'experiments' else name


def _import_jax() -> None:
    """What variables of the environment make impossible is said in one line."""
    try:
        importlib.import_module('tqdm')
        importlib.import_module('jax')
    except (ValueError, TypeError, RuntimeError) as error:
        _refuse(f'JAX or tqdm cannot be imported, which may be due to a variable of the environment: {error}')


def _can_be_written(folder: Path) -> bool:
    """Whether there is such a folder to write into, or it can be made."""
    return os.access(next(path for path in (folder, *folder.parents) if os.path.exists(path)), os.W_OK | os.X_OK)


_hold_standard_streams()
_prepare_environment()
if _name():  # about to be run, so that its imports can be interrupted already
    end_at_signals(_name())
    _import_jax()
