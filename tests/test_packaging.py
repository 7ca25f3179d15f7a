"""The package as it is installed: every folder is in it, and its requirements are those of the requirement files."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
METRICS = ('wgan_jax/metrics/METRICS.md', 'wgan_jax/metrics/features/FEATURES.md')
REGISTRIES = ('wgan_jax/REGISTRIES.md', 'wgan_jax/training/PRESETS.md', *METRICS)
TRAINING = ('wgan_jax/training/CALLBACKS.md', 'wgan_jax/training/PROCESSES.md')
DOCUMENTS = ('README.md', 'experiments/RESULTS.md', *TRAINING, 'CHANGELOG.md')
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())


def _requirements(path):
    lines = (line.partition('#')[0].strip() for line in (ROOT / path).read_text().splitlines())
    return {line for line in lines if line}


def test_every_folder_of_code_is_installed():
    found = set()
    for folder, name in (('wgan_jax', 'wgan_jax'), ('experiments', 'wgan_jax_experiments')):
        for init in (ROOT / folder).rglob('__init__.py'):
            found.add('.'.join((name, *init.parent.relative_to(ROOT / folder).parts)))
    assert sorted(PROJECT['tool']['setuptools']['packages']) == sorted(found)


def test_requirements_are_written_twice_and_say_the_same():
    extras = PROJECT['project']['optional-dependencies']
    launchers = {*PROJECT['project']['dependencies'], *extras['experiments'], *extras['tfds']}
    assert launchers == _requirements('requirements.txt')
    assert set(extras['test']) == _requirements('tests/requirements.txt')


def test_what_the_library_imports_is_required():
    known = {'jax', 'flax', 'optax', 'orbax', 'numpy', 'scipy', 'ot', 'PIL', 'safetensors', 'wgan_jax'}
    # The extra [tfds], asked for by datasets of that name only; and what only a conversion of weights needs.
    late = {'tensorflow_datasets', 'torch'}
    pattern = re.compile(r'^\s*(?:from|import) (\w+)', re.MULTILINE)
    import sys

    for path in (ROOT / 'wgan_jax').rglob('*.py'):
        names = set(pattern.findall(path.read_text())) - set(sys.stdlib_module_names)
        assert names <= known | late, (path, names - known)


@pytest.mark.parametrize('file', ['README.md', 'CHANGELOG.md', 'CITATION.cff'])
def test_the_version_is_the_same_everywhere(file):
    import wgan_jax

    if file != 'README.md':
        assert wgan_jax.__version__ in (ROOT / file).read_text()
    assert len((ROOT / 'README.md').read_text().splitlines()) <= 150


def test_links_in_the_documents_lead_somewhere():
    for document in (*DOCUMENTS, *REGISTRIES):
        path = ROOT / document
        for target in re.findall(r'\]\(([^)#\s]+)', path.read_text()):
            if '://' not in target:
                assert (path.parent / target).exists(), (document, target)
