"""All scores at once: each is that of its own function, and faults are called by their names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from wgan_jax import data, metrics
from wgan_jax.data.images import to_float
from wgan_jax.metrics.copies import find_copies
from wgan_jax.metrics.features import FeatureNetwork, feature_network
from wgan_jax.metrics.scorecard import SCORES, Scorecard, Seen, look, score_names
from wgan_jax.metrics.verdicts import Verdict, verdicts

NETWORKS = [feature_network('pixels')]


@pytest.fixture(scope='module')
def flags():
    """Flags in an order of chance, 6x9 pixels, too few for a patch: for training, for comparison, held out."""
    images = np.asarray(to_float(data.load('flags', 6, 9).pixels))
    mixed = images[np.random.default_rng(0).permutation(len(images))]
    return mixed[:96], mixed[96:192], mixed[192:]


def seen(*batches):
    return look(batches, NETWORKS)


def fault_names(flags, samples):
    """The faults of samples of a generator that was trained on the first flags."""
    train, other, held_out = flags
    real, fake = seen(train), seen(samples)
    scores = Scorecard(real)
    test = find_copies(fake.features['pixels'], real.features['pixels'], seen(held_out).features['pixels'])
    return [fault.name for fault in verdicts(scores(fake), scores(seen(other)), test, len(samples))]


def test_scores_are_those_of_the_functions(flags):
    # Fails if arguments change places (precision for recall), or a score gets another one's name.
    train, other, _ = flags
    real, fake = seen(train[:50], train[50:]), seen(other[:70])  # in batches of any size
    x, y = (of.features['pixels'] for of in (real, fake))
    np.testing.assert_array_equal(x, train.reshape(96, -1))  # small images are their own pixels
    found = Scorecard(real, k=3)(fake)
    assert (found['pixels/precision'], found['pixels/recall']) == metrics.precision_recall(x, y, 3)
    assert (found['pixels/density'], found['pixels/coverage']) == metrics.density_coverage(x, y, 3)
    assert found['pixels/frechet_distance'] == metrics.frechet_distance(x, y)
    assert found['pixels/kernel_distance'] == metrics.kernel_distance(x, y)
    assert found['pixels/support_size'] == metrics.support_size(x, y).low
    near = np.asarray(metrics.nearest_distances(other[:70]))
    typical = np.asarray(metrics.nearest_distances(train))
    typical = np.median(typical[typical > 0])
    np.testing.assert_allclose(found['duplicates'], (near <= typical / 2).mean(), atol=1e-9)
    np.testing.assert_allclose(found['diversity'], np.median(near) / typical, rtol=1e-4)
    assert {*found} == {*score_names(NETWORKS, 96, 6, 9)} - {'copies', 'memorisation'}
    assert {name.rpartition('/')[2] for name in found} <= {*SCORES}


def test_only_inception_has_a_fid_and_a_classifier_has_classes(flags):
    # Fails if the number of any network is called FID, or the classes of the samples are compared with themselves.
    def probabilities(x):
        light = (x.mean((1, 2, 3)) > 0).astype(jnp.float32)
        return jnp.stack([light, 1 - light], axis=1)

    networks = [
        FeatureNetwork(name, lambda x: x[:, :2, :2].reshape(len(x), -1), probabilities)
        for name in ('inception_v3', 'inception_v3(unknown weights)')
    ]
    train, other, _ = flags
    real, fake = look([train], networks), look([np.full_like(other, 0.5)], networks)
    found = Scorecard(real)(fake)
    assert found['FID'] == found['inception_v3(unknown weights)/frechet_distance'] > 0
    assert 'inception_v3/frechet_distance' not in found and 'duplicates' not in found
    share = ((train.mean((1, 2, 3)) > 0).sum() + 1) / (96 + 2)  # all samples are light: KL is -log of their share
    np.testing.assert_allclose(found['inception_v3/class_kl'], -np.log(share), rtol=1e-6)
    assert found['inception_score'] == pytest.approx(1)
    assert {*found} == {*score_names(networks, 96, 6, 9)} - {'copies', 'memorisation'}


def test_faults_are_called_by_their_names(flags):
    # Fails if a fault is missed, or called another: each kind of samples has one that the others have not.
    train, other, _ = flags
    draw = np.random.default_rng(1)
    noise = draw.normal(0, 0.02, train.shape).astype(np.float32)
    assert fault_names(flags, other) == []
    collapsed = fault_names(flags, other[:3][draw.integers(0, 3, 96)] + noise)
    assert 'collapsed' in collapsed and 'narrow' in collapsed and 'memorised' not in collapsed
    memorised = fault_names(flags, train + noise)
    assert memorised == ['memorised']
    unlike = fault_names(flags, np.clip(draw.normal(0, 1, train.shape), -1, 1).astype(np.float32))
    assert 'unlike' in unlike and 'memorised' not in unlike and 'collapsed' not in unlike


def test_without_held_out_images_copies_are_still_found(flags):
    # Fails if training images are compared with themselves: all of them would be copies.
    train, other, _ = flags
    x = train.reshape(len(train), -1)
    fair, copied = (find_copies(of.reshape(len(of), -1), x, None) for of in (other, train))
    assert copied.copies == 1 and not copied.held_out and fair.copies < 0.3 and fair.of_data < 0.3
    assert [fault.name for fault in verdicts({}, {}, copied, 96)] == ['memorised'] and verdicts({}, {}, fair, 96) == []
    assert copied.test.distances.max() == 0 and (copied.test.nearest == np.arange(96)).mean() > 0.9


def _of(kind, train, fresh, draw, num=400):
    """Samples of a generator that knows 24 flags, pixels (num, d), or of one that does not."""
    picks, size = train[draw.integers(0, len(train), num)], (num, train.shape[1])
    return {
        'copies, softened': lambda: _soft(picks, 1.0),
        'copies, noisy': lambda: picks + 0.5 * train.std() * draw.normal(size=size),
        'their mean': lambda: train.mean(axis=0) + 0.1 * draw.normal(size=size),
        'one colour each': lambda: np.repeat(draw.uniform(-1, 1, (num, 1, 3)), size[1] // 3, axis=1).reshape(size),
        'grey noise': lambda: 0.3 * draw.normal(size=size),
        'other flags, blurred': lambda: _soft(fresh[draw.integers(0, len(fresh), num)], 3.0),
    }[kind]()


def _soft(pixels, sigma):
    return gaussian_filter(pixels.reshape(-1, 16, 24, 3), (0, sigma, sigma, 0)).reshape(pixels.shape)


@pytest.mark.parametrize('held', [0, 40])
@pytest.mark.parametrize('kind, known', [
    ('copies, softened', True), ('copies, noisy', True), ('their mean', False), ('one colour each', False),
    ('grey noise', False), ('other flags, blurred', False),
])  # fmt: skip
def test_what_a_few_images_were_learnt_as_is_memorised_and_garbage_is_not(kind, known, held):
    # Fails if distances to the training set alone decide (the mean of all images is nearer to each than they are to one
    # another), if a thousand samples with one nearest image count as a thousand, or if few images are never judged.
    flags = np.asarray(to_float(data.load('flags', 16, 24).pixels), float).reshape(256, -1)
    called = 0
    for seed in range(5):
        draw = np.random.default_rng(seed)
        mixed = draw.permutation(flags)
        train, held_out, fresh = mixed[:24], mixed[24 : 24 + held] if held else None, mixed[24 + held :]
        found = find_copies(_of(kind, train, fresh, draw), train, held_out)
        assert found.held_out == bool(held)
        called += bool(verdicts({}, {}, found, 400))
    assert called >= 4 if known else called == 0


def test_twins_in_the_training_set_do_not_hide_what_was_learnt_by_heart():
    # Fails if the second nearest training image, which is a twin of the nearest, says how near others are.
    draw = np.random.default_rng(1)
    once, held_out = draw.normal(size=(24, 60)), draw.normal(size=(40, 60))
    rough = once[draw.integers(0, 24, 300)] + 0.7 * draw.normal(size=(300, 60))
    for twin in (once, once + 0.05 * draw.normal(size=once.shape)):
        assert verdicts({}, {}, find_copies(rough, np.concatenate([once, twin]), held_out), 300)
    two = find_copies(rough, once[:2], None)
    assert two.singled_out == (0.5, 1.0) and verdicts({}, {}, two, 300) == []


def test_samples_that_everybody_tells_from_data_are_unlike_them():
    # Fails if garbage of some variety is called narrow alone, or if data that are told from each other count.
    def names(*values):
        scores = {f'{name}/nearest_neighbour_accuracy': value for name, value in zip('ab', values, strict=True)}
        return [fault.name for fault in verdicts(scores, dict.fromkeys(scores, 0.55), None, 100)]

    assert names(0.98, 0.95) == ['unlike'] and names(0.98, 0.8) == [] and names(0.2, 0.3) == []
    both = {'a/nearest_neighbour_accuracy': 0.98, 'a/precision': 0.0}
    (fault,) = verdicts(both, {'a/nearest_neighbour_accuracy': 0.5, 'a/precision': 0.9}, None, 100)
    assert fault.name == 'unlike' and '98% by a; many samples lie off the data: a/precision 0.00 of 0.90' in fault.why
    one = {'a/nearest_neighbour_accuracy': 0.98}
    assert verdicts(one, {'a/nearest_neighbour_accuracy': 0.8}, None, 100) == []


def test_a_class_that_is_all_but_missing_is_a_fault():
    # Fails if the classes of one set are taken for the other's, or few samples of a rare class raise an alarm.
    def classes(x):
        return jax.nn.one_hot((x[:, 0, 0, 0] * 10).round().astype(int), 3)

    network = FeatureNetwork('c', lambda x: x.reshape(len(x), -1), classes)
    draw = np.random.default_rng(3)

    def images(counts):
        x = draw.normal(0, 0.1, (sum(counts), 2, 2, 1)).astype(np.float32)
        x[:, 0, 0, 0] = np.repeat([0, 0.1, 0.2], counts)
        return look([x], [network])

    scores = Scorecard(images((180, 119, 1)))
    scale, fair, missing = (scores(images(counts)) for counts in ((175, 124, 1), (160, 140, 0), (299, 0, 1)))
    assert (scale['c/rarest_class'], fair['c/rarest_class'], missing['c/rarest_class']) == (1 / 300, 0, 0)
    assert (scale['c/classes'], missing['c/classes'], missing['c/missing_classes']) == (3, 2, 1)
    assert verdicts(fair, scale, None, 300) == []
    (fault,) = (fault for fault in verdicts(missing, scale, None, 300) if 'classes' in fault.why)
    assert fault == ('narrow', 'samples are of some classes less than half as often as the data: 1 by c')


def test_healthy_samples_are_not_called_faulty_by_chance(flags):
    # Fails for thresholds that do not know how many images there are: a pair among twelve is 17 %.
    train, other, held_out = (of.reshape(len(of), -1) for of in flags)
    draw, alarms = np.random.default_rng(2), 0
    for trial in range(60):
        few, known = draw.permutation(other)[:60], draw.permutation(held_out)[: (1, 5, 25)[trial % 3]]
        alarms += len(verdicts({}, {}, find_copies(few, train, known), 60))
        shares = [(metrics.nearest_neighbours(of[:12]).distances < 1.0).mean() for of in (few, draw.permutation(train))]
        alarms += len(verdicts({'duplicates': shares[0]}, {'duplicates': shares[1]}, None, 12))
    assert alarms <= 2


def test_two_sets_of_samples_are_measured_by_one_ruler():
    # Fails for a bandwidth that is that of the samples, too: the farther away they are, the wider it would be.
    draw = np.random.default_rng(0)
    real = draw.normal(size=(200, 16)).astype(np.float32)
    images = np.zeros((1, 6, 9, 3), np.float32)
    scores = Scorecard(Seen(images, {'mine': real}, {}))
    near, far = (scores(Seen(images, {'mine': real + shift}, {})) for shift in (3, 100))
    assert near['mine/maximum_mean_discrepancy'] < far['mine/maximum_mean_discrepancy'] <= 2


def test_a_scale_of_nothing_is_no_fault():
    # Fails if shares are divided by those of the data.
    assert verdicts({'duplicates': 0.04}, {'duplicates': 0.0}, None, 100) == []
    (fault,) = verdicts({'duplicates': 0.5}, {'duplicates': 0.0}, None, 100)
    assert isinstance(fault, Verdict) and fault.name == 'collapsed' and '50% of the samples' in fault.why


def test_refusals():
    with pytest.raises(ValueError, match='there are no images'):
        look([], NETWORKS)
