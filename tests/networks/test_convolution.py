"""The matrix-product conv_impl against the library's convolution: values and derivatives of every order in use."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.programs import factors, keeps_bfloat16
from wgan_jax.networks.convolution import downsample, from_layout, same, to_layout, upsample
from wgan_jax.networks.layers import SameConv

# (N, H, W, C, D) of the larger image: odd output sizes with one channel, 1x1 output, and enough channels for Winograd.
SHAPES = [(3, 4, 6, 1, 4), (2, 2, 2, 5, 3), (2, 8, 12, 40, 33)]


def _arguments(function, shape, seed=0):
    n, h, w, c, d = shape
    if function is upsample:
        h, w = h // 2, w // 2
    random = np.random.default_rng(seed)
    channels = (d, c) if function is upsample else (c, d)
    x, kernel = random.normal(size=(n, h, w, c)), random.normal(size=(4, 4, *channels))
    return jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32)


def _nhwc(function, conv_impl, dtype=jnp.float32):
    def apply(x, kernel):
        out = function(to_layout(x, conv_impl), kernel, dtype=dtype, conv_impl=conv_impl)
        return from_layout(out, conv_impl).astype(jnp.float32)

    return apply


def _assert_close(actual, expected, tolerance):
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


@pytest.mark.parametrize('conv_impl', ['matmul', 'native'])
def test_downsample_is_the_documented_sum(conv_impl):
    # Fails if the padding, the stride or the order of the kernel's axes differs from the equation.
    n, h, w, c, d = 2, 6, 4, 3, 5
    x, kernel = _arguments(downsample, (n, h, w, c, d))
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = np.zeros((n, h // 2, w // 2, d))
    for a in range(4):
        for b in range(4):
            expected += padded[:, a : a + h : 2, b : b + w : 2] @ np.asarray(kernel[a, b], np.float64)
    _assert_close(_nhwc(downsample, conv_impl)(x, kernel), expected, 1e-6)


@pytest.mark.parametrize('conv_impl', ['matmul', 'native'])
def test_upsample_is_the_transpose_of_downsample(conv_impl):
    # <down(x), y> = <x, up(y)>: fails if up flips the kernel or shifts the image.
    x, kernel = _arguments(downsample, (2, 6, 8, 3, 4))
    y, _ = _arguments(upsample, (2, 6, 8, 4, 3), seed=1)
    left = np.vdot(_nhwc(downsample, conv_impl)(x, kernel), y)
    np.testing.assert_allclose(left, np.vdot(x, _nhwc(upsample, conv_impl)(y, kernel)), rtol=1e-4)


@pytest.mark.parametrize('function', [downsample, upsample])
@pytest.mark.parametrize('shape', SHAPES)
def test_forms_agree_in_value_and_derivatives(function, shape):
    # Fails for a wrong tap, border or interleaving, for a transpose rule that is not the transpose (the second
    # derivative reaches every rule of the three maps), and if only reverse mode exists (update rules need jvp).
    arguments, tangents = _arguments(function, shape), _arguments(function, shape, seed=1)

    def everything(conv_impl, x, kernel, tangents):
        apply = _nhwc(function, conv_impl)

        def loss(x, kernel):
            return jnp.sum(apply(x, kernel) ** 3)

        def penalty(x, kernel):
            return sum(jnp.sum(g**2) for g in jax.grad(loss, (0, 1))(x, kernel))

        value, tangent = jax.jvp(apply, (x, kernel), tangents)
        return value, tangent, jax.grad(loss, (0, 1))(x, kernel), jax.grad(penalty, (0, 1))(x, kernel)

    both = [jax.jit(partial(everything, conv_impl))(*arguments, tangents) for conv_impl in ('matmul', 'native')]
    _assert_close(*both, 1e-5)


@pytest.mark.parametrize('function', [downsample, upsample])
def test_vmap_is_a_loop(function):
    # Fails if a mapped axis mixes with the image's own: over examples (a penalty for one), or over kernels.
    x, kernel = _arguments(function, (3, 4, 6, 2, 4))
    kernels = jnp.stack([kernel, 2 * kernel + 1, -kernel])

    def loss(x, kernel):
        return jnp.sum(_nhwc(function, 'matmul')(x[None], kernel) ** 3)

    gradient = jax.jit(jax.grad(loss, (0, 1)))
    for axis, choose in ((None, lambda i: kernel), (0, lambda i: kernels[i])):
        mapped = jax.jit(jax.vmap(gradient, (0, axis)))(x, kernel if axis is None else kernels)
        alone = [gradient(v, choose(i)) for i, v in enumerate(x)]
        _assert_close(mapped, jax.tree.map(lambda *a: np.stack(a), *alone), 1e-5)


@pytest.mark.parametrize('conv_impl', ['matmul', 'native'])
@pytest.mark.parametrize('function', [downsample, upsample])
@pytest.mark.parametrize('shape', [SHAPES[-1], (2, 8, 4, 130, 128)])  # the latter: Winograd in all three maps
def test_bfloat16_is_float32_up_to_rounding(shape, function, conv_impl):
    # Fails if products accumulate in bfloat16, or if the gradients of float32 arguments are of another type.
    x, kernel = _arguments(function, shape)
    weights = np.random.default_rng(2).normal(size=_nhwc(function, 'native')(x, kernel).shape).astype(np.float32)

    def everything(conv_impl, dtype, x, kernel):
        apply = _nhwc(function, conv_impl, dtype)
        return apply(x, kernel), jax.grad(lambda x, k: jnp.sum(weights * apply(x, k)), (0, 1))(x, kernel)

    rounded = jax.jit(partial(everything, conv_impl, jnp.bfloat16))(x, kernel)
    assert all(a.dtype == jnp.float32 for a in jax.tree.leaves(rounded))
    _assert_close(rounded, jax.jit(partial(everything, 'native', jnp.float32))(x, kernel), 0.02)


# 3x3 with enough channels for Winograd, 3x3 with more and with fewer channels behind than before, 5x5, 1x1, one pixel.
@pytest.mark.parametrize(
    ('shape', 'side'),
    [
        ((2, 4, 6, 33, 40), 3),
        ((3, 5, 3, 2, 4), 3),
        ((2, 5, 4, 6, 2), 3),
        ((2, 5, 7, 6, 2), 5),
        ((2, 4, 4, 3, 3), 1),
        ((2, 1, 1, 3, 5), 3),
    ],
)
def test_same_is_the_library_convolution_with_its_derivatives(shape, side):
    # Fails for a wrong tap or border, a kernel that is not turned in a transpose, or a sign in the Winograd transforms.
    n, h, w, c, d = shape
    random = np.random.default_rng(0)
    x, kernel, dx, dk = (
        jnp.asarray(random.normal(size=size), jnp.float32) for size in ((n, h, w, c), (side, side, c, d)) * 2
    )

    def everything(conv_impl):
        apply = _nhwc(same, conv_impl)

        def loss(x, kernel):
            return jnp.sum(apply(x, kernel) ** 3)

        def penalty(x, kernel):
            return sum(jnp.sum(g**2) for g in jax.grad(loss, (0, 1))(x, kernel))

        value = jax.jvp(apply, (x, kernel), (dx, dk))
        return value, jax.grad(loss, (0, 1))(x, kernel), jax.grad(penalty, (0, 1))(x, kernel)

    _assert_close(*(jax.jit(everything, static_argnums=0)(conv_impl) for conv_impl in ('matmul', 'native')), 1e-5)


@pytest.mark.parametrize(
    ('channels', 'groups', 'side'), [((6, 4), 2, 3), ((4, 8), 4, 3), ((3, 3), 3, 5), ((8, 4), 4, 1)]
)
def test_groups_are_the_library_s_with_their_derivatives(channels, groups, side):
    # Fails where channels of two groups mix, in the map or in any transpose of it, and for a loop over examples.
    random, (c, d) = np.random.default_rng(0), channels
    x, kernel, dx, dk = (
        jnp.asarray(random.normal(size=size), jnp.float32) for size in ((3, 4, 5, c), (side, side, c // groups, d)) * 2
    )

    def everything(conv_impl):
        apply = _nhwc(partial(same, groups=groups), conv_impl)

        def loss(x, kernel):
            return jnp.sum(apply(x, kernel) ** 3)

        def penalty(x, kernel):
            return sum(jnp.sum(g**2) for g in jax.grad(loss, (0, 1))(x, kernel))

        each = jax.vmap(jax.grad(lambda x, kernel: loss(x[None], kernel), (0, 1)), (0, None))(x, kernel)
        value = jax.jvp(apply, (x, kernel), (dx, dk))
        return value, each, jax.grad(loss, (0, 1))(x, kernel), jax.grad(penalty, (0, 1))(x, kernel)

    _assert_close(*(jax.jit(everything, static_argnums=0)(conv_impl) for conv_impl in ('matmul', 'native')), 1e-5)
    with pytest.raises(ValueError, match='groups dividing both'):
        same(x, kernel, dtype=jnp.float32, conv_impl='native', groups=5)


def test_the_kernel_gradient_of_few_channels_is_computed_apart():
    # Fails where XLA puts it among what surrounds it, as it does with every other call.
    x, kernel = _arguments(downsample, (2, 8, 8, 3, 40))
    gradient = jax.grad(lambda k: jnp.sum(_nhwc(downsample, 'matmul')(x, k) ** 3))
    lines = jax.jit(gradient).lower(kernel).compile().as_text().splitlines()
    assert sum(' call(' in line and 'kernel_gradient' in line for line in lines) == 1


@pytest.mark.parametrize(('function', 'side'), [(downsample, 4), (same, 3)])
def test_a_transposed_kernel_is_written_once(function, side):
    # Fails where each of Winograd's transforms goes through the kernel against its grain.
    x, kernel = jnp.ones((8, 8, 8, 64)), jnp.ones((side, side, 64, 64))
    lines = jax.jit(_nhwc(function, 'matmul')).lower(x, kernel).compile().as_text().splitlines()
    assert sum(' call(' in line and '_itself' in line for line in lines) == 1


def test_the_kernel_of_a_doubling_convolution_is_written_once():
    layer = SameConv(64, jnp.float32, 'matmul', change='double')
    x = jnp.ones((64, 8, 8, 8))
    variables = layer.init(jax.random.key(0), x)
    lines = jax.jit(layer.apply).lower(variables, x).compile().as_text().splitlines()
    assert sum(' call(' in line and '_itself' in line for line in lines) == 1


@pytest.mark.skipif(not keeps_bfloat16(), reason='this backend widens bfloat16 factors')
def test_a_kernel_reaches_no_product_transposed():
    # Or else XLA:CPU computes it in float32, at half the rate: in the map, its derivatives, and in theirs.
    apply = _nhwc(same, 'matmul', jnp.bfloat16)

    def penalty(x, kernel):
        return sum(jnp.sum(g**2) for g in jax.grad(lambda x, k: jnp.sum(apply(x, k) ** 3), (0, 1))(x, kernel))

    x, kernel = jnp.ones((64, 16, 16, 64)), jnp.ones((3, 3, 64, 64))
    found = factors(jax.jit(jax.grad(penalty, (0, 1))).lower(x, kernel).compile().as_text())
    assert len(found) > 6 * 16 and set(found) == {('bf16', 'bf16')}


def test_refusals():
    x, kernel = _arguments(downsample, (1, 4, 4, 2, 3))
    native = {'dtype': jnp.float32, 'conv_impl': 'native'}
    with pytest.raises(ValueError, match='even height and width, not 3x4'):
        downsample(x[:, :3], kernel, **native)
    with pytest.raises(ValueError, match='a 4x4 kernel for as many'):
        downsample(x, kernel[:3], **native)
    with pytest.raises(ValueError, match='a 4x4 kernel for as many'):
        upsample(x, kernel, dtype=jnp.float32, conv_impl='matmul')  # channels last, where they come first
