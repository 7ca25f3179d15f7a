"""What every name in a registry must have: a row in the documentation, a word in the help of each flag that takes it,
and a test that runs over the whole registry it stands in; and what every launcher must have."""

import ast
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from experiments.__main__ import launchers
from experiments.reproduce.claims import CLAIMS
from tests.experiments.processes import answers
from wgan_jax import metrics
from wgan_jax.constraints import CONSTRAINTS
from wgan_jax.data import DATASETS
from wgan_jax.data.augmentation import AUGMENTATION_PARTS, AUGMENTATIONS
from wgan_jax.data.fitting import CHANNELS, FITS
from wgan_jax.data.synthetic import DENSITIES
from wgan_jax.games import GAMES, UPDATES
from wgan_jax.latents import LATENTS
from wgan_jax.metrics.features import FEATURES
from wgan_jax.networks import ARCHITECTURES
from wgan_jax.networks.dcgan import UPSAMPLINGS
from wgan_jax.networks.mlp import INITIALISERS
from wgan_jax.networks.parametrization import PARAMETRIZATIONS
from wgan_jax.networks.resnet import VARIANTS
from wgan_jax.objectives import OBJECTIVES
from wgan_jax.training.gan import DECAYS
from wgan_jax.training.optimizers import OPTIMIZERS
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import CRITIC_NORMS, PRECISIONS
from wgan_jax.training.toy import TOY_PRESETS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / 'wgan_jax/REGISTRIES.md'


class Registry(NamedTuple):
    """Where the names of a registry have to stand.

    Attributes:
        names: all of them.
        tests: files of which each runs over the whole registry.
        flags: pairs of a launcher and the flag of it that takes a name.
        document: which file has its table.
        variable: how tests call it, if not by its title.
    """

    names: tuple[str, ...]
    tests: tuple[str, ...]
    flags: tuple[tuple[str, str], ...] = ()
    document: str = 'wgan_jax/REGISTRIES.md'
    variable: str | None = None


def _registry(names, tests: str, flags: str = '', **options) -> Registry:
    return Registry(tuple(names), tuple(tests.split()), tuple(tuple(f.split(' --')) for f in _lines(flags)), **options)


def _lines(text):
    return [line.strip() for line in text.split(',') if line.strip()]


PARTS = 'tests/contracts/test_parts.py'
REGISTRIES: Mapping[str, Registry] = {
    'PRESETS': _registry(
        PRESETS, 'tests/contracts/test_presets.py tests/contracts/test_convolutions.py', 'train --preset',
        document='wgan_jax/training/PRESETS.md',
    ),
    'TOY_PRESETS': _registry(TOY_PRESETS, f'{PARTS} tests/training/test_toy.py', 'toy --preset'),
    'ARCHITECTURES': _registry(
        ARCHITECTURES, 'tests/networks/test_networks.py tests/contracts/test_constraints.py', 'train --arch'
    ),
    'OBJECTIVES': _registry(
        OBJECTIVES, 'tests/test_objectives.py tests/contracts/test_constraints.py tests/contracts/test_convergence.py',
        'train --objective, toy --objective',
    ),
    'CONSTRAINTS': _registry(
        CONSTRAINTS, 'tests/contracts/test_convergence.py',
        'train --constraint, toy --constraint, lipschitz --constraints',
    ),
    'PARAMETRIZATIONS': _registry(PARAMETRIZATIONS, PARTS, 'train --constraint, toy --constraint'),
    'INITIALISERS': _registry(INITIALISERS, PARTS),
    'OPTIMIZERS': _registry(OPTIMIZERS, PARTS, 'train --optimizer, toy --optimizer'),
    'AUGMENTATIONS': _registry(AUGMENTATIONS, PARTS, 'train --augment, data --augment'),
    'AUGMENTATION_PARTS': _registry(
        AUGMENTATION_PARTS, f'{PARTS} tests/data/test_augmentation.py', 'train --augment, data --augment'
    ),
    'LATENTS': _registry(LATENTS, PARTS, 'train --latent'),
    'DENSITIES': _registry(DENSITIES, f'{PARTS} tests/data/test_synthetic.py', 'toy --data'),
    'DATASETS': _registry(
        DATASETS, PARTS,
        'train --dataset, data --dataset, loss_quality --dataset, vanishing_gradients --dataset, classifier --dataset',
    ),
    'GAMES': _registry(GAMES, 'tests/contracts/test_games.py', 'game --game'),
    'UPDATES': _registry(UPDATES, 'tests/contracts/test_games.py', 'game --update'),
    'metrics': _registry(
        metrics.__all__, PARTS, document='wgan_jax/metrics/METRICS.md', variable='__all__'
    ),
    'FEATURES': _registry(
        FEATURES, 'tests/metrics/features/test_features.py', document='wgan_jax/metrics/features/FEATURES.md'
    ),
    'launchers': _registry(launchers(), 'tests/contracts/test_registries.py', document='README.md'),
    'CLAIMS': _registry([claim.text for claim in CLAIMS], 'tests/experiments/reproduce/test_reproduce.py'),
}  # fmt: skip

