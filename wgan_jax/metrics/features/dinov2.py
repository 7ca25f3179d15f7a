"""DINOv2's vision transformers, as the Fréchet distance in their features (FD-DINOv2) uses them.

Source: Oquab et al. 2023, https://arxiv.org/abs/2304.07193; https://github.com/facebookresearch/dinov2; the features
and the preprocessing, Stein et al. 2023, https://arxiv.org/abs/2306.04675, https://github.com/layer6ai-labs/dgm-eval.
"""

import os
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from wgan_jax.metrics.features.network import FeatureNetwork
from wgan_jax.metrics.features.resize import cubic_matrix, resize_cubic, rows_and_columns
from wgan_jax.metrics.features.weights import Published, read_weights
from wgan_jax.types import Array

SIDE = 224  # pixels
PATCH = 14
GRID = 37  # patches along a side in pretraining, of 518 pixels
OFFSET = 0.1  # which the release adds to the number of patches before it divides by the grid
EPSILON = 1e-6  # of layer normalisation
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours in [0, 1]


class Release(NamedTuple):
    """A transformer: its name, width of its tokens, number of blocks, heads of each, published weights."""

    name: str
    width: int
    depth: int
    heads: int
    published: Published


_SITE = 'https://dl.fbaipublicfiles.com/dinov2'
VITB14 = Release(
    'dinov2_vitb14', 768, 12, 12,
    Published(
        f'{_SITE}/dinov2_vitb14/dinov2_vitb14_pretrain.pth',
        '0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73',
    ),
)  # fmt: skip
VITL14 = Release(
    'dinov2_vitl14', 1024, 24, 16,
    Published(
        f'{_SITE}/dinov2_vitl14/dinov2_vitl14_pretrain.pth',
        'd5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428',
    ),
)  # fmt: skip


def from_file(release: Release, path: str | os.PathLike) -> FeatureNetwork:
    """A transformer with the weights of a file.

    Images are brought to 256 levels, as a PNG would, grey repeated, alpha over white, and to 224x224 pixels by Pillow's
    bicubic resampling, which antialiases and rounds to 256 levels (dgm-eval without --clean_resize); then ImageNet's
    mean is taken off and its deviation divided by. The position embeddings of 37x37 patches are interpolated to 16x16
    by PyTorch's bicubic without antialiasing at the scale (16 + 0.1) / 37, as the release does. The feature is the
    normalised class token.

    Args:
        release: ``VITB14`` (768 features) or ``VITL14`` (1,024).
        path: of a ``.safetensors`` file with the names of facebookresearch/dinov2, see FEATURES.md.

    Returns:
        A network of the release's name, with '(weights …)' where the weights are not known as the published ones.

    Raises:
        ValueError: in one line, for a file with anything else in it.
    """
    weights, suffix = read_weights(path, shapes(release), release.published, ignored=lambda key: key == 'mask_token')
    return FeatureNetwork(f'{release.name}{suffix}', Partial(partial(features, release.heads), prepare(weights)))


def shapes(release: Release) -> dict[str, tuple[int, ...]]:
    """What the file must hold, by the names of the release."""
    width, depth = release.width, release.depth
    block = {
        'norm1.weight': (width,), 'norm1.bias': (width,), 'attn.qkv.weight': (3 * width, width),
        'attn.qkv.bias': (3 * width,), 'attn.proj.weight': (width, width), 'attn.proj.bias': (width,),
        'ls1.gamma': (width,), 'norm2.weight': (width,), 'norm2.bias': (width,), 'mlp.fc1.weight': (4 * width, width),
        'mlp.fc1.bias': (4 * width,), 'mlp.fc2.weight': (width, 4 * width), 'mlp.fc2.bias': (width,),
        'ls2.gamma': (width,),
    }  # fmt: skip
    outer = {
        'cls_token': (1, 1, width), 'pos_embed': (1, 1 + GRID**2, width), 'norm.weight': (width,),
        'norm.bias': (width,), 'patch_embed.proj.weight': (width, 3, PATCH, PATCH), 'patch_embed.proj.bias': (width,),
    }  # fmt: skip
    return outer | {f'blocks.{i}.{name}': shape for i in range(depth) for name, shape in block.items()}


