"""The settings of a training run: plain values, and parts of one's own, from which everything else is built."""

import dataclasses
import difflib
import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from wgan_jax.constraints import Constraint
from wgan_jax.data import DATASETS
from wgan_jax.data.augmentation import Augmentation
from wgan_jax.latents import LATENTS
from wgan_jax.networks import ARCHITECTURES, Architecture
from wgan_jax.objectives import LOGIT_OBJECTIVES, Objective
from wgan_jax.training.optimizers import OPTIMIZERS
from wgan_jax.training.parts import KINDS, find_part, name_part, record_part
from wgan_jax.types import Network, Players

CRITIC_NORMS = ('none', 'batch', 'layer')
PRECISIONS = ('float32', 'bfloat16')


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything that decides the numbers a run produces. The train launcher has a flag for each.

    ``steps`` counts generator updates, ``batch_size`` examples over all devices, ``decay_steps`` generator updates
    (0: constant rates and noise). ``image_size`` is 'HxW' in pixels, ``critic_width`` 0 stands for ``width``,
    ``generator_batch_size`` 0 for ``batch_size``, ``resnet_variant`` 'auto' for what ``resolve`` makes of it. A field
    that nothing reads has no meaning.

    ``arch``, ``objective``, ``constraint`` and ``augment`` are registered names or values of one's own: an
    ``Architecture`` or ``Players`` of two ``Network``, an ``Objective``, a ``Constraint``, an ``Augmentation``.
    """

    dataset: str = 'flags'
    data_dir: str | None = None
    image_size: str = '64x64'
    arch: 'str | Architecture | Players[Network]' = 'dcgan'
    resnet_variant: str = 'auto'
    width: int = 64
    critic_width: int = 0
    upsampling: str = 'transposed'
    latent_dim: int = 100
    latent: str = 'normal'
    critic_norm: str = 'batch'
    objective: str | Objective = 'wasserstein'
    label_smoothing: float = 0.0
    constraint: str | Constraint = 'none'
    clip: float = 0.01
    penalty_weight: float = 10.0
    instance_noise: float = 0.0
    optimizer: str = 'adam'
    generator_lr: float = 1e-4
    critic_lr: float = 1e-4
    beta1: float = 0.5
    beta2: float = 0.999
    decay_steps: int = 0
    n_critic: int = 1
    critic_warmup: bool = False
    steps: int = 100_000
    batch_size: int = 64
    generator_batch_size: int = 0
    precision: str = 'float32'
    augment: str | Augmentation = 'none'
    ema_decay: float = 0.0
    init_from: str | None = None
    deterministic: bool = False
    seed: int = 0

    @property
    def height_width(self) -> tuple[int, int]:
        """Image height and width in pixels."""
        height, width = self.image_size.split('x')
        return int(height), int(width)


def parse_image_size(text: str) -> str:
    """'32' -> '32x32', '32x48' -> '32x48' (height x width). Raises ValueError for anything else."""
    sides = text.lower().split('x')
    if len(sides) == 1:
        sides = sides * 2
    if len(sides) != 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise ValueError(f'image_size={text} is neither a side such as 64 nor HEIGHTxWIDTH such as 32x48')
    return f'{int(sides[0])}x{int(sides[1])}'


def override(preset: Settings, given: Mapping[str, Any]) -> Settings:
    """The preset with the given fields replaced, validated.

    Args:
        preset: settings to start from.
        given: field name -> value, only those that the user chose.

    Returns:
        The resulting settings, resolved.

    Raises:
        ValueError: one line that names the setting, what is wrong with it and what would do; also for a given field
            that has no effect under the resulting settings.
    """
    known = [field.name for field in dataclasses.fields(Settings)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean {near[0]}?' if near else f'there are: {", ".join(known)}'
            raise ValueError(f'{name} is no setting; {hint}')
    given = dict(given)
    given = {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in given.items()}
    if 'image_size' in given:
        given['image_size'] = parse_image_size(str(given['image_size']))
    settings = dataclasses.replace(preset, **given)
    settings = dataclasses.replace(settings, **{kind: name_part(kind, getattr(settings, kind)) for kind in KINDS})
    validate(settings)
    for name, reason in _without_effect(settings).items():
        if name in given:
            raise ValueError(f'{name} has no effect {reason}: leave it out')
    return resolve(_in_python_s_types(settings))


def _in_python_s_types(settings: Settings) -> Settings:
    """NumPy's numbers, which JSON does not take, as Python's."""
    plain: dict[str, Any] = {
        f.name: f.type(getattr(settings, f.name)) for f in dataclasses.fields(Settings) if f.type in (int, float)
    }
    return dataclasses.replace(settings, **plain)


def resolve(settings: Settings) -> Settings:
    """The settings with every 'auto' replaced by what it stands for, so that a run's record says which it is."""
    architecture = architecture_of(settings)
    if architecture is None:
        return settings
    default = Settings()
    unread: dict[str, Any] = {name: getattr(default, name) for name in _OF_SOME if name not in architecture.reads}
    return dataclasses.replace(settings, **unread, **architecture.resolve(settings))


def architecture_of(settings: Settings) -> Architecture | None:
    """The architecture of a run; None where its networks are somebody's own or only a record of such."""
    value = ARCHITECTURES.get(settings.arch) if isinstance(settings.arch, str) else settings.arch
    return value if isinstance(value, Architecture) else None


class _Wanted(NamedTuple):
    name: str
    types: tuple[type, ...]


_TYPES = {
    int: _Wanted('a whole number', (int, np.integer)),
    float: _Wanted('a number', (int, float, np.integer, np.floating)),
    bool: _Wanted('True or False', (bool,)),
    str: _Wanted('a string', (str,)),
}

