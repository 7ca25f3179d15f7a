"""Data parallelism on two virtual devices against one device."""

import functools
import re

import jax
import numpy as np
import pytest

from tests.training.common import small_gan, small_pixels
from tests.training.exact import REAL, exact_gan, exact_settings
from wgan_jax.training.parallel import make_runner
from wgan_jax.training.state import init_state
from wgan_jax.training.step import critic_update, generator_update, train_steps

PIXELS = small_pixels()


def _run(mode, devices, preset, steps=3, **changes):
    gan, hyperparameters = small_gan(preset, **changes)
    runner = make_runner(gan, hyperparameters, PIXELS, mode=mode, devices=jax.devices()[:devices], capacity=4)
    state, rows = runner.run(runner.place(init_state(gan, hyperparameters, 7)), steps)
    return runner, state, runner.fetch(rows)[:steps]


@pytest.mark.parametrize('constraint, mixes', [('clip', True), pytest.param('dragan', False, marks=pytest.mark.slow)])
def test_two_devices_train_as_one(constraint, mixes):
    # Batch statistics, per-example latents, noise, augmentation, the penalty's own statistics: whatever depended on
    # the device would show. In float64 the sums' order changes the last digits of sixteen, and only a bug the ninth.
    settings = exact_settings('wgan', constraint=constraint)
    with jax.enable_x64(True):
        gan, hyperparameters = exact_gan(settings, mixes=mixes)
        results = []
        for mode, devices in (('jit', 1), ('pmap', 2)):
            runner = make_runner(
                gan, hyperparameters, np.asarray(REAL), mode=mode, devices=jax.devices()[:devices], capacity=4
            )
            assert runner.num_devices == devices
            state, rows = runner.run(runner.place(init_state(gan, hyperparameters, 7)), 4)
            results.append(runner.fetch((state, rows)))
        one, two = (jax.tree.leaves(result) for result in results)
        for a, b in zip(one, two, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_the_library_s_networks_train_on_two_devices_as_on_one():
    # In float32 rounding is carried on from step to step, so only the first is compared, by what a missing average
    # over four examples would change.
    _, _, one = _run('jit', 1, 'wgan', steps=1)
    _, _, two = _run('pmap', 2, 'wgan', steps=1)
    np.testing.assert_allclose(two, one, rtol=0.01, atol=1e-5)


def test_pmap_gives_the_same_bits():
    # What jax.pmap makes of the same step; fails if the runner's program means something else by a device.
    runner, state, rows = _run('pmap', 2, 'wgan')
    gan, hyperparameters = small_gan('wgan')
    steps = jax.pmap(
        functools.partial(train_steps, gan, capacity=4, axis_name='devices'), axis_name='devices',
        in_axes=(None, None, None, 0), out_axes=None, devices=jax.devices()[:2], donate_argnums=1,
    )  # fmt: skip
    hyperparameters = jax.tree.map(np.asarray, hyperparameters)
    theirs = steps(hyperparameters, init_state(gan, hyperparameters, 7), PIXELS, np.full(2, 3, np.int32))
    np.testing.assert_array_equal(theirs[1][:3], rows)
    jax.tree.map(np.testing.assert_array_equal, theirs[0], runner.fetch(state))


def _collectives(update, preset, **changes):
    """How many of each kind the compiled program of an update on two devices has."""
    gan, hyperparameters = small_gan(preset, **changes)
    state, devices = init_state(gan, hyperparameters, 7), np.zeros(2)
    program = jax.pmap(
        lambda h, s, x, _: update(gan, h, s, x, axis_name='d'), axis_name='d', in_axes=(None, None, None, 0),
        out_axes=None, devices=jax.devices()[:2],
    )  # fmt: skip
    text = program.lower(hyperparameters, state, PIXELS, devices).compile().as_text()
    assert not re.search(r'= \(.*\) all-reduce', text)  # of several arrays: processes on CPUs would send each by itself
    kinds = re.findall(r' (all-reduce|all-gather|reduce-scatter|all-to-all|collective-\w+)(?:-start)?\(', text)
    return {kind: kinds.count(kind) for kind in set(kinds)}


def test_devices_meet_once_for_gradients_and_once_for_each_batch_statistic():
    # Fails if losses or metrics travel by themselves, or if means and variances do; of 16x32 pixels both networks
    # have two convolutions, a generator normalises after two layers and a critic of 'wgan' after one.
    layers = {'generator': 2, 'critic': 1}
    passes = layers['generator'] + 2 * layers['critic']  # the fake batch; the scores of both batches, and back
    assert _collectives(critic_update, 'wgan') == {
        'all-reduce': 1, 'all-gather': passes, 'reduce-scatter': 2 * layers['critic']
    }  # fmt: skip
    both = layers['generator'] + layers['critic']
    assert _collectives(generator_update, 'wgan') == {'all-reduce': 1, 'all-gather': both, 'reduce-scatter': both}
    options = {'arch': 'mlp', 'critic_norm': 'none'}
    for update in (critic_update, generator_update):
        assert _collectives(update, 'wgan_gp', **options) == {'all-reduce': 1}


@pytest.mark.parametrize('preset', ['wgan', 'wgan_gp'])
def test_replicas_stay_equal(preset):
    _, state, _ = _run('pmap', 2, preset)
    for leaf in jax.tree.leaves(state):
        first, second = (np.asarray(shard.data) for shard in leaf.addressable_shards)
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize('dtype', [np.float32, np.int32, np.uint8, np.float16])
def test_a_copy_that_differs_in_one_bit_is_named(dtype):
    # Fails for a sum of values, or of bits times their places, which pairs of other signs leave as they are, or if one
    # device is looked at.
    gan, hyperparameters = small_gan('wgan')
    devices = jax.devices()[:2]
    runner = make_runner(gan, hyperparameters, PIXELS, mode='pmap', devices=devices, capacity=4)
    state = {'a': np.arange(6).astype(dtype), 'b': np.arange(8).reshape(2, 4).astype(dtype)}
    sharding = jax.sharding.NamedSharding(jax.sharding.Mesh(devices, 'd'), jax.sharding.PartitionSpec())

    def placed(change):
        copies = [state, {**state, 'b': change(state['b'].copy())}]
        return {
            name: jax.make_array_from_single_device_arrays(
                leaf.shape, sharding, [jax.device_put(copy[name], d) for copy, d in zip(copies, devices, strict=True)]
            ) for name, leaf in state.items()
        }  # fmt: skip

    def flipped(array):
        array.view(np.uint8)[1, -1] ^= 128
        return array

    assert runner.differing(placed(lambda array: array)) is None
    assert runner.differing(placed(flipped)) == 'b'
    assert runner.differing(placed(lambda array: array[::-1])) == 'b'
    if np.issubdtype(dtype, np.floating):
        assert runner.differing(placed(lambda array: -array)) == 'b'


def test_donation_leaves_the_callers_state_alone():
    gan, hyperparameters = small_gan('wgan')
    runner = make_runner(gan, hyperparameters, PIXELS, mode='pmap', devices=jax.devices()[:2], capacity=4)
    start = init_state(gan, hyperparameters, 7)
    rows = [runner.fetch(runner.run(runner.place(start), 1)[1]) for _ in range(2)]
    np.testing.assert_array_equal(*rows)


def test_auto_takes_all_devices():
    for count in (1, 2):
        gan, hyperparameters = small_gan('wgan', batch_size=4)
        assert make_runner(gan, hyperparameters, PIXELS, devices=jax.devices()[:count]).num_devices == count


@pytest.mark.parametrize('mode', ['auto', 'pmap'])
def test_uneven_shares_are_refused(mode):
    # Fails if devices are left idle without a word.
    for size, would in ((5, '4 or 6'), (1, '2')):
        gan, hyperparameters = small_gan('wgan', batch_size=size)
        message = f'batch_size={size} cannot be shared evenly by 2 devices: {would} would do, or parallel=jit'
        with pytest.raises(ValueError, match=message):
            make_runner(gan, hyperparameters, PIXELS, mode=mode, devices=jax.devices()[:2])
    gan, hyperparameters = small_gan('wgan', batch_size=5)
    assert make_runner(gan, hyperparameters, PIXELS, mode='jit', devices=jax.devices()[:2]).num_devices == 1
