"""The images that a run is on, whatever way they are given."""

import numpy as np

from wgan_jax import data
from wgan_jax.data.images import Images, collect
from wgan_jax.training.configure import settings as preset_settings
from wgan_jax.training.settings import Settings, override

ARRAY = 'array'  # what the record of a run has as its dataset where images were passed


def with_images(settings: str | Settings, dataset: str | np.ndarray | Images | None = None) -> tuple[Settings, Images]:
    """The images of a run, and settings that say which they are.

    Args:
        settings: a preset's name, or settings.
        dataset: uint8 images (N, H, W, C), whose size replaces that in the settings; the name of a dataset; None for
            the one that the settings name.

    Returns:
        (settings, images).

    Raises:
        ValueError: for what cannot be loaded, or settings that do not fit the images.
    """
    if isinstance(settings, str):
        settings = preset_settings(settings)
    settings = override(settings, {} if not isinstance(dataset, str) else {'dataset': dataset})
    if dataset is None or isinstance(dataset, str):
        if settings.dataset == ARRAY:
            raise ValueError('dataset=array: this run was given its images, pass them again')
        return settings, data.load(settings.dataset, *settings.height_width, data_dir=settings.data_dir)
    images = dataset if isinstance(dataset, Images) else collect(np.asarray(dataset))
    height, width = images.pixels.shape[1:3]
    return override(settings, {'dataset': ARRAY, 'image_size': f'{height}x{width}'}), images
