"""A generator as one program for every platform, which needs none of this package to run."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import export

from wgan_jax.networks import ARCHITECTURES
from wgan_jax.text import reason
from wgan_jax.training.build import build_networks
from wgan_jax.training.load import Generator
from wgan_jax.types import given

PLATFORMS = ('cpu', 'cuda', 'tpu')


def export_program(generator: Generator, channels: int) -> export.Exported:
    """A generator, its weights inside, as ``jax.export`` exports it.

    It maps latents (n, Z), float32, and of a conditional generator labels (n,), int32, to images (n, H, W, C) in
    [-1, 1], float32, for any n. All is computed in float32 with products of full precision, whatever the run was
    trained in, so that all platforms give the same images to about 1e-5.

    Args:
        generator: that was trained.
        channels: C, of its images.

    Raises:
        ValueError: for a network of one's own that does not take batches of any size.
    """
    settings, network = generator.settings, generator.network
    if settings.arch in ARCHITECTURES:
        # Not the network as it is, whose convolutions are written for the platform that it was built on.
        plain = dataclasses.replace(settings, precision='float32')
        network = build_networks(plain, channels, num_classes=len(generator.classes), conv_impl='native').generator

    def images(latents, labels=None):
        with jax.default_matmul_precision('highest'):
            drawn, _ = network.apply(generator.variables, latents, train=False, **given(labels))
        return jnp.clip(drawn.astype(jnp.float32), -1, 1)

    (n,) = export.symbolic_shape('n')
    shapes = [jax.ShapeDtypeStruct((n, settings.latent_dim), jnp.float32)]
    if generator.classes:
        shapes.append(jax.ShapeDtypeStruct((n,), jnp.int32))
    try:
        with _without_paths():
            return export.export(jax.jit(images), platforms=PLATFORMS)(*shapes)
    except Exception as error:  # whatever a network's own code raises of a number that is not known
        if settings.arch in ARCHITECTURES:
            raise
        raise ValueError(
            f"networks of one's own, {settings.arch}, cannot be exported for any number of images ({reason(error)}): "
            'they may use x.shape[0] to reshape, and no len(x)'
        ) from error


@contextlib.contextmanager
def _without_paths() -> Iterator[None]:
    """Programs that are made meanwhile do not say in which files of this machine they were written."""
    config: Any = jax.config  # whose options are no attributes to mypy
    before = config.jax_traceback_in_locations_limit
    jax.config.update('jax_traceback_in_locations_limit', 0)
    try:
        yield
    finally:
        jax.config.update('jax_traceback_in_locations_limit', before)
