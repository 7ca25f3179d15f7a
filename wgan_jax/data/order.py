"""Which example is drawn when: a pure function of (seed, update), the same bits in NumPy and in JAX.

Each epoch is a keyed permutation of the dataset, computed element by element and never stored, so nothing has to be
saved to continue a run and every device computes just its own share. Data held on the device and streamed data are
ordered by the same function.

>>> batches = [batch_indices(7, update, np.arange(4), batch_size=4, size=12, xp=np) for update in range(3)]
>>> sorted(np.concatenate(batches).tolist())  # one epoch
[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
"""

import math
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Words = Any  # an array of the given ``xp``, ``jax.Array`` or ``numpy.ndarray``, mostly of uint32

_ROUNDS = 16  # with 8, pairs of positions in domains of 8 elements are visibly uneven
_GOLDEN = 0x9E3779B9  # 2**32 / golden ratio, odd: keeps the round keys apart
_WORD = 0xFFFFFFFF


def _word(xp: ModuleType, value: Words | int) -> Words:
    """``value`` modulo 2**32 as uint32; Python integers of any size are reduced before an array type can refuse."""
    if isinstance(value, int | np.integer):
        return xp.uint32(int(value) & _WORD)
    return xp.asarray(value).astype(xp.uint32)


def scramble(xp: ModuleType, x: Words) -> Words:
    """A bijection of uint32 in which every input bit moves every output bit with probability about one half.

    Args:
        xp: ``jax.numpy`` or ``numpy``.
        x: uint32 of any shape.

    Returns:
        uint32 of the same shape.

    Constants: C. Wellons, "Prospecting for hash functions" (lowbias32).
    """
    x = (x ^ (x >> xp.uint32(16))) * xp.uint32(0x7FEB352D)
    x = (x ^ (x >> xp.uint32(15))) * xp.uint32(0x846CA68B)
    return x ^ (x >> xp.uint32(16))


