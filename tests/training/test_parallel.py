"""Data parallelism on two virtual devices against one device."""

import jax
import numpy as np
import pytest

from tests.training.common import small_gan, small_pixels
from wgan_jax.training.parallel import make_runner
from wgan_jax.training.state import init_state

PIXELS = small_pixels()


def _run(mode, devices, preset, steps=3, **changes):
    gan, numbers = small_gan(preset, **changes)
    runner = make_runner(gan, numbers, PIXELS, mode=mode, devices=jax.devices()[:devices], capacity=4)
    state, rows = runner.run(runner.place(init_state(gan, numbers, 7)), steps)
    return runner, state, runner.fetch(rows)[:steps]


# Batch statistics, per-example latents, augmentation and interpolates: whatever depended on the device would show.
# Adam's first steps are the sign of the gradient, so parameters are compared where RMSProp or a small rate allow it.
@pytest.mark.parametrize('preset, changes', [('wgan', {}), ('flags', {'augment': 'diff'})])
def test_two_devices_train_as_one(preset, changes):
    _, _, one = _run('jit', 1, preset, **changes)
    runner, _, two = _run('pmap', 2, preset, **changes)
    assert runner.num_devices == 2
    np.testing.assert_allclose(two[0], one[0], rtol=2e-4, atol=1e-5)
    np.testing.assert_allclose(two, one, rtol=0.02, atol=1e-3)


@pytest.mark.parametrize('preset', ['wgan', 'wgan_gp'])
def test_replicas_stay_equal(preset):
    _, state, _ = _run('pmap', 2, preset)
    for leaf in jax.tree.leaves(state):
        first, second = (np.asarray(shard.data) for shard in leaf.addressable_shards)
        np.testing.assert_array_equal(first, second)


def test_donation_leaves_the_callers_state_alone():
    gan, numbers = small_gan('wgan')
    runner = make_runner(gan, numbers, PIXELS, mode='pmap', devices=jax.devices()[:2], capacity=4)
    start = init_state(gan, numbers, 7)
    rows = [runner.fetch(runner.run(runner.place(start), 1)[1]) for _ in range(2)]
    np.testing.assert_array_equal(*rows)


def test_auto_takes_as_many_devices_as_share_the_batch():
    for batch_size, expected in ((4, 2), (5, 1)):
        gan, numbers = small_gan('wgan', batch_size=batch_size)
        assert make_runner(gan, numbers, PIXELS, devices=jax.devices()[:2]).num_devices == expected


def test_uneven_shares_are_refused():
    gan, numbers = small_gan('wgan', batch_size=5)
    with pytest.raises(ValueError, match='batch_size=5 cannot be shared evenly by 2 devices; 6 would do'):
        make_runner(gan, numbers, PIXELS, mode='pmap', devices=jax.devices()[:2])
