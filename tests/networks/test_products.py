"""Products in bfloat16: values, and derivatives in both modes made of the same products."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.programs import factors, keeps_bfloat16
from wgan_jax.networks.products import einsum

SPECS = [
    ('nc,cd->nd', [(5, 7), (7, 3)]),
    ('kmn,kn->km', [(2, 4, 6), (2, 6)]),
    ('ab,cb->ca', [(3, 4), (5, 4)]),
    ('ab,ab->', [(3, 4), (3, 4)]),
]


def _operands(shapes, seed=0, dtype=jnp.bfloat16):
    random = np.random.default_rng(seed)
    return [jnp.asarray(random.normal(size=shape), jnp.bfloat16).astype(dtype) for shape in shapes]


def _assert_rounded(actual, exact, roundings=1):
    """bfloat16 keeps 8 bits: each rounding moves an entry by at most 2^-8 of the largest one."""
    actual, exact = np.asarray(actual, np.float64), np.asarray(exact, np.float64)
    np.testing.assert_allclose(actual, exact, rtol=0, atol=roundings * 2**-8 * np.abs(exact).max())


@pytest.mark.parametrize('spec, shapes', SPECS)
def test_values_and_derivatives_are_those_of_the_exact_product(spec, shapes):
    # Fails if a transpose exchanges the operands or mixes up indices, or if a mode has no rule.
    a, b = _operands(shapes)
    u, v = _operands(shapes, 1)

    def small(a, b):
        return einsum(spec, a, b, 'matmul')

    def exact(a, b, spec=spec):
        return np.einsum(spec, np.asarray(a, np.float64), np.asarray(b, np.float64))

    out = jax.jit(small)(a, b)
    assert out.dtype == jnp.bfloat16
    _assert_rounded(out, exact(a, b))
    forward = jax.jit(lambda a, b: jax.jvp(small, (a, b), (u, v))[1])(a, b)
    _assert_rounded(forward, exact(u, b) + exact(a, v), roundings=3)
    (w,) = _operands([out.shape], 2)
    i, j, o = spec.replace('->', ',').split(',')
    pulled = jax.jit(lambda a, b: jax.vjp(small, a, b)[1](w))(a, b)
    for own, transposed, other in zip(pulled, (f'{o},{j}->{i}', f'{o},{i}->{j}'), (b, a), strict=True):
        assert own.dtype == jnp.bfloat16
        _assert_rounded(own, exact(w, other, transposed))


def test_forward_over_reverse_is_reverse_over_forward():
    # The Hessian of sum (a b)^2 / 2 along a direction, in both orders and from float32's own rules.
    a, b = _operands([(5, 7), (7, 3)])
    u, v = _operands([(5, 7), (7, 3)], 1)

    def loss(product):
        return lambda a, b: jnp.sum(product('nc,cd->nd', a, b).astype(jnp.float32) ** 2) / 2

    small = loss(lambda *operands: einsum(*operands, 'matmul'))
    forward = jax.jit(lambda a, b: jax.jvp(jax.grad(small, (0, 1)), (a, b), (u, v))[1])(a, b)
    reverse = jax.jit(jax.grad(lambda a, b: jax.jvp(small, (a, b), (u, v))[1], (0, 1)))(a, b)
    wide = [x.astype(jnp.float32) for x in (a, b, u, v)]
    expected = jax.jvp(jax.grad(loss(jnp.einsum), (0, 1)), tuple(wide[:2]), tuple(wide[2:]))[1]
    for one, other, exact in zip(forward, reverse, expected, strict=True):
        for own in (one, other):
            assert np.abs(own.astype(jnp.float32) - exact).max() < 0.02 * np.abs(exact).max()


@pytest.mark.parametrize('axes', [(0, None), (None, 1), (1, 0)])
def test_mapped_products_are_the_single_ones(axes):
    # Fails if a mapped axis takes the letter of another index, or the output has it elsewhere than in front.
    stack = [np.random.default_rng(0).normal(size=(4, 5, 7)), np.random.default_rng(1).normal(size=(4, 7, 3))]
    singles = [x if axis is not None else x[0] for x, axis in zip(stack, axes, strict=True)]
    moved = [
        jnp.asarray(x if axis is None else np.moveaxis(x, 0, axis), jnp.bfloat16)
        for x, axis in zip(singles, axes, strict=True)
    ]

    def loss(a, b):
        return jnp.sum(einsum('ab,bc->ac', a, b, 'matmul').astype(jnp.float32) ** 2)

    gradient = jax.grad(loss, (0, 1))

    together = jax.jit(jax.vmap(gradient, axes))(*moved)
    for k in range(4):
        own = gradient(*(jnp.asarray(x if axis is None else x[k], jnp.bfloat16)
                         for x, axis in zip(singles, axes, strict=True)))  # fmt: skip
        for a, b in zip(together, own, strict=True):
            np.testing.assert_array_equal(np.asarray(a[k], np.float32), np.asarray(b, np.float32))


def test_every_product_of_any_derivative_is_of_bfloat16_operands_with_sums_in_float32():
    # The matrix units serve no other. Fails if a transpose multiplies a float32 cotangent, or sums in bfloat16.
    a, b = _operands([(5, 7), (7, 3)])

    def slope(a, b):
        return jax.grad(lambda a: jnp.sum(jnp.tanh(einsum('nc,cd->nd', a, b, 'matmul').astype(jnp.float32))))(a)

    def second(a, b):
        return jax.jvp(jax.grad(lambda a, b: jnp.sum(slope(a, b).astype(jnp.float32) ** 2), (0, 1)), (a, b), (a, b))

    text = jax.jit(second).lower(a, b).as_text()
    lines = [line for line in text.splitlines() if 'dot_general' in line]
    assert len(lines) > 8
    for line in lines:
        types = line.rsplit(' : ', 1)[1]
        assert types.count('bf16') == 2 and types.split('->')[1].endswith('xf32>'), line


@pytest.mark.skipif(not keeps_bfloat16(), reason='this backend widens bfloat16 factors')
@pytest.mark.parametrize(
    ('spec', 'mapped'),
    [('mc,cd->md', None), ('mc,cd->md', (0, 0)), ('mc,cd->md', (0, None)), ('cd,cm->dm', None), ('cd,cm->dm', (0, 0))],
)
def test_factors_stay_bfloat16_in_every_derivative(spec, mapped):
    # Fails where the first factor of a product is transposed: XLA:CPU would compute that one in float32.
    shapes = {'mc,cd->md': [(256, 512), (512, 384)], 'cd,cm->dm': [(512, 384), (512, 256)]}[spec]

    def penalty(a, b):
        gradients = jax.grad(lambda a, b: jnp.sum(einsum(spec, a, b, 'matmul') ** 3), (0, 1))(a, b)
        return sum(jnp.sum(g.astype(jnp.float32) ** 2) for g in gradients)

    gradient = jax.grad(penalty, (0, 1))
    if mapped is not None:
        gradient = jax.vmap(gradient, mapped)
        shapes = [shape if axis is None else (2, *shape) for axis, shape in zip(mapped, shapes, strict=True)]
    found = factors(jax.jit(gradient).lower(*_operands(shapes)).compile().as_text())
    assert len(found) >= 6 and set(found) == {('bf16', 'bf16')}
