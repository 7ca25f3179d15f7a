"""The parts of a GAN that settings name or hold: one from a registry by its name, or a value of one's own."""

import functools
import hashlib
import inspect
import re
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn

from wgan_jax.constraints import CONSTRAINTS, Constraint
from wgan_jax.data.augmentation import AUGMENTATIONS, Augmentation, augmentation, canonical
from wgan_jax.networks import ARCHITECTURES, Architecture
from wgan_jax.objectives import OBJECTIVES, Objective
from wgan_jax.types import Players


class Kind(NamedTuple):
    """A setting that names or holds a part.

    Attributes:
        registry: the parts by name.
        types: of which a value of one's own is.
        canonical: where names are put together, the one way to write them; raises ValueError for what is no name.
        make: where names are put together, the part of a name.
    """

    registry: Mapping[str, Any]
    types: tuple[type, ...]
    canonical: Callable[[str], str] | None = None
    make: Callable[[str], Any] | None = None


KINDS: dict[str, Kind] = {
    'arch': Kind(ARCHITECTURES, (Architecture, Players)),
    'objective': Kind(OBJECTIVES, (Objective,)),
    'constraint': Kind(CONSTRAINTS, (Constraint,)),
    'augment': Kind(AUGMENTATIONS, (Augmentation,), canonical, augmentation),
}

_RECORD = re.compile(r'(.+) of .+ \(sha256 ([0-9a-f]{12})\)')


def name_part(kind: str, value: Any) -> Any:
    """A registered part by its name, whichever way it was given; anything else as it is."""
    registry, wanted, canonical, _ = KINDS[kind]
    if isinstance(value, wanted):
        return next((name for name, part in registry.items() if part == value), value)
    if canonical is not None and isinstance(value, str) and not _RECORD.fullmatch(value):
        return canonical(value)
    return value


def find_part(kind: str, value: Any) -> Any:
    """The part that a setting names or holds.

    Args:
        kind: a setting's name, a key of ``KINDS``.
        value: what the setting is.

    Returns:
        The registry's part of that name, or the value itself.

    Raises:
        ValueError: for an unknown name, with the known ones; for the record of somebody's own part; for a value of a
            type that does not fit.
    """
    registry, wanted, _, make = KINDS[kind]
    if isinstance(value, wanted):
        return value
    if not isinstance(value, str):
        names = ' or '.join(t.__name__ for t in wanted)
        raise ValueError(f'{kind} must be a name or {names}, not {type(value).__name__}')
    if value in registry:
        return registry[value]
    if _RECORD.fullmatch(value):
        raise ValueError(f"{kind}={value} is no part of the package: give it again, as {kind}'s value")
    if make is not None:
        return make(value)
    raise ValueError(f'{kind}={value} is unknown; there are: {", ".join(registry)}')


def record_part(value: Any) -> str:
    """What a run's ``config.json`` says of a part: its registered name, or 'NAME of FILE (sha256 DIGEST)'.

    The digest is over the source text of the user's functions and Linen modules that the part is made of, and over the
    constants, arrays and attributes that they hold; so a part that has been edited since differs from the one that a
    run was begun with. Functions, classes and constants that they use by a global name belong to it; the package's own
    code does not.

    Raises:
        ValueError: for a part that holds what cannot be recorded, such as an open file.
    """
    if isinstance(value, str):
        return value
    pieces = list(_pieces(value, set()))
    digest = hashlib.sha256('\n'.join(_source(piece) for piece in pieces).encode()).hexdigest()
    code = [piece for piece in pieces if not isinstance(piece, str)]
    names = dict.fromkeys(piece.__qualname__.rpartition('<locals>.')[2] for piece in code)
    files = dict.fromkeys(_file(piece) for piece in code)
    return f'{"+".join(names) or type(value).__name__} of {"+".join(files) or "wgan_jax"} (sha256 {digest[:12]})'


def same_part(before: Any, now: Any) -> bool:
    """Whether two records are of one part; the name of a file, which a notebook changes at will, does not count."""
    if before == now:
        return True
    found = [_RECORD.fullmatch(value) if isinstance(value, str) else None for value in (before, now)]
    return all(found) and len({match.group(1, 2) for match in found if match}) == 1


