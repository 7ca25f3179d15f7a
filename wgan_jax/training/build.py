"""From settings to the GAN they describe."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from wgan_jax.latents import LATENTS
from wgan_jax.objectives import label_smoothed
from wgan_jax.training.draws import Draw, draw_images, draw_labelled
from wgan_jax.training.gan import GAN, Hyperparameters
from wgan_jax.training.optimizers import OPTIMIZERS
from wgan_jax.training.parts import find_part
from wgan_jax.training.settings import Settings
from wgan_jax.types import Network, Players, given

# Fields that GAN and Settings share.
_AS_THEY_ARE = (
    'batch_size', 'n_critic', 'critic_warmup', 'generator_batch_size', 'instance_noise', 'decay', 'ema_decay',
)  # fmt: skip


def build_networks(
    settings: Settings, channels: int, *, num_classes: int = 0, conv_impl: str | None = None
) -> Players[Network]:
    """The networks that settings describe.

    Args:
        settings: validated settings.
        channels: of the images.
        num_classes: of which they are, where the settings are conditional.
        conv_impl: 'matmul' or 'native'; None chooses by the default backend.

    Returns:
        Players of Network; the generator maps (N, latent_dim) to (N, H, W, channels), the critic images to scores (N,).

    Raises:
        ValueError: for networks of one's own with other shapes.
    """
    shape = (*settings.height_width, channels)
    if settings.conditional and num_classes < 1:
        raise ValueError('conditional networks need a number of classes')
    num_classes = num_classes if settings.conditional else 0
    architecture = find_part('arch', settings.arch)
    if isinstance(architecture, Players):
        return fitting(architecture, settings.latent_dim, shape, num_classes)
    parametrization = find_part('constraint', settings.constraint).parametrization
    classes = {'num_classes': num_classes} if num_classes else {}
    try:
        networks = Players(*architecture.build(settings, shape, parametrization, conv_impl, **classes))
    except TypeError as error:
        if not num_classes or 'num_classes' not in str(error):
            raise
        raise ValueError("arch: this architecture's build takes no num_classes, which conditional runs need") from None
    for name, network in networks._asdict().items():
        if network.num_classes != num_classes:
            raise ValueError(f'arch: the {name} is of {network.num_classes} classes, and {num_classes} are wanted')
    return networks


def fitting(
    networks: Players[Network], latent_dim: int, shape: tuple[int, ...], num_classes: int = 0
) -> Players[Network]:
    """The networks, if they map latents (N, latent_dim) to examples (N, *shape) and those to scores (N,).

    Raises:
        ValueError: naming the network that does not, and what it makes.
    """
    batch = 2

    def out(network, size):
        inputs = jax.ShapeDtypeStruct((batch, *size), jnp.float32)
        variables = jax.eval_shape(network.init, jax.random.key(0))
        labels = jnp.zeros(batch, jnp.int32) if num_classes else None
        return jax.eval_shape(lambda v, x: network.apply(v, x, train=True, **given(labels))[0], variables, inputs).shape

    for name, network, size, wanted in (
        ('generator', networks.generator, (latent_dim,), shape),
        ('critic', networks.critic, shape, ()),
    ):
        if network.num_classes != num_classes:
            raise ValueError(f'arch: the {name} is of {network.num_classes} classes, and the dataset has {num_classes}')
        try:
            found = out(network, size)
        except ValueError as error:
            raise ValueError(f'arch: the {name}: {str(error).splitlines()[0]} (latent_dim={latent_dim})') from error
        if found != (batch, *wanted):
            shown = ', '.join(map(str, ('N', *wanted)))
            raise ValueError(
                f'arch: the {name} makes {found} of {(batch, *size)}; for this dataset and latent_dim={latent_dim} it '
                f'must make ({shown}{"," if not wanted else ""})'
            )
    return networks


def make_gan(
    settings: Settings, networks: Players[Network], *, draw: Draw = draw_images
) -> tuple[GAN, Hyperparameters]:
    """A GAN of given networks and examples, everything else as settings say.

    Args:
        settings: validated settings.
        networks: of both players.
        draw: the real examples of a critic update.

    Returns:
        (GAN, Hyperparameters).
    """
    optimizer = OPTIMIZERS[settings.optimizer](settings.beta1, settings.beta2)
    objective = find_part('objective', settings.objective)
    if settings.label_smoothing:  # of a registered objective, or validation would have refused it
        objective = label_smoothed(str(settings.objective), settings.label_smoothing)
    gan = GAN(
        networks=networks,
        objective=objective,
        constraint=find_part('constraint', settings.constraint),
        optimizers=Players(optimizer, optimizer),
        augmentation=find_part('augment', settings.augment),
        latent=LATENTS[settings.latent](settings.latent_dim),
        draw=draw,
        noise_steps=settings.decay_steps if settings.instance_noise else 0,
        beta2=(settings.beta2, settings.final_beta2) if settings.final_beta2 else None,
        **{name: getattr(settings, name) for name in _AS_THEY_ARE},
    )
    return gan, hyperparameters_of(settings)


def hyperparameters_of(settings: Settings) -> Hyperparameters:
    """The hyperparameters that settings name, float32 scalars."""
    return Hyperparameters(*(jnp.float32(getattr(settings, name)) for name in Hyperparameters._fields))


def build_gan(
    settings: Settings, channels: int, *, class_shares: Sequence[float] = (), conv_impl: str | None = None
) -> tuple[GAN, Hyperparameters]:
    """The GAN on images that settings describe, and its traced hyperparameters.

    Args:
        settings: validated settings.
        channels: of the images.
        class_shares: how often each class is among them; read where the settings are conditional.
        conv_impl: 'matmul' or 'native'; None chooses by the default backend.

    Returns:
        (GAN, Hyperparameters); its steps take images, uint8 (number of images, H, W, C), as data, if conditional
        (images, labels).

    Raises:
        ValueError: for networks of one's own that do not fit.
    """
    networks = build_networks(settings, channels, num_classes=len(class_shares), conv_impl=conv_impl)
    if not settings.conditional:
        return make_gan(settings, networks)
    gan, hyperparameters = make_gan(settings, networks, draw=draw_labelled)
    return dataclasses.replace(gan, class_shares=tuple(class_shares)), hyperparameters
