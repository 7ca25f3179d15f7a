"""What stands in a run's folder before it goes on: other settings, damage, leftovers, what others have put there."""

import json
import os
import shutil
import tempfile

import jax
import numpy as np
import pytest
from PIL import Image

import wgan_jax
from tests.training.runs import EVERY, IMAGES, arrays, metrics, stopped, tiny
from wgan_jax import files
from wgan_jax.json_files import read_json, write_json
from wgan_jax.training import run
from wgan_jax.training.callbacks import Callback
from wgan_jax.training.checkpoint import CheckpointStore

pytestmark = pytest.mark.usefixtures('compiled_once')


def test_without_its_config_a_run_goes_on_under_its_own_settings_only(tmp_path):
    stopped(tmp_path / 'run')
    straight = wgan_jax.train(tiny(), tmp_path / 'straight', dataset=IMAGES, **EVERY)
    config = tmp_path / 'run' / 'config.json'
    config.unlink()
    for changes, named in (
        ({'seed': 1}, 'seed: 0 -> 1'),
        ({'critic_lr': 5e-4}, 'critic_lr: 0.0001 -> 0.0005'),
        ({'n_critic': 2}, 'n_critic: 1 -> 2'),
    ):
        with pytest.raises(ValueError, match=rf'made with other settings.*{named}'):
            wgan_jax.train(tiny(**changes), tmp_path / 'run', dataset=IMAGES, **EVERY)
    with pytest.raises(ValueError, match=r'made with other settings.*dataset: array'):
        wgan_jax.train(tiny(), tmp_path / 'run', dataset=255 - IMAGES, **EVERY)
    assert not config.exists() and CheckpointStore(tmp_path / 'run' / 'checkpoints').steps() == [4]
    assert wgan_jax.train(tiny(), tmp_path / 'run', dataset=IMAGES, **EVERY).step == straight.step
    assert json.loads(config.read_text())['settings']['seed'] == 0
    for name, array in arrays(tmp_path / 'straight')[1].items():
        assert arrays(tmp_path / 'run')[1][name].tobytes() == array.tobytes()


def test_checkpoints_that_do_not_say_of_which_run_need_its_config(tmp_path):
    stopped(tmp_path)
    found, _ = CheckpointStore(tmp_path / 'checkpoints').newest()
    files.remove_tree(tmp_path / 'checkpoints' / '4')
    CheckpointStore(tmp_path / 'checkpoints', keep=3).save(4, found.arrays)  # as of a version that did not record it
    config = (tmp_path / 'config.json').read_text()
    (tmp_path / 'config.json').unlink()
    with pytest.raises(ValueError, match=r'neither a config\.json nor they say of which run'):
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    (tmp_path / 'config.json').write_text(config)
    assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12


def test_a_config_that_is_not_the_checkpoints_own_is_refused_by_load_and_train(tmp_path):
    stopped(tmp_path)
    path = tmp_path / 'config.json'
    path.write_text(path.read_text().replace('"latent": "normal"', '"latent": "uniform"'))
    with pytest.raises(ValueError, match=r'other settings.*latent: normal -> uniform'):
        wgan_jax.load(tmp_path)
    with pytest.raises(ValueError, match=r'other settings.*latent: normal -> uniform'):
        wgan_jax.train(tiny(latent='uniform'), tmp_path, dataset=IMAGES, **EVERY)


@pytest.mark.parametrize(
    'text, message',
    [
        ('', 'is not valid JSON'),
        ('[' * 10_000, 'nested too deeply'),
        ('[]', 'holds the results of something else'),
        ('{"launcher": "train"}', "has no 'settings'"),
        ('{"launcher": "train", "settings": {}}', "has no 'dataset'"),
        ('{"launcher": "train", "settings": 3, "dataset": {}}', 'settings must be an object, not 3'),
        ('{"launcher": NaN}', 'is not valid JSON'),
    ],
)
def test_a_damaged_config_is_one_line(text, message, tmp_path):
    stopped(tmp_path)
    (tmp_path / 'config.json').write_text(text)
    for call in (lambda: wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY), lambda: wgan_jax.load(tmp_path)):
        with pytest.raises(ValueError, match=message) as raised:
            call()
        assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize('name, value', [('width', '8'), ('width', 2.5), ('clip', None), ('latent_dim', 0), ('x', 1)])
