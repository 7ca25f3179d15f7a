"""The benchmark's networks as straightforward PyTorch modules: DCGAN, the two residual pairs, perceptrons."""

import itertools
import math

import torch
from torch import nn


class DCGANGenerator(nn.Sequential):
    """DCGAN generator for 64x64 images."""

    def __init__(self, latent_dim: int, width: int):
        layers = [nn.Unflatten(1, (latent_dim, 1, 1)), nn.ConvTranspose2d(latent_dim, 8 * width, 4, 1, 0, bias=False)]
        for features in (8 * width, 4 * width, 2 * width):
            layers += [nn.BatchNorm2d(features), nn.ReLU(inplace=True)]
            layers += [nn.ConvTranspose2d(features, features // 2, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        super().__init__(*layers, nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh())
        _draw_small(self)


class DCGANCritic(nn.Sequential):
    """DCGAN critic for 64x64 images, with a score per image."""

    def __init__(self, width: int, *, batch_norm: bool, bias: bool = False):
        layers = [nn.Conv2d(3, width, 4, 2, 1, bias=bias), nn.LeakyReLU(0.2, inplace=True)]
        for features in (width, 2 * width, 4 * width):
            layers += [nn.Conv2d(features, 2 * features, 4, 2, 1, bias=bias)]
            layers += [nn.BatchNorm2d(2 * features)] if batch_norm else []
            layers += [nn.LeakyReLU(0.2, inplace=True)]
        super().__init__(*layers, nn.Conv2d(8 * width, 1, 4, 1, 0, bias=False), nn.Flatten(0))
        _draw_small(self)


def _draw_small(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)


class _Block(nn.Module):
    """A residual block: norm, ReLU, 3x3 convolution, twice; ``change`` is 'halve', 'double' or 'keep'."""

    def __init__(self, inputs, hidden, outputs, change, norm, *, first=False, first_bias=True):
        super().__init__()
        self.first, self.change = first, change
        self.norm_0 = nn.Identity() if first else norm(inputs)
        self.norm_1 = nn.Identity() if first else norm(hidden)
        self.conv_0 = nn.Conv2d(inputs, hidden, 3, 1, 1, bias=first_bias)
        self.conv_1 = nn.Conv2d(hidden, outputs, 3, 1, 1)
        self.shortcut = nn.Identity() if change == 'keep' else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x):
        y = x if self.first else torch.relu(self.norm_0(x))
        if self.change == 'double':
            x, y = (nn.functional.interpolate(image, scale_factor=2, mode='nearest') for image in (x, y))
        y = self.conv_1(torch.relu(self.norm_1(self.conv_0(y))))
        if self.change == 'halve':
            x, y = nn.functional.avg_pool2d(x, 2), nn.functional.avg_pool2d(y, 2)
        return self.shortcut(x) + y


class ResNetGenerator(nn.Module):
    """Residual generator: 'cifar' for 32x32 images, 'good' for 64x64."""

    def __init__(self, variant: str, latent_dim: int, width: int):
        super().__init__()
        cifar = variant == 'cifar'
        widths = [width * factor for factor in ((1, 1, 1, 1) if cifar else (8, 8, 4, 2, 1))]
        self.start = nn.Sequential(nn.Linear(latent_dim, 16 * widths[0]), nn.Unflatten(1, (widths[0], 4, 4)))
        self.blocks = nn.Sequential(
            *(_Block(a, b, b, 'double', nn.BatchNorm2d, first_bias=cifar) for a, b in itertools.pairwise(widths))
        )
        self.image = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 3, 3, 1, 1), nn.Tanh())

    def forward(self, z):
        return self.image(self.blocks(self.start(z)))


class ResNetCritic(nn.Module):
    """Residual critic: 'cifar' for 32x32 images, without norm; 'good' for 64x64, with layer norm."""

    def __init__(self, variant: str, width: int, *, pooling: str = 'mean'):
        super().__init__()
        self.cifar, self.pooling = variant == 'cifar', pooling
        if self.cifar:
            self.start = nn.Identity()
            blocks = [
                _Block(3 if i == 0 else width, width, width, change, _no_norm, first=i == 0)
                for i, change in enumerate(('halve', 'halve', 'keep', 'keep'))
            ]
            features = width
        else:
            self.start = nn.Conv2d(3, width, 3, 1, 1)
            widths = [width * factor for factor in (1, 2, 4, 8, 8)]
            blocks = [_Block(a, a, b, 'halve', _layer_norm, first_bias=False) for a, b in itertools.pairwise(widths)]
            features = 16 * widths[-1]
        self.blocks, self.score = nn.Sequential(*blocks), nn.Linear(features, 1)

    def forward(self, x):
        x = self.blocks(self.start(x))
        if self.cifar:
            x = torch.relu(x)
            return self.score(x.mean((2, 3)) if self.pooling == 'mean' else x.sum((2, 3)))[:, 0]
        return self.score(x.flatten(1))[:, 0]


def _no_norm(features):
    del features
    return nn.Identity()


def _layer_norm(features):
    return nn.GroupNorm(1, features)  # statistics over C, H, W, scale and bias per channel


def perceptron(inputs: int, width: int, outputs: tuple[int, ...], *, depth: int = 3) -> nn.Module:
    """``depth`` hidden layers of ReLU; outputs (1,) make a score per example."""
    layers = [nn.Flatten()]
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    layers.append(nn.Linear(inputs, math.prod(outputs)))
    return nn.Sequential(*layers, nn.Flatten(0) if outputs == (1,) else nn.Unflatten(1, outputs))
