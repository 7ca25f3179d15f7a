"""``sample.py`` of an exported folder: the few lines that draw from its generator with nothing but jax."""

from wgan_jax.training.load import Generator

_SCRIPT = '''\
"""python sample.py [SEED [NUMBER]] needs jax alone; writes new_samples.npy, in [-1, 1], and new_samples.png."""
import pathlib, struct, sys, zlib
seed, n = (int(a) if a.isdecimal() else -1 for a in (sys.argv[1:] + ['0', '64'][len(sys.argv) - 1 :])[:2])
if len(sys.argv) > 3 or not 0 <= seed < 2**32 or n < 1:
    sys.exit(__doc__)
import jax, numpy as np

here = pathlib.Path(__file__).resolve().parent
sys.path.append(str(here / 'flatbuffers.zip'))  # with which jax.export reads; an installed one comes first
from jax import export

keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), np.arange(n, dtype=np.int32))
latents = jax.vmap(lambda key: {draw})(keys)
generator = export.deserialize(bytearray((here / 'generator.stablehlo').read_bytes()))
{call}
np.save('new_samples.npy', images)  # (n, {height}, {width}, {channels})
tiles = np.pad(np.round(images * 127.5 + 127.5).astype(np.uint8), ((0, -n % 8), (0, 0), (0, 0), (0, 0)))  # rows of 8
sheet = tiles.reshape(-1, 8, {height}, {width} * {channels}).swapaxes(1, 2).reshape(-1, 8 * {width} * {channels})
header = struct.pack('>2I5B', 8 * {width}, len(sheet), 8, {colour}, 0, 0, 0)
parts = (b'IHDR', header), (b'IDAT', zlib.compress(np.insert(sheet, 0, 0, axis=1).tobytes())), (b'IEND', b'')
chunks = [struct.pack('>I', len(d)) + k + d + struct.pack('>I', zlib.crc32(k + d)) for k, d in parts]
pathlib.Path('new_samples.png').write_bytes(b'\\x89PNG\\r\\n\\x1a\\n' + b''.join(chunks))
'''

# Calls that give what wgan_jax.latents draws, to the bit.
_DRAWS = {
    'normal': 'jax.random.normal(key, ({size},))',
    'uniform': 'jax.random.uniform(key, ({size},), minval=-1.0, maxval=1.0)',
}
_COLOURS = {1: 0, 3: 2, 4: 6}  # of PNG, by channels


def sample_script(generator: Generator, channels: int) -> str:
    """The text of ``sample.py``.

    Args:
        generator: of the folder.
        channels: of its images.

    Raises:
        ValueError: for a distribution of latents that it cannot draw from.
    """
    settings = generator.settings
    if settings.latent not in _DRAWS:
        raise ValueError(f'latent={settings.latent} cannot be exported; there are: {", ".join(_DRAWS)}')
    call = 'images = np.asarray(generator.call(latents))'
    if generator.classes:
        labels = f'labels = np.arange(n, dtype=np.int32) // 8 % {len(generator.classes)}  # rows of one class each'
        call = f'{labels}\nimages = np.asarray(generator.call(latents, labels))'
    height, width = settings.height_width
    return _SCRIPT.format(
        draw=_DRAWS[settings.latent].format(size=settings.latent_dim), call=call, height=height, width=width,
        channels=channels, colour=_COLOURS[channels],
    )  # fmt: skip
