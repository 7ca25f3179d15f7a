"""What is wrong with samples, in words, by their scores beside those of another half of the data.

>>> fair = {'duplicates': 0.02, 'pixels/precision': 0.7, 'pixels/recall': 0.7, 'pixels/coverage': 0.9}
>>> verdicts(fair, fair, None, 100)
[]
>>> [verdict.name for verdict in verdicts({**fair, 'duplicates': 0.6, 'pixels/recall': 0.05}, fair, None, 100)]
['collapsed', 'narrow']
"""

from collections.abc import Mapping
from typing import NamedTuple

from wgan_jax.metrics.copies import Copies

SURE = 1e-3  # p-value below which samples are nearer to the training set than by chance
TIMES, MORE = 2.0, 0.05  # a share is too large from so many times that of the data on, and so much more
PART = 0.5  # of what the data get: a share is too small below
# Chances that a sample is nearer to the training set than new data, and nearer to one training image beside others:
# more was learnt by heart.
KNOWN, SINGLED_OUT = 0.8, 0.65
TOLD, MORE_TOLD = 0.9, 0.3  # share of pictures that are told apart; so much more than those of two halves of the data


class Verdict(NamedTuple):
    """A fault by its name, and the numbers that say so."""

    name: str
    why: str


def verdicts(scores: Mapping[str, float], scale: Mapping[str, float], copies: Copies | None, num: int) -> list[Verdict]:
    """The faults that samples have, the worst first; none where nothing was found.

    - collapsed: more near-duplicates among the samples than twice the data's share, 5 % more, and more than chance
      gives (p < 0.001);
    - memorised: as many more near-duplicates of training images, or samples that are nearer to the training set than
      new images in four of five comparisons, and nearer to one training image beside the second nearest in two of
      three (both p < 0.001); new images are those held out, or each training image beside the others;
    - unlike: precision, by any network, below half of that of another half of the data, or nine of ten pictures told
      to be real or a sample by their nearest neighbour, by every network;
    - narrow: recall, by any network, below half of that, or, by any classifier, classes that samples are of less than
      half as often, and not by chance (p < 0.001).

    Args:
        scores: of the samples, as ``Scorecard`` gives them.
        scale: the same of as many other real images.
        copies: of the samples; None where that is not known.
        num: samples, and real images beside them.
    """
    found = []
    pairs = num // 2  # near-duplicates come two at a time, at the least
    if too_many(scores.get('duplicates', 0.0), scale.get('duplicates', 0.0), pairs, pairs):
        why = f'{scores["duplicates"]:.0%} of the samples are near-duplicates of another one, {scale["duplicates"]:.0%}'
        found.append(Verdict('collapsed', f'{why} of the data are'))
    if copies is not None:
        beside = 'images held out' if copies.held_out else 'training images beside the others'
        nearer, singled_out = copies.nearer, copies.singled_out
        known = copies.test.statistic > KNOWN and nearer.probability > KNOWN and singled_out.probability > SINGLED_OUT
        known = known and max(nearer.p_value, singled_out.p_value) < SURE
        counts = len(copies.test.distances), len(copies.test.held_out_distances)
        if too_many(copies.copies, copies.of_data, *counts) or known:
            found.append(
                Verdict(
                    'memorised',
                    f'{copies.copies:.0%} of the samples are near-duplicates of a training image, {copies.of_data:.0%} '
                    f'of {beside} are; {copies.test.statistic:.0%} of comparisons find the sample nearer to the '
                    f'training set, {singled_out.probability:.0%} nearer to one of its images beside others',
                )
            )
    reasons = {'unlike': _told(scores, scale), 'narrow': []}
    for name, fault in (('precision', 'unlike'), ('recall', 'narrow')):
        low = {
            network: (value, scale[network])
            for network, value in scores.items()
            if network.endswith(f'/{name}') and value < PART * scale[network]
        }
        if low:
            said = ', '.join(f'{network} {value:.2f} of {whole:.2f}' for network, (value, whole) in low.items())
            what = {'narrow': 'much of the data is not among the samples', 'unlike': 'many samples lie off the data'}
            reasons[fault].append(f'{what[fault]}: {said} that data reach')
    if missing := {name: int(n) for name, n in scores.items() if name.endswith('/missing_classes') and n}:
        said = ', '.join(f'{n} by {name.rpartition("/")[0]}' for name, n in missing.items())
        reasons['narrow'].append(f'samples are of some classes less than half as often as the data: {said}')
    return [*found, *(Verdict(name, '; '.join(whys)) for name, whys in reasons.items() if whys)]


def _told(scores: Mapping[str, float], scale: Mapping[str, float]) -> list[str]:
    """That samples are told from data by every network; nothing where they are not."""
    told = {name: value for name, value in scores.items() if name.endswith('/nearest_neighbour_accuracy')}
    if not told or any(value < max(TOLD, scale[name] + MORE_TOLD) for name, value in told.items()):
        return []
    said = ', '.join(f'{value:.0%} by {name.rpartition("/")[0]}' for name, value in told.items())
    return [f'pictures are told to be real or samples by their nearest neighbour: {said}']


def too_many(share: float, of_data: float, count: int, count_of_data: int) -> bool:
    """Whether a share of so many samples is far above that of so many real images, and not by chance."""
    if share <= max(TIMES * of_data, of_data + MORE):
        return False
    from scipy.stats import hypergeom  # slow to import

    hits, others = round(share * count), round(of_data * count_of_data)
    return float(hypergeom.sf(hits - 1, count + count_of_data, hits + others, count)) < SURE
