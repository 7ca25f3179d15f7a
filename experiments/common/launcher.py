"""What every launcher shares: flags, exit statuses, the folder for results, the record of what ran.

Exit statuses: 0 done (and --help), 2 input that cannot be used, 1 a run that failed, 128 + n ended by signal n.
"""

import contextlib
import errno
import functools
import json
import logging
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, TextIO

from absl import flags
from absl import logging as absl_logging

from wgan_jax.environment import environment, numerics
from wgan_jax.files import WriteError, discard, matching, remove_leftovers
from wgan_jax.json_files import read_json, write_json
from wgan_jax.ranges import SEED
from wgan_jax.text import listed, printable, reason
from wgan_jax.training.folder import locked
from wgan_jax.training.signals import Interrupted

from . import flag_help, written
from .elsewhere import is_flag
from .flagtypes import define_number, define_text, named, repeated

WORKDIR = define_text('workdir', None, 'Folder for all results, made when missing (default under runs/).')
SEED_FLAG = define_number('seed', 0, 'Seed of every random draw, 0 <= seed < 2**32.', SEED)


logger = logging.getLogger('wgan_jax.launcher')

_PACKAGE = __name__.partition('.')[0]
_OF_THE_MACHINE = {errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOSPC, errno.ENOMEM, errno.EDQUOT, errno.EROFS}
_LONGEST_NAME = 100  # characters


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
    return SEED_FLAG.value


def seeds(num: int) -> range:
    """``num`` seeds from --seed on. Raises ValueError when they do not fit into 32 bits."""
    if SEED_FLAG.value + num > 2**32:
        raise ValueError(f'seed={SEED_FLAG.value} leaves no room for {num} seeds below 2**32')
    return range(SEED_FLAG.value, SEED_FLAG.value + num)


def values_of(*chosen: flags.FlagHolder) -> dict[str, Any]:
    """The values of flags and the seed by name, for config.json."""
    return {flag.name: flag.value for flag in (*chosen, SEED_FLAG)}


@contextlib.contextmanager
def results_folder(name: str, folder: Path | None = None) -> Iterator[Path]:
    """Holds the folder for a launcher's results: ``folder``, else --workdir, else ``runs/<name>``.

    Raises:
        ValueError: when it cannot be made, is in use, or holds what another launcher wrote.
    """
    with locked(folder or WORKDIR.value or f'runs/{name}') as workdir:
        config = workdir / 'config.json'
        owner = _read_config(config)['launcher'] if os.path.lexists(config) else name
        if owner != name:
            raise ValueError(f'workdir {workdir} holds the results of {owner}: choose another folder')
        yield workdir


@functools.cache
def warn_of_repeated_flags() -> None:
    """Says of each flag that was given with several values which one counts; once."""
    for name in repeated(sys.argv[1:], [flag.name for flag in _own_flags()]):
        logger.warning(f'--{name} was given several times; the last counts, {flags.FLAGS[name].value}')


def begin(workdir: Path, outputs: Iterable[str], aside: Path | None = None, **config: Any) -> dict[str, Any]:
    """Writes ``config.json``, before anything else is written.

    Where the folder holds results of another configuration, those go first, with a warning: nothing stands beside a
    ``config.json`` that does not belong to it. A file that is not as the call before has left it is moved aside.

    Args:
        workdir: held by ``results_folder``.
        outputs: what the launcher writes besides ``results.json``, as glob patterns.
        aside: the folder in whose ``damaged/`` a file is then; ``workdir`` by default.
        config: 'launcher', and whatever decides the numbers; where they are made is added.

    Returns:
        What was written.

    Raises:
        UsageError: for a folder with files of these names and no ``config.json``, which may be anybody's.
    """
    warn_of_repeated_flags()
    remove_leftovers(workdir)
    record = workdir / 'config.json'
    whole = json.loads(json.dumps({**config, **environment()}))
    before = _read_config(record) if os.path.exists(record) else {}
    _require_ours(workdir, outputs := ('results.json', *outputs), before)
    deciding = [*config, *(name for name in numerics() if name in before)]  # which older ones do not record
    if [before.get(name) for name in deciding] != [whole[name] for name in deciding]:
        written.begin(workdir, outputs, aside or workdir)
        if old := _there(workdir, outputs):
            logger.warning(f'{workdir}: results of another configuration are removed: {_names(workdir, old)}')
        for path in old:
            discard(path)
    else:
        written.begin(workdir, outputs, aside or workdir)
    write_json(record, whole)
    return whole


