"""Generators and critics. Each architecture is a module with ``generator(...)`` and ``critic(...)``."""

from wgan_jax.networks import dcgan, mlp, resnet

ARCHITECTURES = {'mlp': mlp, 'dcgan': dcgan, 'resnet': resnet}

__all__ = ['ARCHITECTURES', 'dcgan', 'mlp', 'resnet']
