"""What a run says of its samples: by hand, on samples that are known, and in its metrics."""

import json
import zlib
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

import wgan_jax
from tests.training.runs import EVERY, IMAGES, metrics, tiny
from wgan_jax.data.augmentation import Augmentation
from wgan_jax.data.images import collect, hold_out, to_float
from wgan_jax.distances import wasserstein_exact
from wgan_jax.metrics.patches import patch_distance
from wgan_jax.training.callbacks import Callback
from wgan_jax.training.draws import Role, first_images, role_key
from wgan_jax.training.load import sample_images
from wgan_jax.training.watch import Watch, num_watched, watch_bytes
from wgan_jax.types import Network, Players

PIXELS = np.random.default_rng(1).integers(0, 256, (40, 16, 12, 3), np.uint8)
REAL = to_float(PIXELS)


# A critic whose score is its weight times the mean of an image.
CRITIC = Network(lambda key: None, lambda critic, x, train: (critic * x.mean((1, 2, 3)), None))


def real_of(pixels):
    return first_images(pixels, None, 0, len(pixels), batch_size=8)


def watch(pixels=PIXELS, real=None, fake=None, held_out=None):
    networks = Players(None, CRITIC)
    gan = SimpleNamespace(augmentation=Augmentation(real, fake), batch_size=8, networks=networks)
    looking = Watch(gan, collect(pixels)._replace(held_out=held_out), 0)
    return lambda samples: looking(samples, jnp.float32(3))


def test_samples_are_compared_with_images_of_their_own_classes():
    # Fails if scores of different classes are compared: a critic may lift each as it likes, and the loss is the same.
    labels = np.r_[np.zeros(30, np.int32), np.ones(10, np.int32)]
    critic = Network(
        lambda key: None,
        lambda critic, x, train, labels: (critic * x.mean((1, 2, 3)) + 1000.0 * labels, None),
        num_classes=2,
    )
    gan = SimpleNamespace(augmentation=Augmentation(None, None), batch_size=8, networks=Players(None, critic))
    held = {'held_out': PIXELS[:9], 'held_out_labels': np.ones(9, np.int32)}
    looking = Watch(gan, collect(PIXELS)._replace(labels=labels, classes=('a', 'b'), **held), 0)
    assert sorted(looking.labels) == sorted(labels) and (looking.held_out_labels == 1).all()
    dark, light = jnp.full_like(REAL, -0.5), jnp.full_like(REAL[:9], 0.5)
    looks = looking(dark, jnp.float32(3), light)
    assert looks.gap == pytest.approx(3 * float(REAL.mean() + 0.5), abs=1e-3)
    assert looks.held_out_gap == pytest.approx(3 * float(REAL[:9].mean() - 0.5), abs=1e-3)


def test_distances_of_a_conditional_run_are_within_classes():
    # Fails if a generator that has its classes exchanged is near to the data. One class is black, the other white.
    labels = np.r_[np.zeros(4, np.int32), np.ones(6, np.int32)]
    pixels = np.where(labels[:, None, None, None], 255, np.zeros((10, 4, 4, 3), np.uint8)).astype(np.uint8)
    critic = Network(lambda key: None, lambda critic, x, train, labels: (x.mean((1, 2, 3)), None), num_classes=2)
    gan = SimpleNamespace(augmentation=Augmentation(None, None), batch_size=8, networks=Players(None, critic))
    looking = Watch(gan, collect(pixels)._replace(labels=labels, classes=('a', 'b')), 0)
    exchanged = jnp.where(jnp.asarray(looking.labels)[:, None, None, None] == 0, 1.0, -1.0) * jnp.ones((1, 4, 4, 3))
    looks = looking(exchanged, jnp.float32(0))
    assert looks.w1 == pytest.approx(2 * 48**0.5, rel=1e-5) and looks.w1_of_data == pytest.approx(0, abs=1e-2)


def test_the_data_look_like_themselves_and_one_sample_like_itself():
    looks = watch()(REAL)
    assert (looks.duplicates, looks.diversity) == (0, pytest.approx(1, abs=1e-6)) and looks.patch_distance < 0.15
    collapsed = watch()(jnp.zeros_like(REAL) + REAL[0])
    assert (collapsed.duplicates, collapsed.diversity) == (1, 0) and collapsed.patch_distance > 0.2


