"""Flags of a run's settings: the one declaration that every launcher with such flags takes them from."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from absl import flags

from wgan_jax.constraints import CONSTRAINTS
from wgan_jax.data.augmentation import AUGMENTATION_PARTS, AUGMENTATIONS
from wgan_jax.data.fitting import CHANNELS, FITS
from wgan_jax.latents import LATENTS
from wgan_jax.networks import ARCHITECTURES
from wgan_jax.networks.dcgan import UPSAMPLINGS
from wgan_jax.networks.resnet import VARIANTS
from wgan_jax.objectives import LOGIT_OBJECTIVES, OBJECTIVES
from wgan_jax.training.gan import DECAYS
from wgan_jax.training.optimizers import OPTIMIZERS
from wgan_jax.training.settings import CRITIC_NORMS, PRECISIONS, Settings

from .choices import datasets, described
from .flagtypes import define_number, define_one_or_more, define_text

_VARIANTS = {
    'auto': 'good where both sides have at least 64 pixels, else cifar',
    'cifar': 'of one width',
    'good': 'whose widths double towards small images',
}
_AUGMENTATIONS = {
    'data': 'flip,upside_down,turn,zoom,colour of the real images',
    'diff': 'diff:colour,shift,cutout, of real and fake alike',
}
_PARTS = described(AUGMENTATION_PARTS, {name: part.text for name, part in AUGMENTATION_PARTS.items()})

_NAMES = {
    'datasets': datasets(),
    'channels': described(
        CHANNELS,
        {'1': 'grey', '3': 'red, green and blue', '4': 'and alpha', 'auto': '1 where nothing has a colour, else 3'},
    ),
    'fit': described(FITS, FITS),
    'arch': described(ARCHITECTURES),
    'resnet_variant': described(('auto', *VARIANTS), _VARIANTS),
    'upsampling': described(UPSAMPLINGS, {'nearest': 'which draws no checkerboard'}),
    'latent': described(LATENTS, {'uniform': 'in [-1, 1]'}),
    'critic_norm': described(CRITIC_NORMS),
    'objective': described(OBJECTIVES),
    'logits': described(LOGIT_OBJECTIVES),
    'constraint': described(CONSTRAINTS),
    'optimizer': described(OPTIMIZERS),
    'decay': described(DECAYS, {'cosine': 'half a period, flat at both ends'}),
    'precision': described(PRECISIONS),
    'augment': (
        f'{described(AUGMENTATIONS, _AUGMENTATIONS)}; or parts with commas between them, such as flip,zoom, of the '
        f'real images, which samples will then look like, or after diff: of real and fake alike. Parts: {_PARTS}'
    ),
}


def define_settings(names: Iterable[str], *, lists: bool = False) -> dict[str, flags.FlagHolder]:
    """A flag for each of these settings, None where it is not given.

    Args:
        names: fields of ``Settings``.
        lists: whether numbers may be lists of them.

    Returns:
        The flags by their names.
    """
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    return {name: _define(fields[name], define_one_or_more if lists else define_number) for name in names}


def given(holders: dict[str, flags.FlagHolder]) -> dict[str, Any]:
    """The values of those that were given."""
    return {name: flag.value for name, flag in holders.items() if flag.value is not None}


def _define(field: dataclasses.Field, define: Callable[..., flags.FlagHolder]) -> flags.FlagHolder:
    text, allowed = field.metadata['text'].format(**_NAMES), field.metadata['range']
    if text.split()[0].rstrip(':').isalpha():  # else it is what is typed, such as beta2
        text = text[0].upper() + text[1:]
    text += '.'
    if allowed is not None:
        return define(field.name, None, text, allowed)
    return (flags.DEFINE_bool if field.type is bool else define_text)(field.name, None, text)
