"""Leading eigenvalues of a large game's Jacobian, from products with vectors alone: no matrix is ever formed.

ARPACK's implicitly restarted Arnoldi and Lanczos iterations (through scipy) ask for products, which JAX computes.

>>> from wgan_jax.games import quadratic
>>> found = leading_spectrum(quadratic(0.5), Players(0.0, 0.0))  # the eigenvalues are 0.5 +- i
>>> found.potential.tolist(), found.hamiltonian.tolist()
([0.5, 0.5], [1.0])
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy.typing import DTypeLike

from wgan_jax.games.game import Game, jacobian, jacobian_product, transposed_product
from wgan_jax.types import Players, PyTree


class Spectrum(NamedTuple):
    """The leading eigenvalues of the Jacobian J of a game's field at a point.

    Under the flow w' = -xi(w) a direction with eigenvalue a + ib of J contracts at the rate a (expands, where a < 0)
    and rotates by b radians per unit of time. The real parts lie between the ends of S, |b| below the largest
    frequency of A.

    Attributes:
        jacobian: of J, complex, the largest in modulus first, both of a conjugate pair (Arnoldi).
        potential: of S = (J + J^T) / 2, real, from both ends of its spectrum, ascending (Lanczos).
        hamiltonian: of A = (J - J^T) / 2, the b >= 0 of its pairs +-ib, largest first (Arnoldi).
        products: how many products with J or its transpose were taken.
    """

    jacobian: np.ndarray
    potential: np.ndarray
    hamiltonian: np.ndarray
    products: int


def leading_eigenvalues(
    product: Callable[[np.ndarray], np.ndarray],
    size: int,
    *,
    count: int = 8,
    symmetric: bool = False,
    dtype: DTypeLike = np.float32,
    max_restarts: int = 60,
    seed: int = 0,
) -> np.ndarray:
    """Eigenvalues of a linear map: the largest in modulus, or, for a symmetric map, from both ends.

    Args:
        product: x -> M x on vectors (size,).
        size: n, more than count + 1.
        count: how many are wanted; a conjugate pair is never cut in two, so there may be one more or less.
        symmetric: M is symmetric: Lanczos in place of Arnoldi.
        dtype: of the vectors, float32 or float64. The residuals are below eps^0.6 of the largest modulus.
        max_restarts: after so many restarts only those that have converged are returned.
        seed: of the first vector.

    Returns:
        Those that have converged, real and ascending if symmetric, else complex, the largest modulus first. None where
        the iteration breaks down, as it does on a map of very low rank.
    """
    from scipy.sparse import linalg  # takes a while to import

    dtype = np.dtype(dtype)
    operator = linalg.LinearOperator((size, size), matvec=product, dtype=dtype)
    options: dict[str, Any] = {
        'k': count,
        'ncv': min(size, max(2 * count + 1, 24)),
        'v0': np.random.default_rng(seed).normal(size=size).astype(dtype),
        'tol': float(np.finfo(dtype).eps) ** 0.6,
        'maxiter': max_restarts,
        'return_eigenvectors': False,
    }
    try:
        values = linalg.eigsh(operator, which='BE', **options) if symmetric else linalg.eigs(operator, **options)
    except linalg.ArpackNoConvergence as error:
        values = error.eigenvalues
    except linalg.ArpackError:  # the iteration ended in a subspace: the map has fewer eigenvalues that are not 0
        values = np.zeros(0, complex)
    return np.sort(values.real) if symmetric else _by_modulus(values)


def leading_spectrum(
    game: Game,
    players: Players[PyTree],
    *,
    count: int = 8,
    seed: int = 0,
    dense_limit: int = 256,
    on_product: Callable[[], None] = lambda: None,
) -> Spectrum:
    """The leading eigenvalues of J and of its two parts at a point.

    Args:
        game: the game, of any size.
        players: the point, of n numbers in all.
        count: eigenvalues wanted of each matrix; fewer are returned where some do not converge.
        seed: of the vectors that the iterations begin with.
        dense_limit: up to so many numbers the dense Jacobian is taken apart instead, exactly.
        on_product: called after every product, to show progress.

    Returns:
        A Spectrum.

    Raises:
        ValueError: for a count below 1.
    """
    if count < 1:
        raise ValueError(f'count={count} must be at least 1')
    flat, unravel = ravel_pytree(players)
    if flat.size <= max(dense_limit, 2 * count + 2):
        return _dense_spectrum(np.asarray(jax.jit(lambda w: jacobian(game, w))(players)), count)

    # The point is an argument, not a constant of the program: a GAN's parameters would be folded into it.
    forward = jax.jit(lambda x, v: ravel_pytree(jacobian_product(game, unravel(x), unravel(v)))[0])
    transposed = jax.jit(lambda x, v: ravel_pytree(transposed_product(game, unravel(x), unravel(v)))[0])
    products = 0

    def call(product, v):
        nonlocal products
        products += 1
        result = np.asarray(product(flat, v.reshape(-1).astype(flat.dtype)))
        on_product()
        return result

    options: dict[str, Any] = {'count': count, 'dtype': flat.dtype, 'seed': seed}
    whole = leading_eigenvalues(lambda v: call(forward, v), flat.size, **options)
    potential = leading_eigenvalues(
        lambda v: (call(forward, v) + call(transposed, v)) / 2, flat.size, symmetric=True, **options
    )
    # ARPACK's pairs +-ib have rounding for their real parts.
    hamiltonian = leading_eigenvalues(lambda v: (call(forward, v) - call(transposed, v)) / 2, flat.size, **options)
    return Spectrum(whole, potential, _frequencies(hamiltonian), products)


def _dense_spectrum(matrix: np.ndarray, count: int) -> Spectrum:
    potential = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    if len(potential) > count:
        potential = np.concatenate([potential[: count // 2], potential[len(potential) - (count - count // 2) :]])
    hamiltonian = np.linalg.eigvals((matrix - matrix.T) / 2)
    whole = _by_modulus(np.linalg.eigvals(matrix))
    return Spectrum(whole[:count], potential, _frequencies(_by_modulus(hamiltonian)[:count]), len(matrix))


def _by_modulus(values: np.ndarray) -> np.ndarray:
    return values[np.argsort(-np.abs(values), kind='stable')]


def _frequencies(values: np.ndarray) -> np.ndarray:
    return _by_modulus(values.imag[values.imag >= 0])
