"""Where numbers come from: the part of a ``config.json`` that says with what they were made."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')


def environment() -> dict[str, Any]:
    """Versions of Python and of the packages, JAX's devices, and the git commit of a checkout (None of a package)."""
    import jax  # finds its devices: what must be set before is set

    return {
        'versions': {'python': sys.version.split()[0], **{p: importlib.metadata.version(p) for p in PACKAGES}},
        'devices': [str(device) for device in jax.devices()],
        'git_commit': _git_commit(),
    }


def _git_commit() -> str | None:
    root = Path(__file__).resolve().parents[1]
    if not (root / '.git').exists():  # an installed copy may lie in somebody else's repository
        return None
    try:
        command = ['git', '-C', str(root), 'rev-parse', 'HEAD']
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
