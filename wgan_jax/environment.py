"""Where numbers come from: the part of a ``config.json`` that says with what they were made."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')
# Options of JAX, which the environment may set, that change numbers.
_OPTIONS = {
    'jax_default_matmul_precision': None,
    'jax_default_prng_impl': 'threefry2x32',
    'jax_enable_x64': False,
    'jax_threefry_partitionable': True,
}


def environment() -> dict[str, Any]:
    """With what numbers are made, for a ``config.json``.

    Returns:
        Versions of Python and of the packages, JAX's devices, the git commit of a checkout (None of a package), and
        'jax' with the options that change numbers, if any is not as JAX has it by default.
    """
    import jax  # finds its devices: what must be set before is set

    return {
        'versions': {'python': sys.version.split()[0], **{p: importlib.metadata.version(p) for p in PACKAGES}},
        'devices': [str(device) for device in jax.devices()],
        'git_commit': _git_commit(),
        **({'jax': options} if (options := jax_options()) else {}),
    }


def jax_options() -> dict[str, Any]:
    """JAX's options that change numbers, those that are not as they are by default."""
    import jax

    now = {name: getattr(jax.config, name) for name in _OPTIONS}
    return {name: value for name, value in now.items() if value != _OPTIONS[name]}


def _git_commit() -> str | None:
    root = Path(__file__).resolve().parents[1]
    if not (root / '.git').exists():  # an installed copy may lie in somebody else's repository
        return None
    try:
        command = ['git', '-C', str(root), 'rev-parse', 'HEAD']
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
