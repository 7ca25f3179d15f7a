"""What may be typed for a flag, made from its declaration, and what that declaration takes by rules of its own."""

import math

# Values for whatever flag there is.
STRANGE = (
    '', ' ', 'x', 'ü', '\U0001d7d9\U0001d7da', '\u200f5', '5\n', '5\n6', '\x1b[31m5', '\udcff', '5\udcff', '5' * 5000,
    'x' * 5000, 'nan', 'inf', '-inf', '1e20', str(10**20), '1e300', '1e-300', '1_000', '1__0', ' 5 ', '0x10', '5,5',
    ',', 'None', 'true', '{}', '%s', '$HOME', '#', "'", '"',
)  # fmt: skip
DEEP = ('ü', '$HOME')  # of these, the texts that a launcher is let run on with
# Command lines besides.
OTHERS = (
    ['x'], ['-'], ['--', 'x'], ['--no_such_flag=1'], ['--no\x1bflag'], ['--\udcff'], ['--=5'], ['---seed=1'], ['\n'],
    [''],
    ['--seed'], ['--workdir'], ['--noseed'], ['--seed=1', '--seed=x'], ['--flagfile=/nowhere'], ['--flagfile='],
    ['--undefok=no_such_flag', '--no_such_flag=\n'], ['x' * 5000], ['--' + 'x' * 5000],
)  # fmt: skip


def values(flag):
    """Texts for a flag, the strange ones and those that its declaration sets apart: {text: whether to run on with it}.

    Running on is what takes time, and no more is learnt from a tenth number between the bounds.
    """
    parser, kind = flag.parser, type(flag.parser).__name__
    own = []
    if kind in ('Number', 'OneOrMore'):
        own = around(parser.allowed)
        if kind == 'OneOrMore':
            one, *others = map(repr, _distinct(parser.allowed, 1001))
            own += [f'{one},{others[0]}', ','.join((one, *others[:999])), ','.join((one, *others)), f'{one},{one}']
            own += [
                f'{one},',
                f',{one}',
                f'{one},x',
                f'{one},nan',
                f'{one},,{others[0]}',
                *(f'{one},{text}' for text in own[:4]),
            ]
    elif kind == 'Numbers':
        least = repr(_distinct(parser.allowed, 1)[0])
        own = [','.join([text] * parser.least) for text in (*around(parser.allowed), 'nan', 'inf', '1e300', '1e-300')]
        own += [','.join(map(repr, _distinct(parser.allowed, n))) for n in (parser.least, parser.most, parser.most + 1)]
        own += [','.join([least] * (parser.least - 1)), f'{least},{least}']
        own += [f'{least},', f',{least}', f'{least},,{least}', f'{least} {least}']
    elif kind in ('Choices', 'EnumParser'):
        known = parser.known if kind == 'Choices' else parser.enum_values
        one, other = known[0], known[-1]
        own = [*known, ','.join(known), f'{one},{one}', f'{one},{other}', f'{one},', f',{one}', one.upper(), f' {one}']
    elif kind == 'BooleanParser':
        own = ['true', 'false', 'TRUE', '2', 'yes']
    ends = own[1:3] if kind in ('Number', 'Numbers') else own[1:3] + own[4:5] if kind == 'OneOrMore' else own[:1]
    deep = {*ends, *DEEP} if kind != 'Choices' else {*own[:1], ','.join(known)}
    return {text: text in deep for text in (*own, *STRANGE)}


def around(allowed):
    """Below, at and above both bounds, as text."""
    below, above = math.nextafter(float(allowed.lowest), -math.inf), math.nextafter(float(allowed.highest), math.inf)
    if allowed.type is int:
        below, above = allowed.lowest - 1, allowed.highest + 1
    return list(map(repr, (below, allowed.lowest, allowed.highest, above)))


def _distinct(allowed, count):
    """Numbers of a range, from its middle or its lower end up."""
    start = 1 if allowed.lowest <= 1 <= allowed.highest else allowed.lowest
    step = 1 if allowed.type is int else (allowed.highest - start) / (4 * max(1, count))
    return [allowed.type(start + i * step) for i in range(count)]


def declared(flag, text):
    """Whether the declaration of a flag allows a text, by rules of its own: what it refuses may never be accepted."""
    parser, kind = flag.parser, type(flag.parser).__name__
    if kind == 'Number' or (kind == 'OneOrMore' and ',' not in text):
        return _is_number(parser.allowed, text)
    if kind in ('Numbers', 'OneOrMore'):
        least, most, distinct = (2, 1000, True) if kind == 'OneOrMore' else (parser.least, parser.most, parser.distinct)
        parts = text.split(',')
        right = least <= len(parts) <= most and all(_is_number(parser.allowed, part) for part in parts)
        return right and not (distinct and len(set(map(float, parts))) < len(parts))
    if kind == 'Choices':
        names = [name.strip() for name in text.split(',')]
        return set(names) <= set(parser.known) and len(set(names)) == len(names)
    if kind == 'EnumParser':
        return text in parser.enum_values
    if kind == 'BooleanParser':
        return text.lower() in ('true', 't', '1', 'false', 'f', '0')
    return 0 < len(text) <= 4096 and all(c.isprintable() for c in text)


def _is_number(allowed, text):
    try:
        value = allowed.type(text)
    except ValueError:
        return False
    if not (text.isascii() and text.isprintable()):
        return False
    small = allowed.type is float and 0 < abs(value) < 1.17e-38  # 0 on a device
    return bool(allowed.lowest <= value <= allowed.highest) and not small


def unbounded(flag):
    """What is wrong with the declaration of a flag; None for one that bounds what it takes."""
    parser, kind = flag.parser, type(flag.parser).__name__
    if kind not in ('Number', 'Numbers', 'OneOrMore', 'Choices', 'Text', 'EnumParser', 'BooleanParser'):
        return f'--{flag.name} is declared with {kind}, which takes anything: declare it as flagtypes does'
    if kind in ('Number', 'Numbers', 'OneOrMore'):
        ends = (parser.allowed.lowest, parser.allowed.highest)
        if not all(map(math.isfinite, ends)) or ends[0] > ends[1]:
            return f'--{flag.name} has no bounds: {ends}'
        if kind == 'Numbers' and not 0 < parser.least <= parser.most < 10**5:
            return f'--{flag.name} takes any number of numbers'
    return None
