"""Tells when a run goes wrong, from its metrics and from what its samples look like: with what usually helps."""

import collections
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from wgan_jax.training.settings import Settings

BEGINS = 200, 2_000  # steps; in between an eighth of a run: before, samples are alike in every run
ALIKE = 0.6  # of the data's diversity, at least
MORE_DUPLICATES = 0.2  # than twice the data's share
FAR = 0.6  # patch distance, in standard deviations of the real patches: that of noise, about
FIRST = 20  # lines of metrics, or steps
BEATEN = 0.8  # of the steps between two looks
VANISHING = 1e-3  # of the generator's gradient norm at first
RUNAWAY = 1_000.0  # gap between the scores of real images and of samples, with a critic that nothing bounds

_UPDATES = 'more critic updates (n_critic) usually help'


class Alarm:
    """Watches a run; what is wrong is said once, when two looks in a row have seen it.

    Args:
        settings: of the run.
        before: the metrics of its first steps, where it goes on.
    """

    def __init__(self, settings: Settings, before: Sequence[Mapping[str, Any]] = ()):
        low, high = BEGINS
        self._begins = max(low, min(settings.steps // 8, high))
        self._records: collections.deque[Mapping[str, Any]] = collections.deque(maxlen=5_000)
        norms = [norm for one in before[:FIRST] if (norm := one.get('generator_grad_norm')) is not None]
        self._gradient = statistics.median(norms) if norms else None  # the generator's, in the first steps
        self._before: set[str] = set()
        self._said: set[str] = set()

    def add(self, records: Sequence[Mapping[str, Any]]) -> None:
        """The metrics of the next steps."""
        self._records += records

    def look(self, record: Mapping[str, Any], duplicates_of_data: float) -> list[str]:
        """What has gone wrong, a line each.

        Args:
            record: the metrics of a step with samples, and what these look like.
            duplicates_of_data: the share of near-duplicates among as many real images.
        """
        records = [*self._records, record]
        self._records.clear()
        gradient = statistics.median(one['generator_grad_norm'] for one in records)
        if self._gradient is None:
            self._gradient = statistics.median(one['generator_grad_norm'] for one in records[:FIRST])
        if record['step'] < self._begins:
            return []
        found = self._seen(record, records, gradient, duplicates_of_data)
        lines = [text for kind, text in found.items() if kind in self._before and kind not in self._said]
        self._said |= found.keys() & self._before
        self._before = set(found)
        return [f'step {record["step"]}: {text}' for text in lines]

    def _seen(
        self, record: Mapping[str, Any], records: Sequence[Mapping[str, Any]], gradient: float, of_data: float
    ) -> dict[str, str]:
        found = {}
        looks = ('diversity', 'duplicates', 'patch_distance', 'gap')
        diversity, duplicates, patches, gap = (record[name] for name in looks)
        if diversity is not None and (diversity < ALIKE or duplicates > 2 * of_data + MORE_DUPLICATES):
            found['alike'] = (
                f'{duplicates:.0%} of the samples are near-duplicates (of the data {of_data:.0%}), and their diversity '
                f"is {diversity:.2g} of the data's: the generator has collapsed, or learns too slowly; {_UPDATES}, or "
                'other rates'
            )
        if patches is not None and patches > FAR:
            found['far'] = (
                f'the samples look no more like the data than noise does (patch distance {patches:.2g}): learning '
                'rates are too high or too low, or the constraint is too tight'
            )
        estimates = [one['wasserstein'] for one in records if one['wasserstein'] is not None]
        if estimates and sum(value <= 0 for value in estimates) >= BEATEN * len(estimates):
            found['beaten'] = (
                f'the critic is beaten: its estimate is 0 or less in most of the last {len(estimates)} steps; '
                f'{_UPDATES}, or a higher critic_lr'
            )
        assert self._gradient is not None  # it is of these records at the latest
        if gradient < VANISHING * self._gradient:
            found['vanishing'] = (
                f"the generator's gradient has vanished (norm {gradient:.2g}, at first {self._gradient:.2g}): an "
                'objective or a constraint under which a good critic still has a slope usually helps'
            )
        if gap is None or abs(gap) > RUNAWAY:
            by = 'more than all numbers' if gap is None else f'{gap:.2g}'
            found['runaway'] = (
                f'scores run away: those of real images and of samples differ by {by}; a constraint on the critic or '
                'a lower critic_lr usually helps'
            )
        return found
