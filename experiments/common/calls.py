"""Components named on the command line with their options: consensus(gamma=0.5),heavy_ball(beta=-0.3)."""

import ast
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from wgan_jax.text import printable

LONGEST = 2000  # characters
LARGEST = 1e6  # of an option


class Call(NamedTuple):
    """A component's name with options, as it was written.

    Attributes:
        name: of a registry's entry.
        options: keyword arguments.
        text: name(option=value), for titles and files.
    """

    name: str
    options: dict[str, Any]
    text: str


def parse_calls(flag: str, text: str, registry: Mapping[str, Callable]) -> list[Call]:
    """The comma-separated calls in a flag's value.

    Args:
        flag: its name, for errors.
        text: its value.
        registry: what may be named; the options of an entry are its keyword arguments.

    Returns:
        A list of Call, at least one.

    Raises:
        ValueError: for what cannot be read, an unknown name or an unknown option, with those that there are.
    """
    try:
        if len(text) > LONGEST:
            raise ValueError
        nodes = ast.parse(f'[{text}]', mode='eval').body.elts
        calls = [_read(node) for node in nodes]
    except (SyntaxError, ValueError, AttributeError, RecursionError, MemoryError):
        shown = printable(text, 100)
        raise ValueError(
            f'{flag}={shown} cannot be read: write name or name(option=value), separated by commas'
        ) from None
    if not calls:
        raise ValueError(f'{flag}= names nothing; there are: {", ".join(registry)}')
    for call in calls:
        if call.name not in registry:
            raise ValueError(f'{flag}={call.name} is unknown; there are: {", ".join(registry)}')
        known = _options(registry[call.name])
        for option, value in call.options.items():
            if option not in known:
                there_are = f'there are: {", ".join(known)}' if known else 'it has none'
                raise ValueError(f'{flag}={call.text}: {option} is not an option of {call.name}; {there_are}')
            _check(f'{flag}={call.text}: {option}', value, known[option])
    texts = [call.text for call in calls]
    if len(set(texts)) < len(texts):
        raise ValueError(f'{flag}={text}: name each once')
    return calls


def _check(what: str, value: Any, default: Any) -> None:
    """Raises ValueError unless a value is of the kind of its option's default."""
    if isinstance(default, bool):
        right, wanted = isinstance(value, bool), 'True or False'
    elif isinstance(default, str):
        right, wanted = isinstance(value, str), 'a string in quotes'
    else:
        real = default is None or isinstance(default, float)  # None: a number that need not be given
        right = isinstance(value, (int, float) if real else int) and not isinstance(value, bool)
        right = value is default is None or (right and abs(value) <= LARGEST)
        wanted = f'a {"" if real else "whole "}number of at most {LARGEST:g}'
    if not right:
        raise ValueError(f'{what}={printable(value, 40)} must be {wanted}')


def _read(node: ast.expr) -> Call:
    if isinstance(node, ast.Name):
        return Call(node.id, {}, node.id)
    if not isinstance(node, ast.Call) or node.args:
        raise ValueError
    options = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
    if len(options) < len(node.keywords):
        raise ValueError
    return Call(node.func.id, options, ast.unparse(node).replace(' ', ''))


def _options(function: Callable) -> dict[str, Any]:
    """The keyword arguments that are plain values, with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty and not callable(p.default)}
