"""Pairs of distributions whose Wasserstein-1 distance and optimal critic are known, in any dimension.

A potential of N funnels, u(x) = min_n (|x - a_n| + b_n), is 1-Lipschitz. Each x of Q, uniform on the cube
[-2.5, 2.5]^D, is moved along the ray of u on which it lies, towards its centre a_n; P is the law of where it arrives.
All mass moves along rays of u, so no plan is cheaper, W1(P, Q) = E|x - T(x)| = E_Q u - E_P u, and a critic that is to
be high on P is optimal if it is -u.

>>> pair = draw_funnels(jax.random.key(0), 2, 4)
>>> x = uniform(jax.random.key(1), 1000, 2)
>>> moved = transport(pair, x)
>>> fallen = potential(pair, x) - potential(pair, moved.point)
>>> bool(jnp.allclose(fallen, moved.distance, atol=1e-5))  # primal equals dual, sample by sample
True

Source: Korotin et al. 2022, https://arxiv.org/abs/2206.07767.
"""

import os
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.data.reading import open_file
from wgan_jax.lengths import length, pairwise_distances, unit
from wgan_jax.ranges import COUNT
from wgan_jax.text import listed, printable
from wgan_jax.types import Array, Key

HALF_WIDTH = 2.5  # of the cube
SPREAD = 0.1  # standard deviation of the offsets
LARGEST = 1e6  # of an offset that is read
POWER = 8  # of the share of its ray that a point keeps


class Funnels(NamedTuple):
    """A potential u(x) = min_n (|x - a_n| + b_n).

    Attributes:
        centers: a, (N, D), in the cube.
        offsets: b, (N,); infinite for a centre that does not count.
    """

    centers: Array
    offsets: Array


class Moved(NamedTuple):
    """Where points of Q go.

    Attributes:
        point: T(x), (B, D), a sample of P.
        direction: the gradient of u on the ray, (B, D), of length 1: at T(x), too, where rounding to a centre hides it.
        distance: |x - T(x)|, (B,).
    """

    point: Array
    direction: Array
    distance: Array


def draw_funnels(key: Key, dim: int, funnels: int) -> Funnels:
    """Centres uniform in the cube, offsets 0.1 e with e ~ N(0, 1).

    Args:
        key: one.
        dim: D.
        funnels: N.

    Raises:
        ValueError: for numbers below 1.
    """
    COUNT.check('dim', dim)
    COUNT.check('funnels', funnels)
    centre_key, offset_key = jax.random.split(key)
    return Funnels(uniform(centre_key, funnels, dim), SPREAD * jax.random.normal(offset_key, (funnels,)))


def uniform(key: Key, num: int, dim: int) -> Array:
    """Samples of Q, (num, dim)."""
    return jax.random.uniform(key, (num, dim), minval=-HALF_WIDTH, maxval=HALF_WIDTH)


def potential(pair: Funnels, x: Array) -> Array:
    """u at points (B, D), (B,); an optimal critic is -u and a constant."""
    return jnp.min(pairwise_distances(x, pair.centers) + pair.offsets, axis=1)


def transport(pair: Funnels, x: Array) -> Moved:
    """Moves points of Q along the rays of u: T(x) = a + t^8 (end - a), t = |x - a| / |end - a|.

    The ray from the centre a = a_n of the nearest funnel through x ends where it leaves the cube, or where another
    funnel m becomes the nearest: x + r v with v its direction, s = u(x), and
    r = 1/2 (|x - a_m|^2 - (s - b_m)^2) / ((s - b_m) - <x - a_m, v>), which counts where r >= 0 and r > b_m - s.

    Args:
        pair: the funnels.
        x: points in the cube, (B, D).
    """
    distances = pairwise_distances(x, pair.centers)
    nearest = jnp.argmin(distances + pair.offsets, axis=1)
    from_center = x - pair.centers[nearest]
    own, direction = length(from_center, axis=-1), unit(from_center, axis=-1)
    wall = jnp.where(direction == 0, jnp.inf, (HALF_WIDTH * jnp.sign(direction) - x) / direction).min(axis=1)
    above = (own + pair.offsets[nearest])[:, None] - pair.offsets
    along = jnp.sum(x * direction, axis=1)[:, None] - jnp.matmul(direction, pair.centers.T, precision='highest')
    r = 0.5 * (distances - above) * (distances + above) / (above - along)
    others = jnp.arange(len(pair.offsets)) != nearest[:, None]
    r = jnp.where((r >= 0) & (r > -above) & others, r, jnp.inf).min(axis=1)
    whole = jnp.maximum(own + jnp.minimum(r, wall), jnp.finfo(x.dtype).tiny)
    kept = own * (own / whole) ** (POWER - 1)  # 0 at a centre, from which no ray begins
    return Moved(pair.centers[nearest] + kept[:, None] * direction, direction, own - kept)


def sample_source(dim: int, key: Key) -> Array:
    """One sample of Q, (dim,)."""
    return uniform(key, 1, dim)[0]


def sample_moved(pair: Funnels, key: Key) -> Array:
    """One sample of P, (D,); it is where ``sample_source`` of the same key goes."""
    return transport(pair, sample_source(pair.centers.shape[1], key)[None]).point[0]


def pad(pair: Funnels, num: int) -> Funnels:
    """The same potential with so many centres, of which those that are added do not count.

    Args:
        pair: of N centres.
        num: at least N.
    """
    more = num - len(pair.offsets)
    return Funnels(jnp.pad(pair.centers, ((0, more), (0, 0))), jnp.pad(pair.offsets, (0, more), constant_values=np.inf))


def read_funnels(path: str | os.PathLike) -> dict[tuple[int, int], Funnels]:
    """Pairs from an ``.npz`` with arrays ``centers_<D>_<N>`` (N, D) and ``offsets_<D>_<N>`` (N,), by (D, N).

    Args:
        path: of the file.

    Raises:
        ValueError: in one line that names the file and the array, for what holds no such pairs.
    """
    shown = f'pairs={printable(path, 200)}'
    if not os.path.isfile(path):
        raise ValueError(f'{shown} is not a file')
    with open_file(path) as file:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                found = {name: arrays[name] for name in arrays.files}
        except (OSError, MemoryError):
            raise
        except Exception as error:  # whatever zip files raise
            raise ValueError(f'{shown} is no sound .npz ({type(error).__name__})') from None
    pairs = {}
    for name in found:
        match = re.fullmatch(r'centers_([1-9]\d*)_([1-9]\d*)', name)
        if not match:
            continue
        dim, num = map(int, match.groups())
        offsets = f'offsets_{dim}_{num}'
        for array, wanted in ((name, (num, dim)), (offsets, (num,))):
            if array not in found:
                raise ValueError(f'{shown} has {name} and no {array}')
            values = found[array]
            if values.shape != wanted or values.dtype.kind != 'f' or not (np.abs(values) < LARGEST).all():
                raise ValueError(f'{shown}: {array} must be finite floats {wanted}, not {values.dtype} {values.shape}')
        if (np.abs(found[name]) > HALF_WIDTH).any():
            raise ValueError(f'{shown}: {name} has centres outside of the cube [-{HALF_WIDTH}, {HALF_WIDTH}]')
        pairs[dim, num] = Funnels(*(jnp.asarray(found[array], jnp.float32) for array in (name, offsets)))
    if not pairs:
        raise ValueError(f'{shown} has no arrays centers_<D>_<N>, only {listed(sorted(found), most=3)}')
    return dict(sorted(pairs.items()))