# Choices that are no registry, as nothing is built from the name alone.
CHOICES = {
    ('train', 'upsampling'): UPSAMPLINGS,
    ('train', 'resnet_variant'): ('auto', *VARIANTS),
    ('train', 'critic_norm'): CRITIC_NORMS,
    ('train', 'precision'): PRECISIONS,
    ('train', 'decay'): DECAYS,
    ('toy', 'decay'): DECAYS,
    ('train', 'fit'): FITS,
    ('train', 'channels'): CHANNELS,
}

# The file that runs each launcher as a process.
LAUNCHERS = {
    'benchmark': 'benchmark/test_benchmark.py',
    'classifier': 'test_classifier.py',
    'data': 'data/test_data.py',
    'discriminator': 'discriminator/test_discriminator.py',
    'distances': 'distances/test_distances.py',
    'evaluate': 'evaluate/test_evaluate.py',
    'export': 'export/test_export.py',
    'game': 'game/test_game.py',
    'lipschitz': 'lipschitz/test_lipschitz.py',
    'loss_quality': 'reproduce/test_reproduce.py',
    'mode_collapse': 'mode_collapse/test_mode_collapse.py',
    'momentum': 'reproduce/test_reproduce.py',
    'n_critic': 'test_n_critic.py',
    'reproduce': 'reproduce/test_reproduce.py',
    'sample': 'train/test_train.py',
    'toy': 'toy/test_toy.py',
    'train': 'train/test_train.py',
    'vanishing_gradients': 'reproduce/test_reproduce.py',
    'w1_benchmark': 'w1_benchmark/test_w1_benchmark.py',
}


def _cells(line):
    """The cells of a row, with escaped bars as bars."""
    return [cell.strip().replace('\\|', '|') for cell in re.split(r'(?<!\\)\|', line.strip())[1:-1]]


