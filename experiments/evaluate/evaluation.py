"""What an evaluation has found, for the figures, the page and the terminal."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from wgan_jax.data.images import Images
from wgan_jax.metrics.copies import Copies
from wgan_jax.metrics.features import FeatureNetwork
from wgan_jax.metrics.scorecard import PIXELS, Seen, meaning_of
from wgan_jax.metrics.verdicts import Verdict
from wgan_jax.training.load import Generator
from wgan_jax.training.settings import Settings

MOST_CLASSES = 60  # that are counted one by one
_FEW = 100  # images of which no fault says little


class Counts(NamedTuple):
    """How many images a classifier takes for each class.

    Attributes:
        classes: their names, (K,).
        samples, data: of each class, (K,): of the samples, and of as many real images.
    """

    classes: tuple[str, ...]
    samples: np.ndarray
    data: np.ndarray


def counts_of(networks: Iterable[FeatureNetwork], samples: Seen, data: Seen) -> dict[str, Counts]:
    """By every classifier whose classes have names, and are few enough to be read."""
    return {
        network.name: Counts(
            network.classes,
            *(np.bincount(of.probabilities[network.name].argmax(axis=1), minlength=k) for of in (samples, data)),
        )
        for network in networks
        if 0 < (k := len(network.classes)) <= MOST_CLASSES
    }


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
        counts: of its samples by class, by the name of the classifier.
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
    counts: Mapping[str, Counts]

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


def no_fault(found: Evaluation) -> str:
    """That there is none, in a sentence, and what that is worth."""
    few = f'; of {found.num} samples and as many images that says little' if found.num < _FEW else ''
    return f'No fault was found: by these scores neither collapsed nor memorised, narrow or unlike the data{few}'


def told_apart(found: Evaluation) -> str:
    """How well samples are told from data, in a sentence."""
    name = f'{PIXELS}/nearest_neighbour_accuracy'
    return (
        f'How well samples are told from data: by its nearest neighbour a picture is told to be real or a sample in '
        f'{found.scores[name]:.0%} of cases; two halves of the data, which nobody could tell apart, are in '
        f'{found.scale[name]:.0%}.'
    )


def best_step(by_step: Mapping[int, Mapping[str, float]], name: str) -> int:
    """The step of the best score, of equal ones the first."""
    sign = 1 if meaning_of(name).better == 'lower' else -1
    return min(by_step, key=lambda step: sign * by_step[step][name])
