"""Layers whose weights cannot make them steep: spectral normalisation and orthonormal matrices.

Each kind makes the weights that a layer applies out of its parameters:

- 'spectral': W / sigma(W), sigma the largest singular value of the kernel as a matrix of (taps x C) rows and D columns.
  For a convolution that is not its operator norm, which may be up to sqrt(taps) / stride times larger.
- 'spectral_operator': W / ||W||, the norm of the layer as a map of images.
- 'orthonormal': the nearest matrix with orthonormal rows or columns; the 4x4 convolution of ``layers.Conv`` is made of
  three such, see ``networks.orthogonal``.

The first two follow their norm by power iteration. Its vector is state of the network: 100 iterations at
initialisation, then one in each pass with ``train``, from the vector the pass was given. In a critic update every pass
starts from the vector of the update before, so scores and penalty see one and the same critic, and the vector that the
pass over the scores leaves behind is kept: one iteration per critic update. A generator update keeps none.

>>> orthonormal(jnp.array([[3.0, 0.0], [0.0, -0.1]])).round(4).tolist()
[[1.0, 0.0], [0.0, -1.0]]
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from wgan_jax.lengths import length, magnitude, unit
from wgan_jax.networks.norms import power_step
from wgan_jax.types import Array

PARAMETRIZATIONS = ('spectral', 'spectral_operator', 'orthonormal')
WARM_UP = 100


def check_parametrization(parametrization: str | None) -> None:
    """Raises ValueError for what is neither one of ``PARAMETRIZATIONS`` nor None."""
    if parametrization is not None and parametrization not in PARAMETRIZATIONS:
        raise ValueError(
            f'parametrization must be None or one of {", ".join(PARAMETRIZATIONS)}, not {parametrization!r}.'
        )


def spectral(
    module: nn.Module,
    linear: Callable[[Array, Array], Array],
    kernel: Array,
    shape: tuple[int, ...],
    *,
    train: bool,
    name: str = 'vector',
) -> Array:
    """kernel / ||L_kernel||, the norm estimated by power iteration; declares its vector in the module's state.

    Args:
        module: the layer, inside its compact method.
        linear: ``linear(kernel, v)``, linear in both.
        kernel: the parameters.
        shape: of v.
        train: whether the vector advances by one iteration before it is used.
        name: of the vector in the module's state.

    Returns:
        An array like kernel, the same for kernel and c kernel at any c > 0, and 0 for 0. Gradients flow through
        ||L v|| = sigma, not through v.

    Source: Miyato et al. 2018, algorithm 1, https://arxiv.org/abs/1802.05957.
    """
    kernel = kernel / magnitude(kernel)  # W / sigma(W) does not see the scale, but the squares in it would
    fixed = jax.lax.stop_gradient(kernel)

    def step(v):
        with jax.default_matmul_precision('highest'):  # whatever the products of the run are rounded to
            return power_step(lambda v: linear(fixed, v), v)

    def warm():
        v = unit(jax.random.normal(module.make_rng('params'), (math.prod(shape),)).reshape(shape))
        return jax.lax.fori_loop(0, WARM_UP, lambda _, v: step(v), v)

    vector = module.variable('spectral', name, warm)
    v = unit(vector.value)
    if train and not module.is_initializing():
        v = vector.value = jax.lax.stop_gradient(step(v))
    with jax.default_matmul_precision('highest'):
        sigma = length(linear(kernel, v))
    return kernel / jnp.where(sigma == 0, 1, sigma)


def orthonormal(matrix: Array, *, iterations: int = 15) -> Array:
    """The nearest matrix with orthonormal rows or columns, whichever are fewer: all singular values become 1.

    W <- W / s with s >= ||W||, then W <- 3/2 W - 1/2 W W^T W until it stands still.

    An iteration raises the singular values in (0, 1), and 3/2 x - 1/2 x^3 <= 1 for every x >= 0: the result is
    1-Lipschitz whether or not the small ones have arrived. 15 iterations take those above 1/20 of the largest to 1
    within 1e-5. The result does not depend on the scale s, so no gradient flows through it. 0 stays 0.

    Args:
        matrix: (m, n).
        iterations: of the second line.

    Returns:
        (m, n).

    Source: Bjorck and Bowie 1971; Anil et al. 2019, section 4.2, https://arxiv.org/abs/1811.05381.
    """
    flip = matrix.shape[0] > matrix.shape[1]
    w = matrix.T if flip else matrix
    w = w / magnitude(w)
    w = w / _safe_scale(jax.lax.stop_gradient(w))
    w = jax.lax.fori_loop(0, iterations, lambda _, w: 1.5 * w - 0.5 * _product(_product(w, w.T), w), w)
    return w.T if flip else w


def orthonormal_convolution(kernel: Array, stride: int) -> Array:
    """A kernel (kh, kw, C, D) of which the convolution is 1-Lipschitz, though no isometry.

    The kernel as a matrix (kh kw C, D) is orthonormalised. It acts on patches, and each pixel stands in at most
    n = ceil(kh / stride) ceil(kw / stride) of them: together the patches are at most sqrt(n) times as long as the
    image, by which is divided.

    Args:
        kernel: the parameters, (kh, kw, C, D).
        stride: of the convolution, that divides both sides of the kernel.

    Returns:
        The weights, (kh, kw, C, D).

    Source: Serrurier et al. 2021, section 3.3, https://arxiv.org/abs/2006.06520.
    """
    kh, kw, _, d = kernel.shape
    patches = math.ceil(kh / stride) * math.ceil(kw / stride)
    return orthonormal(kernel.reshape(-1, d)).reshape(kernel.shape) / patches**0.5


class Parametrized(nn.Module):
    """Any Linen layer, with its kernels parametrized: ``Parametrized(nn.Dense(64), 'spectral')(x, train=train)``.

    Every parameter of two or more axes counts as a kernel whose last axis is the outputs', and is replaced by
    W / sigma(W) ('spectral') or by the nearest orthonormal matrix ('orthonormal', of ``nn.Dense`` and two-dimensional
    ``nn.Conv``, divided as in ``orthonormal_convolution``); biases are left alone. Only the layers of
    ``networks.layers`` know their norm as maps of images, 'spectral_operator', and report Lipschitz bounds.

    Attributes:
        layer: the layer.
        parametrization: 'spectral' or 'orthonormal'.

    Raises:
        ValueError: for another parametrization, or a layer of which orthonormality would mean something else.
    """

    layer: nn.Module
    parametrization: str = 'spectral'

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        """What the layer makes of x; ``train`` advances the power iteration."""
        if self.parametrization not in ('spectral', 'orthonormal'):
            raise ValueError(f'parametrization must be spectral or orthonormal, not {self.parametrization!r}.')
        if self.parametrization == 'orthonormal':
            _check_orthonormal(self.layer)

        def kernels(variables):
            return jax.tree_util.tree_map_with_path(
                lambda path, leaf: self._kernel(path, leaf, train) if leaf.ndim > 1 else leaf, variables
            )

        apply = nn.map_variables(
            lambda layer: layer(x), 'params', trans_in_fn=kernels, init=self.is_initializing(), mutable=True
        )
        return apply(self.layer)

    def _kernel(self, path: Sequence[Any], kernel: Array, train: bool) -> Array:
        matrix = kernel.reshape(-1, kernel.shape[-1])
        if self.parametrization == 'spectral':
            name = '_'.join(str(entry.key) for entry in path)
            matrix = spectral(self, lambda w, v: v @ w, matrix, matrix.shape[:1], train=train, name=name)
            return matrix.reshape(kernel.shape)
        if kernel.ndim == 2:
            return orthonormal(kernel)
        strides = self.layer.strides or 1
        return orthonormal_convolution(kernel, min(strides) if isinstance(strides, Sequence) else strides)


def _check_orthonormal(layer: nn.Module) -> None:
    plain = isinstance(layer, nn.Dense)
    if isinstance(layer, nn.Conv):
        plain = isinstance(layer.kernel_size, Sequence) and len(layer.kernel_size) == 2
        plain = (
            plain
            and layer.padding not in ('REFLECT', 'CIRCULAR')
            and layer.feature_group_count == 1
            and layer.kernel_dilation in (1, None, (1, 1))
        )
    if not plain:
        raise ValueError(
            f'orthonormal {type(layer).__name__} layers are not built; nn.Dense and plain two-dimensional nn.Conv are'
        )


def orthonormal_start(draw: nn.initializers.Initializer) -> nn.initializers.Initializer:
    """An initialiser of orthonormal matrices (of a kernel as in ``orthonormal_convolution``), from another's draw.

    So begun, parameters stay well conditioned: the gradient through ``orthonormal`` has no part along W itself.

    Args:
        draw: an initialiser of any such array.

    Returns:
        The initialiser.
    """

    def initialise(key, shape, dtype=jnp.float32):
        matrix = draw(key, shape, dtype).reshape(-1, shape[-1])
        return orthonormal(matrix, iterations=60).reshape(shape)

    return initialise


def _product(a, b):
    return jnp.matmul(a, b, precision='highest')  # a GPU or TPU would round the factors, and Bjorck stop short of 1


def _safe_scale(w):
    """||(W W^T)^8||_F^(1/16), which is at least ||W|| and at most m^(1/32) times as large; 1 for 0."""
    logarithm, power = 0.0, w
    for i in range(4):
        size = length(power)
        size = jnp.where(size == 0, 1, size)
        logarithm += jnp.log(size) / 2**i
        power = power / size
        power = _product(power, power.T)
    size = length(power)
    return jnp.exp(logarithm + jnp.log(jnp.where(size == 0, 1, size)) / 16)
