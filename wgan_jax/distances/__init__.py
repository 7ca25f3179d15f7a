"""Distances between distributions: on bins, between Gaussians, between samples, and the dual.

Called plainly, every function looks at its arguments and raises ValueError for what cannot be right. Under jit, vmap
and grad the values are unknown: shapes are checked and the formula is evaluated as it stands.

>>> import jax.numpy as jnp
>>> here, there = jnp.array([1.0, 0, 0, 0]), jnp.array([0, 0, 0, 1.0])
>>> float(total_variation(here, there)), float(kl_divergence(here, there))
(1.0, inf)
>>> round(float(js_divergence(here, there)), 4)  # log 2, however far apart
0.6931
>>> float(earth_mover_distance(here, there))
3.0
"""

from wgan_jax.distances.dual import DualityGap, duality_gap, lipschitz_constant, optimal_potential
from wgan_jax.distances.gaussians import (
    gaussian_js,
    gaussian_js_log_gap,
    gaussian_kl,
    gaussian_tv,
    gaussian_tv_log_gap,
    gaussian_wasserstein,
)
from wgan_jax.distances.optimal import (
    minimax_gradient,
    minimax_log_gradient,
    non_saturating_gradient,
    optimal_critic,
    optimal_logit,
    optimal_value,
    wasserstein_gradient,
)
from wgan_jax.distances.pmfs import (
    EarthMoves,
    Move,
    earth_mover_distance,
    earth_moves,
    js_divergence,
    kl_divergence,
    total_variation,
)
from wgan_jax.distances.samples import sliced_wasserstein, wasserstein_1d
from wgan_jax.distances.sinkhorn import Sinkhorn, sinkhorn, sinkhorn_divergence
from wgan_jax.distances.transport import TransportPlan, transport_plan, wasserstein_exact

__all__ = [
    'DualityGap',
    'EarthMoves',
    'Move',
    'Sinkhorn',
    'TransportPlan',
    'duality_gap',
    'earth_mover_distance',
    'earth_moves',
    'gaussian_js',
    'gaussian_js_log_gap',
    'gaussian_kl',
    'gaussian_tv',
    'gaussian_tv_log_gap',
    'gaussian_wasserstein',
    'js_divergence',
    'kl_divergence',
    'lipschitz_constant',
    'minimax_gradient',
    'minimax_log_gradient',
    'non_saturating_gradient',
    'optimal_critic',
    'optimal_logit',
    'optimal_potential',
    'optimal_value',
    'sinkhorn',
    'sinkhorn_divergence',
    'sliced_wasserstein',
    'total_variation',
    'transport_plan',
    'wasserstein_1d',
    'wasserstein_exact',
    'wasserstein_gradient',
]
