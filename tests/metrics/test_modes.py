"""Mode coverage against what can be counted by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.data import synthetic
from wgan_jax.metrics import mode_coverage

MODES = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]], np.float32)


def test_counted_by_hand():
    samples = np.array([[0, 0.2], [0.2, 0], [0, 0.31], [9.8, 0], [0, 9], [6, 0]], np.float32)
    found = mode_coverage(samples, MODES, 0.1)
    # The third, fifth and sixth are too far off; all six have a nearest mode: three, two, one and none.
    assert found.captured == 2 and found.high_quality == pytest.approx(0.5)
    np.testing.assert_array_equal(found.counts, [2, 1, 0, 0])
    p = np.array([3, 2, 1]) / 6
    assert found.reverse_kl == pytest.approx(np.sum(p * np.log(p * 4)), rel=1e-5)


@pytest.mark.parametrize(('distance', 'good'), [(2.999, 1.0), (3.001, 0.0)])
def test_the_bound_is_three_standard_deviations_of_distance_not_of_coordinates(distance, good):
    angle = 0.7
    sample = 0.1 * distance * np.array([[np.cos(angle), np.sin(angle)]], np.float32)
    assert mode_coverage(sample, MODES, 0.1).high_quality == good


def test_one_mode_and_all_modes():
    assert mode_coverage(MODES[:1].repeat(50, 0), MODES, 0.1).reverse_kl == pytest.approx(np.log(4), rel=1e-6)
    even = mode_coverage(MODES.repeat(50, 0), MODES, 0.1)
    assert even.captured == 4 and even.high_quality == 1 and even.reverse_kl == pytest.approx(0, abs=1e-6)


def test_a_perfect_sampler_scores_as_computed():
    for density in (synthetic.ring(), synthetic.grid()):
        found = mode_coverage(synthetic.draw(density, jax.random.key(3), 20_000), density.modes, density.std)
        assert found.captured == len(density.modes)
        assert float(found.high_quality) == pytest.approx(0.98889, abs=4 * np.sqrt(0.989 * 0.011 / 20_000))
        # 2 n KL is about chi-square with M - 1 degrees of freedom.
        assert 0 < found.reverse_kl < 3 * (len(density.modes) - 1) / (2 * 20_000)


def test_samples_that_are_not_finite_are_of_low_quality_and_capture_nothing():
    samples = np.array([[np.nan, 0], [np.inf, 0], [10, 10], [-np.inf, np.inf]], np.float32)
    found = mode_coverage(samples, MODES, 0.1)
    assert found.captured == 1 and found.high_quality == 0.25 and found.reverse_kl == pytest.approx(np.log(4), rel=1e-6)
    nothing = mode_coverage(samples[:2], MODES, 0.1)
    assert nothing.captured == 0 and nothing.high_quality == 0
    assert nothing.reverse_kl == pytest.approx(np.log(4), rel=1e-6)  # the worst value, where 0 is the best


def test_a_broken_sample_never_makes_the_reverse_kl_better():
    # Spread as 3, 1, 1, 1, a seventh sample without a mode counts like one more at the fullest: 4, 1, 1, 1 of 7. Fails
    # if it is left out of the histogram, so that a generator scores better the more of its samples are NaN.
    samples = np.concatenate([MODES, MODES[:1], MODES[:1], [[np.nan, np.nan]]]).astype(np.float32)
    p = np.array([4, 1, 1, 1]) / 7
    assert mode_coverage(samples, MODES, 0.1).reverse_kl == pytest.approx(np.sum(p * np.log(4 * p)), rel=1e-5)
    for place in range(4):
        other = samples.copy()
        other[-1] = MODES[place]
        assert mode_coverage(other, MODES, 0.1).reverse_kl <= mode_coverage(samples, MODES, 0.1).reverse_kl + 1e-6


def test_many_batches_at_once():
    samples = 5 * jax.random.normal(jax.random.key(0), (3, 40, 2))
    together = jax.jit(jax.vmap(lambda x: mode_coverage(x, MODES, jnp.float32(1.5))))(samples)
    for i, own in enumerate(samples):
        for a, b in zip(together, mode_coverage(own, MODES, 1.5), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-6)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r'samples \(5,\) and modes \(4, 2\)'):
        mode_coverage(np.zeros(5), MODES, 0.1)
    with pytest.raises(ValueError, match='one d'):
        mode_coverage(np.zeros((5, 3)), MODES, 0.1)
    with pytest.raises(ValueError, match='there must be samples'):
        mode_coverage(np.zeros((0, 2)), MODES, 0.1)


@pytest.mark.parametrize('scale', [1e-22, 1.0, 1e20])
def test_any_unit_will_do(scale):
    # Fails where squares overflow or vanish: samples at their modes would be lost, or a far one called good.
    modes = scale * np.array([[1.0, 0.0], [-1.0, 0.0]])
    seen = mode_coverage(np.repeat(modes, 5, axis=0), modes, scale / 100)
    assert (int(seen.captured), float(seen.high_quality), float(seen.reverse_kl)) == (2, 1, 0)
    assert float(mode_coverage(modes[:1] + scale, modes, scale / 100).high_quality) == 0


def test_far_samples_go_to_their_nearest_mode():
    # In standard deviations their squares overflow; to the mode of most samples they would go as not finite.
    modes = np.array([[1e15, 0.0], [-1e15, 0.0]])
    samples = np.array([[1e18, 0.0], [1e18, 0.0], [-1e20, 0.0], [-1e15, 0.0]])
    seen = mode_coverage(samples, modes, 0.001)
    assert (int(seen.captured), float(seen.high_quality), float(seen.reverse_kl)) == (1, 0.25, 0)


@pytest.mark.parametrize('wrong', [0.0, -0.1, np.nan, np.inf])
def test_no_width_is_refused(wrong):
    for name, arguments in (('std', (wrong,)), ('radius', (0.1,))):
        options = {'radius': wrong} if name == 'radius' else {}
        with pytest.raises(ValueError, match=f'{name}=.* must be positive and finite'):
            mode_coverage(MODES, MODES, *arguments, **options)
