"""What an evaluation has found, for the figures, the page and the terminal."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from wgan_jax.data.images import Images
from wgan_jax.metrics.copies import Copies
from wgan_jax.metrics.scorecard import PIXELS, Seen, meaning_of
from wgan_jax.metrics.verdicts import Verdict
from wgan_jax.training.load import Generator
from wgan_jax.training.settings import Settings

NO_FAULT = 'No fault was found: by these scores neither collapsed nor memorised, narrow or unlike the data'


class Evaluation(NamedTuple):
    """An evaluated run.

    Attributes:
        settings, images: of the run.
        seed: of the samples.
        num: samples, and real images beside them.
        best_by: the score that says which checkpoint is the best.
        scale: the scores that another half of the data gets.
        by_step: the scores of every checkpoint.
        generator: of the best checkpoint.
        seen: its samples.
        places: of the training images among all, beside which they were looked for copies.
        copies: whether they are copies.
        faults: that they have.
    """

    settings: Settings
    images: Images
    seed: int
    num: int
    best_by: str
    scale: Mapping[str, float]
    by_step: Mapping[int, Mapping[str, float]]
    generator: Generator
    seen: Seen
    places: np.ndarray
    copies: Copies
    faults: list[Verdict]

    @property
    def scores(self) -> Mapping[str, float]:
        """Those of the best checkpoint."""
        return self.by_step[self.generator.step]

    @property
    def num_held_out(self) -> int:
        """Images that the run was not trained on."""
        return 0 if self.images.held_out is None else len(self.images.held_out)

    def curves(self) -> dict[str, np.ndarray]:
        """Every score over the checkpoints, NaN where it is missing."""
        return {name: np.array([found.get(name, np.nan) for found in self.by_step.values()]) for name in self.scores}


def told_apart(found: Evaluation) -> str:
    """How well samples are told from data, in a sentence."""
    name = f'{PIXELS}/nearest_neighbour_accuracy'
    return (
        f'By its nearest neighbour a picture is told to be real or a sample in {found.scores[name]:.0%} of cases, and '
        f'to be of one half of the data or the other in {found.scale[name]:.0%}, where guessing gives 50%.'
    )


def best_step(by_step: Mapping[int, Mapping[str, float]], name: str) -> int:
    """The step of the best score, of equal ones the first."""
    sign = 1 if meaning_of(name).better == 'lower' else -1
    return min(by_step, key=lambda step: sign * by_step[step][name])