def test_a_near_duplicate_is_nearer_than_half_of_what_is_usual():
    # Ten of the samples have a twin that differs by so much of the usual distance between neighbours.
    usual = float(np.median([np.sqrt(np.square(REAL - x).mean((1, 2, 3))[np.arange(40) != i].min())
                             for i, x in enumerate(REAL)]))  # fmt: skip
    for share, found in ((0.45, 0.5), (0.55, 0.0)):
        samples = REAL.at[10:20].set(REAL[:10] + share * usual)
        assert watch()(samples).duplicates == found


def test_what_only_real_images_undergo_is_what_the_generator_learns():
    def fade(keys, images):
        return images / 2

    assert watch(real=fade)(REAL).diversity == pytest.approx(2, rel=1e-5)
    assert watch(real=fade, fake=fade)(REAL).diversity == pytest.approx(1, rel=1e-5)


def test_gaps_are_between_mean_scores():
    held = PIXELS[:7] // 2
    looks = watch(PIXELS[7:], held_out=held)(REAL * 0 + 0.1)
    assert looks.gap == pytest.approx(3 * (float(REAL[7:].mean()) - 0.1), rel=1e-4)
    assert looks.held_out_gap == pytest.approx(3 * (float(to_float(held).mean()) - 0.1), rel=1e-4)
    assert watch()(REAL).held_out_gap is None and watch(held_out=PIXELS[:0])(REAL).held_out_gap is None


def test_the_distance_is_the_exact_one_of_as_many_points():
    # Against the project's own solver, of other arithmetic; a set is at 0 from itself in another order. Fails if what
    # all images have in common is left in: of these light ones it would take the digits in which they differ.
    light = (250 + PIXELS % 6).astype(np.uint8)
    real = to_float(light)
    samples = jnp.asarray(np.random.default_rng(2).uniform(0.96, 1, REAL.shape), jnp.float32)
    exact = wasserstein_exact(*(np.asarray(images, np.float64).reshape(40, -1) for images in (real, samples)))
    looking = watch(light)
    looks = looking(samples)
    assert looks.w1 == pytest.approx(exact, rel=1e-5)
    assert looking(jnp.concatenate([samples, samples])).w1 == looks.w1  # the first of more
    assert looking(real[::-1]).w1 < 1e-2 * exact
    bad = looking(samples.at[3].set(jnp.nan))
    assert bad.w1 is None and bad.w1_of_data == looks.w1_of_data
    halves = (np.asarray(half, np.float64).reshape(20, -1) for half in (real_of(light)[::2], real_of(light)[1::2]))
    assert looks.w1_of_data == pytest.approx(wasserstein_exact(*halves), rel=1e-5)
    assert watch(PIXELS[:1])(REAL).w1_of_data is None


def test_of_large_images_fewer_are_looked_at():
    assert [num_watched(side, side) for side in (4, 256, 300, 512, 4096)] == [256, 256, 186, 64, 64]
    # Two sets of samples in float32, of three channels, at the least.
    assert watch_bytes(64, 32) > 2 * 256 * 64 * 32 * 3 * 4


def test_what_cannot_be_told_is_none():
    assert watch(PIXELS[:1])(REAL)[:3] == (None, None, None)
    same = watch(np.repeat(PIXELS[:1], 5, axis=0))(REAL)
    assert same.duplicates is None and same.diversity is None
    small = watch(PIXELS[:, :6, :6])(REAL[:, :6, :6])
    assert small.patch_distance is None and small.diversity is not None


def test_twins_among_the_data_do_not_make_everything_alike():
    twins = watch(np.concatenate([PIXELS[:24], PIXELS[:16]]))(REAL)
    assert twins.duplicates == 0 and twins.diversity == pytest.approx(1, abs=0.05)


class _Order(Callback):
    def __init__(self):
        self.rows, self.seen = [], []

    def metrics(self, records):
        self.rows += records

    def sample(self, step, state, images):
        self.seen.append((step, self.rows[-1]['step'], len(images)))


