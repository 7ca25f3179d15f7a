"""Components named on the command line with their options: consensus(gamma=0.5),heavy_ball(beta=-0.3)."""

import ast
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


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
        nodes = ast.parse(f'[{text}]', mode='eval').body.elts
        calls = [_read(node) for node in nodes]
    except (SyntaxError, ValueError, AttributeError):
        raise ValueError(
            f'{flag}={text} cannot be read: write name or name(option=value), separated by commas'
        ) from None
    if not calls:
        raise ValueError(f'{flag}= names nothing; there are: {", ".join(registry)}')
    for call in calls:
        if call.name not in registry:
            raise ValueError(f'{flag}={call.name} is unknown; there are: {", ".join(registry)}')
        known = _options(registry[call.name])
        for option in call.options:
            if option not in known:
                there_are = f'there are: {", ".join(known)}' if known else 'it has none'
                raise ValueError(f'{flag}={call.text}: {option} is not an option of {call.name}; {there_are}')
    return calls


def _read(node: ast.expr) -> Call:
    if isinstance(node, ast.Name):
        return Call(node.id, {}, node.id)
    if not isinstance(node, ast.Call) or node.args:
        raise ValueError
    options = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
    return Call(node.func.id, options, ast.unparse(node).replace(' ', ''))


def _options(function: Callable) -> list[str]:
    """Names of the keyword arguments that are plain values."""
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.default is not p.empty and not callable(p.default)]