def test_a_setting_of_another_kind_in_a_config_is_named(name, value, tmp_path):
    stopped(tmp_path)
    config = read_json(tmp_path / 'config.json')
    config['settings'][name] = value
    (tmp_path / 'config.json').write_text(json.dumps(config))
    with pytest.raises(ValueError, match=rf'config\.json is not the configuration of a training run.*{name}'):
        wgan_jax.load(tmp_path)


def test_metrics_that_are_gone_are_said(tmp_path, caplog):
    stopped(tmp_path)
    (tmp_path / 'metrics.jsonl').unlink()
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    assert 'the lines from step 1 to 4 are lost' in caplog.text
    assert [row['step'] for row in metrics(tmp_path)] == list(range(5, 13))


def test_a_truncated_results_file_is_made_again(tmp_path, caplog):
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    whole = read_json(tmp_path / 'results.json')
    (tmp_path / 'results.json').write_text('{"steps": 1')
    (tmp_path / '.manifest.json').unlink()  # of a version that had none
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    again = read_json(tmp_path / 'results.json')
    assert again['final'] == whole['final'] and 'results.json is not valid JSON' in caplog.text
    assert (tmp_path / 'damaged' / 'results.json').read_text() == '{"steps": 1'


def test_leftovers_of_killed_processes_go_and_never_more_checkpoints_than_asked_stay(tmp_path):
    for step in ('4', '8'):
        stop = tmp_path / 'checkpoints' / step
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, should_stop=stop.exists, **EVERY)
    for name in ('.tmp-1.config.json', 'samples/.tmp-2.step_00000008.png', 'checkpoints/.tmp-3.1/a',
                 'checkpoints/9.orbax-checkpoint-tmp/b', 'checkpoints/.tmp-4.9.orbax-checkpoint-tmp/c',
                 'samples/step_00000009.png'):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY, keep_checkpoints=1)
    assert not [path for path in tmp_path.rglob('*') if 'tmp' in path.name]
    assert CheckpointStore(tmp_path / 'checkpoints').steps() == [12]
    assert not (tmp_path / 'samples' / 'step_00000009.png').exists()


def test_a_healthy_run_warns_of_nothing_however_often_it_is_stopped(tmp_path, caplog):
    for stop_at in (4, 8, 12):
        stop = tmp_path / 'checkpoints' / str(stop_at)
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, should_stop=stop.exists, **EVERY)
    assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12
    assert not [record for record in caplog.records if record.name.startswith('wgan_jax')]


@pytest.mark.parametrize('name', ['.lock', 'config.json', 'metrics.jsonl', 'results.json', '.manifest.json'])
def test_a_pipe_in_the_place_of_a_file_does_not_block(name, tmp_path):
    stopped(tmp_path)
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    try:
        assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12
    except ValueError as error:
        assert name in ('.lock', 'config.json') and len(str(error).splitlines()) == 1


def test_a_checkpoint_under_another_step_s_name_is_damage(tmp_path, caplog):
    stopped(tmp_path)
    shutil.copytree(tmp_path / 'checkpoints' / '4', tmp_path / 'checkpoints' / '8')
    with pytest.raises(ValueError, match='it was made at step 4'):
        wgan_jax.load(tmp_path, 8)
    assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12
    assert 'it was made at step 4' in caplog.text and CheckpointStore(tmp_path / 'checkpoints').steps() == [4, 8, 12]
    assert wgan_jax.load(tmp_path, 8).step == 8


def test_a_run_without_its_checkpoints_is_not_begun_anew(tmp_path):
    # Fails if the results of a run that was copied without them are removed in silence.
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    shutil.rmtree(tmp_path / 'checkpoints')
    before = {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
    with pytest.raises(ValueError, match='whose checkpoints are gone: put them back'):
        wgan_jax.train(tiny(steps=4), tmp_path, dataset=IMAGES, **EVERY)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}


