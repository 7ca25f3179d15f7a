"""Settings by the name of a preset."""

from typing import Any

from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import Settings, override
from wgan_jax.training.toy import TOY_PRESETS, check_toy


def settings(preset: str = 'flags', *, toy: bool = False, **changes: Any) -> Settings:
    """A preset's settings, with changes.

    >>> settings('wgan_gp', width=16, image_size=32).image_size
    '32x32'
    >>> settings('wgan_gp', clip=0.1)
    Traceback (most recent call last):
    ValueError: clip has no effect with constraint=gradient_penalty: leave it out

    Args:
        preset: its name, a key of ``PRESETS``; of ``TOY_PRESETS`` for a toy.
        toy: whether for a density of a few dimensions, with multilayer perceptrons, see ``wgan_jax.sweep``.
        changes: fields of ``Settings``. ``image_size`` may be a side, such as 64, or 'HEIGHTxWIDTH'. ``arch``,
            ``objective``, ``constraint`` and ``augment`` may be values of one's own.

    Returns:
        Settings, validated.

    Raises:
        ValueError: in one line, for an unknown preset or setting, a value that cannot be used, or a change that would
            have no effect.
    """
    presets = TOY_PRESETS if toy else PRESETS
    if not isinstance(preset, str) or preset not in presets:
        raise ValueError(f'preset={preset} is unknown; there are: {", ".join(presets)}')
    chosen = override(presets[preset], changes)
    if toy:
        check_toy(chosen)
    return chosen
