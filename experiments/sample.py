"""Sample from a trained run: a grid, single images, and a walk between latents along great circles.

Everything is written into WORKDIR/sample/, where WORKDIR is the folder of a run, or of an exported generator.
"""

import contextlib
import hashlib
import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from tqdm import tqdm

from wgan_jax import memory
from wgan_jax.data.images import to_uint8
from wgan_jax.data.pictures import grid_bytes
from wgan_jax.files import atomic_path, make_folder, remove_leftovers, set_aside
from wgan_jax.json_files import read_json
from wgan_jax.latents import TRUNCATIONS, slerp
from wgan_jax.ranges import COUNT, real, whole
from wgan_jax.text import reason
from wgan_jax.training.checkpoint import digest_of
from wgan_jax.training.classes import ROW, number_of, row_labels
from wgan_jax.training.load import Generator, load

from .common import launcher, pictures
from .common.best import say_of_best
from .common.flagtypes import define_number, define_text
from .export.explore import EXPLORE, try_explore

NUM = define_number('num', 64, 'How many images.', COUNT)
STEP = define_number('step', None, 'Checkpoint to sample from (default: the newest).', whole(0))
EMA = flags.DEFINE_bool('ema', True, "Sample from the generator's moving average.")
LABEL = define_text(
    'label', None, 'Of a conditional run: the class, by name or number (default: rows of one class each).'
)
ROWS = define_text(
    'rows', None,
    'Of a conditional run: classes, by names or numbers with commas between them, or all: a row of the grid for each, '
    'of the same latents (--columns of them, by default 8).',
)  # fmt: skip
SEEDS = define_text(
    'seeds',
    None,
    'One image of each of these seeds, such as 0-63, in place of --num, whatever the others are.',
)
LATENTS = define_text(
    'latents', None, 'File of the latent vectors, (N, size), in place of random ones: .npy, or .npz with one array.'
)
TRUNCATION = define_number(
    'truncation', None,
    'No coordinate of a random latent vector is beyond this, of normal ones in standard deviations, as if drawn again '
    'until it is not (the truncation trick, Brock et al. 2019): fewer odd samples for less variety.',
    real(0.01, 5),
)  # fmt: skip
COLUMNS = define_number('columns', None, 'Images in a row of the grid (default: about square).', COUNT)
SINGLES = flags.DEFINE_bool('singles', True, 'Also write each image as a PNG of its own size.')
ENLARGE = define_number('enlarge', None, 'Each pixel of a single PNG is so many wide and high.', whole(1, 64))
WAYPOINTS = define_number(
    'waypoints', 5, 'Latents that the interpolation visits; it returns to the first.', whole(2, 1000)
)
FRAMES = define_number('frames', 16, 'Images between two waypoints.', COUNT)

OUTPUTS = ('grid.png', 'strip.png', 'interpolation.gif', 'samples.npz', EXPLORE)
STRIP_STEPS = 9  # images in each row of the strip, both ends included


class Chosen(NamedTuple):
    """What is to be drawn.

    Attributes:
        numbers: of the single images, one for each.
        label: the class of all, and of the walk.
        rows: the classes of the rows, which share their latents.
        seeds: one for each latent vector.
        latents: from a file.
    """

    numbers: range
    label: int | None = None
    rows: Sequence[int] = ()
    seeds: range | None = None
    latents: np.ndarray | None = None

    def record(self) -> dict[str, Any]:
        """What ``config.json`` says of it besides the flags that there always were."""
        flags_given = (ROWS, SEEDS, LATENTS, TRUNCATION, ENLARGE)
        given: dict[str, Any] = {flag.name: flag.value for flag in flags_given if flag.value is not None}
        if self.latents is not None:
            given['latents_sha256'] = hashlib.sha256(self.latents.tobytes()).hexdigest()
        return {**given, 'numbers': [self.numbers.start, self.numbers.stop]} if given else {}


