"""A trained generator as a folder that can be handed on: its arrays, its program, and what is needed to use them.

``generator.safetensors`` and ``config.json`` are what ``wgan_jax.load`` reads; ``generator.stablehlo`` is a program for
CPUs, GPUs and TPUs that ``sample.py`` runs with nothing but jax installed.
"""

import importlib.metadata
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import safetensors.numpy

import wgan_jax
from wgan_jax.data import is_path
from wgan_jax.environment import environment
from wgan_jax.export.program import PLATFORMS, export_program
from wgan_jax.export.script import sample_script
from wgan_jax.files import atomic_path, make_folder
from wgan_jax.json_files import write_json
from wgan_jax.networks import ARCHITECTURES, Architecture
from wgan_jax.training.checkpoint import digest_of_arrays, flatten
from wgan_jax.training.exported import LAUNCHER, WEIGHTS
from wgan_jax.training.folder import at_rest, read_run
from wgan_jax.training.load import Generator, load
from wgan_jax.types import Network, Players

PROGRAM, SCRIPT, READER = 'generator.stablehlo', 'sample.py', 'flatbuffers.zip'
FILES = (WEIGHTS, PROGRAM, SCRIPT, READER)

__all__ = ['FILES', 'PLATFORMS', 'PROGRAM', 'WEIGHTS', 'export_program', 'read', 'sample_script', 'save', 'write']


def read(
    workdir: str | os.PathLike,
    step: int | None = None,
    ema: bool = True,
    *,
    networks: Players[Network] | Architecture | None = None,
) -> tuple[Generator, dict[str, Any]]:
    """A run's generator, and what ``config.json`` of its exported folder says of it.

    Args:
        workdir, step, ema, networks: as of ``wgan_jax.load``; of a run of ``train``.

    Returns:
        The generator, and a dictionary of 'launcher', 'wgan_jax' (the version), 'step', 'ema', 'sha256' of the arrays,
        'image', 'latent', 'settings' and 'dataset'. Of paths on this machine it has the last name of a folder of
        pictures, nothing more.

    Raises:
        ValueError: as of ``load``, and while a process trains the run.
    """
    with at_rest(workdir):
        run = read_run(workdir)
        if networks is None and run['settings']['arch'] not in ARCHITECTURES:
            raise ValueError(
                f'{workdir} was trained with networks of its own, {run["settings"]["arch"]}: export it from Python, '
                'wgan_jax.export.save(WORKDIR, FOLDER, networks=...)'
            )
        generator = load(workdir, step, ema, networks=networks)
    settings, dataset = {**run['settings'], 'data_dir': None, 'init_from': None}, dict(run['dataset'])
    named = settings['dataset'].removeprefix('folder:')
    if named != settings['dataset'] or is_path(named):
        settings['dataset'] = f'folder:{Path(named).name}'
    height, width, channels = dataset['shape'][1:]
    return generator, {
        'launcher': LAUNCHER,
        'wgan_jax': wgan_jax.__version__,
        'step': generator.step,
        'ema': ema,
        'sha256': digest_of_arrays(flatten(generator.variables)),
        'image': {'height': height, 'width': width, 'channels': channels, 'layout': 'NHWC', 'range': [-1, 1]},
        'latent': {'law': generator.settings.latent, 'size': generator.settings.latent_dim},
        'settings': settings,
        'dataset': dataset,
    }


def write(folder: str | os.PathLike, generator: Generator, channels: int) -> None:
    """Writes ``FILES``, everything but ``config.json``, into a folder that is there.

    Raises:
        ValueError: for a distribution of latents that ``sample.py`` cannot draw from.
        WriteError: when one cannot be written.
    """
    contents = {
        SCRIPT: sample_script(generator, channels).encode(),
        WEIGHTS: safetensors.numpy.save(flatten(generator.variables), {'format': 'flax'}),
        PROGRAM: bytes(export_program(generator, channels).serialize()),
        READER: _reader(),
    }
    for name, content in contents.items():
        with atomic_path(Path(folder) / name) as temporary:
            temporary.write_bytes(content)


def save(
    workdir: str | os.PathLike,
    folder: str | os.PathLike,
    step: int | None = None,
    ema: bool = True,
    *,
    networks: Players[Network] | Architecture | None = None,
) -> None:
    """Exports a run's generator, of networks of one's own too; ``./launch.sh export`` adds a model card.

    Args:
        workdir, step, ema, networks: as of ``wgan_jax.load``.
        folder: made when missing, in a folder that is there.

    Raises:
        ValueError: as of ``read`` and ``write``.
        WriteError: when a file cannot be written.
    """
    generator, config = read(workdir, step, ema, networks=networks)
    write_json(make_folder(folder) / 'config.json', {**config, **environment()})
    write(folder, generator, config['image']['channels'])


def _reader() -> bytes:
    """The package flatbuffers, which jax.export reads with and jax does not bring along, in a zip file.

    Python imports from it as it is. The licence that goes with it, Apache 2.0, is in jax's package.
    """
    package, licence = (importlib.metadata.files(name) or () for name in ('flatbuffers', 'jax'))
    kept = [path for path in package if path.parts[0] == 'flatbuffers' and path.suffix == '.py']
    kept += [path for path in package if path.name == 'METADATA']
    kept += [path for path in licence if path.name == 'LICENSE']
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, 'w', zipfile.ZIP_DEFLATED) as archive:
        for path in kept:
            name = str(path) if path.parts[0] == 'flatbuffers' else f'flatbuffers/{path.name}'
            archive.writestr(zipfile.ZipInfo(name), path.read_binary(), zipfile.ZIP_DEFLATED)  # of no date
    return packed.getvalue()
