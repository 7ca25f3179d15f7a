"""A conditional run in its folder: continued exactly, loaded, sampled by class, and refused where there are none."""

import dataclasses
import json
import zlib

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
    # A label tells nothing of the latent vector beside it, and the two together are what is sampled.
    latents, labels = np.asarray(loaded.latents(key, 3000)), np.asarray(loaded.labels(key, 3000))
    assert np.abs(np.corrcoef(np.column_stack([latents, labels]), rowvar=False)[-1, :-1]).max() < 0.08
    np.testing.assert_array_equal(loaded.generate(latents[:400], labels[:400]), mixed)
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


@pytest.mark.parametrize(
    ('labels', 'message'),
    [
        (LABELS[:10], r'labels must be \(60,\) whole numbers, one for each image, not \(10,\) int32'),
        (LABELS / 2, r'one for each image, not \(60,\) float64'),
        (LABELS * 5, 'a label is 5, and there are 3 classes, from 0 on'),
        (LABELS - 1, 'a label is -1, and there are 3 classes'),
    ],
)
def test_labels_that_are_none(labels, message, tmp_path):
    # Fails if labels are clipped, or of another number of classes than there are names.
    with pytest.raises(ValueError, match=message):
        wgan_jax.train(_settings(), tmp_path / 'new', dataset=IMAGES._replace(labels=labels))
    assert not (tmp_path / 'new').exists()


@pytest.mark.slow
def test_labels_of_any_whole_type(tmp_path):
    # Fails if the type of labels that were passed reaches the program.
    for name, labels in (('list', LABELS.tolist()), ('int64', LABELS.astype(np.int64))):
        for path in ('stream', 'device'):
            wgan_jax.train(
                _settings(), tmp_path / name / path, dataset=IMAGES._replace(labels=labels), data_path=path, **EVERY
            )
            assert _arrays(tmp_path / name / path) == _arrays(tmp_path / 'list' / 'stream')


def test_other_labels_held_out_are_another_dataset(tmp_path):
    wgan_jax.train(_settings(held_out=0.2), tmp_path, dataset=IMAGES, **EVERY)
    held = np.array([zlib.crc32(np.ascontiguousarray(image).data) < 0.2 * 2**32 for image in PIXELS])
    other = np.where(held, (LABELS + 1) % 3, LABELS).astype(np.int32)
    assert held.any() and (other[~held] == LABELS[~held]).all()
    with pytest.raises(ValueError, match='with other settings'):
        wgan_jax.train(_settings(held_out=0.2), tmp_path, dataset=IMAGES._replace(labels=other), **EVERY)


def test_damaged_classes_are_not_those_of_the_checkpoint(tmp_path):
    # Fails if the names in a configuration that somebody edited are taken for those that were trained on.
    wgan_jax.train(_settings(), tmp_path, dataset=IMAGES, **EVERY)
    path, key = tmp_path / 'config.json', jax.random.key(0)
    good = json.loads(path.read_text())
    changes = (
        {'classes': list(CLASSES[::-1])}, {'class_counts': [10, 1, 1]}, {'class_counts': [60]},
        {'class_counts': [0, 0, 0]}, {'class_counts': [-1, 30, 31]}, {'classes': []}, {'class_counts': [10**400, 1, 1]},
    )  # fmt: skip
    for change in changes:
        path.write_text(json.dumps({**good, 'dataset': {**good['dataset'], **change}}))
        with pytest.raises(ValueError, match=r'config\.json: dataset: class_counts must|of the dataset: others'):
            wgan_jax.load(tmp_path).sample(key, 2)
    wgan_jax.train(_settings(), tmp_path, dataset=IMAGES, **EVERY)  # which writes it anew
    assert json.loads(path.read_text())['dataset'] == good['dataset']


def test_a_class_without_images_is_said_and_not_sampled(tmp_path, caplog):
    # Fails if what was never seen is generated in silence.
    more = IMAGES._replace(classes=(*CLASSES, 'red', 'blue'))
    generator = wgan_jax.train(_settings(), tmp_path, dataset=more, **EVERY)
    assert 'of these classes there is no image to train on, 2: red, blue' in caplog.text
    for label in ('red', 4):
        with pytest.raises(ValueError, match=f'label={label}: there was no image of this class to train on'):
            generator.sample(jax.random.key(0), 1, label)
    assert set(np.asarray(generator.labels(jax.random.key(0), 200))) == {0, 1, 2}


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
