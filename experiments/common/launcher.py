"""What every launcher shares: flags, exit statuses, the folder for results, the record of what ran.

Exit statuses: 0 done (and --help), 2 input that cannot be used, 1 a run that failed.
"""

import contextlib
import logging
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from absl import flags
from absl import logging as absl_logging

from wgan_jax.environment import environment as environment  # part of every config.json
from wgan_jax.files import read_json
from wgan_jax.training.folder import locked

WORKDIR = flags.DEFINE_string('workdir', None, 'Folder for all results, made when missing (default under runs/).')
SEED = flags.DEFINE_integer(
    'seed', 0, 'Seed of every random draw, 0 <= seed < 2**32.', lower_bound=0, upper_bound=2**32 - 1
)


_PACKAGE = __name__.partition('.')[0]


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
    """The value of --seed."""
    return SEED.value


def seeds(num: int) -> range:
    """``num`` seeds from --seed on. Raises ValueError when they do not fit into 32 bits."""
    if SEED.value + num > 2**32:
        raise ValueError(f'seed={SEED.value} leaves no room for {num} seeds below 2**32')
    return range(SEED.value, SEED.value + num)


class Choices(flags.ListParser):
    """Names separated by commas, of those that there are, each once."""

    def __init__(self, known: Iterable[str]):
        super().__init__()
        self.syntactic_help = ''  # what is refused says it all
        self._known = list(known)

    def parse(self, argument: str | list[str]) -> list[str]:
        names = super().parse(argument)
        for name in names:
            if name not in self._known:
                raise ValueError(f'{name} is unknown; there are: {", ".join(self._known)}')
        if not names or len(set(names)) < len(names):
            raise ValueError(f'name some, each once; there are: {", ".join(self._known)}')
        return names


def define_choices(name: str, default: Iterable[str] | None, known: Iterable[str], text: str) -> flags.FlagHolder:
    """A flag that takes some of the names ``known``, separated by commas; its help is ``text`` with the names."""
    known = list(known)
    default = None if default is None else list(default)
    return flags.DEFINE(
        Choices(known), name, default, f'{text}: {", ".join(known)}.', serializer=flags.ListSerializer(',')
    )


def numbers(flag: flags.FlagHolder) -> list[float]:
    """The finite numbers in a list flag, at least one. Raises ValueError for anything else."""
    try:
        values = [float(text) for text in flag.value]
    except ValueError:
        values = []
    if not values or not all(map(math.isfinite, values)):
        raise ValueError(f'{flag.name}={",".join(flag.value)} must be finite numbers separated by commas')
    return values


def values_of(*chosen: flags.FlagHolder) -> dict[str, Any]:
    """The values of flags and the seed by name, for config.json."""
    return {flag.name: flag.value for flag in (*chosen, SEED)}


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


def command() -> str:
    """What a launcher is started with: the script of a clone, or the command of an installed package."""
    return './launch.sh' if _PACKAGE == 'experiments' else 'wgan-jax'


def run(main: Callable[[], int | None]) -> None:
    """Parses flags, calls ``main`` and exits with the right status.

    Args:
        main: returns an exit status, None meaning 0.
    """
    module = sys.modules['__main__']
    file = Path(module.__file__)
    name = file.parent.name if file.stem == '__main__' else file.stem
    absl_logging.set_verbosity(absl_logging.ERROR)  # what Orbax and TFDS have to say, the library says better
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(f'{name}: warning: %(message)s'))
    logging.getLogger('wgan_jax').addHandler(handler)
    logging.getLogger('wgan_jax').propagate = False
    if any(arg in ('-h', '-help', '--help', '--helpshort', '-?') for arg in sys.argv[1:]):
        print(f'{module.__doc__.strip()}\n\nusage: {command()} {name} [--flag=value ...]\n')
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
    text = ' '.join(str(error).split())
    if isinstance(error, flags.IllegalFlagValueError) and (flag := re.match(r'flag --(\w+)=', text)):
        wanted = flags.FLAGS[flag[1]].parser.syntactic_help
        if wanted and wanted not in text:
            text += f': it takes {wanted}'
    return text


def _flags_text() -> str:
    lines = []
    modules = flags.FLAGS.flags_by_module_dict()  # absl's and JAX's own flags are nobody's business here
    ours = [flag for name, group in modules.items() for flag in group if name.startswith(f'{_PACKAGE}.')]
    ours += modules.get(sys.argv[0], [])
    for flag in sorted(ours, key=lambda flag: flag.name):
        default = '' if flag.default is None else f' (default: {flag.default_as_str.strip(chr(39))})'
        lines.append(f'  --{flag.name}: {flag.help}{default}')
    return '\n'.join(lines)
