"""Two-player games as dynamical systems: two losses make a field, update rules follow it, everything is a pure
function that vmap runs over starts, step sizes and options."""

from wgan_jax.games.game import (
    Game,
    jacobian,
    jacobian_product,
    potential_hamiltonian_split,
    transposed_product,
    vector_field,
)
from wgan_jax.games.simulate import final_state, simulate
from wgan_jax.games.spectrum import Spectrum, leading_spectrum
from wgan_jax.games.stability import (
    fitted_rate,
    flow_eigenvalues,
    largest_stable_step,
    spectral_radius,
    update_eigenvalues,
    update_jacobian,
)
from wgan_jax.games.updates import UPDATES, UpdateRule, optax_update
from wgan_jax.games.zoo import (
    GAMES,
    Example,
    bilinear,
    dirac_gan,
    gaussian_mean_wgan,
    matching_pennies,
    quadratic,
)
from wgan_jax.types import Players

__all__ = [
    'GAMES',
    'UPDATES',
    'Example',
    'Game',
    'Players',
    'Spectrum',
    'UpdateRule',
    'bilinear',
    'dirac_gan',
    'final_state',
    'fitted_rate',
    'flow_eigenvalues',
    'gaussian_mean_wgan',
    'jacobian',
    'jacobian_product',
    'largest_stable_step',
    'leading_spectrum',
    'matching_pennies',
    'optax_update',
    'potential_hamiltonian_split',
    'quadratic',
    'simulate',
    'spectral_radius',
    'transposed_product',
    'update_eigenvalues',
    'update_jacobian',
    'vector_field',
]
