"""The settings of a training run: plain values, and parts of one's own, from which everything else is built."""
# ruff: noqa: RUF009  a setting's default is made by a function, of immutable values

import dataclasses
import difflib
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from wgan_jax.constraints import Constraint
from wgan_jax.data import DATASETS, OF_TFDS, is_path
from wgan_jax.data.augmentation import Augmentation
from wgan_jax.data.fitting import View, check_view
from wgan_jax.latents import LATENTS
from wgan_jax.networks import ARCHITECTURES, Architecture
from wgan_jax.objectives import LOGIT_OBJECTIVES, Objective
from wgan_jax.ranges import BATCH, COUNT, FRACTION, INT32, NOT_NEGATIVE, POSITIVE, SEED, SHARE, SIZE, Range, whole
from wgan_jax.text import printable
from wgan_jax.training.gan import DECAYS, WARMUP_CRITIC_UPDATES, WARMUP_INTERVAL, WARMUP_STEPS
from wgan_jax.training.optimizers import OPTIMIZERS
from wgan_jax.training.parts import KINDS, find_part, name_part, record_part
from wgan_jax.types import Network, Players

CRITIC_NORMS = ('none', 'batch', 'layer')
PRECISIONS = ('float32', 'bfloat16')


def _setting(default: Any, text: str, allowed: Range | None = None) -> Any:
    """A field whose metadata has its meaning, names in braces standing for what may be named, and its range if any."""
    return dataclasses.field(default=default, metadata={'text': text, 'range': allowed})


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything that decides the numbers a run produces. The train launcher has a flag for each.

    ``image_size`` is 'HxW' in pixels here. A field that nothing reads has no meaning.

    ``arch``, ``objective``, ``constraint`` and ``augment`` are registered names or values of one's own: an
    ``Architecture`` or ``Players`` of two ``Network``, an ``Objective``, a ``Constraint``, an ``Augmentation``.
    """

    dataset: str = _setting('flags', 'images: {datasets}')
    data_dir: str | None = _setting(None, 'where TFDS finds its prepared datasets')
    image_size: str = _setting('64x64', 'image side in pixels, or HEIGHTxWIDTH')
    channels: str = _setting('auto', 'channels of the images: {channels}')
    fit: str = _setting('crop', 'what is seen of a picture of other proportions: {fit}')
    background: str = _setting(
        '#ffffff',
        'colour behind transparent pictures, beside padded ones, and with 4 channels of what is not seen: #rrggbb',
    )
    min_side: int = _setting(
        0, 'pictures with a shorter side, in pixels, are left out; 0: none is', whole(0, below='be >= 0 (0: none is)')
    )
    max_images: int = _setting(0, 'how many pictures are taken; 0: all', whole(0, below='be >= 0 (0: all)'))
    held_out: float = _setting(
        0.0, 'share of the images, chosen by their content, on which the critic is tried and not trained', FRACTION
    )
    conditional: bool = _setting(False, 'train each class as such: the folders of a set, or the labels of TFDS')
    arch: 'str | Architecture | Players[Network]' = _setting('dcgan', 'networks: {arch}')
    resnet_variant: str = _setting('auto', 'which residual network (resnet): {resnet_variant}')
    width: int = _setting(
        64,
        'channels at full size (dcgan, resnet, r3gan), units of a hidden layer (mlp), many or few shapes (collage)',
        SIZE,
    )
    critic_width: int = _setting(
        0, 'the same of the critic; 0: as the generator', whole(0, int(SIZE.highest), 'be >= 0 (0: the same as width)')
    )
    upsampling: str = _setting('transposed', 'how the generator doubles its size (dcgan): {upsampling}')
    doublings: int = _setting(
        0,
        'how often the generator doubles the sides (dcgan), and the critic halves them (dcgan, collage); 0: until at '
        'most 7 pixels are left of the shorter one',
        whole(0, 16, 'be >= 0 (0: by the size)'),
    )  # fmt: skip
    latent_dim: int = _setting(100, 'dimensions of the latent vector', SIZE)
    latent: str = _setting('normal', 'distribution of the latent vector: {latent}')
    critic_norm: str = _setting('batch', 'normalisation in the critic: {critic_norm}')
    critic_bias: bool = _setting(
        False, 'biases of convolutions in a critic without normalisation (dcgan, collage), which a hinge loss needs'
    )
    objective: str | Objective = _setting('wasserstein', 'losses: {objective}')
    label_smoothing: float = _setting(
        0.0, 'how far below 1 the target of real images lies ({logits}); that of fake stays 0', FRACTION
    )
    constraint: str | Constraint = _setting('none', 'what keeps the critic Lipschitz: {constraint}')
    clip: float = _setting(0.01, 'largest absolute value of a critic weight', POSITIVE)
    penalty_weight: float = _setting(
        10.0,
        'factor of the penalty in the critic loss; for r1, r2 and r1_r2 the gamma of gamma/2 E|grad|^2',
        NOT_NEGATIVE,
    )
    instance_noise: float = _setting(
        0.0, 'deviation of the noise on all that the critic sees, falling to 0 over decay_steps', NOT_NEGATIVE
    )
    optimizer: str = _setting('adam', 'optimizer of both players: {optimizer}')
    generator_lr: float = _setting(1e-4, "the generator's learning rate", POSITIVE)
    critic_lr: float = _setting(1e-4, "the critic's learning rate", POSITIVE)
    beta1: float = _setting(0.5, 'decay of the mean of gradients (adam)', FRACTION)
    beta2: float = _setting(0.999, 'decay of the mean of squared gradients (adam)', FRACTION)
    decay_steps: int = _setting(
        0, 'generator updates over which learning rates, instance noise and what has a final value fall; 0: constant',
        whole(0, below='be >= 0 (0: no decay)'),
    )  # fmt: skip
    decay: str = _setting('linear', 'how they fall: {decay}')
    final_lr: float = _setting(0.0, 'share of the learning rates that is left after decay_steps', SHARE)
    final_penalty: float = _setting(1.0, 'share of penalty_weight that is left after decay_steps', SHARE)
    final_beta2: float = _setting(0.0, 'beta2 after decay_steps (adam); 0: it stays as it is', FRACTION)
    n_critic: int = _setting(1, 'critic updates per generator update', whole(1, 10**6))
    critic_warmup: bool = _setting(
        False, '100 critic updates for each of the first 25 generator updates and for every 500th'
    )
    steps: int = _setting(100_000, 'generator updates after which training is done', COUNT)
    batch_size: int = _setting(64, 'images in a batch, over all devices', BATCH)
    generator_batch_size: int = _setting(
        0, "images in the batch of a generator update, over all devices; 0: as the critic's",
        whole(0, int(BATCH.highest), 'be >= 0 (0: the same as batch_size)'),
    )  # fmt: skip
    precision: str = _setting('float32', 'precision of the computation: {precision}; parameters are float32')
    augment: str | Augmentation = _setting('none', 'augmentation: {augment}')
    ema_decay: float = _setting(
        0.0, "decay of the generator's moving average, from which samples come; 0: none", FRACTION
    )
    init_from: str | None = _setting(None, "another run's folder, whose networks to begin from")
    deterministic: bool = _setting(False, 'make a GPU repeat itself to the bit, at some cost in speed')
    seed: int = _setting(0, 'seed of every random draw', SEED)

    @property
    def height_width(self) -> tuple[int, int]:
        """Image height and width in pixels."""
        height, width = parse_image_size(self.image_size).split('x')
        return int(height), int(width)


def view_of(settings: Settings) -> dict[str, Any]:
    """What a run sees of its pictures besides their size, as ``wgan_jax.data.load`` takes it."""
    return {name: getattr(settings, name) for name in View._fields[2:]}


def parse_image_size(text: str) -> str:
    """'32' -> '32x32', '32x48' -> '32x48' (height x width). Raises ValueError for anything else."""
    sides = text.lower().split('x')
    if len(sides) == 1:
        sides = sides * 2
    if len(sides) == 2 and all(side.isdecimal() for side in sides) and any(int(side) > 99_999 for side in sides):
        raise ValueError(f'image_size={text}: a side must have at most 99999 pixels')
    if len(sides) != 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise ValueError(f'image_size={text} is neither a side such as 64 nor HEIGHTxWIDTH such as 32x48, in pixels')
    return f'{int(sides[0])}x{int(sides[1])}'


def override(preset: Settings, given: Mapping[str, Any]) -> Settings:
    """The preset with the given fields replaced, validated.

    Args:
        preset: settings to start from.
        given: field name -> value, only those that the user chose.

    Returns:
        The resulting settings, those that nothing reads as they are by default.

    Raises:
        ValueError: one line that names the setting, what is wrong with it and what would do; also for a given field
            that has no effect under the resulting settings.
    """
    known = [field.name for field in dataclasses.fields(Settings)]
    for name in given:
        if name not in known:
            near = [one for one in known if one.startswith(name)] or difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean {near[0]}?' if near else f'there are: {", ".join(known)}'
            raise ValueError(f'{name} is no setting; {hint}')
    given = dict(given)
    given = {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in given.items()}
    if 'image_size' in given:
        given['image_size'] = parse_image_size(str(given['image_size']))
    if 'channels' in given:
        given['channels'] = str(given['channels'])
    settings = dataclasses.replace(preset, **given)
    settings = dataclasses.replace(settings, **{kind: name_part(kind, getattr(settings, kind)) for kind in KINDS})
    validate(settings)
    for name, reason in _without_effect(settings).items():
        if name in given:
            raise ValueError(f'{name} has no effect {reason}: leave it out')
    return without_unread(_plain_numbers(settings))


def _plain_numbers(settings: Settings) -> Settings:
    """NumPy's numbers, which JSON does not take, as Python's."""
    plain: dict[str, Any] = {
        f.name: f.type(getattr(settings, f.name)) for f in dataclasses.fields(Settings) if f.type in (int, float)
    }
    return dataclasses.replace(settings, **plain)


def without_unread(settings: Settings) -> Settings:
    """The settings, those of other architectures than theirs as they are by default."""
    architecture = architecture_of(settings)
    if architecture is None:
        return settings
    default = Settings()
    unread: dict[str, Any] = {name: getattr(default, name) for name in _OF_SOME if name not in architecture.reads}
    return dataclasses.replace(settings, **unread)


def architecture_of(settings: Settings) -> Architecture | None:
    """The architecture of a run; None where its networks are somebody's own or only a record of such."""
    value = ARCHITECTURES.get(settings.arch) if isinstance(settings.arch, str) else settings.arch
    return value if isinstance(value, Architecture) else None


