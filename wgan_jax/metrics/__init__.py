"""How good samples are, as numbers."""

from wgan_jax.metrics.modes import ModeCoverage, mode_coverage

__all__ = ['ModeCoverage', 'mode_coverage']
