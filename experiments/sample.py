"""Sample from a trained run: a grid, single images, and a walk between latents along great circles.

Everything is written into WORKDIR/sample/, where WORKDIR is the run's folder.
"""

import contextlib
import itertools
import os
import re
from pathlib import Path

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
from wgan_jax.latents import slerp
from wgan_jax.ranges import COUNT, whole
from wgan_jax.training.checkpoint import digest_of
from wgan_jax.training.classes import ROW, number_of, row_labels
from wgan_jax.training.load import Generator, load

from .common import launcher, pictures
from .common.flagtypes import define_number, define_text

NUM = define_number('num', 64, 'How many images.', COUNT)
STEP = define_number('step', None, 'Checkpoint to sample from (default: the newest).', whole(0))
EMA = flags.DEFINE_bool('ema', True, "Sample from the generator's moving average.")
LABEL = define_text(
    'label', None, 'Of a conditional run: the class, by name or number (default: rows of one class each).'
)
COLUMNS = define_number('columns', None, 'Images in a row of the grid (default: about square).', COUNT)
SINGLES = flags.DEFINE_bool('singles', True, 'Also write each image as a PNG of its own size.')
WAYPOINTS = define_number(
    'waypoints', 5, 'Latents that the interpolation visits; it returns to the first.', whole(2, 1000)
)
FRAMES = define_number('frames', 16, 'Images between two waypoints.', COUNT)

OUTPUTS = ('grid.png', 'strip.png', 'interpolation.gif', 'samples.npz')
STRIP_STEPS = 9  # images in each row of the strip, both ends included


def main() -> int:
    """Reads the flags and writes the pictures; returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            workdir = Path(launcher.WORKDIR.value or 'runs/flags')
            generator = load(workdir, STEP.value, EMA.value)
            _require_memory(generator)
            label = _label(generator)
            folder = held.enter_context(launcher.results_folder('sample', workdir / 'sample'))
        before = _singles_before(folder)
        singles = [_single(i) for i in range(NUM.value)] if SINGLES.value else []
        chosen = launcher.values_of(NUM, LABEL, COLUMNS, EMA, SINGLES, WAYPOINTS, FRAMES)
        for name in sorted({*singles} - {*before}):
            if os.path.lexists(folder / name):
                set_aside(folder / name, 'it is not of the call before', folder)
        launcher.begin(
            folder, (*OUTPUTS, *sorted({*before, *singles})),
            launcher='sample', run=str(workdir), step=generator.step, generator=digest_of(generator.variables),
            flags=chosen,
        )  # fmt: skip
        sample_key, walk_key = jax.random.split(jax.random.key(launcher.seed()))
        images = _samples(generator, sample_key, label)
        columns = COLUMNS.value or (ROW if generator.classes and label is None else None)
        pictures.save_png(folder / 'grid.png', pictures.grid(images, columns))
        if SINGLES.value:
            _write_singles(folder, to_uint8(images))
        ends, walk = _walk(generator, walk_key, label or 0)
        pictures.save_gif(folder / 'interpolation.gif', [pictures.grid(frame[None]) for frame in walk], seconds=0.06)
        strip = _strip(generator, ends, label or 0)
        pictures.save_png(folder / 'strip.png', pictures.grid(strip, STRIP_STEPS))
        with atomic_path(folder / 'samples.npz') as temporary:
            np.savez(temporary, samples=images, strip=strip)
        launcher.write_results(folder, {'step': generator.step, 'images': len(images), 'frames': len(walk)})
    print(f'{len(images)} samples of step {generator.step} in {folder}/: grid.png, strip.png, interpolation.gif')
    return 0


def _singles_before(folder: Path) -> list[str]:
    """The single images that the call before has written: others in their folder are the user's."""
    try:
        flags_before = read_json(folder / 'config.json', {'flags': {'num': int, 'singles': bool}})['flags']
    except ValueError:
        flags_before = {'num': 10**10, 'singles': True}  # all: without a config.json ``begin`` refuses to replace them
    names = {path.name for path in folder.glob('images/*.png') if re.fullmatch(r'[0-9]{5,10}', path.stem)}
    own = flags_before['num'] if flags_before['singles'] else 0
    numbers = sorted({int(name[:-4]) for name in names})
    return [_single(i) for i in numbers if i < own and f'{i:05d}.png' in names]


def _single(i: int) -> str:
    return f'images/{i:05d}.png'


def _require_memory(generator: Generator) -> None:
    height, width = generator.settings.height_width
    walk = WAYPOINTS.value * max(FRAMES.value, STRIP_STEPS)
    memory.require(grid_bytes(NUM.value, height, width), f'num={NUM.value} images')
    memory.require(grid_bytes(walk, height, width), f'waypoints={WAYPOINTS.value} x frames={FRAMES.value}')


def _label(generator: Generator) -> int | None:
    """The number of the class that is asked for."""
    if LABEL.value is None:
        return None
    if not generator.classes:
        raise ValueError('label has no effect on an unconditional run: leave it out')
    return number_of(LABEL.value, generator.classes)


def _samples(generator: Generator, key: jax.Array, label: int | None) -> np.ndarray:
    if label is not None or not generator.classes:
        return np.asarray(generator.sample(key, NUM.value, label))
    rows = row_labels(NUM.value, len(generator.classes))
    return np.asarray(generator.generate(generator.latents(key, NUM.value), rows))


def _of_class(generator: Generator, latents: list[jax.Array], label: int) -> np.ndarray:
    joined = jnp.concatenate(latents)
    return np.asarray(generator.generate(joined, np.full(len(joined), label) if generator.classes else None))


def _walk(generator: Generator, key: jax.Array, label: int) -> tuple[jax.Array, np.ndarray]:
    """The waypoints, and images all the way round them."""
    ends = generator.latents(key, WAYPOINTS.value)
    t = jnp.arange(FRAMES.value) / FRAMES.value
    path = [slerp(a, b, t) for a, b in zip(ends, jnp.roll(ends, -1, axis=0), strict=True)]
    return ends, _of_class(generator, path, label)


def _strip(generator: Generator, ends: jax.Array, label: int) -> np.ndarray:
    """One row of images from each waypoint to the next."""
    t = jnp.linspace(0, 1, STRIP_STEPS)
    rows = [slerp(a, b, t) for a, b in itertools.pairwise(ends)]
    return _of_class(generator, rows, label)


def _write_singles(folder: Path, images: np.ndarray) -> None:
    remove_leftovers(make_folder(folder / 'images'))
    for i, image in enumerate(tqdm(np.asarray(images), unit=' images', delay=5, leave=False)):
        pictures.save_png(folder / _single(i), image)


if __name__ == '__main__':
    launcher.run(main)
