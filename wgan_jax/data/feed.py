"""Batches of a dataset that stays on the host, gathered before they are asked for.

>>> feed = Feed(np.arange(12, dtype=np.uint8).reshape(12, 1, 1, 1), batch_size=4)
>>> epoch = [feed(0, counter, 0, 4)[0].ravel() for counter in range(3)]
>>> sorted(np.concatenate(epoch).tolist()) == list(range(12))
True
"""

import functools
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from wgan_jax.data.order import batch_indices

_AHEAD = 8  # batches gathered before the first of them is taken
_WORKERS = 2
_TOGETHER = 32  # updates whose examples are looked up at once; divides 2**32

_Place = tuple[int, int, int, int]


def feed_bytes(data: np.ndarray | tuple[np.ndarray, np.ndarray], batch_size: int) -> int:
    """Memory that batches gathered ahead take."""
    pixels = data[0] if isinstance(data, tuple) else data
    return (_AHEAD + 1) * batch_size * int(np.prod(pixels.shape[1:]))


class Feed:
    """Any real batch of a run, a pure function of (seed, number of the batch) as for data that lie on the device.

    Threads gather those that come next, in the order in which they come; whoever asks for another one waits for that
    one only. Pixels may lie in a file that is mapped into memory: then they are read from there as they are wanted.

    Args:
        pixels: uint8 (number of images, H, W, C), an array or what is indexed like one.
        labels: int32 (number of images,), or None.
        batch_size: examples of a batch.
        ahead: how many batches to gather before they are asked for.
        workers: threads that do it.

    Raises:
        ValueError: for more examples than can be ordered, see ``batch_indices``.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        labels: np.ndarray | None = None,
        *,
        batch_size: int,
        ahead: int = _AHEAD,
        workers: int = _WORKERS,
    ):
        self._columns: Sequence[np.ndarray] = (pixels,) if labels is None else (pixels, labels)
        self._example = tuple(np.array(column[0]) for column in self._columns)
        self._size, self._batch_size, self._ahead = len(pixels), batch_size, ahead
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix='feed')
        self._begun: dict[_Place, Future] = {}
        self._lock, self._closed = threading.Lock(), False
        self._places = functools.lru_cache(4)(self._of_block)
        self._of_block(0, 0)  # what cannot be ordered is refused now

    @classmethod
    def of(cls, data: np.ndarray | tuple[np.ndarray, np.ndarray], batch_size: int) -> 'Feed':
        """Of a dataset as a GAN's draw takes it: images, or (images, labels)."""
        return cls(*(data if isinstance(data, tuple) else (data,)), batch_size=batch_size)

    @property
    def example(self) -> tuple[np.ndarray, ...]:
        """One image, and its label where there are labels."""
        return self._example

    def __call__(self, seed: int, counter: int, first: int, count: int) -> tuple[np.ndarray, ...]:
        """Some examples of a batch.

        Args:
            seed: of the run.
            counter: which batch.
            first, count: which examples of the batch: those of one device.

        Returns:
            uint8 (count, H, W, C); and int32 (count,) where there are labels.
        """
        with self._lock:
            if self._closed:  # of a call that was under way when its run ended: nobody looks at what it makes
                return tuple(np.zeros((count, *one.shape), one.dtype) for one in self._example)
            window = [(seed, (counter + i) % 2**32, first, count) for i in range(self._ahead + 1)]
            for place in window:
                if place not in self._begun:
                    self._begun[place] = self._threads.submit(self._gather, *place)
            wanted = self._begun.pop(window[0])
            # Whoever goes on from elsewhere leaves what nobody will ask for.
            for place in [p for p in self._begun if p[2:] == (first, count) and p not in window]:
                self._begun.pop(place).cancel()
        return wanted.result()

    def _gather(self, seed: int, counter: int, first: int, count: int) -> tuple[np.ndarray, ...]:
        indices = self._places(seed, counter // _TOGETHER)[counter % _TOGETHER, first : first + count]
        return tuple(np.ascontiguousarray(column[indices]) for column in self._columns)

    def _of_block(self, seed: int, block: int) -> np.ndarray:
        """Which examples ``_TOGETHER`` updates draw, (updates, batch_size): NumPy takes as long for one."""
        updates = np.repeat(np.arange(block * _TOGETHER, (block + 1) * _TOGETHER), self._batch_size)
        slots = np.tile(np.arange(self._batch_size), _TOGETHER)
        indices = batch_indices(seed, updates, slots, batch_size=self._batch_size, size=self._size, xp=np)
        return indices.reshape(_TOGETHER, self._batch_size)

    def close(self) -> None:
        """Lets go of the threads and of the dataset; a program that was compiled with this may live longer."""
        with self._lock:
            self._closed = True
            self._begun.clear()
        self._threads.shutdown(cancel_futures=True)
        self._places.cache_clear()
        self._columns = ()