def main() -> int:
    """Reads the flags and writes the pictures; returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            _require_effects()
            workdir = Path(launcher.WORKDIR.value or 'runs/flags')
            generator = load(workdir, STEP.value, EMA.value)
            chosen = _chosen(generator)
            _require_memory(generator, len(chosen.numbers))
            folder = held.enter_context(launcher.results_folder('sample', workdir / 'sample'))
        if STEP.value is None:
            say_of_best(workdir, generator.step)
        before = _singles_before(folder)
        singles = [_single(i) for i in chosen.numbers] if SINGLES.value else []
        recorded = launcher.values_of(NUM, LABEL, COLUMNS, EMA, SINGLES, WAYPOINTS, FRAMES) | chosen.record()
        for name in sorted({*singles} - {*before}):
            if os.path.lexists(folder / name):
                set_aside(folder / name, 'it is not of the call before', folder)
        launcher.begin(
            folder, (*OUTPUTS, *sorted({*before, *singles})),
            launcher='sample', run=os.path.relpath(workdir, folder),  # that may be handed on with it
            step=generator.step, generator=digest_of(generator.variables), flags=recorded,
        )  # fmt: skip
        sample_key, walk_key = jax.random.split(jax.random.key(launcher.seed()))
        images = _samples(generator, sample_key, chosen)
        columns = COLUMNS.value or (ROW if generator.classes and chosen.label is None else None)
        if chosen.rows:
            columns = len(images) // len(chosen.rows)
        pictures.save_png(folder / 'grid.png', pictures.grid(images, columns))
        if SINGLES.value:
            _write_singles(folder, chosen.numbers, to_uint8(images))
        label = chosen.rows[0] if chosen.rows else chosen.label or 0
        ends, walk = _walk(generator, walk_key, label)
        pictures.save_gif(folder / 'interpolation.gif', [pictures.grid(frame[None]) for frame in walk], seconds=0.06)
        strip = _strip(generator, ends, label)
        pictures.save_png(folder / 'strip.png', pictures.grid(strip, STRIP_STEPS))
        with atomic_path(folder / 'samples.npz') as temporary:
            np.savez(temporary, samples=images, strip=strip)
        explored = try_explore(folder / EXPLORE, generator, workdir)
        launcher.write_results(folder, {'step': generator.step, 'images': len(images), 'frames': len(walk)})
    print(f'{len(images)} samples of step {generator.step} in {folder}/: grid.png, strip.png, interpolation.gif')
    if explored:
        print(f'{folder}/{EXPLORE} runs the generator in a browser')
    return 0


def _singles_before(folder: Path) -> list[str]:
    """The single images that the call before has written: others in their folder are the user's."""
    try:
        flags_before = read_json(folder / 'config.json', {'flags': {'num': int, 'singles': bool}})['flags']
    except ValueError:
        flags_before = {'num': 10**10, 'singles': True}  # all: without a config.json ``begin`` refuses to replace them
    names = {path.name for path in folder.glob('images/*.png') if re.fullmatch(r'[0-9]{5,10}', path.stem)}
    first, end = 0, flags_before['num']
    with contextlib.suppress(ValueError, TypeError):  # what somebody has changed
        first, end = map(int, flags_before.get('numbers', (first, end)))
    numbers = sorted({int(name[:-4]) for name in names}) if flags_before['singles'] else ()
    return [_single(i) for i in numbers if first <= i < end and f'{i:05d}.png' in names]


def _single(i: int) -> str:
    return f'images/{i:05d}.png'


def _require_effects() -> None:
    """Raises ValueError for flags of which one makes the other mean nothing."""
    for name, other in (
        ('num', SEEDS), ('num', LATENTS), ('num', ROWS), ('seeds', LATENTS), ('truncation', LATENTS), ('label', ROWS),
    ):  # fmt: skip
        if other.value is not None and flags.FLAGS[name].present:
            raise ValueError(f'{name} has no effect with --{other.name}: leave one of them out')
    if ROWS.value is not None and COLUMNS.value is not None and (SEEDS.value or LATENTS.value):
        raise ValueError('columns has no effect with --rows of given latents or seeds: leave it out')
    if ENLARGE.value is not None and not SINGLES.value:
        raise ValueError('enlarge has no effect without single PNGs: leave it or --nosingles out')


def _chosen(generator: Generator) -> Chosen:
    """What the flags ask of a generator. Raises ValueError for what it cannot give."""
    for flag in (LABEL, ROWS):
        if flag.value is not None and not generator.classes:
            raise ValueError(f'{flag.name} has no effect on an unconditional run: leave it out')
    law = generator.settings.latent
    if TRUNCATION.value is not None and (law not in TRUNCATIONS or (law == 'uniform' and TRUNCATION.value >= 1)):
        raise ValueError(f'truncation={TRUNCATION.value} has no effect on {law} latents: leave it out')
    label = None if LABEL.value is None else _class(generator, 'label', LABEL.value)
    rows: Sequence[int] = ()
    if ROWS.value == 'all':
        rows = [number for number, share in enumerate(generator.class_shares) if share]
    elif ROWS.value is not None:
        rows = [_class(generator, 'rows', name.strip()) for name in ROWS.value.split(',')]
    seeds = None if SEEDS.value is None else _seeds(SEEDS.value)
    latents = None if LATENTS.value is None else _read_latents(LATENTS.value, generator.settings.latent_dim)
    if seeds is not None and not rows:
        return Chosen(seeds, label, rows, seeds, latents)
    count = (COLUMNS.value or ROW) if rows else NUM.value
    count = len(seeds) if seeds is not None else len(latents) if latents is not None else count
    return Chosen(range(count * max(1, len(rows))), label, rows, seeds, latents)


def _class(generator: Generator, flag: str, name: str) -> int:
    number = number_of(name, generator.classes, flag)
    if not generator.class_shares[number]:
        raise ValueError(f'{flag}={name}: there was no image of this class to train on')
    return number


