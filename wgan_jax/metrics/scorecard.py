"""All scores of samples beside real images, from one pass over each.

>>> from wgan_jax.metrics.features import feature_network
>>> generator = np.random.default_rng(0)
>>> first, second, flat = generator.uniform(-1, 1, (3, 200, 16, 16, 1)).astype(np.float32)
>>> networks = [feature_network('pixels')]
>>> real, fair, shifted = (look([images], networks) for images in (first, second, np.clip(flat + 0.5, -1, 1)))
>>> scores(real, fair)['pixels/precision'] > scores(real, shifted)['pixels/precision']
True
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.metrics.bins import different_bins
from wgan_jax.metrics.classes import class_coverage, inception_score
from wgan_jax.metrics.copies import Memorisation, memorisation, support_size
from wgan_jax.metrics.duplicates import NEAR
from wgan_jax.metrics.features.network import FeatureNetwork
from wgan_jax.metrics.frechet import frechet_distance
from wgan_jax.metrics.kernels import kernel_distance, maximum_mean_discrepancy
from wgan_jax.metrics.manifold import neighbour_scores
from wgan_jax.metrics.neighbours import nearest_neighbours
from wgan_jax.metrics.patches import laplacian_patch_distance, patch_distance
from wgan_jax.metrics.similarity import WINDOW, pairwise_ms_ssim
from wgan_jax.types import Array

K = 5  # neighbours, as of density and coverage
KEPT = 2_048  # images themselves, of each set
PATCH, PATCHES = 7, 16  # pixels a side; of each image at each level
FOR_MMD = 2_000  # rows: it compares all pairs three times
BIN = 50  # rows of the data in one, at least, on average
PIXELS = 'pixels'  # the network by which duplicates and copies are found

OF_FEATURES = (
    'precision', 'recall', 'density', 'coverage', 'nearest_neighbour_accuracy', 'frechet_distance', 'kernel_distance',
    'maximum_mean_discrepancy', 'different_bins', 'support_size',
)  # fmt: skip
OF_CLASSES = ('inception_score', 'class_kl')
_FID = {'frechet_distance': 'FID', 'kernel_distance': 'KID', 'inception_score': 'inception_score'}


class Score(NamedTuple):
    """How a score is to be read.

    Attributes:
        better: 'lower', 'higher', or 'like data': near what another half of the data gets.
        meaning: in a few words.
    """

    better: Literal['lower', 'higher', 'like data']
    meaning: str


# By the last part of a score's name; what stands before it is the feature network.
SCORES: dict[str, Score] = {
    'patch_distance': Score('lower', 'between patches of samples and of the data, at several scales, colour included'),
    'laplacian_patch_distance': Score('lower', 'the same of detail alone: sharpness, texture, checkerboards'),
    'ms_ssim': Score('like data', 'likeness of random pairs of samples: larger where they repeat themselves'),
    'duplicates': Score('like data', 'share of samples that have a near-duplicate among them'),
    'diversity': Score('like data', 'distance from a sample to the nearest other, over that of the data'),
    'precision': Score('higher', 'share of samples that lie among the data: quality'),
    'recall': Score('higher', 'share of the data that lie among the samples: variety'),
    'density': Score('higher', 'how densely samples lie among the data'),
    'coverage': Score('higher', 'share of the data that have a sample near them'),
    'nearest_neighbour_accuracy': Score('like data', 'how well samples are told from data: 0.5 for not at all'),
    'frechet_distance': Score('lower', 'between Gaussians of the features'),
    'FID': Score('lower', 'Fréchet distance of Inception-v3: comparable with published ones of as many samples'),
    'kernel_distance': Score('lower', 'squared maximum mean discrepancy, cubic kernel'),
    'KID': Score('lower', 'kernel distance of Inception-v3'),
    'maximum_mean_discrepancy': Score('lower', 'squared, Gaussian kernel'),
    'different_bins': Score('lower', 'share of the clusters of the data that samples fill too little or too much'),
    'support_size': Score('higher', 'how many different things samples show, by their near-duplicates'),
    'inception_score': Score('higher', 'how sure and how varied the classes of the samples are'),
    'class_kl': Score('lower', 'Kullback-Leibler divergence of the classes of the samples from those of the data'),
    'copies': Score('like data', 'share of samples that are near-duplicates of an image of the training set'),
    'memorisation': Score('like data', 'how often a sample is nearer to the training set than new data are'),
}


def meaning_of(name: str) -> Score:
    """How a score is to be read, by its name as ``scores`` gives it."""
    return SCORES[name.rpartition('/')[2]]


def score_names(networks: Iterable[FeatureNetwork]) -> list[str]:
    """The scores that there are with some networks, by name; of small images, or equal ones, some are missing."""
    names = ['patch_distance', 'laplacian_patch_distance', 'ms_ssim']
    for network in networks:
        names += ['duplicates', 'diversity'] if network.name == PIXELS else []
        own = OF_FEATURES + (OF_CLASSES if network.probabilities is not None else ())
        names += [_named(network.name, what) for what in own]
    return [*names, 'copies', 'memorisation']


def _named(network: str, what: str) -> str:
    """Only one network's number is called FID."""
    return _FID[what] if network == 'inception_v3' and what in _FID else f'{network}/{what}'


