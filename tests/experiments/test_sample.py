"""``sample``: images by seed, of latents from a file, truncated, by class, enlarged; and what does not go together."""

import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image
from scipy import stats

import wgan_jax
from tests.experiments.processes import answers_of
from tests.export.untrained import CLASSES, untrained

MLP = {'arch': 'mlp', 'critic_norm': 'none', 'image_size': '4x6'}
SHORT = ('--waypoints=2', '--frames=1')


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """Runs without and with classes, one of uniform latents, and latents in files."""
    folder = tmp_path_factory.mktemp('sample')
    untrained(folder / 'plain', **MLP)
    untrained(folder / 'classes', classes=CLASSES, **MLP)
    untrained(folder / 'uniform', latent='uniform', **MLP)
    latents = np.random.default_rng(0).normal(size=(5, 6))
    np.save(folder / 'latents.npy', latents)
    np.savez(folder / 'latents.npz', latents=latents[:3], others=np.zeros(3))
    np.save(folder / 'wide.npy', np.zeros((5, 7)))
    np.save(folder / 'infinite.npy', np.full((5, 6), np.inf))
    np.save(folder / 'objects.npy', np.array([{}, 'x'], dtype=object))
    (folder / 'damaged.npz').write_bytes((folder / 'latents.npz').read_bytes()[:90])
    return folder


# A run and flags; of each call with a folder of its own.
CALLS = {
    'seeds': ('plain', '--seeds=2-6', '--enlarge=3'),
    'file': ('plain', '--latents={folder}/latents.npy', '--nosingles'),
    'npz': ('plain', '--latents={folder}/latents.npz', '--nosingles'),
    'truncated': ('plain', '--num=5', '--truncation=0.5', '--nosingles'),
    'rows': ('classes', '--rows=dog,0', '--columns=3'),
    'all': ('classes', '--rows=all', '--seeds=7-8', '--nosingles'),
    'labels': ('classes', '--seeds=7-12', '--nosingles'),
    'box': ('uniform', '--num=5', '--truncation=0.5', '--nosingles'),
}
AGAIN = ('plain', '--seeds=5-6')  # where 'seeds' was


def _answers(folders, commands):
    filled = ([word.replace('{folder}', str(folders)) for word in command] for command in commands)
    return answers_of('sample', *filled)


@pytest.fixture(scope='module')
def called(folders):
    """Of each call the images, the single ones, the size of the grid, and the configuration."""
    commands = []
    for name, (run, *own) in CALLS.items():
        shutil.copytree(folders / run, folders / name)
        commands.append((f'--workdir={folders / name}', *own, *SHORT))
    shutil.copytree(folders / 'plain', folders / 'again')
    commands += [(f'--workdir={folders / "again"}', *own, *SHORT) for _, *own in (CALLS['seeds'], AGAIN)]
    found = {}
    for name, (code, _, err) in zip((*CALLS, 'again', 'again'), _answers(folders, commands), strict=True):
        assert code == 0, err
        folder = folders / name / 'sample'
        singles = {path.name: np.asarray(Image.open(path)) for path in sorted((folder / 'images').glob('*.png'))}
        config = json.loads((folder / 'config.json').read_text())
        found[name] = np.load(folder / 'samples.npz')['samples'], singles, Image.open(folder / 'grid.png').size, config
    return found


def _generator(folders, name):
    return wgan_jax.load(folders / name)


@pytest.mark.slow
def test_a_seed_has_its_image_whatever_the_range(folders, called):
    # Fails if an image depends on its place in the range, or is of another key than Python's one line.
    (images, singles, _, _), (fewer, left, _, _) = called['seeds'], called['again']
    generator = _generator(folders, 'plain')
    for seed in range(2, 7):
        np.testing.assert_array_equal(images[seed - 2], generator.sample(jax.random.key(seed), 1)[0])
    np.testing.assert_array_equal(fewer, images[3:])
    assert list(singles) == [f'{seed:05d}.png' for seed in range(2, 7)]
    assert list(left) == ['00005.png', '00006.png']  # those of the call before are gone
    pixels = np.round((images[1] + 1) * 127.5).astype(np.uint8)
    np.testing.assert_array_equal(singles['00003.png'], np.kron(pixels, np.ones((3, 3, 1), np.uint8)))
    labelled = _generator(folders, 'classes')
    for image, seed in zip(called['labels'][0], range(7, 13), strict=True):
        np.testing.assert_array_equal(image, labelled.sample(jax.random.key(seed), 1)[0])


@pytest.mark.slow
def test_latents_come_from_a_file(folders, called):
    latents = np.load(folders / 'latents.npy').astype(np.float32)
    expected = _generator(folders, 'plain').generate(latents)
    np.testing.assert_array_equal(called['file'][0], expected)
    np.testing.assert_array_equal(called['npz'][0], expected[:3])
    digests = [called[name][3]['flags']['latents_sha256'] for name in ('file', 'npz')]
    assert digests[0] != digests[1]  # so that results of another file of that name go


