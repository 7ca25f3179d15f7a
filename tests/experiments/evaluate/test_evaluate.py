"""``evaluate``: its numbers beside those of the library, its page, its cache, and what it refuses."""

import dataclasses
import json
import os
import re
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image

import wgan_jax
from experiments.evaluate import sets
from experiments.evaluate.evaluation import best_step, no_fault
from tests.experiments.processes import answers_of
from tests.export.untrained import untrained
from wgan_jax import metrics
from wgan_jax.data.images import to_float
from wgan_jax.metrics.features import classifier, feature_network
from wgan_jax.training.dataset import with_images
from wgan_jax.training.folder import read_run, settings_of

SETTINGS = {'arch': 'mlp', 'critic_norm': 'none', 'image_size': '8x8', 'held_out': 0.2}


@pytest.fixture(scope='module')
def answered(tmp_path_factory):
    """A run on forty pictures with two checkpoints of noise; what the launcher says to good and to bad commands."""
    place = tmp_path_factory.mktemp('evaluate')
    draw = np.random.default_rng(0)
    (place / 'set').mkdir()
    for i in range(40):
        Image.fromarray(draw.integers(0, 256, (8, 8, 3), np.uint8)).save(place / 'set' / f'{i:02d}.png')
    for step in (5, 9):
        untrained(place / 'run', step=step, dataset=f'folder:{place}/set', **SETTINGS)
    config = json.loads((place / 'run' / 'config.json').read_text())
    changed, given = (place / name for name in ('changed', 'given'))
    for folder, dataset in ((changed, config['settings']['dataset']), (given, 'array')):
        untrained(folder, **{**SETTINGS, 'dataset': dataset})
    _, images = with_images(settings_of(config))
    config['dataset']['fingerprint'] = images.fingerprint
    (place / 'run' / 'config.json').write_text(json.dumps(config))
    before = {path: path.read_bytes() for path in (place / 'run').rglob('*') if path.is_file()}
    cases = [
        (place / 'run', ['--step=6'], 'has no checkpoint at step 6; there are: [5, 9]'),
        (place / 'run', ['--step=5', '--all'], 'step=5 has no effect with all'),
        (place / 'run', ['--features=vgg'], 'feature network vgg is unknown; there are: pixels, '),
        (place / 'run', ['--features=random_conv,random_conv:x'], 'random_conv has no file of weights'),
        (place / 'run', ['--features=inception_v3:/no'], '/no'),
        (
            place / 'run',
            ['--best_by=duplicates'],
            'of which less or more is better; there are: patch_distance',
        ),
        (place / 'run', ['--best_by=FID'], 'best_by=FID is no score'),
        (place / 'run', ['--k=16'], 'k=16 neighbours need more than 16 images in each half of the data, and there are'),
        (place / 'run', ['--best_by=pixels/different_bins'], 'is no score here'),
        (place / 'run', ['--num=5'], 'k=5 neighbours need more than 5 images'),
        (changed, [], 'has changed since'),
        (given, [], 'was given its images as an array, which is not kept'),
        (place / 'set', [], 'is not the folder of a training run'),
    ]
    params = classifier.init(jax.random.key(4), (8, 8, 3), 2)
    classifier.save(place / 'c', classifier.Classifier(params, (8, 8, 3), ('cat', 'dog'), 'pets'))
    huge = classifier.Classifier(jax.tree.map(lambda w: w * 1e30, params), (8, 8, 3), ('cat', 'dog'), 'huge')
    classifier.save(place / 'huge', huge)
    # Found out after a while, with the results of the first command there: they stay.
    cases.append((place / 'run', [f'--features=classifier:{place}/huge'], 'every feature must be finite'))
    named = [f'--features=pixels,classifier:{place}/c', '--best_by=pixels/frechet_distance']
    commands = [[f'--workdir={place}/run', '--all', *named]]
    commands += [[f'--workdir={folder}', *flags] for folder, flags, _ in cases]
    answers = answers_of('evaluate', *commands)
    assert {path: path.read_bytes() for path in before} == before  # of the run nothing is touched
    return place, images, cases, answers


