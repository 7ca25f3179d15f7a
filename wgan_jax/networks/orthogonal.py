"""A convolution that halves an image and is orthogonal: its output is never longer than the image.

On 2x2 blocks of pixels, as vectors b of 4 C numbers, projections P and Q make two shifts that keep all lengths,

    b'[i, j] = P b[i, j] + (I - P) b[i + 1, j],    b''[i, j] = Q b'[i, j] + (I - Q) b'[i, j + 1],

since P (I - P) = 0; a matrix M with orthonormal rows or columns, whichever are fewer, then makes D channels of the 4 C.
As one kernel of 4x4 taps and stride 2 that is what ``convolution.downsample`` applies. With zeros around the image
nothing gets longer: the layer is 1-Lipschitz. Where D <= 4 C, a gradient that comes back through it keeps its length
but for what falls off the border; a first layer of more channels than 12 for colours, or 4 for greys, takes more. All
this is for matrices of which ``orthonormal`` has converged; of others the layer is 1-Lipschitz all the same.

Source: the projections of Li et al. 2019, "Preventing gradient attenuation in Lipschitz constrained convolutional
networks", https://arxiv.org/abs/1911.00937, with the stride of Boissin et al. 2025, "An adaptive orthogonal convolution
scheme for efficient and flexible CNN architectures", https://arxiv.org/abs/2501.07930, here taken before the shifts, so
that C may be 1.

>>> import jax
>>> drawn = (jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate(((4, 6), (4, 2), (4, 2))))
>>> orthogonal_halving(*drawn).shape
(4, 4, 1, 6)
"""

import jax.numpy as jnp

from wgan_jax.networks.parametrization import orthonormal
from wgan_jax.types import Array


def orthogonal_halving(matrix: Array, vertical: Array, horizontal: Array) -> Array:
    """The kernel of an orthogonal 4x4 convolution of stride 2, of any matrices.

    Args:
        matrix: (4 C, D), of which M is the nearest with orthonormal rows or columns.
        vertical, horizontal: (4 C, R), R < 4 C: P and Q project onto what their columns span.

    Returns:
        (4, 4, C, D), the taps' rows and columns first.
    """
    channels, features = matrix.shape[0] // 4, matrix.shape[1]
    mixed = orthonormal(matrix)
    taps = jnp.stack([
        _product(first, jnp.stack([_product(second, mixed) for second in _split(horizontal)]))
        for first in _split(vertical)
    ])  # blocks down, blocks across, 4 C, D  # fmt: skip
    taps = taps.reshape(2, 2, 2, 2, channels, features)  # and pixels of a block down, across
    return taps.transpose(0, 2, 1, 3, 4, 5).reshape(4, 4, channels, features)


def _split(columns: Array) -> tuple[Array, Array]:
    """The projection onto the span of columns (n, r), and that onto all that is orthogonal to it."""
    basis = orthonormal(columns)
    projection = _product(basis, basis.T)
    return projection, jnp.eye(len(projection), dtype=projection.dtype) - projection


def _product(a, b):
    return jnp.matmul(a, b, precision='highest')  # a GPU or TPU would round the factors
