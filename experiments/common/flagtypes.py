"""Flags: each is declared once, with its type and what it may be, and refuses everything else in one line.

What a parser says begins with 'it' where the whole value is meant: the launcher puts name=value in its place.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from absl import flags

from wgan_jax.ranges import Range

MOST = 1000  # numbers in a list, if nothing else is said
_LONGEST = 4096  # characters of a text

flags.disclaim_key_flags()  # a flag belongs to the module that asks for it


def _read(allowed: Range, text: str) -> Any:
    """The number that a text is, as it is typed: Python takes digits of every script and line breaks, too."""
    if not (text.isascii() and text.isprintable()):
        raise ValueError
    return allowed.type(text)


class Number(flags.ArgumentParser):
    """One number of a range."""

    syntactic_help = ''  # what is refused says it all

    def __init__(self, allowed: Range):
        super().__init__()
        self.allowed = allowed

    def parse(self, argument: Any) -> Any:
        value = argument
        if isinstance(argument, str):
            try:
                value = _read(self.allowed, argument)
            except ValueError:
                raise ValueError(f'it must be {self.allowed.kind}') from None
        if (complaint := self.allowed.complaint(value)) is not None:
            raise ValueError(f'it {complaint}')
        return self.allowed.type(value)

    def flag_type(self) -> str:
        return self.allowed.type.__name__


class Numbers(flags.ArgumentParser):
    """Numbers of a range, separated by commas."""

    syntactic_help = ''

    def __init__(self, allowed: Range, least: int, most: int, distinct: bool):
        super().__init__()
        self.allowed, self.least, self.most, self.distinct = allowed, least, most, distinct

    def parse(self, argument: Any) -> list[Any]:
        values = []
        for part in argument.split(',') if isinstance(argument, str) else argument:
            try:
                value = _read(self.allowed, part) if isinstance(part, str) else part
            except ValueError:
                raise ValueError(f'it must be {self.allowed.kind.removeprefix("a ")}s separated by commas') from None
            if (complaint := self.allowed.complaint(value)) is not None:
                raise ValueError(f'{part.strip() if isinstance(part, str) else part} {complaint}')
            values.append(self.allowed.type(value))
        if not self.least <= len(values) <= self.most:
            wanted = str(self.least) if self.least == self.most else f'{self.least} to {self.most}'
            raise ValueError(f'it must be {wanted} numbers separated by commas, and there are {len(values)}')
        if self.distinct and len(set(values)) < len(values):
            raise ValueError('each number may stand there once')
        return values

    def flag_type(self) -> str:
        return f'list of {self.allowed.type.__name__}'


class OneOrMore(Number):
    """One number of a range; or several, separated by commas, each once, as a list."""

    def parse(self, argument: Any) -> Any:
        if isinstance(argument, list) or (isinstance(argument, str) and ',' in argument):
            return Numbers(self.allowed, 2, MOST, distinct=True).parse(argument)
        return super().parse(argument)


class Text(flags.ArgumentParser):
    """A name or a path: not empty, of characters that can be shown."""

    syntactic_help = ''

    def parse(self, argument: Any) -> str:
        if not argument:
            raise ValueError('it is empty: is a variable unset?')
        if len(argument) > _LONGEST:
            raise ValueError(f'it has {len(argument)} characters, and {_LONGEST} are the most')
        if not argument.isprintable():
            raise ValueError('it holds control characters, or bytes that are not UTF-8')
        return argument

    def flag_type(self) -> str:
        return 'text'


class Choices(flags.ListParser):
    """Names separated by commas, of those that there are, each once."""

    def __init__(self, known: Iterable[str]):
        super().__init__()
        self.syntactic_help = ''
        self.known = list(known)

    def parse(self, argument: str | list[str]) -> list[str]:
        names = super().parse(argument)
        for name in names:
            if name not in self.known:
                raise ValueError(f'{name} is unknown; there are: {", ".join(self.known)}')
        if not names or len(set(names)) < len(names):
            raise ValueError(f'name some, each once; there are: {", ".join(self.known)}')
        return names


def define_number(name: str, default: float | None, text: str, allowed: Range) -> flags.FlagHolder:
    """A flag that takes one number of a range."""
    return flags.DEFINE(Number(allowed), name, default, text, serializer=flags.ArgumentSerializer())


def define_one_or_more(name: str, default: float | None, text: str, allowed: Range) -> flags.FlagHolder:
    """A flag that takes one number of a range, or a list of them."""
    return flags.DEFINE(OneOrMore(allowed), name, default, text, serializer=flags.ArgumentSerializer())


def define_numbers(
    name: str,
    default: Iterable[float] | None,
    text: str,
    allowed: Range,
    *,
    least: int = 1,
    most: int = MOST,
    distinct: bool = False,
) -> flags.FlagHolder:
    """A flag that takes numbers of a range, ``least`` to ``most`` of them, separated by commas."""
    return flags.DEFINE(
        Numbers(allowed, least, most, distinct), name, None if default is None else list(default), text,
        serializer=flags.ListSerializer(','),
    )  # fmt: skip


def by_size(name: str, text: str, sizes: Mapping[str, Mapping[str, Any]]) -> str:
    """The help of a flag whose default goes with --size.

    >>> by_size('width', 'Units', {'quick': {'width': 8}, 'full': {'width': 1024}})
    'Units (default: 8 with quick, 1,024 with full).'
    """
    return f'{text} (default: {", ".join(f"{values[name]:,} with {size}" for size, values in sizes.items())}).'


def define_text(name: str, default: str | None, text: str) -> flags.FlagHolder:
    """A flag that takes a name or a path."""
    return flags.DEFINE(Text(), name, default, text, serializer=flags.ArgumentSerializer())


def define_choice(name: str, default: str | None, known: Iterable[str], text: str) -> flags.FlagHolder:
    """A flag that takes one of the names ``known``, all of which stand in its help, ``text``."""
    return flags.DEFINE(flags.EnumParser(list(known)), name, default, text, serializer=flags.ArgumentSerializer())


def define_choices(name: str, default: Iterable[str] | None, known: Iterable[str], text: str) -> flags.FlagHolder:
    """A flag that takes some of the names ``known``, separated by commas; its help is ``text`` with the names."""
    known = list(known)
    default = None if default is None else list(default)
    return flags.DEFINE(
        Choices(known), name, default, f'{text}: {", ".join(known)}.', serializer=flags.ListSerializer(',')
    )


def named(arguments: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The arguments that look like flags, each with the name it gives: ('--seed=1', 'seed'). '--' ends them."""
    for argument in itertools.takewhile(lambda argument: argument != '--', arguments):
        if argument.startswith('-'):
            yield argument, argument.lstrip('-').partition('=')[0]


def repeated(arguments: Iterable[str], known: Iterable[str]) -> list[str]:
    """The flags that stand more than once on a command line with different values: of those, the last counts."""
    known, seen = set(known), {}
    for argument, name in named(arguments):
        name = name if name in known else name.removeprefix('no')
        if name in known:
            seen.setdefault(name, set()).add(argument)
    return [name for name, given in seen.items() if len(given) > 1]