class Seen(NamedTuple):
    """What scores are made of.

    Attributes:
        images: the first of the images themselves, (up to ``KEPT``, H, W, C) in [-1, 1].
        features: of all images, by feature network, (N, d).
        probabilities: of all images, by those networks that are classifiers, (N, K).
    """

    images: np.ndarray
    features: dict[str, np.ndarray]
    probabilities: dict[str, np.ndarray]


def look(batches: Iterable[np.ndarray], networks: Sequence[FeatureNetwork], *, kept: int = KEPT) -> Seen:
    """Features of a stream of images, of which no more than a batch and the first few are held.

    Args:
        batches: of images (n, H, W, C) in [-1, 1].
        networks: of different names.
        kept: images that are kept themselves.

    Raises:
        ValueError: for no images, and for what a network does not take.
    """
    images: list[np.ndarray] = []
    features: dict[str, list[np.ndarray]] = {network.name: [] for network in networks}
    probabilities: dict[str, list[np.ndarray]] = {n.name: [] for n in networks if n.probabilities is not None}
    for batch in batches:
        if (left := kept - sum(map(len, images))) > 0:
            images.append(np.array(batch[:left]))
        for network in networks:
            if network.probabilities is None:
                features[network.name].append(network(batch))
            else:
                of_batch, classes = network.classify(batch)
                features[network.name].append(of_batch)
                probabilities[network.name].append(classes)
    if not images:
        raise ValueError('there are no images to be looked at')
    return Seen(
        np.concatenate(images),
        {name: np.concatenate(parts) for name, parts in features.items()},
        {name: np.concatenate(parts) for name, parts in probabilities.items()},
    )


def scores(real: Seen, fake: Seen, *, k: int = K, seed: int = 0) -> dict[str, float]:
    """Every score of samples beside as many real images, by name.

    Args:
        real, fake: of the same networks; of as many images, or their scores mean less: most depend on the number.
        k: neighbours, below both numbers of images.
        seed: of what is drawn: places of patches, pairs, clusters.

    Returns:
        'patch_distance', 'laplacian_patch_distance' and 'ms_ssim', each where the images are large enough; with the
        network ``pixels`` also 'duplicates' and 'diversity'; and for every network 'NETWORK/precision' and so on, see
        ``SCORES``. Of Inception-v3 as FID uses it the distances are called 'FID' and 'KID'.

    Raises:
        ValueError: for too few images.
    """
    found = _of_images(jnp.asarray(real.images), jnp.asarray(fake.images), seed)
    if PIXELS in real.features:
        found |= _duplicates(real.features[PIXELS], fake.features[PIXELS])
    for name, of_real in real.features.items():
        own = _of_features(of_real, fake.features[name], k, seed)
        if name in real.probabilities:
            own |= _of_classes(real.probabilities[name], fake.probabilities[name])
        found |= {_named(name, what): value for what, value in own.items()}
    return found


