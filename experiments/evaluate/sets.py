"""The images that are compared: halves of the data, all of it, and samples."""

import hashlib
import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

import wgan_jax
from wgan_jax.data import cache
from wgan_jax.data.images import Images, to_float
from wgan_jax.files import atomic_path
from wgan_jax.metrics.features import FeatureNetwork
from wgan_jax.metrics.scorecard import KEPT, KEPT_PIXELS, Seen, look
from wgan_jax.training.draws import first_images
from wgan_jax.training.load import Generator
from wgan_jax.training.parts import find_part
from wgan_jax.training.settings import Settings

BATCH = 512  # images at once
_SECONDS = 2.0  # that looking must take to be worth a file
_MOST, _SUFFIX = 32, '.features.npz'  # files that are kept

logger = logging.getLogger(__name__)


def halves(settings: Settings, images: Images, num: int, networks: Sequence[FeatureNetwork]) -> tuple[Seen, Seen]:
    """Two sets of ``num`` training images, no image in both, as the generator is to learn them.

    Args:
        settings: of the run; where only real images are augmented, these are.
        images: of the run.
        num: at most half of them.
        networks: whose features are wanted.
    """
    chosen = find_part('augment', settings.augment)
    augment = chosen.real if chosen.fake is None else None
    train = len(images.pixels), settings.held_out  # of one set, others may be held out
    of_data = f'{images.fingerprint} {train} {settings.augment} {settings.seed} {settings.batch_size}'

    def half(first: int) -> Iterator[np.ndarray]:
        for start in range(first, first + num, BATCH):
            n = min(BATCH, first + num - start)
            yield np.asarray(
                first_images(images.pixels, augment, settings.seed, n, batch_size=settings.batch_size, start=start)
            )

    first, second = (_kept(f'{of_data} {start} {num}', half(start), networks, num) for start in (0, num))
    return first, second


def features_of(pixels: np.ndarray, network: FeatureNetwork, places: np.ndarray) -> np.ndarray:
    """Features of some of the images uint8 (N, H, W, C), which may lie on the disk."""
    parts = (np.asarray(to_float(pixels[places[start : start + BATCH]])) for start in range(0, len(places), BATCH))
    return look(_shown(parts, len(places), 'training images'), [network], kept=1).features[network.name]


def samples(generator: Generator, seed: int, num: int, networks: Sequence[FeatureNetwork]) -> Seen:
    """Samples of a generator, each class as often as in the data; no more than a batch is held."""
    return look(_shown(_draw(generator, seed, num), num, f'samples of step {generator.step}'), networks)


def first(seen: Seen, num: int) -> Seen:
    """The first ``num`` of what was seen."""
    of = {name: features[:num] for name, features in seen.features.items()}
    return Seen(seen.images[:num], of, {name: classes[:num] for name, classes in seen.probabilities.items()})


def _draw(generator: Generator, seed: int, num: int) -> Iterator[np.ndarray]:
    key = jax.random.key(seed)
    latents = np.asarray(generator.latents(key, num))
    labels = np.asarray(generator.labels(key, num)) if generator.classes else None
    for start in range(0, num, BATCH):
        part = slice(start, start + BATCH)
        yield np.asarray(generator.generate(latents[part], None if labels is None else labels[part]))


def _shown(batches: Iterable[np.ndarray], num: int, what: str) -> Iterator[np.ndarray]:
    with tqdm(total=num, desc=what, unit=' images', delay=5, leave=False, disable=None) as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch))


def _kept(of_data: str, batches: Iterable[np.ndarray], networks: Sequence[FeatureNetwork], num: int) -> Seen:
    """What is seen of real images, from the folder of sets that were read before if it is there."""
    place = os.environ.get(cache.VARIABLE)
    if not place:
        return look(_shown(batches, num, 'real images'), networks)
    made_with = jax.__version__, jax.default_backend(), wgan_jax.__version__, KEPT, KEPT_PIXELS
    digest = hashlib.sha256(f'{of_data} {made_with}'.encode())
    for network in networks:
        digest.update(network.name.encode() + b'\n')
        for weights in jax.tree.leaves(network.apply):
            digest.update(np.ascontiguousarray(weights).tobytes())
    path = Path(os.path.expanduser(place)) / f'{digest.hexdigest()}{_SUFFIX}'
    if (found := _read(path, networks, num)) is not None:
        return found
    began = time.monotonic()
    seen = look(_shown(batches, num, 'real images'), networks)
    if time.monotonic() - began >= _SECONDS:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            for old in _oldest(path.parent):
                old.unlink(missing_ok=True)
            with atomic_path(path) as temporary:
                np.savez(
                    temporary,
                    images=seen.images,
                    **{f'features {name}': of for name, of in seen.features.items()},
                    **{f'classes {name}': of for name, of in seen.probabilities.items()},
                )
        except OSError as error:
            logger.warning(f'features of the data are not kept: {error}')
    return seen


def _oldest(place: Path) -> list[Path]:
    """Files of features that make room for one more, those that were made first."""
    files = sorted(place.glob(f'*{_SUFFIX}'), key=lambda path: path.stat().st_mtime)
    return files[: max(0, len(files) - _MOST + 1)]


def _read(path: Path, networks: Sequence[FeatureNetwork], num: int) -> Seen | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:  # a member that has changed fails its checksum
            features = {network.name: arrays[f'features {network.name}'] for network in networks}
            classifiers = [network.name for network in networks if network.probabilities is not None]
            seen = Seen(arrays['images'], features, {name: arrays[f'classes {name}'] for name in classifiers})
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever zip files raise
        logger.warning(f'{path} cannot be read ({type(error).__name__}) and is made anew')
        return None
    return seen if all(len(of) == num for of in features.values()) else None