def test_numbers_are_those_of_the_library(answered):
    # Fails if the halves overlap or are of other images, or samples of one step stand for another's.
    place, images, _, answers = answered
    code, out, err = answers[0]
    assert code == 0, err
    results = json.loads((place / 'run' / 'evaluate' / 'results.json').read_text())
    train, held_out = (np.asarray(to_float(of)).reshape(len(of), -1) for of in (images.pixels, images.held_out))
    assert (results['samples'], results['compared_with'], results['held_out']) == (
        len(train) // 2,
        len(train),
        len(held_out),
    )
    assert list(results['by_step']) == ['5', '9']
    settings = settings_of(read_run(place / 'run'))
    first, second = sets.halves(settings, images, len(train) // 2, [feature_network('pixels')])
    x, y = first.features['pixels'], second.features['pixels']
    together = np.concatenate([x, y])
    assert len(np.unique(together, axis=0)) == len(together) == len(train) // 2 * 2
    assert all((train == row).all(axis=1).any() for row in together)
    assert results['scale']['pixels/recall'] == metrics.precision_recall(x, y, 5).recall
    for step in (5, 9):
        samples = np.asarray(wgan_jax.load(place / 'run', step).sample(jax.random.key(0), len(x)))
        found = results['by_step'][str(step)]
        np.testing.assert_allclose(
            found['pixels/frechet_distance'], metrics.frechet_distance(x, samples.reshape(len(x), -1)), rtol=1e-6
        )
        many = np.asarray(wgan_jax.load(place / 'run', step).sample(jax.random.key(0), 1000)).reshape(1000, -1)
        np.testing.assert_array_equal(many[: len(x)], samples.reshape(len(x), -1))
        assert len(held_out) < 20  # too few: the training images stand in for them
        test = metrics.memorisation(many, train, None)
        assert found['memorisation'] == pytest.approx(test.statistic, rel=1e-12)
    best = min(results['by_step'], key=lambda step: results['by_step'][step]['pixels/frechet_distance'])
    assert results['best_step'] == int(best) and results['scores'] == results['by_step'][best]
    assert f'Best of 2 checkpoints by pixels/frechet_distance: step {best}' in out
    with np.load(place / 'run' / 'evaluate' / 'scores.npz') as arrays:
        assert arrays['steps'].tolist() == [5, 9]
        assert arrays['pixels/recall'].tolist() == [results['by_step'][s]['pixels/recall'] for s in ('5', '9')]


def test_classes_are_counted(answered):
    # Fails if the classes of another checkpoint are counted, or those of the half that samples are compared with.
    place, images, _, _ = answered
    results = json.loads((place / 'run' / 'evaluate' / 'results.json').read_text())
    network, settings = feature_network(f'classifier:{place}/c'), settings_of(read_run(place / 'run'))
    samples = wgan_jax.load(place / 'run', results['best_step']).sample(jax.random.key(0), results['samples'])
    _, second = sets.halves(settings, images, results['samples'], [network])
    of = [network.classify(np.asarray(samples))[1], second.probabilities['classifier(pets)']]
    counts = [np.bincount(each.argmax(axis=1), minlength=2).tolist() for each in of]
    assert results['classes'] == {
        'classifier(pets)': {
            name: {'samples': counts[0][k], 'data': counts[1][k]} for k, name in enumerate(('cat', 'dog'))
        }
    }
    assert results['scores']['classifier(pets)/rarest_class'] == min(counts[0]) / results['samples']


def test_the_page_is_whole_by_itself_and_names_the_faults(answered):
    # Fails if the page asks for a file or a network, or keeps quiet about what is wrong with noise.
    place, _, _, answers = answered
    page = (place / 'run' / 'evaluate' / 'report.html').read_text()
    assert set(re.findall(r'(?:src|href)="(.{5})', page)) == {'data:'} and 'http' not in page
    results = json.loads((place / 'run' / 'evaluate' / 'results.json').read_text())
    assert results['faults']
    for fault in results['faults']:
        assert f'<p class="broken">{fault["name"].capitalize()}: ' in page
        assert f'{fault["name"].upper()}: {fault["why"]}' in answers[0][1]
    titles = 'Samples', 'Real images', 'Nearest training images', 'From one latent to another', 'Scores', 'Classes'
    for title in titles:
        assert f'<h2>{title}</h2>' in page
    assert (place / 'run' / 'evaluate' / 'scores.png').stat().st_size > 10_000


def test_what_cannot_be_evaluated_is_one_line(answered):
    _, _, cases, answers = answered
    for (folder, flags, says), (code, _, err) in zip(cases, answers[1:], strict=True):
        assert code == 2 and says in err and len(err.splitlines()) == 1, (folder, flags, err)
        assert not (folder / 'evaluate').exists() or folder.name == 'run'


def test_features_of_the_data_are_read_again_and_damage_is_found(answered, tmp_path, monkeypatch, caplog):
    # Fails if features of other images or weights are taken for these, or a damaged file is.
    place, images, _, _ = answered
    settings, networks = settings_of(read_run(place / 'run')), [feature_network('pixels')]
    monkeypatch.setattr(sets, '_SECONDS', 0)
    monkeypatch.setenv('WGAN_JAX_CACHE_DIR', str(tmp_path))
    first, _ = sets.halves(settings, images, 10, networks)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(files) == 2
    again, _ = sets.halves(settings, images, 10, networks)
    np.testing.assert_array_equal(first.features['pixels'], again.features['pixels'])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == files
    sets.halves(settings, images._replace(fingerprint='other'), 10, networks)
    fewer = images._replace(pixels=images.pixels[:25])  # of the same set, more are held out
    part, _ = sets.halves(dataclasses.replace(settings, held_out=0.4), fewer, 10, networks)
    assert len(os.listdir(tmp_path)) == 6
    among = np.asarray(to_float(fewer.pixels)).reshape(25, -1)
    assert all((among == row).all(axis=1).any() for row in part.features['pixels'])
    for path in files:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    mended, _ = sets.halves(settings, images, 10, networks)
    np.testing.assert_array_equal(first.features['pixels'], mended.features['pixels'])
    assert caplog.text.count('and is made anew') == 2


def test_the_best_is_the_least_or_the_most():
    by_step = {1: {'patch_distance': 2.0, 'pixels/recall': 0.5}, 2: {'patch_distance': 1.0, 'pixels/recall': 0.5}}
    assert best_step(by_step, 'patch_distance') == 2 and best_step(by_step, 'pixels/recall') == 1
    by_step[3] = {'patch_distance': 1.0, 'pixels/recall': 0.6}
    assert best_step(by_step, 'patch_distance') == 2 and best_step(by_step, 'pixels/recall') == 3


def test_no_fault_of_a_few_is_not_much():
    assert no_fault(SimpleNamespace(num=16)).endswith('; of 16 samples and as many images that says little')
    assert no_fault(SimpleNamespace(num=100)).endswith('narrow or unlike the data')
