"""The examples in the documentation of modules, run."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

import wgan_jax

FOLDER = Path(wgan_jax.__file__).parent
EXAMPLES = {
    '.'.join(('wgan_jax', *path.relative_to(FOLDER).with_suffix('').parts)).removesuffix('.__init__'): count
    for path in sorted(FOLDER.rglob('*.py'))
    if (count := len(re.findall(r'^\s*>>> ', path.read_text(), re.MULTILINE)))
}

# What a user imports; a new public module stands here with an example of its own.
PUBLIC = (
    'constraints',
    'data.augmentation',
    'data.funnels',
    'data.images',
    'data.order',
    'data.synthetic',
    'distances',
    'distances.dual',
    'distances.gaussians',
    'distances.optimal',
    'distances.pmfs',
    'distances.samples',
    'distances.sinkhorn',
    'distances.transport',
    'games',
    'games.dirac',
    'games.game',
    'games.spectrum',
    'latents',
    'lengths',
    'lipschitz',
    'metrics.bins',
    'metrics.classes',
    'metrics.copies',
    'metrics.features',
    'metrics.frechet',
    'metrics.kernels',
    'metrics.manifold',
    'metrics.modes',
    'metrics.neighbours',
    'metrics.scorecard',
    'metrics.similarity',
    'metrics.verdicts',
    'networks.cones',
    'networks.dcgan',
    'networks.mlp',
    'networks.parametrization',
    'networks.r3gan',
    'networks.resnet',
    'objectives',
    'penalties',
    'transforms',
    'types',
)


@pytest.mark.parametrize('name', EXAMPLES)
def test_examples_print_what_they_say(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
    assert result.attempted == EXAMPLES[name]  # none stands where doctest does not look


def test_every_public_module_has_an_example():
    assert {f'wgan_jax.{name}' for name in PUBLIC} <= set(EXAMPLES)
