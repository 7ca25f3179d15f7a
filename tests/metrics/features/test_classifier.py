"""The classifier: against PyTorch, what it learns, and its file."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from wgan_jax.metrics.features import classifier, feature_network, training
from wgan_jax.metrics.features.classifier import Classifier


def _made(shape=(11, 13, 3), classes=('a', 'b\n', 'ü')):
    params = classifier.init(jax.random.key(3), shape, len(classes))
    params = {name: x + 0.1 * np.arange(x.shape[-1]) / x.shape[-1] for name, x in params.items()}  # no bias is zero
    return Classifier(params, shape, classes, 'set', 0.75)


def test_its_maps_are_those_of_pytorch():
    # Fails for another stride, border, side of the padding, order of axes before the dense map, or a bias left out.
    torch = pytest.importorskip('torch')
    made, functional = _made(), pytest.importorskip('torch').nn.functional
    images = np.random.default_rng(0).uniform(-1, 1, (4, *made.shape)).astype(np.float32)
    w = {name: torch.from_numpy(np.array(x)) for name, x in made.params.items()}
    x = functional.pad(torch.from_numpy(images).permute(0, 3, 1, 2), (0, 1, 0, 1))
    x = functional.conv2d(x, w['down0.kernel'].permute(3, 2, 0, 1), w['down0.bias'], stride=2, padding=1).relu()
    x = functional.conv2d(x, w['same.kernel'].permute(3, 2, 0, 1), w['same.bias'], padding=1).relu()
    x = (x.permute(0, 2, 3, 1).flatten(1) @ w['features.kernel'] + w['features.bias']).relu()
    logits = x @ w['classes.kernel'] + w['classes.bias']
    features, probabilities = made.network().classify(images)
    np.testing.assert_allclose(features, x, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(probabilities, logits.softmax(1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    'side, halvings, pixels', [(1, 1, 1), (8, 1, 16), (9, 1, 25), (28, 2, 49), (32, 2, 64), (64, 3, 64), (300, 6, 25)]
)
def test_any_size_is_halved_to_about_eight_pixels(side, halvings, pixels):
    shapes = classifier.shapes((side, side, 1), 5)
    assert sum(name.startswith('down') for name in shapes) == 2 * halvings
    width = (32, 64, 128)[min(halvings, 3) - 1]
    assert shapes['features.kernel'] == (pixels * width, 128) and shapes['classes.kernel'] == (128, 5)


def test_a_file_gives_back_what_was_saved(tmp_path):
    # Fails if anything of it gets lost: a class's name with a line break, an accuracy that is not there.
    for made in (_made(), _made()._replace(accuracy=None, classes=('0', '1', '2'))):
        classifier.save(tmp_path / 'c', made)
        found = classifier.load(tmp_path / 'c')
        assert found[1:] == made[1:] and found.params.keys() == made.params.keys()
        for name, x in made.params.items():
            np.testing.assert_array_equal(found.params[name], x)
    network = feature_network(f'classifier:{tmp_path}/c')
    assert network.name == 'classifier(set)' and network.classes == ('0', '1', '2')
    with pytest.raises(ValueError, match=r'^classifier\(set\) takes images \(11, 13, 3\), not \(11, 13, 1\)'):
        network(np.zeros((1, 11, 13, 1)))


@pytest.mark.parametrize(
    'header, message',
    [
        ({'format': 'other'}, 'is no classifier of this package'),
        ({'version': '2'}, 'is of version 2, and 1 can be read'),
        ({'shape': '[11, 13'}, "'shape' in its header is not valid JSON"),
        ({'shape': '[11, 13]'}, r'there must be a shape \(H, W, C\)'),
        ({'shape': '[11, 0, 3]'}, 'at least 1 pixel'),
        ({'shape': '[11, 99999999, 3]'}, 'at most 65,536 pixels'),
        ({'classes': '["a", 2, "c"]'}, 'classes, in a list, must be a string'),
        ({'classes': '["a"]'}, 'at least two classes'),
        ({'classes': '["a", "b"]'}, r"'classes.kernel' must be \(128, 2\), not \(128, 3\)"),
        ({'accuracy': '"high"'}, 'accuracy must be a number'),
    ],
)
def test_a_changed_header_is_refused_in_one_line(header, message, tmp_path):
    made = _made()
    classifier.save(tmp_path / 'c', made)
    whole = {
        'format': classifier.FORMAT, 'version': '1', 'shape': json.dumps(made.shape), 'dataset': 'set',
        'classes': json.dumps(made.classes), 'accuracy': '0.75',
    }  # fmt: skip
    tensors = {name: np.asarray(x) for name, x in made.params.items()}
    safetensors.numpy.save_file(tensors, tmp_path / 'c', whole | header)
    with pytest.raises(ValueError, match=message) as caught:
        classifier.load(tmp_path / 'c')
    assert str(tmp_path) in str(caught.value) and '\n' not in str(caught.value)


def _lines(n, seed):
    """Noise with a bright line in one of three directions somewhere: no place tells the class, only the direction."""
    draw = np.random.default_rng(seed)
    images, labels = draw.integers(0, 90, (n, 6, 6, 1), dtype=np.uint8), draw.integers(0, 3, n)
    for image, label in zip(images, labels, strict=True):
        place = draw.integers(1, 5)
        image[(place, slice(None)) if label == 0 else (slice(None), place) if label == 1 else (range(6), range(6))] = (
            255
        )
    return images, labels


def test_it_learns_and_says_how_well():
    # Fails if labels come apart from their images, the rate does not fall, or accuracy is that of other pictures.
    told = []
    images, labels = _lines(300, 0)
    options = {'steps': 120, 'batch_size': 32, 'seed': 5, 'held_out': _lines(200, 1)}
    made = training.train_classifier(
        images,
        labels,
        3,
        **options,
        classes=('-', '|', '\\'),
        dataset='lines',
        on_progress=lambda *how: told.append(how),
    )
    assert [step for step, _ in told] == [50, 100, 120] and told[0][1] > told[-1][1] and told[-1][1] < 0.2
    assert made.accuracy > 0.95 and made.shape == (6, 6, 1) and made.network().name == 'classifier(lines)'
    predicted = made.network().classify(options['held_out'][0])[1].argmax(1)
    assert made.accuracy == (predicted == options['held_out'][1]).mean()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_classifier():
    images, labels = _lines(50, 0)
    one, same, other = (training.train_classifier(images, labels, 3, steps=60, seed=seed).params for seed in (5, 5, 6))
    assert all((one[name] == same[name]).all() for name in one)
    assert not (one['features.kernel'] == other['features.kernel']).any()


def test_shifts_are_by_whole_pixels_with_the_edge_repeated():
    # Fails for a shift in one direction only, one of more than a 14th, or a border of another colour.
    images = np.random.default_rng(0).uniform(-1, 1, (200, 28, 30, 1)).astype(np.float32)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode='edge')
    found = np.asarray(jax.jit(training.shifted)(jnp.asarray(images), jax.random.key(0)))
    shifts = {(i, j): (found == padded[:, i : i + 28, j : j + 30]).all((1, 2, 3)) for i in range(5) for j in range(5)}
    assert (sum(shifts.values()) == 1).all() and all(own.any() for own in shifts.values())


@pytest.mark.parametrize(
    'change, message',
    [
        ({'labels': np.arange(4)}, r'labels must lie from 0 to 2, not from 0 to 3'),
        ({'labels': np.arange(3)}, r'labels must be 4 whole numbers, one for each image, not \(3,\)'),
        ({'labels': np.ones(4)}, 'labels must be 4 whole numbers'),
        ({'labels': np.array([0, 0, 2, 2])}, 'of class 1 there is no image to train on'),
        ({'images': np.zeros((4, 6, 6, 1))}, 'images must be uint8'),
        ({'num_classes': 1}, 'need at least two classes'),
        ({'classes': ('a', 'b')}, 'need at least two classes, and a name for each, not 3 and 2 names'),
        ({'steps': 0}, 'steps=0 must be at least 1'),
        ({'learning_rate': 0.0}, 'learning_rate=0.0 must be a positive number'),
        ({'held_out': (np.zeros((2, 5, 6, 1), np.uint8), np.arange(2))}, 'must be alike'),
    ],
)
def test_what_cannot_be_trained_on_is_refused(change, message):
    given = {'images': np.zeros((4, 6, 6, 1), np.uint8), 'labels': np.array([0, 1, 2, 2]), 'num_classes': 3} | change
    with pytest.raises(ValueError, match=message):
        training.train_classifier(**given)


def test_a_classifier_looks_at_each_of_three_channels(tmp_path):
    # Fails if channels change places, or probabilities of a triple are not the product of its three.
    made = _made((8, 9, 1), ('0', '1', '2'))
    classifier.save(tmp_path / 'c', made)
    network = feature_network(f'classifier_by_channel:{tmp_path}/c')
    assert network.name == 'classifier_by_channel(set)' and network.classes[5] == '012' and len(network.classes) == 27
    images = np.random.default_rng(1).uniform(-1, 1, (5, 8, 9, 3)).astype(np.float32)
    features, probabilities = network.classify(images)
    apart = [made.network().classify(images[..., [channel]]) for channel in range(3)]
    np.testing.assert_allclose(features, np.concatenate([of for of, _ in apart], axis=1), rtol=1e-5, atol=1e-6)
    red, green, blue = (of.astype(np.float64) for _, of in apart)
    for n, (i, j, k) in ((0, (0, 1, 2)), (4, (2, 2, 0)), (3, (1, 0, 1))):
        np.testing.assert_allclose(probabilities[n, 9 * i + 3 * j + k], red[n, i] * green[n, j] * blue[n, k], rtol=1e-5)
    with pytest.raises(ValueError, match=r'takes images \(8, 9, 3\), not \(8, 9, 1\)'):
        network(images[..., :1])


@pytest.mark.parametrize('shape, classes, match', [((8, 8, 3), 3, 'must be of grey images'), ((8, 8, 1), 17, '16 at')])
def test_channel_by_channel_needs_few_classes_of_grey_images(tmp_path, shape, classes, match):
    classifier.save(tmp_path / 'c', _made(shape, tuple(map(str, range(classes)))))
    with pytest.raises(ValueError, match=f'{tmp_path}/c: .*{match}'):
        feature_network(f'classifier_by_channel:{tmp_path}/c')
