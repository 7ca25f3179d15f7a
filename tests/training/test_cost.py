"""The memory that training takes, beside what the compiler says it takes."""

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
