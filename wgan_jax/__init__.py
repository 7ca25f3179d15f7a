"""Wasserstein GANs in JAX: pure functions, compiled steps, checked numbers.

In a notebook, with ``images`` uint8 (N, 32, 32, 3):

    import jax, wgan_jax

    settings = wgan_jax.settings('wgan_gp', width=16, steps=500)
    generator = wgan_jax.train(settings, 'runs/mine', dataset=images)
    generator.sample(jax.random.key(0), 16)  # (16, 32, 32, 3) in [-1, 1]
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = '0.2.0'

if TYPE_CHECKING:
    from wgan_jax import distances, export, games, metrics, networks, objectives, penalties, transforms
    from wgan_jax.training.configure import settings
    from wgan_jax.training.load import load
    from wgan_jax.training.presets import PRESETS as presets
    from wgan_jax.training.run import train
    from wgan_jax.training.sweep import sweep

# What a notebook needs, imported when it is first used: `import wgan_jax` costs no more than Python's own start.
_FUNCTIONS = {
    'join': ('joining', 'join'),
    'load': ('training.load', 'load'),
    'presets': ('training.presets', 'PRESETS'),
    'settings': ('training.configure', 'settings'),
    'sweep': ('training.sweep', 'sweep'),
    'train': ('training.run', 'train'),
}
_MODULES = ('distances', 'export', 'games', 'metrics', 'networks', 'objectives', 'penalties', 'transforms')

__all__ = [
    'distances', 'export', 'games', 'join', 'load', 'metrics', 'networks', 'objectives', 'penalties', 'presets',
    'settings', 'sweep', 'train', 'transforms',
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f'wgan_jax.{name}')
    if name not in _FUNCTIONS:
        raise AttributeError(f'module wgan_jax has no attribute {name!r}')
    module, attribute = _FUNCTIONS[name]
    value = getattr(importlib.import_module(f'wgan_jax.{module}'), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
