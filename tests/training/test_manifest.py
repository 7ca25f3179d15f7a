"""The list of what a run has written: what grew, what changed, what is gone, and what it may name."""

import json

import pytest

import wgan_jax
from tests.training.runs import EVERY, IMAGES, tiny
from wgan_jax import files
from wgan_jax.json_files import read_json
from wgan_jax.training.callbacks import Callback
from wgan_jax.training.manifest import Manifest

pytestmark = pytest.mark.usefixtures('compiled_once')


def test_what_grows_is_listed_and_what_changes_is_found(tmp_path):
    manifest, path = Manifest(tmp_path, ['*.log']), tmp_path / 'a.log'
    for text in ('one', 'one two', 'one two three'):
        path.write_text(text) if not path.exists() else path.open('a').write(text[len(path.read_text()) :])
        manifest.update(0)
        assert manifest.names() == ['a.log'] and not manifest.changed()
        assert read_json(tmp_path / '.manifest.json')['a.log'] == [len(text), files.file_digest(path, len(text))]
    path.write_text('one two three four')
    assert not manifest.changed()
    for text in ('one two', 'One two three', ''):
        path.write_text(text)
        assert manifest.changed() == [path]
    path.unlink()
    assert not manifest.changed() and manifest.missing() == ['a.log']


@pytest.mark.parametrize('text', ['{', '[1, 2]', '{"metrics.jsonl": 3}'])
def test_a_list_that_cannot_be_read_is_said_and_what_it_held_is_made_again(text, tmp_path, caplog):
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    whole = read_json(tmp_path / 'results.json')['final']
    (tmp_path / '.manifest.json').write_text(text)
    (tmp_path / 'results.json').write_text(json.dumps({'steps': 12, 'final': {'critic_loss': 1.5}}))
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    assert read_json(tmp_path / 'results.json')['final'] == whole and '.manifest.json: has changed' in caplog.text


@pytest.mark.parametrize('text', [None, '', '[]', '{"skipped.txt": [-1, ""]}'])
def test_without_a_list_nothing_of_the_user_s_is_lost(text, tmp_path, caplog):
    # Fails if a file that nothing is known of is removed or written over because the list of what is known is damaged.
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    (tmp_path / 'skipped.txt').write_text('mine')
    (tmp_path / '.manifest.json').unlink() if text is None else (tmp_path / '.manifest.json').write_text(text)
    (tmp_path / 'results.json').unlink()  # so that the run goes on
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    (aside,) = tmp_path.glob('damaged*/skipped.txt')
    assert aside.read_text() == 'mine' and 'skipped.txt' in caplog.text


def test_a_list_names_nothing_else_than_what_a_run_writes(tmp_path):
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    strange = {'.': [3, 'x'], '': [1, 'x'], 'checkpoints': [3, 'x'], 'a\0b': [1, 'x'], 'samples/../x': [1, 'x']}
    (tmp_path / '.manifest.json').write_text(json.dumps(strange))
    assert not Manifest(tmp_path).changed() and not Manifest(tmp_path).missing()


def test_files_of_the_user_s_own_are_left_alone(tmp_path, caplog):
    for text in ('1', '2'):
        (tmp_path / 'fid.json').write_text(text)
        (tmp_path / 'mine.png').write_text(text)
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    assert (tmp_path / 'fid.json').read_text() == '2' and not (tmp_path / 'damaged').exists() and not caplog.records


def test_files_that_are_gone_are_said_once(tmp_path, caplog):
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    (tmp_path / 'samples' / 'step_00000008.png').unlink()
    for _ in range(2):
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, **EVERY)
    assert caplog.text.count('files that the run wrote are gone: samples/step_00000008.png') == 1


@pytest.mark.parametrize(
    'content', ['{"metrics.jsonl": [1e999, "x"]}', '{"metrics.jsonl": [1]}', '[]', '{"metrics.jsonl": 3}', '']
)
def test_a_list_of_something_else_is_named(tmp_path, content):
    (tmp_path / '.manifest.json').write_text(content)
    assert Manifest(tmp_path).changed() == [tmp_path / '.manifest.json']


class Summary(Callback):
    """Writes a file at the end; and fails after that, where that is asked for."""

    files = ('summary.txt',)

    def __init__(self, fail=False):
        self._fail = fail

    def start(self, run):
        self._path = run.workdir / 'summary.txt'

    def finish(self, results):
        self._path.write_text(f'{results["steps"]} steps')
        if self._fail:
            raise KeyboardInterrupt


def test_the_user_s_file_under_the_name_of_a_callback_s_is_moved_aside(tmp_path, caplog):
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, should_stop=lambda: True, callbacks=[Summary()], **EVERY)
    (tmp_path / 'summary.txt').write_text('mine')
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, callbacks=[Summary()], **EVERY)
    assert (
        tmp_path / 'damaged' / 'summary.txt'
    ).read_text() == 'mine' and 'is not known to be of this run' in caplog.text
    assert (tmp_path / 'summary.txt').read_text() == '12 steps'


@pytest.mark.slow
def test_a_callback_s_own_file_is_known_after_calls_without_it_and_after_one_that_was_ended(tmp_path, caplog):
    with pytest.raises(KeyboardInterrupt):
        wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, callbacks=[Summary(fail=True)], **EVERY)
    wgan_jax.train(tiny(), tmp_path, dataset=IMAGES, callbacks=[Summary()], **EVERY)
    for steps, callbacks in ((14, []), (15, []), (16, [Summary()])):
        wgan_jax.train(tiny(steps=steps), tmp_path, dataset=IMAGES, callbacks=callbacks, **EVERY)
    assert (tmp_path / 'summary.txt').read_text() == '16 steps' and not caplog.records
    assert not (tmp_path / 'damaged').exists()


def test_what_lies_behind_a_link_to_another_folder_is_not_listed(tmp_path):
    (tmp_path / 'shared').mkdir()
    (tmp_path / 'shared' / 'other.log').write_text('of another run')
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'logs').symlink_to(tmp_path / 'shared')
    manifest = Manifest(tmp_path / 'run', ['logs/*.log'])
    manifest.update(0)
    assert not manifest.files() and not manifest.names()
