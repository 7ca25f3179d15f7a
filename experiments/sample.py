"""Sample from a trained run: a grid, single images, and a walk between latents along great circles.

Everything is written into WORKDIR/sample/, where WORKDIR is the run's folder.
"""

import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from wgan_jax.data.images import to_uint8
from wgan_jax.files import atomic_path, write_json
from wgan_jax.latents import slerp
from wgan_jax.training.load import Generator, load

from .common import launcher, pictures

NUM = flags.DEFINE_integer('num', 64, 'How many images.', lower_bound=1)
STEP = flags.DEFINE_integer('step', None, 'Checkpoint to sample from (default: the newest).', lower_bound=0)
EMA = flags.DEFINE_bool('ema', True, "Sample from the generator's moving average.")
COLUMNS = flags.DEFINE_integer('columns', None, 'Images in a row of the grid (default: about square).', lower_bound=1)
SINGLES = flags.DEFINE_bool('singles', True, 'Also write each image as a PNG of its own size.')
WAYPOINTS = flags.DEFINE_integer(
    'waypoints', 5, 'Latents that the interpolation visits; it returns to the first.', lower_bound=2
)
FRAMES = flags.DEFINE_integer('frames', 16, 'Images between two waypoints.', lower_bound=1)

STRIP_STEPS = 9  # images in each row of the strip, both ends included


def main() -> int:
    """Reads the flags and writes the pictures; returns the exit status."""
    with launcher.usage_errors():
        workdir = Path(launcher.WORKDIR.value or 'runs/flags')
        generator = load(workdir, STEP.value, EMA.value)
        folder = workdir / 'sample'
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise ValueError(f'{folder} cannot be written ({error.strerror})') from None
    write_json(folder / 'config.json', _config(workdir, generator))
    sample_key, walk_key = jax.random.split(jax.random.key(launcher.seed()))
    images = np.asarray(generator.sample(sample_key, NUM.value))
    pictures.save_png(folder / 'grid.png', pictures.grid(images, COLUMNS.value))
    if SINGLES.value:
        _write_singles(folder / 'images', to_uint8(images))
    ends, walk = _walk(generator, walk_key)
    pictures.save_gif(folder / 'interpolation.gif', [pictures.grid(frame[None]) for frame in walk], seconds=0.06)
    strip = _strip(generator, ends)
    pictures.save_png(folder / 'strip.png', pictures.grid(strip, STRIP_STEPS))
    with atomic_path(folder / 'samples.npz') as temporary:
        np.savez(temporary, samples=images, strip=strip)
    write_json(folder / 'results.json', {'step': generator.step, 'images': len(images), 'frames': len(walk)})
    print(f'{len(images)} samples of step {generator.step} in {folder}/: grid.png, strip.png, interpolation.gif')
    return 0


def _config(workdir: Path, generator: Generator) -> dict[str, object]:
    chosen = launcher.values_of(NUM, COLUMNS, EMA, SINGLES, WAYPOINTS, FRAMES)
    return {
        'launcher': 'sample',
        'run': str(workdir),
        'step': generator.step,
        'flags': chosen,
        **launcher.environment(),
    }


def _walk(generator: Generator, key: jax.Array) -> tuple[jax.Array, np.ndarray]:
    """The waypoints, and images all the way round them."""
    ends = generator.latents(key, WAYPOINTS.value)
    t = jnp.arange(FRAMES.value) / FRAMES.value
    path = [slerp(a, b, t) for a, b in zip(ends, jnp.roll(ends, -1, axis=0), strict=True)]
    return ends, np.asarray(generator.generate(jnp.concatenate(path)))


def _strip(generator: Generator, ends: jax.Array) -> np.ndarray:
    """One row of images from each waypoint to the next."""
    t = jnp.linspace(0, 1, STRIP_STEPS)
    rows = [slerp(a, b, t) for a, b in itertools.pairwise(ends)]
    return np.asarray(generator.generate(jnp.concatenate(rows)))


def _write_singles(folder: Path, images: np.ndarray) -> None:
    folder.mkdir(exist_ok=True)
    for stale in folder.glob('*.png'):  # of an earlier call with more images
        stale.unlink()
    for i, image in enumerate(np.asarray(images)):
        pictures.save_png(folder / f'{i:05d}.png', image)


if __name__ == '__main__':
    launcher.run(main)
