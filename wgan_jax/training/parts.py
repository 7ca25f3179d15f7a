"""The parts of a GAN that settings name or hold: one from a registry by its name, or a value of one's own."""

import functools
import hashlib
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from flax import linen as nn

from wgan_jax.constraints import CONSTRAINTS, Constraint
from wgan_jax.data.augmentation import AUGMENTATIONS, Augmentation
from wgan_jax.networks import ARCHITECTURES, Architecture
from wgan_jax.objectives import OBJECTIVES, Objective
from wgan_jax.types import Players


class Kind(NamedTuple):
    """A setting that names or holds a part.

    Attributes:
        registry: the parts by name.
        types: of which a value of one's own is.
    """

    registry: Mapping[str, Any]
    types: tuple[type, ...]


KINDS: dict[str, Kind] = {
    'arch': Kind(ARCHITECTURES, (Architecture, Players)),
    'objective': Kind(OBJECTIVES, (Objective,)),
    'constraint': Kind(CONSTRAINTS, (Constraint,)),
    'augment': Kind(AUGMENTATIONS, (Augmentation,)),
}

_RECORD = re.compile(r'.+ of .+ \(sha256 [0-9a-f]{12}\)')


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
    registry, types = KINDS[kind]
    if isinstance(value, types):
        return value
    if not isinstance(value, str):
        names = ' or '.join(t.__name__ for t in types)
        raise ValueError(f'{kind}={value!r} must be a name or {names}, not {type(value).__name__}')
    if value in registry:
        return registry[value]
    if _RECORD.fullmatch(value):
        raise ValueError(f"{kind}={value} is no part of the package: give it again, as {kind}'s value")
    raise ValueError(f'{kind}={value} is unknown; there are: {", ".join(registry)}')


def record_part(value: Any) -> str:
    """What a run's ``config.json`` says of a part: its registered name, or 'NAME of FILE (sha256 DIGEST)'.

    The digest is over the source text of the functions and modules that the part is made of and the constants in
    them, so that a part that has been edited since differs from the one that a run was begun with.
    """
    if isinstance(value, str):
        return value
    pieces = list(_pieces(value, set()))
    digest = hashlib.sha256('\n'.join(_source(piece) for piece in pieces).encode()).hexdigest()
    code = [piece for piece in pieces if not isinstance(piece, str)]
    code = [piece for piece in code if not piece.__module__.startswith('wgan_jax.')] or code  # the user's own
    names = dict.fromkeys(piece.__qualname__.rpartition('<locals>.')[2] for piece in code)
    files = dict.fromkeys(_file(piece) for piece in code)
    return f'{"+".join(names)} of {"+".join(files)} (sha256 {digest[:12]})'


def _pieces(value: Any, seen: set[int]) -> Iterator[Any]:
    """What a part is made of: functions and classes of Linen modules as they are, constants as text."""
    if isinstance(value, (str, int, float, complex, bool, type(None))):
        yield repr(value)
    elif id(value) in seen:
        return
    elif isinstance(value, nn.Module):
        yield type(value)
        for name in type(value).__dataclass_fields__:
            if name not in ('parent', 'name'):
                yield from _pieces(getattr(value, name), seen)
    elif isinstance(value, functools.partial):
        yield from _pieces((value.func, value.args, sorted(value.keywords.items())), seen)
    elif hasattr(value, '__wrapped__'):
        yield from _pieces(value.__wrapped__, seen)
    elif inspect.isfunction(value):
        seen.add(id(value))
        yield value
        for cell in value.__closure__ or ():
            yield from _pieces(cell.cell_contents, seen)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _pieces(item, seen)


def _source(piece: Any) -> str:
    if isinstance(piece, str):
        return piece
    try:
        return inspect.getsource(piece)
    except (OSError, TypeError):  # typed at a prompt
        return piece.__qualname__


def _file(piece: Any) -> str:
    try:
        return Path(inspect.getfile(piece)).name
    except (OSError, TypeError):
        return '?'
