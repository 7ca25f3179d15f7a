"""Programs that are compiled for a structure: a GAN, a network."""

import functools
from collections.abc import Callable, Hashable
from typing import Any

import jax


@functools.lru_cache(maxsize=8)
def compiled(function: Callable[..., Any], structure: Hashable) -> Callable[..., Any]:
    """``jax.jit`` of a function with the structure as its first argument, the same one for the same two.

    A static argument would do as much and keep its program for good: a process that trains hundreds of GANs would run
    out of memory mappings, and crash. Here those of the last few structures are kept.

    Args:
        function: of the structure and of arrays.
        structure: is compared by its hash.
    """
    return jax.jit(functools.partial(function, structure))
