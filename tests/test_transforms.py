"""Weight clipping: never outside the box, and never touching what is inside."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.conftest import OPTIMISED
from wgan_jax.transforms import clip_weights


def _step(limit, params, updates, mask=None):
    transform = clip_weights(limit, mask)
    changed, _ = transform.update(updates, transform.init(params), params)
    return changed, optax.apply_updates(params, changed)


@pytest.mark.parametrize('limit', [0.01, 0.003, 0.1, 1.0, 1 / 3])
@pytest.mark.parametrize('scale', [1e-4, 1.0, 30.0])
@pytest.mark.parametrize('jit', [False, True])
def test_no_weight_is_ever_outside_and_inner_updates_keep_their_bits(limit, scale, jit):
    rng = np.random.default_rng(0)
    params = (rng.normal(size=200_000) * 2 * limit).astype(np.float32)  # some start outside
    updates = (rng.normal(size=200_000) * scale * limit).astype(np.float32)
    step = jax.jit(_step, static_argnums=0, compiler_options=OPTIMISED) if jit else _step
    changed, landed = (np.asarray(x) for x in step(limit, params, updates))
    bound = np.float32(limit)
    assert np.abs(landed).max() <= bound
    inside = np.abs(params + updates) <= bound
    assert (changed[inside] == updates[inside]).all()
    # Weights that start far outside round coarsely on their way in.
    np.testing.assert_allclose(landed, np.clip(params + updates, -bound, bound), rtol=2e-6, atol=0)


def test_bound_holds_when_compiled_with_the_optimizer_that_makes_the_update():
    # A fused multiply-add would round the update differently where it is checked and where it is applied.
    transform = optax.chain(optax.rmsprop(1e-3, decay=0.99, eps_in_sqrt=False), clip_weights(0.01))

    @functools.partial(jax.jit, compiler_options=OPTIMISED)
    def steps(params, state, key):
        def body(i, carry):
            gradients = jax.random.normal(jax.random.fold_in(key, i), params.shape)
            updates, state = transform.update(gradients, carry[1], carry[0])
            params_ = optax.apply_updates(carry[0], updates)
            return params_, state, jnp.maximum(carry[2], jnp.abs(params_).max())

        return jax.lax.fori_loop(0, 20, body, (params, state, 0.0))

    params = 0.02 * jax.random.normal(jax.random.key(0), (300_000,))
    _, _, largest = steps(params, transform.init(params), jax.random.key(1))
    assert largest <= np.float32(0.01)


def test_clips_after_the_update_not_before_it():
    _, landed = _step(1.0, {'w': jnp.array([0.9, -0.9])}, {'w': jnp.array([0.5, -0.5])})
    np.testing.assert_array_equal(landed['w'], [1.0, -1.0])


@pytest.mark.parametrize('mask', [{'a': True, 'b': False}, lambda params: {'a': True, 'b': False}])
def test_mask_leaves_the_others_alone(mask):
    params = {'a': jnp.array([2.0]), 'b': jnp.array([2.0])}
    _, landed = _step(1.0, params, jax.tree.map(jnp.ones_like, params), mask)
    assert landed['a'] == 1.0 and landed['b'] == 3.0


def test_limit_may_be_traced_and_mapped_over():
    params, updates = jnp.array([0.5, -0.5]), jnp.array([1.0, -1.0])
    landed = jax.vmap(lambda limit: _step(limit, params, updates)[1])(jnp.array([0.1, 1.0, 9.0]))
    np.testing.assert_allclose(np.abs(landed[:, 0]), [0.1, 1.0, 1.5], rtol=2e-7)


def test_bfloat16_weights_stay_inside_their_box():
    rng = np.random.default_rng(1)
    params, updates = (jnp.asarray(rng.normal(size=50_000) * 0.02, jnp.bfloat16) for _ in range(2))
    changed, landed = _step(0.01, params, updates)
    assert landed.dtype == changed.dtype == jnp.bfloat16
    assert float(jnp.abs(landed).max()) <= float(jnp.bfloat16(0.01))


@pytest.mark.parametrize('limit', [0, -0.1, float('nan')])
def test_limits_that_are_not_positive_are_refused(limit):
    with pytest.raises(ValueError, match='limit must be > 0'):
        clip_weights(limit)


def test_missing_params_are_named():
    transform = clip_weights(1.0)
    with pytest.raises(ValueError, match='parameters'):
        transform.update({'w': jnp.ones(1)}, transform.init({'w': jnp.ones(1)}))
