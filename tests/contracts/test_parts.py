"""What every latent, density, dataset, augmentation, optimizer, initialiser, parametrization and metric must satisfy,
also those that are to come: shapes, types, ranges, and that the same keys give the same values."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from PIL import Image

from wgan_jax import data, metrics
from wgan_jax.constraints import CONSTRAINTS
from wgan_jax.data import DATASETS, tfds_images
from wgan_jax.data.augmentation import AUGMENTATION_PARTS, AUGMENTATIONS, augmentation
from wgan_jax.data.images import collect
from wgan_jax.data.synthetic import DENSITIES, draw, load
from wgan_jax.latents import LATENTS
from wgan_jax.networks import mlp
from wgan_jax.networks.mlp import INITIALISERS
from wgan_jax.networks.parametrization import PARAMETRIZATIONS
from wgan_jax.training.optimizers import OPTIMIZERS
from wgan_jax.training.settings import override
from wgan_jax.training.toy import TOY_PRESETS, build_toy

KEYS = jax.random.split(jax.random.key(0), 4000)


@pytest.mark.parametrize('name', LATENTS)
def test_latents_are_centred_of_unit_scale_and_independent(name):
    sample = jax.jit(jax.vmap(LATENTS[name](6)))
    z = sample(KEYS)
    assert z.shape == (4000, 6) and z.dtype == jnp.float32 and jnp.isfinite(z).all()
    np.testing.assert_array_equal(z, sample(KEYS))
    np.testing.assert_array_equal(z[7:8], sample(KEYS[7:8]))
    assert np.abs(np.mean(z, axis=0)).max() < 0.08  # five standard deviations
    correlation = np.corrcoef(np.asarray(z).T)
    assert np.abs(correlation - np.eye(6)).max() < 0.08
    assert 0.2 < float(jnp.mean(z**2)) < 2  # what the networks' first layers are scaled for


@pytest.mark.parametrize('name', DENSITIES)
def test_density_draws_what_it_describes(name):
    density = DENSITIES[name]()
    points = np.asarray(draw(density, jax.random.key(1), 4000), np.float64)
    assert points.shape == (4000, density.dim) and np.isfinite(points).all()
    assert 0.1 < np.abs(points).max() < 10  # about unit size
    assert jax.eval_shape(density.sample, jax.random.key(0)).dtype == jnp.float32
    np.testing.assert_array_equal(points, draw(load(name), jax.random.key(1), 4000))
    assert (density.modes is None) == (density.std is None)
    if density.modes is not None:
        squares = ((points[:, None] - density.modes) ** 2).sum(axis=-1)
        counts = np.bincount(squares.argmin(axis=1), minlength=len(density.modes))
        expected = 4000 / len(density.modes)
        assert np.abs(counts - expected).max() < 5 * math.sqrt(expected)
        np.testing.assert_allclose(squares.min(axis=1).mean() / density.dim, density.std**2, rtol=0.1)


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp('pictures')
    for i in range(3):
        Image.new('RGB', (9, 7), (40 * i, 0, 255)).save(folder / f'{i}.png')
    return {'folder': f'folder:{folder}'}  # what a dataset that takes an argument is named by


def _mnist(name, view, **options):
    digits = np.random.default_rng(view.height).integers(0, 256, (20, view.height, view.width, 1), np.uint8)
    return collect(digits)._replace(labels=np.arange(20, dtype=np.int32) % 10)


@pytest.mark.parametrize('name', DATASETS)
def test_dataset_has_the_asked_size_and_says_what_it_holds(name, pictures, monkeypatch):
    if name in data.OF_TFDS:
        monkeypatch.setattr(tfds_images, 'load', _mnist)
    given = pictures.get(name, name)
    images = data.load(given, 10, 14)
    assert images.pixels.dtype == np.uint8 and images.pixels.shape[1:3] == (10, 14) and images.pixels.size
    assert images.pixels.shape[3] in (1, 3) and len(images.names) in (0, len(images.pixels))
    assert images.fingerprint == collect(images.pixels).fingerprint == data.load(given, 10, 14).fingerprint
    assert data.load(given, 14, 10).fingerprint != images.fingerprint


@pytest.mark.parametrize('name', AUGMENTATIONS)
def test_an_augmentation_is_pure_finite_and_of_one_type(name):
    _check_augmentation(name)


@pytest.mark.parametrize('form', ['', 'diff:'])
@pytest.mark.parametrize('part', AUGMENTATION_PARTS)
def test_a_part_of_augmentation_is_pure_finite_and_of_one_type(part, form):
    _check_augmentation(f'{form}{part}')


def _check_augmentation(name):
    images = jnp.tanh(2 * jax.random.normal(jax.random.key(2), (6, 8, 12, 3)))
    both = augmentation(name)
    for side, function in both._asdict().items():
        if function is None or (side == 'real' and function is both.fake):
            continue
        augment = jax.jit(function)
        out = augment(KEYS[:6], images)
        assert out.shape == images.shape and out.dtype == images.dtype and jnp.isfinite(out).all()
        np.testing.assert_array_equal(out, augment(KEYS[:6], images))
        np.testing.assert_allclose(augment(KEYS[2:3], images[2:3])[0], out[2], atol=1e-6)  # of its key alone
        assert jnp.abs(augment(KEYS[6:12], images) - out).max() > 0.01
        # The generator learns through the fake side, also where an MLP's pixels lie far outside [-1, 1]: nothing may
        # be cut off there. Real pixels lie inside.
        for centre in (-3.0, 3.0) if side == 'fake' else (-0.7, 0.7):
            gradient = jax.grad(lambda x, augment=augment: jnp.sum(augment(KEYS[:6], x)))(0.2 * images + centre)
            assert jnp.isfinite(gradient).all() and bool(jnp.any(gradient != 0, axis=(1, 2, 3)).all()), side
    if both.fake is None and both.real is not None:
        # Real images alone are varied: what comes out is what samples will look like, so pictures must stay pictures.
        extremes = jnp.tile(jnp.sign(images), (20, 1, 1, 1))
        assert float(jnp.abs(both.real(KEYS[:120], extremes)).max()) <= 1


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_every_step_of_an_optimizer_lowers_a_quadratic(name):
    scales = jnp.array([1.0, 10.0, 100.0])

    def loss(x):
        return jnp.sum(scales * x**2) / 2

    optimizer = OPTIMIZERS[name](0.5, 0.9)(1e-3)
    x = jnp.array([1.0, -1.0, 0.5])
    state, losses = optimizer.init(x), [float(loss(x))]
    for _ in range(20):
        updates, state = optimizer.update(jax.grad(loss)(x), state, x)
        assert updates.dtype == x.dtype and bool((jnp.sign(updates) == -jnp.sign(x)).all())
        x = optax.apply_updates(x, updates)
        losses.append(float(loss(x)))
    assert (np.diff(losses) < 0).all(), losses
    # Weights on which nothing depends stay, and a rate that is traced does as one that is not.
    still, _ = optimizer.update(jnp.zeros(3), optimizer.init(x), x)
    np.testing.assert_array_equal(still, 0)

    def first(rate):
        transform = OPTIMIZERS[name](0.5, 0.9)(rate)
        return transform.update(jnp.ones(3), transform.init(x), x)[0]

    np.testing.assert_allclose(jax.jit(first)(1e-3), first(1e-3), rtol=1e-6)


@pytest.mark.parametrize('name', INITIALISERS)
def test_weights_begin_centred_and_keep_the_scale_in_proportion_to_the_inputs(name):
    draws = [np.asarray(INITIALISERS[name](jax.random.key(3), (size, 500))) for size in (50, 200)]
    for size, kernel in zip((50, 200), draws, strict=True):
        assert kernel.shape == (size, 500) and kernel.dtype == np.float32
        assert abs(kernel.mean()) < 5 * kernel.std() / math.sqrt(kernel.size)
        np.testing.assert_array_equal(kernel, INITIALISERS[name](jax.random.key(3), (size, 500)))
    # Variance as 1 / inputs, at most He et al.'s 2 / inputs: no layer makes its input grow.
    variances = [size * kernel.var() for size, kernel in zip((50, 200), draws, strict=True)]
    np.testing.assert_allclose(*variances, rtol=0.03)
    assert 0.1 < variances[1] < 2.05


@pytest.mark.parametrize('name', PARAMETRIZATIONS)
def test_no_parameters_make_a_parametrized_critic_steep(name):
    network = mlp.critic((8,), width=8, depth=2, init='he', parametrization=name)
    variables = network.init(jax.random.key(4))
    steep = jax.tree.map(lambda leaf: 100 * leaf, variables.params)

    @jax.jit
    def slopes(params, x):
        def score(one):
            return network.apply(variables._replace(params=params), one[None], train=False)[0][0]

        return jnp.linalg.norm(jax.vmap(jax.grad(score))(x), axis=1)

    x = 3 * jax.random.normal(jax.random.key(5), (200, 8))
    found = [slopes(params, x) for params in (variables.params, steep)]
    for own in found:
        assert 0.01 < float(own.max()) < 1.001
    assert name in {constraint.parametrization for constraint in CONSTRAINTS.values()}


@pytest.mark.parametrize('name', TOY_PRESETS)
def test_toy_preset_builds_on_every_dimension(name):
    settings = override(TOY_PRESETS[name], {})
    assert settings == TOY_PRESETS[name] and settings.dataset in DENSITIES
    for dim in (1, 3):
        density = load('two_gaussians_1d')._replace(dim=dim)
        gan, _ = build_toy(settings, density)
        made = jax.eval_shape(gan.networks.generator.init, jax.random.key(0))
        z = jax.ShapeDtypeStruct((4, settings.latent_dim), jnp.float32)
        points, _ = jax.eval_shape(lambda v, z, gan=gan: gan.networks.generator.apply(v, z, train=False), made, z)
        assert points.shape == (4, dim)


# How each metric is called on two sets of points, or on two sets of images; classes are what they return.
METRICS = {
    'mode_coverage': lambda x, y: metrics.mode_coverage(x, y[:3], 1.0),
    'class_coverage': lambda x, y: metrics.class_coverage(np.argmax(x, axis=1), 5),
    'missing_classes': lambda x, y: metrics.missing_classes(
        *(np.bincount(np.argmax(of, axis=1), minlength=x.shape[1]) for of in (x, y))
    ),
    'inception_score': lambda x, y: metrics.inception_score(x**2 / (x**2).sum(1, keepdims=True)),
    'inception_scores': lambda x, y: metrics.inception_scores(x**2 / (x**2).sum(1, keepdims=True), 4),
    'frechet_of_moments': lambda x, y: metrics.frechet_of_moments(metrics.Moments.of(x), metrics.Moments.of(y)),
    'different_bins': lambda x, y: metrics.different_bins(x, y, bins=4),
    'memorisation': lambda x, y: metrics.memorisation(x[:20], y, x[20:]),
    **{name: lambda x, y, name=name: getattr(metrics, name)(x, y, 3)
       for name in ('precision_recall', 'density_coverage', 'neighbour_scores')},
    **{name: lambda x, y, name=name: getattr(metrics, name)(x, y)
       for name in ('frechet_distance', 'kernel_distance', 'kernel_distance_and_error', 'maximum_mean_discrepancy',
                    'nearest_neighbour_accuracy', 'nearest_neighbours', 'support_size')},
}  # fmt: skip
OF_IMAGES = {
    'ms_ssim': lambda x, y: metrics.ms_ssim(x, y),
    'pairwise_ms_ssim': lambda x, y: metrics.pairwise_ms_ssim(x, jax.random.key(0), pairs=4),
    'nearest_distances': lambda x, y: metrics.nearest_distances(x),
    **{name: lambda x, y, name=name: getattr(metrics, name)(x, y, jax.random.key(0))
       for name in ('patch_distance', 'laplacian_patch_distance')},
}  # fmt: skip


@pytest.mark.parametrize('name', metrics.__all__)
def test_metric_is_finite_and_repeats_itself(name):
    # Fails for a metric that draws by the clock, or changes what it is given.
    if isinstance(getattr(metrics, name), type):
        draw_points = np.random.default_rng(3).normal(size=(2, 40, 5))
        returned = {type(call(*draw_points)) for call in METRICS.values()} | {type(metrics.Moments.of(draw_points[0]))}
        assert getattr(metrics, name) in returned
        return
    shape, calls = ((2, 40, 5), METRICS) if name in METRICS else ((2, 6, 11, 11, 1), OF_IMAGES)
    x, y = np.random.default_rng(3).normal(size=shape).clip(-1, 1).astype(np.float32)
    before = x.copy(), y.copy()
    once, again = calls[name](x, y), calls[name](x, y)
    for a, b in zip(jax.tree.leaves(once), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.isfinite(np.asarray(a)).all() or name == 'support_size'  # of points that are all unlike each other
    np.testing.assert_array_equal(np.stack([x, y]), np.stack(before))


def test_mode_coverage_is_blind_to_order_and_scale():
    density = DENSITIES['ring']()
    samples = draw(density, jax.random.key(6), 500)
    mixed = jax.random.permutation(jax.random.key(7), samples)
    plain, permuted, enlarged = (
        metrics.mode_coverage(own, size * density.modes, size * density.std)
        for own, size in ((samples, 1.0), (mixed, 1.0), (1024 * samples, 1024.0))
    )
    for own in (permuted, enlarged):
        for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(own), strict=True):
            assert jnp.isfinite(a).all()
            np.testing.assert_allclose(a, b, rtol=1e-6)
