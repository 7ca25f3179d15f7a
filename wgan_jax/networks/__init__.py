"""Generators and critics. Each architecture is a module with ``generator(...)`` and ``critic(...)``.

A new one is such a module with an ``ARCHITECTURE`` (see ``networks.architecture``) and a line in ``ARCHITECTURES``; a
pair of one's own goes into settings as it is, ``Players(generator, critic)``.
"""

from wgan_jax.networks import collage, dcgan, mlp, r3gan, resnet
from wgan_jax.networks.architecture import Architecture
from wgan_jax.networks.network import from_linen
from wgan_jax.types import Network, Players, Variables

ARCHITECTURES: dict[str, Architecture] = {
    'mlp': mlp.ARCHITECTURE,
    'dcgan': dcgan.ARCHITECTURE,
    'resnet': resnet.ARCHITECTURE,
    'r3gan': r3gan.ARCHITECTURE,
    'collage': collage.ARCHITECTURE,
}

__all__ = [
    'ARCHITECTURES',
    'Architecture',
    'Network',
    'Players',
    'Variables',
    'collage',
    'dcgan',
    'from_linen',
    'mlp',
    'r3gan',
    'resnet',
]
