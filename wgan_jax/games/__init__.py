"""Two-player games as dynamical systems: two losses make a field, and update rules follow it.

Everything is a pure function that vmap runs over starts, step sizes and options.

On the bilinear game, whose flow circles the equilibrium, simultaneous descent moves away by sqrt(1 + eta^2) a step and
extragradient comes closer by sqrt(1 - eta^2 + eta^4):

>>> equilibrium = Players(0.0, 0.0)
>>> rules = [UPDATES[name](bilinear(), 0.5) for name in ('simultaneous', 'extragradient')]
>>> [round(float(spectral_radius(rule, equilibrium)) ** 2, 4) for rule in rules]
[1.25, 0.8125]
>>> end = final_state(rules[0], Players(1.0, 1.0), 2)
>>> float(end.generator), float(end.critic)
(-0.25, 1.75)
"""

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
from wgan_jax.games.updates import (
    UPDATES,
    UpdateRule,
    adam,
    alternating,
    averaging,
    competitive,
    consensus,
    extragradient,
    heavy_ball,
    implicit_midpoint,
    lookahead,
    optax_update,
    optimistic,
    proximal,
    rmsprop,
    runge_kutta,
    simultaneous,
    symplectic_adjustment,
)
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
    'adam',
    'alternating',
    'averaging',
    'bilinear',
    'competitive',
    'consensus',
    'dirac_gan',
    'extragradient',
    'final_state',
    'fitted_rate',
    'flow_eigenvalues',
    'gaussian_mean_wgan',
    'heavy_ball',
    'implicit_midpoint',
    'jacobian',
    'jacobian_product',
    'largest_stable_step',
    'leading_spectrum',
    'lookahead',
    'matching_pennies',
    'optax_update',
    'optimistic',
    'potential_hamiltonian_split',
    'proximal',
    'quadratic',
    'rmsprop',
    'runge_kutta',
    'simulate',
    'simultaneous',
    'spectral_radius',
    'symplectic_adjustment',
    'transposed_product',
    'update_eigenvalues',
    'update_jacobian',
    'vector_field',
]
