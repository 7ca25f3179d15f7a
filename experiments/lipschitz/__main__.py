"""How a critic is kept Lipschitz: value surfaces, gradients by layer, weights, and every constraint against exact W1.

Critics are trained to optimality between distributions that stand still, so that their estimates have a true value.
"""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from tqdm import tqdm

from wgan_jax.constraints import CONSTRAINTS
from wgan_jax.data import synthetic
from wgan_jax.distances import wasserstein_exact
from wgan_jax.files import atomic_path
from wgan_jax.lipschitz import layer_gradients
from wgan_jax.objectives import wasserstein_estimate
from wgan_jax.ranges import BATCH, whole
from wgan_jax.training.cost import require_memory
from wgan_jax.training.settings import Settings
from wgan_jax.training.toy import TOY_PRESETS, build_toy

from ..common import launcher
from ..common.flagtypes import define_choices, define_number
from ..common.tables import shown, text_table
from . import figures, images
from .pairs import (
    gaussians,
    measured,
    noisy,
    one_of,
    rotated,
    scorer,
    train_critics,
    translated,
)  # fmt: skip

PARTS = ('surfaces', 'layers', 'table', 'images')
SURFACES = ('ring', 'grid', 'swiss_roll')
PAIRS = {'translated': translated, 'gaussians': gaussians, 'rotated': rotated}
CLIPS = (0.1, 0.01, 0.001)
HALF_WIDTH = 3.0  # of the window of the value surfaces
GRID = 128
LAYERS = 12
DEPTH = 4  # hidden layers of the table's critics; with 3 the orthonormal one cannot follow the rotated ring
OUTPUTS = ('surfaces.*', 'weights.png', 'layers.*', 'table.*', 'images.png')
FRESH = 2048  # samples a side

CHOSEN = define_choices('parts', PARTS, PARTS, 'What to make')
ROWS = [name for name in CONSTRAINTS if name != 'spectral_operator']  # of a matrix both spectral norms are one
CONSTRAINT_NAMES = define_choices(
    'constraints', ROWS, CONSTRAINTS,
    f'Rows of the table, and of images those among {", ".join(images.CONSTRAINTS)}, by default all of these',
)  # fmt: skip
UPDATES = define_number('updates', 4_000, 'Critic updates of each critic of the table; half of it elsewhere.', whole(2))
WIDTH = define_number('width', 64, 'Units of a hidden layer, an even number; images have 8 channels.', whole(2, 2**16))
BATCH_SIZE = define_number('batch_size', 256, 'Examples in a batch; of images 32.', BATCH)


def settings_of(constraint: str, seed: int, critic_lr: float = 5e-3) -> Settings:
    """A Wasserstein critic under a constraint; rates fall to zero, and a clipped one is moved by RMSProp.

    A penalised critic gains W1 per slope and pays weight (slope - 1)^2: it settles at the slope 1 + W1 / (2 weight), a
    tenth too much of a distance of 2 at the published weight 10. At 15 it is a fifteenth; a much larger weight holds
    the critic so stiffly that it does not find its way round the rotated ring.
    """
    clipped = constraint == 'clip'
    return dataclasses.replace(
        TOY_PRESETS['wgan' if clipped else 'wgan_gp'], objective='wasserstein', constraint=constraint,
        penalty_weight=15.0, clip=0.1, critic_lr=5e-4 if clipped else critic_lr, width=WIDTH.value,
        batch_size=BATCH_SIZE.value, seed=seed,
    )  # fmt: skip


def main() -> int:
    """Reads the flags, trains the critics, and returns the exit status."""
    with contextlib.ExitStack() as held:
        with launcher.usage_errors():
            if WIDTH.value % 2:
                raise ValueError(f'width={WIDTH.value} must be even: orthonormal layers sort pairs')
            parts = _parts()
            _require_memory()
            workdir = held.enter_context(launcher.results_folder('lipschitz'))
        seed = launcher.seed()
        chosen = launcher.values_of(CHOSEN, CONSTRAINT_NAMES, UPDATES, WIDTH, BATCH_SIZE) | {'parts': parts}
        critics = {name: dataclasses.asdict(settings_of(name, seed)) for name in CONSTRAINT_NAMES.value}
        of_images = {name: dataclasses.asdict(images.settings_of(name, seed)) for name in _of_images()}
        launcher.begin(
            workdir, OUTPUTS, launcher='lipschitz', flags=chosen, critics=critics, critics_of_images=of_images
        )
        total = 2 * _fewer() * (('surfaces' in parts) + ('layers' in parts))
        total += len(of_images) * _fewer() * ('images' in parts)
        total += len(CONSTRAINT_NAMES.value) * UPDATES.value * ('table' in parts)
        results: dict[str, Any] = {'updates': UPDATES.value}
        written = []
        with tqdm(total=total, unit=' updates') as bar:
            for part, make in zip(PARTS, (_surfaces, _layers, _table, _images), strict=True):
                if part in parts:
                    bar.set_description(part)
                    results[part], names = make(workdir, seed, bar)
                    written += names
        launcher.write_results(workdir, results)
    if 'table' in results:
        print(_text(results['table']))
    if 'images' in results:
        print(_text_of_images(results['images']))
    print(f'Results in {workdir}/: results.json, {", ".join(written)}')
    return 0