def _pieces(value: Any, seen: set[int]) -> Iterator[Any]:
    """What a part is made of: the user's functions and classes as they are, everything else as text."""
    if isinstance(value, (str, bytes, int, float, complex, type(None), np.generic)):
        yield repr(value)
    elif isinstance(value, (np.ndarray, jax.Array)):
        array = np.asarray(value)
        yield f'{array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}'
    elif id(value) in seen:
        return
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _pieces(item, seen)
    elif isinstance(value, (Mapping, set, frozenset)):
        yield from _pieces(sorted(value.items() if isinstance(value, Mapping) else value, key=repr), seen)
    elif isinstance(value, np.dtype):
        yield str(value)
    elif isinstance(value, functools.partial):
        yield from _pieces((value.func, value.args, value.keywords), seen)
    elif inspect.ismethod(value):
        yield from _pieces((value.__func__, value.__self__), seen)
    elif isinstance(value, type):
        seen.add(id(value))
        yield value if _is_own(value) else f'{value.__module__}.{value.__qualname__}'
        if _is_own(value):
            yield from _pieces(value.__bases__, seen)
            methods = [item for item in vars(value).values() if inspect.isfunction(item)]
            for method in methods:
                if method.__module__ == value.__module__:
                    yield from _used(getattr(method, '__wrapped__', method), seen)
    elif hasattr(value, '__wrapped__'):
        yield from _pieces(value.__wrapped__, seen)
    elif inspect.isfunction(value):
        seen.add(id(value))
        yield value if _is_own(value) else f'{value.__module__}.{value.__qualname__}'
        if _is_own(value) or (value.__module__ or '').startswith('wgan_jax.'):
            for cell in value.__closure__ or ():
                yield from _pieces(_contents(cell), seen)
            yield from _pieces((value.__defaults__, value.__kwdefaults__), seen)
        if _is_own(value):
            yield from _used(value, seen)
    elif hasattr(value, '__qualname__') or inspect.ismodule(value):  # of C
        yield getattr(value, '__qualname__', value.__name__)
    elif hasattr(value, '__dict__'):
        seen.add(id(value))
        hidden = ('parent', 'name', '_state', '_id') if isinstance(value, nn.Module) else ()
        yield from _pieces((type(value), {k: v for k, v in vars(value).items() if k not in hidden}), seen)
    else:
        raise ValueError(f'a part holds {value!r}, which cannot be recorded: pass functions, numbers and arrays')


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return None


def _used(function: Any, seen: set[int]) -> Iterator[Any]:
    """The pieces that a function uses by global names: what is the user's, and plain constants."""
    names, codes = set(), [function.__code__]
    for code in codes:
        names |= set(code.co_names)
        codes += [item for item in code.co_consts if isinstance(item, types.CodeType)]
    for name in sorted(names & function.__globals__.keys()):
        value = function.__globals__[name]
        own = (inspect.isfunction(value) or isinstance(value, type)) and _is_own(value)
        if own or isinstance(value, (str, int, float, complex, tuple, np.generic, np.ndarray, jax.Array)):
            yield name
            yield from _pieces(value, seen)


def _is_own(piece: Any) -> bool:
    """Whether it is the user's, and not of the package or of an installed one."""
    if (piece.__module__ or '').partition('.')[0] in ('wgan_jax', 'builtins'):
        return False
    try:
        return 'site-packages' not in inspect.getfile(piece)
    except (OSError, TypeError):
        return True


def _source(piece: Any) -> str:
    if isinstance(piece, str):
        return piece
    try:
        if _file(piece) in ('<string>', '<stdin>'):  # of exec: what is found under that name may be another's
            raise OSError
        return inspect.getsource(piece)
    except (OSError, TypeError):  # of no file: the compiled code
        methods = [v for v in vars(piece).values() if inspect.isfunction(v)] if isinstance(piece, type) else [piece]
        return '\n'.join([piece.__qualname__, *(_compiled(method.__code__) for method in methods)])


def _compiled(code: types.CodeType) -> str:
    inner = [_compiled(item) if isinstance(item, types.CodeType) else repr(item) for item in code.co_consts]
    return f'{code.co_code.hex()} {code.co_names} {inner}'


def _file(piece: Any) -> str:
    try:
        return Path(inspect.getfile(piece)).name
    except (OSError, TypeError):
        return '?'
