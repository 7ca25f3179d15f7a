"""Names and reasons as one line can show them.

>>> printable('a\\nb')
'a\\\\nb'
>>> printable('a' * 9 + 'b' * 9, 9)
'aaa...bbb'
>>> listed(range(5), most=2)
'0, 1 and 3 more'
"""

import os
from collections.abc import Iterable


def printable(text: object, most: int | None = None) -> str:
    """A text in which nothing breaks the line or moves the cursor.

    Args:
        text: a string, a path, or what ``str`` makes one of.
        most: characters of the result at most, 5 or more, the middle left out; None: all.

    Returns:
        The text with a backslash escape for each character that is not printable, surrogates included: those stand for
        bytes of a file name that are not UTF-8.
    """
    text = os.fsdecode(text) if isinstance(text, bytes) else str(text)
    text = ''.join(c if c.isprintable() else c.encode('unicode_escape').decode('ascii') for c in text)
    if most is not None and len(text) > most:
        half = (most - 3) // 2
        text = f'{text[:half]}...{text[-half:]}'
    return text


def listed(names: Iterable[object], most: int = 8) -> str:
    """Names with commas between them; of a long list the first, and how many more there are.

    Args:
        names: what to name.
        most: names shown.

    Returns:
        One line; empty for no names.
    """
    shown = [printable(name, 80) for name in names]
    more = f' and {len(shown) - most} more' if len(shown) > most else ''
    return ', '.join(shown[:most]) + more


def reason(error: BaseException) -> str:
    """What an exception says, in one line of at most 300 characters.

    Args:
        error: any.

    Returns:
        The system's own words for its failures, else the first line of the text; where that is one word or none, as of
        a KeyError, with the kind of the exception before it.
    """
    if isinstance(error, OSError) and error.strerror:
        return printable(error.strerror, 300)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first, kind = lines[0] if lines else '', type(error).__name__
    return printable(first if ' ' in first else f'{kind} {first}'.strip(), 300).rstrip(' :')
