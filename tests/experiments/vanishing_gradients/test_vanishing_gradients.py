"""The vanishing_gradients launcher: what it says of its probes, and that its parts are kept."""

import json

import numpy as np
import pytest

from experiments.vanishing_gradients.summary import summary
from tests.experiments.processes import done, finish, start

TINY = ('--image_size=16', '--width=2', '--batch_size=2', '--iterations=3', '--draws=2')


def _arrays(seeds):
    # One generator; the gradient of seed s falls from 10^s to 10^-3, the deviation of -log D grows a hundred times.
    moments = np.array([0, 1, 10])
    norms = np.array([[[10.0**s, 2.0], [10.0 ** (s - 1), 2.0], [1e-3, 20.0]] for s in range(seeds)])
    deviations = np.array([[[1.0, 0.1], [1.0, 1.0], [1.0, 10.0]]] * seeds)
    accuracy = np.array([[0.5, 1.0, 1.0] if s else [0.5, 0.7, 0.9] for s in range(seeds)])
    arrays = {
        'iterations': moments, 'standard_gradient_norm': norms[None], 'standard_gradient_std': deviations[None],
        'standard_accuracy': accuracy[None], 'standard_loss': np.full((1, seeds, 3), 0.1),
    }  # fmt: skip
    return arrays | {f'{name}_gradient_norm': np.full((1, seeds, 3, 1), 5.0) for name in ('clip', 'gradient_penalty')}


def test_falls_are_orders_of_magnitude_and_averaged_over_seeds():
    # Fails for natural logarithms, for a rise taken as a fall, for deviations of the other loss, or where a seed that
    # never became perfect makes the others' number.
    row = summary(_arrays(2), [7])['after_7_steps']
    assert row['minimax_gradient_fall'] == pytest.approx(3.5)  # 3 and 4
    assert row['minimax_gradient_fall_std'] == pytest.approx(0.5**0.5)
    assert row['non_saturating_gradient_rise'] == pytest.approx(1)
    assert row['non_saturating_deviation_rise'] == pytest.approx(2)
    assert row['iterations_to_accuracy_1'] == 1 and row['iterations_to_accuracy_1_std'] is None
    assert row['clip_gradient_span'] == 0 and row['seeds']['minimax_gradient_fall'] == pytest.approx([3, 4])


def test_spans_of_critics_are_of_their_own_seeds():
    # Fails if the growth in the first tenth counts, or if there must be as many critics as discriminators.
    arrays = _arrays(2)
    arrays['clip_gradient_norm'] = np.array([[[[1e-9], [1.0], [10.0]], [[1.0], [1.0], [1.0]], [[2.0], [8.0], [8e3]]]])
    row = summary(arrays, [7])['after_7_steps']
    assert row['seeds']['clip_gradient_span'] == pytest.approx([1, 0, 3])
    assert row['clip_gradient_span'] == pytest.approx(4 / 3)


def test_what_no_seed_has_is_none():
    assert summary(_arrays(1), [7])['after_7_steps']['iterations_to_accuracy_1'] is None


@pytest.mark.slow
def test_parts_are_kept_and_joined(tmp_path):
    # Fails if a generator is trained twice or differs when it is read, or if a critic of another seed is taken for one.
    def parts():
        return {path: path.stat().st_mtime_ns for path in (tmp_path / 'probes').iterdir()}

    config, first = done('vanishing_gradients', tmp_path, *TINY, '--generator_steps=2,4')
    assert config['flags']['generator_steps'] == [2, 4] and list(first) == ['after_2_steps', 'after_4_steps']
    before = parts()
    assert len(before) == 2 + 2 * 3
    with np.load(tmp_path / 'probes.npz') as probes:
        norms = probes['standard_gradient_norm']
    assert norms.shape[:2] == (2, 1) and (norms[0] != norms[1]).any()

    for path in tmp_path.glob('probes/generator_2_*'):  # the run has gone past it
        path.unlink()
    done('vanishing_gradients', tmp_path, *TINY, '--generator_steps=2,4', '--seeds=2', '--critic_seeds=3')
    after = parts()
    assert len(after) == 2 + 2 * (2 + 3 + 3) and sum(before.get(path) == time for path, time in after.items()) == 7
    with np.load(tmp_path / 'probes.npz') as probes:
        again = probes['standard_gradient_norm']
        assert probes['clip_gradient_norm'].shape[:2] == (2, 3)
    np.testing.assert_array_equal(again[:, 0], norms[:, 0])
    assert again.shape[1] == 2 and (again[:, 0] != again[:, 1]).any()

    _, other = done('vanishing_gradients', tmp_path, *TINY, '--generator_steps=2,4', '--seed=9')  # in the same folder
    assert other['after_2_steps']['minimax_gradient_fall'] != first['after_2_steps']['minimax_gradient_fall']
    assert after.items() <= parts().items()


@pytest.mark.slow
def test_epochs_are_passes_over_the_dataset(tmp_path):
    options = ('--epochs=1', '--batch_size=128', '--iterations=1', '--image_size=16', '--width=1', '--draws=1')
    code, _, err = finish(start('vanishing_gradients', *options, f'--workdir={tmp_path}'))
    assert code == 0, err
    assert list(json.loads((tmp_path / 'results.json').read_text())) == ['after_2_steps']  # of 256 flags
