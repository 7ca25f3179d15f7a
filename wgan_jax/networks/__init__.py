"""Generators and critics. Each architecture is a module with ``generator(...)`` and ``critic(...)``."""

from wgan_jax.networks import dcgan, mlp

ARCHITECTURES = {'mlp': mlp, 'dcgan': dcgan}

__all__ = ['ARCHITECTURES', 'dcgan', 'mlp']
