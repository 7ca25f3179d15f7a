"""The optimizers a preset may name, as the papers' code ran them."""

from collections.abc import Callable

import optax

# RMSProp as in the original release: decay 0.99 and epsilon outside the root, both unlike optax's defaults.
RMSPROP_DECAY = 0.99


def rmsprop(beta1: float, beta2: float) -> Callable[..., optax.GradientTransformation]:
    """RMSProp without momentum: u = -lr * g / (sqrt(v) + 1e-8), v the mean of g^2 with decay 0.99. Ignores betas."""
    del beta1, beta2
    return lambda learning_rate: optax.rmsprop(learning_rate, decay=RMSPROP_DECAY, eps=1e-8, eps_in_sqrt=False)


def adam(beta1: float, beta2: float) -> Callable[..., optax.GradientTransformation]:
    """Adam (Kingma and Ba 2015) with bias correction and epsilon 1e-8."""
    return lambda learning_rate: optax.adam(learning_rate, b1=beta1, b2=beta2)


OPTIMIZERS: dict[str, Callable[[float, float], Callable[..., optax.GradientTransformation]]] = {
    'rmsprop': rmsprop,
    'adam': adam,
}
