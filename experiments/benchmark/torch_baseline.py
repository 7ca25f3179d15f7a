"""The same training rounds as a straightforward PyTorch program: what the benchmark compares with.

Eager mode, the idioms of the widely read implementations; torch is imported by whoever has it.
"""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from wgan_jax.training.settings import Settings

from . import torch_networks as networks


def build_networks(settings: Settings, image_shape: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
    """Generator and critic of the settings' architecture.

    Args:
        settings: of the case.
        image_shape: of an example, channels first, or (d,).
    """
    critic_width = settings.critic_width or settings.width
    if settings.arch == 'dcgan':
        generator = networks.DCGANGenerator(settings.latent_dim, settings.width)
        batch_norm = settings.critic_norm == 'batch'
        critic = networks.DCGANCritic(critic_width, batch_norm=batch_norm, bias=settings.critic_bias and not batch_norm)
    elif settings.arch == 'resnet':
        generator = networks.ResNetGenerator(settings.resnet_variant, settings.latent_dim, settings.width)
        pooling = 'sum' if settings.constraint == 'spectral' else 'mean'
        critic = networks.ResNetCritic(settings.resnet_variant, critic_width, pooling=pooling)
    else:
        generator = networks.perceptron(settings.latent_dim, settings.width, image_shape)
        critic = networks.perceptron(math.prod(image_shape), critic_width, (1,))
    if settings.constraint == 'spectral':
        for module in critic.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                spectral_norm(module)
    return generator, critic


def make_round(
    draw: Callable[[int], torch.Tensor], settings: Settings, *, image_shape: tuple[int, ...], device: str
) -> Callable[[], None]:
    """One round: n_critic critic updates and one generator update, at the settings of a case.

    Args:
        draw: ``draw(n)``, n real examples in float32 on the device, channels first.
        settings: of the case; bfloat16 runs the networks under autocast.
        image_shape: of an example, channels first, or (d,).
        device: 'cpu' or 'cuda'.

    Returns:
        A function that runs one round in place.
    """
    g, c = (network.to(device) for network in build_networks(settings, image_shape))
    penalised = settings.constraint == 'gradient_penalty'
    rates = (settings.generator_lr, settings.critic_lr)
    if settings.optimizer == 'adam':
        betas = (settings.beta1, settings.beta2)
        g_optimizer, c_optimizer = (
            torch.optim.Adam(m.parameters(), rate, betas=betas) for m, rate in zip((g, c), rates, strict=True)
        )
    else:
        g_optimizer, c_optimizer = (
            torch.optim.RMSprop(m.parameters(), rate) for m, rate in zip((g, c), rates, strict=True)
        )

    def generate(n):
        return g(torch.randn(n, settings.latent_dim, device=device))

    def penalty_term(real, fake):
        weight = torch.rand(len(real), *(1,) * (real.ndim - 1), device=device)
        mixed = (weight * real + (1 - weight) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(c(mixed).sum(), mixed, create_graph=True)
        return settings.penalty_weight * ((slope.float().flatten(1).norm(dim=1) - 1) ** 2).mean()

    def critic_loss(real, fake):
        real_scores, fake_scores = c(real), c(fake)
        if settings.objective == 'hinge':
            return torch.relu(1 - real_scores).mean() + torch.relu(1 + fake_scores).mean()
        return fake_scores.mean() - real_scores.mean()

    def critic_update():
        real = draw(settings.batch_size)
        with torch.no_grad():
            fake = generate(settings.batch_size).float()
        loss = critic_loss(real, fake)
        if penalised:
            loss = loss + penalty_term(real, fake)
        c_optimizer.zero_grad()
        loss.backward()
        c_optimizer.step()
        if settings.constraint == 'clip':
            with torch.no_grad():
                for parameter in c.parameters():
                    parameter.clamp_(-settings.clip, settings.clip)

    def run():
        with torch.autocast(device, torch.bfloat16, enabled=settings.precision == 'bfloat16'):
            for _ in range(settings.n_critic):
                critic_update()
            c.requires_grad_(False)
            g_optimizer.zero_grad()
            (-c(generate(settings.generator_batch_size or settings.batch_size)).mean()).backward()
            g_optimizer.step()
            c.requires_grad_(True)
        if device == 'cuda':
            torch.cuda.synchronize()

    return run
