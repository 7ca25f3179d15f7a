"""Look at a dataset as a critic sees it: pictures cropped and varied, odd ones, duplicates, sizes, values, speed.

Nothing is trained. data.png shows the set, parts.png what each part of --augment does to it.
"""

import contextlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import wgan_jax
from wgan_jax.data.augmentation import AUGMENTATION_PARTS, augmentation
from wgan_jax.data.images import Images, find_duplicates
from wgan_jax.files import atomic_path
from wgan_jax.text import listed
from wgan_jax.training.dataset import list_skipped, with_images
from wgan_jax.training.draws import Role, draw_images, example_keys, first_images
from wgan_jax.training.settings import Settings

from ..common import launcher
from ..common.reading import Reading
from ..common.setting_flags import define_settings, given
from ..common.tables import text_table
from . import figures

SETTINGS = define_settings(
    ('dataset', 'data_dir', 'image_size', 'channels', 'fit', 'background', 'min_side', 'max_images', 'augment',
     'batch_size'),
)  # fmt: skip

OUTPUTS = ('data.png', 'parts.png', 'data.npz', 'skipped.txt')
SHOWN = 24  # images of the set, and of it as the critic sees it
VARIED = 4  # images that each part is shown on
BATCHES = 20  # timed


def main() -> int:
    """Reads the flags, looks at the set, and returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            # Multilayer perceptrons, which take images of every size: no network is made.
            chosen = wgan_jax.settings('wgan_gp', arch='mlp', **given(SETTINGS), seed=launcher.seed())
            began = time.perf_counter()
            chosen, images = with_images(chosen, on_progress=Reading())
            seconds = time.perf_counter() - began
            workdir = held.enter_context(launcher.results_folder('data'))
        flags = {name: getattr(chosen, name) for name in (*SETTINGS, 'seed')}
        launcher.begin(workdir, OUTPUTS, launcher='data', flags=flags, fingerprint=images.fingerprint)
        list_skipped(workdir, images)
        arrays = _look(chosen, images)
        results = _numbers(chosen, images, arrays, seconds)
        with atomic_path(workdir / 'data.npz') as temporary:
            np.savez(temporary, **arrays)
        figures.draw_set(workdir / 'data.png', chosen, images, arrays, results)
        figures.draw_parts(workdir / 'parts.png', chosen, _vary(chosen, images))
        launcher.write_results(workdir, results)
    print(_summary(results, images))
    print(f'Results in {workdir}/: data.png, parts.png, data.npz, results.json{", skipped.txt" * bool(images.skipped)}')
    return 0


def _look(chosen: Settings, images: Images) -> dict[str, np.ndarray]:
    """What the figure of the set shows."""
    augment = augmentation(str(chosen.augment)).real
    size = min(SHOWN, len(images.pixels))
    plain, seen = (
        first_images(images.pixels, how, chosen.seed, size, batch_size=chosen.batch_size) for how in (None, augment)
    )
    values = sum(_count_values(image) for image in images.pixels)
    pairs = np.array(find_duplicates(images.pixels), int).reshape(-1, 2)
    sizes = np.zeros((0, 2), int) if images.sizes is None else images.sizes
    return {
        'plain': np.asarray(plain), 'seen': np.asarray(seen), 'values': values, 'duplicates': pairs,
        'height_width': sizes, 'odd': np.array(list(_odd_ones(images).values())),
    }  # fmt: skip


def _count_values(image: np.ndarray) -> np.ndarray:
    """How often each value occurs in an image, (C, 256)."""
    return np.stack([np.bincount(channel.ravel(), minlength=256) for channel in np.moveaxis(image, -1, 0)])


def _odd_ones(images: Images) -> dict[str, int]:
    """The places of pictures that stand out, by what for."""
    colours = images.pixels[..., :3]
    mean = colours.mean(axis=(1, 2, 3))
    odd = {'darkest': int(mean.argmin()), 'brightest': int(mean.argmax())}
    odd['most even'] = int(np.argmin([image.std() for image in colours]))  # of all at once, it takes 8 copies
    if images.sizes is not None and (images.sizes != images.sizes[0]).any():
        height, width = images.sizes.T
        odd |= {
            'smallest': int((height * width).argmin()), 'largest': int((height * width).argmax()),
            'widest': int((width / height).argmax()), 'tallest': int((height / width).argmax()),
        }  # fmt: skip
    return odd


def _vary(chosen: Settings, images: Images) -> dict[str, np.ndarray]:
    """The first images as each part of augmentation makes them, alone: of real images only, and of both sides."""
    plain = first_images(images.pixels, None, chosen.seed, VARIED, batch_size=chosen.batch_size)
    (keys,) = example_keys(np.uint32(chosen.seed), (Role.AUGMENT_REAL,), 0, jnp.arange(len(plain)))
    varied = {'as they are': np.asarray(plain)}
    for form in ('', 'diff:'):
        for part in AUGMENTATION_PARTS:
            augment = augmentation(form + part).real
            assert augment is not None
            varied[form + part] = np.asarray(jnp.clip(jax.jit(augment)(keys, plain), -1, 1))
    return varied


def _numbers(chosen: Settings, images: Images, arrays: dict[str, np.ndarray], seconds: float) -> dict[str, Any]:
    pixels, levels = images.pixels, np.arange(256)
    shares = arrays['values'] / arrays['values'].sum(axis=1, keepdims=True)
    mean = shares @ levels
    results = {
        'shape': list(pixels.shape), 'megabytes': pixels.nbytes / 1e6, 'seconds_to_read': seconds,
        'milliseconds_per_batch': 1e3 * _seconds_of_a_batch(chosen, pixels),
        'value_min': [int(share.nonzero()[0][0]) for share in shares],
        'value_max': [int(share.nonzero()[0][-1]) for share in shares],
        'value_mean': mean, 'value_deviation': np.sqrt(shares @ levels**2 - mean**2),
        'duplicates': len(arrays['duplicates']), 'skipped': len(images.skipped), 'notes': list(images.notes),
        'odd': {what: images.names[place] if images.names else place for what, place in _odd_ones(images).items()},
    }  # fmt: skip
    if images.labels is not None:
        counts = np.bincount(images.labels, minlength=len(images.classes)).tolist()
        results['classes'] = dict(zip(images.classes, counts, strict=True))
    if images.sizes is not None:
        for name, column in zip(('height', 'width'), images.sizes.T, strict=True):
            results[f'original_{name}'] = dict(
                zip(('least', 'median', 'most'), np.quantile(column, (0, 0.5, 1)).tolist(), strict=True)
            )
    return results


def _seconds_of_a_batch(chosen: Settings, pixels: np.ndarray) -> float:
    """Of drawing a batch on the device and varying it, as a training step does; the shortest of several."""
    augment, examples = augmentation(str(chosen.augment)).real, jnp.arange(chosen.batch_size)

    @jax.jit
    def batch(data, counter):
        real = draw_images(data, jnp.uint32(chosen.seed), counter, examples, batch_size=chosen.batch_size)
        (keys,) = example_keys(jnp.uint32(chosen.seed), (Role.AUGMENT_REAL,), counter, examples)
        return real if augment is None else augment(keys, real)

    enough = max(1, 2**28 // pixels[0].nbytes)  # the rest of a large set would take room, and as much time
    data, times = jax.device_put(pixels[:enough]), []
    for counter in range(BATCHES + 1):
        began = time.perf_counter()
        jax.block_until_ready(batch(data, jnp.int32(counter)))
        times.append(time.perf_counter() - began)
    return min(times[1:])


def _classes(counts: dict[str, int]) -> list[list[str]]:
    if not counts:
        return []
    shown = listed((f'{name} ({count})' for name, count in counts.items()), most=5)
    return [['classes', f'{len(counts)}: {shown}']]


def _summary(results: dict[str, Any], images: Images) -> str:
    n, height, width, channels = results['shape']
    rows = [
        ['images', f'{n} of {height}x{width}x{channels}, {results["megabytes"]:.1f} MB'],
        ['read in', f'{results["seconds_to_read"]:.2f} s'],
        ['a batch takes', f'{results["milliseconds_per_batch"]:.2f} ms'],
        ['values', f'{min(results["value_min"])} to {max(results["value_max"])}'],
        *_classes(results.get('classes', {})),
        ['left out', str(results['skipped'])],
        ['equal to an earlier one', str(results['duplicates'])],
        *([what, count] for what, _, count in (note.partition(': ') for note in images.notes) if 'equal' not in what),
    ]
    return text_table(['', ''], rows)


if __name__ == '__main__':
    launcher.run(main)
