"""What the help of a flag says of the names that it takes: all that a registry has, some with words of their own.

>>> described(('none', 'mirror'), {'mirror': 'every second picture from left to right'})
'none; mirror: every second picture from left to right'
>>> described(('adam', 'rmsprop'))
'adam, rmsprop'
"""

from collections.abc import Iterable, Mapping

from wgan_jax.data import DATASETS


def described(names: Iterable[str], words: Mapping[str, str] | None = None) -> str:
    """Names in their order, each with the words about it where there are some.

    Args:
        names: of a registry.
        words: what to say of some of them.

    Returns:
        'a, b', or 'a; b: words' where there are words.

    Raises:
        ValueError: for words about a name that there is not.
    """
    names, words = list(names), dict(words or {})
    if unknown := set(words) - set(names):
        raise ValueError(f'there are words about {", ".join(sorted(unknown))}, and only: {", ".join(names)}')
    if not words:
        return ', '.join(names)
    return '; '.join(f'{name}: {words[name]}' if name in words else name for name in names)


def datasets() -> str:
    """What --dataset takes."""
    own = ', '.join('folder:PATH (any pictures)' if name == 'folder' else name for name in DATASETS)
    return f'{own}, or any TFDS name with images, such as mnist'
