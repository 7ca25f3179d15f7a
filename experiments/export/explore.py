"""One page that runs a trained generator in a browser: samples, sliders, morphs; it needs no network and no server.

The generator is traced (``wgan_jax.networks.tracing``), its program and weights go into the page, and plain JavaScript
runs them (``page/engine.js``).
"""

import base64
import dataclasses
import hashlib
import html
import json
import logging
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax.data.images import to_uint8
from wgan_jax.files import atomic_path
from wgan_jax.networks import ARCHITECTURES
from wgan_jax.networks.program import Program, Step
from wgan_jax.networks.tracing import trace
from wgan_jax.training.build import build_networks
from wgan_jax.training.load import Generator
from wgan_jax.types import given

from .directions import Directions, principal_directions

logger = logging.getLogger('wgan_jax.explore')

EXPLORE = 'explore.html'
PARTS = Path(__file__).parent / 'page'
DEVIATIONS = {'normal': 1.0, 'uniform': 3**-0.5}  # of a coordinate, by the law of the latents
TRIED = 64  # latents on which float16 is tried
LEVELS = 1  # of 255, by which a picture may change for it


class Explored(NamedTuple):
    """What there is to say of a page.

    Attributes:
        megabytes: its size.
        weights: 'float16' or 'float32', as which the weights are stored.
        levels: by how many of 255 float16 changes pictures at most.
        shares: of the pictures' variance that each direction explains.
    """

    megabytes: float
    weights: str
    levels: int
    shares: tuple[float, ...]


def try_explore(path: Path, generator: Generator, workdir: Path) -> bool:
    """Writes the page of a run where there can be one, or warns; whether it is there."""
    try:
        write_explore(path, generator, run=workdir.absolute().name)
    except ValueError as error:
        logger.warning(f'{path.name} is left out: {error}')
        return False
    return True


def write_explore(
    path: str | os.PathLike, generator: Generator, *, title: str | None = None, run: str = '', directions: int = 8
) -> Explored:
    """Writes the page, atomically.

    Weights are rounded to float16 where that changes no picture of 64 random latents by more than one of 255 levels.

    Args:
        path: of the HTML file.
        generator: trained, of images with 1, 3 or 4 channels.
        title: of the page; by default it names the dataset.
        run: what else to call the run, in the line below the title.
        directions: sliders, at most one for each latent dimension.

    Returns:
        What was measured.

    Raises:
        ValueError: for a generator of points, another number of channels or another law of latents, or a network with
            an operation that a program has not; it is named.
    """
    settings = generator.settings
    if settings.latent not in DEVIATIONS:
        raise ValueError(f'explore.html draws latents that are {" or ".join(DEVIATIONS)}, not {settings.latent}')
    generator = _in_float32(generator)
    shape = _shape(generator)
    if len(shape) != 3 or shape[-1] not in (1, 3, 4):
        raise ValueError(f'explore.html shows images of 1, 3 or 4 channels, and this generator makes {shape}')
    stored, weights, levels = _rounded(generator)
    program = _trace(stored)
    found = principal_directions(stored, min(directions, settings.latent_dim))
    name = _dataset(str(settings.dataset))
    model, binary = _model(stored, program, found, shape)
    model['name'] = re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-').lower() or 'sample'
    parameters = sum(leaf.size for leaf in jax.tree.leaves(generator.variables.params))
    facts = [f'dataset {name}', *([f'run {run}'] if run else []), f'step {generator.step:,}',
             f'{settings.arch if isinstance(settings.arch, str) else "own"} network, {parameters:,} parameters',
             f'{shape[1]} x {shape[0]} pixels']  # fmt: skip
    text = _page(
        title=html.escape(title or f'{name}: generated pictures'),
        facts=html.escape(' · '.join(facts)),
        about_directions=html.escape(_about_directions(found, settings.latent)),
        about_weights=_about_weights(weights, levels, settings.precision),
        model=json.dumps(model, separators=(',', ':'), allow_nan=False).replace('<', '\\u003c'),
        weights=base64.b64encode(binary).decode(),
    )
    with atomic_path(path) as temporary:
        Path(temporary).write_text(text, encoding='utf-8', newline='\n')
    return Explored(len(text.encode()) / 1e6, weights, levels, found.shares)


def _in_float32(generator: Generator) -> Generator:
    """The generator, computing in float32 as the page does."""
    settings = generator.settings
    if settings.precision == 'float32' or settings.arch not in ARCHITECTURES:
        return generator
    plain = dataclasses.replace(settings, precision='float32')
    networks = build_networks(plain, _shape(generator)[-1], num_classes=len(generator.classes))
    return dataclasses.replace(generator, network=networks.generator)


def _shape(generator: Generator) -> tuple[int, ...]:
    out = jax.eval_shape(lambda v, *inputs: _apply(generator, v, *inputs), generator.variables, *_inputs(generator))
    return out.shape[1:]


