"""Launchers: one folder or file a question. Each parses flags, calls the library, and writes figures and results.json.

What JAX and matplotlib read from the environment when they are imported is set here: this runs before any launcher.
"""

import importlib
import importlib.metadata
import os
import re
import sys
import tempfile
from pathlib import Path

from .common.interrupts import end_at_signals

_CLONE = Path(__file__).resolve().parent.parent


def _prepare_environment() -> None:
    jaxlib = importlib.metadata.version('jaxlib')
    of_clone = [_CLONE / '.jax_cache'] if os.path.exists(_CLONE / 'launch.sh') else []
    caches = [cache for cache in (*of_clone, _user_cache() / 'wgan_jax') if _can_be_written(cache)]
    if caches:
        os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(caches[0] / f'jaxlib-{jaxlib}'))
        os.environ.setdefault('WGAN_JAX_CACHE_DIR', str(caches[0] / 'images'))
    os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.5')
    os.environ['MPLBACKEND'] = 'Agg'  # figures are written, never shown
    fonts = _user_cache() if sys.platform != 'darwin' else Path(os.path.expanduser('~'))
    if not _can_be_written(fonts):  # where Matplotlib keeps its list of them
        os.environ.setdefault('MPLCONFIGDIR', str(caches[0] / 'matplotlib') if caches else _temporary_folder())
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


def _temporary_folder() -> str:
    """One of this user's own; empty where none can be made, which Matplotlib will say."""
    try:
        folder = Path(tempfile.gettempdir()) / f'wgan_jax-{os.getuid()}'
        folder.mkdir(mode=0o700, exist_ok=True)
        return str(folder) if folder.stat().st_uid == os.getuid() else tempfile.mkdtemp()
    except OSError:
        return ''


def _can_be_written(folder: Path) -> bool:
    """Whether there is such a folder to write into, or it can be made."""
    return os.access(next(path for path in (folder, *folder.parents) if os.path.exists(path)), os.W_OK | os.X_OK)


# Values that can be worked with, of variables that are read only when all is computed, or let nothing be.
_VARIABLES = {
    'SOURCE_DATE_EPOCH': r'\d+',  # Matplotlib's
    'JAX_NUMPY_DTYPE_PROMOTION': 'standard',
    **dict.fromkeys(
        ('JAX_TRANSFER_GUARD', 'JAX_TRANSFER_GUARD_HOST_TO_DEVICE', 'JAX_TRANSFER_GUARD_DEVICE_TO_HOST'),
        'allow|log|log_explicit',
    ),
}


def begin(name: str) -> None:
    """What comes before a launcher is run: its imports can be interrupted already.

    What variables of the environment make impossible ends the process with status 2 and one line.
    """
    end_at_signals(name)
    from wgan_jax.text import printable

    for variable, takes in _VARIABLES.items():
        if (value := os.environ.get(variable)) is not None and not re.fullmatch(takes, value):
            print(
                f'{name}: cannot begin: {variable}={printable(value)} cannot be worked with: unset it', file=sys.stderr
            )
            os._exit(2)
    try:
        if os.environ.get('MPLCONFIGDIR') == '':
            raise ValueError('no folder can be written for the list of fonts of Matplotlib: name one in MPLCONFIGDIR')
        importlib.import_module('tqdm')
        importlib.import_module('jax')
    except (ValueError, TypeError, RuntimeError) as error:
        why = f'{printable(error)} (this may be due to a variable of the environment)'
        print(f'{name}: cannot begin: {why}', file=sys.stderr, flush=True)
        os._exit(2)


_hold_standard_streams()
_prepare_environment()
if sys.argv[0] == '-m' and '-m' in sys.orig_argv:
    _module = sys.orig_argv[sys.orig_argv.index('-m') + 1]
    if '.' in _module:  # a launcher, about to be run
        begin(_module.rpartition('.')[2])
