"""What --help prints: every flag once, in lines of at most 80 characters, names as they must be typed."""

import dataclasses
import re

import pytest

from experiments.__main__ import launchers
from tests.contracts.test_registries import CHOICES, REGISTRIES
from tests.experiments.processes import ROOT, answers, answers_of
from wgan_jax.training.presets import PRESETS
from wgan_jax.training.settings import Settings

# Names that begin a sentence, or are words of English, too.
WORDS = {
    'adam', 'bfloat16', 'collage', 'dcgan', 'dragan', 'float32', 'hinge', 'minimax', 'mlp', 'mnist', 'resnet',
    'rmsprop', 'wandb', 'wasserstein', 'wgan', 'wgan_gp', 'least_squares', 'non_saturating', 'gradient_penalty',
}  # fmt: skip


@pytest.fixture(scope='module')
def printed():
    """launcher -> what its --help prints, all from one process."""
    names = list(launchers())
    return {name: out for name, (_, out, _) in zip(names, answers(*((n, '--help') for n in names)), strict=True)}


def _entries(text):
    """The flags in their order, each with what is said of it."""
    found = re.findall(r'^  --(\w+)\s+(.*?)(?=\n  --|\n\n|\n*\Z)', text, re.MULTILINE | re.DOTALL)
    return [(name, ' '.join(words.split())) for name, words in found]


def test_lines_are_of_80_characters_at_most_and_flags_stand_once(printed):
    # Fails if a long name or a list of names without spaces is not wrapped, or if a group takes another one's flags.
    assert len(printed) > 15
    for launcher, text in printed.items():
        assert max(map(len, text.splitlines())) <= 80, launcher
        names = [name for name, _ in _entries(text)]
        assert len(set(names)) == len(names) and {'workdir', 'seed'} <= set(names), launcher


def test_train_prints_every_flag_that_there_is_in_a_group_of_its_kind(printed):
    # Fails if a setting or a flag is left out, or if a new one is put into no group.
    source = (ROOT / 'experiments/train/flags.py').read_text()
    own = set(re.findall(r"(?:define_(?!settings)\w+|DEFINE_bool)\(\s*'(\w+)'", source))
    settings = {field.name for field in dataclasses.fields(Settings)}
    assert {name for name, _ in _entries(printed['train'])} == own | settings | {'workdir'} and len(own) > 20
    heads = re.findall(r'^(\S.*):\n  --', printed['train'], re.MULTILINE)
    assert heads[:3] == ['What to train', 'Data', 'Networks'] and len(heads) == 8 and 'Others' not in heads
    names = [name for name, _ in _entries(printed['train'])]
    assert names[0] == 'preset' and names.index('penalty_weight') == names.index('clip') + 1
    assert printed['toy'].count('\nFlags:\n') == 1 and not re.search(r'^Others', printed['toy'], re.MULTILINE)


def test_what_a_preset_decides_is_shown_as_of_the_preset(printed):
    # Fails if another preset's value is shown, or one of its own where a flag has a default.
    (_, another, _), (_, unknown, _) = answers(('train', '--preset=wgan', '--help'), ('train', '--preset=x', '--help'))
    assert unknown == printed['train']
    for preset, text in (('flags', printed['train']), ('wgan', another)):
        shown = dict(_entries(text))
        for name in ('steps', 'generator_lr', 'constraint', 'image_size'):
            value = str(getattr(PRESETS[preset], name))
            assert shown[name].endswith(f'(preset {preset}: {value}).'), (name, shown[name])
        assert shown['log_every'] == 'Steps between lines of metrics.jsonl (default: 10).'
        assert shown['critic_warmup'].endswith(
            '(preset wgan: true; --nocritic_warmup for false).' if preset == 'wgan' else '(preset flags: false).'
        )


def test_names_are_written_as_they_must_be_typed(printed):
    # Fails for Wasserstein or Adam, which are refused, where wasserstein or adam is meant; for Beta2, too.
    for launcher in ('train', 'toy'):
        flags = {name for name, _ in _entries(printed[launcher])}
        for name, words in _entries(printed[launcher]):
            for word in re.findall(r'\w+', words):
                asked = word.lower() in WORDS or (not word.isalpha() and word.lower() in flags)
                assert not asked or word == word.lower(), (launcher, name, word)


def test_every_name_that_train_prints_is_accepted(printed):
    # Fails for a name in the help that its flag does not know, whatever else it is refused for.
    known = [flag for registry in REGISTRIES.values() for launcher, flag in registry.flags if launcher == 'train']
    known += [flag for launcher, flag in CHOICES if launcher == 'train']
    shown, tried = dict(_entries(printed['train'])), []
    for flag in sorted({*known} - {'dataset', 'augment'}):  # which take more than names
        text = re.split(r' \((?:default|preset \w+): ', shown[flag])[0].partition(': ')[2].partition('; parameters')[0]
        names = [part.partition(':')[0].strip(' .') for part in text.split(';' if ';' in text else ',')]
        tried += [(flag, name) for name in names]
    assert {('objective', 'wasserstein'), ('optimizer', 'adam'), ('channels', '4'), ('fit', 'pad')} <= {*tried}
    assert len(tried) > 50
    found = answers_of('train', *([f'--{flag}={name}', '--show_settings'] for flag, name in tried))
    for (flag, name), (status, _, err) in zip(tried, found, strict=True):
        assert status == 0 or not re.search(rf'{flag}={name} is|must be', err), (flag, name, err)
    (refused,) = answers_of('train', ['--objective=Wasserstein', '--show_settings'])
    assert refused[0] == 2 and 'objective=Wasserstein is' in refused[2]
