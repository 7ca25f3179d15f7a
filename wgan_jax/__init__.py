"""Wasserstein GANs in JAX: pure functions, compiled steps, checked numbers."""

import os

__version__ = '0.1.0'


def load(workdir: str | os.PathLike, step: int | None = None, ema: bool = True):
    """A trained generator from the folder of a training run; see ``wgan_jax.training.load.load``."""
    from wgan_jax.training.load import load as load_generator  # keeps `import wgan_jax` quick

    return load_generator(workdir, step, ema)
