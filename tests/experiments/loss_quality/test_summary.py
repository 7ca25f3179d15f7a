"""What loss_quality says of a run: correlations of what is sound, and none of what is not."""

import numpy as np
import pytest

from experiments.loss_quality.summary import CURVES, over_seeds, smooth, summary
from experiments.reproduce.checks import check
from experiments.reproduce.claims import CLAIMS


def _run(estimate, distance, **others):
    n = len(estimate)
    curves = dict.fromkeys(CURVES, np.asarray(distance, float)) | {'estimate': np.asarray(estimate, float), **others}
    return {'steps': 10 * (1 + np.arange(n)), **curves}


FALLING = np.linspace(1, 0.2, 40)


def test_a_sound_run_has_the_correlation_of_its_filtered_curves():
    row = summary(_run(100 * FALLING**2, FALLING), largest=135)
    assert row['spearman'] == pytest.approx(1) and row['reason'] is None and row['valid_points'] == 40
    assert (row['first_estimate'], row['last_patch_distance']) == pytest.approx(
        (100 * FALLING[1] ** 2, FALLING[-2]), rel=0.05
    )
    assert summary(_run(-FALLING, FALLING), largest=135)['spearman'] == pytest.approx(-1)


def test_each_pair_of_curves_has_its_own_correlation():
    # Fails if a pair is taken for another, or if one curve that stands still takes the others' correlations away.
    turned = _run(FALLING, FALLING, kernel_distance=-FALLING, generator_loss=1 - FALLING)
    row = summary(turned, largest=135)
    found = {name: row[name] for name in ('spearman', 'spearman_features', 'spearman_generator_loss')}
    assert found == pytest.approx({'spearman': 1, 'spearman_features': -1, 'spearman_generator_loss': -1})
    still = summary({**turned, 'kernel_distance': np.ones(40)}, largest=135)
    assert still['spearman'] == pytest.approx(1) and still['spearman_features'] is None and still['reason'] is None


def test_seeds_are_averaged_over_what_they_have():
    # Fails if a seed that blew up makes the others' mean, counts as zero, or is not spoken of.
    rows = [summary(_run(sign * FALLING, FALLING), largest=135) for sign in (1, -1)]
    rows.append(summary(_run(np.full(40, np.nan), FALLING), largest=135))
    whole = over_seeds(rows)
    assert whole['spearman'] == pytest.approx(0) and whole['spearman_std'] == pytest.approx(2**0.5)
    assert whole['reason'] == 'blown up by update 10 (1 of 3 seeds)' and whole['seeds'] == rows
    assert whole['valid_points'] == 0
    assert over_seeds(rows[:1])['spearman_std'] is None and over_seeds(rows[2:])['spearman'] is None


@pytest.mark.parametrize('bad', [np.nan, np.inf, -1e12, 1e4])
def test_a_run_that_blows_up_early_has_no_correlation_but_a_reason(bad):
    # Fails if finite nonsense counts (it falls together with the distance here), or if the numbers before are lost.
    estimate = np.where(np.arange(40) < 6, 50 * FALLING, bad * FALLING)
    row = summary(_run(estimate, FALLING), largest=135)
    assert row['spearman'] is None and row['reason'] == 'blown up by update 70' and row['valid_points'] == 6
    assert row['last_estimate'] == pytest.approx(50 * FALLING[4], rel=0.05)


def test_a_run_that_blows_up_late_is_correlated_up_to_there():
    estimate, distance = 50 * FALLING, FALLING.copy()
    estimate[30:], distance[30:] = -1e9 * np.arange(10), np.nan
    row = summary(_run(estimate, distance), largest=135)
    assert row['spearman'] == pytest.approx(1) and row['valid_points'] == 30 and 'update 310' in row['reason']


def test_a_run_broken_from_the_start_or_standing_still():
    row = summary(_run(np.full(40, np.nan), FALLING), largest=135)
    assert row['spearman'] is None and row['valid_points'] == 0 and row['first_estimate'] is None
    row = summary(_run(FALLING, np.ones(40)), largest=135)
    assert row['spearman'] is None and row['reason'] == 'the patch distance stands still'


def test_the_filter_never_sees_what_is_not_a_number():
    # A median over NaN depends on the order in which it sorts; that of the sound part is that part's own.
    values = np.array([3.0, 1.0, 2.0, 5.0, 4.0, 9.0, np.nan, 7.0])
    out = smooth(values, 6)
    np.testing.assert_array_equal(out[2:4], [3, 4])
    assert np.isfinite(out[:6]).all() and np.isnan(out[6:]).all() and np.isnan(smooth(values, 0)).all()


def test_a_claim_whose_number_has_no_value_is_not_measured():
    results = {'loss_quality': {name: {'spearman': None} for name in ('wgan_dcgan', 'wgan_mlp', 'gan_dcgan')}}
    rows = [row for row in check(CLAIMS, results) if row['launcher'] == 'loss_quality']
    assert len(rows) == 7
    claim = next(claim for claim in CLAIMS if claim.launcher == 'game')
    rows += check((claim._replace(measure=lambda r: 0.0 / r['still']),), {'game': {'still': 0.0}})
    assert all(row['measured'] is None and row['held'] is None for row in rows)


@pytest.mark.parametrize('broken', [float('nan'), None])
def test_the_largest_of_numbers_is_none_where_one_is_missing(broken):
    # Fails with Python's max, which passes over NaN unless it comes first: the others would speak for the failed one.
    def table(value):
        ratios = {'a': 0.5, 'b': value, 'c': 0.7}
        return {'lipschitz': {'table': {'constraints': {
            name: {'pair': {'estimate_over_upper_bound_over_w1': ratio}} for name, ratio in ratios.items()
        }}}}  # fmt: skip

    claims = [claim for claim in CLAIMS if claim.launcher == 'lipschitz' and 'never exceeds' in claim.text]
    assert len(claims) == 1
    (sound,) = check(claims, table(0.6))
    assert sound['measured'] == 0.7 and sound['held']
    (row,) = check(claims, table(broken))
    assert row['held'] is not True and row['measured'] in (None, 'nan')
