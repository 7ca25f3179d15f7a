"""Batches gathered on the host: those of the order, whoever asks, in whatever sequence, by however many threads."""

import functools
import threading

import jax
import numpy as np
import pytest

from wgan_jax.data.feed import Feed
from wgan_jax.data.order import batch_indices

PIXELS = np.random.default_rng(0).integers(0, 256, (50, 3, 2, 3), np.uint8)
LABELS = np.arange(50, dtype=np.int32)


_order = jax.jit(functools.partial(batch_indices, batch_size=8, size=50))


def _expected(seed, counter, slots):
    return _order(np.uint32(seed), np.uint32(counter), slots)


@pytest.mark.parametrize('workers', [1, 3])
@pytest.mark.parametrize('ahead', [0, 5])
def test_every_batch_is_that_of_the_order(workers, ahead):
    # Fails for a batch that is another's, at the end of an epoch, of a block of indices or of the counters.
    feed = Feed(PIXELS, LABELS, batch_size=8, ahead=ahead, workers=workers)
    for counter in (*range(70), 5, 6, 1000, 30, 2**32 - 1, 0, 1):
        pixels, labels = feed(7, counter, 0, 8)
        np.testing.assert_array_equal(labels, _expected(7, counter, np.arange(8)))
        np.testing.assert_array_equal(pixels, PIXELS[labels])
        assert pixels.flags.c_contiguous and labels.dtype == np.int32


def test_shares_of_devices_and_seeds_are_apart():
    # Fails if what was gathered for one device, or seed, is given to another.
    feed = Feed(LABELS[:, None, None, None].astype(np.uint8), batch_size=8)
    for counter in range(20):
        for seed in (1, 2):
            shares = [feed(seed, counter, first, 4)[0].ravel() for first in (0, 4)]
            np.testing.assert_array_equal(np.concatenate(shares), _expected(seed, counter, np.arange(8)))


def test_what_is_gathered_ahead_is_bounded_and_done_once():
    # Fails if batches that nobody takes are kept, or one is gathered twice on the way.
    class Counted:
        shape, reads = PIXELS.shape, 0

        def __len__(self):
            return len(PIXELS)

        def __getitem__(self, places):
            with lock:
                self.reads += 1
            return PIXELS[places]

    pixels, lock = Counted(), threading.Lock()
    feed = Feed(pixels, batch_size=8, ahead=4)
    for counter in range(100):
        feed(0, counter, 0, 8)
    feed(0, 99 + 4, 0, 8)
    assert pixels.reads <= 1 + 100 + 8  # the first for its shape
    for counter in range(0, 10_000, 100):
        feed(0, counter, 0, 8)
        assert len(feed._begun) <= 4


def test_a_set_that_cannot_be_read_is_an_error_of_whoever_asks():
    class Broken:
        def __len__(self):
            return 50

        def __getitem__(self, places):
            if isinstance(places, int):
                return PIXELS[places]
            raise OSError('the disk is gone')

    feed = Feed(Broken(), batch_size=8)
    for _ in range(2):
        with pytest.raises(OSError, match='the disk is gone'):
            feed(0, 3, 0, 8)
