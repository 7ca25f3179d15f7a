"""Damage to any file of a run: the same call says so and goes on, or is refused in one line; never in silence."""

import functools
import shutil

import pytest

from tests.experiments.train.conftest import outcome, train
from wgan_jax.files import WriteError

pytestmark = pytest.mark.usefixtures('compiled_once')


def _flip(path):
    data = bytearray(path.read_bytes())
    if data:
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


def _folder(path):
    path.unlink()
    path.mkdir()
    (path / 'something').touch()


def _unreadable(path):
    path.unlink()
    path.symlink_to('a' * 300)  # too long a name: nobody can look at it


DAMAGE = {
    'emptied': lambda path: path.write_bytes(b''),
    'truncated': lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    'flipped': _flip,
    'folder': _folder,
    'unreadable': _unreadable,
}
RUNS = ('finished', 'unfinished')
DAILY = ('flipped', 'folder')


@pytest.fixture(scope='module', params=[False, pytest.param(True, marks=pytest.mark.slow)], ids=['short', 'everything'])
def runs(request, tmp_path_factory):
    """A run that is done, one that was stopped after its first checkpoint, what both come to, and how to go on."""
    folder = tmp_path_factory.mktemp('runs')
    train(folder / 'finished', request.param)
    stop = folder / 'unfinished' / 'checkpoints' / '2'
    train(folder / 'unfinished', request.param, should_stop=stop.exists)
    assert not (folder / 'unfinished' / 'results.json').exists()
    return folder, outcome(folder / 'finished'), functools.partial(train, everything=request.param)


def files_of(folder):
    """Every file that something is read from later; of checkpoints, those of the newest, and of its arrays one."""
    newest = max(folder.glob('checkpoints/*'))
    found = [path for path in sorted(folder.rglob('*')) if path.is_file() and path.name != '.lock']
    found = [path for path in found if 'checkpoints' not in path.parts or path.is_relative_to(newest)]
    arrays = [path for path in found if path.parent.name == 'd']
    return [path for path in found if path not in arrays[1:]]


@pytest.mark.parametrize(
    ('run', 'damage'),
    [pytest.param(run, damage, marks=() if damage in DAILY else pytest.mark.slow) for run in RUNS for damage in DAMAGE],
)
def test_damage_to_any_file_is_said(run, damage, runs, tmp_path, caplog):
    folder, wanted, again = runs
    for number, path in enumerate(files_of(folder / run)):
        workdir = tmp_path / str(number)
        shutil.copytree(folder / run, workdir)
        name = path.relative_to(folder / run)
        DAMAGE[damage](workdir / name)
        caplog.clear()
        try:
            again(workdir)
        except ValueError as error:
            assert len(str(error).splitlines()) == 1 and str(workdir) in str(error), (name, error)
            continue
        warned = [record.getMessage() for record in caplog.records if record.name.startswith('wgan_jax')]
        if not warned:
            assert name.parts[0] in ('.manifest.json', 'checkpoints'), name  # of which not every byte is needed
            assert outcome(workdir) == wanted, name
        else:
            assert again(workdir).step == 4, name


@pytest.mark.parametrize('name', ['checkpoints', 'samples', 'tensorboard', 'damaged', 'config.json', 'metrics.jsonl'])
def test_a_file_where_a_folder_belongs_and_the_other_way_round(name, runs, tmp_path, caplog):
    folder, _, again = runs
    for run in RUNS:
        workdir = tmp_path / run
        shutil.copytree(folder / run, workdir)
        place = workdir / name
        if '.' in name:
            place.unlink()
            place.mkdir()
        else:
            shutil.rmtree(place, ignore_errors=True)
            place.write_text('mine')
        caplog.clear()
        try:
            again(workdir)
        except ValueError as error:
            assert name in ('checkpoints', 'config.json') and len(str(error).splitlines()) == 1
        else:
            assert name == 'damaged' or name in caplog.text


def test_events_that_are_removed_under_a_run_end_it(tmp_path, runs):
    *_, again = runs

    def remove():
        if (tmp_path / 'run' / 'checkpoints' / '2').exists():
            shutil.rmtree(tmp_path / 'run' / 'tensorboard')
        return False

    with pytest.raises(WriteError, match=r'tensorboard: the events that the run wrote were moved or removed'):
        again(tmp_path / 'run', should_stop=remove)
    assert again(tmp_path / 'run').step == 4
