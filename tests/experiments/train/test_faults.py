"""A failed write ends a run with an error that names the file; the same call then continues to the same bits."""

import sys
import threading

import pytest

from tests.experiments.train.conftest import outcome, train
from tests.experiments.train.faults import failing
from wgan_jax.files import WriteError

KINDS = ('fsync',)
SLOW = ('write', 'rename', 'close', 'open', 'mkdir')

pytestmark = [
    pytest.mark.usefixtures('compiled_once'),
    pytest.mark.skipif(sys.platform != 'linux', reason='a descriptor tells its path on Linux only'),
]


@pytest.fixture(scope='module', params=[False, pytest.param(True, marks=pytest.mark.long)], ids=['short', 'everything'])
def undisturbed(request, tmp_path_factory):
    """Whether everything is written, what a run comes to, and on which path each call of each kind acts."""
    train(tmp_path_factory.mktemp('first') / 'run', request.param, keep_checkpoints=1)
    paths = {}
    for kind in (*KINDS, *SLOW):
        workdir = tmp_path_factory.mktemp(kind) / 'run'
        with failing(workdir, kind, 0) as faults:
            train(workdir, request.param, keep_checkpoints=1)
        paths[kind] = faults.paths
    return request.param, outcome(workdir), paths


@pytest.mark.parametrize('kind', [*KINDS, *(pytest.param(kind, marks=pytest.mark.slow) for kind in SLOW)])
def test_every_failed_write_ends_the_run_and_loses_nothing(kind, undisturbed, tmp_path):
    everything, wanted, paths = undisturbed
    numbers = range(1, len(paths[kind]) + 1)
    if kind == 'write':  # of many into one file, one after the other, the first
        numbers = [i for i in numbers if i == 1 or paths[kind][i - 1] != paths[kind][i - 2]]
    assert len(numbers) > 3
    threads = threading.active_count()
    for number in numbers:
        workdir = tmp_path / str(number)
        message = r'^cannot write .*: No space left on device$|cannot be written \(No space left on device\)'
        with failing(workdir, kind, number) as faults, pytest.raises((WriteError, ValueError), match=message):
            train(workdir, everything, keep_checkpoints=1)
        assert threading.active_count() <= threads, (number, faults.paths[number - 1])
        train(workdir, everything, keep_checkpoints=1)
        assert outcome(workdir) == wanted, (number, faults.paths[number - 1])