def _seeds(text: str) -> range:
    match = re.fullmatch(r'([0-9]{1,10})(?:-([0-9]{1,10}))?', text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if not first <= last < 2**32:
        raise ValueError(f'seeds={text} must be one seed, or a range of them such as 0-63, below 2**32')
    return range(first, last + 1)


def _read_latents(path: str, size: int) -> np.ndarray:
    """Latent vectors from a file, float32 (N, size); of an .npz its only array, or the one called latents."""
    wanted = f'it must hold (N, {size}) real numbers, as numpy.save or numpy.savez writes them'
    try:
        found = np.load(path, mmap_mode='r', allow_pickle=False)
        if isinstance(found, np.lib.npyio.NpzFile):
            with found:
                names = found.files
                found = found[names[0] if len(names) == 1 else 'latents']
    except MemoryError:
        raise
    except Exception as error:  # NumPy and zipfile raise many kinds for what is missing or damaged
        raise ValueError(f'latents={path} cannot be read ({reason(error)}): {wanted}') from None
    if found.ndim != 2 or found.shape[1] != size or not len(found) or found.dtype.kind not in 'fiu':
        raise ValueError(f'latents={path} is {found.dtype}{list(found.shape)}: {wanted}')
    latents = np.asarray(found, np.float32)
    if not np.isfinite(latents).all():
        raise ValueError(f'latents={path} holds numbers that are not finite')
    return latents


def _require_memory(generator: Generator, count: int) -> None:
    height, width = generator.settings.height_width
    walk = WAYPOINTS.value * max(FRAMES.value, STRIP_STEPS)
    asked = next((flag for flag in (SEEDS, LATENTS, ROWS) if flag.value is not None), NUM)
    memory.require(grid_bytes(count, height, width), f'{asked.name}={asked.value} images')
    memory.require(8 * height * width * (ENLARGE.value or 1) ** 2, f'enlarge={ENLARGE.value} of an image')
    memory.require(grid_bytes(walk, height, width), f'waypoints={WAYPOINTS.value} x frames={FRAMES.value}')


def _samples(generator: Generator, key: jax.Array, chosen: Chosen) -> np.ndarray:
    count = len(chosen.numbers) // max(1, len(chosen.rows))
    if chosen.latents is not None:
        latents = chosen.latents
    elif chosen.seeds is not None:
        latents = np.concatenate([generator.latents(jax.random.key(seed), 1) for seed in chosen.seeds])
    else:
        latents = np.asarray(generator.latents(key, count))
    latents = _truncated(generator, latents)
    if chosen.rows:
        labels = np.repeat(np.asarray(chosen.rows), count)
        latents = np.tile(latents, (len(chosen.rows), 1))
    elif chosen.label is not None:
        labels = np.full(count, chosen.label)
    elif generator.classes and chosen.seeds is not None:
        labels = np.concatenate([generator.labels(jax.random.key(seed), 1) for seed in chosen.seeds])
    else:
        labels = row_labels(count, len(generator.classes))
    return np.asarray(generator.generate(latents, labels))


def _truncated(generator: Generator, latents: Any) -> Any:
    if TRUNCATION.value is None or LATENTS.value is not None:
        return latents
    return np.asarray(TRUNCATIONS[generator.settings.latent](latents, TRUNCATION.value))


def _of_class(generator: Generator, latents: list[jax.Array], label: int) -> np.ndarray:
    joined = jnp.concatenate(latents)
    return np.asarray(generator.generate(joined, np.full(len(joined), label) if generator.classes else None))


def _walk(generator: Generator, key: jax.Array, label: int) -> tuple[jax.Array, np.ndarray]:
    """The waypoints, and images all the way round them."""
    ends = jnp.asarray(_truncated(generator, generator.latents(key, WAYPOINTS.value)))
    t = jnp.arange(FRAMES.value) / FRAMES.value
    path = [slerp(a, b, t) for a, b in zip(ends, jnp.roll(ends, -1, axis=0), strict=True)]
    return ends, _of_class(generator, path, label)


def _strip(generator: Generator, ends: jax.Array, label: int) -> np.ndarray:
    """One row of images from each waypoint to the next."""
    t = jnp.linspace(0, 1, STRIP_STEPS)
    rows = [slerp(a, b, t) for a, b in itertools.pairwise(ends)]
    return _of_class(generator, rows, label)


def _write_singles(folder: Path, numbers: range, images: np.ndarray) -> None:
    remove_leftovers(make_folder(folder / 'images'))
    factor = ENLARGE.value or 1
    shown = tqdm(np.asarray(images), unit=' images', delay=5, leave=False)
    for i, image in zip(numbers, shown, strict=True):
        pictures.save_png(folder / _single(i), image.repeat(factor, axis=0).repeat(factor, axis=1))


if __name__ == '__main__':
    launcher.run(main)
