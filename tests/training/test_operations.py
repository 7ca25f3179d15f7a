"""What a function computes and sends: closed forms, XLA's own counts, and the compiled program on two devices."""

import collections
import itertools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training.common import small_gan, small_pixels
from wgan_jax.training.cost import bytes_of, state_shapes
from wgan_jax.training.operations import operations
from wgan_jax.training.state import init_state
from wgan_jax.training.step import critic_update, generator_update

UPDATES = {'critic': critic_update, 'generator': generator_update}
PIXELS = small_pixels()


def _counted(function, *arguments, **options):
    return operations(jax.make_jaxpr(function, **options)(*arguments).jaxpr)


def _floats(*shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


def test_a_dense_layer_and_its_gradients():
    # Fails if an addition is left out, a batch axis counts as contracted, or a factor's type does not matter.
    n, c, d = 5, 7, 11
    x, kernel = _floats(n, c, dtype=jnp.bfloat16), _floats(c, d, dtype=jnp.bfloat16)
    one = _counted(jnp.dot, x, kernel)
    assert one == (2 * n * c * d, 2 * (n * c + c * d + n * d), ())
    loss = jax.grad(lambda x, kernel: jnp.square(x @ kernel).sum(), (0, 1))
    assert _counted(loss, x, kernel).flops == 3 * one.flops
    assert _counted(lambda a, b: jnp.einsum('bij,bjk->bik', a, b), _floats(3, n, c), _floats(3, c, d)).flops == (
        3 * one.flops
    )


@pytest.mark.parametrize('stride, side', [(1, 3), (2, 4)])
def test_a_convolution_and_its_gradients(stride, side):
    # Fails if channels or taps count twice, or if zeros between the pixels of the transposed gradient are multiplied.
    n, size, c, d = 2, 8, 3, 5
    out = size // stride

    def convolve(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=('NHWC', 'HWIO', 'NHWC')
        )

    x, kernel = _floats(n, size, size, c), _floats(side, side, c, d)
    flops = 2 * n * out**2 * side**2 * c * d
    assert _counted(convolve, x, kernel) == (flops, 4 * (n * size**2 * c + side**2 * c * d + n * out**2 * d), ())
    both = jax.grad(lambda x, kernel: jnp.square(convolve(x, kernel)).sum(), (0, 1))
    assert _counted(both, x, kernel).flops == 3 * flops


def test_loops_count_as_often_as_they_run():
    def body(x, _):
        return x @ x, None

    assert _counted(lambda x: jax.lax.scan(body, x, None, length=6)[0], _floats(4, 4)).flops == 6 * 2 * 4**3


def test_xla_counts_the_same_products():
    # Of an update of dense layers alone, whose products XLA and we define alike; the rest is one operation for each
    # number. Fails if a product is missed within a derivative, a scan or a call, or counted twice.
    gan, hyperparameters = small_gan('wgan_gp', arch='mlp', width=512, batch_size=64)
    state = state_shapes(gan, hyperparameters)
    for update in UPDATES.values():

        def run(state, images, update=update):
            return update(gan, hyperparameters, state, images)

        theirs = jax.jit(run).lower(state, PIXELS).cost_analysis()['flops']
        ours = _counted(run, state, PIXELS).flops
        assert 0.94 * theirs < ours < theirs


@pytest.mark.parametrize('preset', ['wgan', 'dragan', pytest.param('wgan_gp', marks=pytest.mark.slow)])
def test_collectives_are_those_of_the_compiled_program(preset):
    # Kinds, numbers and bytes, those of dragan's penalty, which wait for each other, among them. Fails if sums that
    # travel together count as many, or a gathering is of all devices' parts.
    gan, hyperparameters = small_gan(preset)
    for player, update in UPDATES.items():

        def run(state, images, update=update):
            return update(gan, hyperparameters, state, images, axis_name='d')

        state = state_shapes(gan, hyperparameters)
        found = _counted(run, state, PIXELS, axis_env=[('d', 1)]).collectives
        number = collections.Counter(each.kind for each in found)
        size = collections.Counter()
        for each in found:
            size[each.kind] += each.bytes
        assert (number, size) == _compiled(run, init_state(gan, hyperparameters, 7))
        metrics = {'critic': 3, 'generator': 1}[player]  # loss, penalty, estimate; loss
        gradients = bytes_of(getattr(state.params, player)) + 4 * metrics
        assert found[-1][:2] == ('all-reduce', gradients)
        assert all(a.flops_before <= b.flops_before for a, b in itertools.pairwise(found))


def _compiled(run, state):
    devices = jax.devices()[:2]
    program = jax.pmap(
        lambda state, images, _: run(state, images), axis_name='d', in_axes=(None, None, 0), out_axes=None,
        devices=devices,
    )  # fmt: skip
    number, size = collections.Counter(), collections.Counter()
    for line in program.lower(state, PIXELS, np.zeros(2)).compile().as_text().splitlines():
        if made := re.search(r'= (.*?) (all-reduce|all-gather|reduce-scatter)(?:-start)?\(', line):
            shapes = re.findall(r'f32\[([\d,]*)\]', made[1])
            parts = len(devices) if made[2] == 'all-gather' else 1
            number[made[2]] += 1
            size[made[2]] += sum(4 * math.prod(map(int, filter(None, shape.split(',')))) for shape in shapes) // parts
    return number, size