def _inputs(generator: Generator) -> list[jax.ShapeDtypeStruct]:
    latent = jax.ShapeDtypeStruct((1, generator.settings.latent_dim), jnp.float32)
    return [latent, jax.ShapeDtypeStruct((1,), jnp.int32)] if generator.classes else [latent]


def _apply(generator, variables, latents, labels=None):
    return generator.network.apply(variables, latents, train=False, **given(labels))[0]


def _trace(generator: Generator) -> Program:
    return trace(lambda *inputs: _apply(generator, generator.variables, *inputs), *_inputs(generator))


def _rounded(generator: Generator) -> tuple[Generator, str, int]:
    """The generator with weights that float16 can hold, if its pictures allow that; 'float16' or 'float32'; levels."""

    def nearest(leaf):
        with np.errstate(over='ignore'):
            return jnp.asarray(np.asarray(leaf).astype(np.float16), jnp.float32) if leaf.ndim > 1 else leaf

    rounded = dataclasses.replace(generator, variables=jax.tree.map(nearest, generator.variables))
    latents = generator.latents(jax.random.key(1), TRIED)
    labels = generator.labels(jax.random.key(1), TRIED) if generator.classes else None
    before, after = (np.asarray(to_uint8(one.generate(latents, labels)), int) for one in (generator, rounded))
    finite = all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(rounded.variables))
    levels = int(np.abs(before - after).max()) if finite else 255
    return (rounded, 'float16', levels) if levels <= LEVELS else (generator, 'float32', levels)


def _model(
    generator: Generator, program: Program, found: Directions, shape: tuple[int, ...]
) -> tuple[dict[str, Any], bytes]:
    """What the page must know of the generator, and its arrays in one piece."""
    binary = bytearray()

    def put(number, array):
        with np.errstate(over='ignore'):
            half = array.astype('<f2')
        exact = np.array_equal(half.astype(np.float32), array)
        entry = {
            'number': number, 'start': len(binary), 'size': int(array.size), 'type': 'float16' if exact else 'float32',
        }  # fmt: skip
        binary.extend(half.tobytes() if exact else array.astype('<f4').tobytes())
        return entry

    def steps(part: list[Step]) -> list[dict[str, Any]]:
        return [step._asdict() for step in part]

    label = int(np.argmax(generator.class_shares)) if generator.classes else 0
    latents = generator.latents(jax.random.key(0), 1)
    check = to_uint8(generator.generate(latents, np.array([label]) if generator.classes else None))
    law = str(generator.settings.latent)
    model = {
        'shape': shape, 'latent': law, 'size': generator.settings.latent_dim, 'deviation': DEVIATIONS[law],
        'classes': generator.classes,
        'program': {'inputs': program.inputs, 'setup': steps(program.setup), 'steps': steps(program.steps),
                    'output': program.output},
        'table': [put(number, array) for number, array in program.constants.items()],
        'directions': {'table': [put(k, axis) for k, axis in enumerate(found.axes)], 'shares': found.shares},
        'check': {'label': label, 'pixels': base64.b64encode(np.asarray(check).tobytes()).decode()},
    }  # fmt: skip
    return model, bytes(binary)


def _dataset(name: str) -> str:
    """How to call a dataset to somebody else: of a folder its last part only."""
    kind, _, rest = name.partition(':')
    return Path(rest).name or name if kind == 'folder' else Path(name).name or name


def _about_directions(found: Directions, law: str) -> str:
    text = (
        'Directions are at right angles to each other and ordered by how much of the pictures they move: each is '
        'followed by the share of the variance of pixels that a straight line along it explains, measured on '
        f'{found.held_out} pictures other than the {found.fitted} it was found from. A slider counts standard '
        'deviations of the latents.'
    )
    return text + (' Coordinates are kept between -1 and 1, where latents are.' if law == 'uniform' else '')


def _about_weights(weights: str, levels: int, precision: str) -> str:
    if weights == 'float16':
        change = f'by at most {levels} of 255'
        text = f'Weights are stored as float16, which changes pictures of {TRIED} random latents {change}.'
    else:
        text = f'Weights are stored as float32: float16 would change pictures by up to {levels} of 255.'
    return text if precision == 'float32' else f'{text} The run computed in {precision}, this page in float32.'


def _page(**parts: str) -> str:
    """The page of its parts. Scripts and styles are allowed by their digests: nothing else in it can run."""
    script = '\n'.join((PARTS / name).read_text(encoding='utf-8') for name in ('engine.js', 'latents.js', 'page.js'))
    style = (PARTS / 'page.css').read_text(encoding='utf-8')
    all_parts = {
        **{name.replace('_', '-'): part for name, part in parts.items()},
        'script': script, 'script-hash': _digest(script), 'style': style, 'style-hash': _digest(style),
    }  # fmt: skip
    template = (PARTS / 'page.html').read_text(encoding='utf-8')
    return re.sub('@([a-z-]+)@', lambda found: all_parts[found[1]], template)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