_OF_SOME = tuple(sorted({name for architecture in ARCHITECTURES.values() for name in architecture.reads}))


def record(settings: Settings) -> dict[str, Any]:
    """The settings as JSON has them: a part of one's own by its name, file and digest."""
    return {
        field.name: record_part(value) if field.name in KINDS else value
        for field, value in ((field, getattr(settings, field.name)) for field in dataclasses.fields(settings))
    }


def validate(settings: Settings) -> None:
    """Raises ValueError, in one line, for the first setting that cannot be used."""
    for field in dataclasses.fields(Settings):
        if field.type in _TYPES:
            wanted, value = _TYPES[field.type], getattr(settings, field.name)
            right = isinstance(value, wanted.types) and (field.type is bool or not isinstance(value, bool))
            _require(settings, field.name, right, f'must be {wanted.name}')
    parts = {name: find_part(name, getattr(settings, name)) for name in KINDS}
    choices = {
        'latent': LATENTS, 'critic_norm': CRITIC_NORMS, 'optimizer': OPTIMIZERS, 'precision': PRECISIONS,
    }  # fmt: skip
    for name, known in choices.items():
        if getattr(settings, name) not in known:
            raise ValueError(f'{name}={getattr(settings, name)} is unknown; there are: {", ".join(known)}')
    for name in ('width', 'latent_dim', 'n_critic', 'steps', 'batch_size'):
        _require(settings, name, getattr(settings, name) >= 1, 'must be at least 1')
    for name in ('clip', 'generator_lr', 'critic_lr'):
        _require(settings, name, 0 < getattr(settings, name) < math.inf, 'must be a positive number')
    for name in ('beta1', 'beta2', 'ema_decay', 'label_smoothing'):
        _require(settings, name, 0 <= getattr(settings, name) < 1, 'must lie in [0, 1)')
    for name in ('penalty_weight', 'instance_noise'):
        _require(settings, name, 0 <= getattr(settings, name) < math.inf, 'must be a number >= 0')
    _require(settings, 'decay_steps', settings.decay_steps >= 0, 'must be >= 0 (0: no decay)')
    _require(settings, 'seed', 0 <= settings.seed < 2**32, 'must lie in [0, 2**32)')
    _require(settings, 'critic_width', settings.critic_width >= 0, 'must be >= 0 (0: the same as width)')
    own = settings.generator_batch_size
    _require(settings, 'generator_batch_size', own >= 0, 'must be >= 0 (0: the same as batch_size)')
    if settings.label_smoothing and settings.objective not in LOGIT_OBJECTIVES:
        raise ValueError(
            f'label_smoothing={settings.label_smoothing} has no effect with objective='
            f'{record_part(settings.objective)}, whose scores are no logits: set it to 0'
        )
    constraint = parts['constraint']
    if isinstance(parts['arch'], Architecture):
        parts['arch'].check(settings, constraint.parametrization)
        uses_batch_statistics = settings.critic_norm == 'batch'
    else:
        _check_own_networks(parts['arch'], settings, constraint)
        uses_batch_statistics = parts['arch'].critic.uses_batch_statistics
    shown = record_part(settings.constraint)
    if constraint.parametrization is not None and settings.critic_norm != 'none':
        raise ValueError(
            f'constraint={shown} bounds the layers, and a normalisation between them would stretch what they bound: '
            'use critic_norm=none'
        )
    if constraint.penalty is not None and uses_batch_statistics:
        mend = 'use critic_norm=none or critic_norm=layer'
        if not isinstance(parts['arch'], Architecture):
            mend = 'take it out of the critic, or say from_linen(..., uses_batch_statistics=False) if it has none'
        raise ValueError(
            f'constraint={shown} needs the gradient of each sample by itself, and batch normalisation mixes the '
            f'samples: {mend}'
        )


def _check_own_networks(networks: Players, settings: Settings, constraint: Constraint) -> None:
    for name, network in zip(networks._fields, networks, strict=True):
        if not isinstance(network, Network):
            raise ValueError(
                f'arch={type(networks).__name__} holds {type(network).__name__} as its {name}: a Network is needed, '
                'such as from_linen(module, input_shape) makes'
            )
    if constraint.parametrization is not None:
        raise ValueError(
            f"constraint={record_part(settings.constraint)} lies in the layers: with networks of one's own use "
            'constraint=none and the layers of wgan_jax.networks.layers, parametrization='
            f"'{constraint.parametrization}'"
        )


def _require(settings: Settings, name: str, holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f'{name}={getattr(settings, name)} {what}')


def _without_effect(settings: Settings) -> dict[str, str]:
    """Settings that nothing reads, given the others, each with the reason."""
    constraint = find_part('constraint', settings.constraint)
    architecture = architecture_of(settings)
    unused = {}
    if constraint.transform is None:
        unused['clip'] = f'with constraint={record_part(settings.constraint)}'
    if constraint.penalty is None:
        unused['penalty_weight'] = f'with constraint={record_part(settings.constraint)}'
    if settings.objective not in LOGIT_OBJECTIVES:
        unused['label_smoothing'] = f'with objective={record_part(settings.objective)}, whose scores are no logits'
    if architecture is None:
        for name in (*_OF_SOME, 'width', 'critic_width', 'critic_norm', 'precision'):
            unused[name] = "with networks of one's own"
    else:
        for name in _OF_SOME:
            if name not in architecture.reads:
                unused[name] = f'with arch={record_part(settings.arch)}'
    if settings.optimizer != 'adam':
        unused['beta1'] = unused['beta2'] = f'with optimizer={settings.optimizer}'
    if settings.dataset.partition(':')[0] in DATASETS:
        unused['data_dir'] = f'with dataset={settings.dataset}, which TFDS does not read'
    return unused
