"""All scores of samples beside real images, from one pass over each.

>>> from wgan_jax.metrics.features import feature_network
>>> generator = np.random.default_rng(0)
>>> first, second, flat = generator.uniform(-1, 1, (3, 200, 16, 16, 1)).astype(np.float32)
>>> networks = [feature_network('pixels')]
>>> real, fair, shifted = (look([images], networks) for images in (first, second, np.clip(flat + 0.5, -1, 1)))
>>> scores = Scorecard(real)
>>> scores(fair)['pixels/precision'] > scores(shifted)['pixels/precision']
True
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.metrics.bins import different_bins, k_means
from wgan_jax.metrics.checks import as_features
from wgan_jax.metrics.classes import class_coverage, inception_score, missing_classes
from wgan_jax.metrics.copies import support_of, typical_distance
from wgan_jax.metrics.duplicates import NEAR
from wgan_jax.metrics.features.network import FeatureNetwork
from wgan_jax.metrics.frechet import frechet_distance
from wgan_jax.metrics.kernels import kernel_distance, maximum_mean_discrepancy, median_distance
from wgan_jax.metrics.manifold import Own, compare, own
from wgan_jax.metrics.neighbours import check_neighbours
from wgan_jax.metrics.patches import laplacian_patch_distance, patch_distance
from wgan_jax.metrics.similarity import WINDOW, pairwise_ms_ssim
from wgan_jax.types import Array

NEIGHBOURS = 5  # k, as of density and coverage
KEPT, KEPT_PIXELS, FEWEST_KEPT = 2_048, 2**25, 64  # images themselves, of each set; of large ones fewer
PATCH, PATCHES = 7, 16  # pixels a side; of each image at each level
FOR_MMD = 2_000  # rows: it compares all pairs three times
BIN, FEWEST_BINS, MOST_BINS = 50, 10, 100  # rows of the data in a bin, on average; bins
PIXELS = 'pixels'  # the network by which duplicates and copies are found

OF_FEATURES = (
    'precision', 'recall', 'density', 'coverage', 'nearest_neighbour_accuracy', 'frechet_distance', 'kernel_distance',
    'maximum_mean_discrepancy', 'different_bins', 'support_size',
)  # fmt: skip
OF_PIXELS = ('duplicates', 'diversity')
OF_CLASSES = ('inception_score', 'class_kl', 'classes', 'rarest_class', 'missing_classes')
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
    'support_size': Score('higher', 'how many different things samples show at least (95 %), by their near-duplicates'),
    'inception_score': Score('higher', 'how sure and how varied the classes of the samples are'),
    'class_kl': Score('lower', 'Kullback-Leibler divergence of the classes of the samples from those of the data'),
    'classes': Score('higher', 'how many classes the samples are of'),
    'rarest_class': Score('higher', 'share of the samples that are of the rarest class, of those that the data have'),
    'missing_classes': Score('lower', 'classes that samples are of less than half as often as data, and not by chance'),
    'copies': Score('like data', 'share of samples that are near-duplicates of a training image'),
    'memorisation': Score('like data', 'how often a sample is nearer to the training set than new data are'),
}


def meaning_of(name: str) -> Score:
    """How a score is to be read, by its name as ``Scorecard`` gives it."""
    return SCORES[name.rpartition('/')[2]]


def num_bins(num: int) -> int:
    """How many clusters so many images are put into; 0 for too few images."""
    return min(MOST_BINS, num // BIN) if num >= FEWEST_BINS * BIN else 0


def score_names(networks: Iterable[FeatureNetwork], num: int, height: int, width: int) -> list[str]:
    """The scores that there are of so many images of a size, by name; where images are all equal, some are missing."""
    side = min(height, width)
    names = ['patch_distance', 'laplacian_patch_distance'] * (side >= PATCH) + ['ms_ssim'] * (side >= WINDOW)
    for network in networks:
        whats = OF_FEATURES + (OF_PIXELS if network.name == PIXELS else ())
        whats += OF_CLASSES if network.probabilities is not None else ()
        names += [_named(network.name, what) for what in whats if what != 'different_bins' or num_bins(num)]
    return [*names, 'copies', 'memorisation']


def _named(network: str, what: str) -> str:
    """Only one network's number is called FID."""
    if what in OF_PIXELS:
        return what
    return _FID[what] if network == 'inception_v3' and what in _FID else f'{network}/{what}'


class Seen(NamedTuple):
    """What scores are made of.

    Attributes:
        images: the first of the images themselves, up to 2,048 and of large ones fewer, (n, H, W, C) in [-1, 1].
        features: of all images, by feature network, (N, d).
        probabilities: of all images, by those networks that are classifiers, (N, K).
    """

    images: np.ndarray
    features: dict[str, np.ndarray]
    probabilities: dict[str, np.ndarray]


