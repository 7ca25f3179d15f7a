"""The registry of feature networks, those without weights, how images go through them, and files of weights."""

import hashlib

import jax
import numpy as np
import pytest
import safetensors.numpy

from wgan_jax.metrics.features import FEATURES, OF_NO_FILE, FeatureNetwork, convert, feature_network
from wgan_jax.metrics.features.simple import WIDTHS, random_kernel
from wgan_jax.metrics.features.weights import Published, read_weights

IMAGES = np.random.default_rng(0).uniform(-1, 1, (5, 9, 6, 2)).astype(np.float32)
SHAPES = {'a.weight': (2, 3), 'b': (4,)}
TENSORS = {name: np.arange(np.prod(shape), dtype=np.float32).reshape(shape) for name, shape in SHAPES.items()}


def test_every_network_is_built_or_asks_for_its_file(tmp_path):
    # Fails for a name that the function does not take, and for a file that is missed without a word of which.
    (tmp_path / 'text').write_text('{}')
    for name in FEATURES:
        if name in OF_NO_FILE:
            assert feature_network(name).name == name
            with pytest.raises(ValueError, match=f'^{name} has no file of weights'):
                feature_network(f'{name}:x')
            continue
        with pytest.raises(ValueError, match=f'^{name} needs the file of its weights, {name}:FILE'):
            feature_network(name)
        with pytest.raises(ValueError, match=r'nowhere\.safetensors cannot be read'):
            feature_network(f'{name}:{tmp_path}/nowhere.safetensors')
        with pytest.raises(ValueError, match=r'text is no whole safetensors file \(.+\)$'):
            feature_network(f'{name}:{tmp_path}/text')
    with pytest.raises(ValueError, match='vgg is unknown; there are: pixels, random_conv, classifier:FILE, '):
        feature_network('vgg')


def test_pixels_are_halved_by_means():
    # Fails where pixels are skipped, the larger side is the one that counts, or channels are mixed.
    image = np.random.default_rng(1).uniform(-1, 1, (1, 34, 70, 2)).astype(np.float32)
    once = image[:, :34, :70].reshape(1, 17, 2, 35, 2, 2).mean((2, 4))
    twice = once[:, :16, :34].reshape(1, 8, 2, 17, 2, 2).mean((2, 4))
    np.testing.assert_allclose(feature_network('pixels')(image), twice.reshape(1, -1), atol=1e-6)
    np.testing.assert_array_equal(feature_network('pixels')(IMAGES), IMAGES.reshape(5, -1))


def test_random_kernels_are_the_same_for_ever():
    # Fails for another generator, seed, order of the bits or scale. NumPy's own uniform numbers are the second way.
    bits = np.random.Generator(np.random.PCG64(np.random.SeedSequence((1, 32))))
    limit = np.sqrt(6 / (1.04 * 9 * 32))
    wanted = limit * (2 * bits.random(9 * 32 * 64) - 1)
    kernel = random_kernel(1, 32, 64)
    np.testing.assert_allclose(kernel.reshape(-1), wanted, rtol=1e-6)
    assert abs(kernel.var() * 1.04 * 9 * 32 / 2 - 1) < 0.02
    np.testing.assert_allclose(random_kernel(0, 3, 32).reshape(-1)[:3], FIRST, rtol=1e-6)


FIRST = [0.36515241861343384, 0.3332032561302185, -0.16513903439044952]


def test_random_features_are_means_and_deviations_of_three_convolutions():
    # Fails for another stride, border or rectifier, a variance in place of the deviation, a layer left out.
    wanted = []
    for image in IMAGES.astype(float):
        own, x = [], image
        for layer, width in enumerate(WIDTHS):
            kernel, padded = random_kernel(layer, x.shape[-1], width), np.pad(x, ((1, 1), (1, 1), (0, 0)))
            places = [(i, j) for i in range(0, x.shape[0], 2) for j in range(0, x.shape[1], 2)]
            y = np.array([np.tensordot(padded[i : i + 3, j : j + 3], kernel, 3) for i, j in places])
            y = np.where(y > 0, y, 0.2 * y)
            own += [y.mean(0), y.std(0)]
            x = y.reshape((x.shape[0] + 1) // 2, (x.shape[1] + 1) // 2, width)
        wanted.append(np.concatenate(own))
    found = feature_network('random_conv')(IMAGES)
    assert found.shape == (5, 448) and found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=2e-6)


