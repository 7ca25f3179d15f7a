"""The flags as a TFDS dataset ``national_flags``, prepared and read without TensorFlow.

    builder = NationalFlags(data_dir=..., file_format="array_record")
    builder.download_and_prepare()
    source = builder.as_data_source(split="train")    # or tfds.data_source("national_flags", data_dir=...)

Imported only where it is used: TFDS need not be installed for the rest of the package.
"""

import io
from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds

from wgan_jax.data import flags


class NationalFlags(tfds.core.GeneratorBasedBuilder):
    """256 flags as they were drawn, 250 pixels wide, with alpha, each in its own proportions."""

    name = 'national_flags'
    pkg_dir_path = flags.FOLDER
    VERSION = tfds.core.Version('1.0.0')
    RELEASE_NOTES: ClassVar = {'1.0.0': '256 flags.'}

    def __init__(self, *, file_format='array_record', **kwargs):
        # The only format that can be written and read without TensorFlow.
        super().__init__(file_format=file_format, **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description='National flags, 250 pixels wide, named by ISO 3166-1 code.',
            features=tfds.features.FeaturesDict(
                {
                    'image': tfds.features.Image(shape=(None, None, 4), encoding_format='png'),
                    'code': tfds.features.Text(),
                    'country': tfds.features.Text(),
                }
            ),
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # nothing to download
        return {'train': self._generate_examples()}

    def _generate_examples(self):
        """Yields (code, example); the image as PNG bytes, because encoding an array would need TensorFlow."""
        names = flags.countries()
        for path in flags.paths():
            yield path.stem, {'image': _rgba_png(path), 'code': path.stem, 'country': names[path.stem]}


def _rgba_png(path: Path) -> bytes:
    """The file's picture as an RGBA PNG: the feature has one number of channels, the files have three modes."""
    from PIL import Image

    with Image.open(path) as image:
        buffer = io.BytesIO()
        image.convert('RGBA').save(buffer, 'PNG')
    return buffer.getvalue()
