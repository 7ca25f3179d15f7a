"""The settings of a training run: plain values, validated once, from which everything else is built."""

import dataclasses
import math
from collections.abc import Mapping

from wgan_jax.constraints import CONSTRAINTS
from wgan_jax.data import DATASETS
from wgan_jax.data.augmentation import AUGMENTATIONS
from wgan_jax.latents import LATENTS
from wgan_jax.networks import ARCHITECTURES, resnet
from wgan_jax.networks.dcgan import UPSAMPLINGS
from wgan_jax.networks.parametrization import check_parametrization
from wgan_jax.objectives import LOGIT_OBJECTIVES, OBJECTIVES
from wgan_jax.training.optimizers import OPTIMIZERS

CRITIC_NORMS = ('none', 'batch', 'layer')
PRECISIONS = ('float32', 'bfloat16')
RESNET_VARIANTS = ('auto', *resnet.VARIANTS)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything that decides the numbers a run produces. The train launcher has a flag for each.

    ``steps`` counts generator updates, ``batch_size`` examples over all devices, ``decay_steps`` generator updates
    (0: constant rates and noise). ``image_size`` is 'HxW' in pixels, ``critic_width`` 0 stands for ``width``,
    ``generator_batch_size`` 0 for ``batch_size``, ``resnet_variant`` 'auto' for what ``resolve`` makes of it. A field
    that the others leave without effect keeps its default.
    """

    dataset: str = 'flags'
    data_dir: str | None = None
    image_size: str = '64x64'
    arch: str = 'dcgan'
    resnet_variant: str = 'auto'
    width: int = 64
    critic_width: int = 0
    upsampling: str = 'transposed'
    latent_dim: int = 100
    latent: str = 'normal'
    critic_norm: str = 'batch'
    objective: str = 'wasserstein'
    label_smoothing: float = 0.0
    constraint: str = 'none'
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
    augment: str = 'none'
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


def override(preset: Settings, given: Mapping[str, object]) -> Settings:
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
    given = dict(given)
    if 'image_size' in given:
        given['image_size'] = parse_image_size(str(given['image_size']))
    settings = dataclasses.replace(preset, **given)
    validate(settings)
    for name, reason in _without_effect(settings).items():
        if name in given:
            raise ValueError(f'{name} has no effect {reason}: leave it out')
    return resolve(settings)


def resolve(settings: Settings) -> Settings:
    """The settings with the residual network named that 'auto' stands for, so that a run's record says which it is."""
    if settings.arch != 'resnet':
        return dataclasses.replace(settings, resnet_variant='auto')
    if settings.resnet_variant == 'auto':
        return dataclasses.replace(settings, resnet_variant=resnet.variant_for(settings.height_width))
    return settings


def validate(settings: Settings) -> None:
    """Raises ValueError, in one line, for the first setting that cannot be used."""
    choices = {
        'arch': ARCHITECTURES, 'resnet_variant': RESNET_VARIANTS, 'upsampling': UPSAMPLINGS, 'latent': LATENTS,
        'critic_norm': CRITIC_NORMS, 'objective': OBJECTIVES, 'constraint': CONSTRAINTS, 'optimizer': OPTIMIZERS,
        'precision': PRECISIONS, 'augment': AUGMENTATIONS,
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
    if settings.arch == 'mlp':
        _require(settings, 'critic_norm', settings.critic_norm == 'none', 'is not built for arch=mlp; use none')
    else:
        sides, factor = settings.height_width, 16
        if settings.arch == 'resnet' and resolve(settings).resnet_variant == 'cifar':
            factor = 8
        fits = all(side % factor == 0 for side in sides)
        nearest = 'x'.join(str(max(factor, round(side / factor) * factor)) for side in sides)
        _require(settings, 'image_size', fits, f'has a side not divisible by {factor}; {nearest} would do')
    parametrization = CONSTRAINTS[settings.constraint].parametrization
    check_parametrization(parametrization, settings.critic_width or settings.width)
    if parametrization == 'orthonormal' and settings.arch == 'resnet':
        raise ValueError(
            'constraint=orthonormal does not hold for arch=resnet, whose blocks add two branches: use mlp or dcgan'
        )
    if parametrization is not None and settings.critic_norm != 'none':
        raise ValueError(
            f'constraint={settings.constraint} bounds the layers, and a normalisation between them would stretch what '
            'they bound: use critic_norm=none'
        )
    if CONSTRAINTS[settings.constraint].penalty is not None and settings.critic_norm == 'batch':
        raise ValueError(
            f'constraint={settings.constraint} needs the gradient of each sample by itself, and batch normalisation '
            'mixes the samples: use critic_norm=none or critic_norm=layer'
        )


def _require(settings, name, holds, what):
    if not holds:
        raise ValueError(f'{name}={getattr(settings, name)} {what}')


def _without_effect(settings: Settings) -> dict[str, str]:
    """Settings that nothing reads, given the others, each with the reason."""
    constraint = CONSTRAINTS[settings.constraint]
    unused = {}
    if constraint.transform is None:
        unused['clip'] = f'with constraint={settings.constraint}'
    if constraint.penalty is None:
        unused['penalty_weight'] = f'with constraint={settings.constraint}'
    if settings.objective not in LOGIT_OBJECTIVES:
        unused['label_smoothing'] = f'with objective={settings.objective}, whose scores are no logits'
    if settings.arch != 'dcgan':
        unused['upsampling'] = f'with arch={settings.arch}'
    if settings.arch != 'resnet':
        unused['resnet_variant'] = f'with arch={settings.arch}'
    if settings.optimizer != 'adam':
        unused['beta1'] = unused['beta2'] = f'with optimizer={settings.optimizer}'
    if settings.dataset.partition(':')[0] in DATASETS:
        unused['data_dir'] = f'with dataset={settings.dataset}, which TFDS does not read'
    return unused
