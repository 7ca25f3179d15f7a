"""Is it any good? Scores of a run beside two halves of its data, faults by name, and a page of pictures.

Nothing is downloaded: features are pixels and random convolutions, or networks whose weights lie in files that you
name. Everything is written into WORKDIR/evaluate/, where WORKDIR is the run's folder.
"""

import contextlib
import logging
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from wgan_jax import memory
from wgan_jax.data.images import Images
from wgan_jax.files import atomic_path
from wgan_jax.metrics.copies import find_copies
from wgan_jax.metrics.features import FeatureNetwork, feature_network
from wgan_jax.metrics.scorecard import NEIGHBOURS, PIXELS, Scorecard, meaning_of, score_names
from wgan_jax.metrics.verdicts import verdicts
from wgan_jax.ranges import COUNT, whole
from wgan_jax.text import printable
from wgan_jax.training.checkpoint import CheckpointStore, digest_of
from wgan_jax.training.classes import record_of
from wgan_jax.training.contents import changes_of
from wgan_jax.training.dataset import ARRAY, with_images
from wgan_jax.training.draws import first_places
from wgan_jax.training.folder import read_run, settings_of
from wgan_jax.training.load import load
from wgan_jax.training.settings import Settings

from ..common import launcher
from ..common.best import say_of_best
from ..common.flagtypes import define_number, define_text
from ..common.reading import Reading
from ..common.tables import text_table
from . import figures, report, sets
from .evaluation import Evaluation, best_step, counts_of, no_fault, told_apart

STEP = define_number('step', None, 'Checkpoint to evaluate (default: the newest).', whole(0))
ALL = flags.DEFINE_bool('all', False, 'Evaluate every checkpoint that is kept, with curves over training.')
EMA = flags.DEFINE_bool('ema', True, "Sample from the generator's moving average.")
NUM = define_number('num', 10_000, 'Samples, and real images beside them: at most half of the data.', whole(2, 10**6))
FEATURES = define_text(
    'features', 'pixels,random_conv', 'Feature networks, of which pixels is always one: random_conv, classifier:FILE, '
    'classifier_by_channel:FILE, inception_v3:FILE, dinov2_vitb14:FILE, dinov2_vitl14:FILE.',
)  # fmt: skip
K = define_number('k', NEIGHBOURS, 'Neighbours of precision, recall, density and coverage.', COUNT)
BEST_BY = define_text(
    'best_by', 'patch_distance', 'The score that says which checkpoint is the best: its name in results.json.'
)

logger = logging.getLogger('wgan_jax.evaluate')

OUTPUTS = ('report.html', 'scores.png', 'scores.npz')
LEAST_COMPARED = 1_000  # samples that are looked at for copies, however small the set is
MOST_COMPARED = 100_000  # training images beside which samples are looked for copies


def main() -> int:
    """Reads the flags, evaluates, and returns the exit status."""
    began = time.monotonic()
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            workdir = Path(launcher.WORKDIR.value or 'runs/flags')
            config = read_run(workdir)
            networks = _networks()
            steps = _steps(workdir)
            settings, images = _images(workdir, config)
            num = _number(images)
            _check_best_by(networks, images, num)
            _check_networks(networks, images, num)
            folder = held.enter_context(launcher.results_folder('evaluate', workdir / 'evaluate'))
        launcher.require_ours(folder, OUTPUTS)
        if STEP.value is None and not ALL.value:
            say_of_best(workdir, steps[-1])
        if num < NUM.value and flags.FLAGS['num'].present:
            logger.warning(f'{num} samples in place of {NUM.value}: there are no more images in a half of the data')
        with launcher.usage_errors():  # features that are not finite, of a network that does not fit
            found = _evaluate(workdir, steps, settings, images, num, networks)
        # From here on: until there are new results, the old ones stay.
        chosen = launcher.values_of(STEP, ALL, EMA, NUM, FEATURES, K, BEST_BY)
        relative = os.path.relpath(workdir, folder)
        launcher.begin(folder, OUTPUTS, launcher='evaluate', run=relative, steps=steps, flags=chosen)
        figures.draw_scores(folder / 'scores.png', found)
        with atomic_path(folder / 'scores.npz') as temporary:
            scale = {f'scale/{name}': value for name, value in found.scale.items()}
            np.savez(temporary, steps=np.array(list(found.by_step)), **found.curves(), **scale)
        report.write_report(folder / 'report.html', found, folder / 'scores.png')
        launcher.write_results(folder, _results(found))
    _say(folder, found, time.monotonic() - began)
    return 0


