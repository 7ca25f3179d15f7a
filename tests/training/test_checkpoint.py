"""Checkpoints: what comes back is what was saved, and damage of any kind is noticed."""

import jax
import numpy as np
import pytest

from tests.training.common import small_gan
from wgan_jax.training.checkpoint import CheckpointStore, flatten, unflatten
from wgan_jax.training.state import init_state


@pytest.fixture(scope='module')
def state():
    gan, hyperparameters = small_gan('wgan')
    return jax.tree.map(np.asarray, init_state(gan, hyperparameters, 3))


RUN = {'settings': {'seed': 3}, 'dataset': {'fingerprint': 'ab'}}


def _store(folder, state, steps=(1, 2)):
    store = CheckpointStore(folder / 'checkpoints', keep=5)
    for step in steps:
        store.save(step, state._replace(step=np.int32(step) + np.zeros((), np.int32)), RUN)
    return store


def test_round_trip_keeps_every_bit(tmp_path, state):
    store = _store(tmp_path, state)
    found, damaged = store.newest()
    restored = unflatten(state, found.arrays, 'test')
    assert found.step == 2 and found.run == RUN and not damaged and restored.step == 2 and type(restored) is type(state)
    for a, b in zip(jax.tree.leaves(state._replace(step=restored.step)), jax.tree.leaves(restored), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def test_only_the_newest_are_kept(tmp_path, state):
    store = CheckpointStore(tmp_path / 'checkpoints', keep=2)
    for step in (1, 5, 7, 9):
        store.save(step, state)
    assert store.steps() == [7, 9]


def test_more_than_are_kept_go_with_the_next_and_so_do_leftovers(tmp_path, state):
    _store(tmp_path, state, steps=(1, 2, 3))
    folder = tmp_path / 'checkpoints'
    for name in ('4.orbax-checkpoint-tmp', '.tmp-77.1', '0031', '5'):
        (folder / name).mkdir()
        (folder / name / 'some').touch()
    (folder / '6').touch()
    store = CheckpointStore(folder, keep=2)
    assert store.steps() == [1, 2, 3, 5] and len(list(folder.glob('*tmp*'))) == 2  # nothing is done by looking
    store.save(6, state)
    store.save(7, state)
    assert store.steps() == [6, 7] and not list(folder.glob('*tmp*'))
    assert (folder / '0031').is_dir() and (tmp_path / 'damaged' / '6').is_file()


def _largest_file(folder):
    return max((p for p in folder.rglob('*') if p.is_file()), key=lambda p: p.stat().st_size)


def _flip(folder):
    path = _largest_file(folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _truncate(folder):
    path = _largest_file(folder)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _empty(folder):
    for path in sorted(folder.rglob('*'), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()


def _lose_seal(folder):
    (folder / 'files.json').unlink()


def _append(folder):
    with open(_largest_file(folder), 'ab') as file:
        file.write(b'x')


@pytest.mark.parametrize('damage', [_flip, _truncate, _empty, _lose_seal, _append])
def test_damaged_newest_is_named_and_the_one_before_is_used(tmp_path, state, damage, caplog):
    _store(tmp_path, state)
    damage(tmp_path / 'checkpoints' / '2')
    store = CheckpointStore(tmp_path / 'checkpoints', keep=5)
    found, damaged = store.newest()
    assert found.step == 1 and unflatten(state, found.arrays, 'test').step == 1
    assert list(damaged) == [2] and str(tmp_path / 'checkpoints' / '2') in damaged[2]
    store.set_aside(damaged)
    assert caplog.text.count('damaged checkpoint') == 1
    assert store.steps() == [1] and (tmp_path / 'damaged' / '2').is_dir()
    store.save(2, state)  # the run comes to the same step again
    assert store.steps() == [1, 2]


@pytest.mark.parametrize('name', ['', 'state', 'state/d'])
def test_what_this_user_may_not_read_is_not_called_damaged(unprivileged, state, name):
    _store(unprivileged, state)
    (unprivileged / 'checkpoints' / '2' / name).chmod(0)
    with pytest.raises(ValueError, match='2 cannot be read'):
        CheckpointStore(unprivileged / 'checkpoints').newest()
    (unprivileged / 'checkpoints' / '2' / name).chmod(0o700)


def test_reader_passes_over_damage_and_moves_nothing(tmp_path, state, caplog):
    _store(tmp_path, state)
    _flip(tmp_path / 'checkpoints' / '2')
    store = CheckpointStore(tmp_path / 'checkpoints')
    assert store.choose().step == 1 and caplog.text.count('damaged checkpoint') == 1
    assert store.steps() == [1, 2]


def test_damage_everywhere_is_an_error_and_loses_nothing(tmp_path, state):
    _store(tmp_path, state)
    for step in ('1', '2'):
        _flip(tmp_path / 'checkpoints' / step)
    store = CheckpointStore(tmp_path / 'checkpoints', keep=5)
    with pytest.raises(ValueError, match='no sound checkpoint is left'):
        store.newest()
    assert store.steps() == [1, 2]


def test_a_save_that_was_cut_off_is_ignored(tmp_path, state):
    store = _store(tmp_path, state)
    (tmp_path / 'checkpoints' / '3.orbax-checkpoint-tmp-0').mkdir()
    assert store.newest()[0].step == 2


def test_another_record_of_the_run_is_damage(tmp_path, state):
    store = _store(tmp_path, state)
    seal = tmp_path / 'checkpoints' / '2' / 'files.json'
    seal.write_text(seal.read_text().replace('"seed": 3', '"seed": 4'))
    assert store.newest()[0].step == 1


def test_another_network_is_named(state):
    arrays = flatten(state)
    name = next(n for n in arrays if n.startswith('params/critic'))
    with pytest.raises(ValueError, match=f'here has no {name}'):
        unflatten(state, {k: v for k, v in arrays.items() if k != name}, 'here')
    with pytest.raises(ValueError, match=f'{name} is float32'):
        unflatten(state, {**arrays, name: np.zeros((1, 2), np.float32)}, 'here')
