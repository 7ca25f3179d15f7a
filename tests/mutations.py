"""Damage to bytes, by chance: what the tests of readers have in common."""

import struct

EDGES = (0, 1, 2, 127, 128, 255, 256, 32_767, 32_768, 65_535, 65_536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def mutate(data, others, draw):
    """The data with one to four changes."""
    data = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4))):
        size = len(data)
        place, length = draw.randrange(size + 1), draw.choice((1, 2, 4, 8, 12, 64, 1024))
        # Most of what decides is in the first bytes.
        near = draw.choice((place, draw.randrange(min(size, 200) + 1)))
        change = draw.randrange(7)
        if change == 0 and size:
            data[near % size] ^= 1 << draw.randrange(8)
        elif change == 1:
            del data[place:]
        elif change == 2:
            data[place:place] = data[near : near + length]
        elif change == 3:
            del data[near : near + length]
        elif change == 4:
            other = draw.choice(others)
            start = draw.randrange(len(other))
            data[near : near + draw.choice((0, length))] = other[start : start + length]
        elif change == 5:
            form = draw.choice(('<B', '<H', '>H', '<I', '>I'))
            width = struct.calcsize(form)
            data[near : near + width] = struct.pack(form, draw.choice(EDGES) % 256**width)
        else:
            data[near : near + length] = bytes(length) if draw.random() < 0.5 else b'\xff' * length
    return bytes(data)