def _require_memory() -> None:
    """Raises ValueError when the critics of one program would take too much memory: deep ones, or orthonormal ones."""
    for constraint, depth in (('gradient_penalty', LAYERS), ('orthonormal', DEPTH)):
        built = build_toy(settings_of(constraint, launcher.seed()), synthetic.grid(), depth=depth)
        require_memory(*built, f'critics with width={WIDTH.value}, batch_size={BATCH_SIZE.value}', runs=len(PAIRS))


def _fewer() -> int:
    """Updates of the critics that are only looked at."""
    return UPDATES.value // 2


def _parts() -> list[str]:
    """The parts to make; images only where asked for when none of the constraints is one of theirs.

    Raises:
        ValueError: for a flag that has no effect on them.
    """
    given = {name: flags.FLAGS[name].present for name in ('parts', 'constraints', 'width', 'batch_size')}
    parts = [part for part in CHOSEN.value if part != 'images' or _of_images()]
    if given['parts'] and len(parts) < len(CHOSEN.value):
        raise ValueError(f'constraints: images are measured under {", ".join(images.CONSTRAINTS)} alone: name one')
    if given['constraints'] and not {'table', 'images'} & set(parts):
        raise ValueError('constraints has no effect without table or images among the parts: leave it out')
    for name in ('width', 'batch_size'):
        if given[name] and parts == ['images']:
            raise ValueError(f'{name} has no effect on images: leave it out')
    return parts


def _of_images() -> list[str]:
    chosen = CONSTRAINT_NAMES.value if flags.FLAGS['constraints'].present else images.CONSTRAINTS
    return [name for name in images.CONSTRAINTS if name in chosen]


def _surfaces(workdir: Path, seed: int, bar: tqdm) -> tuple[dict[str, Any], list[str]]:
    """Value surfaces of critics, clipped and penalised, and the histograms of their weights."""
    side = np.linspace(-HALF_WIDTH, HALF_WIDTH, GRID, dtype=np.float32)
    points = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    pairs = [noisy(name) for name in SURFACES]
    arrays, weights, result = {'side': side}, {}, {}
    for constraint in ('clip', 'gradient_penalty'):
        settings = dataclasses.replace(settings_of(constraint, seed, 2e-3), clip=0.01)
        critics = train_critics(settings, pairs, updates=_fewer(), depth=3, bar=bar)
        for i, name in enumerate(SURFACES):
            arrays[f'{constraint}_{name}'] = np.asarray(scorer(critics, i)(points)).reshape(GRID, GRID)
        kernels = [
            leaf for leaf in jax.tree.leaves(one_of(critics, SURFACES.index('swiss_roll')).params) if leaf.ndim == 2
        ]
        weights[constraint] = np.concatenate([np.asarray(kernel).ravel() for kernel in kernels])
        arrays[f'{constraint}_weights'] = weights[constraint]
        result[constraint] = {'weights_largest': float(np.abs(weights[constraint]).max())}
    # Where the box ends, and nowhere else, clipped weights pile up.
    result['clip']['share_of_weights_at_the_bound'] = float(np.mean(np.abs(weights['clip']) > 0.99 * 0.01))
    data = {name: np.asarray(pair.real.modes[:1000]) for name, pair in zip(SURFACES, pairs, strict=True)}
    figures.surfaces(workdir / 'surfaces.png', arrays, data, _fewer())
    figures.weights(workdir / 'weights.png', weights, 0.01)
    with atomic_path(workdir / 'surfaces.npz') as temporary:
        np.savez_compressed(temporary, **arrays)
    return result, ['surfaces.png', 'weights.png', 'surfaces.npz']


def _layers(workdir: Path, seed: int, bar: tqdm) -> tuple[dict[str, Any], list[str]]:
    """Gradient norms by layer of deep critics on the swiss roll, at three clips and under the penalty."""
    pair = noisy('swiss_roll')
    real_key, fake_key = jax.random.split(jax.random.key(seed))
    x = jnp.concatenate([synthetic.draw(pair.real, real_key, 256), synthetic.draw(pair.fake, fake_key, 256)])

    def loss(scores):
        return -wasserstein_estimate(*jnp.split(scores, 2))

    norms = {}
    for constraint, clips in (('clip', CLIPS), ('gradient_penalty', ())):
        critics = train_critics(
            settings_of(constraint, seed, 2e-3), [pair], updates=_fewer(), depth=LAYERS, bar=bar, clips=clips
        )
        for i, clip in enumerate(clips or (None,)):
            name = 'gradient penalty' if clip is None else f'c = {clip:g}'
            norms[name] = _layer_norms(critics.network, one_of(critics, i), x, loss)
    layers = np.arange(1, LAYERS + 1)
    result = {}
    for name, own in norms.items():
        result[name] = {'norms': own.tolist(), 'decades_per_layer': None, 'decades_spanned': None}
        if (own > 0).all():
            logs = np.log10(own)
            result[name]['decades_per_layer'] = float(np.polyfit(layers, logs, 1)[0])
            result[name]['decades_spanned'] = float(logs.max() - logs.min())
    figures.layers(workdir / 'layers.png', layers, norms, result)
    with atomic_path(workdir / 'layers.npz') as temporary:
        np.savez_compressed(temporary, layers=layers, **{name.replace(' ', '_'): own for name, own in norms.items()})
    return result, ['layers.png', 'layers.npz']


