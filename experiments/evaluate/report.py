"""The page of an evaluation: what was found, in words, numbers and pictures."""

import html
import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.data.images import to_float
from wgan_jax.data.pictures import grid
from wgan_jax.latents import slerp
from wgan_jax.metrics.scorecard import meaning_of
from wgan_jax.training.classes import ROW, row_labels

from ..common import page
from .evaluation import Counts, Evaluation, no_fault, told_apart

SHOWN = 64  # samples, and real images
PAIRS = 24  # samples beside their nearest training image
WAYPOINTS, WALK = 5, 9  # latents; images from one to the next


def write_report(path: Path, found: Evaluation, scores: Path) -> None:
    """Writes the page.

    Args:
        path: of the HTML file.
        found: what it shows.
        scores: the figure of the scores.
    """
    step, settings = found.generator.step, found.settings
    name = str(settings.dataset).rstrip('/').rpartition('/')[2]
    held = found.num_held_out
    about = (
        f'Step {step:,} of {settings.steps:,}, trained on {len(found.images.pixels):,} images of {name} at '
        f'{settings.image_size}{f", {held:,} more held out" if held else ""}. {found.num:,} samples were compared with '
        f'as many real images.'
    )
    if len(found.by_step) > 1:
        about += f' It is the best of {len(found.by_step)} checkpoints by {found.best_by}.'
    body = [
        f'<p>{html.escape(about)}</p>',
        *(
            f'<p class="broken">{html.escape(fault.name.capitalize())}: {html.escape(fault.why)}.</p>'
            for fault in found.faults
        ),
        *([] if found.faults else [f'<p class="held">{html.escape(no_fault(found))}.</p>']),
        f'<p>{html.escape(told_apart(found))}</p>',
        *_section('Samples', *_samples(found)),
        *_section('Real images', 'As the generator is to learn them, none picked.', grid(_real(found))),
        *_section('Nearest training images', *_nearest(found)),
        *_section('From one latent to another', *_walk(found)),
        '<h2>Scores</h2>',
        '<p>Each is beside what another half of the data, of as many images, gets: a perfect generator would get the '
        'same. Single scores can be better than that and the samples worse, as blurred pictures lie in the middle of '
        'all others: what says most is how well samples are told from data. Scores can be compared between runs on the '
        'same data with as many samples, not between data or feature networks; what stands before the stroke is the '
        'network. Of a few hundred images all of them are rough.</p>',
        page.table(('score', 'samples', 'half of the data', 'better'), map(_row, *_columns(found))),
        *([page.figure(scores)] if len(found.by_step) > 1 else []),  # one point is no curve
        *itertools.chain.from_iterable(_classes(*each) for each in found.counts.items()),
    ]
    page.write(path, f'Evaluation of {name}, step {step}', ''.join(body))


def _section(title: str, caption: str, picture: np.ndarray) -> list[str]:
    return [f'<h2>{html.escape(title)}</h2>', f'<p>{html.escape(caption)}</p>', page.picture(picture, title)]


def _classes(network: str, counts: Counts) -> list[str]:
    rows = [
        [(name, ''), *((f'{of[i] / of.sum():.2%}', 'number') for of in (counts.samples, counts.data))]
        for i, name in enumerate(counts.classes)
    ]
    about = f'What {network} takes the images for. The generator has dropped what samples are of more rarely than data.'
    return [
        '<h2>Classes</h2>', f'<p>{html.escape(about)}</p>', page.table(('class', 'samples', 'half of the data'), rows)
    ]  # fmt: skip


def _columns(found: Evaluation) -> tuple[list[str], list[float], list[float]]:
    names = list(found.scores)
    return names, [found.scores[name] for name in names], [found.scale[name] for name in names]


def _row(name: str, value: float, scale: float) -> list[page.Cell]:
    score = meaning_of(name)
    return [
        (f'{name.replace("_", " ")}: {score.meaning}', ''), (f'{value:.4g}', 'number'), (f'{scale:.4g}', 'number'),
        (score.better, ''),
    ]  # fmt: skip


def _samples(found: Evaluation) -> tuple[str, np.ndarray]:
    generator = found.generator
    if not generator.classes:
        return 'The first ones, none picked.', grid(found.seen.images[:SHOWN])
    rows = row_labels(SHOWN, len(generator.classes))
    assert rows is not None
    names = ', '.join(generator.classes[number] for number in dict.fromkeys(rows.tolist()))
    images = generator.generate(generator.latents(jax.random.key(found.seed), SHOWN), rows)
    return f'None picked; rows of one class each: {names}.', grid(np.asarray(images), ROW)


def _real(found: Evaluation) -> np.ndarray:
    places = np.linspace(0, len(found.images.pixels) - 1, min(SHOWN, len(found.images.pixels))).round().astype(int)
    return np.asarray(to_float(found.images.pixels[places]))


def _nearest(found: Evaluation) -> tuple[str, np.ndarray]:
    test = found.copies.test
    kept = min(len(found.seen.images), len(test.nearest))
    nearest = np.argsort(test.distances[:kept], kind='stable')[: PAIRS // 2]
    places = np.concatenate([np.arange(min(PAIRS // 2, kept)), nearest])
    real = np.asarray(to_float(found.images.pixels[found.places[test.nearest[places]]]))
    pairs = np.stack([found.seen.images[places], real], axis=1).reshape(-1, *real.shape[1:])
    caption = (
        f'Samples on the left of each pair, on the right the training image that is nearest: first {PAIRS // 2} that '
        f'were not picked, then of {kept:,} those that are nearest to one (flat ones, mostly). Were both the same '
        f'picture, the generator would have learnt it by heart. '
        f'{found.copies.copies:.1%} of {len(test.distances):,} samples are near-duplicates of a training image; '
        f'{found.copies.of_data:.1%} of {"the images held out" if found.copies.held_out else "the training images"} '
        f'are of {"one" if found.copies.held_out else "another one"}.'
    )
    if found.settings.augment != 'none':
        caption += f' Training images are shown, and compared, as they are, without --augment={found.settings.augment}.'
    return caption, grid(pairs, ROW)


def _walk(found: Evaluation) -> tuple[str, np.ndarray]:
    generator = found.generator
    ends = generator.latents(jax.random.fold_in(jax.random.key(found.seed), 1), WAYPOINTS)
    t = jnp.linspace(0, 1, WALK)
    path = jnp.concatenate([slerp(a, b, t) for a, b in itertools.pairwise(ends)])
    labels = np.zeros(len(path), np.int32) if generator.classes else None
    of_class = f', all of class {generator.classes[0]}' if generator.classes else ''
    caption = (
        f'Along great circles, a row from each of {WAYPOINTS - 1} latents to the next{of_class}. Steps that jump, or '
        'stand still, are gaps in what was learnt.'
    )
    return caption, grid(np.asarray(generator.generate(path, labels)), WALK)