def require_ours(workdir: Path, outputs: Iterable[str]) -> None:
    """What ``begin`` refuses, refused before any work is done whose results replace those that are there.

    Args:
        workdir, outputs: as of ``begin``.

    Raises:
        UsageError: for a folder with files of these names and no ``config.json``.
    """
    warn_of_repeated_flags()
    _require_ours(workdir, ('results.json', *outputs), os.path.exists(workdir / 'config.json'))


def _require_ours(workdir: Path, outputs: tuple[str, ...], known: Any) -> None:
    if not known and (old := _there(workdir, outputs)):
        raise UsageError(
            f'workdir {workdir} has no config.json, and files that would be replaced ({_names(workdir, old)}): '
            'choose another folder, or move them'
        )


def _there(workdir: Path, outputs: tuple[str, ...]) -> list[Path]:
    return [path for pattern in outputs for path in matching(workdir, pattern) if os.path.lexists(path)]


def _names(workdir: Path, paths: Iterable[Path]) -> str:
    return listed([path.relative_to(workdir) for path in paths])


def _read_config(path: Path) -> dict[str, Any]:
    """A ``config.json`` that some launcher wrote. Raises ValueError, with what would do, for one that is damaged."""
    try:
        return read_json(path, {'launcher': str})
    except ValueError as error:
        raise ValueError(f'{error}: choose another folder, or move it away') from None


def write_results(workdir: Path, results: dict[str, Any]) -> None:
    """Writes ``results.json``, the last of all files."""
    write_json(workdir / 'results.json', plain(results))
    written.finish(workdir)


def plain(value: Any) -> Any:
    """What JSON has of numbers, arrays, and lists and dictionaries of them.

    >>> plain({'a': [1.5, float('-inf')], 'b': float('nan')})
    {'a': [1.5, '-inf'], 'b': None}
    """
    if isinstance(value, dict):
        return {name: plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if hasattr(value, 'tolist'):  # arrays of NumPy and JAX, and their scalars
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def command() -> str:
    """What a launcher is started with: the script of a clone, or the command of an installed package."""
    return './launch.sh' if _PACKAGE == 'experiments' else 'wgan-jax'


class _Output:
    """A stream to the terminal whose failure does not end the work, which is in files.

    Attributes:
        error: the first failure; nothing is written after it.
    """

    def __init__(self, stream: TextIO | None):
        self._stream = open(os.devnull, 'w') if stream is None else stream  # None: it was closed by the caller
        self._stream.reconfigure(errors='backslashreplace')  # names that are not UTF-8, terminals that are not
        self.error = None

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, action: Callable[[], Any]) -> None:
        if self.error is None:
            try:
                action()
            except OSError as error:
                self.error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def run(
    main: Callable[[], int | None], defaults: Callable[[Mapping[str, str]], Mapping[str, str]] = lambda given: {}
) -> None:
    """Parses flags, calls ``main`` and exits with the right status.

    Args:
        main: returns an exit status, None meaning 0.
        defaults: what --help says of the defaults of flags that have none of their own, given the flags beside it.
    """
    sys.stdout, sys.stderr = _Output(sys.stdout), _Output(sys.stderr)
    module = sys.modules['__main__']
    file = Path(module.__file__)
    name = file.parent.name if file.stem == '__main__' else file.stem
    absl_logging.set_verbosity(absl_logging.FATAL)  # what Orbax and TFDS have to say, the library says better
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter(name))
    logging.getLogger('wgan_jax').addHandler(handler)
    logging.getLogger('wgan_jax').propagate = False
    warnings.showwarning = _show_warning
    if any(arg in ('-h', '-help', '--help', '--helpshort', '-?') for arg in sys.argv[1:]):
        given = {name: argument.partition('=')[2] for argument, name in named(sys.argv[1:])}
        usage = f'{command()} {name} [--flag=value ...]'
        print(flag_help.text((module.__doc__ or name).strip(), usage, _own_flags(), defaults(given)))
        _leave(name, 0)
    status = 1
    try:
        _refuse_other_flags(sys.argv[1:])
        extra = flags.FLAGS(sys.argv)[1:]
        if extra:
            raise UsageError(f'{extra[0]!r} is not a flag; flags look like --name=value')
        status = main() or 0
    except (flags.Error, UsageError) as error:
        print(f'{name}: {_one_line(error)}', file=sys.stderr)
        status = 2
    except MemoryError as error:
        print(f'{name}: stopped: out of memory ({_one_line(error) or "no more is given"})', file=sys.stderr)
    except WriteError as error:
        whole = 'What was written before is whole: mend it and run the same command again'
        print(f'{name}: stopped: {_one_line(error)}. {whole}', file=sys.stderr)
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE and error.filename is None:
            raise
        place = '' if error.filename is None else f'{printable(error.filename, 300)}: '
        print(f'{name}: stopped: {place}{reason(error)}', file=sys.stderr)
    except RuntimeError as error:
        if 'Unable to initialize backend' in str(error) or 'Unknown backend' in str(error):
            what = re.sub(r' ?\.? ?\(set JAX_PLATFORMS=.*?\)', '', _one_line(error))
            print(f'{name}: {what}: set WGAN_JAX_BACKEND=cpu to do without it', file=sys.stderr)
            status = 2
        elif 'RESOURCE_EXHAUSTED' in str(error) or 'Out of memory' in str(error):
            print(f'{name}: stopped: out of memory: {_one_line(error)}', file=sys.stderr)
        else:
            raise
    except Interrupted as error:  # of a run within
        print(f'{name}: {error}; the same command continues', file=sys.stderr)
        status = 128 + error.signal
    except KeyboardInterrupt:
        print(f'{name}: interrupted', file=sys.stderr)
        status = 130
    _leave(name, status)


