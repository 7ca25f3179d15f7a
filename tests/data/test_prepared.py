"""TFDS datasets as others prepared and damaged them: one line, no network, no end that does not come."""

import importlib.util
import json
import logging
import os
import shutil
import socket
import sys
from pathlib import Path

import pytest

from wgan_jax import data
from wgan_jax.data import tfds_images
from wgan_jax.data.fitting import View

TFDS_DIR = Path(os.environ.get('WGAN_JAX_TFDS_DIR', Path(__file__).parents[3] / 'shared' / 'tfds'))
SHARD = 'mnist-test.array_record-00000-of-00001'
INFO = 'dataset_info.json'
pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ('tensorflow_datasets', 'array_record')),
    reason='tensorflow-datasets or array-record is not installed',
)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Whoever looks for another machine ends the test, whatever he does with the exception."""
    asked = []

    def refuse(*arguments, **_):
        asked.append(arguments)
        raise OSError('no network')

    monkeypatch.setattr(socket.socket, 'connect', refuse)
    monkeypatch.setattr(socket, 'getaddrinfo', refuse)
    yield
    assert not asked


def _refusal(*arguments, **keywords):
    with pytest.raises(ValueError) as error:
        data.load(*arguments, **keywords)
    text = str(error.value)
    assert text.isprintable() and len(text) < 1000
    return text


@pytest.mark.parametrize(
    'name',
    ['', ':', 'mnist:', 'mnist:3.0', 'mnist:3.0.1:', 'mnist/3.0.1/x:test', 'mnist:a b', 'mnist/', 'mnist/../mnist',
     'mnist/..', 'a b', ' mnist', 'mnist\n', 'caf\udce9', 'x' * 300, '\0', 'huggingface:mnist', 'gs://tfds-data/datasets/mnist',
     'mnist/data_dir=gs://x', 'http://x/y', 'mnist,cifar10', 'no_such_thing', '%s'],
)  # fmt: skip
def test_names_that_no_dataset_has(tmp_path, name):
    text = _refusal(name, 8, 8, data_dir=tmp_path)
    assert text.startswith("unknown dataset '") and "known are 'flags', 'folder:PATH'" in text


@pytest.mark.parametrize(
    ('name', 'says'),
    [
        ('mnist:99.9.9', "cannot use TFDS dataset 'mnist:99.9.9'"),
        ('mnist/x', "cannot use TFDS dataset 'mnist/x'"),
        ('mnist', "TFDS dataset 'mnist' is not prepared in"),
        ('robonet', "'tensorflow'"),
    ],
)
def test_datasets_that_are_not_there(tmp_path, capfd, caplog, name, says):
    assert says in _refusal(name, 8, 8, data_dir=tmp_path)
    assert capfd.readouterr() == ('', '') and not caplog.records


def test_what_is_logged_after_tfds_has_been_asked_is_heard(tmp_path, monkeypatch):
    # Fails if TFDS, whose output is put aside, makes the handler that everything logged later goes to.
    monkeypatch.setattr(logging.root, 'handlers', [])
    _refusal('no_such_thing', 8, 8, data_dir=tmp_path)
    assert logging.root.handlers == []


@pytest.mark.parametrize(
    ('place', 'says'),
    [
        ('/no/such\nplace', '/no/such\\nplace: No such file'),
        ('/dev/null', '/dev/null: Not a directory'),
        ('/tmp/a\0b', '/tmp/a\\x00b'),
        ('x' * 300, 'File name too long'),
        ('gs://x', 'gs://x: No such file'),
        ('/tmp/\ud800', '/tmp/\\ud800'),
    ],
)
def test_folders_that_are_none(place, says):
    text = _refusal('mnist', 8, 8, data_dir=place)
    assert text.startswith('data_dir: no such folder: ') and says in text


@pytest.fixture
def copy(tmp_path):
    """A copy of the prepared MNIST with its test images alone, and how to load it."""
    if not (TFDS_DIR / 'mnist' / '3.0.1').is_dir():
        pytest.skip(f'no prepared MNIST in {TFDS_DIR}: set WGAN_JAX_TFDS_DIR')
    folder = tmp_path / 'mnist' / '3.0.1'
    folder.mkdir(parents=True)
    for name in (INFO, 'features.json', SHARD):
        shutil.copyfile(TFDS_DIR / 'mnist' / '3.0.1' / name, folder / name)
    return folder


def _load(copy, split='test[:50]'):
    return tfds_images.load(f'mnist:{split}', View(28, 28), data_dir=copy.parents[1])


def test_a_whole_copy_is_read(copy):
    assert _load(copy).fingerprint == _load(TFDS_DIR / 'mnist' / '3.0.1').fingerprint


@pytest.mark.parametrize(
    'content',
    [b'', b'{', b'[]', b'null', b'\xff\xfe\0', b'[' * 10_000 + b']' * 10_000, b'{"a":' * 10_000 + b'1' + b'}' * 10_000,
     b'{"name": 3}', b'{"splits": [{"name": "test", "shardLengths": ["x"]}]}', b'{"fileFormat": "nonsense"}',
     b'{"citation": "' + b'x' * 10**6 + b'"'],
)  # fmt: skip
@pytest.mark.parametrize('name', [INFO, 'features.json'])
def test_damaged_descriptions(copy, name, content):
    (copy / name).write_bytes(content)
    try:
        _load(copy)
    except ValueError as error:
        assert 'mnist' in str(error) and str(error).isprintable() and 'kwargs' not in str(error)
    else:
        assert name == 'features.json'  # which the library's own code describes as well


@pytest.mark.parametrize('name', [INFO, 'features.json', SHARD])
@pytest.mark.parametrize('kind', ['folder', 'pipe', 'gone'])
def test_files_that_are_none(copy, name, kind):
    (copy / name).unlink()
    if kind == 'folder':
        (copy / name).mkdir()
    elif kind == 'pipe':
        os.mkfifo(copy / name)
    elif name == 'features.json':
        return
    with pytest.raises(ValueError) as error:
        _load(copy)
    assert name in str(error.value) or (name == INFO and 'is not prepared' in str(error.value))


@pytest.mark.parametrize('lengths', [['0'], ['-5'], ['10000000000000'], ['20000'], ['5000', '5000']])
def test_numbers_of_examples_that_are_wrong(copy, lengths):
    info = json.loads((copy / INFO).read_text())
    info['splits'][1]['shardLengths'] = lengths
    (copy / INFO).write_text(json.dumps(info))
    with pytest.raises(ValueError, match=r'mnist|cannot open'):
        _load(copy, 'test')


@pytest.mark.parametrize('change', ['empty', 'half', 'last byte', 'flip', 'zeros', 'text', 'end'])
def test_damaged_records(copy, change):
    whole = (TFDS_DIR / 'mnist' / '3.0.1' / SHARD).read_bytes()
    middle = len(whole) // 2
    flipped = bytearray(whole)
    flipped[middle] ^= 1
    content = {
        'empty': b'', 'half': whole[:middle], 'last byte': whole[:-1], 'flip': flipped, 'text': b'no records\n' * 9999,
        'zeros': whole[:middle] + bytes(70_000) + whole[middle + 70_000 :], 'end': whole + b'x',
    }[change]  # fmt: skip
    (copy / SHARD).write_bytes(content)
    with pytest.raises(ValueError, match=r"^TFDS dataset 'mnist' in .* cannot be read, prepare it again: .+"):
        _load(copy, 'test')


def test_a_damaged_image_is_told_by_its_number(copy, monkeypatch):
    numbers = iter(range(100))
    whole = tfds_images.decode

    def damaged(content, *arguments, **keywords):
        return whole(content[:60] if next(numbers) == 7 else content, *arguments, **keywords)

    monkeypatch.setattr(tfds_images, 'decode', damaged)
    with pytest.raises(ValueError, match='prepare it again: cannot read image 7 as an image'):
        _load(copy)


@pytest.mark.parametrize('split', ['nope', 'test[', 'test[:x]', 'test[:5%', 'test[5:5]', 'test+', 'test[:-99999]'])
def test_splits_that_are_none(copy, split):
    with pytest.raises(ValueError, match=r'has no split|has no images in its split') as error:
        _load(copy, split)
    assert str(error.value).isprintable()


def test_a_failure_of_the_machine_is_no_damage(copy, monkeypatch):
    def fails(*_, **__):
        raise MemoryError

    monkeypatch.setattr(tfds_images, 'fit', fails)
    with pytest.raises(MemoryError):
        _load(copy)


def test_tfds_is_not_looked_for_by_a_name_that_it_cannot_have(monkeypatch):
    monkeypatch.setitem(sys.modules, 'tensorflow_datasets', None)
    assert _refusal('gs://huggingface/mnist', 8, 8).startswith("unknown dataset 'gs://huggingface/mnist'")
