"""A conditional run in its folder: continued exactly, loaded, sampled by class, and refused where there are none."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from PIL import Image

import wgan_jax
from tests.training.runs import EVERY
from wgan_jax.data.images import collect
from wgan_jax.networks import mlp
from wgan_jax.training.as_game import load_game
from wgan_jax.training.checkpoint import CheckpointStore
from wgan_jax.types import Players

pytestmark = pytest.mark.usefixtures('compiled_once')
LABELS = (np.arange(60) % 3).astype(np.int32)
CLASSES = ('dark', 'grey', 'light')
PIXELS = (60 + 60 * LABELS[:, None, None, None] + np.random.default_rng(0).integers(0, 20, (60, 4, 4, 1))).astype(
    np.uint8
)
IMAGES = collect(PIXELS)._replace(labels=LABELS, classes=CLASSES)


def _settings(**changes):
    given = {'latent_dim': 2, 'batch_size': 6, 'n_critic': 2, 'steps': 12, **changes}
    given = given if 'arch' in given else {'arch': 'mlp', 'width': 8, **given}
    return wgan_jax.settings('wgan_gp', conditional=True, **given)


def _arrays(workdir):
    return {name: a.tobytes() for name, a in CheckpointStore(workdir / 'checkpoints').choose().arrays.items()}


def test_a_run_is_continued_exactly_and_sampled_by_class(tmp_path):
    # Fails if anything of the labels is lost in a folder, or drawn anew by a continuation.
    straight = wgan_jax.train(_settings(held_out=0.2), tmp_path / 'straight', dataset=IMAGES, **EVERY)
    stop = tmp_path / 'stopped' / 'checkpoints' / '8'
    wgan_jax.train(_settings(held_out=0.2), tmp_path / 'stopped', dataset=IMAGES, should_stop=stop.exists, **EVERY)
    assert not (tmp_path / 'stopped' / 'results.json').exists()
    wgan_jax.train(_settings(held_out=0.2), tmp_path / 'stopped', dataset=IMAGES, **EVERY)
    assert _arrays(tmp_path / 'straight') == _arrays(tmp_path / 'stopped')
    rows = [
        [
            {k: v for k, v in json.loads(line).items() if k not in ('seconds', 'images_per_second')}
            for line in (tmp_path / name / 'metrics.jsonl').read_text().splitlines()
        ]
        for name in ('straight', 'stopped')
    ]
    assert rows[0] == rows[1] and rows[0][-1]['held_out_gap'] is not None
    dataset = json.loads((tmp_path / 'straight' / 'config.json').read_text())['dataset']
    assert dataset['classes'] == list(CLASSES) and sum(dataset['class_counts']) < 60
    loaded, key = wgan_jax.load(tmp_path / 'straight'), jax.random.key(3)
    assert loaded.classes == CLASSES and loaded.class_shares == straight.class_shares
    by_name, by_number, other = (np.asarray(loaded.sample(key, 5, label)) for label in ('grey', 1, 'dark'))
    assert by_name.shape == (5, 4, 4, 1) and (by_name == by_number).all() and (by_name != other).any()
    mixed, labels = np.asarray(loaded.sample(key, 400)), np.asarray(loaded.labels(key, 400))
    assert mixed.shape == (400, 4, 4, 1) and set(labels) == {0, 1, 2}
    assert (np.asarray(loaded.labels(key, 7)) == labels[:7]).all()
    again = loaded.generate(loaded.latents(key, 5), np.full(5, 1))
    np.testing.assert_array_equal(again, by_name)
    with Image.open(tmp_path / 'straight' / 'samples' / 'step_00000012.png') as sheet:
        assert sheet.width == 8 * 66 + 2  # rows of one class each


def test_what_is_refused(tmp_path):
    # Fails if a class that there is not is taken as another, or labels are taken where there are none.
    generator = wgan_jax.train(_settings(), tmp_path, dataset=IMAGES, **EVERY)
    key, latents = jax.random.key(0), np.zeros((2, 2), np.float32)
    for label in ('red', 3, -1, 1.5, True, '7'):
        with pytest.raises(ValueError, match=rf'label={label} is no class; there are 3: dark, grey, light, or their'):
            generator.sample(key, 2, label)
    for labels, message in (
        (None, 'needs labels'),
        ([0], r'must be \(2,\), not \(1,\)'),
        ([0, 9], 'label=9 is no class'),
    ):
        with pytest.raises(ValueError, match=message):
            generator.generate(latents, labels)
    other = IMAGES._replace(labels=LABELS[::-1].copy())
    with pytest.raises(ValueError, match='with other settings \\(dataset: '):
        wgan_jax.train(_settings(), tmp_path, dataset=other, **EVERY)
    with pytest.raises(ValueError, match='conditional: True -> False'):
        wgan_jax.train(dataclasses.replace(_settings(), conditional=False), tmp_path, dataset=IMAGES, **EVERY)
    with pytest.raises(ValueError, match='conditional: array has no classes: put the pictures of each into a folder'):
        wgan_jax.train(_settings(), tmp_path / 'new', dataset=PIXELS)
    with pytest.raises(ValueError, match='conditional=True has no effect on a sweep'):
        wgan_jax.sweep(_settings(), dataset=IMAGES)
    with pytest.raises(ValueError, match='orthonormal does not hold for conditional'):
        _settings(constraint='orthonormal')
    plain = Players(mlp.generator((4, 4, 1), latent_dim=2, width=4), mlp.critic((4, 4, 1), width=4))
    with pytest.raises(ValueError, match='conditional=True needs a generator of classes'):
        _settings(arch=plain)
    plain_run = wgan_jax.train(
        dataclasses.replace(_settings(), conditional=False), tmp_path / 'p', dataset=IMAGES, **EVERY
    )
    for call in (lambda: plain_run.sample(key, 2, 1), lambda: plain_run.labels(key, 2)):
        with pytest.raises(ValueError, match='unconditional'):
            call()


def test_a_conditional_run_is_a_game(tmp_path):
    wgan_jax.train(_settings(), tmp_path, dataset=IMAGES, **EVERY)
    game, players, step = load_game(tmp_path, images=IMAGES, batch_size=6)
    assert step == 12 and np.isfinite(float(game.losses.critic(players)))
    with pytest.raises(ValueError, match='its content differs'):
        load_game(tmp_path, images=IMAGES._replace(labels=LABELS[::-1].copy()))


def test_networks_of_one_s_own_are_told_the_class(tmp_path):
    shape, sizes = (4, 4, 1), {'width': 4, 'num_classes': 3}
    mine = Players(mlp.generator(shape, latent_dim=2, **sizes), mlp.critic(shape, **sizes))
    wgan_jax.train(_settings(arch=mine), tmp_path, dataset=IMAGES, **EVERY)
    assert wgan_jax.load(tmp_path, networks=mine).sample(jax.random.key(0), 2, 'light').shape == (2, 4, 4, 1)
    two = Players(*(network._replace(num_classes=2) for network in mine))
    with pytest.raises(ValueError, match='the generator is of 2 classes, and the dataset has 3'):
        wgan_jax.train(_settings(arch=two), tmp_path / 'two', dataset=IMAGES, **EVERY)
