"""The same training round as a straightforward PyTorch program: what the benchmark compares with.

DCGAN networks, eager mode, the idioms of the widely read implementations; torch is imported by whoever has it.
"""

from collections.abc import Callable

import torch
from torch import nn


def generator(latent_dim: int, width: int) -> nn.Module:
    """DCGAN generator for 64x64 images."""
    layers = [nn.ConvTranspose2d(latent_dim, 8 * width, 4, 1, 0, bias=False)]
    for features in (8 * width, 4 * width, 2 * width):
        layers += [nn.BatchNorm2d(features), nn.ReLU(inplace=True)]
        layers += [nn.ConvTranspose2d(features, features // 2, 4, 2, 1, bias=False)]
    layers += [
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False),
        nn.Tanh(),
    ]
    return _initialised(nn.Sequential(*layers))


def critic(width: int, *, batch_norm: bool) -> nn.Module:
    """DCGAN critic for 64x64 images, with a score per image."""
    layers = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    for features in (width, 2 * width, 4 * width):
        layers += [nn.Conv2d(features, 2 * features, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(2 * features)] if batch_norm else []
        layers += [nn.LeakyReLU(0.2, inplace=True)]
    return _initialised(nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 0, bias=False), nn.Flatten(0)))


def _initialised(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return network


def make_round(
    pixels: torch.Tensor,
    *,
    penalty: bool,
    bfloat16: bool,
    device: str,
    batch_size: int,
    width: int,
    n_critic: int,
    latent_dim: int,
) -> Callable[[], None]:
    """One round: ``n_critic`` critic updates and one generator update, of WGAN or WGAN-GP at published settings.

    Args:
        pixels: images, float32 in [-1, 1], (number, 3, 64, 64).
        penalty: gradient penalty with Adam, or else weight clipping with RMSProp and batch norm in the critic.
        bfloat16: run the networks under autocast.
        device: 'cpu' or 'cuda'.
        batch_size, width, n_critic, latent_dim: sizes.

    Returns:
        A function that runs one round in place.
    """
    pixels = pixels.to(device)
    g, c = generator(latent_dim, width).to(device), critic(width, batch_norm=not penalty).to(device)
    if penalty:
        g_optimizer, c_optimizer = (torch.optim.Adam(m.parameters(), 1e-4, betas=(0.0, 0.9)) for m in (g, c))
    else:
        g_optimizer, c_optimizer = (torch.optim.RMSprop(m.parameters(), 5e-5) for m in (g, c))

    def latents():
        return torch.randn(batch_size, latent_dim, 1, 1, device=device)

    def penalty_term(real, fake):
        weight = torch.rand(batch_size, 1, 1, 1, device=device)
        mixed = (weight * real + (1 - weight) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(c(mixed).sum(), mixed, create_graph=True)
        return 10 * ((slope.float().flatten(1).norm(dim=1) - 1) ** 2).mean()

    def critic_update():
        real = pixels[torch.randint(len(pixels), (batch_size,), device=device)]
        with torch.no_grad():
            fake = g(latents()).float()
        loss = c(fake).mean() - c(real).mean()
        if penalty:
            loss = loss + penalty_term(real, fake)
        c_optimizer.zero_grad()
        loss.backward()
        c_optimizer.step()
        if not penalty:
            with torch.no_grad():
                for parameter in c.parameters():
                    parameter.clamp_(-0.01, 0.01)

    def run():
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            for _ in range(n_critic):
                critic_update()
            c.requires_grad_(False)
            g_optimizer.zero_grad()
            (-c(g(latents())).mean()).backward()
            g_optimizer.step()
            c.requires_grad_(True)
        if device == 'cuda':
            torch.cuda.synchronize()

    return run
