"""The images that a run is on, whatever way they are given."""

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from wgan_jax import data
from wgan_jax.data.images import Images, collect, hold_out
from wgan_jax.data.synthetic import DENSITIES
from wgan_jax.files import atomic_path, discard
from wgan_jax.text import listed
from wgan_jax.training.classes import check_classes
from wgan_jax.training.configure import settings as preset_settings
from wgan_jax.training.settings import Settings, override, view_of

logger = logging.getLogger(__name__)

ARRAY = 'array'  # what the record of a run has as its dataset where images were passed


def with_images(
    settings: str | Settings,
    dataset: str | np.ndarray | Images | None = None,
    on_progress: data.Progress = lambda done, of: None,
) -> tuple[Settings, Images]:
    """The images of a run, and settings that say which they are.

    Args:
        settings: a preset's name, or settings.
        dataset: uint8 images (N, H, W, C), whose size replaces that in the settings; the name of a dataset; None for
            the one that the settings name.
        on_progress: told how many pictures of how many have been looked at.

    Returns:
        (settings, images), those held out apart.

    Raises:
        ValueError: for what cannot be loaded, or settings that do not fit the images.
    """
    if isinstance(dataset, os.PathLike):
        raise ValueError(f"dataset={dataset}: name a folder of pictures as 'folder:{dataset}', or pass an array")
    settings = checked(settings)
    if isinstance(settings, str):
        settings = preset_settings(settings)
    settings = override(settings, {} if not isinstance(dataset, str) else {'dataset': dataset})
    if dataset is None or isinstance(dataset, str):
        if settings.dataset in DENSITIES:
            raise ValueError(f'dataset={settings.dataset} is a density, no images: train on it by wgan_jax.sweep')
        if settings.dataset == ARRAY:
            raise ValueError('dataset=array: this run was given its images, pass them again')
        size, view = settings.height_width, view_of(settings)
        images = data.load(settings.dataset, *size, data_dir=settings.data_dir, on_progress=on_progress, **view)
        return settings, hold_out(check_classes(settings, images), settings.held_out)
    for name, value in view_of(settings).items():
        if value != getattr(Settings(), name):
            raise ValueError(f'{name}={value} has no effect on images that are passed: make them so, and leave it out')
    if isinstance(dataset, Images):
        if dataset.held_out is not None:
            raise ValueError('dataset: some of these images are held out already: pass all of them')
        made = collect(dataset.pixels, dataset.names)
        images = dataset._replace(pixels=made.pixels, names=made.names, fingerprint=made.fingerprint)
    else:
        images = collect(_as_images(_as_array(dataset)))
    height, width = images.pixels.shape[1:3]
    settings = override(settings, {'dataset': ARRAY, 'image_size': f'{height}x{width}'})
    return settings, hold_out(check_classes(settings, images), settings.held_out)


def checked(settings: str | Settings) -> str | Settings:
    """The settings, or the preset's name. Raises ValueError for anything else."""
    if not isinstance(settings, str | Settings):
        raise ValueError(
            f'settings must be the name of a preset or what wgan_jax.settings gives, not {type(settings).__name__}'
        )
    return settings


def _as_array(dataset: Any) -> np.ndarray:
    try:
        array = np.asanyarray(dataset) if isinstance(dataset, np.memmap) else np.asarray(dataset)
    except ValueError:  # of sequences of different lengths
        raise ValueError(
            "dataset: the images differ in shape; those of files are made alike by dataset='folder:PATH'"
        ) from None
    if not array.size:
        raise ValueError(f'dataset: there are no images in it, its shape is {array.shape}')
    return array


def list_skipped(workdir: Path, images: Images) -> None:
    """Writes the pictures that were left out of a dataset to ``skipped.txt``, a line each, and warns of them.

    Args:
        workdir: of the run.
        images: its dataset.
    """
    path = workdir / 'skipped.txt'
    if not images.skipped:
        discard(path)
        return
    with atomic_path(path) as temporary:
        temporary.write_text(''.join(f'{line}\n' for line in images.skipped), encoding='utf-8')
    logger.warning(
        f'pictures that cannot be used are left out, {len(images.skipped)}: {listed(images.skipped, most=3)}; '
        f'all are listed in {path}'
    )


def _as_images(pixels: np.ndarray) -> np.ndarray:
    """The array, if it holds images. Raises ValueError with what would make images of it."""
    if pixels.dtype != np.uint8 and np.issubdtype(pixels.dtype, np.floating):
        raise ValueError(
            f'dataset: images must be uint8 from 0 to 255, not {pixels.dtype}: (255 * x).round().astype(np.uint8) '
            'makes them of floats in [0, 1]'
        )
    if pixels.ndim == 3:
        raise ValueError(f'dataset: images must be (N, H, W, C), not {pixels.shape}: x[..., None] makes grey ones')
    first = pixels.ndim == 4 and pixels.shape[1] in (1, 3)
    if pixels.ndim == 4 and (pixels.shape[-1] not in (1, 3, 4) or (first and pixels.shape[-1] == 4)):
        hint = ': x.transpose(0, 2, 3, 1) puts the channels last' if first else ''
        raise ValueError(f'dataset: images must be (N, H, W, C) with C 1, 3 or 4, not {pixels.shape}{hint}')
    return pixels