def _feistel(xp: ModuleType, x: Words, key: Words, bits: int, written_out: bool = False) -> Words:
    """A keyed bijection of {0..2**bits - 1}: ``high ^= F(low)`` and ``low ^= F(high)`` in turn, undone in reverse."""
    low_bits = bits // 2
    low_mask, high_mask = xp.uint32((1 << low_bits) - 1), xp.uint32((1 << (bits - low_bits)) - 1)
    low, high = x & low_mask, x >> xp.uint32(low_bits)

    def two_rounds(pair, halves):
        low, high = halves
        first = key + xp.uint32(2 * _GOLDEN & _WORD) * _word(xp, pair)
        second = first + xp.uint32(_GOLDEN)
        high = high ^ (scramble(xp, low ^ scramble(xp, first)) & high_mask)
        low = low ^ (scramble(xp, high ^ scramble(xp, second)) & low_mask)
        return low, high

    if xp is np:
        for pair in range(_ROUNDS // 2):
            low, high = two_rounds(np.array([pair], np.uint32), (low, high))
    else:  # written out, a GPU has a few kernels to start, where a loop starts some for each round; it compiles longer
        low, high = jax.lax.fori_loop(0, _ROUNDS // 2, two_rounds, (low, high), unroll=written_out)
    return (high << xp.uint32(low_bits)) | low


def permute(positions: Words, key: Words, size: int, *, xp: ModuleType = jnp) -> Words:
    """The image of each position under a keyed permutation of {0..size-1}.

    A Feistel network permutes the next power of two; whoever lands outside {0..size-1} walks on along its cycle until
    it is inside (cycle walking), which is a permutation of the inside. On average under two steps.

    Args:
        positions: uint32 (n,), each below ``size``.
        key: uint32 (1,) or (n,): which permutation.
        size: how many elements, 1 to 2**31 - 1; static.
        xp: ``jax.numpy`` or ``numpy``.

    Returns:
        uint32 (n,).

    Source: J. Black, P. Rogaway, "Ciphers with arbitrary finite domains" (2002).
    """
    bits = (size - 1).bit_length()
    if bits == 0:
        return positions
    if 1 << bits == size:
        return _feistel(xp, positions, key, bits)

    def outside(x):
        return xp.any(x >= xp.uint32(size))

    def walk(x):
        return xp.where(x < xp.uint32(size), x, _feistel(xp, x, key, bits))

    if xp is np:
        x = _feistel(xp, positions, key, bits)
        while outside(x):
            x = walk(x)
        return x

    # Before each pass of a loop that does not know how many it will make, a GPU waits for the host. So there
    # are first as many as nearly always suffice: but for one batch in a hundred all are inside then.
    share = 1 - size / (1 << bits)
    passes = math.ceil(math.log(100 * max(1, positions.size)) / -math.log(share))

    def first_passes(i, x):
        return xp.where((i > 0) & (x < xp.uint32(size)), x, _feistel(xp, x, key, bits, written_out=True))

    return jax.lax.while_loop(outside, walk, jax.lax.fori_loop(0, passes, first_passes, positions))


def epoch_key(seed: Words | int, epoch: Words | int, *, xp: ModuleType = jnp) -> Words:
    """Which permutation an epoch has, a hash of the seed and the epoch.

    Args:
        seed: integer, taken modulo 2**32.
        epoch: integers (n,) or one, taken modulo 2**32.
        xp: ``jax.numpy`` or ``numpy``.

    Returns:
        uint32 (n,), or (1,) for one epoch.
    """
    # One axis, not scalars: NumPy wraps arrays silently but warns for scalars.
    seed, epoch = xp.atleast_1d(_word(xp, seed)), xp.atleast_1d(_word(xp, epoch))
    return scramble(xp, scramble(xp, seed ^ xp.uint32(_GOLDEN)) + epoch)


def batch_indices(
    seed: Words | int,
    update: Words | int,
    slots: Words,
    *,
    batch_size: int,
    size: int,
    xp: ModuleType = jnp,
) -> Words:
    """The dataset indices of some examples of the real batch of one critic update.

    With the position ``p = update * batch_size + slot`` in the endless sequence of examples,

        index = permutation_(seed, epoch)(p mod size),    epoch = floor(p / size),

    so that every epoch holds every example exactly once, in another order; batches straddle epochs.

    Args:
        seed: int, may be traced; taken modulo 2**32.
        update: number of the critic update, counted from 0 over the whole run, may be traced; taken modulo 2**32.
        slots: integers (n,), global positions in the batch, 0 to batch_size - 1; a device passes its own.
        batch_size: examples in the global batch; static.
        size: examples in the dataset; static.
        xp: ``jax.numpy`` or ``numpy``: the same bits from either.

    Returns:
        int32 (n,), each in {0..size-1}.

    Raises:
        ValueError: ``size`` or ``batch_size`` below 1, or too large for 32-bit arithmetic.
    """
    if size < 1 or batch_size < 1:
        raise ValueError(f'size and batch_size must be at least 1, got size={size}, batch_size={batch_size}')
    if size >= 2**31 or size * batch_size >= 2**32:
        raise ValueError(
            f'size={size} examples in batches of {batch_size}: size * batch_size must be below 2**32, '
            'size below 2**31; use a smaller batch or part of the dataset'
        )
    update = xp.atleast_1d(_word(xp, update))
    slots = xp.asarray(slots).astype(xp.uint32)
    # update * batch_size overflows in a long run. With update = q * size + r it is q * batch_size whole epochs and
    # r * batch_size + slot < size * batch_size examples. The epoch itself may wrap at 2**32: it only keys a hash.
    whole, rest = update // xp.uint32(size), update % xp.uint32(size)
    position = rest * xp.uint32(batch_size) + slots
    epoch = whole * xp.uint32(batch_size) + position // xp.uint32(size)
    key = epoch_key(seed, epoch, xp=xp)
    return permute(position % xp.uint32(size), key, size, xp=xp).astype(xp.int32)
