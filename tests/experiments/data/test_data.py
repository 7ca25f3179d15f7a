"""The data launcher as a process: its numbers against the files, its figures, its refusals."""

import re

import numpy as np
import pytest
from PIL import Image

from tests.experiments.processes import answers, done
from wgan_jax.data import load


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """The folder of a set of forty pictures and others, and of what the launcher left of it."""
    place = tmp_path_factory.mktemp('data')
    draw = np.random.default_rng(0)
    (place / 'set').mkdir()
    for i in range(40):
        pixels = draw.integers(10, 200, (9 + i, 2 * (50 - i), 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / 'set' / f'{i:02d}.png')
    for name in ('x.png', 'y.png'):
        Image.fromarray(pixels).save(place / 'set' / name)
    (place / 'set' / 'a.txt').touch()
    (place / 'set' / 'bad.jpg').touch()
    flags = (f'--dataset={place}/set', '--image_size=12x16', '--fit=stretch', '--augment=diff:shift', '--batch_size=8')
    return place / 'out', *done('data', place / 'out', *flags)


def test_numbers_are_those_of_the_files(run):
    folder, config, results = run
    assert results['shape'] == [42, 12, 16, 3] and results['megabytes'] == 42 * 12 * 16 * 3 / 1e6
    assert results['duplicates'] == 2 and results['skipped'] == 1
    assert results['original_height'] == {'least': 9, 'median': 29.5, 'most': 48}
    assert results['original_width'] == {'least': 22, 'median': 59, 'most': 100}
    odd = results['odd']
    assert (odd['widest'], odd['tallest'], odd['smallest']) == ('00.png', '39.png', '00.png')
    assert 'equal to an earlier one: 2' in results['notes'] and config['flags']['augment'] == 'diff:shift'
    assert (folder / 'skipped.txt').read_text() == 'bad.jpg: it is empty\n'
    with np.load(folder / 'data.npz') as arrays:
        assert arrays['values'].sum() == 42 * 12 * 16 * 3 and arrays['duplicates'].tolist() == [[40, 39], [41, 39]]
        mean = (arrays['values'] * np.arange(256)).sum(axis=1) / arrays['values'].sum(axis=1)
        np.testing.assert_allclose(mean, results['value_mean'], rtol=1e-12)
    pixels = load(str(folder.parent / 'set'), 12, 16, fit='stretch').pixels
    for name, measure in (('min', np.min), ('max', np.max), ('mean', np.mean), ('deviation', np.std)):
        np.testing.assert_allclose(measure(pixels, axis=(0, 1, 2)), results[f'value_{name}'], rtol=1e-9)
    with np.load(folder / 'data.npz') as arrays:
        assert arrays['seen'].shape == (24, 12, 16, 3) and (arrays['seen'] == 0).any() and (arrays['plain'] != 0).any()
    for name in ('data.png', 'parts.png'):
        assert (folder / name).stat().st_size > 10_000


@pytest.mark.slow
def test_a_set_with_alpha_has_four_curves(tmp_path):
    # Fails if a channel is drawn as a colour that there is not, or what is transparent counts as dark.
    (tmp_path / 'set' / 'a').mkdir(parents=True)
    (tmp_path / 'set' / 'b').mkdir()
    for i in range(8):
        colour = (10 + 20 * i, 0, 0, 255 - 30 * i)
        Image.new('RGBA', (8, 8), colour).save(tmp_path / 'set' / 'ab'[i % 2] / f'{i}.png')
    flags = (f'--dataset={tmp_path}/set', '--image_size=8', '--channels=4')
    _, results = done('data', tmp_path / 'out', *flags)
    assert results['shape'] == [8, 8, 8, 4] and results['classes'] == {'a': 4, 'b': 4}
    assert (results['odd']['darkest'], results['odd']['brightest']) == ('a/0.png', 'b/7.png')
    assert results['value_min'][3] == 45 and results['value_max'][3] == 255


@pytest.mark.slow
def test_files_that_were_repaired_are_listed_no_more(tmp_path):
    for name in ('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'):
        Image.new('L', (8, 8), ord(name)).save(tmp_path / f'{name}.png')
    (tmp_path / 'bad.png').touch()
    flags = ('data', f'--dataset={tmp_path}', '--image_size=8', f'--workdir={tmp_path}/.out')
    ((code, out, err),) = answers(flags)
    assert code == 0 and 'bad.png: it is empty' in err and re.search('equal to an earlier one +0', out)
    assert (tmp_path / '.out' / 'skipped.txt').exists()
    (tmp_path / 'bad.png').unlink()
    ((code, _, err),) = answers(flags)
    assert code == 0 and not err and not (tmp_path / '.out' / 'skipped.txt').exists()


def test_what_cannot_be_looked_at_is_one_line(tmp_path):
    (tmp_path / 'empty').mkdir()
    for (code, _, err), says in zip(
        answers(('data', f'--dataset={tmp_path}/empty'), ('data', '--augment=flips'), ('data', '--fit=pad'),
                ('data', f'--dataset={tmp_path}', '--data_dir=x')),
        ('no images below', 'augment=flips: flips is no part', 'fit=pad has no effect with dataset=flags',
         'data_dir has no effect'), strict=True,
    ):  # fmt: skip
        assert code == 2 and says in err and len(err.splitlines()) == 1
