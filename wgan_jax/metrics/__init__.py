"""How good samples are, as numbers; METRICS.md says what each of them sees.

Those on features take matrices (n, d), a row for each image, by any network or of the pixels themselves, and work on
the host in float64; those on images take (N, H, W, C) in [-1, 1].
"""

from wgan_jax.metrics.bins import DifferentBins, different_bins
from wgan_jax.metrics.classes import ClassCoverage, class_coverage, inception_score, inception_scores, missing_classes
from wgan_jax.metrics.copies import Memorisation, SupportSize, memorisation, support_size
from wgan_jax.metrics.duplicates import nearest_distances
from wgan_jax.metrics.frechet import Moments, frechet_distance, frechet_of_moments
from wgan_jax.metrics.kernels import (
    KernelDistance,
    kernel_distance,
    kernel_distance_and_error,
    maximum_mean_discrepancy,
)
from wgan_jax.metrics.manifold import (
    DensityCoverage,
    NeighbourScores,
    PrecisionRecall,
    density_coverage,
    nearest_neighbour_accuracy,
    neighbour_scores,
    precision_recall,
)
from wgan_jax.metrics.modes import ModeCoverage, mode_coverage
from wgan_jax.metrics.neighbours import Neighbours, nearest_neighbours
from wgan_jax.metrics.patches import laplacian_patch_distance, patch_distance
from wgan_jax.metrics.similarity import ms_ssim, pairwise_ms_ssim

__all__ = [
    'ClassCoverage',
    'DensityCoverage',
    'DifferentBins',
    'KernelDistance',
    'Memorisation',
    'ModeCoverage',
    'Moments',
    'NeighbourScores',
    'Neighbours',
    'PrecisionRecall',
    'SupportSize',
    'class_coverage',
    'density_coverage',
    'different_bins',
    'frechet_distance',
    'frechet_of_moments',
    'inception_score',
    'inception_scores',
    'kernel_distance',
    'kernel_distance_and_error',
    'laplacian_patch_distance',
    'maximum_mean_discrepancy',
    'memorisation',
    'missing_classes',
    'mode_coverage',
    'ms_ssim',
    'nearest_distances',
    'nearest_neighbour_accuracy',
    'nearest_neighbours',
    'neighbour_scores',
    'pairwise_ms_ssim',
    'patch_distance',
    'precision_recall',
    'support_size',
]
