"""The optimizers a preset may name, as the papers' code ran them: functions of a rate, and of beta2 if it changes."""

from collections.abc import Callable

import optax

from wgan_jax import transforms


def rmsprop(beta1: float, beta2: float) -> Callable[..., optax.GradientTransformation]:
    """RMSProp without momentum, decay 0.99, see ``transforms.rmsprop``. Ignores betas."""
    del beta1
    return lambda learning_rate, beta2=beta2: transforms.rmsprop(learning_rate)


def adam(beta1: float, beta2: float) -> Callable[..., optax.GradientTransformation]:
    """Adam (Kingma and Ba 2015) with bias correction and epsilon 1e-8."""
    return lambda learning_rate, beta2=beta2: optax.adam(learning_rate, b1=beta1, b2=beta2)


OPTIMIZERS: dict[str, Callable[[float, float], Callable[..., optax.GradientTransformation]]] = {
    'rmsprop': rmsprop,
    'adam': adam,
}