def prepare(weights: dict[str, np.ndarray]) -> dict[str, Array | dict[str, Array]]:
    """Weights as ``features`` takes them: those of all blocks stacked, positions interpolated and added to the class.

    Args:
        weights: by the names of the release.
    """
    depth = 1 + max(int(key.split('.')[1]) for key in weights if key.startswith('blocks.'))
    inner = [key.removeprefix('blocks.0.') for key in weights if key.startswith('blocks.0.')]
    blocks = {name: jnp.stack([jnp.asarray(weights[f'blocks.{i}.{name}']) for i in range(depth)]) for name in inner}
    position = jnp.asarray(weights['pos_embed'])
    return {
        'blocks': blocks,
        'patch': jnp.asarray(weights['patch_embed.proj.weight'].transpose(2, 3, 1, 0)),
        'patch_bias': jnp.asarray(weights['patch_embed.proj.bias']),
        'class': jnp.asarray(weights['cls_token'])[0, 0] + position[0, 0],
        'positions': interpolate_positions(position[0, 1:], SIDE // PATCH),
        'norm': jnp.asarray(weights['norm.weight']),
        'norm_bias': jnp.asarray(weights['norm.bias']),
    }


def interpolate_positions(positions: Array, side: int) -> Array:
    """Position embeddings (grid^2, width) for side x side patches, (side^2, width)."""
    grid = round(len(positions) ** 0.5)
    matrix = cubic_matrix(grid, side, (side + OFFSET) / grid)
    return rows_and_columns(positions.reshape(1, grid, grid, -1), matrix, matrix).reshape(side**2, -1)


def features(heads: int, weights: dict, images: Array) -> Array:
    """(N, H, W, C) in [-1, 1] to (N, width), by weights that ``prepare`` made."""
    x = (resize_cubic(images, SIDE) - jnp.array(MEAN)) / jnp.array(DEVIATION)
    with jax.default_matmul_precision('highest'):
        x = jax.lax.conv_general_dilated(
            x, weights['patch'], (PATCH, PATCH), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
        )
        x = x.reshape(len(x), -1, x.shape[-1]) + weights['patch_bias'] + weights['positions']
        first = jnp.broadcast_to(weights['class'], (len(x), 1, x.shape[-1]))
        x = jnp.concatenate([first, x], axis=1)
        x, _ = jax.lax.scan(lambda x, block: (_block(x, block, heads), None), x, weights['blocks'])
    return _normalise(x[:, 0], weights['norm'], weights['norm_bias'])


def _block(x: Array, w: dict[str, Array], heads: int) -> Array:
    inner = _normalise(x, w['norm1.weight'], w['norm1.bias'])
    x = x + w['ls1.gamma'] * _attend(inner, w, heads)
    inner = _normalise(x, w['norm2.weight'], w['norm2.bias'])
    inner = jax.nn.gelu(_linear(inner, w, 'mlp.fc1'), approximate=False)
    return x + w['ls2.gamma'] * _linear(inner, w, 'mlp.fc2')


def _attend(x: Array, w: dict[str, Array], heads: int) -> Array:
    n, tokens, width = x.shape
    query, key, value = _linear(x, w, 'attn.qkv').reshape(n, tokens, 3, heads, -1).transpose(2, 0, 3, 1, 4)
    scores = jnp.einsum('nhtd,nhsd->nhts', query, key) * (width // heads) ** -0.5
    out = jnp.einsum('nhts,nhsd->nthd', jax.nn.softmax(scores), value)
    return _linear(out.reshape(n, tokens, width), w, 'attn.proj')


def _linear(x: Array, w: dict[str, Array], name: str) -> Array:
    return x @ w[f'{name}.weight'].T + w[f'{name}.bias']


def _normalise(x: Array, gain: Array, offset: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt(jnp.square(centred).mean(-1, keepdims=True) + EPSILON) * gain + offset
