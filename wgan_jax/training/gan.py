"""What is trained: the parts of a GAN that are fixed before compilation, and the hyperparameters that are not."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import optax

from wgan_jax.constraints import Constraint
from wgan_jax.data.augmentation import Augmentation
from wgan_jax.objectives import Objective
from wgan_jax.training.draws import Draw, draw_images
from wgan_jax.types import Array, Key, Network, Players

# The original code trains the critic this long for each of the first generator updates and at regular intervals.
WARMUP_CRITIC_UPDATES = 100
WARMUP_STEPS = 25
WARMUP_INTERVAL = 500

DECAYS = ('linear', 'cosine')


class Hyperparameters(NamedTuple):
    """What a sweep varies: traced scalars, so that one compiled program serves all their values.

    The fields have the names of the settings that they come from.

    Attributes:
        generator_lr, critic_lr: learning rates.
        clip: half the side of the critic's weight box.
        penalty_weight: factor of the penalty in the critic's loss.
        decay_steps: generator updates over which they fall; 0 for constant ones.
        final_lr, final_penalty: shares of the learning rates and of the penalty's factor that are left then.
    """

    generator_lr: Array | float
    critic_lr: Array | float
    clip: Array | float
    penalty_weight: Array | float
    decay_steps: Array | float = 0.0
    final_lr: Array | float = 0.0
    final_penalty: Array | float = 1.0


def _left(decay, step, steps):
    """From 1 at step 0 down to 0 at step ``steps``."""
    left = jnp.maximum(0.0, 1.0 - step / steps)
    return 0.5 - 0.5 * jnp.cos(jnp.pi * left) if decay == 'cosine' else left


def _between(first, last, left):
    return last + (first - last) * left


@dataclasses.dataclass(frozen=True)
class GAN:
    """The structure of a GAN and its training: what a compiled step is specialised to.

    Attributes:
        networks: Players of Network.
        objective: losses on scores.
        constraint: what keeps the critic Lipschitz.
        optimizers: Players of functions ``learning_rate -> optax.GradientTransformation``, which are given ``beta2``
            besides where that changes.
        augmentation: functions on the images that the critic sees.
        latent: ``latent(key) -> (Z,)``, one latent vector.
        batch_size: real and fake examples each in the batch of a critic update, over all devices.
        n_critic: critic updates per generator update.
        critic_warmup: use the original's schedule of 100 critic updates at generator updates 0-24 and every 500th.
        generator_batch_size: examples in the batch of a generator update, over all devices; 0 for ``batch_size``.
        instance_noise: standard deviation, at the beginning, of normal noise added to all that the critic sees, real
            and fake alike (Soenderby et al. 2017); 0 for none.
        noise_steps: generator updates over which it falls to 0; 0 for constant noise.
        decay: how what falls does so, 'linear' or 'cosine', which is half a period.
        beta2: the optimizers' beta2 at the beginning and after the hyperparameters' ``decay_steps``; None where it
            stays what they were made with.
        ema_decay: decay of the generator's exponential moving average, in [0, 1).
        draw: the real examples of a batch, see ``draws.Draw``.
        class_shares: of conditional networks, how often each class is among the data: as often is it asked of the
            generator. ``draw`` gives (examples, labels) then. Empty for unconditional ones.
    """

    networks: Players[Network]
    objective: Objective
    constraint: Constraint
    optimizers: Players[Callable[..., optax.GradientTransformation]]
    augmentation: Augmentation
    latent: Callable[[Key], Array]
    batch_size: int
    n_critic: int
    critic_warmup: bool = False
    generator_batch_size: int = 0
    instance_noise: float = 0.0
    noise_steps: int = 0
    decay: str = 'linear'
    beta2: tuple[float, float] | None = None
    ema_decay: float = 0.999
    draw: Draw = draw_images
    class_shares: tuple[float, ...] = ()

    @property
    def batch_sizes(self) -> Players[int]:
        """Examples in a batch of each player's updates, over all devices."""
        return Players(self.generator_batch_size or self.batch_size, self.batch_size)

    def noise(self, step: Array | int) -> Array | float:
        """The deviation of the instance noise at generator update ``step``."""
        return self.instance_noise * (_left(self.decay, step, self.noise_steps) if self.noise_steps else 1.0)

    def left(self, hyperparameters: Hyperparameters, step: Array | int) -> Array:
        """How much of their fall the hyperparameters have before them at generator update ``step``: from 1 to 0."""
        steps = hyperparameters.decay_steps
        return jnp.where(steps > 0, _left(self.decay, step, jnp.maximum(steps, 1.0)), 1.0)

    def penalty_weight(self, hyperparameters: Hyperparameters, step: Array | int) -> Array:
        """The factor of the penalty in the critic's loss at generator update ``step``."""
        share = _between(1.0, hyperparameters.final_penalty, self.left(hyperparameters, step))
        return hyperparameters.penalty_weight * share

    def transforms(self, hyperparameters: Hyperparameters, step: Array | int) -> Players[optax.GradientTransformation]:
        """Both players' optax transforms at one generator step.

        Args:
            hyperparameters: the traced scalars.
            step: generator updates done.

        Returns:
            Players of ``optax.GradientTransformation``; their states have the same structure at every step.
        """
        left = self.left(hyperparameters, step)
        share = _between(1.0, hyperparameters.final_lr, left)
        options = {} if self.beta2 is None else {'beta2': _between(*self.beta2, left)}
        generator = self.optimizers.generator(hyperparameters.generator_lr * share, **options)
        critic = self.optimizers.critic(hyperparameters.critic_lr * share, **options)
        if self.constraint.transform is not None:
            critic = optax.chain(critic, self.constraint.transform(hyperparameters.clip))
        return Players(generator, critic)

    def critic_updates(self, step: Array | np.ndarray) -> Array | np.ndarray | int:
        """Number of critic updates before generator update ``step``, an integer or array of NumPy or JAX.

        n_critic, a constant of the program; with ``critic_warmup`` at least 100 where step < 25 or step is a multiple
        of 500 (the original release).
        """
        if not self.critic_warmup:
            return self.n_critic
        warm = (step < WARMUP_STEPS) | (step % WARMUP_INTERVAL == 0)
        return self.n_critic + warm * (max(WARMUP_CRITIC_UPDATES, self.n_critic) - self.n_critic)