def test_images_go_through_in_batches_of_one_size():
    # Fails if the last batch is compiled anew, its filling is returned, an image is lost, or bytes are not scaled.
    traced = []

    def apply(images):
        traced.append(images.shape)
        return images.sum((1, 2))

    network = FeatureNetwork('sums', jax.tree_util.Partial(apply))
    pixels = np.random.default_rng(2).integers(0, 256, (7, 3, 3, 1), dtype=np.uint8)
    wanted = (pixels / 127.5 - 1).sum((1, 2))
    for given in (pixels, (pixels / 127.5 - 1)):
        for n in (7, 3, 1):
            np.testing.assert_allclose(network(given[:n], batch_size=3), wanted[:n], atol=1e-5)
    assert traced == [(3, 3, 3, 1)]
    with pytest.raises(ValueError, match='sums is no classifier'):
        network.classify(pixels)
    for wrong in (pixels[0], pixels[:0]):
        with pytest.raises(ValueError, match=r'need images \(N, H, W, C\), at least one'):
            network(wrong)
    with pytest.raises(ValueError, match='batch_size=0 must be at least 1'):
        network(pixels, batch_size=0)


def test_what_both_need_of_a_classifier_comes_at_once():
    network = FeatureNetwork('both', lambda x: x[:, 0, 0], lambda x: jax.nn.softmax(x[:, 1, 1]))
    features, probabilities = network.classify(IMAGES, batch_size=2)
    np.testing.assert_array_equal(features, IMAGES[:, 0, 0])
    exponentials = np.exp(IMAGES[:, 1, 1].astype(float))
    np.testing.assert_allclose(probabilities, exponentials / exponentials.sum(1, keepdims=True), rtol=1e-5)


def _save(path, tensors, header=None):
    safetensors.numpy.save_file(tensors, path, header)
    return path


def test_weights_of_unknown_origin_are_named_by_their_digest(tmp_path):
    # Fails if the digest depends on how the file lies, not on the tensors, or if their origin is believed unsaid.
    published = Published('', '')
    found, name = read_weights(_save(tmp_path / '1', TENSORS), SHAPES, published)
    np.testing.assert_array_equal(found['a.weight'], TENSORS['a.weight'])
    _, again = read_weights(_save(tmp_path / '2', dict(reversed(TENSORS.items())), {'x': 'y'}), SHAPES, published)
    changed = TENSORS | {'b': TENSORS['b'] + 1}
    _, other = read_weights(_save(tmp_path / '3', changed), SHAPES, published)
    assert name == again != other and name.startswith('(weights ') and len(name) == 18


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda t: t.pop('b'), r"has no tensor 'b' \(1 of 2 are missing\)"),
        (lambda t: t.update(c=t['b']), "has a tensor 'c' that the network has not"),
        (lambda t: t.update(b=t['b'][:3]), r"'b' must be \(4,\), not \(3,\)"),
        (lambda t: t.update(b=t['b'].astype(np.int32)), "'b' must be of floats, not int32"),
        (lambda t: t.update(b=t['b'] / 0 * 0), "'b' is not finite everywhere"),
    ],
)
@pytest.mark.filterwarnings('ignore:.*:RuntimeWarning')
def test_the_first_thing_that_differs_is_named(change, message, tmp_path):
    tensors = dict(TENSORS)
    change(tensors)
    with pytest.raises(ValueError, match=f'^{tmp_path}/w.+{message}') as caught:
        read_weights(_save(tmp_path / 'w', tensors), SHAPES, Published('', ''))
    assert '\n' not in str(caught.value)


def test_a_conversion_knows_where_it_came_from(tmp_path):
    # Fails if the plain name is given to other weights than the published, or to tensors changed since.
    torch = pytest.importorskip('torch')
    source, path = tmp_path / 'x.pth', tmp_path / 'x.safetensors'
    state = {name: torch.from_numpy(x) for name, x in TENSORS.items()} | {'n.num_batches_tracked': torch.tensor(3)}
    torch.save(state, source)
    convert(source, path)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()

    def read(path, sha256):
        return read_weights(path, SHAPES, Published('', sha256), ignored=lambda name: name.startswith('n.'))

    found, suffix = read(path, digest[:8])
    assert suffix == '' and found.keys() == SHAPES.keys()
    np.testing.assert_array_equal(found['b'], TENSORS['b'])
    assert read(path, '0' * 8)[1].startswith('(weights ')
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match='the tensors are not those that were converted'):
        read(path, digest)
    with pytest.raises(ValueError, match='is a file of PyTorch: convert it first'):
        read(source, digest)
    path.write_bytes(content[:-3])
    with pytest.raises(ValueError, match='is no whole safetensors file'):
        read(path, digest)
    torch.save([1, 2], source)
    with pytest.raises(ValueError, match='is no state dict of PyTorch, names and tensors'):
        convert(source, path)
    source.write_bytes(b'no archive')
    with pytest.raises(ValueError, match='is no state dict of PyTorch'):
        convert(source, path)