def _layer_norms(network, variables, x: jax.Array, loss) -> np.ndarray:
    """Gradient norms by layer, (layers,), also where their squares are below the smallest float32."""
    scale = 1e18
    plain = np.asarray(layer_gradients(network, variables, x, loss), np.float64)
    scaled = np.asarray(layer_gradients(network, variables, x, lambda scores: scale * loss(scores)), np.float64)
    return np.where(plain < 1e-12, scaled / scale, plain)


def _table(workdir: Path, seed: int, bar: tqdm) -> tuple[dict[str, Any], list[str]]:
    """Every constraint on pairs of known distance: estimate, exact distance on the same samples, bounds, time."""
    pairs = {name: make() for name, make in PAIRS.items()}
    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1), 4)
    fresh, distances = {}, {}
    for name, pair in pairs.items():
        real, other, fake, another = (
            np.asarray(synthetic.draw(side, key, FRESH))
            for side, key in zip((pair.real, pair.real, pair.fake, pair.fake), keys, strict=True)
        )
        fresh[name] = (real, fake)
        distances[name] = {
            'w1': wasserstein_exact(real, fake),
            'w1_of_other_samples': wasserstein_exact(other, another),
            'w1_of_two_real_samples': wasserstein_exact(real, other),
        }
    rows = {}
    for constraint in CONSTRAINT_NAMES.value:
        bar.set_description(constraint)
        critics = train_critics(
            settings_of(constraint, seed), list(pairs.values()), updates=UPDATES.value, depth=DEPTH, bar=bar
        )
        rows[constraint] = {'milliseconds_per_update': 1e3 * critics.seconds_per_update}
        for i, name in enumerate(pairs):
            rows[constraint][name] = measured(critics.network, one_of(critics, i), *fresh[name], distances[name]['w1'])
    with atomic_path(workdir / 'table.npz') as temporary:
        arrays = {
            f'{name}_{side}': own
            for name, both in fresh.items()
            for side, own in zip(('real', 'fake'), both, strict=True)
        }
        np.savez_compressed(temporary, **arrays)
    figures.table(workdir / 'table.png', rows, list(pairs))
    return {'distances': distances, 'constraints': rows}, ['table.png', 'table.npz']


def _images(workdir: Path, seed: int, bar: tqdm) -> tuple[dict[str, Any], list[str]]:
    """Convolutional critics of flags and lighter flags, whose distance is known."""
    found = images.measure(_of_images(), updates=_fewer(), seed=seed, bar=bar)
    pair = f'flags, all {images.SHIFT:g} lighter'
    figures.table(workdir / 'images.png', {name: {pair: row} for name, row in found['constraints'].items()}, [pair])
    return found, ['images.png']


def _text(table: dict[str, Any]) -> str:
    columns = {
        '/ W1': 'estimate_over_w1', '/ K / W1': 'estimate_over_upper_bound_over_w1', 'upper K': 'upper_bound',
        'gradient': 'largest_gradient', 'slope': 'largest_slope',
    }  # fmt: skip
    parts = []
    for pair, distance in table['distances'].items():
        parts.append(
            f'{pair}: exact W1 {distance["w1"]:.4f}; of other samples of this size '
            f'{distance["w1_of_other_samples"]:.4f}; of two real ones {distance["w1_of_two_real_samples"]:.4f}'
        )
        rows = [
            [name, *(shown(row[pair][key]) for key in columns.values()), f'{row["milliseconds_per_update"]:.2f}']
            for name, row in table['constraints'].items()
        ]
        parts.append(text_table(['constraint', *columns, 'ms/update'], rows))
    return '\n'.join(parts)


def _text_of_images(found: dict[str, Any]) -> str:
    columns = {
        '/ W1': 'estimate_over_w1', '/ K / W1': 'estimate_over_upper_bound_over_w1', 'upper K': 'upper_bound',
        'gradient': 'largest_gradient',
    }  # fmt: skip
    rows = [[name, *(shown(row[key]) for key in columns.values())] for name, row in found['constraints'].items()]
    return f'flags, and lighter flags: W1 {found["w1"]:.4f}\n' + text_table(['constraint', *columns], rows)


if __name__ == '__main__':
    launcher.run(main)
