"""Update rules: functions ``(game, step_size, **options) -> UpdateRule``, each by its name."""

from collections.abc import Callable

from wgan_jax.games.updates.adjusted import consensus, symplectic_adjustment
from wgan_jax.games.updates.composed import adam, averaging, lookahead, optax_update, rmsprop
from wgan_jax.games.updates.explicit import (
    alternating,
    extragradient,
    heavy_ball,
    optimistic,
    runge_kutta,
    simultaneous,
)
from wgan_jax.games.updates.implicit import competitive, implicit_midpoint, proximal
from wgan_jax.games.updates.rule import UpdateRule

UPDATES: dict[str, Callable[..., UpdateRule]] = {
    'simultaneous': simultaneous,
    'alternating': alternating,
    'extragradient': extragradient,
    'optimistic': optimistic,
    'proximal': proximal,
    'implicit_midpoint': implicit_midpoint,
    'consensus': consensus,
    'symplectic_adjustment': symplectic_adjustment,
    'competitive': competitive,
    'heavy_ball': heavy_ball,
    'lookahead': lookahead,
    'averaging': averaging,
    'runge_kutta': runge_kutta,
    'adam': adam,
    'rmsprop': rmsprop,
}

__all__ = [
    'UPDATES',
    'UpdateRule',
    'adam',
    'alternating',
    'averaging',
    'competitive',
    'consensus',
    'extragradient',
    'heavy_ball',
    'implicit_midpoint',
    'lookahead',
    'optax_update',
    'optimistic',
    'proximal',
    'rmsprop',
    'runge_kutta',
    'simultaneous',
    'symplectic_adjustment',
]
