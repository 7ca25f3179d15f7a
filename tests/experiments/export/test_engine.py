"""The page's interpreter, in a browser, on programs of single operations: each as JAX computes it."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from experiments.export.explore import PARTS
from wgan_jax.data.images import to_uint8
from wgan_jax.latents import LATENTS, slerp
from wgan_jax.networks import convolution
from wgan_jax.networks.tracing import trace

RNG = np.random.default_rng(0)
ARC = jax.jit(slerp)


def array(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


X, Y, IMAGE, VECTOR = array(3, 4), array(3, 4), array(1, 5, 6, 4), array(4)
KERNEL, ODD = array(3, 3, 4, 5), array(3, 2, 2, 6)


def conv(x, kernel, strides=(1, 1), padding=((1, 1), (1, 1)), numbers=('NHWC', 'HWIO', 'NHWC'), **rest):
    return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=numbers, **rest)


# Each plausible slip of the translation or the interpreter (an axis taken for another, a stride for its neighbour, an
# offset left out, an odd size) changes one of these. Inputs are no squares and no powers of each other.
OPERATIONS = {
    'broadcasting': (lambda x: (x + VECTOR) * x[:, :1] - 2 / (x[1] ** 2 + 1), X),
    'functions': (lambda x: jnp.tanh(x) + jnp.exp(x) + jnp.sin(x) * jnp.cos(x) + jnp.abs(x) + lax.rsqrt(x * x + 1), X),
    'more functions': (lambda x: nn.softplus(x) + nn.sigmoid(x) + nn.elu(x) + jnp.sqrt(jnp.square(x)) + jnp.sign(x), X),
    'rounding': (lambda x: jnp.floor(3 * x) + 10 * jnp.ceil(3 * x) + 100 * x.astype(jnp.int32), X),
    'leaky': (lambda x: nn.leaky_relu(x, 0.2) + nn.silu(x) + nn.gelu(x), X),
    'powers': (lambda x: x**3 + jnp.abs(x) ** 1.5 + jnp.log(jnp.abs(x)) + jnp.expm1(x) + jnp.log1p(jnp.abs(x)), X),
    'comparisons': (lambda x: jnp.where((x > VECTOR) & (x < 1) | (x == x[0]), x, -Y), X),
    'clip': (lambda x: jnp.clip(x, -0.5, 0.25) + lax.clamp(-0.1, x, 0.2), X),
    'transposed': (lambda x: x.reshape(5, 2, 3, 4).transpose(2, 0, 3, 1), array(1, 5, 6, 4)),
    'cut': (lambda x: x[:, 1:4, 1:6:2, ::-1], IMAGE),
    'split': (lambda x: sum((i + 1) * part for i, part in enumerate(jnp.split(x, 2, axis=2))), IMAGE),
    'repeated': (lambda x: x.repeat(2, 1).repeat(3, 2), IMAGE),
    'padded': (lambda x: lax.pad(x, 7.0, ((0, 0, 0), (2, 1, 1), (-1, -2, 0), (1, 0, 2))), IMAGE),
    'padded less': (lambda x: lax.pad(x, 7.0, ((0, 0, 0), (-3, 2, 1), (-1, 1, 1), (0, -2, 2))), IMAGE),
    'joined': (lambda x: jnp.concatenate([x, X, 2 * x[:, :1]], axis=1), X),
    'stacked': (lambda x: jnp.stack([x, Y], axis=1), X),
    'apart': (lambda x: sum((i + 1) * part for i, part in enumerate(jnp.unstack(x, axis=2))), IMAGE),
    'sums': (lambda x: x.sum((1, 3)) + x.mean((1, 3)) + x.max((1, 3)) - x.min((1, 3)) + x.var(), IMAGE),
    'softmax': (lambda x: nn.softmax(x, axis=0), X),
    'product': (lambda x: x @ array(4, 7), X),
    'products': (lambda x: jnp.einsum('hbwc,hcd->bhwd', x, array(5, 4, 3)), array(5, 2, 6, 4)),
    'of two': (lambda x: x @ x.T, X),
    'convolution': (lambda x: conv(x, KERNEL), IMAGE),
    'strided': (lambda x: conv(x, KERNEL, (2, 3), ((1, 0), (0, 2))), IMAGE),
    'transposed convolution': (lambda x: conv(x, KERNEL, padding=((2, 1), (1, 2)), lhs_dilation=(2, 3)), IMAGE),
    'both dilations': (
        lambda x: conv(x, KERNEL, (2, 1), ((3, 2), (1, 4)), lhs_dilation=(3, 2), rhs_dilation=(2, 3)), IMAGE
    ),
    'cropping': (lambda x: conv(x, KERNEL, padding=((-1, 1), (1, -1))), IMAGE),
    'grouped': (lambda x: conv(x, ODD, padding=((1, 1), (0, 1)), feature_group_count=2), IMAGE),
    'of many': (lambda x: conv(x, KERNEL), array(2, 9, 10, 4)),
    'other layout': (lambda x: conv(x, array(5, 4, 3, 3), numbers=('CHWN', 'OIHW', 'HNWC')), array(4, 5, 6, 2)),
    'upsample': (
        lambda x: convolution.upsample(x, array(4, 4, 3, 4), dtype=jnp.float32, conv_impl='matmul'), array(4, 3, 2, 1)
    ),
    'downsample': (
        lambda x: convolution.downsample(x, array(4, 4, 4, 3), dtype=jnp.float32, conv_impl='matmul'), array(4, 6, 4, 1)
    ),
    'same': (lambda x: convolution.same(x, KERNEL, dtype=jnp.float32, conv_impl='matmul'), array(4, 5, 6, 1)),
    'rows': (lambda i: jnp.take(X, i, axis=0) + X[i] + jax.nn.one_hot(i, 4), jnp.array([2, 0, 1, 2])),
    'picked': (lambda x: x[:, [1, 0, 4]][..., ::-2, [3, 3, 1]], IMAGE),
    'fixed': (lambda x: x + jnp.tile(VECTOR, 1000).reshape(1000, 4)[:3], X),  # grows beyond what it is made of
    'nothing': (lambda x: x, X),
}  # fmt: skip


@pytest.fixture(scope='module')
def engine(browser):
    browser.call('Page.navigate', url='about:blank')
    for name in ('engine.js', 'latents.js'):
        browser.run(f'{Path(PARTS, name).read_text(encoding="utf-8")}; 0')
    return browser


def computed(engine, program, *inputs):
    plain = {
        'inputs': program.inputs, 'output': program.output,
        'setup': [step._asdict() for step in program.setup], 'steps': [step._asdict() for step in program.steps],
    }  # fmt: skip
    constants = ', '.join(
        f'{number}: Float32Array.from({json.dumps(array.tolist())})' for number, array in program.constants.items()
    )
    arguments = ', '.join(json.dumps(np.ravel(x).tolist()) for x in inputs)
    out = engine.run(
        f'(() => {{ const run = makeEngine().load({json.dumps(plain)}, {{{constants}}}); run({arguments}); '
        f'return Array.from(run({arguments})); }})()'  # twice: what the first call leaves must not matter
    )
    return np.array(out).reshape(program.shape)


@pytest.mark.parametrize('name', OPERATIONS)
def test_an_operation_is_as_jax_computes_it(engine, name):
    function, x = OPERATIONS[name]
    state = RNG.bit_generator.state  # some functions draw their constants: the same ones for both
    program = trace(function, x)
    RNG.bit_generator.state = state
    np.testing.assert_allclose(computed(engine, program, x), function(x), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize('law', LATENTS)
def test_a_seed_draws_jaxs_latents(engine, law):
    # A wrong rotation, a key folded in the wrong order or a tail of the wrong polynomial: 20 x 64 numbers see them.
    keys = [jax.random.fold_in(jax.random.key(1234567), i) for i in range(20)]
    drawn = engine.run(f'Array.from({{length: 20}}, (_, i) => [...makeLatents().draw("{law}", 64, 1234567, i)])')
    expected = jax.vmap(LATENTS[law](64))(jnp.stack(keys))
    np.testing.assert_allclose(drawn, expected, rtol=3e-6, atol=3e-7)
    assert (np.abs(drawn) > 2.5).any() == (law == 'normal')  # beyond |x| = 0.9966 of erf^-1, w > 5, is the tail


@pytest.mark.parametrize('a, b', [(array(8), 3 * array(8)), (array(8), jnp.zeros(8)), (jnp.ones(8), 2 * jnp.ones(8))])
def test_the_great_circle_is_the_librarys(engine, a, b):
    # Lengths that are not interpolated, or the straight line, differ; a latent 0 and equal directions have no arc.
    along = engine.run(
        f'[0, 0.3, 1].map((t) => makeLatents().slerp({json.dumps(a.tolist())}, {json.dumps(b.tolist())}, t))'
    )
    np.testing.assert_allclose(along, ARC(a, b, jnp.array([0, 0.3, 1])), atol=1e-5)


def test_pixels_are_those_of_the_library(engine):
    # Halves go to the even level: 0 is 127.5 and becomes 128, the next half down 126; beyond [-1, 1] are the ends.
    values = [-3.0, -1.0, 0.0, 1.0, 7.0, *((2 * level + 1) / 255 - 1 for level in range(255))]
    pixels = engine.run(f'Array.from(makeEngine().toPixels(Float32Array.from({json.dumps(values)})))')
    assert pixels == np.asarray(to_uint8(jnp.asarray(values, jnp.float32))).tolist()


def test_sixteen_bits_are_the_numbers_they_stand_for(engine):
    # All of them: subnormal numbers and the largest are where a decoder goes wrong.
    bits = np.arange(2**16, dtype=np.uint16)
    table = [{'number': 0, 'start': 0, 'size': 2**16, 'type': 'float16'}]
    read = engine.run(
        'Array.from('
        f'makeEngine().unpack({json.dumps(table)}, Uint16Array.from({{length: 65536}}, (_, i) => i).buffer)[0],'
        '(x) => (Number.isFinite(x) ? x : String(x)))'
    )
    expected = bits.view(np.float16).astype(float)
    np.testing.assert_array_equal([float(x) for x in read], expected)
