"""What lies under a launcher's names and is not its own is moved aside; what is its own is replaced."""

import pytest

from experiments.common import written


def _call(folder, content, *, end=True):
    written.begin(folder, ['a.png', 'more/*.png'], folder)
    (folder / 'a.png').write_text(content)
    if end:
        written.finish(folder)


@pytest.mark.parametrize('name', ['a.png', 'more/1.png'])
def test_a_file_of_somebody_else_s_is_moved_aside(name, tmp_path, caplog):
    _call(tmp_path, 'one')
    (tmp_path / 'more').mkdir(exist_ok=True)
    (tmp_path / name).write_text('mine')
    _call(tmp_path, 'two')
    assert (tmp_path / 'damaged' / name.rpartition('/')[2]).read_text() == 'mine'
    assert caplog.text.count('is not as the call before has left it') == 1
    assert (tmp_path / 'a.png').read_text() == 'two'


def test_its_own_are_not_and_of_a_call_that_was_ended_nothing_is_known(tmp_path, caplog):
    for end in (True, True, False, True):
        _call(tmp_path, f'{end}', end=end)
    (tmp_path / '.written.json').unlink()  # as of a version that had none
    (tmp_path / 'a.png').write_text('of before')
    _call(tmp_path, 'again')
    assert not caplog.records and not (tmp_path / 'damaged').exists()


@pytest.mark.parametrize(
    'text', ['', '[]', '{"files": 3}', '{"files": {"a.png": 1}}', '{"files": {"a.png": [1e999, 2]}}']
)
def test_where_a_list_cannot_be_read_all_is_moved_aside(text, tmp_path, caplog):
    # Fails if a file that nothing is known of is written over because the list is damaged.
    (tmp_path / 'a.png').write_text('there')
    (tmp_path / '.written.json').write_text(text)
    written.begin(tmp_path, ['a.png'], tmp_path)
    assert (tmp_path / 'damaged' / 'a.png').read_text() == 'there' and not (tmp_path / 'a.png').exists()
    assert caplog.text.count('is not as the call before has left it') == 1
