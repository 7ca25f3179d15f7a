"""From settings to the GAN they describe."""

import jax.numpy as jnp

from wgan_jax.constraints import CONSTRAINTS
from wgan_jax.data.augmentation import AUGMENTATIONS
from wgan_jax.latents import LATENTS
from wgan_jax.networks import ARCHITECTURES
from wgan_jax.objectives import OBJECTIVES, label_smoothed
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.optimizers import OPTIMIZERS
from wgan_jax.training.settings import Settings
from wgan_jax.types import Players


def build_networks(settings: Settings, channels: int, *, conv_impl: str | None = None) -> Players:
    """The networks that settings describe.

    Args:
        settings: validated settings.
        channels: of the images.
        conv_impl: 'matmul' or 'native'; None chooses by the default backend.

    Returns:
        Players of Network; the generator maps (N, latent_dim) to (N, H, W, channels), the critic images to scores (N,).
    """
    shape = (*settings.height_width, channels)
    dtype = jnp.dtype(settings.precision)
    architecture = ARCHITECTURES[settings.arch]
    common = {'dtype': dtype, 'conv_impl': conv_impl}
    parametrization = CONSTRAINTS[settings.constraint].parametrization
    of_generator, of_critic = {}, {'norm': settings.critic_norm, 'parametrization': parametrization}
    if settings.arch == 'dcgan':
        of_generator['upsampling'] = settings.upsampling
    if settings.arch == 'resnet':
        common['variant'] = None if settings.resnet_variant == 'auto' else settings.resnet_variant
        if (
            parametrization is not None
        ):  # as Miyato et al. 2018 have it with spectral norm; without it the mean is published
            of_critic['pooling'] = 'sum'
    generator = architecture.generator(
        shape, latent_dim=settings.latent_dim, width=settings.width, **of_generator, **common
    )
    critic = architecture.critic(shape, width=settings.critic_width or settings.width, **of_critic, **common)
    return Players(generator, critic)


def build_gan(settings: Settings, channels: int, *, conv_impl: str | None = None) -> tuple[GAN, Hyperparameters]:
    """The GAN that settings describe, and its traced numbers.

    Args:
        settings: validated settings.
        channels: of the images.
        conv_impl: 'matmul' or 'native'; None chooses by the default backend.

    Returns:
        (GAN, Hyperparameters).
    """
    optimizer = OPTIMIZERS[settings.optimizer](settings.beta1, settings.beta2)
    objective = OBJECTIVES[settings.objective]
    if settings.label_smoothing:
        objective = label_smoothed(settings.objective, settings.label_smoothing)
    gan = GAN(
        networks=build_networks(settings, channels, conv_impl=conv_impl),
        objective=objective,
        constraint=CONSTRAINTS[settings.constraint],
        optimizers=Players(optimizer, optimizer),
        augmentation=AUGMENTATIONS[settings.augment],
        latent=LATENTS[settings.latent](settings.latent_dim),
        batch_size=settings.batch_size,
        n_critic=settings.n_critic,
        critic_warmup=settings.critic_warmup,
        generator_batch_size=settings.generator_batch_size,
        decay_steps=settings.decay_steps,
        instance_noise=settings.instance_noise,
        ema_decay=settings.ema_decay,
    )
    hyperparameters = Hyperparameters(
        learning_rate=Players(jnp.float32(settings.generator_lr), jnp.float32(settings.critic_lr)),
        clip=jnp.float32(settings.clip),
        penalty_weight=jnp.float32(settings.penalty_weight),
    )
    return gan, hyperparameters
