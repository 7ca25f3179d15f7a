"""``export``: the folder that it writes, which draws without this package, and what it refuses."""

import fcntl
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import wgan_jax
from tests.experiments.processes import answers_of, finish, start
from tests.export.untrained import CLASSES, untrained
from wgan_jax.training.checkpoint import digest_of

ROOT = Path(__file__).resolve().parents[3]
LOOKS = {'patch_distance': 0.25, 'duplicates': 0.5, 'diversity': 0.75}
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith('PYTHON')}
# All that `pip install jax` installs.
JAX_ALONE = ('jax', 'jaxlib', 'numpy', 'numpy.libs', 'scipy', 'scipy.libs', 'ml_dtypes', 'opt_einsum')


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A conditional run of multilayer perceptrons with two lines of metrics, and what ``evaluate`` says of it."""
    workdir = tmp_path_factory.mktemp('here') / 'pets'
    untrained(workdir, classes=CLASSES, arch='mlp', critic_norm='none', dataset='folder:/home/me/pets')
    rows = [{'step': 5, **LOOKS}, {'step': 6, **dict.fromkeys(LOOKS, 9.0)}]
    (workdir / 'metrics.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    (workdir / 'evaluate').mkdir()
    (workdir / 'evaluate' / 'results.json').write_text(
        json.dumps(
            {
                'scores': {'coverage': 0.625},
                'scale': {'coverage': 0.75, 'unknown': None},
                'generator': digest_of(wgan_jax.load(workdir).variables),
                'faults': [{'name': 'narrow', 'why': 'a third of it' + ', and more' * 30}],
                'samples': 75,
            }
        )
    )
    before = {path: path.read_bytes() for path in workdir.rglob('*') if path.is_file()}
    yield workdir
    assert {path: path.read_bytes() for path in before} == before  # of the run nothing is touched


@pytest.fixture(scope='module')
def answered(run, tmp_path_factory):
    """What the launcher says to one good command, then to all bad ones, each with what it must say."""
    folder = tmp_path_factory.mktemp('bad')
    small = {'arch': 'mlp', 'critic_norm': 'none'}
    flags_run, busy = (untrained(folder / name, dataset=name, **small) for name in ('flags', 'busy'))
    config = json.loads((run / 'config.json').read_text())
    for name, arch in (('empty', 'mlp'), ('own', 'Mine of mine.py (sha256 0123456789ab)')):
        (folder / name).mkdir()
        config['settings']['arch'] = arch
        (folder / name / 'config.json').write_text(json.dumps(config))
    cases = [
        (folder / 'nothing', [], 'is not the folder of a training run: it has no config.json'),
        (folder / 'empty', [], 'has no checkpoint yet: let the run reach its first one'),
        (busy, [], 'is in use by another process: wait until it is done, or stop it'),
        (folder / 'own', [], 'networks of its own, Mine of mine.py (sha256 0123456789ab): export it from Python'),
        (run / 'export', [], 'holds the results of export, not of train'),
        (run, ['--step=4'], 'has no checkpoint at step 4; there are: [5]'),
        (flags_run, ['--data_license=mit'], 'data_license has no effect on flags, which are in the public domain'),
        (run, ['--num=2000000000'], 'num=2000000000 images would take'),
        (run, ['--num=0'], 'num=0 must be at least 1'),
        (run, ['--data_license='], 'is empty'),
    ]
    commands = [[f'--workdir={run}', '--data_license=CC-BY-4.0', '--num=20']]
    commands += [[f'--workdir={workdir}', *flags] for workdir, flags, _ in cases]
    with open(busy / '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return cases, answers_of('export', *commands)


@pytest.fixture(scope='module')
def folder(run, answered):
    code, out, err = answered[1][0]
    assert code == 0 and f'{run}/export/' in out, err
    return run / 'export'


def test_the_folder_is_whole_and_its_card_says_what_is_known(folder):
    config = json.loads((folder / 'config.json').read_text())
    assert config['latent'] == {'law': 'normal', 'size': 6} and config['dataset']['classes'] == list(CLASSES)
    assert config['image'] == {'height': 16, 'width': 32, 'channels': 3, 'layout': 'NHWC', 'range': [-1, 1]}
    results = json.loads((folder / 'results.json').read_text())
    assert results['scores'] == {**LOOKS, 'coverage': 0.625}  # of step 5, not of the later line
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert results['bytes'].items() <= sizes.items()
    listed = {'generator.safetensors', 'config.json', 'README.md', 'generator.stablehlo', 'sample.py', 'samples.png'}
    assert listed <= {*results['bytes'], 'config.json'}
    head, body = (folder / 'README.md').read_text().removeprefix('---\n').split('\n---\n', 1)
    yaml = [line.split(': ') for line in head.splitlines() if ': ' in line]
    assert dict(yaml) == {
        'license': 'cc-by-4.0', 'library_name': 'wgan_jax', 'pipeline_tag': 'unconditional-image-generation',
    }  # fmt: skip
    for said in (
        '# pets',
        '(samples.png)',
        'CC-BY-4.0',
        '| `coverage` | 0.625 | 0.75 | higher | share of the data that have a sample near them |',
        'Of 75 samples, compared with as many real images (for copies, of 1,000 at least), `evaluate` found:\n\n'
        '- Narrow: a third of it' + ', and more' * 30 + '.\n',
        '16 x 32 pixels and\nthree channels.',
        '- 1: dog',
        'jax ' + jax.__version__,
    ):
        assert said in body, said
    assert '/home/me' not in body and '{' not in body
    generator = wgan_jax.load(folder)
    rows = np.asarray(generator.generate(generator.latents(jax.random.key(0), 20), np.arange(20) // 8))
    sheet = np.asarray(Image.open(folder / 'samples.png'))  # each image four times as large, two pixels between
    shown = sheet[2 + 66 + 1 : 66 + 66 : 4, 2 + 130 + 1 : 130 + 130 : 4][:16, :32]  # the second of the second row
    np.testing.assert_allclose(shown, (rows[9] + 1) * 127.5, atol=1)


def test_the_six_lines_of_the_card_draw(folder, monkeypatch):
    code = (folder / 'README.md').read_text().split('```python\n')[1].split('```')[0]
    assert len(code.strip().splitlines()) == 6
    monkeypatch.chdir(folder)
    names = {}
    exec(code, names)
    assert names['images'].shape == (16, 16, 32, 3)


def _draws_as_the_run(folder, python, cwd, **environment):
    """Whether ``sample.py`` draws what the run draws with the same key, and writes the picture of it."""
    process = subprocess.run(
        [*python, str(folder / 'sample.py'), '3', '18'],
        capture_output=True, text=True, timeout=300, cwd=cwd, env={**CLEAN, 'JAX_PLATFORMS': 'cpu', **environment},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    generator = wgan_jax.load(folder.parent)
    expected = np.asarray(generator.generate(generator.latents(jax.random.key(3), 18), np.arange(18) // 8 % 3))
    images = np.load(cwd / 'new_samples.npy')
    np.testing.assert_allclose(images, expected, atol=1e-5)
    picture = np.asarray(Image.open(cwd / 'new_samples.png'))
    assert picture.shape == (3 * 16, 8 * 32, 3) and (picture[32:, 64:] == 0).all()
    np.testing.assert_allclose(picture[16:32, 32:64], (images[9] + 1) * 127.5, atol=0.51)


def test_the_script_says_how_it_is_called(folder, tmp_path):
    for arguments in (['-1'], ['1', '00'], ['1', '2', '3'], ['one'], [str(2**32)]):
        command = [sys.executable, str(folder / 'sample.py'), *arguments]
        process = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=CLEAN)
        assert process.returncode == 1 and process.stderr.startswith('python sample.py [SEED [NUMBER]] needs jax')
        assert len(process.stderr.splitlines()) == 1 and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_script_draws_without_this_package(folder, tmp_path):
    # Fails if it needs more than jax brings, draws other latents than the run, or labels in another order. Packages
    # are found through links, and the folder of all installed ones (-S) is not looked into.
    links = tmp_path / 'jax alone'
    links.mkdir()
    installed = Path(importlib.util.find_spec('jax').origin).parents[1]
    for name in JAX_ALONE:
        if (installed / name).exists():
            (links / name).symlink_to(installed / name)
    for info in installed.glob('*.dist-info'):
        if info.name.split('-')[0] in JAX_ALONE:
            (links / info.name).symlink_to(info)
    python, path = [sys.executable, '-S'], {'PYTHONPATH': str(links)}
    for name in ('wgan_jax', 'flatbuffers'):
        imports = [*python, '-c', f'import jax, {name}']
        found = subprocess.run(imports, cwd=tmp_path, capture_output=True, text=True, env=CLEAN | path)
        assert found.stderr.endswith(f"No module named '{name}'\n")
    _draws_as_the_run(folder, python, tmp_path, **path)


@pytest.mark.slow  # pip fetches jax
def test_the_script_draws_in_a_fresh_environment(folder, tmp_path):
    subprocess.run([sys.executable, '-m', 'venv', tmp_path / 'fresh'], check=True)
    python = str(tmp_path / 'fresh' / 'bin' / 'python')
    install = [python, '-m', 'pip', 'install', '-q', f'jax=={jax.__version__}']
    if subprocess.run(install, timeout=400).returncode:
        pytest.skip('jax cannot be installed here: there is no network, or no such release in it')
    _draws_as_the_run(folder, [python], tmp_path)


def test_what_cannot_be_exported_is_refused_in_one_line(run, answered):
    cases, (_, *said) = answered
    for (workdir, _, message), (code, out, err) in zip(cases, said, strict=True):
        assert code == 2 and message in err and not out, (message, err)
        assert len(err.strip().splitlines()) == 1 and err.startswith('export: ')
        assert workdir == run or not (workdir / 'export').exists()


@pytest.mark.slow
def test_an_edited_card_is_kept_outside_the_folder_that_is_handed_on(tmp_path):
    # Fails if what somebody has written is lost, or lies among what goes to the Hub.
    workdir = untrained(tmp_path / 'run', arch='mlp', critic_norm='none', image_size='4x4')
    for num, text in ((4, 'mine'), (6, None)):
        code, _, err = finish(start('export', f'--workdir={workdir}', f'--num={num}'))
        assert code == 0, err
        if text:
            (workdir / 'export' / 'README.md').write_text(text)
    assert [path.read_text() for path in (workdir / 'damaged').iterdir()] == ['mine']
    assert '# run' in (workdir / 'export' / 'README.md').read_text() and not (workdir / 'export' / 'damaged').exists()