def test_files_of_the_user_are_moved_aside_before_a_run_begins(tmp_path, caplog):
    class Writer(Callback):
        files = ('curve.png', 'events/*')

    names = ('results.json', 'samples/step_00000100.png', 'metrics.jsonl', 'curve.png', 'events/a')
    for name in (*names, 'other.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('mine')
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, callbacks=[Writer()], **EVERY)
    assert caplog.text.count('it is of no run that is known here') == len(names)
    assert {path.name for path in (tmp_path / 'damaged').iterdir()} == {name.rpartition('/')[2] for name in names}
    assert {path.read_text() for path in (tmp_path / 'damaged').iterdir()} == {'mine'}
    assert (tmp_path / 'other.png').read_text() == 'mine'


def test_a_list_that_is_gone_is_missed(tmp_path, caplog):
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    (tmp_path / '.manifest.json').unlink()
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    assert 'whether it is damaged cannot be told' in caplog.text
    caplog.clear()
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    assert not caplog.text


def test_networks_that_have_changed_before_the_first_checkpoint_are_said(tmp_path, caplog):
    for seed in (0, 3):
        wgan_jax.train(tiny(seed=seed), tmp_path / str(seed), dataset=IMAGES, **EVERY)
    begun = tiny(init_from=str(tmp_path / '0'))

    def fail(record):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        wgan_jax.train(begun, tmp_path / 'run', dataset=IMAGES, callbacks=[fail], **EVERY)
    shutil.rmtree(tmp_path / '0')
    (tmp_path / '3').rename(tmp_path / '0')
    wgan_jax.train(begun, tmp_path / 'run', dataset=IMAGES, **EVERY)
    assert 'has changed since' in caplog.text and 'it is begun anew' in caplog.text


def test_a_run_is_not_continued_with_other_numbers_of_jax(tmp_path):
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    other = pytest.raises(ValueError, match='jax_default_matmul_precision: as by default -> bfloat16')
    with jax.default_matmul_precision('bfloat16'), other:
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    with jax.default_matmul_precision('default'):
        assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12
    # One of before this was recorded is continued whatever there is now.
    config = read_json(tmp_path / 'config.json')
    del config['jax']
    found, _ = CheckpointStore(tmp_path / 'checkpoints').newest()
    shutil.rmtree(tmp_path / 'checkpoints')
    del found.run['jax']
    CheckpointStore(tmp_path / 'checkpoints', keep=3).save(12, found.arrays, found.run)
    write_json(tmp_path / 'config.json', config)
    with jax.default_matmul_precision('bfloat16'):
        assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12


@pytest.mark.parametrize('name', ['metrics.jsonl', 'samples', 'results.json'])
def test_what_this_user_may_not_read_is_refused_and_left_alone(name, tmp_path, monkeypatch):
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    before = sorted(tmp_path.rglob('*'))
    access = os.access
    monkeypatch.setattr(os, 'access', lambda path, mode: str(path) != str(tmp_path / name) and access(path, mode))
    with pytest.raises(ValueError, match='is it yours'):
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    assert sorted(tmp_path.rglob('*')) == before


def test_a_folder_made_for_a_call_that_is_refused_goes_again(tmp_path):
    (tmp_path / 'mine').mkdir()
    for name in ('new', 'newer/and/newest', 'mine'):
        with pytest.raises(ValueError, match='nowhere is not the folder of a training run'):
            wgan_jax.train(tiny(init_from='nowhere'), tmp_path / name, dataset=IMAGES, **EVERY)
    assert [path.name for path in tmp_path.rglob('*')] == ['mine']


@pytest.mark.parametrize('name', ['lr=[0.1]', '[n=*?{a,b}', '\\b%20é\n', os.fsdecode(b'\xff')])
def test_any_name_of_a_folder_will_do(name, tmp_path, monkeypatch):
    # Fails if a checkpoint is written that cannot be read again, which Orbax does in silence under names with brackets.
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'of [1]'))
    stopped(tmp_path / name)
    generator = wgan_jax.train(tiny(), tmp_path / name, dataset=IMAGES, **EVERY)
    read = wgan_jax.load(tmp_path / name)
    for mine, loaded in zip(jax.tree.leaves(generator.variables), jax.tree.leaves(read.variables), strict=True):
        np.testing.assert_array_equal(mine, loaded)


