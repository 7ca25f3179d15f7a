"""Losses against their formulas in float64, at ordinary and at extreme scores."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_expit

from wgan_jax.objectives import LOGIT_OBJECTIVES, OBJECTIVES, label_smoothed, wasserstein_estimate

REAL = np.array([-1.5, 0.0, 0.3, 2.0])
FAKE = np.array([1.2, -0.4, -3.0, 0.9])

# (critic loss, generator loss) of the papers, written with probabilities where they are.
FORMULAS = {
    'wasserstein': (lambda r, f: f.mean() - r.mean(), lambda f: -f.mean()),
    'minimax': (lambda r, f: -log_expit(r).mean() - np.log(1 - expit(f)).mean(), lambda f: np.log(1 - expit(f)).mean()),
    'non_saturating': (lambda r, f: -log_expit(r).mean() - np.log(1 - expit(f)).mean(), lambda f: -log_expit(f).mean()),
    'hinge': (lambda r, f: np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean(), lambda f: -f.mean()),
    'least_squares': (lambda r, f: ((r - 1) ** 2 + f**2).mean() / 2, lambda f: ((f - 1) ** 2).mean() / 2),
    'relativistic': (lambda r, f: -np.log(expit(r - f)).mean(), lambda f, r: -np.log(expit(f - r)).mean()),
}


@pytest.mark.parametrize('name', OBJECTIVES)
def test_losses_equal_their_formulas(name):
    critic, generator = FORMULAS[name]
    objective = OBJECTIVES[name]
    np.testing.assert_allclose(objective.critic_loss(jnp.array(REAL), jnp.array(FAKE)), critic(REAL, FAKE), rtol=2e-6)
    needed = (FAKE, REAL) if objective.paired else (FAKE,)
    np.testing.assert_allclose(objective.generator_loss(*map(jnp.array, needed)), generator(*needed), rtol=2e-6)
    np.testing.assert_array_equal(  # a second argument that is not needed does nothing
        objective.generator_loss(jnp.array(FAKE), jnp.array(REAL)), objective.generator_loss(*map(jnp.array, needed))
    )


@pytest.mark.parametrize('name', OBJECTIVES)
def test_losses_and_gradients_are_finite_for_certain_critics(name):
    objective = OBJECTIVES[name]
    scores = jnp.array([-1e4, 1e4])
    values = jax.value_and_grad(objective.critic_loss, argnums=(0, 1))(scores, scores)
    values += jax.value_and_grad(objective.generator_loss)(scores, scores[::-1])
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(values))


@pytest.mark.parametrize('name', OBJECTIVES)
def test_critic_wants_real_high_and_fake_low_and_generator_wants_fake_high(name):
    # least_squares wants 1 and 0: at real 0.5 and fake 0.5 all agree on the direction.
    objective = OBJECTIVES[name]
    half = jnp.full(3, 0.5)
    real_slope, fake_slope = jax.grad(objective.critic_loss, argnums=(0, 1))(half, half)
    assert bool((real_slope < 0).all()) and bool((fake_slope > 0).all())
    assert bool((jax.grad(objective.generator_loss)(half, half) < 0).all())


def test_minimax_saturates_where_non_saturating_does_not():
    rejected = jnp.array([-20.0])  # the discriminator is sure that the sample is fake
    minimax = jax.grad(OBJECTIVES['minimax'].generator_loss)(rejected)
    other = jax.grad(OBJECTIVES['non_saturating'].generator_loss)(rejected)
    np.testing.assert_allclose(minimax, -expit(-20.0), rtol=1e-5)
    np.testing.assert_allclose(other, -expit(20.0), rtol=1e-6)


def test_pairs_are_compared_one_by_one_and_only_by_their_difference():
    # Fails for means that are compared (relativistic average), or for a loss of the scores themselves.
    objective = OBJECTIVES['relativistic']
    real, fake = jnp.array(REAL), jnp.array(FAKE)
    for loss, pair in ((objective.critic_loss, (real, fake)), (objective.generator_loss, (fake, real))):
        np.testing.assert_allclose(loss(pair[0] + 100, pair[1] + 100), loss(*pair), rtol=1e-4)
        assert abs(float(loss(pair[0], pair[1][::-1]) - loss(*pair))) > 0.05
    np.testing.assert_allclose(objective.critic_loss(fake, real), objective.generator_loss(fake, real), rtol=1e-6)
    with pytest.raises(ValueError, match='pass real_scores'):
        objective.generator_loss(fake)


def test_undecided_discriminator_loses_log_four():
    zeros = jnp.zeros(7)
    np.testing.assert_allclose(OBJECTIVES['minimax'].critic_loss(zeros, zeros), np.log(4), rtol=1e-6)


def test_wasserstein_estimate_is_real_minus_fake():
    np.testing.assert_allclose(wasserstein_estimate(jnp.array([3.0, 5.0]), jnp.array([1.0, 2.0])), 2.5)


@pytest.mark.parametrize('name', LOGIT_OBJECTIVES)
def test_one_sided_smoothing_moves_the_target_of_the_real_alone(name):
    # Fails for two-sided smoothing, or when the generator's loss is smoothed.
    smoothed = label_smoothed(name, 0.1)
    d = expit(REAL)
    expected = -(0.9 * np.log(d) + 0.1 * np.log(1 - d)).mean() - np.log(1 - expit(FAKE)).mean()
    np.testing.assert_allclose(smoothed.critic_loss(jnp.array(REAL), jnp.array(FAKE)), expected, rtol=2e-6)
    assert smoothed.generator_loss is OBJECTIVES[name].generator_loss
    # Where p_r : p_g = 2 : 1, D* = 0.9 * 2/3: there the loss is stationary.
    p_r, p_g = 2 / 3, 1 / 3
    score = jnp.float32(np.log(0.6 / 0.4))
    slopes = jax.grad(smoothed.critic_loss, argnums=(0, 1))(score[None], score[None])
    np.testing.assert_allclose(p_r * slopes[0] + p_g * slopes[1], 0, atol=1e-7)


def test_smoothing_is_refused_where_scores_are_no_logits():
    with pytest.raises(ValueError, match='label smoothing is for minimax and non_saturating, not for hinge'):
        label_smoothed('hinge', 0.1)
    with pytest.raises(ValueError, match='must lie in'):
        label_smoothed('minimax', 1.0)
