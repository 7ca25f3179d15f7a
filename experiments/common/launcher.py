"""What every launcher shares: flags, exit statuses, the environment JAX starts in, the record of what ran.

Import this before JAX. Exit statuses: 0 done (and --help), 2 input that cannot be used, 1 a run that failed.
"""

import contextlib
import importlib.metadata
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _prepare_environment() -> None:
    """Sets what JAX reads once, when it is imported."""
    jaxlib = importlib.metadata.version('jaxlib')
    os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(ROOT / '.jax_cache' / f'jaxlib-{jaxlib}'))
    os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.5')
    if any(arg.lstrip('-').startswith('devices') for arg in sys.argv[1:]):
        # With fewer threads than virtual devices, collective operations wait for each other for ever.
        os.environ.setdefault('NPROC', '16')


_prepare_environment()

from absl import flags  # noqa: E402
from absl import logging as absl_logging  # noqa: E402

from wgan_jax.environment import environment  # noqa: E402, F401
from wgan_jax.files import read_json  # noqa: E402
from wgan_jax.training.folder import locked  # noqa: E402

WORKDIR = flags.DEFINE_string('workdir', None, 'Folder for all results, made when missing (default under runs/).')
SEED = flags.DEFINE_integer('seed', 0, 'Seed of every random draw, 0 <= seed < 2**32.')


class UsageError(Exception):
    """Input that cannot be used; its text is the one line the user sees."""


@contextlib.contextmanager
def usage_errors() -> Iterator[None]:
    """Turns ValueError inside the block, where flags and files are read, into exit status 2 with its text."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error


def seed() -> int:
    """The value of --seed. Raises ValueError when it does not fit into 32 bits."""
    if not 0 <= SEED.value < 2**32:
        raise ValueError(f'seed={SEED.value} must lie in [0, 2**32)')
    return SEED.value


@contextlib.contextmanager
def results_folder(name: str) -> Iterator[Path]:
    """Holds the folder for a launcher's results, ``runs/<name>`` unless --workdir says otherwise.

    Raises:
        ValueError: when it cannot be made, is in use, or holds what another launcher wrote.
    """
    with locked(WORKDIR.value or f'runs/{name}') as workdir:
        config = workdir / 'config.json'
        owner = read_json(config).get('launcher') if config.exists() else name
        if owner != name:
            raise ValueError(f'workdir {workdir} holds the results of {owner}: choose another folder')
        yield workdir


def run(main: Callable[[], int | None]) -> None:
    """Parses flags, calls ``main`` and exits with the right status.

    Args:
        main: returns an exit status, None meaning 0.
    """
    module = sys.modules['__main__']
    name = Path(module.__file__).stem
    absl_logging.set_verbosity(absl_logging.ERROR)  # what Orbax and TFDS have to say, the library says better
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(f'{name}: warning: %(message)s'))
    logging.getLogger('wgan_jax').addHandler(handler)
    logging.getLogger('wgan_jax').propagate = False
    if any(arg in ('-h', '-help', '--help', '--helpshort', '-?') for arg in sys.argv[1:]):
        print(f'{module.__doc__.strip()}\n\nusage: ./launch.sh {name} [--flag=value ...]\n')
        print(_flags_text())
        sys.exit(0)
    try:
        extra = flags.FLAGS(sys.argv)[1:]
        if extra:
            raise UsageError(f'{extra[0]!r} is not a flag; flags look like --name=value')
        status = main()
    except (flags.Error, UsageError) as error:
        print(f'{name}: {_one_line(error)}', file=sys.stderr)
        status = 2
    except RuntimeError as error:
        if 'Unable to initialize backend' not in str(error):
            raise
        print(f'{name}: {_one_line(error)}: set WGAN_JAX_BACKEND=cpu to do without it', file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print(f'{name}: interrupted', file=sys.stderr)
        status = 130
    sys.exit(status or 0)


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split())


def _flags_text() -> str:
    lines = []
    modules = flags.FLAGS.flags_by_module_dict()  # absl's and JAX's own flags are nobody's business here
    ours = [flag for name, group in modules.items() for flag in group if name.startswith('experiments.')]
    ours += modules.get(sys.argv[0], [])
    for flag in sorted(ours, key=lambda flag: flag.name):
        default = '' if flag.default is None else f' (default: {flag.default_as_str.strip(chr(39))})'
        lines.append(f'  --{flag.name}: {flag.help}{default}')
    return '\n'.join(lines)
