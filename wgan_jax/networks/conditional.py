"""Networks that know of which class an example is: what generators and critics are told by a label.

A generator scales and shifts the channels that batch normalisation makes, for each class in its own way (conditional
batch normalisation); one without it gets the label beside its latent vector. A critic adds to its score how well the
features fit the class (projection):

    f(x, y) = w . phi(x) + b + e_y . phi(x),    phi(x) the features before the last layer.

Source: Dumoulin et al. 2017, https://arxiv.org/abs/1610.07629; Miyato and Koyama 2018, https://arxiv.org/abs/1802.05637.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from wgan_jax.networks.layers import Dense
from wgan_jax.networks.report import LayerReport
from wgan_jax.types import Array


def check_num_classes(num_classes: int, parametrization: str | None = None) -> None:
    """Raises ValueError for a number of classes below 0, or one with layers that must stay 1-Lipschitz together."""
    if num_classes < 0:
        raise ValueError(f'num_classes must be at least 0 (0: unconditional), not {num_classes}.')
    if num_classes and parametrization == 'orthonormal':
        raise ValueError('a projection adds two scores, so orthonormal layers would not make it 1-Lipschitz.')


def one_hot(labels: Array | None, num_classes: int) -> Array:
    """Rows of the identity, (N, num_classes), for labels (N,): products with them are sums in a fixed order."""
    return jax.nn.one_hot(labels, num_classes)


def rows_of(table: Array, labels: Array | None) -> Array:
    """The rows (N, C) of a table (num_classes, C) for labels (N,), exactly, and with a gradient that repeats itself."""
    return jnp.matmul(one_hot(labels, len(table)), table, precision=jax.lax.Precision.HIGHEST)


def score(
    layer: Callable[..., Dense],
    features: Array,
    labels: Array | None,
    num_classes: int,
    *,
    train: bool,
    report: LayerReport | None,
) -> Array:
    """The critic's last layer, f(x, y) above; without classes the first two terms.

    Args:
        layer: ``layer(features, **options)`` makes a Dense of the critic, inside of whose ``__call__`` this is called.
        features: phi(x), (N, D).
        labels: y, (N,), each in {0..num_classes-1}.
        num_classes: 0 for none.
        train, report: as layers take them.

    Returns:
        Scores (N,).
    """
    if not num_classes:
        return layer(1, name='score')(features, train=train, report=report)[:, 0]
    main, side = (None, None) if report is None else (LayerReport(), LayerReport())
    scores = layer(1, name='score')(features, train=train, report=main)[:, 0]
    fits = layer(num_classes, use_bias=False, name='classes')(features, train=train, report=side)
    if report is not None and main is not None and side is not None:
        report.sum(main, side)
    return scores + (fits * one_hot(labels, num_classes)).sum(-1)
