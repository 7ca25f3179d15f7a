"""Where numbers come from: the part of a ``config.json`` that says with what they were made."""

import importlib.metadata
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')
# Options of JAX, which the environment may set, that change numbers, as they are by default; x64 is apart.
_OPTIONS = {
    'jax_default_matmul_precision': None,
    'jax_default_prng_impl': 'threefry2x32',
    'jax_numpy_dtype_promotion': 'standard',
    'jax_random_seed_offset': 0,
    'jax_threefry_partitionable': True,
}


def environment() -> dict[str, Any]:
    """With what numbers are made, for a ``config.json``.

    Returns:
        Versions of Python and of the packages, JAX's devices, the git commit of a checkout (None of a package), and
        what ``numerics`` gives.
    """
    import jax  # finds its devices: what must be set before is set

    return {
        'versions': {'python': sys.version.split()[0], **{p: importlib.metadata.version(p) for p in PACKAGES}},
        'devices': [str(device) for device in jax.devices()],
        'device_kind': jax.devices()[0].device_kind,
        'git_commit': _git_commit(),
        **numerics(),
    }


def code_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """What of an ``environment`` several processes must have in common: all but the names of their devices."""
    return {name: value for name, value in found.items() if name != 'devices'}


def numerics() -> dict[str, Any]:
    """Options of JAX that change numbers: 'x64', and 'jax' with those of the others that are not the defaults."""
    import jax

    now = {name: getattr(jax.config, name) for name in _OPTIONS}
    if now['jax_default_matmul_precision'] == 'default':
        now['jax_default_matmul_precision'] = None
    changed = {name: value for name, value in now.items() if value != _OPTIONS[name]}
    return {'x64': bool(jax.config.read('jax_enable_x64')), 'jax': changed}


def _git_commit() -> str | None:
    root = Path(__file__).resolve().parents[1]
    if not (root / '.git').exists():  # an installed copy may lie in somebody else's repository
        return None
    try:
        command = ['git', '-C', str(root), 'rev-parse', 'HEAD']
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
