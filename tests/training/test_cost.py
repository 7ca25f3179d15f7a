"""The memory that training takes, beside what the compiler says it takes."""

from contextlib import nullcontext

import jax
import pytest

from tests.training.common import small_gan, small_pixels
from wgan_jax.training import cost
from wgan_jax.training.state import init_state
from wgan_jax.training.step import train_step


@pytest.mark.parametrize('preset', ['wgan', 'wgan_gp'])
def test_the_memory_that_training_takes_is_reckoned(preset):
    gan, hyperparameters = small_gan(preset)
    state = init_state(gan, hyperparameters, 0)
    assert cost.state_bytes(gan, hyperparameters) == sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    needed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cost.memory, 'require', lambda number, what: needed.append(number))
        cost.require_memory(gan, hyperparameters, 'this')
    step = jax.jit(lambda state, pixels: train_step(gan, hyperparameters, state, pixels))
    analysis = step.lower(state, small_pixels()).compile().memory_analysis()
    true = analysis.temp_size_in_bytes + analysis.argument_size_in_bytes + analysis.output_size_in_bytes
    assert true / 4 < needed[0] < 4 * true


class _Accelerator:
    device_kind = 'Imagined 8 GB'

    def __init__(self, limit):
        self._limit = limit

    def memory_stats(self):
        return self._limit and {'bytes_limit': self._limit, 'bytes_in_use': 7}


@pytest.mark.parametrize('backend', ['gpu', 'one of which nobody knows'])
@pytest.mark.parametrize('limit, refused', [(10**3, True), (10**11, False), (None, False)])
def test_what_exceeds_an_accelerator_is_refused_before_it_is_compiled(monkeypatch, backend, limit, refused):
    # XLA would look for a program that fits for many minutes. The machine's own memory does not count there.
    gan, hyperparameters = small_gan('wgan')
    monkeypatch.setattr(jax, 'default_backend', lambda: backend)
    monkeypatch.setattr(jax, 'local_devices', lambda: [_Accelerator(limit)])
    monkeypatch.setattr(cost.memory, 'free_bytes', lambda: 10)
    outcome = pytest.raises(ValueError, match=r'^this would take about .* of Imagined 8 GB: take')
    with outcome if refused else nullcontext():
        cost.require_memory(gan, hyperparameters, 'this')
    with pytest.raises(ValueError, match=r'^this would take .* GB are free'):
        cost.require_memory(gan, hyperparameters, 'this', beside=1000)
