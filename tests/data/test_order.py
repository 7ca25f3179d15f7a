"""The order of examples against Python's own integers, and as the permutation it claims to be."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.data.order import _feistel, batch_indices, epoch_key, permute


def epoch_of(seed, epoch, size):
    """One whole epoch: with batch_size == size the epoch is the update."""
    return batch_indices(seed, epoch, np.arange(size), batch_size=size, size=size, xp=np)


@pytest.mark.parametrize('size', [1, 2, 3, 5, 7, 8, 9, 17, 64, 255, 256, 257, 1000, 4097])
def test_an_epoch_is_a_permutation(size):
    for epoch in (0, 1, 77):
        order = epoch_of(3, epoch, size)
        assert order.dtype == np.int32
        np.testing.assert_array_equal(np.sort(order), np.arange(size))


def test_batches_that_straddle_epochs_still_hold_every_example_once_per_epoch():
    size, batch = 10, 4
    drawn = np.concatenate(
        [batch_indices(0, u, np.arange(batch), batch_size=batch, size=size, xp=np) for u in range(25)]
    )
    for epoch in drawn.reshape(10, size):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(size))


@pytest.mark.parametrize('size', [1, 256, 1000])
def test_numpy_and_jax_agree_to_the_bit(size):
    slots = np.arange(64)
    draw = jax.jit(lambda s, u: batch_indices(s, u, slots, batch_size=64, size=size))
    for update in (0, 12345, 2**31 - 1):
        expected = batch_indices(5, update, slots, batch_size=64, size=size, xp=np)
        result = draw(jnp.int32(5), jnp.int32(update))
        assert result.dtype == jnp.int32
        np.testing.assert_array_equal(expected, result)


def test_untraced_vmapped_and_mapped_calls_agree():
    slots = np.arange(32)
    expected = [batch_indices(5, u, slots, batch_size=32, size=100, xp=np) for u in (7, 8)]
    np.testing.assert_array_equal(expected[0], batch_indices(5, 7, slots, batch_size=32, size=100))
    updates = jnp.array([7, 8])

    def one(update):
        return batch_indices(5, update, slots, batch_size=32, size=100)

    np.testing.assert_array_equal(expected, jax.jit(jax.vmap(one))(updates))
    np.testing.assert_array_equal(expected, jax.jit(lambda u: jax.lax.map(one, u))(updates))


@pytest.mark.parametrize('update', [0, 2**31 - 1, 2**32 - 1])
@pytest.mark.parametrize(('size', 'batch'), [(1, 2), (7, 64), (256, 256), (50_000, 64), (1_281_167, 1024)])
def test_long_runs_against_big_integers(update, size, batch):
    slots = [0, 1, batch - 1]
    drawn = batch_indices(9, update, np.array(slots), batch_size=batch, size=size, xp=np)
    for slot, index in zip(slots, drawn, strict=True):
        epoch, offset = divmod(update * batch + slot, size)  # Python integers: no overflow
        assert index == permute(np.array([offset], np.uint32), epoch_key(9, epoch, xp=np), size, xp=np)[0]


def test_shards_make_up_the_whole():
    draw = jax.jit(lambda slots: batch_indices(1, 10, slots, batch_size=48, size=100))
    whole = draw(np.arange(48))
    shards = [draw(np.arange(12) + 12 * device) for device in range(4)]
    np.testing.assert_array_equal(whole, np.concatenate(shards))


def test_epochs_and_seeds_differ():
    orders = [tuple(epoch_of(seed, epoch, 50)) for seed in range(8) for epoch in range(8)]
    assert len(set(orders)) == len(orders)


@pytest.mark.parametrize('size', [3, 5, 8, 50])
def test_every_place_holds_every_example_equally_often(size):
    epochs = 4000
    # Place p of every epoch at once: one key per epoch.
    keys = epoch_key(0, np.arange(epochs), xp=np)
    orders = np.stack([permute(np.full(epochs, p, np.uint32), keys, size, xp=np) for p in range(size)], axis=1)
    expected = epochs / size
    for place in (0, 1, size - 1):
        counts = np.bincount(orders[:, place].astype(int), minlength=size)
        chi_square = np.sum((counts - expected) ** 2) / expected
        assert chi_square < size - 1 + 5 * np.sqrt(2 * (size - 1)) + 5
    # Neighbours are as if independent: the pairs (first, second) over all ordered pairs.
    pairs = np.bincount(orders[:, 0].astype(int) * size + orders[:, 1], minlength=size * size)
    expected, freedom = epochs / (size * (size - 1)), size * (size - 1) - 1
    chi_square = np.sum((pairs.reshape(size, size)[~np.eye(size, dtype=bool)] - expected) ** 2) / expected
    assert chi_square < freedom + 5 * np.sqrt(2 * freedom) + 5


def test_the_order_is_not_the_identity_in_disguise():
    order = epoch_of(0, 0, 1000).astype(float)
    assert abs(np.corrcoef(order, np.arange(1000))[0, 1]) < 0.1
    assert abs(np.corrcoef(order[1:], order[:-1])[0, 1]) < 0.1


def test_permute_is_what_batches_are_made_of():
    key = np.array([17], np.uint32)
    np.testing.assert_array_equal(
        permute(np.arange(300, dtype=np.uint32), key, 300, xp=np),
        jax.jit(lambda p: permute(p, key, 300))(jnp.arange(300, dtype=jnp.uint32)),
    )


@pytest.mark.parametrize(('size', 'batch'), [(0, 4), (4, 0), (2**31, 1), (2**26, 64)])
def test_impossible_sizes_are_refused(size, batch):
    with pytest.raises(ValueError, match='size'):
        batch_indices(0, 0, np.arange(1), batch_size=batch, size=size)


@pytest.mark.parametrize('size', [50_000, 33_000, 65_000, 3])
def test_passes_of_a_known_number_do_for_nearly_all_batches(size):
    # Fails if a program asks before each pass whether there is another, or mostly does after the first ones.
    slots, updates = np.arange(64), 400
    program = jax.make_jaxpr(lambda update: batch_indices(3, update, slots, batch_size=64, size=size))(0).jaxpr
    loops = [equation for equation in program.eqns if equation.primitive.name in ('while', 'scan')]
    assert [loop.primitive.name for loop in loops] == ['scan', 'while']
    passes, bits = loops[0].params['length'], (size - 1).bit_length()
    needed = []
    for update in range(updates):
        x = (update * 64 + slots) % size
        keys = epoch_key(3, (update * 64 + slots) // size, xp=np)
        for number in itertools.count(1):
            x = np.where((number > 1) & (x < size), x, _feistel(np, x.astype(np.uint32), keys, bits))
            if (x < size).all():
                break
        needed.append(number)
    assert np.mean(np.array(needed) > passes) < 0.03 and passes <= 13
