"""JSON, written atomically and read as if anything might have happened to it."""

import json
import os
from typing import Any

from wgan_jax.files import atomic_path, open_at_once

_LARGEST = 256 * 2**20  # bytes


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes indented JSON atomically. Raises ValueError for NaN and infinities, which JSON has not."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + '\n', encoding='utf-8')


def read_json(path: str | os.PathLike, shape: Any = None) -> Any:
    """Reads a JSON file that anything may have happened to.

    Args:
        path: of the file.
        shape: what it must hold, see ``check_shape``.

    Raises:
        ValueError: in one line that names the file, when it cannot be read, is not JSON or not of this shape.
    """
    try:
        with open(path, 'rb', opener=open_at_once) as file:
            content = file.read(_LARGEST + 1) or b''
        if len(content) > _LARGEST:
            raise ValueError(f'larger than {_LARGEST >> 20} MiB')
        value = json.loads(content, parse_constant=_no_number)
    except OSError as error:
        raise ValueError(f'{path} cannot be read ({error.strerror})') from None
    except RecursionError:
        raise ValueError(f'{path} is not valid JSON of ours (nested too deeply)') from None
    except ValueError as error:
        raise ValueError(f'{path} is not valid JSON ({error})') from None
    if shape is not None:
        check_shape(value, shape, str(path))
    return value


def _no_number(name: str) -> float:
    raise ValueError(f'it holds {name}')


NUMBER = (int, float)
_WORDS = {
    dict: 'an object', list: 'a list', str: 'a string', int: 'a whole number', NUMBER: 'a number',
    bool: 'true or false', type(None): 'null',
}  # fmt: skip


def check_shape(value: Any, shape: Any, where: str) -> None:
    """Checks what has been read from a file.

    >>> check_shape({'step': 3, 'loss': [0.5]}, {'step': int, 'loss': [NUMBER]}, 'a.json')
    >>> check_shape({'step': '3'}, {'step': int}, 'a.json')
    Traceback (most recent call last):
    ValueError: a.json: step must be a whole number, not "3"

    Args:
        value: to check.
        shape: a type, or ``NUMBER``; {key: shape} for an object that has at least these keys; [shape] for a list.
        where: the file, for the error.

    Raises:
        ValueError: naming the file and the key.
    """
    outer: Any = type(shape) if isinstance(shape, (dict, list)) else shape
    if not isinstance(value, outer) or (isinstance(value, bool) and outer is not bool):
        shown = json.dumps(value)
        raise ValueError(f'{where} must be {_WORDS[outer]}, not {shown if len(shown) < 40 else shown[:40] + "..."}')
    if isinstance(shape, dict):
        for key, inner in shape.items():
            if key not in value:
                raise ValueError(f"{where} has no '{key}'")
            check_shape(value[key], inner, f'{where}: {key}')
    elif isinstance(shape, list):
        for item in value:
            check_shape(item, shape[0], f'{where}, in a list,')