class Copies(NamedTuple):
    """Whether samples are copies of the training set.

    Attributes:
        copies: share of the samples that are near-duplicates of a training image.
        of_data: the same share of new images; of training images beside the others where there are none held out.
        test: ``memorisation``, against these.
        held_out: whether they are images that were held out.
    """

    copies: float
    of_data: float
    test: Memorisation
    held_out: bool


def copies(samples: np.ndarray, train: np.ndarray, held_out: np.ndarray | None) -> Copies:
    """Whether samples are nearer to the training set than new images are.

    Near-duplicate means no farther than half the median distance from a training image to the nearest other one, twins
    left out.

    Args:
        samples, train, held_out: features (n, d), (m, d) and (h, d) by the network ``pixels``; None for no images held
            out: then each training image is one in its turn.

    Raises:
        ValueError: for fewer than two training images, and features that cannot be compared.
    """
    among = nearest_neighbours(train).distances[:, 0]
    test = memorisation(samples, train, held_out)
    near = NEAR * _typical(among)
    return Copies(
        float((test.distances <= near).mean()), float((test.held_out_distances <= near).mean()), test,
        held_out is not None,
    )  # fmt: skip


def _typical(distances: np.ndarray) -> float:
    """The median distance to the nearest other image, twins left out; 0 where there are only twins."""
    apart = distances[distances > 0]
    return float(np.median(apart)) if len(apart) else 0.0


def _of_images(real: Array, fake: Array, seed: int) -> dict[str, float]:
    found, key, side = {}, jax.random.key(seed), min(real.shape[1:3])
    if side >= PATCH:
        for name, distance in (
            ('patch_distance', patch_distance),
            ('laplacian_patch_distance', laplacian_patch_distance),
        ):
            found[name] = float(distance(real, fake, key, size=PATCH, patches=PATCHES))
    if side >= WINDOW and len(fake) > 1:
        found['ms_ssim'] = pairwise_ms_ssim(fake, key)
    return found


def _duplicates(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    typical = _typical(nearest_neighbours(real).distances[:, 0])
    if not typical:
        return {}
    among = nearest_neighbours(fake).distances[:, 0]
    return {'duplicates': float((among <= NEAR * typical).mean()), 'diversity': float(np.median(among)) / typical}


def _of_features(real: np.ndarray, fake: np.ndarray, k: int, seed: int) -> dict[str, float]:
    near = neighbour_scores(real, fake, k)
    bins = different_bins(real, fake, bins=max(2, min(100, len(real) // BIN)), seed=seed)
    found = {
        'precision': near.precision, 'recall': near.recall, 'density': near.density, 'coverage': near.coverage,
        'nearest_neighbour_accuracy': near.accuracy,
        'frechet_distance': frechet_distance(real, fake),
        'kernel_distance': kernel_distance(real, fake, seed=seed),
        'maximum_mean_discrepancy': maximum_mean_discrepancy(real[:FOR_MMD], fake[:FOR_MMD]),
        'different_bins': bins.share,
    }  # fmt: skip
    if (real != real[0]).any():  # otherwise nothing says what is alike
        found['support_size'] = support_size(real, fake).size
    return found


def _of_classes(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    count = real.shape[1]
    shares = (np.bincount(real.argmax(axis=1), minlength=count) + 1) / (len(real) + count)  # none is impossible
    coverage = class_coverage(fake.argmax(axis=1), count, shares)
    return {'inception_score': inception_score(fake), 'class_kl': coverage.kl}
