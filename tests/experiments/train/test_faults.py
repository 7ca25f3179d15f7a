"""A failed write ends a run with an error that names the file; the same call then continues to the same bits."""

import json
import threading

import numpy as np
import pytest

import wgan_jax
from experiments.train.lipschitz_log import LipschitzLog
from experiments.train.outputs import Events, Figures
from tests.experiments.train.faults import failing
from wgan_jax.files import WriteError
from wgan_jax.training import run
from wgan_jax.training.checkpoint import CheckpointStore

KINDS = ('write', 'fsync', 'rename', 'close')
OTHERS = [pytest.param(kind, marks=pytest.mark.slow) for kind in ('open', 'mkdir')]
SETTINGS = wgan_jax.settings(
    'wgan_gp', arch='mlp', critic_norm='none', width=4, latent_dim=2, batch_size=4, n_critic=1, steps=4
)
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 3), np.uint8)


@pytest.fixture(scope='module', autouse=True)
def compiled_once():
    """The programs of one run serve them all: what is tried here are files."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ('build_gan', 'make_runner'):
            patch.setattr(run, name, _once(getattr(run, name)))
        yield


def _once(make):
    made = []

    def first(*args, **kwargs):
        if not made:
            made.append(make(*args, **kwargs))
        return made[0]

    return first


def train(workdir, everything):
    callbacks = [events := Events(1), *([LipschitzLog(events), Figures()] if everything else [])]
    return wgan_jax.train(
        SETTINGS, workdir, dataset=IMAGES, callbacks=callbacks, checkpoint_every=2, sample_every=2, log_every=1,
        keep_checkpoints=1,
    )  # fmt: skip


def outcome(workdir):
    """All of a run that is the same whenever it is run."""
    rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
    numbers = [{k: v for k, v in row.items() if k not in ('seconds', 'images_per_second')} for row in rows]
    store = CheckpointStore(workdir / 'checkpoints')
    arrays = {name: array.tobytes() for name, array in store.choose().arrays.items()}
    pictures = {path.name: path.read_bytes() for path in sorted((workdir / 'samples').iterdir())}
    slopes = [path.read_text() for path in workdir.glob('lipschitz.jsonl')]
    names = {path.name for path in workdir.iterdir()} - {'damaged'}
    return numbers, arrays, pictures, slopes, names, store.steps()


@pytest.fixture(scope='module', params=[False, pytest.param(True, marks=pytest.mark.slow)], ids=['short', 'everything'])
def undisturbed(request, tmp_path_factory):
    """Whether everything is written, what a run comes to, and on which path each call of each kind acts."""
    train(tmp_path_factory.mktemp('first') / 'run', request.param)
    paths = {}
    for kind in (*KINDS, 'open', 'mkdir'):
        workdir = tmp_path_factory.mktemp(kind) / 'run'
        with failing(workdir, kind, 0) as faults:
            train(workdir, request.param)
        paths[kind] = faults.paths
    return request.param, outcome(workdir), paths


@pytest.mark.parametrize('kind', [*KINDS, *OTHERS])
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
            train(workdir, everything)
        assert threading.active_count() <= threads, (number, faults.paths[number - 1])
        train(workdir, everything)
        assert outcome(workdir) == wanted, (number, faults.paths[number - 1])
