"""``train --log_to=wandb`` with a module of that name that keeps what it is told."""

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import wgan_jax
from experiments.train.wandb_log import WandbLog
from tests.experiments.train.conftest import IMAGES, SETTINGS
from wgan_jax.training.callbacks import Callback
from wgan_jax.training.watch import Looks

pytestmark = pytest.mark.usefixtures('compiled_once')

# Like wandb, it remembers runs by their names, drops what comes for a step that is past, and takes a step once more
# while it is the newest.
FAKE = """
RUNS = {}


class Image:
    def __init__(self, pixels):
        self.pixels = pixels


class Run:
    def __init__(self, **settings):
        self.settings, self.step, self.rows, self.dropped, self.summary, self.ends = settings, 0, [], [], {}, []

    def log(self, values, step):
        (self.rows if step >= self.step else self.dropped).append((step, values))
        self.step = max(self.step, step)

    def finish(self, exit_code=0):
        self.ends.append(exit_code)


def init(**settings):
    if settings['project'] == 'nobody':
        raise RuntimeError('no API key')
    run = RUNS.setdefault(settings['id'], Run(**settings))
    run.step += bool(run.rows)  # what is resumed begins after its last step
    return run
"""


@pytest.fixture
def wandb(tmp_path, monkeypatch):
    (tmp_path / 'path').mkdir()
    (tmp_path / 'path' / 'wandb.py').write_text(FAKE)
    monkeypatch.syspath_prepend(str(tmp_path / 'path'))
    monkeypatch.delitem(sys.modules, 'wandb', raising=False)
    import wandb

    yield wandb
    del sys.modules['wandb']


def _train(workdir, should_stop=lambda: False, callback=None):
    options = {'checkpoint_every': 2, 'sample_every': 4, 'log_every': 1, 'should_stop': should_stop}
    return wgan_jax.train(SETTINGS, workdir, dataset=IMAGES, callbacks=[callback or WandbLog(1)], **options)


@pytest.mark.slow
def test_a_run_that_is_continued_goes_on_in_the_same_one(wandb, tmp_path):
    # Fails for a name that is drawn anew, a step that is logged twice or not at all, and samples that come too late.
    workdir = tmp_path / 'run'
    _train(workdir, should_stop=(workdir / 'checkpoints' / '2').exists)
    name = json.loads((workdir / 'wandb.json').read_text())['id']
    assert re.fullmatch('[0-9a-f]{8}', name) and wandb.RUNS[name].ends == [1]
    _train(workdir)
    assert list(wandb.RUNS) == [name]
    run = wandb.RUNS[name]
    rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
    logged = [values for _, values in run.rows if 'critic_loss' in values]
    assert [values['critic_loss'] for values in logged] == [row['critic_loss'] for row in rows]
    (shown,) = [values['samples'].pixels for step, values in run.rows if 'samples' in values]
    assert shown.dtype == np.uint8 and shown.shape[-1] == 3 and run.dropped == []
    assert run.summary['critic_loss'] == pytest.approx(rows[-1]['critic_loss']) and run.ends == [1, 0]
    assert run.settings['config']['width'] == 4 and run.settings['name'] == 'run'
    assert Path(run.settings['dir']) == workdir and run.settings['resume'] == 'allow'


@pytest.mark.slow
def test_steps_that_are_there_already_are_not_logged_again(wandb, tmp_path):
    # As after kill -9, which loses what came after the checkpoint here, and not there.
    workdir = tmp_path / 'run'
    _train(workdir, should_stop=(workdir / 'checkpoints' / '2').exists)
    (run,) = wandb.RUNS.values()
    run.log({'critic_loss': 7.0}, 3)
    _train(workdir)
    steps = [step for step, values in run.rows if 'critic_loss' in values]
    assert steps == [1, 2, 3, 4] and run.dropped == []


def _started(workdir, step):
    workdir.mkdir(exist_ok=True)
    log = WandbLog(10)
    log.start(SimpleNamespace(workdir=workdir, settings=SETTINGS, state=SimpleNamespace(step=np.int32(step))))
    return log


def _rows(*steps):
    return [{**dict.fromkeys(Looks._fields), 'step': step, 'critic_loss': float(step)} for step in steps]


def test_a_run_is_found_again_and_takes_each_step_once(wandb, tmp_path):
    # As after kill -9, which loses what came after the checkpoint here, and not there; a run that begins anew, at
    # step 0, is another. Fails for a name that is drawn anew or kept, a step that comes twice, or none.
    log = _started(tmp_path / 'run', 0)
    log.metrics(_rows(5, 10))
    log.metrics([{**_rows(15)[0], 'diversity': 0.5}])
    log.sample(15, None, np.zeros((2, 8, 8, 3)))
    log.close()
    again = _started(tmp_path / 'run', 10)
    again.metrics(_rows(*range(11, 21)))
    again.finish({'final': {'critic_loss': 2.0}})
    again.close()
    (run,) = wandb.RUNS.values()
    assert [step for step, _ in run.rows] == [10, 15, 15, 20] and run.dropped == [] and run.ends == [1, 0]
    assert run.rows[1][1]['diversity'] == 0.5 and 'gap' not in run.rows[1][1]
    assert run.summary == {'critic_loss': 2.0}
    _started(tmp_path / 'run', 0)
    assert len(wandb.RUNS) == 2
    (tmp_path / 'run' / 'wandb.json').write_text('{')
    _started(tmp_path / 'run', 10)
    assert len(wandb.RUNS) == 3


def test_what_wandb_needs_is_said_in_one_line(wandb, tmp_path, monkeypatch):
    monkeypatch.setenv('WANDB_PROJECT', 'nobody')
    with pytest.raises(ValueError, match=r'wandb cannot begin \(no API key\): log in \(wandb login\), set WANDB_MODE'):
        _started(tmp_path / 'run', 0)
    for missing in (None, type(sys)('wandb')):  # and a folder of that name, which is a package without anything
        monkeypatch.setitem(sys.modules, 'wandb', missing)
        with pytest.raises(ValueError, match='wandb is not installed: pip install wandb, or leave it out'):
            WandbLog(1)


@pytest.mark.slow
def test_the_callback_in_the_documentation_does_as_much(wandb, tmp_path):
    # Fails if the example does not run, or loses or repeats a step when the run is continued.
    document = (Path(wgan_jax.__file__).parent / 'training' / 'CALLBACKS.md').read_text()
    names = {}
    exec(document.split('```python\n')[1].split('```')[0], names)
    workdir = tmp_path / 'run'
    _train(workdir, (workdir / 'checkpoints' / '2').exists, names['ToWandb']())
    _train(workdir, callback=names['ToWandb']())
    (run,) = wandb.RUNS.values()
    assert [step for step, values in run.rows if 'critic_loss' in values] == [1, 2, 3, 4] and run.dropped == []
    assert [len(values['samples']) for _, values in run.rows if 'samples' in values] == [8]
    methods = {name for name in vars(Callback) if not name.startswith('_')} - {'files'}
    assert set(re.findall(r'^\| `(\w+)\(', document, re.MULTILINE)) == methods