_OTHERS = {bool: 'True or False', str: 'a string'}
_HINTS = {'dataset': '; images themselves are given to train(..., dataset=...) or sweep(..., dataset=...)'}

_OF_SOME = tuple(sorted({name for architecture in ARCHITECTURES.values() for name in architecture.reads}))


def record(settings: Settings) -> dict[str, Any]:
    """The settings as JSON has them, with what 'auto' stands for; a part of one's own by its name, file and digest."""
    architecture = architecture_of(settings)
    if architecture is not None:
        settings = dataclasses.replace(without_unread(settings), **architecture.recorded(settings))
    return {
        field.name: record_part(value) if field.name in KINDS else value
        for field, value in ((field, getattr(settings, field.name)) for field in dataclasses.fields(settings))
    }


def _shown(value: Any) -> str:
    return f'an array {value.shape}' if isinstance(value, np.ndarray) else printable(' '.join(str(value).split()), 80)


def check_fields(settings: Settings) -> None:
    """Raises ValueError, in one line, for the first setting that is not of its type or not in its range."""
    for field in dataclasses.fields(Settings):
        allowed, value = field.metadata['range'], getattr(settings, field.name)
        if allowed is not None:
            allowed.check(field.name, value)
        elif field.type in _OTHERS and not isinstance(value, field.type):
            raise ValueError(f'{field.name}={_shown(value)} must be {_OTHERS[field.type]}{_HINTS.get(field.name, "")}')
        elif field.type == (str | None) and not isinstance(value, (str, type(None))):
            raise ValueError(f'{field.name}={_shown(value)} must be a string or None')
    parse_image_size(settings.image_size)