@pytest.mark.parametrize('copied', [('config.json', 'results.json'), ('config.json', 'metrics.jsonl')])
def test_a_copy_without_checkpoints_and_hidden_files_is_not_begun_anew(copied, tmp_path):
    wgan_jax.train(tiny(), tmp_path / 'run', dataset=IMAGES, **EVERY)
    (tmp_path / 'copy').mkdir()
    for name in copied:
        shutil.copy(tmp_path / 'run' / name, tmp_path / 'copy' / name)
    with pytest.raises(ValueError, match='whose checkpoints are gone: put them back'):
        wgan_jax.train(tiny(steps=4), tmp_path / 'copy', dataset=IMAGES, **EVERY)
    for name in copied:
        assert (tmp_path / 'copy' / name).read_bytes() == (tmp_path / 'run' / name).read_bytes()


def test_a_run_that_ended_before_its_first_checkpoint_is_begun_again(tmp_path):
    def fail(record):
        if record['step'] == 4:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, callbacks=[fail], **EVERY)
    assert len(metrics(tmp_path)) == 4
    assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12


@pytest.mark.parametrize('when', ['start', 'finish'])
def test_a_call_that_fails_as_it_begins_or_ends_leaves_the_list_in_force(when, tmp_path, caplog):
    class Failing(Callback):
        files = ('own.txt',)

        def start(self, run):
            (tmp_path / 'own.txt').write_text(f'{when} 1')
            if when == 'start' and int(run.state.step):
                raise ZeroDivisionError

        def finish(self, results):
            (tmp_path / 'own.txt').write_text('2')
            raise ZeroDivisionError

    stopped(tmp_path)
    with pytest.raises(ZeroDivisionError):
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, callbacks=[Failing()], **EVERY)
    text = (tmp_path / 'metrics.jsonl').read_text()
    (tmp_path / 'metrics.jsonl').write_text(text.replace('"penalty": ', '"penalty": 1', 1))
    (tmp_path / 'away').mkdir()
    (tmp_path / 'checkpoints').rename(tmp_path / 'away' / 'checkpoints')
    with pytest.raises(ValueError, match='whose checkpoints are gone'):
        wgan_jax.train(tiny(steps=4), tmp_path, dataset=IMAGES, **EVERY)
    (tmp_path / 'away' / 'checkpoints').rename(tmp_path / 'checkpoints')
    assert not caplog.text
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    assert 'metrics.jsonl: has changed since the run wrote it' in caplog.text and caplog.text.count('WARNING') == 1


@pytest.mark.parametrize('steps', [8, 12])
def test_newer_checkpoints_that_are_gone_are_missed_and_what_does_not_come_again_is_kept(steps, tmp_path, caplog):
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    before = {name: (tmp_path / name).read_bytes() for name in ('metrics.jsonl', 'samples/step_00000012.png')}
    for step in ('8', '12'):
        shutil.rmtree(tmp_path / 'checkpoints' / step)
    assert wgan_jax.train(tiny(steps=steps), tmp_path, dataset=IMAGES, **EVERY).step == steps
    assert 'the checkpoints after step 4 are gone' in caplog.text and 'the run wrote are gone' not in caplog.text
    damaged = sorted(path.name for path in (tmp_path / 'damaged').iterdir()) if steps == 8 else []
    assert damaged == (['metrics.jsonl', 'results.json', 'step_00000012.png'] if steps == 8 else [])
    place = tmp_path / 'damaged' if steps == 8 else tmp_path / 'samples'
    assert (place / 'step_00000012.png').read_bytes() == before['samples/step_00000012.png']
    if steps == 8:
        assert (tmp_path / 'damaged' / 'metrics.jsonl').read_bytes() == before['metrics.jsonl']


def test_folders_of_the_user_s_among_the_checkpoints_stay(tmp_path):
    stopped(tmp_path)
    names = ('tmp8', '8_tmp', '4.bak', '8_before_tmp_change', 'tmp')
    for name in names:
        shutil.copytree(tmp_path / 'checkpoints' / '4', tmp_path / 'checkpoints' / name)
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    assert {path.name for path in (tmp_path / 'checkpoints').iterdir()} == {'4', '8', '12', *names}


def test_without_a_place_for_a_link_to_a_strange_name_nothing_is_begun(tmp_path, monkeypatch):
    monkeypatch.setattr(os, 'access', lambda path, mode: False)
    with pytest.raises(ValueError, match=r'a\[1\]/checkpoints has characters in its path that Orbax cannot take'):
        wgan_jax.train(tiny(), tmp_path / 'a[1]', dataset=IMAGES, **EVERY)
    assert not list(tmp_path.iterdir())