def _rows(text):
    """The rows of the tables in a text, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith('|')]
    heads = {i + j for i, line in enumerate(lines) if set(line) <= set('|- :') for j in (-1, 0)}
    return [_cells(line) for i, line in enumerate(lines) if i not in heads]


def _sections(text):
    """What stands under each title of the second order."""
    _, *parts = re.split(r'^## ', text, flags=re.MULTILINE)
    return {title.strip(): body for title, _, body in (part.partition('\n') for part in parts)}


SECTIONS = _sections(DOCUMENT.read_text())


def test_every_registry_has_its_section_and_every_section_its_registry():
    assert list(SECTIONS) == list(REGISTRIES)
    for name in REGISTRIES:
        assert re.search(r'\]\([^)]+\)', SECTIONS[name]), name  # a link to where it is, or where its table is


def test_no_registry_of_the_library_is_left_out():
    # Every public dictionary of a module is one, but for these.
    others = {
        ('parts.py', 'KINDS'),
        ('dirac.py', 'KINDS'),
        ('dirac.py', 'VARIANTS'),
        ('convolution.py', 'CHANNEL_AXIS'),
        ('__init__.py', 'UNREAD'),
        ('fitting.py', 'FITS'),
        ('scorecard.py', 'SCORES'),
        ('latents.py', 'TRUNCATIONS'),
        ('convolution.py', 'PLAIN'),
        ('products.py', 'PLAIN'),
        ('translation.py', 'TRANSLATIONS'),
    }
    found = set()
    for path in (ROOT / 'wgan_jax').rglob('*.py'):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, (ast.Dict, ast.DictComp)):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Name) and re.fullmatch('[A-Z][A-Z_]*', target.id):
                        found.add((path.name, target.id))
    assert others <= found
    left_out = {name for _, name in found - others} - set(REGISTRIES)
    assert not left_out


def _named(text):
    return [row[0].strip('`') for row in _rows(text)]


@pytest.mark.parametrize('registry', [name for name in REGISTRIES if name not in ('CLAIMS', 'metrics')])
def test_every_name_has_one_row_and_every_row_a_name(registry):
    names, document = REGISTRIES[registry].names, REGISTRIES[registry].document
    text = (ROOT / document).read_text()
    if document == 'README.md':
        text = _sections(text)['Launchers']
    elif document == DOCUMENT.relative_to(ROOT).as_posix():
        text = SECTIONS[registry]
    else:
        assert Path(document).name in SECTIONS[registry]
    assert sorted(_named(text)) == sorted(names)
    assert all(cell for row in _rows(text) for cell in row)


def test_every_claim_has_its_row_as_it_stands():
    rows = [tuple(row) for row in _rows(SECTIONS['CLAIMS'])]
    assert rows == [(claim.topic, claim.text, claim.theory, f'`{claim.launcher}`') for claim in CLAIMS]


@pytest.mark.parametrize('registry', [name for name in REGISTRIES if REGISTRIES[name].flags])
def test_the_section_names_the_flags_that_take_a_name(registry):
    if registry != 'PARAMETRIZATIONS':  # which constraints name
        for launcher, flag in REGISTRIES[registry].flags:
            assert f'`--{flag}`' in SECTIONS[registry] and f'`{launcher}`' in SECTIONS[registry]


@pytest.fixture(scope='module')
def help_of():
    """launcher -> flag -> its help, of every launcher, all from one process."""
    names = list(launchers())
    texts = {}
    for name, (code, out, err) in zip(names, answers(*((name, '--help') for name in names)), strict=True):
        assert code == 0 and not err, (name, err)
        entries = re.findall(r'^  --(\w+)\s+(.*?)(?=\n  --|\n\n|\n*\Z)', out, re.MULTILINE | re.DOTALL)
        texts[name] = {flag: ' '.join(text.split()) for flag, text in entries}
    return texts


def _missing(text, names):
    return set(names) - set(re.findall(r'\w+', re.split(r' \((?:default|preset \w+): ', text)[0]))


@pytest.mark.parametrize('registry', [name for name in REGISTRIES if REGISTRIES[name].flags])
def test_every_name_stands_in_the_help_of_its_flags(help_of, registry):
    for launcher, flag in REGISTRIES[registry].flags:
        assert not _missing(help_of[launcher][flag], REGISTRIES[registry].names), (launcher, flag)


@pytest.mark.parametrize('launcher, flag', CHOICES)
def test_every_choice_stands_in_the_help_of_its_flag(help_of, launcher, flag):
    assert not _missing(help_of[launcher][flag], CHOICES[launcher, flag])


def _is_whole(node, variable):
    """Whether an expression is a registry, or all of its names, values or items."""
    if isinstance(node, ast.Name):
        return node.id == variable
    if isinstance(node, ast.Attribute):
        return node.attr == variable
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Attribute) and node.func.attr in ('items', 'keys', 'values') and not node.args:
        return _is_whole(node.func.value, variable)
    if not isinstance(node.func, ast.Name):
        return False
    if node.func.id in ('enumerate', 'list', 'sorted', 'tuple'):
        return bool(node.args) and _is_whole(node.args[0], variable)
    return node.func.id == variable  # what makes it


def runs_over(source: str, variable: str) -> bool:
    """Whether a test file has a loop, a comprehension without a condition, or a parametrize over a whole registry."""
    iterated: list[ast.expr] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.For) or (isinstance(node, ast.comprehension) and not node.ifs):
            iterated.append(node.iter)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == 'parametrize':
            iterated += node.args[1:]
    return any(_is_whole(expression, variable) for expression in iterated)


@pytest.mark.parametrize('registry', REGISTRIES)
def test_a_test_runs_over_the_whole_registry(registry):
    for file in REGISTRIES[registry].tests:
        assert runs_over((ROOT / file).read_text(), REGISTRIES[registry].variable or registry), file


def test_what_counts_as_a_run_over_a_registry():
    assert runs_over("@pytest.mark.parametrize('name', OBJECTIVES)\ndef test(name): pass", 'OBJECTIVES')
    assert runs_over('def test():\n    for name, o in objectives.OBJECTIVES.items(): pass', 'OBJECTIVES')
    assert not runs_over('def test():\n    for name in OTHERS: assert OBJECTIVES[name]', 'OBJECTIVES')
    assert not runs_over("names = [name for name in OBJECTIVES if name != 'hinge']", 'OBJECTIVES')


def test_every_launcher_is_listed_and_has_a_test_that_names_it():
    listed = subprocess.run([ROOT / 'launch.sh', '--help'], capture_output=True, text=True, check=True).stdout
    names = [line.split()[0] for line in listed.splitlines() if line.startswith('  ')]
    assert set(launchers()) <= set(names) and set(LAUNCHERS) == set(launchers())
    for name in launchers():
        given: list[ast.AST] = []  # what functions are called with, or by default, and the names in a tuple
        for node in ast.walk(ast.parse((ROOT / 'tests/experiments' / LAUNCHERS[name]).read_text())):
            given += node.args if isinstance(node, ast.Call) else []
            given += node.defaults if isinstance(node, ast.arguments) else []
            given += node.elts if isinstance(node, ast.Tuple) else []
        assert name in {node.value for node in given if isinstance(node, ast.Constant)}, name


def test_the_readme_names_every_preset():
    text = (ROOT / 'README.md').read_text()
    named = text[text.index('Presets (`wgan_jax.presets`)') :].partition('. ')[0]
    assert set(re.findall(r'`(\w+)`', named)) == set(PRESETS)