def validate(settings: Settings) -> None:
    """Raises ValueError, in one line, for the first setting that cannot be used."""
    check_fields(settings)
    check_view(View(*settings.height_width, **view_of(settings)))
    parts = {name: find_part(name, getattr(settings, name)) for name in KINDS}
    choices = {
        'latent': LATENTS, 'critic_norm': CRITIC_NORMS, 'optimizer': OPTIMIZERS, 'precision': PRECISIONS,
        'decay': DECAYS,
    }  # fmt: skip
    for name, known in choices.items():
        if getattr(settings, name) not in known:
            raise ValueError(f'{name}={getattr(settings, name)} is unknown; there are: {", ".join(known)}')
    warm = WARMUP_CRITIC_UPDATES * (WARMUP_STEPS + settings.steps // WARMUP_INTERVAL)
    most = settings.steps * settings.n_critic + settings.critic_warmup * warm
    if most > INT32:
        raise ValueError(
            f'steps={settings.steps} with n_critic={settings.n_critic} are more critic updates than can be counted '
            f'({INT32}): take fewer steps'
        )
    if settings.label_smoothing and settings.objective not in LOGIT_OBJECTIVES:
        raise ValueError(
            f'label_smoothing={settings.label_smoothing} has no effect with objective='
            f'{record_part(settings.objective)}, whose scores are no logits: set it to 0'
        )
    if parts['objective'].paired and settings.generator_batch_size not in (0, settings.batch_size):
        raise ValueError(
            f'objective={record_part(settings.objective)} compares each generated image with a real one: '
            f'generator_batch_size={settings.generator_batch_size} must be 0 or batch_size={settings.batch_size}'
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
    if settings.conditional and constraint.parametrization == 'orthonormal':
        raise ValueError(
            f'constraint={shown} does not hold for conditional networks, whose scores are sums of two: use another'
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
        if bool(network.num_classes) != settings.conditional:
            needed = 'of classes: from_linen(..., num_classes=...)' if settings.conditional else 'without classes'
            raise ValueError(f'conditional={settings.conditional} needs a {name} {needed}')
    if constraint.parametrization is not None:
        raise ValueError(
            f"constraint={record_part(settings.constraint)} lies in the layers: with networks of one's own use "
            'constraint=none and the layers of wgan_jax.networks.layers, parametrization='
            f"'{constraint.parametrization}'"
        )


def _without_effect(settings: Settings) -> dict[str, str]:
    """Settings that nothing reads, given the others, each with the reason."""
    constraint = find_part('constraint', settings.constraint)
    architecture = architecture_of(settings)
    unused = {}
    if constraint.transform is None:
        unused['clip'] = f'with constraint={record_part(settings.constraint)}'
    if constraint.penalty is None:
        without = f'with constraint={record_part(settings.constraint)}'
        unused |= {'penalty_weight': without, 'final_penalty': without}
    if settings.objective not in LOGIT_OBJECTIVES:
        unused['label_smoothing'] = f'with objective={record_part(settings.objective)}, whose scores are no logits'
    if architecture is None:
        for name in (*_OF_SOME, 'width', 'critic_width', 'critic_norm', 'precision'):
            unused[name] = "with networks of one's own"
    else:
        for name in _OF_SOME:
            if name not in architecture.reads:
                unused[name] = f'with arch={record_part(settings.arch)}'
        if 'critic_bias' in architecture.reads and settings.critic_norm != 'none':
            unused['critic_bias'] = f'with critic_norm={settings.critic_norm}'
    if settings.optimizer != 'adam':
        unused |= dict.fromkeys(('beta1', 'beta2', 'final_beta2'), f'with optimizer={settings.optimizer}')
    if not settings.decay_steps:
        unused |= dict.fromkeys(('decay', 'final_lr', 'final_penalty', 'final_beta2'), 'with decay_steps=0')
    kind = settings.dataset.partition(':')[0]
    if (kind in DATASETS and kind not in OF_TFDS) or is_path(settings.dataset):
        unused['data_dir'] = f'with dataset={settings.dataset}, which TFDS does not read'
    return unused
