"""Programs of traced functions: what is computed once, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.networks import convolution, layers
from wgan_jax.networks.tracing import trace


def test_a_constant_is_computed_once_and_kept_small():
    # Statistics of batch norm become factors here; a repeated array would make the program larger than its weights.
    weights = jnp.arange(2000.0)

    def function(x):
        return x * jax.lax.rsqrt(jnp.square(weights) + 1)[None] + jnp.tile(weights, (3, 1)).sum(0)

    program = trace(function, jnp.zeros((1, 2000)))
    assert [step.options['function'] for step in program.steps] == ['mul', 'add']
    assert program.setup and sum(array.size for array in program.constants.values()) <= 2 * 2000
    factors = next(iter(program.constants.values()))
    np.testing.assert_allclose(factors, 1 / np.sqrt(np.arange(2000.0) ** 2 + 1), rtol=1e-6)


def test_what_does_not_reach_the_result_is_left_out():
    program = trace(lambda x: (jnp.sin(x), jnp.cos(x) + jnp.arange(3.0))[0], jnp.zeros(3))
    assert [step.options['function'] for step in program.steps] == ['sin'] and not program.constants


def test_a_kernel_is_kept_as_small_as_it_is():
    # One of 3x3 that is spread over 4x4 pixels when it is used: that is left to the setup.
    kernel = jnp.asarray(np.ones((3, 3, 16, 16), np.float32))

    def function(x):
        return convolution.upsample(x, layers.spread(kernel), dtype=jnp.float32, conv_impl='matmul')

    program = trace(function, jnp.zeros((16, 4, 6, 1)))
    assert sum(array.size for array in program.constants.values()) == kernel.size and program.setup
    assert program.shape == (16, 8, 12, 1) and [step.kind for step in program.steps] == ['view', 'conv', 'view']


@pytest.mark.parametrize(
    'name, function',
    [
        ('sort', jnp.sort),
        ('erf', jax.scipy.special.erf),
        ('while', lambda x: jax.lax.while_loop(lambda y: y.sum() < 1, lambda y: y + 1, x)),
        ('reduce_prod', jnp.prod),
        ('dynamic_slice', lambda x: jax.lax.dynamic_slice(x, (x[0].astype(int),), (2,))),
        ('div of whole numbers', lambda x: x.astype(int) // 2),
        ('complex64', lambda x: jnp.fft.fft(x).real),
    ],
)
def test_what_no_step_stands_for_is_named(name, function):
    with pytest.raises(ValueError, match=name) as raised:
        trace(function, jnp.zeros(3))
    assert '\n' not in str(raised.value)


def test_one_result_is_asked_for():
    with pytest.raises(ValueError, match='2'):
        trace(lambda x: (x, x), jnp.zeros(3))