def test_steps_with_samples_have_looks_and_a_line(tmp_path):
    order = _Order()
    every = {'checkpoint_every': 6, 'sample_every': 5, 'log_every': 4}
    wgan_jax.train(tiny(steps=13), tmp_path, dataset=IMAGES, callbacks=[order], **every)
    rows = metrics(tmp_path)
    assert [row['step'] for row in rows] == [4, 5, 8, 10, 12, 13]
    assert [row['step'] for row in rows if row['diversity'] is not None] == [5, 10, 13]
    assert all(row.keys() == rows[0].keys() for row in rows)
    assert [row['step'] for row in order.rows] == list(range(1, 14))
    assert order.seen == [(5, 5, 64), (10, 10, 64), (13, 13, 64)]  # the metrics of a step come before its samples
    final = json.loads((tmp_path / 'results.json').read_text())['final']
    assert final['diversity'] == rows[-1]['diversity'] and 'patch_distance' not in final
    assert {row['held_out_gap'] for row in rows} == {None} and {'gap', 'diversity'} <= set(final)


def test_images_held_out_are_looked_at_and_the_run_goes_on_as_it_was(tmp_path):
    # 20 images, of which these are held out by their content, whatever the order.
    images = [image for image in IMAGES if zlib.crc32(image.tobytes()) < 0.25 * 2**32]
    settings = tiny(held_out=0.25, steps=8)
    for name, dataset in (('a', IMAGES), ('b', IMAGES)):
        stop = (tmp_path / 'b' / 'checkpoints' / '4').exists
        wgan_jax.train(settings, tmp_path / name, dataset=dataset, should_stop=stop, **EVERY)
    wgan_jax.train(settings, tmp_path / 'b', dataset=IMAGES, **EVERY)
    assert metrics(tmp_path / 'a') == metrics(tmp_path / 'b')
    held = hold_out(collect(IMAGES), 0.25).held_out
    assert 2 < len(held) < 9 and np.array_equal(held, images)
    config = json.loads((tmp_path / 'a' / 'config.json').read_text())
    assert config['dataset'] == {'shape': [20, 6, 4, 3], 'fingerprint': collect(IMAGES).fingerprint}
    last = metrics(tmp_path / 'a')[-1]
    assert last['gap'] != last['held_out_gap'] and last['held_out_gap'] is not None


@pytest.mark.slow
def test_the_best_checkpoint_is_kept_and_the_run_goes_on_as_it_was(tmp_path, compiled_once):
    # Fails if the best is removed with the old ones or kept in place of the newest, if an evaluation changes the run,
    # or one that was cut off counts.
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8)
    settings = tiny(steps=16, image_size='8x8')
    every = {**EVERY, 'checkpoint_every': 50, 'evaluate_every': 2, 'keep_checkpoints': 1}
    for name in ('a', 'b'):
        stop = (tmp_path / 'b' / 'checkpoints' / '8').exists
        wgan_jax.train(settings, tmp_path / name, dataset=images, should_stop=stop, **every)
    wgan_jax.train(settings, tmp_path / 'b', dataset=images, **every)
    rows = metrics(tmp_path / 'a')
    assert rows == metrics(tmp_path / 'b')
    found = {row['step']: row['evaluation'] for row in rows if row['evaluation'] is not None}
    assert list(found) == list(range(2, 17, 2)) and all(row.keys() == rows[0].keys() for row in rows)
    best = min(found, key=found.get)
    for name in ('a', 'b'):
        steps = {int(path.name) for path in (tmp_path / name / 'checkpoints').iterdir()}
        assert steps == {best, 16} and json.loads((tmp_path / name / 'results.json').read_text())['best_step'] == best
    generator = wgan_jax.load(tmp_path / 'a', best)
    with_it = patch_distance(
        first_images(images, None, 0, 40, batch_size=settings.batch_size), sample_images(generator, 0, 40),
        role_key(0, Role.WATCH), patches=16, num_projections=256,
    )  # fmt: skip
    assert found[best] == pytest.approx(float(with_it), rel=1e-4)
    wgan_jax.train(tiny(steps=16, image_size='8x8'), tmp_path / 'plain', dataset=images, **EVERY)
    plain = metrics(tmp_path / 'plain')
    assert [row['critic_loss'] for row in plain] == [row['critic_loss'] for row in rows]
    assert {row['evaluation'] for row in plain} == {None}


def test_what_cannot_be_evaluated_is_said(tmp_path):
    with pytest.raises(ValueError, match='evaluate_every=0 must be at least 1'):
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, evaluate_every=0)
    small = np.zeros((20, 6, 8, 3), np.uint8)
    with pytest.raises(ValueError, match='compares patches of 7x7 pixels: images must be as large'):
        wgan_jax.train(tiny(image_size='6x8'), tmp_path, dataset=small, evaluate_every=2)