@pytest.mark.slow
def test_truncated_latents_are_of_the_truncated_law(folders, called):
    # Fails for latents that are clipped, scaled, or beyond the bound.
    key = jax.random.split(jax.random.key(0))[0]
    normal, uniform = (_generator(folders, name) for name in ('plain', 'uniform'))
    exact = stats.truncnorm.ppf(stats.norm.cdf(np.asarray(normal.latents(key, 5), float)), -0.5, 0.5)
    np.testing.assert_allclose(called['truncated'][0], normal.generate(exact), atol=1e-5)
    np.testing.assert_allclose(called['box'][0], uniform.generate(uniform.latents(key, 5) / 2), atol=1e-6)


@pytest.mark.slow
def test_rows_are_of_one_class_and_share_their_latents(folders, called):
    generator, key = _generator(folders, 'classes'), jax.random.split(jax.random.key(0))[0]
    latents = generator.latents(key, 3)
    images, singles, size, _ = called['rows']
    np.testing.assert_array_equal(images[:3], generator.generate(latents, [1, 1, 1]))
    np.testing.assert_array_equal(images[3:], generator.generate(latents, [0, 0, 0]))
    assert len(singles) == 6 and size == (3 * (6 * 16 + 2) + 2, 2 * (4 * 16 + 2) + 2)
    latents = np.concatenate([generator.latents(jax.random.key(seed), 1) for seed in (7, 8)])
    expected = generator.generate(np.tile(latents, (2, 1)), [0, 0, 1, 1])  # no image was of the third class
    np.testing.assert_array_equal(called['all'][0], expected)


REFUSALS = [
    ('plain', ['--seeds=9-3'], 'seeds=9-3 must be one seed, or a range of them such as 0-63'),
    ('plain', ['--seeds=0-4294967296'], 'below 2**32'),
    ('plain', ['--seeds=0-4294967295'], 'seeds=0-4294967295 images would take'),
    ('plain', ['--seeds=-3'], 'seeds=-3 must be one seed'),
    ('plain', ['--seeds=0-3', '--num=4'], 'num has no effect with --seeds'),
    ('plain', ['--latents=x.npy', '--num=4'], 'num has no effect with --latents'),
    ('plain', ['--latents=x.npy', '--seeds=1'], 'seeds has no effect with --latents'),
    ('plain', ['--latents=x.npy', '--truncation=0.7'], 'truncation has no effect with --latents'),
    ('plain', ['--latents={folder}/x.npy'], 'x.npy cannot be read (No such file or directory): it must hold (N, 6)'),
    ('plain', ['--latents={folder}/wide.npy'], 'wide.npy is float64[5, 7]: it must hold (N, 6) real numbers'),
    ('plain', ['--latents={folder}/infinite.npy'], 'infinite.npy holds numbers that are not finite'),
    ('plain', ['--latents={folder}/objects.npy'], 'objects.npy cannot be read'),
    ('plain', ['--latents={folder}/damaged.npz'], 'damaged.npz cannot be read'),
    ('plain', ['--latents={folder}'], 'cannot be read (Is a directory)'),
    ('plain', ['--truncation=0'], 'truncation=0 must lie between 0.01 and 5'),
    ('uniform', ['--truncation=1'], 'truncation=1.0 has no effect on uniform latents'),
    ('plain', ['--rows=all'], 'rows has no effect on an unconditional run'),
    ('classes', ['--rows=cat,fox'], 'rows=fox is no class; there are 3: cat, dog, bird'),
    ('classes', ['--rows=bird'], 'rows=bird: there was no image of this class to train on'),
    ('classes', ['--label=bird'], 'label=bird: there was no image of this class to train on'),
    ('classes', ['--rows=all', '--label=cat'], 'label has no effect with --rows'),
    ('classes', ['--rows=all', '--num=3'], 'num has no effect with --rows'),
    ('classes', ['--rows=all', '--seeds=1-3', '--columns=3'], 'columns has no effect with --rows of given latents'),
    ('plain', ['--enlarge=2', '--nosingles'], 'enlarge has no effect without single PNGs'),
    ('plain', ['--enlarge=0'], 'enlarge=0 must be at least 1'),
]  # fmt: skip


def test_what_does_not_go_together_is_refused_in_one_line(folders):
    commands = [(f'--workdir={folders / run}', *own) for run, own, _ in REFUSALS]
    for (run, own, message), (code, out, err) in zip(REFUSALS, _answers(folders, commands), strict=True):
        assert code == 2 and message in err and not out, (run, own, err)
        assert len(err.strip().splitlines()) == 1 and err.startswith('sample: '), err