def look(batches: Iterable[np.ndarray], networks: Sequence[FeatureNetwork], *, kept: int | None = None) -> Seen:
    """Features of a stream of images, of which no more than a batch and the first few are held.

    Args:
        batches: of images (n, H, W, C) in [-1, 1].
        networks: of different names.
        kept: images that are kept themselves; None: as many as ``Seen`` says.

    Raises:
        ValueError: for no images, and for what a network does not take.
    """
    images: list[np.ndarray] = []
    features: dict[str, list[np.ndarray]] = {network.name: [] for network in networks}
    probabilities: dict[str, list[np.ndarray]] = {n.name: [] for n in networks if n.probabilities is not None}
    for batch in batches:
        if kept is None:
            kept = min(KEPT, max(FEWEST_KEPT, KEPT_PIXELS // (batch.shape[1] * batch.shape[2])))
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


class _Known(NamedTuple):
    """What of the features of real images serves beside any samples."""

    centre: np.ndarray
    own: Own
    clusters: np.ndarray | None
    typical: float
    bandwidth: float


class Scorecard:
    """Scores of samples beside real images, by name.

    They are 'patch_distance', 'laplacian_patch_distance' and 'ms_ssim', each where the images are large enough; with
    the network ``pixels`` also 'duplicates' and 'diversity'; and for every network 'NETWORK/precision' and so on, see
    ``SCORES``. Of Inception-v3 as FID uses it the distances are called 'FID' and 'KID'.

    Args:
        real: images of the data.
        k: neighbours, below the number of images.
        seed: of what is drawn: places of patches, pairs, clusters.

    Raises:
        ValueError: for too few images, and features that are not finite.
    """

    def __init__(self, real: Seen, *, k: int = NEIGHBOURS, seed: int = 0):
        self._real, self._k, self._seed = real, k, seed
        self._known = {name: self._know(features) for name, features in real.features.items()}

    def _know(self, real: np.ndarray) -> _Known:
        (points,) = as_features(real=real)
        check_neighbours('real', len(points), self._k)
        centre = points.mean(axis=0)
        of_real = own(points - centre, self._k)
        bins = num_bins(len(points))
        clusters = k_means(points, bins, seed=self._seed) if bins else None
        typical = typical_distance(np.sqrt(of_real.nearest))
        return _Known(centre, of_real, clusters, typical, median_distance(points, points))

    def __call__(self, fake: Seen) -> dict[str, float]:
        """The scores of samples, seen by the same networks; of as many as there are real images, or they mean less.

        Raises:
            ValueError: for too few samples.
        """
        found = _of_images(jnp.asarray(self._real.images), jnp.asarray(fake.images), self._seed)
        for name, features in fake.features.items():
            scores = self._of_features(name, features)
            if name in fake.probabilities:
                scores |= _of_classes(self._real.probabilities[name], fake.probabilities[name])
            found |= {_named(name, what): value for what, value in scores.items()}
        return found

    def _of_features(self, name: str, features: np.ndarray) -> dict[str, float]:
        known, real = self._known[name], self._real.features[name]
        (points,) = as_features(fake=features)
        check_neighbours('fake', len(points), self._k)
        of_fake = own(points - known.centre, self._k, NEAR * known.typical)
        near = compare(known.own, of_fake, self._k)
        found = {
            'precision': near.precision, 'recall': near.recall, 'density': near.density, 'coverage': near.coverage,
            'nearest_neighbour_accuracy': near.accuracy,
            'frechet_distance': frechet_distance(real, features),
            'kernel_distance': kernel_distance(real, features, seed=self._seed),
            'maximum_mean_discrepancy': maximum_mean_discrepancy(
                real[:FOR_MMD], features[:FOR_MMD], bandwidths=[known.bandwidth]
            ),
        }  # fmt: skip
        if known.clusters is not None:
            found['different_bins'] = different_bins(real, features, centres=known.clusters).share
        if known.typical:  # otherwise nothing says what is alike
            threshold, among = NEAR * known.typical, np.sqrt(of_fake.nearest)
            found['support_size'] = support_of(of_fake.alike, len(points), threshold).low
            if name == PIXELS:
                found['duplicates'] = float((among <= threshold).mean())
                found['diversity'] = float(np.median(among)) / known.typical
        return found


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


def _of_classes(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    count = real.shape[1]
    of_real = np.bincount(real.argmax(axis=1), minlength=count)
    coverage = class_coverage(fake.argmax(axis=1), count, (of_real + 1) / (len(real) + count))  # none is impossible
    return {
        'inception_score': inception_score(fake), 'class_kl': coverage.kl, 'classes': coverage.captured,
        'rarest_class': float(coverage.counts[of_real > 0].min() / len(fake)),
        'missing_classes': missing_classes(coverage.counts, of_real),
    }  # fmt: skip
