"""Any TFDS dataset with an image feature, read into memory without TensorFlow."""

import io
import os
from typing import Any

import numpy as np

from wgan_jax.data.images import Images, collect, fit

_CHUNK = 1024  # examples per read: one call per example costs several times as much


class UnknownDataset(ValueError):
    """No dataset of that name, as far as can be told."""


def _tfds(name: str) -> Any:
    """The library, imported late: machines that train on the flags need not have it."""
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise UnknownDataset(
            f"dataset {name!r} would have to be one of TFDS's, and tensorflow-datasets is not installed ({error})"
        ) from error
    return tensorflow_datasets


def _builder(tfds: Any, name: str, data_dir: str | os.PathLike | None) -> Any:
    """The dataset's builder; nothing is downloaded."""
    if name.split('/')[0].split(':')[0] == 'national_flags':
        from wgan_jax.data.flags import builder as _  # noqa: F401  registers the dataset
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        raise UnknownDataset(f'unknown dataset {name!r}') from error
    except (AssertionError, ImportError, RuntimeError, ValueError) as error:
        raise ValueError(f'cannot use TFDS dataset {name!r}: {str(error).splitlines()[0]}') from error


def _image_feature(tfds: Any, builder: Any) -> tuple[str, Any]:
    """(name, feature) of the image: the one called 'image', else the first; there must be one."""
    features = builder.info.features
    found = {}
    if isinstance(features, tfds.features.FeaturesDict):
        found = {key: value for key, value in features.items() if type(value) is tfds.features.Image}
    if not found:
        raise ValueError(f'TFDS dataset {builder.name!r} has no image feature')
    key = 'image' if 'image' in found else min(found)
    return key, found[key]


def load(
    name: str,
    height: int,
    width: int,
    *,
    data_dir: str | os.PathLike | None = None,
    split: str = 'train',
    max_gigabytes: float = 8.0,
) -> Images:
    """A split of a TFDS dataset at one size, on the original's colours: grey stays one channel.

    Each image is centre-cropped to the aspect ratio and resized; so MNIST's 28x28 at 32x32 are enlarged by 8/7
    (Lanczos), not padded: digits fill the same part of the picture at every size.

    Args:
        name: TFDS name, such as 'mnist' or 'mnist:3.0.1'.
        height, width: pixels.
        data_dir: the folder datasets are prepared in; None: TFDS's own default.
        split: TFDS split or slice, such as 'train[:100]'.
        max_gigabytes: refuse what would take more memory than this.

    Returns:
        ``Images`` without names, in the order of the files.

    Raises:
        ValueError: TFDS missing, an unknown dataset or split, no image feature, not prepared, too large for memory.
    """
    from PIL import Image

    tfds = _tfds(name)
    builder = _builder(tfds, name, data_dir)
    key, feature = _image_feature(tfds, builder)
    where = f' --data_dir={data_dir}' if data_dir else ''
    prepare = f'tfds build {name} --file_format=array_record{where}'
    # Asked first: as it stands, data_source() would try to download.
    if not builder.is_prepared():
        raise ValueError(
            f'TFDS dataset {name!r} is not prepared in {builder.data_path}; '
            f'where TensorFlow is installed, run: {prepare}'
        )
    channels = 1 if feature.shape[-1] == 1 else 3
    try:
        examples = builder.info.splits[split].num_examples
    except (KeyError, ValueError) as error:
        known = ', '.join(builder.info.splits)
        raise ValueError(f'TFDS dataset {name!r} has no split {split!r}; it has {known}') from error
    gigabytes = examples * height * width * channels / 1e9
    if gigabytes > max_gigabytes:
        raise ValueError(
            f'TFDS dataset {name!r}: {examples} images of {height}x{width}x{channels} take {gigabytes:.1f} GB, the '
            f'limit is {max_gigabytes:g} GB: use a smaller image size, or a part of it'
        )
    try:
        source = builder.as_data_source(split=split, decoders={key: tfds.decode.SkipDecoding()})
    except NotImplementedError as error:
        raise ValueError(
            f'TFDS dataset {name!r} in {builder.data_path} is not in array_record form, which is the one that can be '
            f'read without TensorFlow; prepare it in another folder: {prepare}'
        ) from error
    pixels = np.empty((examples, height, width, channels), np.uint8)
    for start in range(0, examples, _CHUNK):
        places = range(start, min(start + _CHUNK, examples))
        for place, example in zip(places, source.__getitems__(places), strict=True):
            with Image.open(io.BytesIO(example[key])) as image:
                pixels[place] = fit(image, height, width, channels)
    return collect(pixels)
