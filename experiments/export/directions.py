"""The directions of latent space along which a generator's pictures change most."""

from typing import NamedTuple

import jax
import numpy as np

from wgan_jax.training.load import Generator

_EACH = 12  # pictures to a latent dimension, from which directions are found
_LEAST, _HELD_OUT = 512, 256  # pictures
_BATCH = 64


class Directions(NamedTuple):
    """Directions, the one that moves pictures most first.

    Attributes:
        axes: unit vectors at right angles, float32 (K, Z).
        shares: of the variance of pixels that a straight line along each explains, (K,).
        fitted, held_out: pictures from which they were found, and others on which the shares were measured.
    """

    axes: np.ndarray
    shares: tuple[float, ...]
    fitted: int
    held_out: int


def principal_directions(generator: Generator, k: int) -> Directions:
    """Principal directions of a generator, whatever its network.

    With B the linear map that predicts pictures best, E |x - mean - B z|^2 least over z of the generator's law, they
    are the leading right singular vectors of B: of all unit vectors u, the first moves pictures farthest, |B u|. For
    normal z, B is the generator's mean derivative (Stein's lemma).

    Args:
        generator: trained.
        k: how many, 1 to Z.

    Returns:
        Directions.

    Source: the regression of GANSpace (Haerkoenen et al. 2020, https://arxiv.org/abs/2004.02546) between latents and
    principal components, here of pictures and the other way round; Shen and Zhou 2021,
    https://arxiv.org/abs/2007.06600, take singular vectors of a first layer's weights, which see nothing of the rest.
    """
    size = generator.settings.latent_dim
    fitted = -(-max(_LEAST, _EACH * size) // _BATCH) * _BATCH
    squares, products, mean, mean_z = np.zeros((size, size)), None, None, np.zeros(size)
    batches = _batches(generator, fitted + _HELD_OUT)
    for _ in range(fitted // _BATCH):  # added up: all pictures together may be more than the memory holds
        z, x = next(batches)
        squares, products = squares + z.T @ z, z.T @ x + (0 if products is None else products)
        mean, mean_z = x.sum(0) + (0 if mean is None else mean), mean_z + z.sum(0)
    mean, mean_z = mean / fitted, mean_z / fitted
    linear = np.linalg.solve(
        squares - fitted * np.outer(mean_z, mean_z), products - fitted * np.outer(mean_z, mean)
    )  # B transposed, (Z, P)
    left, _, _ = np.linalg.svd(linear, full_matrices=False)
    axes = left[:, :k].T
    moves = axes @ linear
    turned = np.where(moves.sum(1) < 0, -1.0, 1.0)[:, None]  # brighter to the right
    axes, moves = turned * axes, turned * moves
    total, explained = 0.0, np.zeros(len(axes))
    for z, x in batches:
        x, along = x - mean, (z - mean_z) @ axes.T
        total += (x**2).sum()
        explained += 2 * (along * (x @ moves.T)).sum(0) - (along**2).sum(0) * (moves**2).sum(1)
    shares = np.maximum(explained / max(total, np.finfo(float).tiny), 0)
    order = np.argsort(-shares, kind='stable')  # of the pictures held out, not of those that they were found in
    return Directions(axes[order].astype(np.float32), tuple(shares[order].tolist()), fitted, _HELD_OUT)


def _batches(generator: Generator, n: int):
    latents = generator.latents(jax.random.key(2), n)
    labels = generator.labels(jax.random.key(2), n) if generator.classes else None
    for start in range(0, n, _BATCH):
        part = slice(start, start + _BATCH)
        images = generator.generate(latents[part], None if labels is None else labels[part])
        yield np.asarray(latents[part], float), np.asarray(images, float).reshape(_BATCH, -1)
