"""A trained generator, read back from the folder of its run."""

import dataclasses
import functools
import logging
import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax import memory
from wgan_jax.json_files import check_shape
from wgan_jax.latents import LATENTS, check_key
from wgan_jax.networks import ARCHITECTURES, Architecture
from wgan_jax.ranges import BATCH, whole
from wgan_jax.training.build import build_networks
from wgan_jax.training.checkpoint import unflatten
from wgan_jax.training.classes import number_of
from wgan_jax.training.compiled import compiled
from wgan_jax.training.draws import Role, draw_shares, example_keys
from wgan_jax.training.exported import read_exported, weights_of
from wgan_jax.training.folder import OtherLauncher, checkpoint_of, read_run, settings_of
from wgan_jax.training.parts import record_part, same_part
from wgan_jax.training.settings import Settings
from wgan_jax.types import Array, ArrayLike, Key, Network, Players, Variables, given

logger = logging.getLogger(__name__)

CHUNK = 64  # images of one call; few enough that one image costs little, many enough to keep a device busy

# Settings that leave the generator's network as it is. One that is missing here costs a compilation, nothing worse.
_OF_TRAINING = (
    'dataset', 'data_dir', 'held_out', 'critic_width', 'objective', 'label_smoothing', 'constraint', 'clip',
    'penalty_weight', 'instance_noise', 'optimizer', 'generator_lr', 'critic_lr', 'beta1', 'beta2', 'decay_steps',
    'decay', 'final_lr', 'final_penalty', 'final_beta2', 'n_critic', 'critic_warmup', 'steps', 'batch_size',
    'generator_batch_size', 'augment', 'ema_decay', 'init_from', 'deterministic', 'seed',
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Generator:
    """A trained generator.

    Attributes:
        network: the network, from (N, latent_dim) to images (N, H, W, C).
        variables: its arrays.
        settings: of the run that trained it.
        step: generator updates it had.
        classes: that it was trained on, by number; () for an unconditional one.
        class_shares: how often each was among the data.
    """

    network: Network
    variables: Variables
    settings: Settings
    step: int
    classes: tuple[str, ...] = ()
    class_shares: tuple[float, ...] = ()

    def __repr__(self) -> str:
        """Without the arrays."""
        of = self.settings
        shown = f'arch={record_part(of.arch)!r}, dataset={of.dataset!r}, image_size={of.image_size!r}, step={self.step}'
        return f'{type(self).__name__}({shown}{f", {len(self.classes)} classes" if self.classes else ""})'

    def latents(self, key: Key, n: int) -> Array:
        """The latent vectors (n, latent_dim) of ``sample``; the first m of n are those of ``latents(key, m)``.

        Raises:
            ValueError: for n < 1, or a key that is none.
        """
        check_key(key)
        whole(1).check('n', n)
        memory.require(8 * n * self.settings.latent_dim, f'n={n} latent vectors')
        draw = functools.partial(_latents, self.settings.latent, self.settings.latent_dim, CHUNK, key)
        return jax.device_put(np.concatenate([draw(np.int32(start)) for start in range(0, n, CHUNK)])[:n])

    def labels(self, key: Key, n: int) -> Array:
        """The labels (n,) of ``sample``, int32, as frequent as among the data; the first m of n are ``labels(key, m)``.

        Raises:
            ValueError: for n < 1, a key that is none, or an unconditional generator.
        """
        check_key(key)
        whole(1).check('n', n)
        memory.require(16 * n, f'n={n} labels')
        if not self.classes:
            raise ValueError('this generator is unconditional: it has no labels')
        draw = functools.partial(_labels, self.class_shares, CHUNK, key)
        return jax.device_put(np.concatenate([draw(np.int32(start)) for start in range(0, n, CHUNK)])[:n])

    def generate(self, latents: Array, labels: ArrayLike | None = None, *, batch_size: int = CHUNK) -> Array:
        """Images (N, H, W, C) in [-1, 1], float32, of latent vectors (N, latent_dim), if conditional with labels (N,).

        They are made ``batch_size`` at a time, the last batch filled up: one program serves every N, every checkpoint
        and every run of the same architecture, and an image does not depend on how many others are asked for. Under jit
        and grad all are made at once.

        Raises:
            ValueError: for latents or labels of another shape, none of them, or a batch size below 1.
        """
        size = self.settings.latent_dim
        try:
            kind = jnp.result_type(latents if hasattr(latents, 'dtype') else np.asarray(latents))
        except (ValueError, TypeError):  # of sequences of different lengths, of objects
            raise ValueError(f'latents must be an array (N, {size}) of real numbers') from None
        if np.ndim(latents) != 2 or np.shape(latents)[1] != size or not len(latents):
            raise ValueError(f'latents must be (N, {size}) with N at least 1, not {np.shape(latents)}')
        BATCH.check('batch_size', batch_size)
        if not jnp.issubdtype(kind, jnp.floating) and not jnp.issubdtype(kind, jnp.integer):
            raise ValueError(f'latents must be real numbers, not {kind}')
        if bool(self.classes) != (labels is not None):
            needed = f'labels (N,) of its {len(self.classes)} classes' if self.classes else 'no labels'
            raise ValueError(f'this generator needs {needed}')
        if labels is not None and np.shape(labels) != np.shape(latents)[:1]:
            raise ValueError(f'labels must be {np.shape(latents)[:1]}, not {np.shape(labels)}')
        if labels is not None and not isinstance(labels, jax.core.Tracer):
            given_labels = np.asarray(labels).tolist()
            numbers = {label: number_of(label, self.classes) for label in set(given_labels)}
            labels = np.array([numbers[label] for label in given_labels], np.int32)
        if isinstance(latents, jax.core.Tracer) or isinstance(labels, jax.core.Tracer):
            return _images(self.network, self.variables, latents, None if labels is None else jnp.asarray(labels))
        vectors = np.asarray(latents)
        n = len(vectors)
        # On the host: a slice, a pad or a concatenation on the device is a program for each N.
        vectors = np.concatenate([vectors, np.zeros((-n % batch_size, size), vectors.dtype)])
        batches = np.split(vectors, len(vectors) // batch_size)
        draw = compiled(_images, self.network)
        of_batches: Sequence[np.ndarray | None] = [None] * len(batches)
        if labels is not None:
            filled = np.concatenate([np.asarray(labels), np.zeros(-n % batch_size, np.int32)])
            of_batches = np.split(filled, len(batches))
        images = [draw(self.variables, *batch) for batch in zip(batches, of_batches, strict=True)]
        return jax.device_put(np.concatenate(images)[:n])

    def sample(self, key: Key, n: int, label: int | str | None = None) -> Array:
        """``n`` images (n, H, W, C) in [-1, 1], float32, a pure function of the key.

        Of a conditional generator, of one class by its number or name; by default each class as often as in the data.

        Raises:
            ValueError: for n < 1, a key that is none, or a class that there is not, or was no image of.
        """
        whole(1).check('n', n)
        height, width = self.settings.height_width
        memory.require(8 * n * height * width * 4, f'n={n} images of {height}x{width}')
        latents = self.latents(key, n)
        if label is not None and not self.classes:
            raise ValueError(f'label={label}: this generator is unconditional')
        if not self.classes:
            return self.generate(latents)
        if label is None:
            return self.generate(latents, self.labels(key, n))
        number = number_of(label, self.classes)
        if not self.class_shares[number]:
            raise ValueError(f'label={label}: there was no image of this class to train on')
        return self.generate(latents, np.full(n, number))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _latents(name, size, count, key, start):
    latent = LATENTS[name](size)
    return jax.vmap(lambda i: latent(jax.random.fold_in(key, i)))(start + jnp.arange(count))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _labels(shares, count, key, start):
    apart = jax.random.fold_in(key, np.uint32(2**32 - 1))  # by the keys of the latents, a label would tell of these
    return draw_shares(shares, jax.vmap(lambda i: jax.random.fold_in(apart, i))(start + jnp.arange(count)))


def _images(network, variables, latents, labels):
    images, _ = network.apply(variables, latents, train=False, **given(labels))
    return jnp.clip(images.astype(jnp.float32), -1, 1)  # the MLP's pixels are not bounded by themselves


def _architecture(settings: Settings, channels: int, num_classes: int) -> tuple[Network, Variables]:
    """The generator of some settings, the same object for the same architecture, and its arrays' shapes."""
    default = Settings()
    plain = dataclasses.replace(settings, **{name: getattr(default, name) for name in _OF_TRAINING})
    return _built(plain, channels, num_classes)


@functools.lru_cache(maxsize=16)
def _built(settings, channels, num_classes):
    # A compiled program is kept for the network it was compiled of, and networks are compared by identity.
    return _with_shapes(build_networks(settings, channels, num_classes=num_classes).generator)


def _with_shapes(network: Network) -> tuple[Network, Variables]:
    return network, jax.eval_shape(network.init, jax.random.key(0))


def sample_images(generator: Generator, seed: int, n: int, labels: ArrayLike | None = None) -> Array:
    """The ``n`` fixed images by which a run is watched while it trains: one key per example of the run's seed."""
    latent = LATENTS[generator.settings.latent](generator.settings.latent_dim)
    (keys,) = example_keys(np.uint32(seed), (Role.SAMPLE,), 0, jnp.arange(n))
    return generator.generate(jax.vmap(latent)(keys), labels)


def classes_of(config: dict[str, Any]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The classes of a run by its configuration, and how often each is among the data; () for an unconditional one."""
    if not config['settings'].get('conditional'):
        return (), ()
    check_shape(config['dataset'], {'classes': [str], 'class_counts': [int]}, 'config.json: dataset')
    counts = config['dataset']['class_counts']
    if len(counts) != len(config['dataset']['classes']) or min(counts, default=0) < 0 or not sum(counts):
        raise ValueError('config.json: dataset: class_counts must say how many images are of each of the classes')
    return tuple(config['dataset']['classes']), tuple(count / sum(counts) for count in counts)


def _config_of(workdir: str | os.PathLike) -> tuple[dict[str, Any], bool]:
    """The configuration of a run or of an exported generator, and whether it is the latter."""
    try:
        return read_run(workdir), False
    except OtherLauncher:
        exported = read_exported(workdir)
        if exported is None:
            raise
        return exported, True


def load(
    workdir: str | os.PathLike,
    step: int | None = None,
    ema: bool = True,
    *,
    networks: Players[Network] | Architecture | None = None,
) -> Generator:
    """A trained generator from a run's folder, or from the one that ``export`` has written of it.

    Args:
        workdir: of a run of ``train``, or of an exported generator, which gives the same bits.
        step: of the checkpoint; the newest sound one by default.
        ema: the moving average of the generator, or else the generator itself; of an exported one what there is.
        networks: those that the run was trained with, where they are not the package's; a warning says when their
            record differs from the run's.

    Returns:
        A Generator; ``.sample(key, n)`` gives images (n, H, W, C) in [-1, 1].

    Raises:
        ValueError: when the folder holds no generator, or no such checkpoint, or a damaged one, or networks that must
            be given.
    """
    if not isinstance(workdir, (str, os.PathLike)):
        raise ValueError(f'workdir={workdir!r} must be the path of a folder')
    if not isinstance(ema, bool):
        raise ValueError(f'ema={ema!r} must be True or False')
    config, exported = _config_of(workdir)
    settings = settings_of(config)
    classes, shares = classes_of(config)
    if networks is not None:
        if not isinstance(networks, Architecture) and not (
            isinstance(networks, Players) and all(isinstance(network, Network) for network in networks)
        ):
            raise ValueError(f'networks must be Players of two networks, not {networks!r}')
        if not same_part(record_part(networks), settings.arch):
            logger.warning(f'{workdir} was trained with {settings.arch}, not with {record_part(networks)}')
        mine = dataclasses.replace(settings, arch=networks, constraint='none')
        channels = config['dataset']['shape'][-1]
        network, shapes = _with_shapes(build_networks(mine, channels, num_classes=len(classes)).generator)
    elif settings.arch not in ARCHITECTURES:
        raise ValueError(f'{workdir} was trained with networks of its own, {settings.arch}: load(..., networks=...)')
    else:
        network, shapes = _architecture(settings, config['dataset']['shape'][-1], len(classes))
    if exported:
        arrays = weights_of(workdir, config, step, ema)
        variables = jax.tree.map(jnp.asarray, unflatten(shapes, arrays, str(workdir)))
        return Generator(network, variables, settings, config['step'], classes, shares)
    found = checkpoint_of(workdir, config, step)
    arrays = found.arrays
    if ema:
        variables = unflatten({'ema': shapes}, arrays, str(workdir))['ema']
    else:
        params = unflatten({'params': {'generator': shapes.params}}, arrays, str(workdir))
        state = unflatten({'network_state': {'generator': shapes.state}}, arrays, str(workdir))
        variables = Variables(params['params']['generator'], state['network_state']['generator'])
    return Generator(network, jax.tree.map(jnp.asarray, variables), settings, found.step, classes, shares)
