"""What --help prints: what a launcher is for, and its flags in groups, wrapped to the width of the terminal."""

import contextlib
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from absl import flags

_groups: dict[str, list[str]] = {}  # the names of flags by their heading
_NARROWEST = 60  # columns
_LONGEST = 22  # characters of a name beside which its text begins


@contextlib.contextmanager
def group(heading: str, *others: flags.FlagHolder) -> Iterator[None]:
    """In the block flags are defined that stand under one heading, in the order of their definitions.

    Args:
        heading: one line.
        others: flags that are defined elsewhere and stand after them.
    """
    before = set(flags.FLAGS)
    yield
    _groups[heading] = [name for name in flags.FLAGS if name not in before] + [flag.name for flag in others]


def text(about: str, usage: str, own: Sequence[flags.Flag], defaults: Mapping[str, str]) -> str:
    """All of it; 80 columns wide where the output is no terminal.

    Args:
        about: what the launcher is for, in paragraphs.
        usage: how it is called.
        own: its flags; those of no group stand at the end, in this order.
        defaults: flag -> what is said of its default in place of that.
    """
    width = max(_NARROWEST, shutil.get_terminal_size((80, 24)).columns)
    column = 4 + min(_LONGEST, max(len(flag.name) + 2 for flag in own))
    named = {flag.name: flag for flag in own}
    grouped = {heading: [named.pop(name) for name in names if name in named] for heading, names in _groups.items()}
    if any(grouped.values()) and named:
        grouped['Others'] = [*named.values()]
    elif named:
        grouped = {'Flags': [*named.values()]}
    parts = [textwrap.fill(' '.join(part.split()), width, break_on_hyphens=False) for part in about.split('\n\n')]
    parts.append(f'usage: {usage}')
    for heading, members in grouped.items():
        lines = [_entry(flag, defaults.get(flag.name, _default(flag)), column, width) for flag in members]
        parts += ['\n'.join([f'{heading}:', *lines])] if lines else []
    return '\n\n'.join(parts)


def _default(flag: flags.Flag) -> str:
    return '' if flag.default is None else f'default: {flag.default_as_str.strip(chr(39))}'


def _entry(flag: flags.Flag, default: str, column: int, width: int) -> str:
    """A flag in the left column and what it means in the right one, below it where the name is long."""
    if flag.boolean and default.endswith('true'):
        default += f'; --no{flag.name} for false'
    said = flag.help if flag.help.endswith('...') else flag.help.removesuffix('.')
    words = f'{said} ({default}).' if default else flag.help
    name = f'  --{flag.name}'
    first = f'{name}\n{" " * column}' if len(name) + 2 > column else name.ljust(column)
    lines = textwrap.wrap(' '.join(words.split()), width - column, break_on_hyphens=False)
    return first + f'\n{" " * column}'.join(lines)
