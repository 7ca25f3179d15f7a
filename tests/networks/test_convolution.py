"""The matrix-product form against the library's convolution: values and derivatives of every order in use."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.networks.convolution import downsample, upsample

# (N, H, W, C, D) of the larger image's side: odd output sizes, 1x1, one channel, sizes divisible by 4, many channels.
SHAPES = [(2, 8, 8, 3, 5), (3, 4, 6, 1, 4), (2, 6, 4, 7, 1), (2, 2, 2, 5, 3), (2, 8, 12, 40, 33)]


def _arguments(function, shape, seed=0):
    n, h, w, c, d = shape
    if function is upsample:
        h, w = h // 2, w // 2
    keys = jax.random.split(jax.random.key(seed))
    return jax.random.normal(keys[0], (n, h, w, c)), jax.random.normal(keys[1], (4, 4, c, d))


def _assert_close(actual, expected, tolerance):
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        scale = float(jnp.abs(b.astype(jnp.float32)).max())
        a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


def _cube(function, form, weights):
    return lambda x, kernel: jnp.sum(weights * function(x, kernel, form).astype(jnp.float32) ** 3)


@pytest.mark.parametrize('shape', SHAPES)
def test_downsample_native_is_the_documented_sum(shape):
    # Fails if the padding, the stride or the order of the kernel's axes differs from the equation.
    x, kernel = _arguments(downsample, shape)
    n, h, w, _, d = shape
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = np.zeros((n, h // 2, w // 2, d))
    for a in range(4):
        for b in range(4):
            expected += padded[:, a : a + h : 2, b : b + w : 2] @ np.asarray(kernel[a, b], np.float64)
    _assert_close(downsample(x, kernel, 'native'), jnp.asarray(expected, jnp.float32), 1e-6)


@pytest.mark.parametrize('form', ['matmul', 'native'])
def test_upsample_is_the_transpose_of_downsample(form):
    # <down(x), y> = <x, up(y)>: fails if up flips the kernel or shifts the image.
    x, kernel = _arguments(downsample, (2, 6, 8, 3, 4))
    y = jax.random.normal(jax.random.key(7), (2, 3, 4, 4))
    left = jnp.vdot(downsample(x, kernel, 'native'), y)
    right = jnp.vdot(x, upsample(y, kernel.swapaxes(2, 3), form))
    np.testing.assert_allclose(left, right, rtol=1e-4)


@pytest.mark.parametrize('function', [downsample, upsample])
@pytest.mark.parametrize('shape', SHAPES)
def test_forms_agree_in_value_and_both_derivatives(function, shape):
    # Fails for a wrong tap, border or interleaving, and for a hand-written derivative rule that is not the derivative.
    x, kernel = _arguments(function, shape)
    weights = jax.random.normal(jax.random.key(3), function(x, kernel, 'native').shape)

    def everything(form):
        loss = _cube(function, form, weights)

        def penalty(x, kernel):
            return jnp.sum(jax.grad(loss)(x, kernel) ** 2)

        return jax.jit(lambda *a: (function(*a, form), jax.grad(loss, (0, 1))(*a), jax.grad(penalty, (0, 1))(*a)))

    for actual, expected in zip(everything('matmul')(x, kernel), everything('native')(x, kernel), strict=True):
        _assert_close(actual, expected, 1e-5)


@pytest.mark.parametrize('function', [downsample, upsample])
def test_forward_mode_agrees(function):
    # Fails if float32 only has a reverse rule: update rules with Hessian-vector products need jvp.
    primals, tangents = _arguments(function, SHAPES[0]), _arguments(function, SHAPES[0], seed=1)
    both = [jax.jvp(lambda x, k, form=form: function(x, k, form), primals, tangents) for form in ('matmul', 'native')]
    _assert_close(both[0], both[1], 1e-5)


@pytest.mark.parametrize('function', [downsample, upsample])
def test_vmap_is_a_loop_over_examples(function):
    # Fails if the form mixes a mapped axis with the image's own, as a per-example gradient penalty would meet.
    x, kernel = _arguments(function, SHAPES[0])
    one = lambda x: jax.grad(lambda x: jnp.sum(function(x[None], kernel, 'matmul') ** 3))(x)
    _assert_close(jax.vmap(one)(x), jnp.stack([one(v) for v in x]), 1e-5)


@pytest.mark.parametrize('form', ['matmul', 'native'])
@pytest.mark.parametrize('function', [downsample, upsample])
def test_bfloat16_is_float32_up_to_rounding(function, form):
    # Fails if products accumulate in bfloat16 (error grows with the 640 terms) or if a derivative is of another dtype.
    x, kernel = (a.astype(jnp.bfloat16) for a in _arguments(function, SHAPES[-1]))
    wide = (x.astype(jnp.float32), kernel.astype(jnp.float32))
    assert function(x, kernel, form).dtype == jnp.bfloat16
    _assert_close(function(x, kernel, form).astype(jnp.float32), function(*wide, 'native'), 0.01)
    weights = jax.random.normal(jax.random.key(3), function(x, kernel, form).shape)
    linear = lambda form: lambda x, k: jnp.sum(weights * function(x, k, form).astype(jnp.float32))
    actual = jax.jit(jax.grad(linear(form), (0, 1)))(x, kernel)
    expected = jax.jit(jax.grad(linear('native'), (0, 1)))(*wide)
    assert all(a.dtype == jnp.bfloat16 for a in actual)
    _assert_close(jax.tree.map(lambda a: a.astype(jnp.float32), actual), expected, 0.02)


def test_refusals():
    x, kernel = _arguments(downsample, (1, 4, 4, 2, 3))
    with pytest.raises(ValueError, match='even height and width, not 3x4'):
        downsample(x[:, :3], kernel)
    with pytest.raises(ValueError, match=r'\(4, 4, C, D\)'):
        downsample(x, kernel[:3])
    with pytest.raises(ValueError, match=r'\(4, 4, C, D\)'):
        upsample(x[..., :1], kernel)
    with pytest.raises(ValueError, match="not 'fast'"):
        downsample(x, kernel, 'fast')
