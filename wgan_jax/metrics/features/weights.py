"""Weights of published networks: read from a local ``.safetensors`` file, checked, named by where they come from."""

import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from wgan_jax.files import atomic_path, file_digest, open_at_once
from wgan_jax.text import printable, reason

_SOURCE, _TENSORS = 'source_sha256', 'tensors_sha256'  # in the header


class Published(NamedTuple):
    """A file of weights that was published.

    Attributes:
        url: where it is.
        sha256: of the file, or as many of the first hex digits as are known.
    """

    url: str
    sha256: str


def read_weights(
    path: str | os.PathLike,
    shapes: Mapping[str, tuple[int, ...]],
    published: Published,
    *,
    ignored: Callable[[str], bool] = lambda name: False,
) -> tuple[dict[str, np.ndarray], str]:
    """Arrays by the names of the reference, and what to add to the network's name.

    Args:
        path: of a ``.safetensors`` file that ``convert`` wrote, or anybody else.
        shapes: what must be in it.
        published: the weights with which the network has its plain name.
        ignored: names that may be there, or not.

    Returns:
        (weights, suffix): float32 arrays; '' for the published weights, by the word of ``convert``, else
        '(weights 1a2b3c4d)', the first digits of the digest of the tensors.

    Raises:
        ValueError: in one line that names the first thing that differs: a missing or further name, a shape, a type, a
            number that is not finite, or the digest in the header.
    """
    shown = printable(path, 200)
    if os.fspath(path).endswith(('.pth', '.pt')):
        raise ValueError(f'{shown} is a file of PyTorch: convert it first, as FEATURES.md says')
    tensors, header = read_safetensors(path)
    weights = check_tensors({name: x for name, x in tensors.items() if not ignored(name)}, shapes, shown)
    digest = tensors_digest(tensors)
    if header.get(_TENSORS, digest) != digest:
        raise ValueError(f'{shown}: the tensors are not those that were converted: the file is damaged')
    source = header.get(_SOURCE, '')
    known = _TENSORS in header and len(source) == 64 and source.startswith(published.sha256)
    return weights, '' if known else f'(weights {digest[:8]})'


def check_tensors(
    tensors: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], shown: str
) -> dict[str, np.ndarray]:
    """The tensors as float32, if they are finite and of these names and shapes; ValueError for the first that is not.

    Args:
        tensors: by name.
        shapes: by name.
        shown: the file, for the error.
    """
    if missing := sorted(shapes.keys() - tensors.keys()):
        raise ValueError(f"{shown} has no tensor '{missing[0]}' ({len(missing)} of {len(shapes)} are missing)")
    if further := sorted(tensors.keys() - shapes.keys()):
        raise ValueError(f"{shown} has a tensor '{printable(further[0], 80)}' that the network has not")
    for name, shape in shapes.items():
        if tensors[name].shape != tuple(shape):
            raise ValueError(f"{shown}: '{name}' must be {tuple(shape)}, not {tensors[name].shape}")
        if not np.issubdtype(tensors[name].dtype, np.floating):
            raise ValueError(f"{shown}: '{name}' must be of floats, not {tensors[name].dtype}")
        if not np.isfinite(tensors[name]).all():
            raise ValueError(f"{shown}: '{name}' is not finite everywhere: the file is damaged")
    return {name: tensors[name].astype(np.float32) for name in shapes}


def read_safetensors(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """All tensors of a file, and its header's texts. Raises ValueError for a file that cannot be read as one."""
    shown = printable(path, 200)
    try:
        open(path, 'rb', opener=open_at_once).close()  # a pipe would never answer
        with safetensors.safe_open(path, 'numpy') as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except OSError as error:
        raise ValueError(f'{shown} cannot be read ({reason(error)})') from None
    except (safetensors.SafetensorError, TypeError, AttributeError, KeyError, ValueError) as error:
        raise ValueError(f'{shown} is no whole safetensors file ({reason(error)})') from None


def write_safetensors(path: str | os.PathLike, tensors: Mapping[str, np.ndarray], header: Mapping[str, str]) -> None:
    """Writes a file atomically."""
    content = safetensors.numpy.save({name: np.ascontiguousarray(x) for name, x in tensors.items()}, dict(header))
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def tensors_digest(tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256, in hex, of names, types, shapes and bytes in the order of the names: no matter how a file holds them."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        total.update(repr((name, array.dtype.str, array.shape)).encode())
        total.update(array.data)
    return total.hexdigest()


def convert(source: str | os.PathLike, path: str | os.PathLike) -> None:
    """Makes a ``.safetensors`` file of a published ``.pth``; the only thing here that needs PyTorch.

    The header gets the SHA-256 of the source, by which ``read_weights`` knows published weights, and the digest of the
    tensors. Nothing that the file contains is run (``weights_only=True``).

    Args:
        source: a state dict as ``torch.save`` writes it.
        path: of the file to write.

    Raises:
        ValueError: where PyTorch is not installed, or the file is no state dict.
    """
    try:
        import torch
    except ImportError as error:
        raise ValueError(
            f'converting a .pth takes PyTorch, which is not installed ({error}): pip install torch'
        ) from None
    shown = printable(source, 200)
    try:
        digest = file_digest(source, os.path.getsize(source))
        state = torch.load(source, map_location='cpu', weights_only=True)
    except OSError as error:
        raise ValueError(f'{shown} cannot be read ({reason(error)})') from None
    except Exception as error:  # a damaged file raises all kinds
        raise ValueError(f'{shown} is no state dict of PyTorch ({reason(error)})') from None
    if not isinstance(state, dict) or not all(isinstance(x, torch.Tensor) for x in state.values()):
        raise ValueError(f'{shown} is no state dict of PyTorch, names and tensors')
    tensors = {name: _as_array(x) for name, x in state.items()}
    write_safetensors(path, tensors, {_SOURCE: digest, _TENSORS: tensors_digest(tensors)})


def _as_array(tensor: Any) -> np.ndarray:
    return tensor.detach().float().numpy() if tensor.is_floating_point() else tensor.numpy()
