"""What every objective must do under every constraint: bring a generator to the data, measured by the exact distance.

A point learns its place, a Gaussian its mean and width, each against a small critic, through ``train_steps``. A wrong
sign anywhere between the scores and the generator's weights drives them away.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from wgan_jax.constraints import CONSTRAINTS
from wgan_jax.data.augmentation import AUGMENTATIONS
from wgan_jax.distances import wasserstein_1d
from wgan_jax.networks import mlp
from wgan_jax.objectives import OBJECTIVES, Objective
from wgan_jax.training.draws import draw_from
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.optimizers import OPTIMIZERS
from wgan_jax.training.state import init_state
from wgan_jax.training.step import train_steps
from wgan_jax.types import Network, Players, Variables

STEPS = 600
WIDTHS = (0.0, 0.5)  # of the data, which lie about 0: a point, and a Gaussian
# Both begin at W1 = 1. What is left at the end: nothing of the point; of the Gaussian what two batches of it differ by.
FLOORS = (0.03, 0.1)
NUMBERS = Hyperparameters(*map(jnp.float32, (0.02, 0.01, 0.5, 0.05, STEPS)))
QUANTILES = norm.ppf((np.arange(400) + 0.5) / 400)


def _generator() -> Network:
    """x = mean + width z; with the state 'random' at 0 a point, whose width nothing moves."""

    def init(key):
        return Variables({'mean': jnp.array(1.0), 'width': jnp.array(1.0)}, {'random': jnp.array(1.0)})

    def apply(variables, z, *, train, axis_name=None, labels=None):
        params, state = variables
        return params['mean'] + state['random'] * params['width'] * z, state

    return Network(init, apply)


def _numbered_objective(number) -> Objective:
    """The objective of that number, which may be traced: so that one program serves all of them."""

    def choose(field):
        return lambda *scores: jax.lax.switch(number, [getattr(o, field) for o in OBJECTIVES.values()], *scores)

    return Objective(choose('critic_loss'), choose('generator_loss'), paired=True)  # which some of them need


def _gan(name: str) -> GAN:
    constraint = CONSTRAINTS[name]
    # Bjorck's iterations are short of work for a processor, and long.
    width = 16 if constraint.parametrization == 'orthonormal' else 32
    adam = OPTIMIZERS['adam'](0.0, 0.9)
    return GAN(
        networks=Players(
            _generator(), mlp.critic((1,), width=width, depth=1, init='he', parametrization=constraint.parametrization)
        ),
        objective=None,
        constraint=constraint,
        optimizers=Players(adam, adam),
        augmentation=AUGMENTATIONS['none'],
        latent=lambda key: jax.random.normal(key, (1,)),
        batch_size=64,
        n_critic=2,
        ema_decay=0.98,
        draw=draw_from(lambda width, key: width * jax.random.normal(key, (1,))),
    )


def _train(gan, number, width):
    gan = dataclasses.replace(gan, objective=_numbered_objective(number))
    state = init_state(gan, NUMBERS, 0)
    constant = {'random': jnp.sign(width)}
    state = state._replace(
        network_state=state.network_state._replace(generator=constant), ema=state.ema._replace(state=constant)
    )
    return train_steps(gan, NUMBERS, state, width, STEPS, capacity=STEPS)[0]


# The others are variants of these, or take as long as these together.
FAST = ('none', 'clip')


@pytest.mark.parametrize(
    'constraint', [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in CONSTRAINTS]
)
def test_the_generator_comes_to_the_data(constraint):
    pairs = [(number, width) for number in range(len(OBJECTIVES)) for width in WIDTHS]
    numbers, widths = (jnp.array(column) for column in zip(*pairs, strict=True))
    states = jax.device_get(jax.jit(jax.vmap(partial(_train, _gan(constraint))))(numbers, widths))
    for i, (number, width) in enumerate(pairs):
        # The average of the generator, as samples are drawn from: without a constraint the players circle on.
        average = jax.tree.map(lambda leaf, i=i: leaf[i], states.ema)
        fake = _generator().apply(average, QUANTILES, train=False)[0]
        distance = float(wasserstein_1d(fake, width * QUANTILES))
        assert distance < FLOORS[WIDTHS.index(width)], (list(OBJECTIVES)[number], width, distance)
