"""Feature networks: what distances between images are measured by. FEATURES.md says which is for what.

>>> import numpy as np
>>> network = feature_network('random_conv')
>>> network.name, network(np.zeros((3, 32, 32, 1))).shape
('random_conv', (3, 448))
"""

from collections.abc import Callable
from functools import partial

from wgan_jax.metrics.features import classifier, dinov2, inception
from wgan_jax.metrics.features.classifier import Classifier
from wgan_jax.metrics.features.network import FeatureNetwork
from wgan_jax.metrics.features.simple import pixels, random_conv
from wgan_jax.metrics.features.training import train_classifier
from wgan_jax.metrics.features.weights import convert
from wgan_jax.text import printable

FEATURES: dict[str, Callable[..., FeatureNetwork]] = {
    'pixels': pixels,
    'random_conv': random_conv,
    'classifier': classifier.from_file,
    'classifier_by_channel': classifier.by_channel_from_file,
    'inception_v3': inception.from_file,
    'dinov2_vitb14': partial(dinov2.from_file, dinov2.VITB14),
    'dinov2_vitl14': partial(dinov2.from_file, dinov2.VITL14),
}
OF_NO_FILE = ('pixels', 'random_conv')


def feature_network(spec: str) -> FeatureNetwork:
    """A feature network by name.

    Args:
        spec: 'pixels', 'random_conv', 'classifier:FILE', 'classifier_by_channel:FILE', 'inception_v3:FILE',
            'dinov2_vitb14:FILE' or 'dinov2_vitl14:FILE', where FILE is the path of a ``.safetensors`` file on this
            machine.

    Raises:
        ValueError: in one line, for an unknown name, a file too many or too few, and for one that cannot be used.
    """
    name, _, path = spec.partition(':')
    if name not in FEATURES:
        known = ', '.join(known if known in OF_NO_FILE else f'{known}:FILE' for known in FEATURES)
        raise ValueError(f'feature network {printable(name, 60)} is unknown; there are: {known}')
    if name in OF_NO_FILE:
        if path:
            raise ValueError(f'{name} has no file of weights: leave {printable(path, 200)} out')
        return FEATURES[name]()
    if not path:
        made = 'which the launcher classifier makes' if name.startswith('classifier') else 'see FEATURES.md'
        raise ValueError(f'{name} needs the file of its weights, {name}:FILE, {made}')
    return FEATURES[name](path)


__all__ = ['FEATURES', 'Classifier', 'FeatureNetwork', 'convert', 'feature_network', 'train_classifier']