def _evaluate(
    workdir: Path, steps: list[int], settings: Settings, images: Images, num: int, networks: list[FeatureNetwork]
) -> Evaluation:
    first, second = sets.halves(settings, images, num, networks)
    scores = Scorecard(first, k=K.value)
    scale = scores(second)
    best_by = BEST_BY.value if BEST_BY.value in scale else f'{PIXELS}/frechet_distance'
    pixels = next(network for network in networks if network.name == PIXELS)
    places = np.arange(len(images.pixels))
    if len(places) > MOST_COMPARED:  # some of every class
        places = first_places(len(places), settings.seed, MOST_COMPARED, batch_size=settings.batch_size)
    train = sets.features_of(images.pixels, pixels, places)
    held_out = None
    if images.held_out is not None and len(images.held_out):
        held_out = sets.features_of(images.held_out, pixels, np.arange(len(images.held_out)))
    by_step: dict[int, dict[str, float]] = {}
    for step in steps:
        try:
            generator = load(workdir, step, EMA.value)
        except ValueError as error:
            if len(steps) == 1:
                raise
            logger.warning(f'left out: {error}')
            continue
        drawn = sets.samples(generator, launcher.seed(), max(num, LEAST_COMPARED), networks)
        test = find_copies(drawn.features[PIXELS], train, held_out)
        seen = sets.first(drawn, num)  # as many as there are real images beside them
        by_step[step] = scores(seen) | {'copies': test.copies, 'memorisation': test.test.statistic}
        if step == best_step(by_step, best_by):
            best = generator, seen, test
    if not by_step:
        raise ValueError(f'{workdir} has no sound checkpoint')
    generator, seen, test = best
    scale |= {'copies': test.of_data, 'memorisation': 0.5}
    faults = verdicts(by_step[generator.step], scale, test, num)
    return Evaluation(
        settings, images, launcher.seed(), num, best_by, scale, by_step, generator, seen, places, test, faults,
        counts_of(networks, seen, second),
    )  # fmt: skip


def _networks() -> list[FeatureNetwork]:
    specs = [spec.strip() for spec in FEATURES.value.split(',')]
    networks = [feature_network(spec) for spec in dict.fromkeys([PIXELS, *filter(None, specs)])]
    names = [network.name for network in networks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f'features={printable(FEATURES.value, 200)}: {twice[0]} is named twice')
    return networks


def _check_best_by(networks: list[FeatureNetwork], images: Images, num: int) -> None:
    names = score_names(networks, num, *images.pixels.shape[1:3])
    directed = [name for name in names if meaning_of(name).better != 'like data']
    if BEST_BY.value not in directed and flags.FLAGS['best_by'].present:
        raise ValueError(
            f'best_by={printable(BEST_BY.value, 80)} is no score here of which less or more is better; there are: '
            f'{", ".join(directed)}'
        )


def _check_networks(networks: list[FeatureNetwork], images: Images, num: int) -> None:
    """Tries every network on two images. Raises ValueError for what it does not take, and for too little memory."""
    widths = [network(images.pixels[:2]).shape[1] for network in networks]
    memory.require(
        6 * 8 * num * max(widths) + 3 * 4 * num * sum(widths), f'num={num} samples by {len(widths)} networks'
    )


def _steps(workdir: Path) -> list[int]:
    """The checkpoints to evaluate, the oldest first."""
    kept = CheckpointStore(workdir / 'checkpoints').steps()
    if not ALL.value:
        return [load(workdir, STEP.value, EMA.value).step]
    if STEP.value is not None:
        raise ValueError(f'step={STEP.value} has no effect with all: leave one of them out')
    if not kept:
        raise ValueError(f'{workdir} has no checkpoint yet: let the run reach its first one')
    return kept


def _images(workdir: Path, config: dict[str, Any]) -> tuple[Settings, Images]:
    settings = settings_of(config)
    if settings.dataset == ARRAY:
        raise ValueError(
            f'{workdir} was given its images as an array, which is not kept: put them into a folder of PNG files and '
            'train on that, or use wgan_jax.metrics from Python'
        )
    settings, images = with_images(settings, on_progress=Reading())
    if record_of(settings, images)['fingerprint'] != config['dataset']['fingerprint']:
        what = changes_of(workdir, images)
        raise ValueError(
            f'{settings.dataset} has changed since {workdir} was trained on it{": " + what if what else ""}: put back '
            'what it was'
        )
    return settings, images


def _number(images: Images) -> int:
    """How many samples, real images of one half, and of the other."""
    num = min(NUM.value, len(images.pixels) // 2)
    if num <= K.value:
        would = f'--k={num - 1} would do' if num > 1 else 'more images would do'
        raise ValueError(
            f'k={K.value} neighbours need more than {K.value} images in each half of the data, and there are {num}: '
            f'{would}'
        )
    return num


def _results(found: Evaluation) -> dict[str, Any]:
    return {
        'scores': found.scores, 'best_step': found.generator.step, 'best_by': found.best_by, 'scale': found.scale,
        'faults': [fault._asdict() for fault in found.faults],
        'by_step': {str(step): scores for step, scores in found.by_step.items()},
        'samples': found.num, 'compared_with': len(found.places), 'held_out': found.num_held_out,
        'generator': digest_of(found.generator.variables),
        'classes': {
            network: {
                name: {'samples': int(n), 'data': int(m)}
                for name, n, m in zip(counts.classes, counts.samples, counts.data, strict=True)
            }
            for network, counts in found.counts.items()
        },
    }  # fmt: skip


def _say(folder: Path, found: Evaluation, seconds: float) -> None:
    rows = [
        [name, f'{value:.4g}', f'{found.scale[name]:.4g}', meaning_of(name).better]
        for name, value in found.scores.items()
    ]
    print(text_table(['score', f'step {found.generator.step}', 'half of the data', 'better'], rows))
    if len(found.by_step) > 1:
        print(f'Best of {len(found.by_step)} checkpoints by {found.best_by}: step {found.generator.step}')
    for fault in found.faults:
        print(f'{fault.name.upper()}: {fault.why}')
    if not found.faults:
        print(no_fault(found))
    print(told_apart(found))
    print(f'Done in {seconds:.0f} seconds. Look at {folder}/report.html; the numbers are in {folder}/results.json')


if __name__ == '__main__':
    launcher.run(main)