def _leave(name: str, status: int) -> NoReturn:
    """Ends the process at once, whatever threads there are, and says so where the last words were lost."""
    sys.stdout.flush()
    lost = sys.stdout.error
    if lost is not None and not isinstance(lost, BrokenPipeError):  # whoever closes a pipe has read enough
        print(f'{name}: cannot write to the standard output: {lost.strerror}', file=sys.stderr)
        status = status or 1
    sys.stderr.flush()
    os._exit(status)


def _show_warning(message: Warning | str, *_: Any) -> None:
    text = ' '.join(str(message).split())
    if text.startswith('Error reading persistent compilation cache'):
        cache, why = os.environ.get('JAX_COMPILATION_CACHE_DIR', ''), text.rpartition(': ')[2]
        text = f'a program that JAX has kept cannot be read ({why}) and is compiled anew; it lies in {cache}'
    logger.warning(text)


class _Formatter(logging.Formatter):
    """'NAME: warning: text', in one line."""

    def __init__(self, name: str):
        super().__init__()
        self._name = name

    def format(self, record: logging.LogRecord) -> str:
        return f'{self._name}: warning: {printable(record.getMessage())}'


def _one_line(error: BaseException) -> str:
    text = printable(' '.join(str(error).split()), 600)
    if ours := re.fullmatch(r'flag --(\w+=.*): it (.*)', text):  # see flagtypes
        return f'{ours[1]} {ours[2]}'
    if switch := re.fullmatch(r'flag --(\w+=.*): .*Non-boolean argument.*', text):  # absl's
        return f'{switch[1]} must be true or false'
    if isinstance(error, flags.IllegalFlagValueError) and (flag := re.match(r'flag --(\w+)=', text)):
        wanted = flags.FLAGS[flag[1]].parser.syntactic_help
        if wanted and wanted not in text:
            text += f': it takes {wanted}'
    return text


def _own_flags() -> list[flags.Flag]:
    """Those of this package and of the launcher, as they were defined, those of every launcher last.

    absl's and JAX's own are nobody's business here.
    """
    modules = flags.FLAGS.flags_by_module_dict()
    modules = {name: group for name, group in modules.items() if name.startswith(f'{_PACKAGE}.') or name == sys.argv[0]}
    ours = {flag.name: name for name, group in modules.items() for flag in group}
    names = sorted((name for name in flags.FLAGS if name in ours), key=lambda name: ours[name] == __name__)
    return [flags.FLAGS[name] for name in names]


def _refuse_other_flags(arguments: Iterable[str]) -> None:
    """Raises UsageError for a flag of absl's own, and for a name too long for absl to look for similar ones.

    Among absl's are one that reads flags from a file, which may be endless, and one that lets misspelled flags pass.
    """
    others = {*flags.FLAGS, 'flagfile', 'undefok'} - {flag.name for flag in _own_flags()}
    for argument, name in named(arguments):
        if is_flag(argument) and name not in flags.FLAGS:
            raise UsageError(f'--{name} says where to run: it stands before the name of the launcher')
        if len(name) > _LONGEST_NAME or {name, name.removeprefix('no')} & others:
            raise UsageError(f'{argument!r} is not a flag of this launcher; --help lists them')
