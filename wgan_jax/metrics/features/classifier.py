"""A small convolutional classifier, and the one file that it is kept in."""

import itertools
import json
import math
import os
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from wgan_jax.data.images import check_size
from wgan_jax.json_files import NUMBER, check_shape
from wgan_jax.metrics.features.network import FeatureNetwork
from wgan_jax.metrics.features.weights import check_tensors, read_safetensors, write_safetensors
from wgan_jax.networks.convolution import CHANNEL_AXIS, downsample, from_layout, same, to_layout
from wgan_jax.networks.products import resolve_conv_impl
from wgan_jax.text import printable
from wgan_jax.types import Array, Key

NUM_FEATURES = 128
MOST_BY_CHANNEL = 16  # classes: 4,096 triples
WIDTHS = (32, 64, 128)  # channels after each halving; the last of all further ones, too
SMALLEST = 8  # pixels: halved until the smaller side is at most that
FORMAT, VERSION = 'wgan_jax.classifier', '1'

Params = dict[str, Array]


class Classifier(NamedTuple):
    """A trained classifier and what it was trained on.

    Attributes:
        params: see ``init``.
        shape: (H, W, C) of the images.
        classes: their names.
        dataset: its name.
        accuracy: share of the held-out images that were told right, None where there were none.
    """

    params: Params
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    dataset: str
    accuracy: float | None = None

    def network(self) -> FeatureNetwork:
        """Its 128 features before the last map, and its probabilities, as 'classifier(DATASET)'."""
        name = f'classifier({printable(self.dataset, 60)})'
        features, probable = (Partial(_for_shape(f, self.shape, name), self.params) for f in (_features, _probable))
        return FeatureNetwork(name, features, probable, self.classes)

    def by_channel(self) -> FeatureNetwork:
        """Of images with three channels, each channel looked at as a grey image: 384 features, K^3 classes.

        The class of an image is that of its red, green and blue, in this order: '407' of digits. The probability of
        one is the product of the three.

        Raises:
            ValueError: for a classifier of images with more than one channel, and of so many classes that their
                triples are too many.
        """
        if self.shape[2] != 1:
            raise ValueError(f'channel by channel, a classifier must be of grey images, and this is of {self.shape}')
        if len(self.classes) > MOST_BY_CHANNEL:
            raise ValueError(f'{len(self.classes)} classes by channel have too many triples: {MOST_BY_CHANNEL} at most')
        name = f'classifier_by_channel({printable(self.dataset, 60)})'
        shape = (*self.shape[:2], 3)
        features, probable = (
            Partial(_for_shape(f, shape, name), self.params) for f in (_features_by_channel, _probable_by_channel)
        )
        apart = '' if all(len(each) == 1 for each in self.classes) else ','
        triples = tuple(map(apart.join, itertools.product(self.classes, repeat=3)))
        return FeatureNetwork(name, features, probable, triples)


def _for_shape(function: Callable, shape: tuple[int, int, int], name: str) -> Callable:
    def checked(params, images):
        if images.shape[1:] != shape:
            raise ValueError(f'{name} takes images {shape}, not {images.shape[1:]}')
        return function(params, images)

    return checked


def _widths(height: int, width: int) -> list[int]:
    halvings = max(1, math.ceil(math.log2(min(height, width) / SMALLEST)))
    return [WIDTHS[min(i, len(WIDTHS) - 1)] for i in range(halvings)]


def shapes(shape: tuple[int, int, int], num_classes: int) -> dict[str, tuple[int, ...]]:
    """The parameters by name: kernels of the halving convolutions, one more convolution, and two dense maps.

    Args:
        shape: (H, W, C) of the images.
        num_classes: K.
    """
    height, width, channels = shape
    widths = _widths(height, width)
    found: dict[str, tuple[int, ...]] = {}
    for i, (before, after) in enumerate(zip((channels, *widths), widths, strict=False)):
        found |= {f'down{i}.kernel': (4, 4, before, after), f'down{i}.bias': (after,)}
    step = 2 ** len(widths)
    pixels = math.ceil(height / step) * math.ceil(width / step)
    return found | {
        'same.kernel': (3, 3, widths[-1], widths[-1]), 'same.bias': (widths[-1],),
        'features.kernel': (pixels * widths[-1], NUM_FEATURES), 'features.bias': (NUM_FEATURES,),
        'classes.kernel': (NUM_FEATURES, num_classes), 'classes.bias': (num_classes,),
    }  # fmt: skip


def init(key: Key, shape: tuple[int, int, int], num_classes: int) -> Params:
    """He-normal kernels, zero biases.

    Args:
        key: one.
        shape: (H, W, C) of the images.
        num_classes: K.
    """
    params = {}
    for i, (name, size) in enumerate(shapes(shape, num_classes).items()):
        scale = 0.0 if name.endswith('bias') else math.sqrt(2 / math.prod(size[:-1]))
        params[name] = scale * jax.random.normal(jax.random.fold_in(key, i), size)
    return params


