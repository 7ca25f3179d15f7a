"""Launchers: one folder or file a question. Each parses flags, calls the library, and writes figures and results.json.

What JAX and matplotlib read from the environment when they are imported is set here: this runs before any launcher.
"""

import importlib.metadata
import os
import sys
from pathlib import Path

from .common.interrupts import end_at_signals

_CLONE = Path(__file__).resolve().parent.parent


def _prepare_environment() -> None:
    jaxlib = importlib.metadata.version('jaxlib')
    for cache in ([_CLONE / '.jax_cache'] if (_CLONE / 'launch.sh').exists() else []) + [_user_cache() / 'wgan_jax']:
        if _can_be_written(cache):
            os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(cache / f'jaxlib-{jaxlib}'))
    os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.5')
    os.environ['MPLBACKEND'] = 'Agg'  # figures are written, never shown
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


def _can_be_written(folder: Path) -> bool:
    """Whether there is such a folder to write into, or it can be made."""
    return os.access(next(path for path in (folder, *folder.parents) if os.path.exists(path)), os.W_OK | os.X_OK)


_hold_standard_streams()
_prepare_environment()
if sys.argv[0] == '-m' and '-m' in sys.orig_argv:  # about to be run, so that its imports can be interrupted already
    end_at_signals(sys.orig_argv[sys.orig_argv.index('-m') + 1].rpartition('.')[2])