def _fail_at(step):
    def fail(record):
        if record['step'] == step:
            raise ZeroDivisionError

    return fail


def test_pictures_of_the_user_s_are_no_proof_of_a_checkpoint_and_stay(tmp_path, caplog):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, callbacks=[_fail_at(3)], **EVERY)
        for name in ('step_logo.png', 'step_2024.png'):
            Image.new('L', (3, 3)).save(tmp_path / 'samples' / name)
    assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12
    assert (tmp_path / 'samples' / 'step_2024.png').exists() and not caplog.text


def test_checkpoints_that_come_more_often_now_are_not_missed(tmp_path, monkeypatch):
    with pytest.raises(ZeroDivisionError):
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, callbacks=[_fail_at(11)], **{**EVERY, 'checkpoint_every': 100})
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(run, 'RunFiles', lambda *args, **options: 1 / 0)  # as of a disk that is full just then
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    assert len(metrics(tmp_path)) > 4
    assert wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY).step == 12


def test_an_older_copy_over_a_finished_run_is_noticed(tmp_path, caplog):
    stopped(tmp_path / 'run')
    shutil.copytree(tmp_path / 'run', tmp_path / 'backup')
    wgan_jax.train(tiny(), tmp_path / 'run', dataset=IMAGES, **EVERY)
    whole = (tmp_path / 'run' / 'metrics.jsonl').read_text().splitlines(keepends=True)
    (tmp_path / 'backup' / 'metrics.jsonl').write_text(''.join(whole[:6]))  # which may run ahead of the list
    shutil.copytree(tmp_path / 'backup', tmp_path / 'run', dirs_exist_ok=True)
    wgan_jax.train(tiny(), tmp_path / 'run', dataset=IMAGES, **EVERY)
    assert 'the list of what the run wrote is of step 4, older than its results' in caplog.text
    assert 'the lines after step 6 are lost' in caplog.text
    caplog.clear()
    wgan_jax.train(tiny(), tmp_path / 'run', dataset=IMAGES, **EVERY)
    assert not caplog.text


@pytest.mark.parametrize('inside', ['.', 'state', 'new/one'])
def test_no_run_is_begun_in_a_checkpoint(inside, tmp_path):
    stopped(tmp_path)
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(ValueError, match=r'lies in a checkpoint, .*checkpoints/4: choose another folder'):
        wgan_jax.train(tiny(), tmp_path / 'checkpoints' / '4' / inside, dataset=IMAGES, **EVERY)
    assert sorted(tmp_path.rglob('*')) == before


def test_hidden_files_of_the_user_s_stay(tmp_path):
    names = ('.tmp-work/thesis.txt', '.tmp-notes', 'samples/.tmp-n', '.tmp-1x.a')
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('mine')
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    assert all((tmp_path / name).read_text() == 'mine' for name in names)


def test_a_wide_pattern_of_a_callback_leaves_the_list_and_the_checkpoints_out(tmp_path, caplog):
    class Wide(Callback):
        files = ('*', '**/*')

        def start(self, run):
            (run.workdir / 'own.txt').write_text(str(int(run.state.step)))

    for steps in (8, 12, 12):
        wgan_jax.train(tiny(steps=steps), tmp_path, dataset=IMAGES, callbacks=[Wide()], **EVERY)
    assert not caplog.text and not (tmp_path / 'damaged').exists()
    Wide.files = '*.txt'
    with pytest.raises(ValueError, match=r"files='\*\.txt' of Wide must be a list of patterns"):
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, callbacks=[Wide()], **EVERY)


def test_events_in_a_folder_that_runs_share_are_left_alone(tmp_path):
    (tmp_path / 'shared').mkdir()
    (tmp_path / 'shared' / 'events.out.tfevents.1.other').write_text('of another run')
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'tensorboard').symlink_to(tmp_path / 'shared')

    class Events(Callback):
        files = ('tensorboard/events.out.tfevents.*',)

    wgan_jax.train(tiny(steps=1), tmp_path / 'run', dataset=IMAGES, callbacks=[Events()], **EVERY)
    assert (tmp_path / 'shared' / 'events.out.tfevents.1.other').read_text() == 'of another run'