def apply(params: Params, images: Array) -> tuple[Array, Array]:
    """Logits (N, K) and features (N, 128) of images (N, H, W, C) in [-1, 1]."""
    impl = resolve_conv_impl(None)
    options = {'dtype': jnp.float32, 'conv_impl': impl}

    def rectified(x, name):
        axis = [1] * 4
        axis[CHANNEL_AXIS[impl]] = -1
        return jax.nn.relu(x + params[f'{name}.bias'].reshape(axis))

    halvings = sum(name.startswith('down') for name in params) // 2
    padding = [(0, -side % 2**halvings) for side in images.shape[1:3]]
    x = to_layout(jnp.pad(images, ((0, 0), *padding, (0, 0))), impl)
    for i in range(halvings):
        x = rectified(downsample(x, params[f'down{i}.kernel'], **options), f'down{i}')
    x = rectified(same(x, params['same.kernel'], **options), 'same')
    x = from_layout(x, impl).reshape(len(images), -1)
    highest = jax.lax.Precision.HIGHEST
    features = jax.nn.relu(jnp.dot(x, params['features.kernel'], precision=highest) + params['features.bias'])
    return jnp.dot(features, params['classes.kernel'], precision=highest) + params['classes.bias'], features


def _features(params: Params, images: Array) -> Array:
    return apply(params, images)[1]


def _probable(params: Params, images: Array) -> Array:
    return jax.nn.softmax(apply(params, images)[0])


def _apart(images: Array) -> Array:
    """The channels of images (N, H, W, C) as grey images (N * C, H, W, 1)."""
    return jnp.moveaxis(images, -1, 1).reshape(-1, *images.shape[1:3], 1)


def _features_by_channel(params: Params, images: Array) -> Array:
    return _features(params, _apart(images)).reshape(len(images), -1)


def _probable_by_channel(params: Params, images: Array) -> Array:
    red, green, blue = jnp.moveaxis(_probable(params, _apart(images)).reshape(len(images), 3, -1), 1, 0)
    return jnp.einsum('ni,nj,nk->nijk', red, green, blue).reshape(len(images), -1)


def save(path: str | os.PathLike, classifier: Classifier) -> None:
    """Writes a classifier to one ``.safetensors`` file, atomically; all but the parameters stands in its header."""
    header = {
        'format': FORMAT, 'version': VERSION, 'shape': json.dumps(classifier.shape),
        'classes': json.dumps(classifier.classes), 'dataset': classifier.dataset,
        'accuracy': json.dumps(classifier.accuracy),
    }  # fmt: skip
    write_safetensors(path, {name: np.asarray(x) for name, x in classifier.params.items()}, header)


def load(path: str | os.PathLike) -> Classifier:
    """Reads what ``save`` wrote. Raises ValueError, in one line, for any other file."""
    shown = printable(path, 200)
    tensors, header = read_safetensors(path)
    if header.get('format') != FORMAT:
        raise ValueError(f'{shown} is no classifier of this package: the launcher classifier makes one')
    if header.get('version') != VERSION:
        raise ValueError(f'{shown} is of version {printable(header.get("version"), 20)}, and {VERSION} can be read')
    read = {}
    for name, wanted in (('shape', [int]), ('classes', [str]), ('accuracy', (*NUMBER, type(None)))):
        try:
            read[name] = json.loads(header.get(name, ''))
        except ValueError:
            raise ValueError(f"{shown}: '{name}' in its header is not valid JSON") from None
        if name != 'accuracy':
            check_shape(read[name], wanted, f'{shown}: {name}')
        elif read[name] is not None:
            check_shape(read[name], NUMBER, f'{shown}: {name}')
    if len(read['shape']) != 3 or read['shape'][2] not in (1, 3, 4) or len(read['classes']) < 2:
        raise ValueError(f'{shown}: there must be a shape (H, W, C) and at least two classes in its header')
    height, width, channels = read['shape']
    try:
        shape, classes = (*check_size(height, width), channels), tuple(read['classes'])
    except ValueError as error:
        raise ValueError(f'{shown}: {error}') from None
    params = check_tensors(tensors, shapes(shape, len(classes)), shown)
    on_device = {name: jnp.asarray(x) for name, x in params.items()}
    return Classifier(on_device, shape, classes, header.get('dataset', ''), read['accuracy'])


def from_file(path: str | os.PathLike) -> FeatureNetwork:
    """The network in a file that ``save``, or the launcher ``classifier``, wrote.

    Args:
        path: of the file.

    Returns:
        'classifier(DATASET)': 128 features, probabilities of its classes; for images of its own size only.

    Raises:
        ValueError: in one line, for any other file.
    """
    return load(path).network()


def by_channel_from_file(path: str | os.PathLike) -> FeatureNetwork:
    """The same network, which looks at each of three channels by itself: for ``stacked_mnist``.

    Args:
        path: of a file that ``save``, or the launcher ``classifier``, wrote: of grey images.

    Returns:
        'classifier_by_channel(DATASET)': see ``Classifier.by_channel``.

    Raises:
        ValueError: in one line, for any other file.
    """
    classifier = load(path)
    try:
        return classifier.by_channel()
    except ValueError as error:
        raise ValueError(f'{printable(path, 200)}: {error}') from None
