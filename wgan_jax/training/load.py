"""A trained generator, read back from the folder of its run."""

import dataclasses
import functools
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.latents import LATENTS
from wgan_jax.training.build import build_networks
from wgan_jax.training.checkpoint import CheckpointStore, unflatten
from wgan_jax.training.draws import Role, example_keys
from wgan_jax.training.run import read_run, settings_of
from wgan_jax.training.settings import Settings
from wgan_jax.types import Array, Key, Network, Variables


@dataclasses.dataclass(frozen=True)
class Generator:
    """A trained generator.

    Attributes:
        network: the network, from (N, latent_dim) to images (N, H, W, C).
        variables: its arrays.
        settings: of the run that trained it.
        step: generator updates it had.
    """

    network: Network
    variables: Variables
    settings: Settings
    step: int

    def latents(self, key: Key, n: int) -> Array:
        """The latent vectors (n, latent_dim) of ``sample``; the first m of n are those of ``latents(key, m)``."""
        latent = LATENTS[self.settings.latent](self.settings.latent_dim)
        return jax.vmap(lambda i: latent(jax.random.fold_in(key, i)))(jnp.arange(n))

    def generate(self, latents: Array, *, batch_size: int = 256) -> Array:
        """Images (N, H, W, C) in [-1, 1], float32, of latent vectors (N, latent_dim), a batch at a time."""
        starts = range(0, len(latents), batch_size)
        return jnp.concatenate([_images(self.network, self.variables, latents[i : i + batch_size]) for i in starts])

    def sample(self, key: Key, n: int) -> Array:
        """``n`` images (n, H, W, C) in [-1, 1], float32, a pure function of the key.

        Raises:
            ValueError: for n < 1, or a key that is none.
        """
        if not isinstance(key, jax.Array):
            raise ValueError(f'key must be a JAX key such as jax.random.key(0), not {key!r}')
        if n < 1:
            raise ValueError(f'n must be at least 1, got {n}')
        return self.generate(self.latents(key, n))


@functools.partial(jax.jit, static_argnums=0)
def _images(network, variables, latents):
    images, _ = network.apply(variables, latents, train=False)
    return jnp.clip(images.astype(jnp.float32), -1, 1)  # the MLP's pixels are not bounded by themselves


def sample_images(generator: Generator, seed: int, n: int) -> Array:
    """The ``n`` fixed images by which a run is watched while it trains: one key per example of the run's seed."""
    latent = LATENTS[generator.settings.latent](generator.settings.latent_dim)
    (keys,) = example_keys(np.uint32(seed), (Role.SAMPLE,), 0, jnp.arange(n))
    return generator.generate(jax.vmap(latent)(keys))


def load(workdir: str | os.PathLike, step: int | None = None, ema: bool = True) -> Generator:
    """A trained generator from a run's folder.

    Args:
        workdir: of a run of the train launcher.
        step: of the checkpoint; the newest sound one by default.
        ema: the moving average of the generator, or else the generator itself.

    Returns:
        A Generator; ``.sample(key, n)`` gives images (n, H, W, C) in [-1, 1].

    Raises:
        ValueError: when the folder holds no training run, or no such checkpoint, or a damaged one.
    """
    config = read_run(workdir)
    store = CheckpointStore(Path(workdir) / 'checkpoints')
    if step is None:
        found = store.read_newest()
        if found is None:
            raise ValueError(f'{workdir} has no checkpoint yet: let the run reach its first one')
        step, arrays = found
    elif step not in store.steps():
        raise ValueError(f'{workdir} has no checkpoint at step {step}; there are: {store.steps()}')
    else:
        arrays = store.read(step)
    settings = settings_of(config)
    network = build_networks(settings, config['dataset']['shape'][-1]).generator
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    if ema:
        variables = unflatten({'ema': shapes}, arrays, str(workdir))['ema']
    else:
        params = unflatten({'params': {'generator': shapes.params}}, arrays, str(workdir))
        state = unflatten({'network_state': {'generator': shapes.state}}, arrays, str(workdir))
        variables = Variables(params['params']['generator'], state['network_state']['generator'])
    return Generator(network, jax.tree.map(jnp.asarray, variables), settings, int(step))
